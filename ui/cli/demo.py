"""``sceneseek demo``: a sample library from what is installed, indexed and searched."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ui.cli.console import answer_console, plain, side_console
from ui.cli.index import index_videos
from ui.cli.search import print_moments

if TYPE_CHECKING:
    from ui.services.context import Context

__all__ = ["run_demo"]

_MOMENTS_EACH = 3


def run_demo(context: Context, folder: Path, *, serves: bool = False) -> int:
    """Build, index, search, say what to type next, and with ``serves`` show the page; the exit code is indexing's.

    Raises:
        UsageError: a package whose pictures are needed is not installed.
    """
    from ui.demo.library import build_sample_library

    library = folder / "library"
    side_console().print(f"Building a sample library in {plain(library)} ...", soft_wrap=True)
    build_sample_library(library, progress=lambda line: side_console().print(f"  {plain(line)}", soft_wrap=True))
    exit_code = index_videos(context, [library])
    _search_it(context, library)
    _say_next(context)
    if serves:
        from ui.cli.serve import ServeRequest, serve_page

        serve_page(context, ServeRequest(opens_browser=True))
    return exit_code


def _search_it(context: Context, library: Path) -> None:
    from ui.demo.clips import DEMO_ANSWERS

    console = answer_console()
    # Without the optional package whose pictures it shows, a clip is left out, and so is the search for it.
    queries = [query for query, (clip, *_) in DEMO_ANSWERS.items() if (library / clip).is_file()]
    with context.open_engine() as engine:
        for text in queries:
            console.print(f'\n[bold]sceneseek search "{text}"[/]')
            query = engine.parse(text).query(top_k=_MOMENTS_EACH)
            print_moments(console, engine.search(replace(query, min_confidence=context.settings.search.min_confidence)))


def _say_next(context: Context) -> None:
    command = plain(Path(sys.argv[0]))
    console = answer_console()
    console.print("\n[bold]Try it yourself:[/]")
    for line in (
        f'{command} search --index {plain(context.index_folder)} "a blue bus in the street"',
        f"{command} serve --index {plain(context.index_folder)} --open        the same in your browser",
        f'{command} index FOLDER        your own videos; then: {command} search "what you remember"',
        f"{command} --help",
    ):
        console.print(f"  {line}", soft_wrap=True)
