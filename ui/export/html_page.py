"""A search as one HTML file: pictures inline, nothing fetched, readable offline, on a phone and on paper.

All text on it is untrusted: the template escapes it, and the page's policy forbids scripts and anything from elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from search.html import data_address, jpeg_at, printable, rendered
from search.modalities import headings
from ui.services.answers import MomentView, moment_views
from ui.services.query_pictures import small_jpeg
from ui.services.wording import readable_path

if TYPE_CHECKING:
    from search.engine import Ranking

_LONGEST_TEXT = 400


def as_page(ranking: Ranking, question: str) -> bytes:
    """Write the page of one search as a complete HTML document, in UTF-8.

    It shows the picture that was searched for, and says what to try where nothing was found.

    Args:
        ranking: What was found.
        question: What was searched for; may be empty for a search by picture.
    """
    image = ranking.query.image
    facts = {
        "question": question,
        "query_picture": _picture_address(None if image is None else small_jpeg(image)),
        "views": moment_views(ranking),
        "video_count": len({moment.video.id for moment in ranking.moments}),
        "longest_text": _LONGEST_TEXT,
        "modality_names": headings(),
        "picture_of": lambda view: _picture_address(jpeg_at(view.moment.thumbnail)),
        "link_to": _link_to,
        "readable_path": readable_path,
    }
    return printable(rendered("ui.export", "search.html.j2", facts)).encode()


def _picture_address(jpeg: bytes | None) -> str:
    return "" if jpeg is None else data_address(jpeg, "image/jpeg")


def _link_to(view: MomentView) -> str:
    """A ``file:`` address that opens the video at the moment's second."""
    seconds = f"{view.moment.time_s:.3f}".rstrip("0").rstrip(".")
    return f"{view.moment.video.path.absolute().as_uri()}#t={seconds}"
