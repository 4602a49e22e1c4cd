"""``sceneseek evaluate retrieval``, ``compare`` and ``runs``: how well the search finds what is known to be there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.core.errors import UsageError
from search.evaluate.metrics import RANK_METRICS
from ui.cli.console import answer_console, plain, print_json, work_bar

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from search.evaluate.compare import ComparedRow, ComparisonTable
    from search.evaluate.progress import ReportProgress
    from search.evaluate.qrels import SkippedRow
    from search.evaluate.retrieval import MetricValue, RetrievalReport
    from ui.services.context import Context

SOME_SKIPPED = 3
_SHOWN = 10
_USUAL_METRICS = ("R@1", "MRR", "R@1 IoU=0.5")


@dataclass(frozen=True, slots=True)
class Comparison:
    """What ``evaluate compare`` was asked for; no metrics stand for the usual ones.

    Without ``captions`` the labelled videos are compared, by ``classes`` as in ``evaluate actions``.
    """

    captions: Path | None
    axes: tuple[str, ...]
    out: Path
    metrics: tuple[str, ...] = ()
    depth: int = 100
    classes: str = ""


def evaluate_retrieval(
    context: Context, queries: Path, out: Path, *, depth: int = 100, as_json: bool = False, quiet: bool = False
) -> int:
    """Measure the search, print a table, write the files; the exit code: 0, or 3 if rows of the file were left out.

    Raises:
        SceneseekError: nothing could be measured.
    """
    from search.evaluate import retrieval
    from search.evaluate.captions import read_queries

    options = context.run_options(depth)
    read = read_queries(queries)
    with context.open_engine() as engine, work_bar(silent=quiet) as progress:
        report = retrieval.evaluate_retrieval(engine, read, out=out, options=options, progress=progress)
    if as_json:
        print_json(report.as_json())
    else:
        _print_report(answer_console(), report, out)
    return SOME_SKIPPED if report.skipped or report.unmatched else 0


def compare(context: Context, comparison: Comparison, *, as_json: bool = False, quiet: bool = False) -> int:
    """Search or rank in every way, print one table of differences; the exit code: 0, or 3 if something was left out.

    Raises:
        SceneseekError: nothing could be compared.
    """
    measure = _compared_searches if comparison.captions else _compared_actions
    with work_bar(silent=quiet) as progress:
        table = measure(context, comparison, progress)
    usual = _USUAL_METRICS if comparison.captions else table.metric_names
    names = _chosen(comparison.metrics, table.metric_names, usual)
    if as_json:
        print_json(table.as_json())
    else:
        console = answer_console()
        _print_compared(console, table.rows, names)
        _print_left_out(console, table)
        _print_rows(console, "[red]Not indexed[/]", table.failed)
        kind = "queries" if comparison.captions else "labelled videos"
        console.print(f"{table.queries} {kind}. All figures: {plain(comparison.out)}", soft_wrap=True)
    return SOME_SKIPPED if table.skipped or table.unmatched or table.failed else 0


def _compared_searches(context: Context, comparison: Comparison, progress: ReportProgress | None) -> ComparisonTable:
    from search.evaluate.captions import read_queries
    from search.evaluate.compare import compare_setups
    from search.evaluate.metrics import MOMENT_METRICS, VIDEO_METRICS
    from search.evaluate.setups import parse_setups
    from search.evaluate.variants import IndexVariants

    if comparison.classes:
        raise UsageError("Classes make no difference to a search.", hint="Leave out --classes, or the captions.")
    _chosen(comparison.metrics, [*VIDEO_METRICS, *MOMENT_METRICS])
    setups, queries = parse_setups(comparison.axes), read_queries(Path(comparison.captions or ""))
    variants = IndexVariants(context.loaded, comparison.out / "indexes")
    options = context.run_options(comparison.depth)
    return compare_setups(setups, queries, variants, out=comparison.out, options=options, progress=progress)


def _compared_actions(context: Context, comparison: Comparison, progress: ReportProgress | None) -> ComparisonTable:
    from search.evaluate.compare_actions import ACTION_METRICS, action_setups, compare_actions
    from search.evaluate.prompts import read_classes
    from search.evaluate.setups import parse_setups
    from search.evaluate.variants import IndexVariants

    _chosen(comparison.metrics, ACTION_METRICS)
    setups = action_setups(parse_setups(comparison.axes))
    classes = read_classes(comparison.classes) if comparison.classes else None
    variants = IndexVariants(context.loaded, comparison.out / "indexes")
    return compare_actions(setups, variants, out=comparison.out, classes=classes, progress=progress)


def compare_run_files(qrels: Path, runs: Sequence[Path], *, metrics: Sequence[str] = (), as_json: bool = False) -> int:
    """Measure runs from files in TREC's form, each against the first, and print the figures; the exit code is 0.

    Raises:
        QueryError: a file cannot be read, or nothing in it can be measured.
    """
    from search.evaluate.compare import compared
    from search.evaluate.qrels import read_qrels
    from search.evaluate.retrieval import measure_run
    from search.evaluate.runs import read_run

    judged = read_qrels(qrels)
    if not runs:
        raise UsageError("No run is named.", hint="Give the files of one run or several, in TREC's form.")
    read = [(str(path), read_run(path)) for path in runs]
    documents = {document for of_query in judged.values() for document in of_query}
    documents = documents.union(*(run.documents for _, run in read))
    rows = compared([(name, measure_run(run, judged, corpus_size=len(documents))) for name, run in read])
    names = _chosen(metrics, [metric.name for metric in rows[0].metrics])
    if as_json:
        print_json([asdict(row) for row in rows])
    elif len(rows) == 1:
        answer_console().print(_metric_table(rows[0].metrics))
    else:
        _print_compared(answer_console(), rows, names)
    return 0


def borderless_table(first: str, *headings: str, title: str | None = None) -> Table:
    """A table without lines: names in the first column, figures in the others."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", title=title, title_justify="left")
    table.add_column(first, overflow="fold")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _chosen(asked: Sequence[str], known: Sequence[str], usual: Sequence[str] = _USUAL_METRICS) -> list[str]:
    """The metrics to show, as asked for in any case, or the usual ones of those there are.

    Raises:
        UsageError: there is no such metric.
    """
    by_name = {name.casefold(): name for name in known}
    for name in asked:
        if name.casefold() not in by_name:
            raise UsageError(f"'{name}' was not measured.", hint=f"There are: {', '.join(known)}.")
    return [by_name[name.casefold()] for name in asked] or [name for name in usual if name in known]


