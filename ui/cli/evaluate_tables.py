"""The figures of evaluations in a terminal: what was measured, what differs, and what a self-test found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from indexer.core.errors import UsageError
from search.evaluate.actions import ActionEvaluation
from search.evaluate.compare import ACTION_METRICS, ComparedRow, ComparisonTable
from search.evaluate.metrics import RANK_METRICS
from search.evaluate.qrels import SkippedRow
from search.evaluate.report import counted, figure_rows, left_out_lines
from search.evaluate.retrieval import MetricValue, RetrievalReport
from search.evaluate.self_test import FEW_QUERIES, FEW_VIDEOS, SELF_TEST_METRICS, SelfTestReport
from search.evaluate.significance import Interval
from search.modalities import plain_name
from ui.cli.console import plain

_MOST_ROWS = 10
_USUAL_METRICS = ("R@1", "MRR", "R@1 IoU=0.5")


def chosen_metrics(asked: Sequence[str] | None, known: Sequence[str]) -> list[str]:
    """The metrics asked for, in any case; else the usual ones of searches, or all of actions.

    Raises:
        UsageError: there is no such metric.
    """
    by_name = {name.casefold(): name for name in known}
    for name in asked or ():
        if name.casefold() not in by_name:
            raise UsageError(f"'{name}' was not measured.", hint=f"There are: {', '.join(known)}.")
    usual = known if set(known) <= set(ACTION_METRICS) else [name for name in _USUAL_METRICS if name in known]
    return [by_name[name.casefold()] for name in asked or usual]


def print_actions(console: Console, left_out: Console, evaluation: ActionEvaluation) -> None:
    """Every figure by video, by frame and by chance; and to the second console, what was left out."""
    videos, frames = counted(evaluation.by_video.count, "video"), counted(evaluation.by_frame.count, "frame")
    table = _table("", videos, frames, "By chance")
    for row in figure_rows(evaluation):
        estimates = (f"{text} ({interval})" if interval else text for text, interval in (row.by_video, row.by_frame))
        table.add_row(row.name, *estimates, row.chance)
    console.print(table)
    console.print(f"[dim]{len(evaluation.classes.names)} classes; in brackets, 95% intervals.[/]")
    for heading, names in left_out_lines(evaluation):
        lines = [f"[yellow]Not evaluated:[/] {heading}:", *(f"  {plain(name)}" for name in names)]
        left_out.print("\n".join(lines), soft_wrap=True)


def print_retrieval(console: Console, report: RetrievalReport) -> None:
    """Every metric, and what was left out or not found."""
    console.print(
        f"[bold]{len(report.texts)} queries, {report.videos} videos.[/] Each figure with its 95% interval; "
        "equal scores count at their mean rank."
    )
    console.print(metric_table(report.metrics))
    _print_left_out(console, report)
    if report.not_found:
        console.print(f"[yellow]{len(report.not_found)} queries[/] did not find their video at all.")


def metric_table(metrics: Sequence[MetricValue]) -> Table:
    """A row for each metric."""
    table = _table("Metric", "Value", "95% interval", "Queries")
    for metric in metrics:
        table.add_row(metric.name, *_value_cells(metric), str(metric.queries))
    return table


def print_comparison(console: Console, table: ComparisonTable, names: Sequence[str]) -> None:
    """The differences by these metrics, and what was left out."""
    print_differences(console, table.rows, names)
    _print_left_out(console, table)
    _print_rows(console, "[red]Not indexed[/]", table.failed)


def print_differences(console: Console, rows: Sequence[ComparedRow], names: Sequence[str]) -> None:
    """One table per metric: the value, the difference to the first row, its interval, and p."""
    for name in names:
        less = ", less is better" if name in RANK_METRICS else ""
        table = _table("Setup", "Value", "95% interval", "Difference", "95% interval", "p", title=f"{name}{less}")
        for row in rows:
            table.add_row(plain(row.name), *_value_cells(row.metric(name)), *_difference_cells(row, name))
        console.print(table)
        console.print()
    if len({row.videos for row in rows}) > 1:
        console.print("[yellow]The indexes do not hold the same number of videos[/]; comparison.csv has the numbers.")


def print_self_test(console: Console, report: SelfTestReport) -> None:
    """The sentence that says what to expect, and the tables it comes from."""
    by_chance = "By chance: what searches for something in other videos find of it. "
    console.print(f"[bold]{plain(report.expectation)}[/]\n")
    console.print(
        f"{len(report.drawn)} queries from {report.videos_asked} of {report.videos} videos. Each is a few words of a "
        "text that the index holds, searched for without texts of that kind, and with them. "
        f"{by_chance if report.videos_asked > 1 else ''}Each figure with its 95% interval; in brackets, how many "
        "queries."
    )
    of_videos, of_moments = (_table(f"Right {found}, without", *SELF_TEST_METRICS) for found in ("video", "moment"))
    for row in report.rows:
        name = plain_name(row.sources[0]) if len(row.sources) == 1 else "its own kind"
        without, upper = row.without_source, row.with_source
        _add_rows(of_videos, name, without.by_video, upper.by_video, row.chance.by_video)
        _add_rows(of_moments, name, without.by_moment, upper.by_moment, row.chance.by_moment)
    for table in (of_videos, of_moments):
        if table.row_count:
            console.print()
            console.print(table)
    console.print()
    if report.videos_asked < FEW_VIDEOS:
        videos = "one video" if report.videos_asked == 1 else f"{report.videos_asked} videos"
        unknown = " What chance would find cannot be told from one video." if report.videos_asked == 1 else ""
        console.print(
            f"[yellow]All of them come from {videos}[/]; queries of one video are alike, so the truth may lie outside "
            f"the intervals.{unknown}"
        )
    few = [plain_name(row.sources[0]) for row in report.rows if row.queries < FEW_QUERIES]
    if few:
        console.print(f"[yellow]Too few queries to say anything[/] of these by themselves: {', '.join(few)}.")
    for source, reason in report.left_out.items():
        console.print(f"[yellow]Not tested:[/] {plain_name(source)}, since {reason}.")


def _table(first: str, *headings: str, title: str | None = None) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", title=title, title_justify="left")
    table.add_column(first, overflow="fold")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _value_cells(metric: MetricValue) -> tuple[str, str]:
    spec = _spec(metric.name)
    return f"{metric.value:{spec}}", _between(metric.interval, spec)


def _difference_cells(row: ComparedRow, name: str) -> tuple[str, ...]:
    difference, spec = row.differences.get(name), f"+{_spec(name)}"
    if difference is None:
        return ()
    value = f"{difference.value:{spec}}"
    return (
        f"[bold]{value}[/]" if difference.p < 0.05 else value,
        _between(difference.interval, spec),
        f"{difference.p:.3f}" if difference.p >= 0.001 else "<0.001",
    )


def _between(interval: Interval, spec: str) -> str:
    return f"{interval.low:{spec}} – {interval.high:{spec}}"


def _spec(name: str) -> str:
    return ".1f" if name in RANK_METRICS else ".3f"


def _print_left_out(console: Console, found: RetrievalReport | ComparisonTable) -> None:
    _print_rows(console, "[yellow]Rows that were left out[/]", found.skipped)
    _print_rows(console, "[yellow]Videos that were not matched[/]", found.unmatched)


def _print_rows(console: Console, heading: str, rows: Sequence[SkippedRow]) -> None:
    if rows:
        console.print(f"{heading} ({len(rows)}):")
    for row in rows[:_MOST_ROWS]:
        console.print(f"  {plain(row)}", soft_wrap=True)
    if len(rows) > _MOST_ROWS:
        console.print(f"  ... and {len(rows) - _MOST_ROWS} more; --json lists all.")


def _add_rows(
    table: Table, name: str, without: Sequence[MetricValue], upper: Sequence[MetricValue], chance: Mapping[str, float]
) -> None:
    if not without:
        return
    table.add_row(f"{name} ({without[0].queries})", *map(_narrow_cell, without))
    table.add_row("  with it", *map(_narrow_cell, upper), style="dim")
    if chance:
        table.add_row("  by chance", *map(_without_interval, chance.values()), style="dim")


def _narrow_cell(metric: MetricValue) -> str:
    """So narrow that four of them fit side by side in 80 columns."""
    if metric.queries < FEW_QUERIES:
        return _without_interval(metric.value)
    ends = (metric.interval.low, metric.interval.high)
    low, high = (f"{end:.2f}".removeprefix("0") if end < 0.995 else "1.0" for end in ends)
    return f"{metric.value:.2f} {low}–{high}"


def _without_interval(value: float) -> str:
    """In line with the figures above, which are followed by an interval."""
    return f"{value:.2f}{' ' * len(' .00–.00')}"
