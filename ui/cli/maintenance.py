"""``sceneseek status``, ``verify``, ``remove``, ``export`` and ``config``."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from ui.cli.console import answer_console, plain, print_json, side_console
from ui.cli.options import Config, Index, Json, argument, option
from ui.services.context import Context
from ui.services.wording import format_time

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from indexer.maintenance.dump import Row, RowFormat
    from indexer.maintenance.inspect import IndexStatus
    from indexer.store.base import Manifest

_MOST_LABELS = 12


def show_status(index: Index = None, config: Config = None, as_json: Json = False) -> None:
    """What the index holds, what failed and why, its models and its size."""
    from indexer.maintenance.inspect import inspect_index

    context = Context.load(config, index)
    with closing(context.open_store()) as store:
        status = inspect_index(store)
    if as_json:
        print_json(asdict(status))
    else:
        _print_status(answer_console(), status, context)


def verify_records(index: Index = None, config: Config = None, as_json: Json = False) -> int:
    """Check that the index holds what it says it holds, and say what to do if not."""
    from indexer.maintenance.inspect import verify_index

    with closing(Context.load(config, index).open_store()) as store:
        problems = verify_index(store)
    console = answer_console()
    if as_json:
        print_json([asdict(problem) for problem in problems])
    elif not problems:
        console.print("[green]All is well:[/] every record is where the index says it is.")
    else:
        for problem in problems:
            console.print(f"[red]{plain(problem.what)}[/]\n  {plain(problem.remedy)}", soft_wrap=True)
    return 1 if problems else 0


def remove_from_index(
    names: Annotated[list[str], argument("PATH|ID...", "Videos or folders, by path or id.")],
    index: Index = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Take videos out of the index; the files themselves are left alone."""
    from indexer.maintenance.remove import find_videos, has_orphans, remove_videos
    from indexer.store.lock import writing

    context = Context.load(config, index)
    with closing(context.open_store()) as store, writing(context.index_folder):
        commits = store.commits()
        orphans = [name for name in names if has_orphans(store, name)]
        known = [commit for name in names if name not in orphans for commit in find_videos(commits, name)]
        removed = {**dict.fromkeys(orphans, ""), **{commit.video.id: str(commit.video.path) for commit in known}}
        remove_videos(store, context.thumbnails(), list(removed))
    if as_json:
        print_json([{"video_id": key, "path": path} for key, path in removed.items()])
        return
    console = answer_console()
    for key, path in removed.items():
        console.print(f"Removed {plain(path or key)}", soft_wrap=True)
    console.print("The files are untouched; the next 'sceneseek index' of their folder takes them in again.")


def export_rows(
    what: Annotated[
        Literal["videos", "moments"], argument("videos|moments", "Facts of every video, or every span known.")
    ] = "videos",
    index: Index = None,
    row_format: Annotated[
        Literal["jsonl", "csv"] | None, option("--format jsonl|csv", "(default: by the file's name, else jsonl)")
    ] = None,
    out: Annotated[Path | None, option("--out -o FILE", "Where to. (default: the terminal)")] = None,
    config: Config = None,
) -> None:
    """Write the index's facts or moments as JSON lines or CSV."""
    from indexer.maintenance.dump import moment_rows, video_rows, write_rows

    sources = {"videos": video_rows, "moments": moment_rows}
    chosen = row_format or ("csv" if out is not None and out.suffix.lower() == ".csv" else "jsonl")
    with closing(Context.load(config, index).open_store()) as store:
        rows = sources[what](store)
        if out is None:
            write_rows(rows, sys.stdout, chosen)
            return
        count = _write_rows(rows, out, chosen)
    side_console().print(f"{count} {what} written to {plain(out)}.", soft_wrap=True)


def _write_rows(rows: Iterable[Row], out: Path, row_format: RowFormat) -> int:
    from indexer.core.atomic_file import written_whole
    from indexer.core.errors import UsageError
    from indexer.maintenance.dump import write_rows

    try:
        with written_whole(out) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as file:
            return write_rows(rows, file, row_format)
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror}.") from error


def print_settings(
    index: Index = None,
    config: Config = None,
    defaults: Annotated[bool, option("--defaults", "Print a commented config.toml to start from.")] = False,
    as_json: Json = False,
) -> None:
    """The settings in force, and where each comes from."""
    from indexer.config import config_text, setting_values

    if defaults:
        sys.stdout.write(config_text())
        return
    context = Context.load(config, index)
    origins = context.loaded.origins
    rows = [(name, value, origins[name]) for name, value in setting_values(context.settings).items()]
    if as_json:
        print_json([{"setting": name, "value": value, "from": origin} for name, value, origin in rows])
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("Setting", "Value", "From"):
        table.add_column(column, overflow="fold")
    for name, value, origin in rows:
        shown = plain(list(value) if isinstance(value, tuple) else value)
        table.add_row(name, shown, "[dim]default[/]" if origin == "default" else plain(origin))
    answer_console().print(table)


def _print_status(console: Console, status: IndexStatus, context: Context) -> None:
    from rich.table import Table

    from search.modalities import heading

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("Index", plain(context.settings.index.url or context.index_folder.resolve()))
    table.add_row("Videos", f"{status.videos} ({format_time(round(status.media_s))}, {status.shots} shots)")
    for modality, count in status.records.items():
        table.add_row(heading(modality), str(count))
    if status.labels:
        table.add_row("Labels", plain(_labels(status)))
    for name, value in _models(status.manifest) if status.manifest else ():
        table.add_row(name, value)
    if status.disk_bytes:
        table.add_row("Disk", f"{status.disk_bytes / 1e6:.1f} MB")
    console.print(table)
    _print_troubles(console, status)


def _models(manifest: Manifest) -> Iterable[tuple[str, str]]:
    yield "Profile", manifest.profile
    for role, (spec, fingerprint) in manifest.models.items():
        dimension = f"{fingerprint.dim} numbers a vector, " if fingerprint.dim else ""
        yield f"  {role}", f"{plain(spec)} ({dimension}{fingerprint.digest})"
    yield "Keyframes", plain(manifest.sampling.get("strategy", "shots"))
    yield "Folders", "\n".join(plain(root) for root in manifest.roots)


def _labels(status: IndexStatus) -> str:
    shown = [f"{label} ({count})" for label, count in list(status.labels.items())[:_MOST_LABELS]]
    more = len(status.labels) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _print_troubles(console: Console, status: IndexStatus) -> None:
    if status.unfinished:
        left = "1 video was" if status.unfinished == 1 else f"{status.unfinished} videos were"
        console.print(f"[yellow]{left} not finished[/]; the next 'sceneseek index' goes on there.")
    if status.missing_files:
        console.print("[yellow]These files are not where they were; index again to bring the index in line:[/]")
        for path in status.missing_files:
            console.print(f"  {plain(path)}", soft_wrap=True)
    for title, rows in (("[red]Failed[/]", status.failures), ("[yellow]Indexed, but[/]", status.warnings)):
        if rows:
            console.print(f"{title}:")
        for path, reason in rows:
            console.print(f"  {plain(path)}\n    {plain(reason.removeprefix(f'{path} '))}", soft_wrap=True)
