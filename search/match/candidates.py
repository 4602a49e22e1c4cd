"""What to look for, where, and the records found: the types that searching by meaning and by words share."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexer.core.errors import IndexDamagedError
from indexer.core.types import Embedding, ModalityName, Record, Space
from search.match.calibration import Calibration
from search.match.lexical import LexicalMatch, spoken_span
from search.moments import Hit, overlap_s

# Chroma's filter takes time in proportion to the ids named: 90 ms for 400 of them over 20,000 records.
MAX_IDS_PASSED = 100
_LEAST_SAID_TOGETHER = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class QueryVector:
    """What to look for in some modalities of one space, and how to read the cosines.

    ``rated_by`` is the vector ``(dim,)`` to rate hits by, if not ``vector`` (``search.match.word_by_word``).
    """

    space: Space
    vector: Embedding
    modalities: frozenset[ModalityName]
    calibration: Calibration
    rated_by: Embedding | None = None


class Candidate(NamedTuple):
    """A record and its cosine with the query."""

    record: Record
    cosine: float


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A span of one video."""

    video_id: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Scope:
    """The videos to look in, and whether these are fewer than the index holds.

    ``without`` is a span whose records are not wanted: the moment to find similar ones to.
    """

    video_ids: frozenset[str]
    narrowed: bool = False
    without: Excerpt | None = None

    @property
    def passed_ids(self) -> frozenset[str] | None:
        """The ids the store is to filter by, None if it is cheaper to filter what it finds."""
        return self.video_ids if self.narrowed and len(self.video_ids) <= MAX_IDS_PASSED else None

    def accepts(self, record: Record) -> bool:
        """Whether a record may be found."""
        if record.video_id not in self.video_ids:
            return False
        without = self.without
        return without is None or record.video_id != without.video_id or overlap_s(record, without) <= 0

    def besides(self, video_ids: Collection[str]) -> Scope:
        """The same without some videos."""
        return replace(self, video_ids=self.video_ids.difference(video_ids), narrowed=True)


def exact_cosines(records: Sequence[Record], vector: Embedding) -> NDArray[np.float64]:
    """The cosine of each record with a vector ``(dim,)``, computed in float64: ``(n,)`` in [-1, 1].

    Equal vectors get equal cosines wherever they stand, which a matrix product does not promise.

    Raises:
        IndexDamagedError: a stored vector is NaN or infinite; so may all that compares vectors.
    """
    if not records:
        return np.empty(0)
    stored = np.stack([record.vector for record in records]).astype(np.float64)
    cosines: NDArray[np.float64] = np.sum(stored * vector.astype(np.float64), axis=1)
    if not np.isfinite(cosines).all():
        where = records[int(np.argmin(np.isfinite(cosines)))]
        raise IndexDamagedError(
            f"The index holds a damaged vector for the video {where.video_id} at {where.start_s:.1f} s.",
            hint="Run 'sceneseek verify' to see what is wrong.",
        )
    return np.clip(cosines, -1.0, 1.0)


def hit_of(record: Record, cosine: float, match: LexicalMatch | None = None) -> Hit:
    """A record as a hit; if most of the query is said in it without a gap, the hit lasts as long as these words."""
    start_s, end_s, time_s = record.start_s, record.end_s, record.time_s
    together = match.sequence if match and match.sequence_share >= _LEAST_SAID_TOGETHER else ""
    if span := spoken_span(record.words, together):
        start_s = time_s = min(max(span[0], record.start_s), record.end_s)
        end_s = min(max(span[1], start_s), record.end_s)
    return Hit(
        record_id=record.id,
        video_id=record.video_id,
        modality=record.modality,
        start_s=start_s,
        end_s=end_s,
        time_s=time_s,
        score=cosine,
        text=record.text,
        shot=record.shot,
        lexical=match.score if match else 0.0,
        matched=match.matched if match else (),
    )
