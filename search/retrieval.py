"""From one query vector to scored records: deeper and deeper into one collection, never losing a match to a filter."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from indexer.errors import IndexDamagedError
from indexer.store.base import VectorStore
from indexer.types import Embedding, Modality, Record, Space
from search.fusion import Calibration
from search.merging import overlap_s
from search.moments import Hit

__all__ = ["Descent", "Excerpt", "Probe", "Scope", "exact_cosines"]

# Chroma's filter takes time in proportion to the ids named: 90 ms for 400 of them over 20,000 records.
MAX_IDS_PASSED = 100


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """What to look for in one space: a vector ``(dim,)``, in which modalities, and how to read its cosines."""

    space: Space
    vector: Embedding
    modalities: frozenset[Modality]
    calibration: Calibration


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

    def accepts(self, hit: Hit) -> bool:
        """Whether a hit is wanted."""
        return hit.video_id in self.video_ids and not self._leaves_out(hit)

    def besides(self, video_ids: Collection[str]) -> Scope:
        """The same without some videos."""
        return replace(self, video_ids=self.video_ids.difference(video_ids), narrowed=True)

    def _leaves_out(self, hit: Hit) -> bool:
        without = self.without
        return without is not None and hit.video_id == without.video_id and overlap_s(hit, without) > 0


class Descent:
    """One probe's way down its collection, level by level.

    A level has at least ``depth`` new hits (twice as many on each further one) from at least a fifth as many places,
    a place being one shot or one text: one long static shot does not make up a level. The levels depend on nothing
    but the index and the probe, so that a ranking built from them can be continued later.
    """

    def __init__(self, store: VectorStore, probe: Probe, depth: int, *, all_modalities: frozenset[Modality]) -> None:
        self._store = store
        self._probe = probe
        self._wanted = depth
        self._limit = depth
        self._seen: set[str] = set()
        self._passed_modalities = None if probe.modalities == all_modalities else probe.modalities
        self.exhausted = False

    def next_level(self, scope: Scope) -> list[Hit]:
        """The next hits, best first; none once ``exhausted``.

        Raises:
            IndexDamagedError: a stored vector is no direction (NaN or infinite).
        """
        fresh: list[Hit] = []
        while not self.exhausted and not self._is_level(fresh):
            fresh = self._fetch(scope)
            self._limit *= 2
        self._seen.update(hit.record_id for hit in fresh)
        self._wanted *= 2
        return fresh

    def _is_level(self, hits: Sequence[Hit]) -> bool:
        places = {(hit.video_id, hit.modality, hit.shot if hit.shot >= 0 else hit.record_id) for hit in hits}
        return len(hits) >= self._wanted and 5 * len(places) >= self._wanted

    def _fetch(self, scope: Scope) -> list[Hit]:
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
        hits = [_hit(record, float(score)) for record, score in zip(records, scores, strict=True)]
        return sorted((hit for hit in hits if self._is_new(hit, scope)), key=lambda hit: (-hit.score, hit.record_id))

    def _is_new(self, hit: Hit, scope: Scope) -> bool:
        evident = hit.score > self._probe.calibration.floor
        return (
            evident
            and hit.modality in self._probe.modalities
            and hit.record_id not in self._seen
            and scope.accepts(hit)
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


def _hit(record: Record, score: float) -> Hit:
    return Hit(
        record_id=record.id,
        video_id=record.video_id,
        modality=record.modality,
        start_s=record.start_s,
        end_s=record.end_s,
        time_s=record.time_s,
        score=score,
        text=record.text,
        shot=record.shot,
    )
