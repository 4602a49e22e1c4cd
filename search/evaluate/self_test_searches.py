"""The searches of a self-test: every query without the kind of text it was drawn from, and with everything.

A moment is right if it and the text share at least half of the shorter of the two, which is how the search itself tells
that two pieces of evidence mean one moment, and if whoever plays it from its start comes to the text within ten
seconds: a whole film would otherwise always be right.

What chance would find is seen from searches for something else. A video with many texts is asked for more often, and
is found more often whatever is searched for; a random order of the videos would know nothing of that. So what is found
for the queries of other videos is judged by the answer of each query in turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from indexer.core.types import ModalityName
from search.engine import SearchEngine
from search.evaluate.checkpoint import Searched, index_signature
from search.evaluate.metrics import QueryValues, per_query
from search.evaluate.progress import ReportProgress
from search.evaluate.qrels import Qrels, Span, moment_id, span_of
from search.evaluate.runs import LEVELS, Level, Run, RunOptions, run_queries
from search.evaluate.self_test_queries import KnownItem
from search.moments import overlap_s

__all__ = ["SELF_TEST_METRICS", "SelfTestSearches", "is_right_moment"]

SELF_TEST_METRICS = ("hit@1", "hit@5", "hit@10", "MRR")
_SHARED = 0.5
_NEAR_S = 10.0
_INSTANT_S = 0.001
_MOST_OTHERS = 50


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
    def sources(self) -> tuple[ModalityName, ...]:
        """The kinds of text that queries were drawn from."""
        return tuple(dict.fromkeys(known.source for known in self.drawn))

    def without_source(self) -> Mapping[Level, Run]:
        """What is found for each query with its source left out."""
        runs = [self._run(f"without-{name}", self._of(name), {name: 0.0}) for name in self.sources]
        return {level: _joined([run[level] for run in runs], "without-source") for level in LEVELS}

    def with_source(self) -> Mapping[Level, Run]:
        """What is found for each query with everything."""
        return self._run("with-source", self.drawn, {})

    def chance(self, runs: Mapping[Level, Run]) -> Mapping[Level, QueryValues]:
        """For each query, what the answers to queries of other videos are worth if it is they that answer it.

        The mean over at most 50 of them, spread evenly; nothing if all queries are of one video.
        """
        spans = {document: span_of(document) for document in runs["moments"].documents}
        found: dict[Level, dict[str, dict[str, float]]] = {level: {} for level in LEVELS}
        for known in self.drawn:
            others = _spread([each for each in self.drawn if each.span.video_id != known.span.video_id])
            if others:
                right = {other: {known.span.video_id: 1} for other in others}
                found["videos"][known.id] = _mean_values(runs["videos"], right)
            if others and known.has_moment:
                right = {other: _right(runs["moments"], other, known.span, spans) for other in others}
                found["moments"][known.id] = _mean_values(runs["moments"], right)
        return {level: _by_metric(of_query) for level, of_query in found.items()}

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

    def _of(self, source: ModalityName) -> list[KnownItem]:
        return [known for known in self.drawn if known.source == source]

    def _run(self, name: str, drawn: Sequence[KnownItem], weights: Mapping[ModalityName, float]) -> Mapping[Level, Run]:
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
        spans = {document: span_of(document) for document in run.documents}
        return Qrels({known.id: _right(run, known.id, known.span, spans) for known in self.drawn if known.has_moment})


def is_right_moment(found: Span, known: Span) -> bool:
    """Whether who plays what was found comes to what is known to be there; see the module's docstring."""
    shorter = min(found.end_s - found.start_s, known.end_s - known.start_s)
    if found.video_id != known.video_id or known.start_s > found.start_s + _NEAR_S:
        return False
    return overlap_s(found, known) >= max(_SHARED * shorter, _INSTANT_S)


def _leads_to(found: Span | None, known: Span) -> bool:
    return found is not None and is_right_moment(found, known)


def _right(run: Run, query: str, known: Span, spans: Mapping[str, Span | None]) -> dict[str, int]:
    """The moments that are right: the known one, and those of a query's answers that lead to it."""
    return {moment_id(known): 1} | {document: 1 for document, _ in run[query] if _leads_to(spans[document], known)}


def _spread(others: Sequence[KnownItem]) -> list[str]:
    """The ids of all, or of so many that lie evenly among them; more would only take longer."""
    step = max(1.0, len(others) / _MOST_OTHERS)
    return [others[int(place * step)].id for place in range(min(len(others), _MOST_OTHERS))]


def _mean_values(run: Run, right: Mapping[str, Mapping[str, int]]) -> dict[str, float]:
    """Each metric over some of the queries of a run, judged as said; those that found nothing right count 0."""
    found = {query: judged for query, judged in right.items() if any(answer in judged for answer, _ in run[query])}
    answers = Run({query: run[query] for query in found})
    values = per_query(answers, Qrels(found), SELF_TEST_METRICS, corpus_size=0)
    return {name: sum(of_query.values()) / len(right) for name, of_query in values.items()}


def _by_metric(of_query: Mapping[str, Mapping[str, float]]) -> QueryValues:
    return {name: {query: values[name] for query, values in of_query.items()} for name in SELF_TEST_METRICS}


def _joined(runs: Sequence[Run], name: str) -> Run:
    return Run({query: answers for run in runs for query, answers in run.by_query.items()}, name)
