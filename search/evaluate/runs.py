"""Runs: what a search answered to many queries, kept as a file that other tools read too.

A run that is made here holds the order that a person sees. The score of an answer is the reciprocal of its place, so
that the order survives in tools that sort by score; answers that nothing but their ids put in order (same fused score
and same best cosine) share their mean place, and so their score.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from indexer.core.errors import QueryError
from indexer.core.types import ModalityName
from search.engine import SearchEngine
from search.evaluate.checkpoint import Searched
from search.evaluate.files import write_whole
from search.evaluate.progress import ReportProgress
from search.evaluate.qrels import Span, escape_id, moment_id, text_lines, unescape_id
from search.moments import Moment
from search.query.query import Query

__all__ = ["DEFAULT_RUN", "Level", "Run", "RunOptions", "read_run", "run_queries", "write_run"]

Level: TypeAlias = Literal["videos", "moments"]
Scored: TypeAlias = tuple[str, float]

LEVELS: tuple[Level, ...] = ("videos", "moments")
SHALLOWEST = 10
_SAVE_EVERY_S = 5.0


@dataclass(frozen=True)
class Run:
    """What was answered: query id to documents and scores, best first; equal scores are ties.

    Args:
        by_query: The answers in any order; they are sorted by score, and stay in order where scores are equal.
        name: The tag of the run.

    Raises:
        ValueError: a score is infinite or no number, or a document is listed twice for one query.
    """

    by_query: Mapping[str, Sequence[Scored]] = field(default_factory=dict)
    name: str = "sceneseek"

    def __post_init__(self) -> None:
        ranked = {query: _best_first(query, answers) for query, answers in self.by_query.items()}
        object.__setattr__(self, "by_query", MappingProxyType(ranked))

    def __len__(self) -> int:
        return len(self.by_query)

    def __getitem__(self, query_id: str) -> Sequence[Scored]:
        """The answers to a query; none if it was not asked."""
        return self.by_query.get(query_id, ())

    @property
    def documents(self) -> frozenset[str]:
        """The ids of all documents that were an answer."""
        return frozenset(document for answers in self.by_query.values() for document, _ in answers)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How to search for a run.

    Args:
        depth: How many answers to keep for each query.
        weights: How much each modality counts, as in ``Query``.
        name: The tag of the run.

    Raises:
        QueryError: the depth is less than the metrics look at.
    """

    depth: int = 100
    weights: Mapping[ModalityName, float] = field(default_factory=dict)
    name: str = "sceneseek"

    def __post_init__(self) -> None:
        if self.depth < SHALLOWEST:
            raise QueryError(
                f"A depth of {self.depth} is too little to measure.", hint=f"The metrics need the first {SHALLOWEST}."
            )


DEFAULT_RUN = RunOptions()


def run_queries(
    engine: SearchEngine,
    texts: Mapping[str, str],
    *,
    options: RunOptions = DEFAULT_RUN,
    searched: Searched | None = None,
    progress: ReportProgress | None = None,
) -> dict[Level, Run]:
    """Search for every text as a person would, once for videos and once for moments.

    A text is taken literally: a quotation mark or a colon in a caption has no special meaning.

    Args:
        engine: What to search with.
        texts: Query ids to texts.
        options: How to search.
        searched: Where the answers so far are kept, for a run that was stopped to go on; None keeps none.
        progress: Told after every query.

    Raises:
        QueryError: a text cannot be searched for.
        StoreError: the index cannot be read.
        ModelError: a model cannot encode a text.
    """
    known = Searched.nowhere() if searched is None else searched
    report = progress or (lambda *_: None)
    saved_at = time.monotonic()
    try:
        for number, (query, text) in enumerate(texts.items()):
            report("searching", number, len(texts))
            if known.answers(query, text) is None:
                known.keep(query, text, {level: _search(engine, text, level, options) for level in LEVELS})
            if time.monotonic() - saved_at > _SAVE_EVERY_S:
                known.save()
                saved_at = time.monotonic()
    finally:
        known.save()
    report("searching", len(texts), len(texts))
    return {level: Run(dict(_answers(known, texts, level)), options.name) for level in LEVELS}


def read_run(path: Path) -> Run:
    """Read a run in TREC's form: query, an unused column, document, rank, score, tag. The score alone orders it.

    Raises:
        QueryError: the file cannot be read, a line of it is not of that form, or a document is listed twice.
    """
    answers: dict[str, list[Scored]] = {}
    tag = path.stem
    for number, line in enumerate(text_lines(path), start=1):
        if not line.strip():
            continue
        try:
            query, _, document, _, score, tag = line.split()
            answers.setdefault(unescape_id(query), []).append((unescape_id(document), float(score)))
        except ValueError as error:
            raise QueryError(
                f"{path}, line {number} is no line of a run.", hint="TREC's form is: QUERY Q0 DOCUMENT RANK SCORE TAG."
            ) from error
    try:
        return Run(answers, unescape_id(tag))
    except ValueError as error:
        raise QueryError(f"{path} is no run: {error}.", hint="List every document once for a query.") from error


def write_run(path: Path, run: Run) -> Path:
    """Write a run in TREC's form.

    Raises:
        UsageError: the file cannot be written.
    """
    tag = escape_id(run.name) or "run"
    lines = (
        f"{escape_id(query)} Q0 {escape_id(document)} {rank} {score!r} {tag}\n"
        for query, answers in run.by_query.items()
        for rank, (document, score) in enumerate(answers, start=1)
    )
    return write_whole(path, "".join(lines))


def _best_first(query: str, answers: Sequence[Scored]) -> tuple[Scored, ...]:
    if not all(math.isfinite(score) for _, score in answers):
        raise ValueError(f"query {query} has a score that is no number")
    if len({document for document, _ in answers}) < len(answers):
        raise ValueError(f"query {query} lists a document twice")
    return tuple(sorted(answers, key=lambda answer: -answer[1]))


def _search(engine: SearchEngine, text: str, level: Level, options: RunOptions) -> list[Scored]:
    query = Query(text=text, weights=options.weights, top_k=options.depth, group_by_video=level == "videos")
    return list(_scored(engine.search(query).moments, level))


def _scored(moments: Sequence[Moment], level: Level) -> Iterator[Scored]:
    """The documents in the order they were found in, each with the reciprocal of its mean place."""
    passed = 0
    for _, tied in groupby(moments, key=lambda moment: moment.best_first[:2]):
        together = list(tied)
        place = passed + (len(together) + 1) / 2
        yield from ((_document(moment, level), 1 / place) for moment in together)
        passed += len(together)


def _document(moment: Moment, level: Level) -> str:
    if level == "videos":
        return moment.video.id
    return moment_id(Span(moment.video.id, moment.start_s, moment.end_s))


def _answers(searched: Searched, texts: Mapping[str, str], level: Level) -> Iterable[tuple[str, Sequence[Scored]]]:
    for query, text in texts.items():
        found: Any = (searched.answers(query, text) or {}).get(level, [])
        yield query, _once(found)


def _once(answers: Iterable[Sequence[Any]]) -> list[Scored]:
    """Each document at its best place: two moments of one span, to the millisecond, are one document."""
    best: dict[str, float] = {}
    for document, score in answers:
        best.setdefault(document, score)
    return list(best.items())
