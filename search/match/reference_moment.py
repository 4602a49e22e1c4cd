"""The moment to find similar ones to, as the index knows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from indexer.core.errors import QueryError
from indexer.core.types import Embedding, Record, Space, Video
from indexer.store.base import VectorStore
from search.match.candidates import Excerpt

_NEARLY_THE_SAME = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceMoment:
    """The vectors ``(dim,)`` to compare with, and the shot they come from, which is not an answer.

    ``vectors`` holds, as far as there are such, that of the frame at the second asked for, and the mean directions of
    the segments said or shown then (``text``) and of the sounds heard (``audio``).
    """

    excerpt: Excerpt
    vectors: Mapping[Space, Embedding]


def find_reference(store: VectorStore, video: Video, second: float) -> ReferenceMoment:
    """Look up the frame at that second, or else the nearest frame, and the segments at it.

    Segments about the whole video are left out: they do not distinguish its moments.

    Raises:
        QueryError: the video ends before that second, or the index holds nothing at it.
    """
    if second > video.duration_s:
        raise QueryError(
            f"{video.path.name} ends at {video.duration_s:.1f} s, before {second:.1f} s.",
            hint="Give a second within the video.",
        )
    frames = list(store.records("frames", video_id=video.id, vectors=True))
    frame = min(frames, key=lambda record: (_distance_s(record, second), record.start_s, record.id), default=None)
    around, heard = _segments_at(store, "text", video, second), _segments_at(store, "audio", video, second)
    if frame is None and not around and not heard:
        raise QueryError(f"The index holds nothing at {second:.1f} s of {video.path.name}.", hint="Try another second.")
    if frame is not None and _distance_s(frame, second) == 0:
        same = _shot_of(frame, frames)
    else:
        same = around or heard or [record for record in (frame,) if record]
    excerpt = Excerpt(video.id, min(one.start_s for one in same), max(one.end_s for one in same))
    vectors: dict[Space, Embedding | None] = {
        "frames": None if frame is None else frame.vector,
        "text": _mean_direction(around),
        "audio": _mean_direction(heard),
    }
    return ReferenceMoment(excerpt, {space: vector for space, vector in vectors.items() if vector is not None})


def _segments_at(store: VectorStore, space: Space, video: Video, second: float) -> list[Record]:
    return [
        segment
        for segment in store.records(space, video_id=video.id, vectors=True)
        if _distance_s(segment, second) == 0 and segment.end_s - segment.start_s < video.duration_s
    ]


def _distance_s(record: Record, second: float) -> float:
    """How far a second is from a record's span; 0 within it."""
    if record.start_s <= second < record.end_s or second == record.start_s:
        return 0.0
    return max(record.start_s - second, second - record.end_s, 1e-9)


def _shot_of(frame: Record, frames: Sequence[Record]) -> list[Record]:
    if frame.shot >= 0 and len({other.shot for other in frames}) > 1:
        return [other for other in frames if other.shot == frame.shot]

    def looks_alike(other: Record) -> bool:
        return float(other.vector @ frame.vector) >= _NEARLY_THE_SAME

    # Without cuts, the frames on either side count as long as they look nearly the same.
    in_order = sorted(frames, key=lambda other: (other.start_s, other.id))
    place = next(number for number, other in enumerate(in_order) if other is frame)
    before, after = reversed(in_order[:place]), in_order[place + 1 :]
    return [frame, *takewhile(looks_alike, before), *takewhile(looks_alike, after)]


def _mean_direction(records: Sequence[Record]) -> Embedding | None:
    """The normalised mean of the vectors, None if there are none or they cancel out."""
    if not records:
        return None
    mean: NDArray[np.float64] = np.stack([one.vector for one in records]).astype(np.float64).mean(axis=0)
    length = float(np.linalg.norm(mean))
    if length < 1e-9:
        return None
    return np.asarray(mean / length, np.float32)