def _print_report(console: Console, report: RetrievalReport, out: Path) -> None:
    console.print(
        f"[bold]{len(report.texts)} queries, {report.videos} videos.[/] Each figure with its 95% interval; "
        "equal scores count at their mean rank."
    )
    console.print(_metric_table(report.metrics))
    _print_left_out(console, report)
    if report.not_found:
        console.print(f"[yellow]{len(report.not_found)} queries[/] did not find their video at all.")
    console.print(f"Files: {plain(out)} (queries.csv has every query)", soft_wrap=True)


def _metric_table(metrics: Sequence[MetricValue]) -> Table:
    table = borderless_table("Metric", "Value", "95% interval", "Queries")
    for metric in metrics:
        table.add_row(metric.name, *_value_cells(metric), str(metric.queries))
    return table


def _print_compared(console: Console, rows: Sequence[ComparedRow], names: Sequence[str]) -> None:
    """One table per metric: the value, the difference to the first row, its interval, and p."""
    headings = ("Value", "95% interval", "Difference", "95% interval", "p")
    for name in names:
        less = ", less is better" if name in RANK_METRICS else ""
        table = borderless_table("Setup", *headings, title=f"{name}{less}")
        for row in rows:
            table.add_row(plain(row.name), *_value_cells(row.metric(name)), *_difference_cells(row, name))
        console.print(table)
        console.print()
    if len({row.videos for row in rows}) > 1:
        console.print("[yellow]The indexes do not hold the same number of videos[/]; comparison.csv has the numbers.")


def _value_cells(metric: MetricValue) -> tuple[str, str]:
    digits = _digits(metric.name)
    low, high = metric.interval.low, metric.interval.high
    return f"{metric.value:.{digits}f}", f"{low:.{digits}f} – {high:.{digits}f}"


def _difference_cells(row: ComparedRow, name: str) -> tuple[str, ...]:
    difference, digits = row.differences.get(name), _digits(name)
    if difference is None:
        return ()
    low, high = difference.interval.low, difference.interval.high
    value = f"{difference.value:+.{digits}f}"
    return (
        f"[bold]{value}[/]" if difference.p < 0.05 else value,
        f"{low:+.{digits}f} – {high:+.{digits}f}",
        f"{difference.p:.3f}" if difference.p >= 0.001 else "<0.001",
    )


def _digits(name: str) -> int:
    return 1 if name in RANK_METRICS else 3


def _print_left_out(console: Console, found: RetrievalReport | ComparisonTable) -> None:
    _print_rows(console, "[yellow]Rows that were left out[/]", found.skipped)
    _print_rows(console, "[yellow]Videos that were not matched[/]", found.unmatched)


def _print_rows(console: Console, heading: str, rows: Sequence[SkippedRow]) -> None:
    if not rows:
        return
    console.print(f"{heading} ({len(rows)}):")
    for row in rows[:_SHOWN]:
        console.print(f"  {plain(row)}", soft_wrap=True)
    if len(rows) > _SHOWN:
        console.print(f"  ... and {len(rows) - _SHOWN} more; --json lists all.")
