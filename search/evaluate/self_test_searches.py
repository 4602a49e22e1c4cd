"""The searches of a self-test: every query without the kind of text it was drawn from, and with everything.

A moment is right if it and the text share at least half of the shorter of the two, as the search itself decides that
two pieces of evidence mean one moment, and if the text begins at most ten seconds after the moment does: otherwise a
whole film would always be right.

What chance would find is estimated from searches for something else. A video with many texts is asked for more often,
and is found more often whatever is searched for, which a random order of the videos would not show. So the answers to
queries of other videos are judged by the answer of each query in turn.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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
    sources = dict.fromkeys(known.source for known in drawn)
    ways: list[tuple[str, Sequence[KnownItem], Mapping[ModalityName, float]]] = [
        *((f"without-{name}", [known for known in drawn if known.source == name], {name: 0.0}) for name in sources),
        ("with-source", drawn, {}),
    ]
    runs, done = [], 0
    for name, asked, weights in ways:
        chosen = replace(options, weights={**options.weights, **weights}, name=name)
        checkpoint = out / f"searched-{name}.json"
        texts = {known.id: known.query for known in asked}
        report = _counting_on(progress, done, 2 * len(drawn))
        runs.append(run_queries(engine, texts, options=chosen, checkpoint=checkpoint, progress=report))
        done += len(asked)
    *without, everything = runs
    return {level: _joined([each[level] for each in without]) for level in LEVELS}, everything


def _counting_on(report: ReportProgress | None, before: int, total: int) -> ReportProgress | None:
    return None if report is None else lambda what, done, _: report(what, before + done, total)


def _joined(runs: Sequence[Run]) -> Run:
    return Run({query: answers for run in runs for query, answers in run.by_query.items()}, "without-source")


def right_videos(drawn: Sequence[KnownItem]) -> Qrels:
    """The video of each query."""
    return {known.id: {known.span.video_id: 1} for known in drawn}


def right_moments(drawn: Sequence[KnownItem], run: Run) -> Qrels:
    """The moments that answer each query: the known one, and those of a run that lead to it."""
    spans = {document: span_of(document) for document in run.documents}
    return {known.id: _leading_to(known.span, run, known.id, spans) for known in drawn if known.has_moment}


def is_right_moment(found: RelevantSpan, known: RelevantSpan) -> bool:
    """Whether playing what was found leads to what is known to be there; the module's docstring says when."""
    shorter = min(found.end_s - found.start_s, known.end_s - known.start_s)
    if found.video_id != known.video_id or known.start_s > found.start_s + _NEAR_S:
        return False
    return overlap_s(found, known) >= max(_SHARED * shorter, _INSTANT_S)


def self_test_values(drawn: Sequence[KnownItem], runs: Runs) -> Mapping[Level, QueryValues]:
    """Every metric, by query."""
    judged = {"videos": right_videos(drawn), "moments": right_moments(drawn, runs["moments"])}
    return {level: _values(runs[level], judged[level]) for level in LEVELS}


def chance_values(drawn: Sequence[KnownItem], runs: Runs) -> Mapping[Level, QueryValues]:
    """For each query, what the answers to queries of other videos would be worth as answers to it.

    The mean over at most 50 of them, spread evenly; nothing if all queries are of one video.
    """
    spans = {document: span_of(document) for document in runs["moments"].documents}
    found: dict[Level, dict[str, dict[str, float]]] = {level: {} for level in LEVELS}
    for known in drawn:
        others = _spread([each.id for each in drawn if each.span.video_id != known.span.video_id])
        if others:
            right = {other: {known.span.video_id: 1} for other in others}
            found["videos"][known.id] = _mean_values(runs["videos"], right)
        if others and known.has_moment:
            right = {other: _leading_to(known.span, runs["moments"], other, spans) for other in others}
            found["moments"][known.id] = _mean_values(runs["moments"], right)
    return {
        level: {name: {query: values[name] for query, values in of_query.items()} for name in SELF_TEST_METRICS}
        for level, of_query in found.items()
    }


def _leading_to(known: RelevantSpan, run: Run, query: str, spans: Mapping[str, RelevantSpan | None]) -> dict[str, int]:
    found = {document: span for document, _ in run[query] if (span := spans[document])}
    return {moment_id(known): 1} | {document: 1 for document, span in found.items() if is_right_moment(span, known)}


def _spread(others: Sequence[str]) -> Collection[str]:
    """All, or as many as are enough, evenly among them."""
    step = max(1.0, len(others) / _MOST_OTHERS)
    return [others[int(place * step)] for place in range(min(len(others), _MOST_OTHERS))]


def _mean_values(run: Run, right: Qrels) -> dict[str, float]:
    # Where nothing right was found, every metric is 0.
    found = {query: judged for query, judged in right.items() if any(answer in judged for answer, _ in run[query])}
    return {name: sum(of_query.values()) / len(right) for name, of_query in _values(run, found).items()}


def _values(run: Run, right: Qrels) -> QueryValues:
    return per_query(run, right, SELF_TEST_METRICS, corpus_size=0)
