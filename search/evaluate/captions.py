"""Reads files of queries with known answers, in the forms that people and the field's data sets use.

The form is told by the content, never by the file's name:

- **a table with a heading**: CSV (commas, semicolons or tabs), one row per line, with a column for the query
  (``query``, ``sentence``, ``caption``, ``text`` or ``description``) and one for the video (``file``, ``video``,
  ``video_id``, ``path`` ...), and as far as wanted ``start_s``, ``end_s``, ``query_id`` and ``relevance``. The
  ``queries.csv`` of this project, MSR-VTT's ``JSFUSION_test.csv`` and QuerYD's times as a table are such files.
- **JSON**: MSR-VTT's (``videos`` and ``sentences``); a list of objects with such names; or an object from video to
  caption, captions, objects, or ``{"sentences": [...], "timestamps": [[start, end], ...]}``, as QuerYD and
  ActivityNet Captions have them. **JSON lines**: one such object per line.
- **LSMDC**: tab separated, without a heading: clip, start and end in the film, anything, sentence.
- **MSVD**: one caption per line, ``VIDEO CAPTION``; a line that begins with ``#`` is a comment.

Each caption of a data set is a query of its own, as the published figures count them; in a table without query ids,
rows with the same text are one query with several answers. A row that cannot be used is named and counted.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from indexer.core.errors import QueryError
from search.evaluate.qrels import Judgement, Queries, SkippedRow, text_lines
from search.query.query import is_visible

__all__ = ["read_queries", "seconds_of"]

Fields: TypeAlias = Mapping[str, Any]

_NAMES = {
    "text": ("query", "sentence", "caption", "text", "description"),
    "video": ("file", "video", "video_id", "video_name", "videoid", "clip", "path", "vid", "filename"),
    "start": ("start_s", "start", "start_time", "start time"),
    "end": ("end_s", "end", "end_time", "end time"),
    "times": ("times", "timestamps", "timestamp", "relevant_windows"),
    "query_id": ("query_id", "qid", "sen_id", "key"),
    "relevance": ("relevance", "rel"),
}
_CAPTIONS = ("sentences", "captions", "descriptions")
_CUT_OUT = re.compile(r"_\d\d\.\d\d\.\d\d\.\d{3}-\d\d\.\d\d\.\d\d\.\d{3}$")
_LOOKED_AT = 20


@dataclass(frozen=True, slots=True)
class _Row:
    """A row by the names used here; ``problem`` says what is wrong with one that could not even be split."""

    place: str
    fields: Fields
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Table:
    """The rows of a file, and whether those of one text and no id are one query."""

    form: str
    rows: Iterator[_Row]
    by_text: bool = False


@dataclass(slots=True)
class _Collected:
    """The judgements of the rows seen so far."""

    by_text: bool
    judgements: list[Judgement] = field(default_factory=list)
    skipped: list[SkippedRow] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)

    def add(self, number: int, row: _Row) -> None:
        try:
            self.judgements += self._judgements(number, row)
        except ValueError as error:
            self.skipped.append(SkippedRow(row.place, str(error)))

    def _judgements(self, number: int, row: _Row) -> list[Judgement]:
        if row.problem:
            raise ValueError(row.problem)
        text = _checked_text(row.fields.get("text"))
        given = row.fields.get("query_id")
        query = self._id(text, number) if given in (None, "") else str(given)
        if self.texts.get(query, text) != text:
            raise ValueError(f"the query id {query} stands for another text already")
        video, film = str(row.fields.get("video") or "").strip(), str(row.fields.get("film") or "")
        relevance = _relevance(row.fields.get("relevance"))
        found = [Judgement(query, text, video, start, end, relevance, film) for start, end in _spans(row.fields)]
        self.texts[query] = text
        return found

    def _id(self, text: str, number: int) -> str:
        return self.ids.setdefault(text, str(number)) if self.by_text else str(number)


def read_queries(path: Path) -> Queries:
    """Read a file of queries with known answers; see the module for its forms.

    Raises:
        QueryError: the file cannot be read, or has not a single row that can be used.
    """
    lines = text_lines(path)
    table = _table(path, lines)
    collected = _Collected(table.by_text)
    for number, row in enumerate(table.rows, start=1):
        collected.add(number, row)
    if not collected.judgements:
        why = f" {_sentence(str(collected.skipped[0]))}" if collected.skipped else ""
        raise QueryError(
            f"{path} has no query that can be used (it was read as {table.form}).{why}",
            hint="Give a CSV file with the columns query, file, start_s, end_s; the last two may be left out.",
        )
    return Queries(tuple(collected.judgements), tuple(collected.skipped), table.form, str(path))


def seconds_of(text: object) -> float | None:
    """A time in seconds from a number, ``12.5``, ``1:02:03.5`` or ``01.02.03.500``; None from nothing.

    Raises:
        ValueError: it is no time.
    """
    written = str(text if text is not None else "").strip()
    if not written:
        return None
    if re.fullmatch(r"\d\d\.\d\d\.\d\d\.\d{3}", written):
        written = ":".join(written.split(".", 2)[:2]) + ":" + written.split(".", 2)[2]
    seconds = 0.0
    try:
        for part in written.split(":"):
            seconds = 60 * seconds + float(part)
    except ValueError:
        raise ValueError(f"'{written}' is no time") from None
    return seconds


def _table(path: Path, lines: Sequence[str]) -> _Table:
    """The rows by the form that the content has."""
    first = next((line.strip() for line in lines if line.strip()), "")
    if first.startswith(("{", "[")):
        return _json_table(path, lines)
    separator = next((sign for sign in ",;\t" if _is_heading(_split(first, sign))), "")
    if separator:
        return _Table("a table with a heading", _table_rows(lines, separator), by_text=True)
    if _mostly(lines, _is_lsmdc):
        return _Table("LSMDC", _lsmdc_rows(lines))
    return _Table("MSVD", _msvd_rows(lines))


def _is_heading(cells: Sequence[str]) -> bool:
    return {"text", "video"} <= _renamed(dict.fromkeys(cells, "")).keys()


def _mostly(lines: Sequence[str], is_so: Callable[[str], bool]) -> bool:
    seen = [line for line in lines if line.strip()][:_LOOKED_AT]
    return 2 * sum(map(is_so, seen)) > len(seen)


def _is_lsmdc(line: str) -> bool:
    cells = line.split("\t")
    try:
        return len(cells) >= 4 and None not in (seconds_of(cells[1]), seconds_of(cells[2]))
    except ValueError:
        return False


def _lsmdc_rows(lines: Sequence[str]) -> Iterator[_Row]:
    for place, line in _numbered(lines):
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) < 4:
            yield _Row(place, {}, "it has fewer than four columns")
            continue
        clip = cells[0]
        film = _CUT_OUT.sub("", clip)
        yield _Row(
            place,
            {
                "video": clip,
                "start": cells[1],
                "end": cells[2],
                "text": cells[-1],
                "film": film if film != clip else "",
            },
        )


def _msvd_rows(lines: Sequence[str]) -> Iterator[_Row]:
    for place, line in _numbered(lines):
        if not line.startswith("#"):
            video, *caption = line.split(maxsplit=1)
            yield _Row(place, {"video": video, "text": "".join(caption)})


def _table_rows(lines: Sequence[str], separator: str) -> Iterator[_Row]:
    heading: list[str] = []
    for place, line in _numbered(lines):
        try:
            cells = _split(line, separator)
        except csv.Error as error:
            yield _Row(place, {}, f"its quotation marks do not match ({error})")
            continue
        if not heading:
            heading = cells
        elif len(cells) > len(heading):
            yield _Row(place, {}, f"it has {len(cells)} columns instead of {len(heading)}")
        else:
            yield _Row(place, _renamed(dict(zip(heading, cells, strict=False))))


def _split(line: str, separator: str) -> list[str]:
    """The cells of a line. Tabs need no quotation marks, so there those are part of the text."""
    if separator == "\t":
        return line.split("\t")
    return next(csv.reader([line], delimiter=separator, strict=True, skipinitialspace=True), [])


def _json_table(path: Path, lines: Sequence[str]) -> _Table:
    try:
        content = json.loads("\n".join(lines))
    except RecursionError as error:
        raise QueryError(f"{path} is nested too deeply to be read.", hint="Give a CSV file.") from error
    except json.JSONDecodeError as error:
        if _mostly(lines, _is_json_object):
            return _Table("JSON lines", _json_line_rows(lines), by_text=True)
        raise QueryError(
            f"{path} is no valid JSON: {error.msg}, line {error.lineno}.", hint="Mend that line, or give a CSV file."
        ) from error
    if isinstance(content, dict) and isinstance(content.get("sentences"), list):
        return _Table("MSR-VTT", _listed(content["sentences"], "sentences", {}))
    if isinstance(content, list):
        return _Table("a JSON list", _listed(content, "entry", {}), by_text=True)
    return _Table("JSON by video", _rows_by_video(content))


def _is_json_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except json.JSONDecodeError:
        return False


def _json_line_rows(lines: Sequence[str]) -> Iterator[_Row]:
    for place, line in _numbered(lines):
        if _is_json_object(line):
            yield _Row(place, _renamed(json.loads(line)))
        else:
            yield _Row(place, {}, "it is no JSON object")


def _rows_by_video(content: Fields) -> Iterator[_Row]:
    for video, told in content.items():
        captions = next((told[name] for name in _CAPTIONS if name in told), None) if isinstance(told, dict) else None
        if isinstance(captions, list):
            yield from _listed(_timed(captions, _renamed(told).get("times")), video, {"video": video})
        else:
            yield from _listed(told if isinstance(told, list) else [told], video, {"video": video})


def _timed(captions: list[Any], times: Any) -> list[Any]:
    """Captions with the times that stand in a list beside them; a time too many or too few cannot be told apart."""
    if not isinstance(times, list):
        return captions
    if len(times) != len(captions):
        return [{"problem": f"there are {len(captions)} captions and {len(times)} times"}]
    return [{"text": caption, "times": [time]} for caption, time in zip(captions, times, strict=True)]


def _listed(entries: list[Any], where: str, known: Fields) -> Iterator[_Row]:
    for number, entry in enumerate(entries, start=1):
        place = f"{where} {number}"
        if isinstance(entry, str):
            yield _Row(place, {"text": entry, **known})
        elif isinstance(entry, dict):
            yield _Row(place, {**known, **_renamed(entry)}, str(entry.get("problem", "")))
        else:
            yield _Row(place, {}, "it is neither a text nor an object")


def _renamed(entry: Fields) -> dict[str, Any]:
    """The fields that are known, by the names used here; of several names for one thing, the first in ``_NAMES``."""
    given = {str(name).strip().casefold(): value for name, value in entry.items()}
    chosen = {ours: next((name for name in names if name in given), "") for ours, names in _NAMES.items()}
    return {ours: given[name] for ours, name in chosen.items() if name}


def _spans(fields: Fields) -> list[tuple[float | None, float | None]]:
    """The spans of a row: of ``times``, one pair or several; else of ``start`` and ``end``."""
    times = fields.get("times")
    if not times:
        return [(seconds_of(fields.get("start")), seconds_of(fields.get("end")))]
    pairs = times if isinstance(times, list) and isinstance(times[0], list) else [times]
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise ValueError(f"'{times}' is no start and end")
    return [(seconds_of(start), seconds_of(end)) for start, end in pairs]


def _checked_text(value: object) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if not is_visible(text):
        raise ValueError("it lacks the query")
    if any("\ud800" <= sign <= "\udfff" for sign in text):
        raise ValueError("it is not written in UTF-8")
    return text


def _relevance(value: object) -> int:
    """The relevance, 1 where it is not given."""
    if value in (None, ""):
        return 1
    try:
        return int(str(value))
    except ValueError:
        raise ValueError(f"'{value}' is no relevance, which is a whole number") from None


def _numbered(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    return ((f"line {number}", line) for number, line in enumerate(lines, start=1) if line.strip())


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
