"""The ``sceneseek`` command: options in, exit code out.

Each command imports what it runs only when it runs, so that ``--help`` is instant.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from ui.cli.console import INTERRUPTED, fail, say_interrupted
from ui.cli.evaluate import evaluate_app
from ui.cli.leading_minus import TextCommand
from ui.cli.options import App, Config, Device, Group, Index, Json, Labels, Paths, Quiet, Where, option
from ui.services.context import Context, Flags

_START, _MAINTAIN, _MEASURE = "Start here", "Look after an index", "Measure"

app = App(
    name="sceneseek",
    cls=Group,
    help="Search your videos by what you remember: index a folder once, type what you saw, get the moment.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(evaluate_app, rich_help_panel=_MEASURE)


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


@app.command("demo", rich_help_panel=_START)
def demo_command(
    folder: Annotated[Path, option("--out DIR", "Where the sample library goes.")] = Path("demo"),
    index: Index = None,
    serves: Annotated[
        bool | None, option("--serve/--no-serve", "Show it in the browser. (default: on a terminal)")
    ] = None,
    config: Config = None,
) -> None:
    """Build a small sample library, index it, search it, and show it in the browser."""
    from ui.cli.demo import run_demo

    serves = sys.stdout.isatty() if serves is None else serves
    raise typer.Exit(run_demo(Context.load(config, index or folder / "chroma_db"), folder, serves=serves))


@app.command("index", rich_help_panel=_START)
def index_command(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="PATH...", help="Folders and videos. (default: as before)")
    ] = None,
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
) -> None:
    """Index folders of videos. Run it again whenever they change: only what changed is done."""
    from ui.cli.index import IndexRequest, index_videos

    flags: Flags = {
        "models.profile": profile,
        "models.device": device,
        "shots.strategy": _strategy(strategy, sampling),
        "shots.count": count,
        "corpus.labels": labels,
        "corpus.exclude": tuple(exclude) if exclude else None,
        "speech.always": speech_always,
    }
    request = IndexRequest(
        tuple(paths or ()), retry_failed, prune, tuple(add or ()), tuple(without or ()), as_json, quiet
    )
    raise typer.Exit(index_videos(Context.load(config, index, flags), request))


@app.command("search", cls=TextCommand, rich_help_panel=_START)
def search_command(
    text: Annotated[
        str,
        typer.Argument(
            metavar="TEXT",
            help='In your own words; also "exact phrase", -word, label:x, duration<60, objects:bus>=2. '
            "In quotes if it has spaces.",
        ),
    ] = "",
    index: Index = None,
    top_k: Annotated[int | None, option("--top-k -k N", "How many moments. (default: 10)")] = None,
    page: Annotated[int, option("--page N", "Which page of the moments.", min=1)] = 1,
    label: Labels = None,
    path: Paths = None,
    where: Where = None,
    weight: Annotated[
        list[str] | None, option("--weight KIND=NUMBER", "How much a kind of evidence counts: 'subtitle=2'.")
    ] = None,
    only: Annotated[list[str] | None, option("--only KIND", "Only this kind: frames, speech, ocr ...")] = None,
    by_video: Annotated[bool, option("--by-video", "The best moment of every video.")] = False,
    min_confidence: Annotated[
        float | None, option("--min-confidence NUMBER", "Leave out unlikely moments; 0: none.", min=0.0, max=1.0)
    ] = None,
    image: Annotated[Path | None, option("--image FILE", "Find what looks like this picture.")] = None,
    like: Annotated[str, option("--like VIDEO@SECONDS", "Find what is like this moment.")] = "",
    html: Annotated[Path | None, option("--html FILE", "Write a page with pictures instead.")] = None,
    export: Annotated[
        Path | None, option("--export FILE", "Write a .csv, .json, .html, .edl or .otio file instead.")
    ] = None,
    device: Device = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Find moments by words, by a picture, or by another moment."""
    from ui.cli.search import modalities_named, moment_named, search_moments, weights_named
    from ui.services.query_pictures import read_picture
    from ui.services.search import SearchRequest, filters_of

    flags: Flags = {"search.top_k": top_k, "search.min_confidence": min_confidence, "models.device": device}
    context = Context.load(config, index, flags)
    count = context.settings.search.top_k
    request = SearchRequest(
        text,
        image=read_picture(image) if image else None,
        like=moment_named(like) if like else None,
        filters=filters_of(label or (), path or (), where or ()),
        weights=weights_named(weight or ()),
        only=modalities_named(only or ()),
        top_k=count,
        offset=(page - 1) * count,
        by_video=by_video,
    )
    question = text or (f"picture {image}" if image else f"like {like}")
    search_moments(context, request, question, html=html, export=export, as_json=as_json)


