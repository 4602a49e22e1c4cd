"""A search as one HTML file: pictures inline, nothing fetched, readable offline, on a phone and on paper.

All text on it is untrusted: the template escapes it, and the page's policy forbids scripts and anything from elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence

from search.html import data_address, jpeg_at, printable, rendered
from ui.services.answers import MomentView
from ui.services.wording import MODALITY_NAMES, readable_path

_LONGEST_TEXT = 400


def render_search_page(question: str, views: Sequence[MomentView], *, query_image: bytes | None = None) -> str:
    """Render the page of one search as a complete HTML document.

    Args:
        question: What was searched for; empty for a search by picture.
        views: What was found, best first; if empty, the page says what to try.
        query_image: The picture searched for, as a JPEG file's bytes.
    """
    facts = {
        "question": question,
        "query_picture": _picture_address(query_image),
        "views": views,
        "video_count": len({view.moment.video.id for view in views}),
        "longest_text": _LONGEST_TEXT,
        "modality_names": MODALITY_NAMES,
        "picture_of": lambda view: _picture_address(jpeg_at(view.moment.thumbnail)),
        "link_to": _link_to,
        "readable_path": readable_path,
    }
    return printable(rendered("ui.export", "search.html.j2", facts))


def _picture_address(jpeg: bytes | None) -> str:
    return "" if jpeg is None else data_address(jpeg, "image/jpeg")


def _link_to(view: MomentView) -> str:
    """A ``file:`` address that opens the video at the moment's second."""
    seconds = f"{view.moment.time_s:.3f}".rstrip("0").rstrip(".")
    return f"{view.moment.video.path.absolute().as_uri()}#t={seconds}"
