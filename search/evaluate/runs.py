"""Runs: what a search answered to many queries, as a file that other tools read too.

The score of an answer is the reciprocal of its place, so that the order survives in tools that sort by score; answers
with the same fused score and best cosine share their mean place, and so their score.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Literal, TypeAlias

from indexer.core.errors import QueryError
from indexer.core.types import ModalityName
from search.catalogue import index_signature
from search.engine import SearchEngine
from search.evaluate import ReportProgress, no_progress, write_json, write_whole
from search.evaluate.qrels import RelevantSpan, escape_id, moment_id, read_trec
from search.query.query import Query

Level: TypeAlias = Literal["videos", "moments"]
Scored: TypeAlias = tuple[str, float]
Answers: TypeAlias = Mapping[Level, Sequence[Scored]]
Checkpoint: TypeAlias = dict[str, tuple[str, Answers]]  # query id to the text searched for and what was answered

LEVELS: tuple[Level, ...] = ("videos", "moments")
_SHALLOWEST = 10
_SAVE_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class Run:
    """Query id to documents and scores, sorted by score; equal scores are ties.

    Raises:
        ValueError: a score is infinite or not a number, or a document is listed twice for one query.
    """

    by_query: Mapping[str, Sequence[Scored]] = field(default_factory=dict)
    name: str = "sceneseek"

    def __post_init__(self) -> None:
        best_first: dict[str, Sequence[Scored]] = {}
        for query, answers in self.by_query.items():
            if not all(math.isfinite(score) for _, score in answers):
                raise ValueError(f"query {query} has a score that is not a number")
            if len({document for document, _ in answers}) < len(answers):
                raise ValueError(f"query {query} lists a document twice")
            best_first[query] = tuple(sorted(answers, key=lambda answer: -answer[1]))
        object.__setattr__(self, "by_query", best_first)

    def __getitem__(self, query_id: str) -> Sequence[Scored]:
        """The answers to a query; none if it was not asked."""
        return self.by_query.get(query_id, ())

    @property
    def documents(self) -> frozenset[str]:
        return frozenset(document for answers in self.by_query.values() for document, _ in answers)


Runs: TypeAlias = Mapping[Level, Run]


@dataclass(frozen=True, slots=True)
class RetrievalOptions:
    """How to search for a run: ``depth`` answers to each query, with weights as in ``Query``; ``name`` is its tag.

    Raises:
        QueryError: the depth is less than the metrics look at.
    """

    depth: int = 100
    weights: Mapping[ModalityName, float] = field(default_factory=dict)
    name: str = "sceneseek"

    def __post_init__(self) -> None:
        if self.depth < _SHALLOWEST:
            hint = f"The metrics need the first {_SHALLOWEST}."
            raise QueryError(f"A depth of {self.depth} is too little to measure.", hint=hint)


def run_queries(
    engine: SearchEngine,
    texts: Mapping[str, str],
    *,
    options: RetrievalOptions = RetrievalOptions(),
    checkpoint: Path | None = None,
    progress: ReportProgress = no_progress,
) -> dict[Level, Run]:
    """Search for every text, by query id, once for videos and once for moments; raises as ``SearchEngine.search`` does.

    Texts are taken literally: a quotation mark or a colon has no special meaning. A stopped run continues from
    ``checkpoint`` if index, options and texts are the same; the caller deletes it.
    """
    signature = index_signature(engine.catalogue(), options)
    known = read_answers(checkpoint, signature)
    saved_at = time.monotonic()
    try:
        for number, (query, text) in enumerate(texts.items()):
            progress("searching", number, len(texts))
            if known.get(query, (None, {}))[0] != text:
                known[query] = text, {level: _search(engine, text, level, options) for level in LEVELS}
            if time.monotonic() - saved_at > _SAVE_EVERY_S:
                keep_answers(checkpoint, signature, known)
                saved_at = time.monotonic()
    finally:
        keep_answers(checkpoint, signature, known)
    progress("searching", len(texts), len(texts))
    return {level: Run({query: known[query][1].get(level, ()) for query in texts}, options.name) for level in LEVELS}


def read_run(path: Path) -> Run:
    """Read a run in TREC's form; the score alone orders it.

    Raises:
        QueryError: the file cannot be read, a line of it is not of that form, or a document is listed twice.
    """
    answers: dict[str, list[Scored]] = {}
    tags = [path.stem]

    def parse(query: str, _: str, document: str, __: str, score: str, tag: str) -> None:
        answers.setdefault(query, []).append((document, float(score)))
        tags.append(tag)

    read_trec(path, parse, "QUERY Q0 DOCUMENT RANK SCORE TAG", "line of a run")
    try:
        return Run(answers, tags[-1])
    except ValueError as error:
        raise QueryError(f"{path} is not a run: {error}.", hint="List every document once for a query.") from error


def write_run(path: Path, run: Run) -> Path:
    """Write a run in TREC's form."""
    tag = escape_id(run.name) or "run"
    lines = (
        f"{escape_id(query)} Q0 {escape_id(document)} {rank} {score!r} {tag}\n"
        for query, answers in run.by_query.items()
        for rank, (document, score) in enumerate(answers, start=1)
    )
    return write_whole(path, "".join(lines))


def write_runs(folder: Path, name: str, runs: Runs, *, with_moments: bool) -> list[Path]:
    """Write ``NAME.trec``, and ``NAME-moments.trec`` if asked for, as ``write_run`` does."""
    written = [write_run(folder / f"{name}.trec", runs["videos"])]
    return [*written, write_run(folder / f"{name}-moments.trec", runs["moments"])] if with_moments else written


def _search(engine: SearchEngine, text: str, level: Level, options: RetrievalOptions) -> list[Scored]:
    """The documents found, each with the reciprocal of its mean place."""
    query = Query(text=text, weights=options.weights, top_k=options.depth, group_by_video=level == "videos")
    scores: dict[str, float] = {}
    passed = 0
    for _, tied in groupby(engine.search(query).moments, key=lambda moment: moment.best_first[:2]):
        moments = list(tied)
        for moment in moments:
            span = RelevantSpan(moment.video.id, moment.start_s, moment.end_s)
            # Two moments of one span, to the millisecond, are one document, at its better place.
            document = span.video_id if level == "videos" else moment_id(span)
            scores.setdefault(document, 1 / (passed + (len(moments) + 1) / 2))
        passed += len(moments)
    return list(scores.items())


def keep_answers(path: Path | None, signature: str, answers: Checkpoint) -> None:
    """Write the answers so far to a file, if one is named, with the signature of what else they depend on."""
    if path is not None and answers:
        write_json(path, {"signature": signature, "queries": answers})


def read_answers(path: Path | None, signature: str) -> Checkpoint:
    """The answers in a file; none if it is not there, of another signature, or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if path is not None else {}
        kept = content["queries"].items() if content["signature"] == signature else ()
        return {query: _checked(*answers) for query, answers in kept}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}


def _checked(text: str, answers: Mapping[Level, Sequence[Scored]]) -> tuple[str, Answers]:
    documents = [document for found in answers.values() for document, _ in found]
    if not all(isinstance(name, str) for name in (text, *documents)):
        raise TypeError("a query or a document is not a text")
    scored = {level: [(document, float(score)) for document, score in found] for level, found in answers.items()}
    return text, {level: list(Run({text: found})[text]) for level, found in scored.items()}
