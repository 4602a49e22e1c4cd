"""Queries that an index can answer, taken from its own labels and texts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, zip_longest

from indexer.core.text import clean, fold
from indexer.core.types import Video
from indexer.store.base import VectorStore

_VIDEOS_READ = 12
_WORDS = range(2, 8)
_QUOTED_KINDS = ("speech", "subtitle", "ocr")
_PLAIN_KINDS = ("description", "captions")


def example_queries(store: VectorStore, videos: Iterable[Video], count: int) -> tuple[str, ...]:
    """At most ``count`` queries, each with an answer among these videos: labels, clauses that are said or written (in
    quotes), and clauses that describe a video. The same videos give the same queries.

    Raises:
        IndexDamagedError: the index cannot be read.
    """
    by_id = sorted(videos, key=lambda video: video.id)
    some = by_id[:: max(1, len(by_id) // _VIDEOS_READ)][:_VIDEOS_READ]
    mixed = (query for row in zip_longest(_texts(store, some), _labels(some)) for query in row if query)
    unique = {fold(query): query for query in mixed}
    return tuple(islice(unique.values(), count))


def _labels(videos: Sequence[Video]) -> Iterator[str]:
    for label in dict.fromkeys(video.label for video in videos if video.label and '"' not in video.label):
        yield f"label:{label}" if re.fullmatch(r"\w+", label) else f'label:"{label}"'


def _texts(store: VectorStore, videos: Sequence[Video]) -> Iterator[str]:
    """One clause of each video that has one."""
    for video in videos:
        records = sorted(store.records("text", video_id=video.id), key=lambda record: (record.start_s, record.id))
        clauses = (clause for record in records for clause in _clauses(record.modality, record.text))
        yield from islice(clauses, 1)


def _clauses(modality: str, text: str) -> Iterator[str]:
    for part in re.split(r"[\n.,;:!?()\"“”„«»–—]+", clean(text)):
        words = part.split()
        if len(words) in _WORDS and all(re.fullmatch(r"[^\W\d_]+(['’-][^\W\d_]+)*", word) for word in words):
            if modality in _QUOTED_KINDS:
                yield f'"{" ".join(words)}"'
            elif modality in _PLAIN_KINDS:
                yield " ".join(words)
