"""``sceneseek index``: shows progress while it runs, and a report when it is done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ui.cli.console import answer_console, plain, print_json, side_console
from ui.services.indexing import counts_in_words, run_options, speed_in_words, start_notes, videos_in_words

if TYPE_CHECKING:
    from rich.console import Console

    from indexer.progress import IndexReport, Progress, ProgressReport
    from indexer.run import RunOptions, RunStart
    from ui.services.context import Context

__all__ = ["index_videos"]

SOME_FAILED = 3
_SHOWN = 20


def index_videos(
    context: Context,
    paths: Sequence[Path],
    options: RunOptions | None = None,
    *,
    as_json: bool = False,
    quiet: bool = False,
) -> int:
    """Index, and print the report; the exit code is 0 if every video is indexed, and 3 if some failed.

    Raises:
        SceneseekError: the run could not be made at all.
    """
    from indexer.run import run_indexing

    console = side_console()
    with _progress_bar(console, silent=quiet or not console.is_terminal) as report_progress:
        report = run_indexing(
            paths,
            context.loaded,
            options=options or run_options(),
            on_start=lambda start: _print_notes(console, start),
            on_progress=report_progress,
        )
    if as_json:
        print_json(asdict(report))
    else:
        _print_report(answer_console(), report, context)
    return SOME_FAILED if report.failed or report.failed_before or report.unreadable else 0


@contextmanager
def _progress_bar(console: Console, *, silent: bool) -> Iterator[ProgressReport | None]:
    """A bar by bytes read, with the speed in seconds of video per second and the time left."""
    if silent:
        yield None
        return
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.fields[videos]}"),
        BarColumn(bar_width=None),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[speed]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[current]}"),
    )
    with Bar(*columns, console=console, transient=True, expand=True) as bar:
        task = bar.add_task("indexing", total=None, videos="", speed="", current="getting ready")

        def show(progress: Progress) -> None:
            elapsed = bar.tasks[0].elapsed or 0.0
            speed = progress.media_s / elapsed if elapsed > 1 and progress.media_s else None
            bar.update(
                task,
                total=progress.bytes_total or 1,
                completed=progress.bytes_done if progress.bytes_total else 1,
                videos=videos_in_words(progress.videos_done, progress.videos_total),
                speed=speed_in_words(speed),
                current=_current(progress),
            )

        yield show


def _current(progress: Progress) -> str:
    if progress.current is not None:
        return plain(progress.current.name[:24])
    return "loading models" if progress.videos_done == 0 else ""


def _print_notes(console: Console, start: RunStart) -> None:
    for note in start_notes(start):
        console.print(f"[yellow]Note:[/] {plain(note)}", soft_wrap=True)


def _print_report(console: Console, report: IndexReport, context: Context) -> None:
    from search.modalities import heading

    console.print(
        f"[bold]{counts_in_words(report) or 'Nothing to do'}[/]: {report.frames} frames and {report.segments} texts "
        f"from {report.media_s / 60:.1f} minutes of video."
    )
    for modality, videos in report.dropped.items():
        console.print(f"Dropped: {heading(modality).lower()} of {videos} videos.")
    _print_list(console, "[red]Failed[/]", report.failed)
    _print_list(
        console, "[red]Failed before, and unchanged since[/] (--retry-failed tries again)", report.failed_before
    )
    _print_list(console, "[yellow]Indexed, but[/]", report.warnings)
    if report.indexed or report.updated:
        is_flag = context.loaded.origins["index.path"] == "flag"
        flag = f" --index {plain(context.index_folder)}" if is_flag else ""
        console.print(f'Next: [bold]sceneseek search{flag} "what you remember"[/]', soft_wrap=True)


def _print_list(console: Console, heading: str, rows: list[tuple[Path, str]]) -> None:
    if not rows:
        return
    console.print(f"{heading}:")
    for path, reason in rows[:_SHOWN]:
        console.print(f"  {plain(path)}\n    {plain(reason.removeprefix(f'{path} '))}", soft_wrap=True)
    if len(rows) > _SHOWN:
        console.print(f"  ... and {len(rows) - _SHOWN} more; 'sceneseek status' lists all.")
