"""``sceneseek evaluate retrieval`` and ``compare``: how well the search finds what is known to be there."""

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
    from search.evaluate.qrels import SkippedRow
    from search.evaluate.retrieval import MetricValue, RetrievalReport
    from search.evaluate.significance import Difference
    from ui.services.context import Context

__all__ = [
    "CompareRequest",
    "RetrievalRequest",
    "RunFilesRequest",
    "compare_run_files",
    "compare_runs",
    "evaluate_retrieval",
]

SOME_SKIPPED = 3
_SHOWN = 10
_COMPARED = ("R@1", "MRR", "R@1 IoU=0.5")


@dataclass(frozen=True, slots=True)
class RetrievalRequest:
    """What was typed after ``sceneseek evaluate retrieval``."""

    queries: Path
    out: Path
    depth: int = 100
    as_json: bool = False
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class CompareRequest:
    """What was typed after ``sceneseek evaluate compare``; no metrics stand for the usual ones.

    ``queries`` are captions; with none, the labelled videos are compared, by ``classes`` as in ``evaluate actions``.
    """

    queries: Path | None
    axes: tuple[str, ...]
    out: Path
    metrics: tuple[str, ...] = ()
    depth: int = 100
    as_json: bool = False
    quiet: bool = False
    classes: str = ""


@dataclass(frozen=True, slots=True)
class RunFilesRequest:
    """Runs in TREC's form to measure by judgements in TREC's form; the first run is what others are compared with."""

    qrels: Path
    runs: tuple[Path, ...]
    metrics: tuple[str, ...] = ()
    as_json: bool = False


def evaluate_retrieval(context: Context, request: RetrievalRequest) -> int:
    """Measure the search, print a table, write the files; the exit code: 0, or 3 if rows of the file were left out.

    Raises:
        SceneseekError: nothing could be measured.
    """
    from search.evaluate import retrieval
    from search.evaluate.captions import read_queries

    queries = read_queries(request.queries)
    with context.open_engine() as engine, work_bar(silent=request.quiet) as progress:
        report = retrieval.evaluate_retrieval(
            engine, queries, out=request.out, options=context.run_options(request.depth), progress=progress
        )
    if request.as_json:
        print_json(report.as_json())
    else:
        _print_report(answer_console(), report, request.out)
    return SOME_SKIPPED if report.skipped or report.unmatched else 0


def compare_runs(context: Context, request: CompareRequest) -> int:
    """Search or rank in every way, print one table of differences; the exit code: 0, or 3 if something was left out.

    Raises:
        SceneseekError: nothing could be compared.
    """
    table = (
        _compared_searches(context, request, request.queries)
        if request.queries
        else _compared_actions(context, request)
    )
    names = _chosen(request.metrics, table.metric_names, _COMPARED if request.queries else table.metric_names)
    if request.as_json:
        print_json(table.as_json())
    else:
        console = answer_console()
        _print_compared(console, table.rows, names)
        _print_left_out(console, table.skipped, table.unmatched)
        _print_rows(console, "[red]Not indexed[/]", table.failed)
        asked = f"{table.queries} queries" if request.queries else f"{table.queries} labelled videos"
        console.print(f"{asked}. All figures: {plain(request.out)}", soft_wrap=True)
    return SOME_SKIPPED if table.skipped or table.unmatched or table.failed else 0


def _compared_searches(context: Context, request: CompareRequest, captions: Path) -> ComparisonTable:
    from search.evaluate.captions import read_queries
    from search.evaluate.compare import compare_setups
    from search.evaluate.metrics import MOMENT_METRICS, VIDEO_METRICS
    from search.evaluate.setups import parse_axes, setups_of
    from search.evaluate.variants import IndexVariants

    if request.classes:
        raise UsageError("Classes make no difference to a search.", hint="Leave out --classes, or the captions.")
    _chosen(request.metrics, [*VIDEO_METRICS, *MOMENT_METRICS])
    setups, queries = setups_of(parse_axes(request.axes)), read_queries(captions)
    variants = IndexVariants(context.loaded, request.out / "indexes")
    options = context.run_options(request.depth)
    with work_bar(silent=request.quiet) as progress:
        return compare_setups(setups, queries, variants, out=request.out, options=options, progress=progress)


def _compared_actions(context: Context, request: CompareRequest) -> ComparisonTable:
    from search.evaluate.compare_actions import ACTION_METRICS, action_setups, compare_actions
    from search.evaluate.prompts import read_classes
    from search.evaluate.setups import parse_axes, setups_of
    from search.evaluate.variants import IndexVariants

    _chosen(request.metrics, ACTION_METRICS)
    setups = action_setups(setups_of(parse_axes(request.axes)))
    classes = read_classes(request.classes) if request.classes else None
    variants = IndexVariants(context.loaded, request.out / "indexes")
    with work_bar(silent=request.quiet) as progress:
        return compare_actions(setups, variants, out=request.out, classes=classes, progress=progress)


