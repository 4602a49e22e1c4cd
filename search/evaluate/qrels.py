"""Queries with known answers, the indexed videos that they mean, and relevance judgements in TREC's form.

A document is a video, named by its id in the index, or a moment, named ``VIDEO@START-END`` in seconds with three
decimals. Blanks separate the fields of TREC files, so blanks, control characters and ``%`` in an id are written as in
web addresses (``%20``).
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TypeAlias
from urllib.parse import quote, unquote

from indexer.core.errors import QueryError
from indexer.core.types import Video
from search.catalogue import Catalogue, expanded
from search.evaluate import write_whole

Qrels: TypeAlias = Mapping[str, Mapping[str, int]]  # query id to document id to relevance, 1 or more for an answer

_UNSAFE = re.compile(r"[\s%\x00-\x1f\x7f\ud800-\udfff]")
_MOMENT = re.compile(r"(?P<video>.+)@(?P<start>\d+\.\d{3})-(?P<end>\d+\.\d{3})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Judgement:
    """One row of a file of queries: this video, or this span of it, answers this query; not at a relevance of 0.

    Where the video is a clip of a ``film`` that may be indexed instead, the times are those of the film, and the clip
    as a whole is the answer.

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
    """The id without blanks, as ``read_trec`` reads it back."""
    return _UNSAFE.sub(lambda sign: quote(sign[0], safe="", errors="surrogatepass"), text)


def read_qrels(path: Path) -> Qrels:
    """Read judgements in TREC's form; raises as ``read_trec`` does."""
    judged: dict[str, dict[str, int]] = {}

    def parse(query: str, _: str, document: str, relevance: str) -> None:
        judged.setdefault(query, {})[document] = int(relevance)

    read_trec(path, parse, "QUERY 0 DOCUMENT RELEVANCE")
    return judged


def write_qrels(path: Path, qrels: Qrels) -> Path:
    """Write judgements in TREC's form."""
    rows = ((query, document, gain) for query, judged in qrels.items() for document, gain in judged.items())
    return write_whole(path, "".join(f"{escape_id(query)} 0 {escape_id(name)} {gain}\n" for query, name, gain in rows))


def read_trec(path: Path, parse: Callable[..., None], form: str, line_name: str = "judgement") -> None:
    """Call ``parse`` with the fields of each line; errors name ``form`` and ``line_name``.

    Raises:
        QueryError: the file cannot be read, or a line is not of the form.
    """
    for number, line in enumerate(text_lines(path), start=1):
        try:
            if line.strip():
                parse(*(unquote(field, errors="surrogatepass") for field in line.split()))
        except (TypeError, ValueError) as error:
            raise QueryError(f"{path}, line {number} is not a {line_name}.", hint=f"TREC's form is: {form}.") from error


def text_lines(path: Path) -> list[str]:
    """The lines of a text file. Raises a QueryError if it cannot be read.

    Bytes that are not UTF-8 become lone surrogates, so that their line can be named.
    """
    try:
        return path.read_text("utf-8-sig", "surrogateescape").split("\n")
    except OSError as error:
        raise QueryError(f"{path} cannot be read: {error.strerror or error}.", hint="Check the file's name.") from error


@dataclass(frozen=True, slots=True)
class Topics:
    """Queries whose answers are in the index; ``unmatched`` are the names of videos that mean none here, or several."""

    texts: Mapping[str, str]
    videos: Qrels
    moments: Qrels
    unmatched: tuple[SkippedRow, ...] = ()


def video_finder(catalogue: Catalogue) -> Callable[[str], Video]:
    """A function that finds a video by id, path, or the end of a path, with the file's ending or without.

    Raises, when it is called, a LookupError where there is no such video, or several.
    """
    by_tail: dict[tuple[str, ...], set[str]] = defaultdict(set)
    by_stem: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for video_id, video in catalogue.videos.items():
        for path in {video.path, *(place.path for place in catalogue.commits[video_id].locations)}:
            for start in range(len(path.parts)):
                by_tail[path.parts[start:]].add(video_id)
                by_stem[path.with_suffix("").parts[start:]].add(video_id)

    def find(named: str) -> Video:
        if named in catalogue.videos:
            return catalogue.videos[named]
        parts = PurePath(named).parts
        found = by_tail.get(expanded(named).parts) or by_tail.get(parts) or by_stem.get(parts, set())
        if not found:
            raise LookupError("there is no such video in the index")
        if len(found) > 1:
            places = sorted(str(catalogue.videos[key].path) for key in found)
            raise LookupError(f"it could be {' or '.join(places[:2])}")
        return catalogue.videos[next(iter(found))]

    return find


def match_queries(queries: Queries, catalogue: Catalogue) -> Topics:
    """The queries with an answer in the index; of several rows of one video and query, the highest relevance counts.

    Raises:
        QueryError: no query has an answer in the index.
    """
    videos: dict[str, dict[str, int]] = defaultdict(dict)
    moments: dict[str, dict[str, int]] = defaultdict(dict)
    unmatched: Counter[tuple[str, str]] = Counter()
    find = video_finder(catalogue)
    for row in queries.judgements:
        try:
            span = _span(row, find)
        except LookupError as error:
            unmatched[row.video, str(error)] += 1
            continue
        judged = videos[row.query_id]
        judged[span.video_id] = max(row.relevance, judged.get(span.video_id, 0))
        if span.end_s:
            moments[row.query_id][moment_id(span)] = row.relevance
    found = answerable(videos)
    rows = tuple(
        SkippedRow(name, f"{reason} ({count} row{'' if count == 1 else 's'})")
        for (name, reason), count in unmatched.items()
    )
    if not found:
        raise QueryError(
            f"None of the videos named in {queries.source or 'the queries'} answers a query in this index."
            f"{f' {rows[0]}.' if rows else ''}",
            hint="'sceneseek list' shows what is indexed; a video may be named by its path, its file name or its id.",
        )
    texts = {query: text for query, text in queries.texts.items() if query in found}
    return Topics(texts, found, answerable(moments), rows)


def _span(row: Judgement, find: Callable[[str], Video]) -> RelevantSpan:
    """The span that a row means, empty for a whole video; of the film where the clip is not indexed."""
    try:
        video, is_whole = find(row.video), bool(row.film)
    except LookupError as unknown:
        try:
            video, is_whole = find(row.film), False
        except LookupError:
            raise unknown from None
    return RelevantSpan(video.id, 0, 0) if is_whole else RelevantSpan(video.id, row.start_s or 0, row.end_s or 0)
