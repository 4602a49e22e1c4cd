"""What a search found, as a file for other programs: spreadsheets, scripts, browsers and editing suites."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from indexer.core.atomic_file import written_whole
from indexer.core.errors import UsageError

if TYPE_CHECKING:
    from search.engine import Ranking
    from search.moments import Moment

__all__ = ["EXPORT_FORMATS", "MEDIA_TYPES", "ExportFormat", "export_ranking", "format_of", "write_export"]

ExportFormat: TypeAlias = Literal["csv", "json", "html", "edl", "otio"]

EXPORT_FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)
MEDIA_TYPES: Mapping[ExportFormat, str] = {
    "csv": "text/csv",
    "json": "application/json",
    "html": "text/html",
    "edl": "text/plain",
    "otio": "application/json",
}


def export_ranking(ranking: Ranking, question: str, form: ExportFormat, *, shows_paths: bool = True) -> bytes:
    """Write a page of a ranking as the content of a file, in UTF-8.

    Args:
        ranking: What was found.
        question: What was asked, in words.
        form: The format.
        shows_paths: Whether the file may say where videos lie on this machine; else it names them by title or id, as
            if they lay in ``/``.

    Raises:
        UsageError: an edit list cannot hold that many moments, or moments that long.
    """
    shown = ranking if shows_paths else _without_places(ranking, has_pictures=form == "html")
    return _content(shown, question, form, _start_timecodes(ranking, form))


def format_of(path: Path) -> ExportFormat:
    """The format that a file's name asks for.

    Raises:
        UsageError: there is no such format.
    """
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in EXPORT_FORMATS:
        known = ", ".join(f".{name}" for name in EXPORT_FORMATS)
        raise UsageError(f"{path} does not say in which format to write.", hint=f"End its name in one of {known}.")
    return suffix


def write_export(path: Path, ranking: Ranking, question: str, form: ExportFormat | None = None) -> int:
    """Write a page of a ranking to ``path``, whole or not at all.

    Args:
        path: The file.
        ranking: What was found.
        question: What was asked, in words.
        form: The format; by default the one that the file's name asks for.

    Returns:
        How many videos of an edit list cannot be opened. Their own time codes are unknown, and positions in them count
        from zero.

    Raises:
        UsageError: the name asks for no known format, the format cannot hold the ranking, or the file cannot be
            written.
    """
    form = form or format_of(path)
    starts = _start_timecodes(ranking, form)
    content = _content(ranking, question, form, starts)
    if not path.name or path.is_dir():
        raise UsageError(f"{path} cannot be written: it is a folder.", hint="Name a file, as found.html.")
    try:
        with written_whole(path) as unfinished:
            unfinished.write_bytes(content)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror}.", hint="Name a file in a folder you can write to."
        ) from error
    return sum(start is None for start in starts.values())


def _start_timecodes(ranking: Ranking, form: ExportFormat) -> Mapping[str, str | None]:
    from ui.export.edit_lists import start_timecodes

    return start_timecodes(ranking) if form in ("edl", "otio") else {}


def _content(shown: Ranking, question: str, form: ExportFormat, starts: Mapping[str, str | None]) -> bytes:
    from ui.export.edit_lists import as_edl, as_otio
    from ui.export.html_page import as_page
    from ui.export.tables import as_csv, as_json_text

    match form:
        case "csv":
            return as_csv(shown)
        case "json":
            return as_json_text(shown, question)
        case "html":
            return as_page(shown, question)
        case "edl":
            return as_edl(shown, question, starts)
        case "otio":
            return as_otio(shown, question, starts)


def _without_places(ranking: Ranking, *, has_pictures: bool) -> Ranking:
    """The ranking with videos that lie nowhere. Only a page reads the thumbnails; other formats would name them."""
    return replace(ranking, moments=tuple(_without_place(moment, has_pictures) for moment in ranking.moments))


def _without_place(moment: Moment, has_picture: bool) -> Moment:
    video = moment.video
    name = (video.title.strip() or video.id).replace("/", "_")
    nowhere = Path("/", name if name.endswith(video.path.suffix) else name + video.path.suffix)
    thumbnail = moment.thumbnail if has_picture else None
    return replace(moment, video=replace(video, path=nowhere), thumbnail=thumbnail)