def compare_run_files(request: RunFilesRequest) -> int:
    """Measure runs from files, and print what they differ in; the exit code is 0.

    Raises:
        QueryError: a file cannot be read, or nothing in it can be measured.
    """
    from search.evaluate.compare import compared
    from search.evaluate.qrels import read_qrels
    from search.evaluate.retrieval import measure_run
    from search.evaluate.runs import read_run

    qrels = read_qrels(request.qrels)
    if not request.runs:
        raise UsageError("No run is named.", hint="Give the files of one run or several, in TREC's form.")
    runs = [(str(path), read_run(path)) for path in request.runs]
    documents = qrels.documents.union(*(run.documents for _, run in runs))
    rows = compared([(name, measure_run(run, qrels, corpus_size=len(documents))) for name, run in runs])
    names = _chosen(request.metrics, [metric.name for metric in rows[0].metrics])
    if request.as_json:
        print_json([asdict(row) for row in rows])
    elif len(rows) == 1:
        answer_console().print(_metric_table(rows[0].metrics))
    else:
        _print_compared(answer_console(), rows, names)
    return 0


def _chosen(asked: Sequence[str], known: Sequence[str], usual: Sequence[str] = _COMPARED) -> list[str]:
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
    _print_left_out(console, report.skipped, report.unmatched)
    if report.not_found:
        console.print(f"[yellow]{len(report.not_found)} queries[/] did not find their video at all.")
    console.print(f"Files: {plain(out)} (queries.csv has every query)", soft_wrap=True)


def _metric_table(metrics: Sequence[MetricValue]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Metric")
    for heading in ("Value", "95% interval", "Queries"):
        table.add_column(heading, justify="right")
    for metric in metrics:
        low, high = (_figure(metric.name, value) for value in (metric.interval.low, metric.interval.high))
        table.add_row(metric.name, _figure(metric.name, metric.value), f"{low} – {high}", str(metric.queries))
    return table


def _print_compared(console: Console, rows: Sequence[ComparedRow], names: Sequence[str]) -> None:
    """One table per metric: the value, the difference to the first row, its interval, and p."""
    from rich.table import Table

    for name in names:
        less = ", less is better" if name in RANK_METRICS else ""
        table = Table(box=None, pad_edge=False, header_style="bold", title=f"{name}{less}", title_justify="left")
        table.add_column("Setup", overflow="fold")
        for heading in ("Value", "95% interval", "Difference", "95% interval", "p"):
            table.add_column(heading, justify="right", no_wrap=True)
        for row in rows:
            table.add_row(plain(row.name), *_compared_cells(row, name))
        console.print(table)
        console.print()
    if len({row.videos for row in rows}) > 1:
        console.print("[yellow]The indexes do not hold the same number of videos[/]; comparison.csv has the numbers.")


def _compared_cells(row: ComparedRow, name: str) -> tuple[str, ...]:
    metric, difference = row.metric(name), row.differences.get(name)
    interval = f"{_figure(name, metric.interval.low)} – {_figure(name, metric.interval.high)}"
    return (_figure(name, metric.value), interval, *(_difference_cells(name, difference) if difference else ()))


def _difference_cells(name: str, difference: Difference) -> tuple[str, str, str]:
    low, high = difference.interval.low, difference.interval.high
    style = "bold" if difference.p < 0.05 else ""
    value = _signed(name, difference.value)
    return (
        f"[{style}]{value}[/]" if style else value,
        f"{_signed(name, low)} – {_signed(name, high)}",
        f"{difference.p:.3f}" if difference.p >= 0.001 else "<0.001",
    )


def _print_left_out(console: Console, skipped: Sequence[SkippedRow], unmatched: Sequence[SkippedRow]) -> None:
    _print_rows(console, "[yellow]Rows that were left out[/]", skipped)
    _print_rows(console, "[yellow]Videos that were not matched[/]", unmatched)


def _print_rows(console: Console, heading: str, rows: Sequence[SkippedRow]) -> None:
    if not rows:
        return
    console.print(f"{heading} ({len(rows)}):")
    for row in rows[:_SHOWN]:
        console.print(f"  {plain(row)}", soft_wrap=True)
    if len(rows) > _SHOWN:
        console.print(f"  ... and {len(rows) - _SHOWN} more; --json lists all.")


def _figure(name: str, value: float) -> str:
    return f"{value:.1f}" if name in RANK_METRICS else f"{value:.3f}"


def _signed(name: str, value: float) -> str:
    return f"{value:+.1f}" if name in RANK_METRICS else f"{value:+.3f}"
