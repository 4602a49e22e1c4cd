"""Which of several ways to search is better, and how sure that is: one table of metrics and differences.

Differences are to the first row, over the same queries, with a 95% interval and the p-value of a paired test (see
``search.evaluate.significance``). The p-values are those of single tests: of twenty rows without any difference, one
will have p < 0.05.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from indexer.core.errors import UsageError
from indexer.progress import IndexReport, Progress
from search.engine import SearchEngine
from search.evaluate.checkpoint import Searched, index_signature
from search.evaluate.files import write_csv, write_json
from search.evaluate.matching import Topics
from search.evaluate.metrics import QueryValues
from search.evaluate.progress import ReportProgress
from search.evaluate.qrels import Queries, SkippedRow
from search.evaluate.retrieval import MetricValue, alike, columns, matched, measure_runs, summed_up, write_topics
from search.evaluate.runs import DEFAULT_RUN, Level, Run, RunOptions, run_queries, write_run
from search.evaluate.setups import OF_ACTIONS, Setup
from search.evaluate.significance import Difference, paired_differences
from search.evaluate.variants import IndexVariants

__all__ = [
    "ComparedRow",
    "ComparisonTable",
    "by_place",
    "check_setups",
    "compare_setups",
    "compared",
    "failures",
    "indexing_progress",
    "write_table",
]

_NOT_OF_SEARCHES = "Leave out the captions to compare it on the labelled videos, as 'sceneseek evaluate actions' does."


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """One way to search: its metrics, and by metric the difference to the first row; none in the first row.

    ``videos`` is how many videos its index holds, 0 where that is unknown.
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
    """What was compared. ``failed`` are the videos that could not be indexed in some way, with the reasons.

    Where actions are compared, ``queries`` is how many videos are in every row.
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
        """All of it, as JSON has it."""
        return {
            "queries": self.queries,
            "rows": [{**asdict(row), "differences": _as_dicts(row.differences)} for row in self.rows],
            "skipped": [asdict(row) for row in self.skipped],
            "unmatched": [asdict(row) for row in self.unmatched],
            "failed": [asdict(row) for row in self.failed],
            "files": [str(path) for path in self.files],
        }


def compared(named: Sequence[tuple[str, QueryValues]], videos: Sequence[int] = ()) -> tuple[ComparedRow, ...]:
    """Rows of a table from every way's values per query; what is not of this module can be compared with it too.

    Args:
        named: A name and the values by metric and query, for each way; the first is what others are compared with.
            Only metrics that all have are compared, and of them only the queries that all have.
        videos: How many videos each way's index holds.

    Raises:
        ValueError: no metric has a query that all ways have.
    """
    shared = _shared(named)
    if not shared:
        raise ValueError("there is no metric with a query in common")
    aligned = [{name: {query: values[name][query] for query in shared[name]} for name in shared} for _, values in named]
    counts = list(videos) or [0] * len(named)
    return tuple(
        ComparedRow(name, summed_up(values), _differences(aligned[0], values) if number else {}, counts[number])
        for number, ((name, _), values) in enumerate(zip(named, aligned, strict=True))
    )


def compare_setups(
    setups: Sequence[Setup],
    queries: Queries,
    variants: IndexVariants,
    *,
    out: Path,
    options: RunOptions = DEFAULT_RUN,
    progress: ReportProgress | None = None,
) -> ComparisonTable:
    """Search in every way, measure, compare, and write ``comparison.csv`` and ``.json`` and every run to a folder.

    Every way is measured by the same judgements, those of the index there is; a video that another index lacks counts
    as not found there. Stopped and started again, it goes on where it was.

    Args:
        setups: The ways, the one to compare with first.
        queries: What to ask, and what is right.
        variants: The index there is, and where others are kept.
        out: Where the files go.
        options: How to search, but for what the setups say.
        progress: Told of indexing and searching.

    Raises:
        UsageError: a setup is none for searching, or the folder cannot be written.
        SceneseekError: as indexing and searching raise it.
    """
    check_setups(setups, OF_ACTIONS, _NOT_OF_SEARCHES)
    with variants.open(Setup()) as engine:
        topics = matched(queries, engine.catalogue())
    places = by_place(setups, variants)
    qrels = write_topics(out, topics)
    comparison = _Comparison(variants, topics, out, options, progress)
    for alike_indexed in places:
        comparison.run(alike_indexed)
    rows = compared(
        [(setup.name, comparison.values[setup.name]) for setup in setups],
        [comparison.videos[setup.name] for setup in setups],
    )
    table = ComparisonTable(rows, len(topics.texts), queries.skipped, topics.unmatched, tuple(comparison.failed))
    written = write_table(out, table, (*qrels, *comparison.files))
    comparison.forget()
    return written


class _Comparison:
    """Runs one setup after the other."""

    def __init__(
        self, variants: IndexVariants, topics: Topics, out: Path, options: RunOptions, progress: ReportProgress | None
    ) -> None:
        self.values: dict[str, QueryValues] = {}
        self.videos: dict[str, int] = {}
        self.failed: list[SkippedRow] = []
        self.files: list[Path] = []
        self._variants = variants
        self._topics = topics
        self._out = out
        self._options = options
        self._progress = progress
        self._searched: list[Searched] = []

    def run(self, setups: Sequence[Setup]) -> None:
        """Index if need be, search and measure, with one index opened once, so that its models load once."""
        self._prepare(setups[0])
        with self._variants.open(setups[0]) as engine:
            for setup in setups:
                self._search(setup, engine)

    def _search(self, setup: Setup, engine: SearchEngine) -> None:
        options = replace(self._options, weights=setup.weights(self._options.weights), name=setup.slug)
        catalogue = engine.catalogue()
        unfinished = self._out / "runs" / f"{setup.slug}.json"
        self._searched.append(Searched(unfinished, index_signature(catalogue, options)))
        runs = run_queries(
            engine, self._topics.texts, options=options, searched=self._searched[-1], progress=self._of(setup)
        )
        self.videos[setup.name] = len(catalogue.videos)
        self.values[setup.name] = measure_runs(runs, self._topics, len(catalogue.videos))
        self._write(setup, runs)

    def forget(self) -> None:
        """Delete what was kept for going on."""
        for searched in self._searched:
            searched.forget()

    def _prepare(self, setup: Setup) -> None:
        report = self._variants.prepare(setup, indexing_progress(setup, self._progress))
        self.failed += failures(setup, report)

    def _of(self, setup: Setup) -> ReportProgress | None:
        report = self._progress
        return None if report is None else lambda what, done, total: report(f"{what}: {setup.name}", done, total)

    def _write(self, setup: Setup, runs: Mapping[Level, Run]) -> None:
        folder = self._out / "runs"
        self.files.append(write_run(folder / f"{setup.slug}.trec", runs["videos"]))
        if len(self._topics.moments):
            self.files.append(write_run(folder / f"{setup.slug}-moments.trec", runs["moments"]))


def check_setups(setups: Sequence[Setup], idle: Sequence[str], hint: str) -> None:
    """Refuse what would be no comparison.

    Args:
        setups: The ways to compare.
        idle: The axes that make no difference here.
        hint: Where those do.

    Raises:
        UsageError: one of those is varied, or there is only one way.
    """
    for axis in idle:
        if any(setup.value(axis) for setup in setups):
            raise UsageError(f"'{axis}' makes no difference here.", hint=hint)
    if len(setups) < 2:
        raise UsageError("There is only one way; nothing to compare.", hint="Give two values or more.")


def by_place(setups: Sequence[Setup], variants: IndexVariants) -> Iterable[Sequence[Setup]]:
    """The setups in groups of the same index.

    Raises:
        StoreError: there is no index to start from.
        ConfigError: there is no such profile.
    """
    places: dict[Path | None, list[Setup]] = {}
    for setup in setups:
        places.setdefault(variants.place(setup), []).append(setup)
    return places.values()


def indexing_progress(setup: Setup, report: ReportProgress | None) -> Callable[[Progress], None] | None:
    """Tells of the indexing for a setup in the words of an evaluation."""
    if report is None:
        return None
    return lambda progress: report(f"indexing: {setup.name}", progress.bytes_done, progress.bytes_total)


def _shared(named: Sequence[tuple[str, QueryValues]]) -> dict[str, list[str]]:
    """The queries that all have, by metric, in the order of the first."""
    first, *others = [values for _, values in named]
    shared = {
        name: [query for query in of_query if all(query in values.get(name, {}) for values in others)]
        for name, of_query in first.items()
    }
    return {name: queries for name, queries in shared.items() if queries}


def _differences(first: QueryValues, second: QueryValues) -> dict[str, Difference]:
    found: dict[str, Difference] = {}
    for names, statistic in alike(first):
        pairs = paired_differences(columns(first, names), columns(second, names), statistic)
        found.update(zip(names, pairs, strict=True))
    return {name: found[name] for name in first}


def failures(setup: Setup, report: IndexReport | None) -> list[SkippedRow]:
    """The videos that could not be indexed for a setup; none where nothing had to be indexed."""
    failed = () if report is None else (*report.failed, *report.failed_before)
    return [SkippedRow(f"{setup.name}, {path}", reason) for path, reason in failed]


def _as_dicts(differences: Mapping[str, Difference]) -> dict[str, Any]:
    return {name: asdict(difference) for name, difference in differences.items()}


def write_table(out: Path, table: ComparisonTable, others: Sequence[Path] = ()) -> ComparisonTable:
    """Write ``comparison.csv`` and ``.json``; the table with its files, the ``others`` that were written first.

    Raises:
        UsageError: they cannot be written there.
    """
    heading = ("setup", "metric", "value", "low", "high", "queries", "difference", "from", "to", "p", "videos")
    rows = write_csv(out / "comparison.csv", heading, _csv_rows(table))
    written = replace(table, files=(*others, rows, out / "comparison.json"))
    write_json(out / "comparison.json", written.as_json())
    return written


def _csv_rows(table: ComparisonTable) -> Iterator[tuple[object, ...]]:
    for row in table.rows:
        for metric in row.metrics:
            found = row.differences.get(metric.name)
            more = (found.value, found.interval.low, found.interval.high, found.p) if found else ("", "", "", "")
            measured = (metric.name, metric.value, metric.interval.low, metric.interval.high, metric.queries)
            yield (row.name, *measured, *more, row.videos)