@app.command("serve", rich_help_panel=_START)
def serve_command(
    index: Index = None,
    port: Annotated[
        int, option("--port N", "(default: 7860, or the next free one)", min=0, max=65535, show_default=False)
    ] = 0,
    host: Annotated[str, option("--host ADDRESS", "0.0.0.0 lets other machines in; use --auth then.")] = "127.0.0.1",
    auth: Annotated[str, option("--auth USER:PASSWORD", "Who may look.", envvar="SCENESEEK_AUTH")] = "",
    token: Annotated[str, option("--token TEXT", "A secret in the link instead.", envvar="SCENESEEK_TOKEN")] = "",
    opens_browser: Annotated[bool, option("--open/--no-open", "Open the browser.")] = False,
    device: Device = None,
    config: Config = None,
) -> None:
    """The page in your browser: search, play the moment, manage the library, evaluate."""
    from ui.cli.serve import ServeRequest, serve_page

    request = ServeRequest(host, port, auth, token, opens_browser)
    serve_page(Context.load(config, index, {"models.device": device}), request)


@app.command("list", rich_help_panel=_MAINTAIN)
def list_command(
    index: Index = None,
    label: Labels = None,
    path: Paths = None,
    where: Where = None,
    sort: Annotated[str, option("--sort FACT", "As duration, or -loudness for the largest first.")] = "path",
    most: Annotated[int, option("--limit -n N", "At most so many. (0: all)", min=0)] = 0,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """The indexed videos and what is known about them."""
    from ui.cli.list_videos import list_videos
    from ui.services.search import filters_of

    filters = filters_of(label or (), path or (), where or ())
    list_videos(Context.load(config, index), filters, sort=sort, most=most, as_json=as_json)


@app.command("status", rich_help_panel=_MAINTAIN)
def status_command(index: Index = None, config: Config = None, as_json: Json = False) -> None:
    """What the index holds, what failed and why, its models and its size."""
    from ui.cli.maintenance import show_status

    show_status(Context.load(config, index), as_json=as_json)


@app.command("verify", rich_help_panel=_MAINTAIN)
def verify_command(index: Index = None, config: Config = None, as_json: Json = False) -> None:
    """Check that the index holds what it says it holds, and say what to do if not."""
    from ui.cli.maintenance import verify_records

    raise typer.Exit(verify_records(Context.load(config, index), as_json=as_json))


@app.command("remove", rich_help_panel=_MAINTAIN)
def remove_command(
    names: Annotated[list[str], typer.Argument(metavar="PATH|ID...", help="Videos or folders, by path or id.")],
    index: Index = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Take videos out of the index; the files themselves are left alone."""
    from ui.cli.maintenance import remove_from_index

    remove_from_index(Context.load(config, index), names, as_json=as_json)


@app.command("export", rich_help_panel=_MAINTAIN)
def export_command(
    what: Annotated[
        str, typer.Argument(metavar="videos|moments", help="Facts of every video, or every span known.")
    ] = "videos",
    index: Index = None,
    row_format: Annotated[
        Literal["jsonl", "csv"] | None, option("--format jsonl|csv", "(default: by the file's name, else jsonl)")
    ] = None,
    out: Annotated[Path | None, option("--out -o FILE", "Where to. (default: the terminal)")] = None,
    config: Config = None,
) -> None:
    """Write the index's facts or moments as JSON lines or CSV."""
    from ui.cli.maintenance import export_rows

    export_rows(Context.load(config, index), what, row_format, out)


@app.command("config", rich_help_panel=_MAINTAIN)
def config_command(
    index: Index = None,
    config: Config = None,
    defaults: Annotated[bool, option("--defaults", "Print a commented config.toml to start from.")] = False,
    as_json: Json = False,
) -> None:
    """The settings in force, and where each comes from."""
    from indexer.core.config import config_text
    from ui.cli.maintenance import print_settings

    if defaults:
        sys.stdout.write(config_text())
    else:
        print_settings(Context.load(config, index), as_json=as_json)


def _strategy(strategy: str | None, sampling: str | None) -> str | None:
    """The strategy that ``--strategy`` and ``--sampling`` ask for together."""
    if sampling == "keyframes" and strategy not in (None, "codec"):
        raise typer.BadParameter(f"keyframes goes only with codec, not with {strategy}", param_hint="--strategy")
    if sampling == "full" and strategy is None:
        return "shots"
    return "codec" if sampling == "keyframes" else strategy
