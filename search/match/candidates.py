"""From one query vector to scored records: deeper and deeper into one collection, never losing a match to a filter."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexer.core.errors import IndexDamagedError
from indexer.core.types import Embedding, ModalityName, Record, Space
from indexer.store.base import VectorStore
from search.match.lexical import LexicalMatch, spoken_span
from search.moments import Hit
from search.rank.fusion import Calibration
from search.rank.merging import overlap_s

__all__ = ["Descent", "Excerpt", "Found", "Probe", "Scope", "exact_cosines", "hit_of", "judged_hits"]

# Chroma's filter takes time in proportion to the ids named: 90 ms for 400 of them over 20,000 records.
MAX_IDS_PASSED = 100


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """What to look for in one space.

    Args:
        space: Which.
        vector: What to look for, ``(dim,)``.
        modalities: Which of the space's modalities to look in.
        calibration: How to read the cosines.
        judged_by: What to judge by how likely a hit is no answer, ``(dim,)``, if not by ``vector``
            (``search.confidence.word_by_word``).
    """

    space: Space
    vector: Embedding
    modalities: frozenset[ModalityName]
    calibration: Calibration
    judged_by: Embedding | None = None


class Found(NamedTuple):
    """A record and its cosine with what is looked for."""

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
    """Where to look.

    Args:
        video_ids: The videos that may be found.
        narrowed: Whether these are fewer than the index holds.
        without: A span whose records are not wanted: the moment that similar ones are sought to.
    """

    video_ids: frozenset[str]
    narrowed: bool = False
    without: Excerpt | None = None

    @property
    def passed_ids(self) -> frozenset[str] | None:
        """The ids the store is to filter by, None if it is cheaper to sort out what it finds."""
        return self.video_ids if self.narrowed and len(self.video_ids) <= MAX_IDS_PASSED else None

    def accepts(self, record: Record) -> bool:
        """Whether a record is wanted."""
        return record.video_id in self.video_ids and not self._leaves_out(record)

    def besides(self, video_ids: Collection[str]) -> Scope:
        """The same without some videos."""
        return replace(self, video_ids=self.video_ids.difference(video_ids), narrowed=True)

    def _leaves_out(self, record: Record) -> bool:
        without = self.without
        return without is not None and record.video_id == without.video_id and overlap_s(record, without) > 0


class Descent:
    """One probe's way down its collection, level by level.

    A level has at least ``depth`` new hits (twice as many on each further one) from at least a fifth as many places,
    a place being one shot or one text: one long static shot does not make up a level. The levels depend on nothing
    but the index and the probe, so that a ranking built from them can be continued later.
    """

    def __init__(
        self, store: VectorStore, probe: Probe, depth: int, *, all_modalities: frozenset[ModalityName]
    ) -> None:
        self._store = store
        self._probe = probe
        self._wanted = depth
        self._limit = depth
        self._seen: set[str] = set()
        self._passed_modalities = None if probe.modalities == all_modalities else probe.modalities
        self.exhausted = False

    def next_level(self, scope: Scope) -> list[Found]:
        """The next records above the floor, best first; none once ``exhausted``.

        Raises:
            IndexDamagedError: a stored vector is no direction (NaN or infinite).
        """
        fresh: list[Found] = []
        while not self.exhausted and not self._is_level(fresh):
            fresh = self._fetch(scope)
            self._limit *= 2
        self.pass_over(one.record.id for one in fresh)
        self._wanted *= 2
        return fresh

    def pass_over(self, record_ids: Iterable[str]) -> None:
        """Do not find these records again."""
        self._seen.update(record_ids)

    def _is_level(self, found: Sequence[Found]) -> bool:
        records = [one.record for one in found]
        places = {(one.video_id, one.modality, one.shot if one.shot >= 0 else one.id) for one in records}
        return len(found) >= self._wanted and 5 * len(places) >= self._wanted

    def _fetch(self, scope: Scope) -> list[Found]:
        probe = self._probe
        records = self._store.nearest(
            probe.space,
            probe.vector,
            self._limit,
            video_ids=scope.passed_ids,
            modalities=self._passed_modalities,
        )
        scores = exact_cosines(records, probe.vector)
        self.exhausted = len(records) < self._limit or bool(scores.min() <= probe.calibration.floor)
        found = [Found(record, float(score)) for record, score in zip(records, scores, strict=True)]
        return sorted((one for one in found if self._is_new(one, scope)), key=lambda one: (-one.cosine, one.record.id))

    def _is_new(self, found: Found, scope: Scope) -> bool:
        record, cosine = found
        return (
            cosine > self._probe.calibration.floor
            and record.modality in self._probe.modalities
            and record.id not in self._seen
            and scope.accepts(record)
        )


def exact_cosines(records: Sequence[Record], vector: Embedding) -> NDArray[np.float64]:
    """The cosine of each record with a vector ``(dim,)``, computed in float64: ``(n,)`` in [-1, 1].

    Equal vectors get equal cosines wherever they stand, which a matrix product does not promise.

    Raises:
        IndexDamagedError: a stored vector is no direction (NaN or infinite).
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
    """A record as a hit; where most of the query is said in it together, the hit is as long as these words."""
    hit = Hit(
        record_id=record.id,
        video_id=record.video_id,
        modality=record.modality,
        start_s=record.start_s,
        end_s=record.end_s,
        time_s=record.time_s,
        score=cosine,
        text=record.text,
        shot=record.shot,
    )
    return hit if match is None else _narrowed(replace(hit, lexical=match.score, matched=match.matched), record, match)


def judged_hits(level: Sequence[Found], probe: Probe) -> list[Hit]:
    """Records found by meaning as hits, with the cosines that they are judged by where these are others.

    Raises:
        IndexDamagedError: a stored vector is no direction (NaN or infinite).
    """
    hits = [hit_of(record, cosine) for record, cosine in level]
    if probe.judged_by is None:
        return hits
    judged = exact_cosines([record for record, _ in level], probe.judged_by)
    return [replace(hit, judged=float(cosine)) for hit, cosine in zip(hits, judged, strict=True)]


_MOST = 0.5


def _narrowed(hit: Hit, record: Record, match: LexicalMatch) -> Hit:
    span = spoken_span(record.words, match.sequence) if match.sequence_share >= _MOST else None
    if span is None:
        return hit
    start_s = min(max(span[0], record.start_s), record.end_s)
    end_s = min(max(span[1], start_s), record.end_s)
    return replace(hit, start_s=start_s, end_s=end_s, time_s=start_s)
