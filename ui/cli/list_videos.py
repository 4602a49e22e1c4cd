"""``sceneseek list``: the indexed videos with their facts, filtered and sorted by any of them."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

from ui.cli.console import answer_console, plain, print_json
from ui.cli.options import Config, Index, Json, Labels, Paths, Where, option
from ui.services.context import Context
from ui.services.wording import format_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from indexer.core.types import Facet, Video
    from search.catalogue import Catalogue

_HEADINGS = {
    "duration": "length",
    "label": "label",
    "resolution": "picture",
    "cuts_per_minute": "cuts/min",
    "loudness": "LUFS",
    "speech_ratio": "speech",
    "language": "lang.",
}


def list_videos(
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
    from search.catalogue import Catalogue
    from search.query.filters import facets_of
    from ui.services.search import filters_of

    filters = filters_of(label or (), path or (), where or ())
    with closing(Context.load(config, index).open_store()) as store:
        catalogue = Catalogue.read(store)
    videos = _sorted([catalogue.videos[key] for key in catalogue.accepted(filters)], catalogue, sort)
    shown = videos[:most] if most else videos
    if as_json:
        print_json([{"video_id": video.id, **facets_of(video)} for video in shown])
    else:
        print_videos(answer_console(), shown, len(videos))


def print_videos(console: Console, videos: Sequence[Video], total: int) -> None:
    """Print a table of videos, and how many of ``total`` are not in it."""
    from rich.table import Table

    from search.query.filters import facets_of

    if not videos:
        console.print("No video meets that.")
        return
    facts = [facets_of(video) for video in videos]
    columns = [name for name in _HEADINGS if any(known.get(name) not in (None, "") for known in facts)]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("video", overflow="fold", min_width=18)
    for name in columns:
        is_word = name in ("label", "language")
        table.add_column(_HEADINGS[name], justify="left" if is_word else "right", no_wrap=not is_word)
    for video, known in zip(videos, facts, strict=True):
        table.add_row(plain(video.path.name), *(_cell(name, known.get(name)) for name in columns))
    console.print(table)
    if total > len(videos):
        console.print(f"[dim]{total - len(videos)} more.[/]")


def _sorted(videos: Sequence[Video], catalogue: Catalogue, order: str) -> list[Video]:
    """Sort by a fact: numbers before texts, and videos without it last in either direction."""
    from search.query.filters import facets_of

    name = catalogue.facet_named(order.removeprefix("-"))
    by_path = sorted(videos, key=lambda video: (video.path.as_posix(), video.id))
    facts = [(facets_of(video).get(name), video) for video in by_path]
    known = [(value, video) for value, video in facts if value not in (None, "")]
    known.sort(key=lambda pair: _rank(pair[0]), reverse=order.startswith("-"))
    return [video for _, video in known] + [video for value, video in facts if value in (None, "")]


def _rank(value: Facet | None) -> tuple[bool, float, str]:
    if isinstance(value, str):
        return True, 0.0, value.casefold()
    return False, float(value or 0), ""


def _cell(name: str, value: Facet | None) -> str:
    if value is None:
        return ""
    if isinstance(value, str):  # a file beside the video may set any fact to any text
        return plain(value)
    if name == "duration":
        return format_time(float(value))
    if name == "speech_ratio":
        return f"{value:.0%}"
    return plain(f"{value:.1f}" if isinstance(value, float) else value)
