"""``sceneseek demo``: a sample library from what is installed, indexed and searched."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from ui.cli.console import answer_console, plain, side_console
from ui.cli.index import index_videos
from ui.cli.options import Config, Index, option
from ui.cli.search import print_moments
from ui.services.context import Context


def run_demo(
    folder: Annotated[Path, option("--out DIR", "Where the sample library goes.")] = Path("demo"),
    index: Index = None,
    serves: Annotated[
        bool | None, option("--serve/--no-serve", "Show it in the browser. (default: on a terminal)")
    ] = None,
    config: Config = None,
) -> int:
    """Build a small sample library, index it, search it, and show it in the browser."""
    from ui.demo.library import build_sample_library

    context = Context.load(config, index or folder / "chroma_db")
    library = folder / "library"
    side_console().print(f"Building a sample library in {plain(library)} ...", soft_wrap=True)
    build_sample_library(library, progress=lambda line: side_console().print(f"  {plain(line)}", soft_wrap=True))
    exit_code = index_videos(context, [library])
    _search_library(context, library)
    _print_next_steps(context)
    if sys.stdout.isatty() if serves is None else serves:
        from ui.cli.serve import show_page

        show_page(context, opens_browser=True)
    return exit_code


def _search_library(context: Context, library: Path) -> None:
    from ui.demo.clips import DEMO_ANSWERS
    from ui.services.search import SearchRequest

    console = answer_console()
    # A clip is left out, and so is the search for it, where the optional package whose pictures it shows is missing.
    queries = [query for query, (clip, *_) in DEMO_ANSWERS.items() if (library / clip).is_file()]
    with context.open_engine() as engine:
        for text in queries:
            console.print(f'\n[bold]sceneseek search "{text}"[/]')
            query = SearchRequest(text, top_k=3).query(engine.parse, context.settings.search)
            print_moments(console, engine.search(query))


def _print_next_steps(context: Context) -> None:
    program = Path(sys.argv[0])
    command = "python -m ui.cli" if program.name == "__main__.py" else plain(program)
    console = answer_console()
    console.print("\n[bold]Try it yourself:[/]")
    for line in (
        f'{command} search --index {plain(context.index_folder)} "a blue bus in the street"',
        f"{command} serve --index {plain(context.index_folder)} --open        the same in your browser",
        f'{command} index FOLDER        your own videos; then: {command} search "what you remember"',
        f"{command} --help",
    ):
        console.print(f"  {line}", soft_wrap=True)
