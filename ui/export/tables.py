"""Moments as rows of a table (CSV) and as one document (JSON)."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from typing import TYPE_CHECKING

from ui.export.html_page import format_time
from ui.services.answers import as_json, best_hits

if TYPE_CHECKING:
    from search.engine import Ranking
    from search.moments import Moment

__all__ = ["COLUMNS", "as_csv", "as_json_text"]

COLUMNS = (
    "rank",
    "title",
    "label",
    "path",
    "start_s",
    "end_s",
    "start",
    "end",
    "score",
    "confidence",
    "modalities",
    "text",
    "video_id",
)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]")


def as_csv(ranking: Ranking) -> bytes:
    """One row a moment, below the names in ``COLUMNS``, as RFC 4180 has it: commas, and CRLF at the end of a row.

    The file is UTF-8 and begins with a byte order mark: without one Excel reads it in the computer's old code page and
    spoils every accent; other programs skip it (in Python, ``utf-8-sig``). ``start_s`` and ``end_s`` are seconds,
    ``start`` and ``end`` the same as h:mm:ss, ``text`` what matched in each kind of evidence. A text that a
    spreadsheet would take for a formula has an apostrophe in front.
    """
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for rank, moment in enumerate(ranking.moments, start=ranking.query.offset + 1):
        writer.writerow([_cell(value) for value in _row(rank, moment)])
    return file.getvalue().encode("utf-8-sig")


def as_json_text(ranking: Ranking, question: str) -> bytes:
    """The very document that ``sceneseek search --json`` prints, in UTF-8."""
    text = json.dumps(as_json(ranking, question), ensure_ascii=False, indent=2)
    return text.encode("utf-8", "backslashreplace") + b"\n"


def _row(rank: int, moment: Moment) -> tuple[object, ...]:
    video = moment.video
    texts = dict.fromkeys(hit.text for hit in best_hits(moment) if hit.text)
    return (
        rank,
        video.title,
        video.label,
        os.fsencode(video.path).decode("utf-8", "backslashreplace"),
        round(moment.start_s, 3),
        round(moment.end_s, 3),
        format_time(moment.start_s),
        format_time(moment.end_s),
        round(moment.score, 6),
        None if moment.confidence is None else round(moment.confidence, 4),
        " ".join(moment.modalities),
        " | ".join(texts),
        video.id,
    )


def _cell(value: object) -> object:
    """A cell on one line that no spreadsheet computes."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return value
    line = _CONTROLS.sub(" ", value.encode("utf-8", "backslashreplace").decode("utf-8"))
    return f"'{line}" if _FORMULA.match(line) else line
