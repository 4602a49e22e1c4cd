"""Moments as rows of a table (CSV) and as one document (JSON)."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING

from ui.services.answers import MomentView, as_json, best_hits, moment_views
from ui.services.wording import format_time, readable_path

if TYPE_CHECKING:
    from search.engine import Ranking

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]")
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


def as_csv(ranking: Ranking) -> bytes:
    """Write one row per moment below a row of headings, as RFC 4180 has it: commas, and CRLF after each row.

    The file is UTF-8 with a byte order mark: without one, Excel reads it in the computer's old code page and spoils
    every accent; other programs skip it (in Python, ``utf-8-sig``). ``start_s`` and ``end_s`` are seconds, ``start``
    and ``end`` the same as h:mm:ss, ``text`` what matched in each modality. A text that a spreadsheet would take for a
    formula gets an apostrophe in front.
    """
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    writer.writerows([_cell(value) for value in _row(view)] for view in moment_views(ranking))
    return file.getvalue().encode("utf-8-sig")


def as_json_text(ranking: Ranking, question: str) -> bytes:
    """Write the document that ``sceneseek search --json`` prints, in UTF-8."""
    text = json.dumps(as_json(ranking, question), ensure_ascii=False, indent=2)
    return text.encode("utf-8", "backslashreplace") + b"\n"


def _row(view: MomentView) -> tuple[object, ...]:
    moment = view.moment
    texts = dict.fromkeys(hit.text for hit in best_hits(moment) if hit.text)
    return (
        view.rank,
        moment.video.title,
        moment.video.label,
        readable_path(moment.video.path, "backslashreplace"),
        round(moment.start_s, 3),
        round(moment.end_s, 3),
        format_time(moment.start_s),
        format_time(moment.end_s),
        round(moment.score, 6),
        "" if moment.confidence is None else round(moment.confidence, 4),
        " ".join(moment.modalities),
        " | ".join(texts),
        moment.video.id,
    )


def _cell(value: object) -> object:
    """Put a text on one line, and make sure that no spreadsheet computes it."""
    if not isinstance(value, str):
        return value
    line = _CONTROLS.sub(" ", value.encode("utf-8", "backslashreplace").decode("utf-8"))
    return f"'{line}" if _FORMULA.match(line) else line
