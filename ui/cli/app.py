"""The ``sceneseek`` command: its commands, and what becomes of their errors.

Each command imports what it runs only when it runs, so that ``--help`` is instant.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from ui.cli.console import INTERRUPTED, fail, say_interrupted
from ui.cli.demo import run_demo
from ui.cli.evaluate import evaluate_app
from ui.cli.leading_minus import TextCommand
from ui.cli.list_videos import list_videos
from ui.cli.maintenance import export_rows, print_settings, remove_from_index, show_status, verify_records
from ui.cli.options import App, Config, Device, Group, Index, Json, Quiet, argument, option
from ui.cli.search import search
from ui.cli.serve import serve
from ui.services.context import Context, Flags

_START, _MAINTAIN = "Start here", "Look after an index"


def main() -> None:
    """Run the command line. An error of ours becomes a message and its exit code.

    Raises:
        SystemExit: when it is done, with the exit code.
    """
    from indexer.core.errors import SceneseekError

    # Threads that spin while they wait make models several times slower beside a busy decoder; read when PyTorch loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app()
    except SceneseekError as error:
        fail(error)
    except SystemExit as leaving:
        if leaving.code == INTERRUPTED:
            say_interrupted()
        raise
    except BrokenPipeError:  # the reader, such as head, has seen enough
        sys.stderr.close()
        sys.exit(0)


def index_command(
    paths: Annotated[list[Path] | None, argument("PATH...", "Folders and videos. (default: as before)")] = None,
    index: Index = None,
    profile: Annotated[str | None, option("--profile NAME", "Models: auto, embedded, standard or best.")] = None,
    sampling: Annotated[
        Literal["full", "keyframes"] | None,
        option("--sampling MODE", "full, or keyframes: only frames stored whole; much faster."),
    ] = None,
    strategy: Annotated[
        str | None, option("--strategy NAME", "Which frames: shots, middle, uniform, kmeans or codec.")
    ] = None,
    count: Annotated[int | None, option("--count N", "Frames per video for 'uniform'.")] = None,
    labels: Annotated[str | None, option("--labels SOURCE", "auto, folders, none, or a CSV or JSON file.")] = None,
    exclude: Annotated[list[str] | None, option("--exclude GLOB", "Leave such files out; may be repeated.")] = None,
    add: Annotated[
        list[str] | None,
        option("--add KIND", "Also find speech, ocr, sounds, objects or captions, in all videos."),
    ] = None,
    without: Annotated[
        list[str] | None, option("--without KIND", "Do without one of these; drops what there is.")
    ] = None,
    speech_always: Annotated[
        bool | None, option("--speech-always/--no-speech-always", "Listen also where there are subtitles.")
    ] = None,
    retry_failed: Annotated[bool, option("--retry-failed", "Try again what failed before.")] = False,
    prune: Annotated[bool, option("--prune", "Believe an empty folder: remove its videos from the index.")] = False,
    device: Device = None,
    config: Config = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Index folders of videos. Run it again whenever they change: only what changed is done."""
    from ui.cli.index import index_videos
    from ui.services.indexing import run_options

    flags: Flags = {
        "models.profile": profile,
        "models.device": device,
        "shots.strategy": _strategy(strategy, sampling),
        "shots.count": count,
        "corpus.labels": labels,
        "corpus.exclude": tuple(exclude) if exclude else None,
        "speech.always": speech_always,
    }
    options = run_options(add=add or (), without=without or (), retry_failed=retry_failed, prune=prune)
    context = Context.load(config, index, flags)
    return index_videos(context, paths or (), options, as_json=as_json, quiet=quiet)


def _strategy(strategy: str | None, sampling: str | None) -> str | None:
    """The strategy that ``--strategy`` and ``--sampling`` ask for together."""
    if sampling == "keyframes" and strategy not in (None, "codec"):
        raise typer.BadParameter(f"keyframes goes only with codec, not with {strategy}", param_hint="--strategy")
    if sampling == "full" and strategy is None:
        return "shots"
    return "codec" if sampling == "keyframes" else strategy


app = App(
    name="sceneseek",
    cls=Group,
    help="Search your videos by what you remember: index a folder once, type what you saw, get the moment.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo", rich_help_panel=_START)(run_demo)
app.command("index", rich_help_panel=_START)(index_command)
app.command("search", rich_help_panel=_START, cls=TextCommand)(search)
app.command("serve", rich_help_panel=_START)(serve)
app.command("list", rich_help_panel=_MAINTAIN)(list_videos)
app.command("status", rich_help_panel=_MAINTAIN)(show_status)
app.command("verify", rich_help_panel=_MAINTAIN)(verify_records)
app.command("remove", rich_help_panel=_MAINTAIN)(remove_from_index)
app.command("export", rich_help_panel=_MAINTAIN)(export_rows)
app.command("config", rich_help_panel=_MAINTAIN)(print_settings)
app.add_typer(evaluate_app, rich_help_panel="Measure")
