"""A search as one HTML file: pictures inline, nothing fetched, readable offline, on a phone and on paper.

Every text in it comes from files and people nobody vouches for, so the template escapes all of it, and the page's
own policy forbids scripts and anything from elsewhere.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from indexer.core.atomic_file import written_whole
from indexer.core.errors import UsageError
from search.html import data_address, printable, rendered
from ui.services.highlight import pieces

__all__ = [
    "MODALITY_NAMES",
    "Evidence",
    "MomentCard",
    "format_span",
    "format_time",
    "render_search_page",
    "write_search_page",
]

MODALITY_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "frames": "Picture",
        "subtitle": "Subtitles",
        "speech": "Speech",
        "ocr": "Text on screen",
        "description": "Description",
        "captions": "Caption",
        "objects": "Objects",
        "sounds": "Sound",
    }
)
_IMAGE_SIGNATURES: Mapping[bytes, str] = MappingProxyType(
    {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a moment was found: one modality, its true cosine in [-1, 1], and the text that matched, if any.

    ``words`` says in [0, 1] how far the text holds the query's very words, and ``matched`` which they are.
    """

    modality: str
    cosine: float
    text: str = ""
    words: float = 0.0
    matched: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not -1.0001 <= self.cosine <= 1.0001:
            raise ValueError(f"not a cosine: {self.cosine}")

    @property
    def name(self) -> str:
        """The modality in a reader's words."""
        return MODALITY_NAMES.get(self.modality, self.modality)

    @property
    def pieces(self) -> list[tuple[str, bool]]:
        """The text in parts, each with whether it is one of the words found."""
        return pieces(self.text, self.matched)

    @property
    def percent(self) -> int:
        """The length of the similarity's bar: 0 for no likeness or less, 100 for the same."""
        return round(100 * min(max(self.cosine, 0.0), 1.0))


@dataclass(frozen=True, slots=True)
class MomentCard:
    """One moment as the page shows it, in plain values.

    ``rank`` counts from 1. ``time_s`` is the second to open the video at, within ``[start_s, end_s)``. ``score`` is
    the fused score. ``thumbnail`` is a JPEG or PNG file's bytes.
    """

    rank: int
    video_id: str
    path: Path
    title: str
    label: str
    start_s: float
    end_s: float
    time_s: float
    score: float
    evidence: tuple[Evidence, ...] = ()
    thumbnail: bytes | None = None

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"ranks count from 1, not {self.rank}")
        if not 0 <= self.start_s <= self.end_s:
            raise ValueError(f"not an interval: [{self.start_s}, {self.end_s})")
        if self.thumbnail is not None:
            _image_type(self.thumbnail)

    @property
    def name(self) -> str:
        """What to call the video: its title, or its file's name."""
        return self.title.strip() or self.path.name

    @property
    def place(self) -> str:
        """The path as a person reads it; bytes that are no UTF-8 become replacement characters."""
        return os.fsencode(self.path).decode("utf-8", "replace")

    @property
    def span(self) -> str:
        """When it happens, as h:mm:ss – h:mm:ss."""
        return format_span(self.start_s, self.end_s)

    @property
    def opened_at(self) -> str:
        """The second that the link opens, as h:mm:ss."""
        return format_time(self.time_s)

    @property
    def link(self) -> str:
        """A ``file:`` address that opens the video at the moment's second."""
        seconds = f"{self.time_s:.3f}".rstrip("0").rstrip(".")
        return f"{self.path.absolute().as_uri()}#t={seconds}"

    @property
    def picture(self) -> str:
        """The thumbnail as a ``data:`` address, or nothing."""
        return "" if self.thumbnail is None else _data_address(self.thumbnail)


def format_time(seconds: float) -> str:
    """A time as h:mm:ss, the second it falls in.

    Raises:
        ValueError: ``seconds`` is negative or no number.
    """
    if not 0 <= seconds < math.inf:
        raise ValueError(f"not a time in a video: {seconds}")
    minutes, second = divmod(int(seconds), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02}:{second:02}"


def format_span(start_s: float, end_s: float) -> str:
    """A span as h:mm:ss – h:mm:ss, its end rounded up so that the whole span lies within.

    Raises:
        ValueError: a time is negative or no number.
    """
    if not 0 <= end_s < math.inf:
        raise ValueError(f"not a time in a video: {end_s}")
    return f"{format_time(start_s)} – {format_time(math.ceil(round(end_s, 3)))}"


def render_search_page(
    title: str,
    query_text: str,
    moments: Sequence[MomentCard],
    *,
    query_image: bytes | None = None,
    details: Sequence[str] = (),
) -> str:
    """The page of one search, as a complete HTML document.

    Args:
        title: The name of the browser's tab.
        query_text: What was searched for; empty for a search by picture.
        moments: What was found, best first; none makes a page that says so and what to try.
        query_image: The picture searched for, as a JPEG or PNG file's bytes.
        details: Short facts for the page's head: the index, the profile, the filters in force.

    Raises:
        ValueError: ``query_image`` is no such picture.
    """
    facts = {
        "title": title,
        "query_text": query_text,
        "query_picture": "" if query_image is None else _data_address(query_image),
        "details": details,
        "moments": moments,
        "video_count": len({moment.video_id for moment in moments}),
    }
    return printable(rendered("ui.export", "search.html.j2", facts))


def write_search_page(
    path: Path,
    title: str,
    query_text: str,
    moments: Sequence[MomentCard],
    *,
    query_image: bytes | None = None,
    details: Sequence[str] = (),
) -> Path:
    """Write the page of one search to ``path``, whole or not at all, and return ``path``.

    Raises:
        UsageError: the file cannot be written there.
        ValueError: ``query_image`` is no JPEG or PNG picture.
    """
    page = render_search_page(title, query_text, moments, query_image=query_image, details=details)
    if not path.name or path.is_dir():
        raise UsageError(f"The page cannot be written to {path}: it is a folder.", hint="Name a file, as found.html.")
    try:
        with written_whole(path) as unfinished:
            unfinished.write_text(page, encoding="utf-8", newline="\n")
    except OSError as error:
        raise UsageError(
            f"The page cannot be written to {path}: {error.strerror}.", hint="Name a file in a folder you can write to."
        ) from error
    return path


def _data_address(image: bytes) -> str:
    return data_address(image, _image_type(image))


def _image_type(image: bytes) -> str:
    for signature, media_type in _IMAGE_SIGNATURES.items():
        if image.startswith(signature):
            return media_type
    raise ValueError("not a JPEG or PNG picture")
