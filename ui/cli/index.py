"""``sceneseek index``: progress while it runs, an account when it is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.core.errors import UsageError
from ui.cli.console import answer_console, plain, print_json, side_console
from ui.services.wording import MODALITY_NAMES

if TYPE_CHECKING:
    from rich.console import Console

    from indexer.manifest import RoleChanges
    from indexer.models.base import OptionalRole
    from indexer.progress import IndexReport, Progress, ProgressReport
    from indexer.run import RunStart
    from ui.services.context import Context

__all__ = ["IndexRequest", "counts_in_words", "index_videos"]

SOME_FAILED = 3
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class IndexRequest:
    """What to index and how to tell of it."""

    paths: tuple[Path, ...] = ()
    retry_failed: bool = False
    prune: bool = False
    add: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    as_json: bool = False
    quiet: bool = False


def index_videos(context: Context, request: IndexRequest) -> int:
    """Run it; the exit code: 0 if every video is indexed, 3 if some failed.

    Raises:
        SceneseekError: the run could not be made at all.
    """
    from indexer.manifest import RoleChanges
    from indexer.run import RunOptions, run_indexing

    side = side_console()
    changes = RoleChanges(_roles("--add", request.add), _roles("--without", request.without))
    _check_agree(changes)
    options = RunOptions(request.retry_failed, request.prune, changes)
    with _progress(side, silent=request.quiet or not side.is_terminal) as report_progress:
        report = run_indexing(
            request.paths,
            context.loaded,
            options=options,
            on_start=lambda start: _say_start(side, start),
            on_progress=report_progress,
        )
    if request.as_json:
        print_json(asdict(report))
    else:
        _print_report(answer_console(), report, context)
    return SOME_FAILED if report.failed or report.failed_before or report.unreadable else 0


def _roles(flag: str, names: tuple[str, ...]) -> tuple[OptionalRole, ...]:
    """The roles that a flag names, one or several at a time, separated by commas.

    Raises:
        UsageError: there is no such role.
    """
    from indexer.models.base import OPTIONAL_ROLES

    asked = [name.strip().casefold() for text in names for name in text.split(",") if name.strip()]
    for name in asked:
        if name not in OPTIONAL_ROLES:
            raise UsageError(f"{flag} does not know '{name}'.", hint=f"There are: {', '.join(OPTIONAL_ROLES)}.")
    return tuple(role for role in OPTIONAL_ROLES if role in asked)


def _check_agree(changes: RoleChanges) -> None:
    if both := [role for role in changes.add if role in changes.without]:
        raise UsageError(
            f"--add and --without both name {' and '.join(both)}.",
            hint="To make it anew, run 'sceneseek index' twice: --without first, then --add.",
        )


@contextmanager
def _progress(console: Console, *, silent: bool) -> Iterator[ProgressReport | None]:
    """A bar by bytes read, with the speed in seconds of video per second and the time that is left."""
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
            bar.update(
                task,
                total=progress.bytes_total or 1,
                completed=progress.bytes_done if progress.bytes_total else 1,
                videos=f"{progress.videos_done}/{progress.videos_total} videos",
                speed=f"{progress.media_s / elapsed:.0f}x" if elapsed > 1 and progress.media_s else "",
                current=_current(progress),
            )

        yield show


def _current(progress: Progress) -> str:
    if progress.current is not None:
        return plain(progress.current.name[:24])
    return "loading models" if progress.videos_done == 0 else ""


def _say_start(console: Console, start: RunStart) -> None:
    if start.reason:
        console.print(f"Models: profile '{start.manifest.profile}'. {plain(start.reason)}", soft_wrap=True)
    for note in start.notes:
        console.print(f"[yellow]Note:[/] {plain(note)}", soft_wrap=True)
    for folder in start.corpus.unreadable:
        console.print(f"[yellow]Not readable:[/] {plain(folder)}. Nothing below it is touched.", soft_wrap=True)
    for row in start.labels.broken:
        console.print(f"[yellow]Label skipped:[/] {plain(row)} names no video or no label.", soft_wrap=True)
    if not start.corpus.files:
        console.print("[yellow]No videos were found there.[/]")


def counts_in_words(report: IndexReport) -> str:
    """How many videos a run dealt with, and how; empty if there were none."""
    counts = {
        "indexed": len(report.indexed),
        "updated": len(report.updated),
        "moved": len(report.moved),
        "copies": len(report.copies),
        "removed": len(report.removed),
        "failed": len(report.failed),
        "unchanged": report.unchanged,
    }
    return ", ".join(f"{count:,} {word}" for word, count in counts.items() if count)


def _print_report(console: Console, report: IndexReport, context: Context) -> None:
    console.print(f"[bold]{counts_in_words(report) or 'Nothing to do'}[/]: {_amount(report)}")
    for modality, videos in report.dropped.items():
        console.print(f"Dropped: {MODALITY_NAMES[modality].lower()} of {videos} videos.")
    _print_list(console, "[red]Failed[/]", report.failed)
    _print_list(
        console, "[red]Failed before, and unchanged since[/] (--retry-failed tries again)", report.failed_before
    )
    _print_list(console, "[yellow]Indexed, but[/]", report.warnings)
    if report.indexed or report.updated:
        console.print(f'Next: [bold]sceneseek search{_index_flag(context)} "what you remember"[/]', soft_wrap=True)


def _amount(report: IndexReport) -> str:
    return f"{report.frames} frames and {report.segments} texts from {report.media_s / 60:.1f} minutes of video."


def _index_flag(context: Context) -> str:
    origin = context.loaded.origins["index.path"]
    return f" --index {plain(context.index_folder)}" if origin == "flag" else ""


def _print_list(console: Console, heading: str, rows: list[tuple[Path, str]]) -> None:
    if not rows:
        return
    console.print(f"{heading}:")
    for path, reason in rows[:_SHOWN]:
        console.print(f"  {plain(path)}\n    {plain(reason.removeprefix(f'{path} '))}", soft_wrap=True)
    if len(rows) > _SHOWN:
        console.print(f"  ... and {len(rows) - _SHOWN} more; 'sceneseek status' lists all.")
