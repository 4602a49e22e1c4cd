"""What was found, as a file for other programs: spreadsheets, scripts, browsers and editing suites.

tables.py        CSV and JSON
edit_lists.py    CMX3600 EDL and OpenTimelineIO
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from indexer.core.atomic_file import written_whole
from indexer.core.errors import UsageError

if TYPE_CHECKING:
    from search.engine import Ranking
    from search.moments import Moment

__all__ = ["EXPORT_FORMATS", "MEDIA_TYPES", "ExportFormat", "Written", "export_ranking", "format_of", "write_export"]

ExportFormat: TypeAlias = Literal["csv", "json", "html", "edl", "otio"]

EXPORT_FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)
MEDIA_TYPES: Mapping[ExportFormat, str] = MappingProxyType(
    {
        "csv": "text/csv",
        "json": "application/json",
        "html": "text/html",
        "edl": "text/plain",
        "otio": "application/json",
    }
)


@dataclass(frozen=True, slots=True)
class Written:
    """A file that was written.

    Attributes:
        path: Where it lies.
        unopened: How many videos of an edit list cannot be opened; their own time codes are unknown, and positions in
            them count from zero.
    """

    path: Path
    unopened: int


def export_ranking(ranking: Ranking, question: str, form: ExportFormat, *, shows_paths: bool = True) -> bytes:
    """A page of a ranking as the content of a file, in UTF-8.

    Args:
        ranking: What was found.
        question: What was asked, in words.
        form: One of ``EXPORT_FORMATS``.
        shows_paths: Whether the file may say where videos lie on this machine; else it names them by title or id, as
            if they lay in ``/``.

    Raises:
        UsageError: an edit list cannot hold that many moments, or moments that long.
    """
    shown = ranking if shows_paths else _without_places(ranking, has_pictures=form == "html")
    return _content(shown, question, form, _starts(ranking, form))


def _starts(ranking: Ranking, form: ExportFormat) -> Mapping[str, str | None]:
    from ui.export.edit_lists import start_timecodes

    return start_timecodes(ranking) if form in ("edl", "otio") else {}


def _content(shown: Ranking, question: str, form: ExportFormat, starts: Mapping[str, str | None]) -> bytes:
    from ui.export.edit_lists import as_edl, as_otio
    from ui.export.tables import as_csv, as_json_text

    writers: Mapping[ExportFormat, Callable[[], bytes]] = {
        "csv": lambda: as_csv(shown),
        "json": lambda: as_json_text(shown, question),
        "html": lambda: _as_page(shown, question),
        "edl": lambda: as_edl(shown, question, starts),
        "otio": lambda: as_otio(shown, question, starts),
    }
    return writers[form]()


def format_of(path: Path) -> ExportFormat:
    """The format that a file's name asks for.

    Raises:
        UsageError: it asks for none that there is.
    """
    asked = path.suffix.lower().removeprefix(".")
    if asked not in EXPORT_FORMATS:
        known = ", ".join(f".{name}" for name in EXPORT_FORMATS)
        raise UsageError(f"{path} does not say in which format to write.", hint=f"End its name in one of {known}.")
    return asked


def write_export(path: Path, ranking: Ranking, question: str) -> Written:
    """Write a page of a ranking to ``path``, whole or not at all, in the format of its name.

    Raises:
        UsageError: the name asks for no known format, the format cannot hold the ranking, or the file cannot be
            written.
    """
    form = format_of(path)
    starts = _starts(ranking, form)
    _write_whole(path, _content(ranking, question, form, starts))
    return Written(path, sum(start is None for start in starts.values()))


def _write_whole(path: Path, content: bytes) -> None:
    try:
        with written_whole(path) as unfinished:
            unfinished.write_bytes(content)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror}.", hint="Name a file in a folder you can write to."
        ) from error


def _without_places(ranking: Ranking, *, has_pictures: bool) -> Ranking:
    """The ranking with videos that lie nowhere; thumbnails are read while a page is written, and else named."""
    return replace(ranking, moments=tuple(_without_place(moment, has_pictures) for moment in ranking.moments))


def _without_place(moment: Moment, has_picture: bool) -> Moment:
    video = moment.video
    name = (video.title.strip() or video.id).replace("/", "_")
    nowhere = Path("/", name if name.endswith(video.path.suffix) else name + video.path.suffix)
    thumbnail = moment.thumbnail if has_picture else None
    return replace(moment, video=replace(video, path=nowhere), thumbnail=thumbnail)


def _as_page(ranking: Ranking, question: str) -> bytes:
    from ui.export.html_page import render_search_page
    from ui.services.answers import as_cards
    from ui.services.query_pictures import small_jpeg

    image = ranking.query.image
    shown = None if image is None else small_jpeg(image)
    return render_search_page("sceneseek", question, as_cards(ranking), query_image=shown).encode()
