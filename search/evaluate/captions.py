"""Reads files of queries with known answers. The form is recognised by the content, never by the file's name:

- **a table with a heading**: commas, semicolons or tabs, one row per line; ``_NAMES`` has the names of its columns.
  MSR-VTT's ``JSFUSION_test.csv`` is one.
- **JSON**: MSR-VTT's (``sentences``); a list of objects with such names; or an object from video to caption, captions,
  objects, or ``{"sentences": [...], "timestamps": [[start, end], ...]}``, as in QuerYD and ActivityNet Captions.
  **JSON lines**: one object per line.
- **LSMDC**: tab separated, without a heading: clip, start and end in the film, anything, sentence.
- **MSVD**: one caption per line, ``VIDEO CAPTION``; a line that begins with ``#`` is a comment.

Each caption of a data set is a query of its own, as the published figures count them; in a table without query ids,
rows with the same text are one query with several answers.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from indexer.core.errors import QueryError
from search.evaluate.qrels import Judgement, Queries, SkippedRow, text_lines
from search.query.query import is_visible

# The fields of a row by the keys of ``_NAMES``, and ``film`` where the video is cut from one.
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


class _Form(NamedTuple):
    """A file's rows with their places, and how to parse one, with a ValueError for a bad one.

    ``by_text`` makes rows with the same text and no id one query.
    """

    name: str
    rows: Iterable[tuple[str, Any]]
    parse: Callable[[Any], Fields]
    by_text: bool = False


def read_queries(path: Path) -> Queries:
    """Read a file of queries with known answers; the module lists its forms.

    Raises:
        QueryError: the file cannot be read, or has no row that can be used.
    """
    form = _recognised(path, text_lines(path))
    judgements: list[Judgement] = []
    skipped: list[SkippedRow] = []
    texts: dict[str, str] = {}
    ids: dict[str, str] = {}
    for number, (place, row) in enumerate(form.rows, start=1):
        try:
            fields = form.parse(row)
            text = _text_of(fields)
            default = ids.setdefault(text, str(number)) if form.by_text else str(number)
            found = _judgements(fields, text, default)
            if texts.setdefault(found[0].query_id, text) != text:
                raise ValueError(f"the query id {found[0].query_id} stands for another text already")
            judgements += found
        except ValueError as error:
            skipped.append(SkippedRow(place, str(error)))
    if not judgements:
        first = str(skipped[0]) if skipped else ""
        why = f" {first[0].upper()}{first[1:]}." if first else ""
        hint = "Give a CSV file with the columns query, file, start_s, end_s; the last two may be left out."
        raise QueryError(f"{path} has no query that can be used (it was read as {form.name}).{why}", hint=hint)
    return Queries(tuple(judgements), tuple(skipped), form.name, str(path))


def seconds_of(text: object) -> float | None:
    """Seconds from a number, ``12.5``, ``1:02:03.5`` or ``01.02.03.500``; None from nothing. Raises ValueErrors."""
    written = str(text if text is not None else "").strip()
    if not written:
        return None
    if re.fullmatch(r"\d\d\.\d\d\.\d\d\.\d{3}", written):
        written = written.replace(".", ":", 2)
    seconds = 0.0
    try:
        for part in written.split(":"):
            seconds = 60 * seconds + float(part)
    except ValueError:
        raise ValueError(f"'{written}' is not a time") from None
    return seconds


def _text_of(fields: Fields) -> str:
    given = fields.get("text")
    text = given.strip() if isinstance(given, str) else ""
    if not is_visible(text):
        raise ValueError("it lacks the query")
    if any("\ud800" <= sign <= "\udfff" for sign in text):
        raise ValueError("it is not written in UTF-8")
    return text


def _judgements(fields: Fields, text: str, default_id: str) -> list[Judgement]:
    given = fields.get("query_id")
    query = default_id if given in (None, "") else str(given)
    video, film = str(fields.get("video") or "").strip(), str(fields.get("film") or "")
    relevance = fields.get("relevance")
    try:
        gain = 1 if relevance in (None, "") else int(str(relevance))
    except ValueError:
        raise ValueError(f"'{relevance}' is not a relevance, which is a whole number") from None
    spans = [(seconds_of(start), seconds_of(end)) for start, end in _times(fields)]
    return [Judgement(query, text, video, start_s, end_s, gain, film) for start_s, end_s in spans]


def _times(fields: Fields) -> list[Any]:
    """The pairs of start and end of a row."""
    times = fields.get("times")
    if not times:
        return [(fields.get("start"), fields.get("end"))]
    pairs = times if isinstance(times, list) and isinstance(times[0], list) else [times]
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise ValueError(f"'{times}' is not a start and an end")
    return pairs


def _recognised(path: Path, lines: Sequence[str]) -> _Form:
    rows = [(f"line {number}", line) for number, line in enumerate(lines, start=1) if line.strip()]
    first = rows[0][1] if rows else ""
    if first.lstrip().startswith(("{", "[")):
        return _json_form(path, lines, rows)
    for separator in ",;\t":
        with suppress(ValueError):
            heading = _split(first, separator)
            if {"text", "video"} <= _renamed(dict.fromkeys(heading, "")).keys():
                parse = partial(_table_fields, heading, separator)
                return _Form("a table with a heading", rows[1:], parse, by_text=True)
    if _mostly(rows, _lsmdc_times):
        return _Form("LSMDC", rows, _lsmdc_fields)
    return _Form("MSVD", [row for row in rows if not row[1].startswith("#")], _msvd_fields)


def _json_form(path: Path, lines: Sequence[str], rows: Sequence[tuple[str, str]]) -> _Form:
    try:
        content = json.loads("\n".join(lines))
    except RecursionError as error:
        raise QueryError(f"{path} is nested too deeply to be read.", hint="Give a CSV file.") from error
    except json.JSONDecodeError as error:
        if _mostly(rows, _json_line_fields):
            return _Form("JSON lines", rows, _json_line_fields, by_text=True)
        hint = "Correct that line, or give a CSV file."
        raise QueryError(f"{path} is not valid JSON: {error.msg}, line {error.lineno}.", hint=hint) from error
    if isinstance(content, dict) and isinstance(content.get("sentences"), list):
        return _Form("MSR-VTT", _entries(content["sentences"], "sentences"), _entry_fields)
    if isinstance(content, list):
        return _Form("a JSON list", _entries(content, "entry"), _entry_fields, by_text=True)
    return _Form("JSON by video", _entries_by_video(content), _entry_fields)


def _mostly(rows: Sequence[tuple[str, str]], parse: Callable[[str], object]) -> bool:
    """Whether most of the first lines can be parsed."""
    parsed = 0
    for _, line in rows[:_LOOKED_AT]:
        with suppress(ValueError):
            parse(line)
            parsed += 1
    return 2 * parsed > len(rows[:_LOOKED_AT])


def _table_fields(heading: Sequence[str], separator: str, line: str) -> Fields:
    cells = _split(line, separator)
    if len(cells) > len(heading):
        raise ValueError(f"it has {len(cells)} columns instead of {len(heading)}")
    return _renamed(dict(zip(heading, cells, strict=False)))


def _split(line: str, separator: str) -> list[str]:
    """The cells of one line alone, so that a quotation mark left open does not swallow the rows after it."""
    if separator == "\t":  # where quotation marks are part of the text
        return line.split("\t")
    try:
        return next(csv.reader([line], delimiter=separator, strict=True, skipinitialspace=True), [])
    except csv.Error as error:
        raise ValueError(f"its quotation marks do not match ({error})") from error


def _lsmdc_fields(line: str) -> Fields:
    cells = [cell.strip() for cell in line.split("\t")]
    if len(cells) < 4:
        raise ValueError("it has fewer than four columns")
    clip, start, end, *_, text = cells
    film = _CUT_OUT.sub("", clip)
    return {"video": clip, "start": start, "end": end, "text": text, "film": film if film != clip else ""}


def _lsmdc_times(line: str) -> None:
    fields = _lsmdc_fields(line)
    if None in (seconds_of(fields["start"]), seconds_of(fields["end"])):
        raise ValueError("it has no times")


def _msvd_fields(line: str) -> Fields:
    video, *caption = line.split(maxsplit=1)
    return {"video": video, "text": "".join(caption)}


def _json_line_fields(line: str) -> Fields:
    with suppress(json.JSONDecodeError):
        if isinstance(entry := json.loads(line), dict):
            return _renamed(entry)
    raise ValueError("it is not a JSON object")


def _entries(entries: Sequence[Any], where: str, **known: str) -> Iterator[tuple[str, Any]]:
    return ((f"{where} {number}", (entry, known)) for number, entry in enumerate(entries, start=1))


def _entries_by_video(content: Fields) -> Iterator[tuple[str, Any]]:
    for video, entry in content.items():
        listed = next((entry[name] for name in _CAPTIONS if name in entry), None) if isinstance(entry, dict) else None
        if not isinstance(listed, list):
            listed = entry if isinstance(entry, list) else [entry]
        elif isinstance(times := _renamed(entry).get("times"), list):
            timed = [{"text": caption, "times": [time]} for caption, time in zip(listed, times, strict=False)]
            mismatch = ValueError(f"there are {len(listed)} captions and {len(times)} times")
            listed = timed if len(times) == len(listed) else [mismatch]
        yield from _entries(listed, video, video=video)


def _entry_fields(row: tuple[Any, Fields]) -> Fields:
    entry, known = row
    if isinstance(entry, ValueError):
        raise entry
    if not isinstance(entry, str | dict):
        raise ValueError("it is neither a text nor an object")  # noqa: TRY004 - the row is wrong, not our types
    return {**known, **(_renamed(entry) if isinstance(entry, dict) else {"text": entry})}


def _renamed(entry: Fields) -> dict[str, Any]:
    """The known fields by the keys of ``_NAMES``; of several names for one, the first listed there."""
    given = {str(name).strip().casefold(): value for name, value in entry.items()}
    chosen = {ours: next((name for name in names if name in given), "") for ours, names in _NAMES.items()}
    return {ours: given[name] for ours, name in chosen.items() if name}
