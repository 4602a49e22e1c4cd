"""Which of several ways to search is better, and how sure that is: one table of metrics and differences.

Differences are to the first row, over the same queries, with a 95% interval and the p-value of a paired test (see
``search.evaluate.significance``). The p-values are those of single tests: of twenty rows without any difference, one
will have p < 0.05.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from indexer.core.errors import UsageError
from search.evaluate.files import write_csv, write_json
from search.evaluate.matching import match_queries
from search.evaluate.metrics import QueryValues
from search.evaluate.progress import ReportProgress
from search.evaluate.qrels import Queries, SkippedRow
from search.evaluate.retrieval import MetricValue, as_tables, measure_runs, summarise, write_topics
from search.evaluate.runs import DEFAULT_RETRIEVAL, RetrievalOptions, run_queries, write_runs
from search.evaluate.setups import OF_ACTIONS, IndexVariants, Setup
from search.evaluate.significance import Difference, paired_differences

_NOT_OF_SEARCHES = "Leave out the captions to compare it on the labelled videos, as 'sceneseek evaluate actions' does."
_HEADING = ("setup", "metric", "value", "low", "high", "queries", "difference", "from", "to", "p", "videos")


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """One way to search: its metrics, by metric the difference to the first row, and how many videos its index holds.

    The first row has no differences; ``videos`` is 0 where it is unknown.
    """

    name: str
    metrics: tuple[MetricValue, ...]
    differences: Mapping[str, Difference]
    videos: int = 0

    def metric(self, name: str) -> MetricValue:
        """The metric of that name.

        Raises:
            KeyError: it was not measured.
        """
        return {metric.name: metric for metric in self.metrics}[name]


@dataclass(frozen=True, slots=True)
class ComparisonTable:
    """What was compared.

    ``queries`` counts the queries, or where actions are compared, the videos in every row. ``failed`` are the videos
    that could not be indexed in some way, with the reasons.
    """

    rows: tuple[ComparedRow, ...]
    queries: int
    skipped: tuple[SkippedRow, ...] = ()
    unmatched: tuple[SkippedRow, ...] = ()
    failed: tuple[SkippedRow, ...] = ()
    files: tuple[Path, ...] = ()

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The metrics of every row."""
        return tuple(metric.name for metric in self.rows[0].metrics)

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return {**asdict(self), "files": [str(path) for path in self.files]}


def compared(named: Sequence[tuple[str, QueryValues]], videos: Sequence[int] = ()) -> tuple[ComparedRow, ...]:
    """The rows of a table from the name and the values of each way; the first is what others are compared with.

    Only metrics that all have are compared, and of them only the queries that all have. ``videos`` has the number of
    videos in each way's index.

    Raises:
        ValueError: no metric has a query that all ways have.
    """
    shared = _shared([values for _, values in named])
    if not shared:
        raise ValueError("there is no metric with a query in common")
    aligned = [{name: {query: values[name][query] for query in shared[name]} for name in shared} for _, values in named]
    counts = list(videos) or [0] * len(named)
    return tuple(
        ComparedRow(name, summarise(values), _differences(aligned[0], values) if number else {}, counts[number])
        for number, ((name, _), values) in enumerate(zip(named, aligned, strict=True))
    )


