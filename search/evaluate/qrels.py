"""Queries with known answers, and relevance judgements in TREC's form.

A document is a video, named by its id in the index, or a moment, named ``VIDEO@START-END`` in seconds with three
decimals. Blanks separate the fields of TREC files, so blanks, control characters and ``%`` in an id are written as in
web addresses (``%20``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeVar
from urllib.parse import quote, unquote

from indexer.core.errors import QueryError
from search.evaluate.files import write_whole

Qrels: TypeAlias = Mapping[str, Mapping[str, int]]
"""Query id to document id to relevance, 1 or more for an answer."""

T = TypeVar("T")

_UNSAFE = re.compile(r"[\s%\x00-\x1f\x7f\ud800-\udfff]")
_MOMENT = re.compile(r"(?P<video>.+)@(?P<start>\d+\.\d{3})-(?P<end>\d+\.\d{3})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Judgement:
    """One row of a file of queries: this video, or this span of it, answers this query.

    The video is named by a path, the end of one, an id, or a file name without its ending. Without times, all of it is
    the answer. A relevance of 0 says that it does not answer. Where the video is a clip of a ``film`` that may be
    indexed instead, the times are those of the film, and the clip as a whole is the answer.

    Raises:
        ValueError: the query or the video is not named, or the times are not a span.
    """

    query_id: str
    text: str
    video: str
    start_s: float | None = None
    end_s: float | None = None
    relevance: int = 1
    film: str = ""

    def __post_init__(self) -> None:
        if not (self.query_id and self.text and self.video):
            raise ValueError("it lacks the query or the video")
        if (self.start_s is None) != (self.end_s is None):
            raise ValueError("it has only one of start and end")
        if self.start_s is not None and self.end_s is not None and not 0 <= self.start_s < self.end_s < math.inf:
            raise ValueError(f"{self.start_s:g} to {self.end_s:g} is not a span of time")


@dataclass(frozen=True, slots=True)
class SkippedRow:
    """A row that could not be used: where it stands, and why not."""

    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Queries:
    """The contents of a file of queries; ``form`` names the kind of file that it was read as."""

    judgements: tuple[Judgement, ...]
    skipped: tuple[SkippedRow, ...] = ()
    form: str = ""
    source: str = ""

    @property
    def texts(self) -> dict[str, str]:
        """The text of every query by its id, in the order of the file."""
        return {row.query_id: row.text for row in self.judgements}


@dataclass(frozen=True, slots=True)
class RelevantSpan:
    """A half-open span of a video in seconds."""

    video_id: str
    start_s: float
    end_s: float

    def iou(self, other: RelevantSpan) -> float:
        """The intersection over the union of two spans, in [0, 1]; 0 for spans of two videos and for empty ones."""
        shared = min(self.end_s, other.end_s) - max(self.start_s, other.start_s)
        if self.video_id != other.video_id or shared <= 0:
            return 0.0
        return shared / (max(self.end_s, other.end_s) - min(self.start_s, other.start_s))


def answerable(qrels: Qrels) -> Qrels:
    """Only the queries that some document is relevant to."""
    return {query: judged for query, judged in qrels.items() if max(judged.values(), default=0) > 0}


def moment_id(span: RelevantSpan) -> str:
    """The document id of a moment; ``span_of`` reads it back, to the millisecond."""
    return f"{span.video_id}@{span.start_s:.3f}-{span.end_s:.3f}"


def span_of(document_id: str) -> RelevantSpan | None:
    """The moment that a document id names; None for the id of a video."""
    found = _MOMENT.fullmatch(document_id)
    return RelevantSpan(found["video"], float(found["start"]), float(found["end"])) if found else None


def escape_id(text: str) -> str:
    """The id without blanks; ``unescape_id`` is the way back."""
    return _UNSAFE.sub(lambda sign: quote(sign[0], safe="", errors="surrogatepass"), text)


def unescape_id(text: str) -> str:
    """The id as it was before ``escape_id``."""
    return unquote(text, errors="surrogatepass") if "%" in text else text


def read_qrels(path: Path) -> Qrels:
    """Read judgements in TREC's form: query, an unused column, document, relevance. Raises as ``read_trec`` does."""
    judged: dict[str, dict[str, int]] = {}
    rows = read_trec(
        path, lambda query, _, document, relevance: (query, document, int(relevance)), "QUERY 0 DOCUMENT RELEVANCE"
    )
    for query, document, relevance in rows:
        judged.setdefault(query, {})[document] = relevance
    return judged


def write_qrels(path: Path, qrels: Qrels) -> Path:
    """Write judgements in TREC's form; a UsageError if the file cannot be written."""
    rows = ((query, document, gain) for query, judged in qrels.items() for document, gain in judged.items())
    return write_whole(path, "".join(f"{escape_id(query)} 0 {escape_id(name)} {gain}\n" for query, name, gain in rows))


def read_trec(path: Path, parse: Callable[..., T], form: str, line_name: str = "judgement") -> list[T]:
    """What ``parse`` makes of the fields of each line; errors name ``form`` and ``line_name``.

    Raises:
        QueryError: the file cannot be read, or a line is not of the form.
    """
    parsed = []
    for number, line in enumerate(text_lines(path), start=1):
        try:
            if line.strip():
                parsed.append(parse(*map(unescape_id, line.split())))
        except (TypeError, ValueError) as error:
            raise QueryError(f"{path}, line {number} is not a {line_name}.", hint=f"TREC's form is: {form}.") from error
    return parsed


def text_lines(path: Path) -> list[str]:
    """The lines of a text file; bytes that are not UTF-8 become lone surrogates, so that their line can be named.

    Raises:
        QueryError: it cannot be read.
    """
    try:
        return path.read_text("utf-8-sig", "surrogateescape").split("\n")
    except OSError as error:
        raise QueryError(f"{path} cannot be read: {error.strerror or error}.", hint="Check the file's name.") from error
