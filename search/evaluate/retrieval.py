"""How well the search finds what is known to be there: queries, searches, metrics, files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.core.errors import QueryError
from search.catalogue import Catalogue
from search.engine import SearchEngine
from search.evaluate.checkpoint import Searched, index_signature
from search.evaluate.files import write_csv, write_json
from search.evaluate.matching import Topics, match_queries
from search.evaluate.metrics import (
    RANK_METRICS,
    VIDEO_METRICS,
    QueryValues,
    aggregate,
    by_moment,
    first_ranks,
    per_query,
)
from search.evaluate.progress import ReportProgress
from search.evaluate.qrels import Qrels, Queries, SkippedRow, span_of, write_qrels
from search.evaluate.runs import DEFAULT_RUN, Level, Run, RunOptions, run_queries, write_run
from search.evaluate.significance import Interval, Statistic, bootstrap_intervals, share_interval

__all__ = [
    "MetricValue",
    "RetrievalReport",
    "alike",
    "columns",
    "evaluate_retrieval",
    "matched",
    "measure_run",
    "measure_runs",
    "summed_up",
    "write_topics",
]

UNFINISHED = "searched.json"
_LEAST_WIDTH = 1e-9


@dataclass(frozen=True, slots=True)
class MetricValue:
    """A metric over all queries that it is defined for, with its 95% interval."""

    name: str
    value: float
    interval: Interval
    queries: int


@dataclass(frozen=True, slots=True)
class RetrievalReport:
    """What an evaluation found.

    Args:
        metrics: Those of videos, and those of moments if any query has a span for an answer.
        values: Every query's value of each metric, by metric name and query id; of ``MdR`` and ``MnR``, its rank.
        texts: The queries that were asked, by id.
        not_found: The ids of queries none of whose videos was among the answers.
        skipped: Rows of the file that could not be read.
        unmatched: Names in the file that are no video of this index, or several.
        videos: How many videos there were to find.
        depth: How many answers were looked at.
        form: The kind of file that the queries came from.
        files: What was written.
    """

    metrics: tuple[MetricValue, ...]
    values: QueryValues
    texts: Mapping[str, str]
    not_found: tuple[str, ...]
    skipped: tuple[SkippedRow, ...]
    unmatched: tuple[SkippedRow, ...]
    videos: int
    depth: int
    form: str
    files: tuple[Path, ...] = ()

    def value(self, name: str) -> float:
        """The value of a metric.

        Raises:
            KeyError: it was not measured.
        """
        return {metric.name: metric.value for metric in self.metrics}[name]

    def as_json(self) -> dict[str, Any]:
        """All of it but the values of each query, as JSON has it."""
        return {
            "queries": len(self.texts),
            "videos": self.videos,
            "depth": self.depth,
            "form": self.form,
            "metrics": [asdict(metric) for metric in self.metrics],
            "not_found": list(self.not_found),
            "skipped": [asdict(row) for row in self.skipped],
            "unmatched": [asdict(row) for row in self.unmatched],
            "files": [str(path) for path in self.files],
        }


def evaluate_retrieval(
    engine: SearchEngine,
    queries: Queries,
    *,
    out: Path,
    options: RunOptions = DEFAULT_RUN,
    progress: ReportProgress | None = None,
) -> RetrievalReport:
    """Search for every query, measure, and write what came of it to a folder.

    A run that is stopped goes on where it was when it is started again with the same queries, index and options.

    Args:
        engine: What to search with.
        queries: What to ask, and what is right.
        out: The folder for ``metrics.csv`` and ``.json``, ``queries.csv`` with every query's values, and in TREC's form
            ``run.trec`` and ``qrels.trec`` for videos, ``run-moments.trec`` and ``qrels-moments.trec`` for moments.
        options: How to search.
        progress: Told after every query.

    Raises:
        QueryError: none of the videos is in the index, or a query cannot be searched for.
        UsageError: the folder cannot be written.
        StoreError: the index cannot be read.
        ModelError: a model cannot encode a query.
    """
    catalogue = engine.catalogue()
    topics = matched(queries, catalogue)
    qrels = write_topics(out, topics)  # first of all, so that a folder that cannot be written is known at once
    searched = Searched(out / UNFINISHED, index_signature(catalogue, options))
    runs = run_queries(engine, topics.texts, options=options, searched=searched, progress=progress)
    values = measure_runs(runs, topics, len(catalogue.videos))
    report = RetrievalReport(
        metrics=summed_up(values),
        values=values,
        texts=topics.texts,
        not_found=tuple(_not_found(runs["videos"], topics.videos)),
        skipped=queries.skipped,
        unmatched=topics.unmatched,
        videos=len(catalogue.videos),
        depth=options.depth,
        form=queries.form,
    )
    written = replace(report, files=(*qrels, *_write(out, report, runs, topics, catalogue)))
    write_json(out / "metrics.json", written.as_json())
    searched.forget()
    return written


def matched(queries: Queries, catalogue: Catalogue) -> Topics:
    """The queries that have an answer in the index.

    Raises:
        QueryError: there is none.
    """
    topics = match_queries(queries, catalogue)
    if not topics.texts:
        reason = f" {topics.unmatched[0]}." if topics.unmatched else ""
        raise QueryError(
            f"None of the videos named in {queries.source or 'the queries'} answers a query in this index.{reason}",
            hint="'sceneseek list' shows what is indexed; a video may be named by its path, its file name or its id.",
        )
    return topics


def write_topics(out: Path, topics: Topics) -> list[Path]:
    """Write what is right to ``qrels.trec``, and to ``qrels-moments.trec`` if any query has a span for an answer.

    Raises:
        UsageError: the folder cannot be written.
    """
    written = [write_qrels(out / "qrels.trec", topics.videos)]
    return [*written, write_qrels(out / "qrels-moments.trec", topics.moments)] if len(topics.moments) else written


def measure_runs(runs: Mapping[Level, Run], topics: Topics, videos: int) -> QueryValues:
    """Every metric of a run of videos and one of moments, by query.

    Args:
        runs: What was answered.
        topics: What is right.
        videos: How many videos there are to find.
    """
    values = per_query(runs["videos"], topics.videos, VIDEO_METRICS, corpus_size=videos)
    return {**values, **(by_moment(runs["moments"], topics.moments) if len(topics.moments) else {})}


def measure_run(run: Run, qrels: Qrels, *, corpus_size: int = 0) -> QueryValues:
    """Every metric of a run from anywhere, by query; those of moments if all the judged documents are moments.

    Args:
        run: What was answered.
        qrels: What is right.
        corpus_size: How many documents there are; by default, as many as run and judgements name.

    Raises:
        QueryError: no document is judged relevant, or the run and the judgements have nothing in common.
    """
    if not len(qrels.answerable):
        raise QueryError("No document is judged relevant to any query.", hint="A relevance of 1 or more says so.")
    if not qrels.by_query.keys() & run.by_query.keys():
        raise QueryError(
            f"The run '{run.name}' answers none of the queries judged.", hint="Both must use the same query ids."
        )
    of_moments = _are_moments(qrels.documents)
    if of_moments != _are_moments(run.documents) and run.documents:
        raise QueryError(
            f"The run '{run.name}' lists {'videos' if of_moments else 'moments'}, and the judgements are of "
            f"{'moments' if of_moments else 'videos'}.",
            hint="A moment is written as VIDEO@START-END with three decimals.",
        )
    if of_moments:
        return by_moment(run, qrels)
    size = corpus_size or len(qrels.documents | run.documents)
    return per_query(run, qrels, VIDEO_METRICS, corpus_size=size)


def summed_up(values: QueryValues, groups: Mapping[str, Hashable] | None = None) -> tuple[MetricValue, ...]:
    """Each metric over all queries, with its interval.

    Args:
        values: Every query's value of each metric.
        groups: By query, to which of several groups of queries that are alike it belongs; by default, all queries are
            independent. Of a single group nothing could be told, so that its queries are taken one by one. Only where
            every metric is a mean.
    """
    intervals: dict[str, Interval] = {}
    draws: dict[str, int] = {}
    for names, statistic in alike(values):
        kinds = _groups(values[names[0]], groups)
        found = bootstrap_intervals(columns(values, names), statistic, groups=kinds)
        intervals.update(zip(names, found, strict=True))
        draws.update(dict.fromkeys(names, len(set(kinds) if kinds else values[names[0]])))
    figures = {name: aggregate(name, list(of_query.values())) for name, of_query in values.items()}
    return tuple(
        MetricValue(name, figure, _doubted(name, figure, intervals[name], draws[name]), len(values[name]))
        for name, figure in figures.items()
    )


def _groups(queries: Collection[str], groups: Mapping[str, Hashable] | None) -> list[Hashable] | None:
    """The group of each query, if there are several."""
    kinds = [groups[query] for query in queries] if groups else []
    return kinds if len(set(kinds)) > 1 else None


def _doubted(name: str, figure: float, interval: Interval, draws: int) -> Interval:
    """The interval, but where all values are the same, that of a share: a few of a kind are no certainty."""
    is_certain = interval.high - interval.low < _LEAST_WIDTH
    return share_interval(figure, draws) if is_certain and name not in RANK_METRICS else interval


def alike(values: QueryValues) -> Iterator[tuple[list[str], Statistic]]:
    """The metrics in groups of the same queries and the same kind of figure, which can be resampled together."""
    groups: dict[tuple[tuple[str, ...], Statistic], list[str]] = {}
    for name, of_query in values.items():
        statistic: Statistic = "median" if name == "MdR" else "mean"
        groups.setdefault((tuple(of_query), statistic), []).append(name)
    yield from ((names, statistic) for (_, statistic), names in groups.items())


def columns(values: QueryValues, names: Sequence[str]) -> NDArray[np.float64]:
    """The values of metrics that have the same queries: one row per query, one column per metric."""
    return np.array([list(values[name].values()) for name in names], dtype=np.float64).T


def _are_moments(documents: Collection[str]) -> bool:
    return all(span_of(document) for document in documents)


def _not_found(run: Run, qrels: Qrels) -> Iterator[str]:
    for query, judged in qrels.by_query.items():
        answers = {document for document, _ in run[query]}
        if not any(relevance > 0 and document in answers for document, relevance in judged.items()):
            yield query


def _write(
    out: Path, report: RetrievalReport, runs: Mapping[Level, Run], topics: Topics, catalogue: Catalogue
) -> Iterator[Path]:
    yield _write_metrics(out / "metrics.csv", report.metrics)
    yield _write_queries(out / "queries.csv", report, runs["videos"], topics, catalogue)
    yield write_run(out / "run.trec", runs["videos"])
    if len(topics.moments):
        yield write_run(out / "run-moments.trec", runs["moments"])
    yield out / "metrics.json"


def _write_metrics(path: Path, metrics: Sequence[MetricValue]) -> Path:
    rows = [(row.name, row.value, row.interval.low, row.interval.high, row.queries) for row in metrics]
    return write_csv(path, ("metric", "value", "low", "high", "queries"), rows)


def _write_queries(path: Path, report: RetrievalReport, run: Run, topics: Topics, catalogue: Catalogue) -> Path:
    """One row per query: what was asked, what is right, its mean rank, what came first, and every metric's value."""
    named = _names(catalogue)
    ranks = first_ranks(run, topics.videos, corpus_size=report.videos)
    names = [name for name in report.values if name not in RANK_METRICS]
    rows = (
        (
            query,
            text,
            " | ".join(named(key) for key, relevance in topics.videos[query].items() if relevance > 0),
            ranks[query],
            "no" if query in report.not_found else "yes",
            named(run[query][0][0]) if run[query] else "",
            *(report.values[name].get(query, "") for name in names),
        )
        for query, text in report.texts.items()
    )
    return write_csv(path, ("query_id", "query", "right", "rank", "found", "first", *names), rows)


def _names(catalogue: Catalogue) -> Callable[[str], str]:
    return lambda video_id: str(catalogue.videos[video_id].path)
