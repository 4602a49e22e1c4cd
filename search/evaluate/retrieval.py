"""How well the search finds what is known to be there: queries, searches, metrics, files."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from indexer.core.errors import QueryError
from search.catalogue import Catalogue
from search.engine import SearchEngine
from search.evaluate import ReportProgress, no_progress, write_csv, write_json
from search.evaluate.metrics import RANK_METRICS, VIDEO_METRICS, QueryValues, by_moment, per_query
from search.evaluate.qrels import Qrels, Queries, SkippedRow, Topics, answerable, match_queries, span_of, write_qrels
from search.evaluate.runs import RetrievalOptions, Run, Runs, run_queries, write_runs
from search.evaluate.significance import Interval, Statistic, Values, bootstrap_intervals, share_interval

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
    """What an evaluation found; with metrics of moments if any query has a span for an answer.

    ``values`` are the metrics of every query; of ``MdR`` and ``MnR``, its rank. ``texts`` are the queries by id, and
    ``not_found`` the ids of those with none of their videos among the ``depth`` answers.
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
        """The value of a metric that was measured."""
        return next(metric.value for metric in self.metrics if metric.name == name)

    def as_json(self) -> dict[str, Any]:
        """All of it but the values of each query."""
        facts = {name: fact for name, fact in asdict(self).items() if name not in ("values", "texts")}
        return {"queries": len(self.texts), **facts, "files": [str(path) for path in self.files]}


def evaluate_retrieval(
    engine: SearchEngine,
    queries: Queries,
    *,
    out: Path,
    options: RetrievalOptions,
    progress: ReportProgress = no_progress,
) -> RetrievalReport:
    """Search for every query, measure, and write the results to the folder ``out``.

    Its files are ``metrics.csv`` and ``.json``, ``queries.csv`` with every query's values, and in TREC's form
    ``run.trec`` and ``qrels.trec``, also with ``-moments``. A stopped run continues where it was with the same queries,
    index and options. Raises a QueryError if none of the videos is in the index, a UsageError if the folder cannot be
    written, and what ``run_queries`` raises.
    """
    catalogue = engine.catalogue()
    topics = match_queries(queries, catalogue)
    qrels = write_topics(out, topics.videos, topics.moments)  # first, to fail early if the folder cannot be written
    checkpoint = out / "searched.json"
    runs = run_queries(engine, topics.texts, options=options, checkpoint=checkpoint, progress=progress)
    values = measure_runs(runs, topics, len(catalogue.videos))
    report = RetrievalReport(
        metrics=summarise(values),
        values=values,
        texts=topics.texts,
        not_found=tuple(query for query, value in values["MRR"].items() if value == 0),
        skipped=queries.skipped,
        unmatched=topics.unmatched,
        videos=len(catalogue.videos),
        depth=options.depth,
        form=queries.form,
    )
    metric_rows = ((row.name, row.value, row.interval.low, row.interval.high, row.queries) for row in report.metrics)
    files = (
        *qrels,
        write_csv(out / "metrics.csv", ("metric", "value", "low", "high", "queries"), metric_rows),
        _write_queries(out / "queries.csv", report, runs["videos"], topics, catalogue),
        *write_runs(out, "run", runs, with_moments=bool(topics.moments)),
        out / "metrics.json",
    )
    report = replace(report, files=files)
    write_json(out / "metrics.json", report.as_json())
    checkpoint.unlink(missing_ok=True)
    return report


def write_topics(out: Path, videos: Qrels, moments: Qrels) -> list[Path]:
    """Write the judgements to ``qrels.trec``, and those of moments, if any, to ``qrels-moments.trec``."""
    written = [write_qrels(out / "qrels.trec", videos)]
    return [*written, write_qrels(out / "qrels-moments.trec", moments)] if moments else written


def measure_runs(runs: Runs, topics: Topics, videos: int) -> QueryValues:
    """Every metric, by query; ``videos`` is how many there are to find."""
    values = per_query(runs["videos"], topics.videos, VIDEO_METRICS, corpus_size=videos)
    return {**values, **(by_moment(runs["moments"], topics.moments) if topics.moments else {})}


def measure_run(run: Run, qrels: Qrels, *, corpus_size: int) -> QueryValues:
    """Every metric of a run, by query; those of moments if all the judged documents are moments.

    Raises:
        QueryError: no document is judged relevant, or the run and the judgements have nothing in common.
    """
    if not answerable(qrels):
        raise QueryError("No document is judged relevant to any query.", hint="A relevance of 1 or more says so.")
    if not qrels.keys() & run.by_query.keys():
        hint = "Both must use the same query ids."
        raise QueryError(f"The run '{run.name}' answers none of the queries judged.", hint=hint)
    documents = {document for judged in qrels.values() for document in judged}
    judges_moments, lists_moments = all(map(span_of, documents)), all(map(span_of, run.documents))
    if judges_moments != lists_moments and run.documents:
        listed, judged = ("videos", "moments") if judges_moments else ("moments", "videos")
        hint = "A moment is written as VIDEO@START-END with three decimals."
        raise QueryError(f"The run '{run.name}' lists {listed}, and the judgements are of {judged}.", hint=hint)
    if judges_moments:
        return by_moment(run, qrels)
    return per_query(run, qrels, VIDEO_METRICS, corpus_size=corpus_size)


def summarise(values: QueryValues, groups: Mapping[str, Hashable] | None = None) -> tuple[MetricValue, ...]:
    """Each metric over all queries, with its interval.

    Queries of one group in ``groups`` are alike, unless there is one group alone. Groups are for means only.
    """
    found: dict[str, MetricValue] = {}
    for names, table, statistic in as_tables(values):
        queries = values[names[0]]
        kinds = [groups[query] for query in queries] if groups else []
        is_grouped = len(set(kinds)) > 1
        intervals = bootstrap_intervals(table, statistic, groups=kinds if is_grouped else None)
        figures = np.median(table, axis=0) if statistic == "median" else table.mean(axis=0)
        for name, value, interval in zip(names, figures.tolist(), intervals, strict=True):
            is_certain = interval.high - interval.low < _LEAST_WIDTH and name not in RANK_METRICS
            # A few equal values do not make it certain.
            likely = share_interval(value, len(set(kinds) if is_grouped else queries)) if is_certain else interval
            found[name] = MetricValue(name, value, likely, len(queries))
    return tuple(found[name] for name in values)


def as_tables(values: QueryValues) -> Iterator[tuple[list[str], Values, Statistic]]:
    """The metrics of the same queries and the same statistic, and their values: ``(queries, metrics)``."""
    groups: dict[tuple[tuple[str, ...], Statistic], list[str]] = {}
    for name, of_query in values.items():
        groups.setdefault((tuple(of_query), "median" if name == "MdR" else "mean"), []).append(name)
    for (_, statistic), names in groups.items():
        yield names, np.array([list(values[name].values()) for name in names], dtype=np.float64).T, statistic


def _write_queries(path: Path, report: RetrievalReport, run: Run, topics: Topics, catalogue: Catalogue) -> Path:
    names = [name for name in report.values if name not in RANK_METRICS]
    rows = []
    for query, text in report.texts.items():
        right = [catalogue.videos[key].path for key, relevance in topics.videos[query].items() if relevance > 0]
        found = "no" if query in report.not_found else "yes"
        first = catalogue.videos[run[query][0][0]].path if run[query] else ""
        values = (report.values[name].get(query, "") for name in names)
        rows.append((query, text, " | ".join(map(str, right)), report.values["MnR"][query], found, first, *values))
    return write_csv(path, ("query_id", "query", "right", "rank", "found", "first", *names), rows)
