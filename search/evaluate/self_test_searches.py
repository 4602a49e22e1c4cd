"""The searches of a self-test: every query without the kind of text it was drawn from, and with everything.

A moment is right if it and the text share at least half of the shorter of the two, as the search itself decides that
two pieces of evidence mean one moment, and if the text begins at most ten seconds after the moment does: otherwise a
whole film would always be right.

What chance would find is estimated from searches for something else. A video with many texts is asked for more often,
and is found more often whatever is searched for, which a random order of the videos would not show. So the answers to
queries of other videos are judged by the answer of each query in turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from indexer.core.types import ModalityName
from search.engine import SearchEngine
from search.evaluate.metrics import QueryValues, per_query
from search.evaluate.progress import ReportProgress
from search.evaluate.qrels import Qrels, RelevantSpan, moment_id, span_of
from search.evaluate.runs import LEVELS, Level, RetrievalOptions, Run, Runs, run_queries
from search.evaluate.self_test_queries import KnownItem
from search.moments import overlap_s

SELF_TEST_METRICS = ("hit@1", "hit@5", "hit@10", "MRR")
_SHARED = 0.5
_NEAR_S = 10.0
_INSTANT_S = 0.001
_MOST_OTHERS = 50


def search_both_ways(
    engine: SearchEngine,
    drawn: Sequence[KnownItem],
    out: Path,
    options: RetrievalOptions,
    progress: ReportProgress | None,
) -> tuple[Runs, Runs]:
    """What is found for each query with its source left out, and with everything.

    The progress counts on from one way to the other. The checkpoints, ``searched-*.json`` in ``out``, are for the
    caller to delete.
    """

    def search(name: str, asked: Sequence[KnownItem], weights: Mapping[ModalityName, float], before: int) -> Runs:
        chosen = replace(options, weights={**options.weights, **weights}, name=name)
        checkpoint, texts = out / f"searched-{name}.json", {known.id: known.query for known in asked}
        report = None if progress is None else lambda what, done, _: progress(what, before + done, 2 * len(drawn))
        return run_queries(engine, texts, options=chosen, checkpoint=checkpoint, progress=report)

    by_source: dict[ModalityName, list[KnownItem]] = {}
    for known in drawn:
        by_source.setdefault(known.source, []).append(known)
    found: dict[Level, dict[str, Sequence[tuple[str, float]]]] = {level: {} for level in LEVELS}
    for source, asked in by_source.items():
        runs = search(f"without-{source}", asked, {source: 0.0}, len(found["videos"]))
        for level in LEVELS:
            found[level].update(runs[level].by_query)
    without = {level: Run(found[level], "without-source") for level in LEVELS}
    return without, search("with-source", drawn, {}, len(drawn))


def right_answers(drawn: Sequence[KnownItem], level: Level, run: Run) -> Qrels:
    """The video of each query; or the moments that answer it: the known one, and those of a run that lead to it."""
    spans = _spans(run)
    asked = [known for known in drawn if level == "videos" or known.has_moment]
    return {known.id: _right(known, level, run[known.id], spans) for known in asked}


def is_right_moment(found: RelevantSpan, known: RelevantSpan) -> bool:
    """Whether playing what was found leads to what is known to be there; the module's docstring says when."""
    shorter = min(found.end_s - found.start_s, known.end_s - known.start_s)
    if found.video_id != known.video_id or known.start_s > found.start_s + _NEAR_S:
        return False
    return overlap_s(found, known) >= max(_SHARED * shorter, _INSTANT_S)


def self_test_values(drawn: Sequence[KnownItem], runs: Runs) -> Mapping[Level, QueryValues]:
    """Every metric, by query."""
    return {level: _values(runs[level], right_answers(drawn, level, runs[level])) for level in LEVELS}


def chance_values(drawn: Sequence[KnownItem], runs: Runs) -> Mapping[Level, QueryValues]:
    """For each query, what the answers to queries of other videos would be worth as answers to it.

    The mean over at most 50 of them, spread evenly; nothing if all queries are of one video.
    """
    values: dict[Level, dict[str, dict[str, float]]] = {
        level: {name: {} for name in SELF_TEST_METRICS} for level in LEVELS
    }
    for level in LEVELS:
        run, spans = runs[level], _spans(runs[level])
        for known in drawn:
            others = _spread([each.id for each in drawn if each.span.video_id != known.span.video_id])
            if others and (level == "videos" or known.has_moment):
                right = {other: _right(known, level, run[other], spans) for other in others}
                for name, value in _mean_values(run, right).items():
                    values[level][name][known.id] = value
    return values


def _spans(run: Run) -> Mapping[str, RelevantSpan]:
    return {document: span for document in run.documents if (span := span_of(document))}


def _right(
    known: KnownItem, level: Level, answers: Sequence[tuple[str, float]], spans: Mapping[str, RelevantSpan]
) -> dict[str, int]:
    """Which of the answers to some query would be right for this one, besides the known one."""
    if level == "videos":
        return {known.span.video_id: 1}
    found = [document for document, _ in answers if document in spans and is_right_moment(spans[document], known.span)]
    return dict.fromkeys([moment_id(known.span), *found], 1)


def _spread(others: Sequence[str]) -> Sequence[str]:
    """All, or as many as are enough, evenly among them."""
    step = max(1.0, len(others) / _MOST_OTHERS)
    return [others[int(place * step)] for place in range(min(len(others), _MOST_OTHERS))]


def _mean_values(run: Run, right: Qrels) -> dict[str, float]:
    # Where nothing right was found, every metric is 0.
    found = {query: judged for query, judged in right.items() if any(answer in judged for answer, _ in run[query])}
    return {name: sum(of_query.values()) / len(right) for name, of_query in _values(run, found).items()}


def _values(run: Run, right: Qrels) -> QueryValues:
    return per_query(run, right, SELF_TEST_METRICS, corpus_size=0)