def compare_setups(
    setups: Sequence[Setup],
    queries: Queries,
    variants: IndexVariants,
    *,
    out: Path,
    options: RetrievalOptions = DEFAULT_RETRIEVAL,
    progress: ReportProgress | None = None,
) -> ComparisonTable:
    """Search in every way, measure, compare with the first, and write ``comparison.csv``, ``.json`` and every run.

    Every way is measured by the same judgements, those of the existing index; a video that another index lacks counts
    as not found there. Stopped and started again, it continues where it was.

    Raises:
        UsageError: a setup makes no difference to searches, or the folder cannot be written.
        SceneseekError: as indexing and searching raise it.
    """
    check_setups(setups, OF_ACTIONS, _NOT_OF_SEARCHES)
    with variants.open(Setup()) as engine:
        topics = match_queries(queries, engine.catalogue())
    groups = variants.grouped(setups)
    files = write_topics(out, topics.videos, topics.moments)
    failed: list[SkippedRow] = []
    values: dict[str, QueryValues] = {}
    videos: dict[str, int] = {}
    checkpoints = {setup.name: out / "runs" / f"{setup.slug}.json" for setup in setups}
    for group in groups:
        failed += prepare_index(group[0], variants, progress)
        with variants.open(group[0]) as engine:  # opened once, so that its models load once
            for setup in group:
                chosen = replace(options, weights=setup.weights(options.weights), name=setup.slug)
                checkpoint, report = checkpoints[setup.name], _naming(setup, progress)
                runs = run_queries(engine, topics.texts, options=chosen, checkpoint=checkpoint, progress=report)
                files += write_runs(out / "runs", setup.slug, runs, with_moments=bool(topics.moments))
                videos[setup.name] = len(engine.catalogue().videos)
                values[setup.name] = measure_runs(runs, topics, videos[setup.name])
    rows = compared([(setup.name, values[setup.name]) for setup in setups], [videos[setup.name] for setup in setups])
    table = ComparisonTable(rows, len(topics.texts), queries.skipped, topics.unmatched, tuple(failed))
    written = write_table(out, table, files)
    for checkpoint in checkpoints.values():
        checkpoint.unlink(missing_ok=True)
    return written


def check_setups(setups: Sequence[Setup], idle: Sequence[str], hint: str) -> None:
    """Refuse setups that are not a comparison; the hint says where the ``idle`` axes make a difference.

    Raises:
        UsageError: an idle axis is varied, or there is only one way.
    """
    for axis in idle:
        if any(setup.value(axis) for setup in setups):
            raise UsageError(f"'{axis}' makes no difference here.", hint=hint)
    if len(setups) < 2:
        raise UsageError("There is only one way; nothing to compare.", hint="Give two values or more.")


def prepare_index(setup: Setup, variants: IndexVariants, progress: ReportProgress | None) -> list[SkippedRow]:
    """Make the index for a setup or bring it up to date; returns the videos that could not be indexed."""
    report = _naming(setup, progress)
    show = None if report is None else lambda step: report("indexing", step.bytes_done, step.bytes_total)
    made = variants.prepare(setup, show)
    failed = () if made is None else (*made.failed, *made.failed_before)
    return [SkippedRow(f"{setup.name}, {path}", reason) for path, reason in failed]


def write_table(out: Path, table: ComparisonTable, others: Sequence[Path] = ()) -> ComparisonTable:
    """Write ``comparison.csv`` and ``.json``; returns the table with its files, after the ``others``."""
    rows: list[tuple[object, ...]] = []
    for row in table.rows:
        for metric in row.metrics:
            found = row.differences.get(metric.name)
            more = (found.value, found.interval.low, found.interval.high, found.p) if found else ("", "", "", "")
            measured = (metric.name, metric.value, metric.interval.low, metric.interval.high, metric.queries)
            rows.append((row.name, *measured, *more, row.videos))
    as_csv = write_csv(out / "comparison.csv", _HEADING, rows)
    written = replace(table, files=(*others, as_csv, out / "comparison.json"))
    write_json(out / "comparison.json", written.as_json())
    return written


def _naming(setup: Setup, progress: ReportProgress | None) -> ReportProgress | None:
    """Progress with the setup's name after each step's."""
    return None if progress is None else lambda what, done, total: progress(f"{what}: {setup.name}", done, total)


def _shared(ways: Sequence[QueryValues]) -> dict[str, list[str]]:
    """The queries that all ways have, by metric, in the order of the first."""
    first, *others = ways
    shared = {
        name: [query for query in of_query if all(query in values.get(name, {}) for values in others)]
        for name, of_query in first.items()
    }
    return {name: queries for name, queries in shared.items() if queries}


def _differences(first: QueryValues, second: QueryValues) -> dict[str, Difference]:
    found: dict[str, Difference] = {}
    for (names, before, statistic), (_, after, _) in zip(as_tables(first), as_tables(second), strict=True):
        found.update(zip(names, paired_differences(before, after, statistic), strict=True))
    return {name: found[name] for name in first}
