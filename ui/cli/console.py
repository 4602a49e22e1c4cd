"""Terminal output: answers on the standard output, everything else on the standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from rich.console import Console

    from indexer.core.errors import SceneseekError
    from search.evaluate import ReportProgress

INTERRUPTED = 130
"""The exit code of a program stopped by Ctrl-C."""


def answer_console() -> Console:
    """The console for answers; at most 100 columns wide, so that lines stay readable."""
    from rich.console import Console

    console = Console(highlight=False, emoji=False)
    console.width = min(console.width, 100)
    return console


def side_console() -> Console:
    """The console for progress, warnings and errors."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, emoji=False)


@contextmanager
def work_bar(*, silent: bool) -> Iterator[ReportProgress]:
    """Show a progress bar with the time that is left; nothing if ``silent`` or not on a terminal."""
    from search.evaluate import no_progress

    console = side_console()
    if silent or not console.is_terminal:
        yield no_progress
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, expand=True) as bar:
        task = bar.add_task("getting ready", total=None)

        def show(what: str, done: int, total: int) -> None:
            if bar.tasks[0].description != plain(what):
                bar.reset(task, description=plain(what))
            bar.update(task, completed=done if total else 1, total=total or 1)

        yield show


def plain(text: object) -> str:
    """Make untrusted text safe for a terminal: no markup, no control characters, no undecodable bytes."""
    from rich.markup import escape

    shown = "".join(letter if letter.isprintable() else "�" for letter in str(text))
    return escape(shown)


def print_json(content: Any) -> None:
    """Print one JSON document; undecodable bytes of file names become escapes."""
    text = json.dumps(content, ensure_ascii=False, indent=2, default=str)
    sys.stdout.write(text.encode("utf-8", "backslashreplace").decode("utf-8") + "\n")


def fail(error: SceneseekError) -> NoReturn:
    """Print what went wrong and what to do, and exit with the error's exit code."""
    console = side_console()
    console.print(f"[bold red]Error:[/] {plain(error.message)}", soft_wrap=True)
    if error.hint:
        console.print(plain(error.hint), soft_wrap=True)
    sys.exit(error.exit_code)


def say_interrupted() -> NoReturn:
    """Print that nothing is lost, and exit as a program stopped by Ctrl-C does."""
    side_console().print("\nStopped. Nothing is lost: what was finished is kept, and the next run goes on from there.")
    sys.exit(INTERRUPTED)
