"""The searches of a self-test: every query without the kind of text it was drawn from, and with everything.

A moment is right if it and the text share at least half of the shorter of the two, which is how the search itself tells
that two pieces of evidence mean one moment, and if whoever plays it from its start comes to the text within ten
seconds: a whole film would otherwise always be right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from indexer.types import Modality
from search.engine import SearchEngine
from search.evaluate.metrics import QueryValues, per_query
from search.evaluate.progress import ReportProgress
from search.evaluate.qrels import Qrels, Span, moment_id, span_of
from search.evaluate.runs import LEVELS, Level, Run, RunOptions, run_queries
from search.evaluate.searched import Searched, index_signature
from search.evaluate.self_test_queries import KnownItem
from search.merging import overlap_s

__all__ = ["SELF_TEST_METRICS", "SelfTestSearches", "chance_of_videos", "is_right_moment"]

SELF_TEST_METRICS = ("hit@1", "hit@5", "hit@10", "MRR")
_SHARED = 0.5
_NEAR_S = 10.0
_INSTANT_S = 0.001


class SelfTestSearches:
    """The queries, what is right, and the searches.

    Args:
        engine: What to search with.
        drawn: The queries.
        out: Where unfinished searches are kept.
        options: How to search.
        progress: Told after every query.
    """

    def __init__(
        self,
        engine: SearchEngine,
        drawn: Sequence[KnownItem],
        out: Path,
        options: RunOptions,
        progress: ReportProgress | None,
    ) -> None:
        self.drawn = drawn
        self.videos = Qrels({known.id: {known.span.video_id: 1} for known in drawn})
        self.moments = Qrels({known.id: {moment_id(known.span): 1} for known in drawn if known.has_moment})
        self._engine = engine
        self._out = out
        self._options = options
        self._report = progress
        self._done = 0
        self._searched: list[Searched] = []

    @property
    def sources(self) -> tuple[Modality, ...]:
        """The kinds of text that queries were drawn from."""
        return tuple(dict.fromkeys(known.source for known in self.drawn))

    def without_source(self) -> Mapping[Level, Run]:
        """What is found for each query with its source left out."""
        runs = [self._run(f"without-{name}", self._of(name), {name: 0.0}) for name in self.sources]
        return {level: _joined([run[level] for run in runs], "without-source") for level in LEVELS}

    def with_source(self) -> Mapping[Level, Run]:
        """What is found for each query with everything."""
        return self._run("with-source", self.drawn, {})

    def values(self, runs: Mapping[Level, Run]) -> Mapping[Level, QueryValues]:
        """Every metric, by query."""
        size = len(self._engine.catalogue().videos)
        by_video = per_query(runs["videos"], self.videos, SELF_TEST_METRICS, corpus_size=size)
        return {
            "videos": by_video,
            "moments": per_query(runs["moments"], self._judged(runs["moments"]), SELF_TEST_METRICS, corpus_size=size),
        }

    def forget(self) -> None:
        """Delete what was kept for going on."""
        for searched in self._searched:
            searched.forget()

    def _of(self, source: Modality) -> list[KnownItem]:
        return [known for known in self.drawn if known.source == source]

    def _run(self, name: str, drawn: Sequence[KnownItem], weights: Mapping[Modality, float]) -> Mapping[Level, Run]:
        options = replace(self._options, weights={**self._options.weights, **weights}, name=name)
        signature = index_signature(self._engine.catalogue(), options)
        self._searched.append(Searched(self._out / f"searched-{name}.json", signature))
        texts = {known.id: known.query for known in drawn}
        before, self._done = self._done, self._done + len(drawn)
        return run_queries(
            self._engine, texts, options=options, searched=self._searched[-1], progress=self._progress(before)
        )

    def _progress(self, before: int) -> ReportProgress | None:
        """Counts on from the searches before; every query is searched for twice."""
        report, total = self._report, 2 * len(self.drawn)
        return None if report is None else lambda what, done, _: report(what, before + done, total)

    def _judged(self, run: Run) -> Qrels:
        """Which moments are right: the known one, and those found that lead to it."""
        spans = {known.id: known.span for known in self.drawn if known.has_moment}
        return Qrels(
            {
                query: {moment_id(known): 1}
                | {document: 1 for document, _ in run[query] if _leads_to(span_of(document), known)}
                for query, known in spans.items()
            }
        )


def chance_of_videos(videos: int) -> dict[str, float]:
    """What each metric is worth, on average, if the only right one among so many videos may stand anywhere."""
    anywhere = Run({"any": [(str(number), 0.0) for number in range(videos)]})
    values = per_query(anywhere, Qrels({"any": {"0": 1}}), SELF_TEST_METRICS, corpus_size=videos)
    return {name: of_query["any"] for name, of_query in values.items()}


def is_right_moment(found: Span, known: Span) -> bool:
    """Whether who plays what was found comes to what is known to be there; see the module's docstring."""
    shorter = min(found.end_s - found.start_s, known.end_s - known.start_s)
    if found.video_id != known.video_id or known.start_s > found.start_s + _NEAR_S:
        return False
    return overlap_s(found, known) >= max(_SHARED * shorter, _INSTANT_S)


def _leads_to(found: Span | None, known: Span) -> bool:
    return found is not None and is_right_moment(found, known)


def _joined(runs: Sequence[Run], name: str) -> Run:
    return Run({query: answers for run in runs for query, answers in run.by_query.items()}, name)
