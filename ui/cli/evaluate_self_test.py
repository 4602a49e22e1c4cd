"""``sceneseek evaluate self-test``: what one's own library can expect of the search, without any labels."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from search.evaluate.expectation import FEW_QUERIES, FEW_VIDEOS
from search.modalities import plain_name
from ui.cli.console import answer_console, plain, print_json, work_bar
from ui.cli.evaluate_retrieval import borderless_table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from search.evaluate.retrieval import MetricValue
    from search.evaluate.self_test import SelfTestReport, SelfTestRow
    from ui.services.context import Context

_DEPTH = 100


def self_test(
    context: Context, out: Path, *, queries: int = 200, seed: int = 0, as_json: bool = False, quiet: bool = False
) -> int:
    """Test, print what can be expected and the figures behind it, write the files; the exit code is 0.

    Raises:
        QueryError: the index holds too few texts to say anything, or nothing besides them to search in.
        UsageError: the folder cannot be written.
        StoreError: there is no index, or it cannot be read.
        ModelError: a model cannot encode a query.
    """
    from search.evaluate.self_test import SelfTestOptions, run_self_test

    options = SelfTestOptions(queries, seed, context.run_options(_DEPTH))
    with (
        context.open_engine() as engine,
        closing(context.open_store()) as store,
        work_bar(silent=quiet) as progress,
    ):
        report = run_self_test(engine, store, out=out, options=options, progress=progress)
    if as_json:
        print_json(report.as_json())
    else:
        print_self_test(answer_console(), report)
        answer_console().print(f"Files: {plain(out)} (queries.csv has every query)", soft_wrap=True)
    return 0


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
    console.print()
    console.print(_table("video", report, by_moment=False))
    if any(row.without_source.by_moment for row in report.rows):
        console.print()
        console.print(_table("moment", report, by_moment=True))
    _print_cautions(console, report)


def _table(found: str, report: SelfTestReport, *, by_moment: bool) -> Table:
    from search.evaluate.self_test_searches import SELF_TEST_METRICS

    table = borderless_table(f"Right {found}, without", *SELF_TEST_METRICS)
    for row in report.rows:
        pair = (row.without_source, row.with_source)
        without, everything = (each.by_moment if by_moment else each.by_video for each in pair)
        chance = row.chance.by_moment if by_moment else row.chance.by_video
        if without:
            table.add_row(f"{_name(row)} ({without[0].queries})", *map(_cell, without))
            table.add_row("  with it", *map(_cell, everything), style="dim")
        if without and chance:
            table.add_row("  by chance", *map(_without_interval, chance.values()), style="dim")
    return table


def _name(row: SelfTestRow) -> str:
    return plain_name(row.sources[0]) if len(row.sources) == 1 else "its own kind"


def _cell(metric: MetricValue) -> str:
    """Narrow, so that four of them fit side by side in 80 columns."""
    if metric.queries < FEW_QUERIES:
        return _without_interval(metric.value)
    low, high = (
        f"{end:.2f}".removeprefix("0") if end < 0.995 else "1.0" for end in (metric.interval.low, metric.interval.high)
    )
    return f"{metric.value:.2f} {low}–{high}"


def _without_interval(value: float) -> str:
    """In line with the figures above, which are followed by an interval."""
    return f"{value:.2f}{' ' * len(' .00–.00')}"


def _print_cautions(console: Console, report: SelfTestReport) -> None:
    console.print()
    if report.videos_asked < FEW_VIDEOS:
        videos = "one video" if report.videos_asked == 1 else f"{report.videos_asked} videos"
        unknown = " What chance would find cannot be told from one video." if report.videos_asked == 1 else ""
        console.print(
            f"[yellow]All of them come from {videos}[/]; queries of one video are alike, so the truth may lie outside "
            f"the intervals.{unknown}"
        )
    few = [row for row in report.rows if row.queries < FEW_QUERIES]
    if few:
        names = ", ".join(plain_name(row.sources[0]) for row in few)
        console.print(f"[yellow]Too few queries to say anything[/] of these by themselves: {names}.")
    for one in report.left_out:
        console.print(f"[yellow]Not tested:[/] {plain_name(one.source)}, since {one.reason}.")
