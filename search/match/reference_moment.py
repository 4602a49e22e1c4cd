"""The moment to find similar ones to, as the index knows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from indexer.core.errors import QueryError
from indexer.core.types import Embedding, Record, Space, Video
from indexer.store.base import VectorStore
from search.match.candidates import Excerpt

__all__ = ["ReferenceMoment", "find_reference"]

_NEARLY_THE_SAME = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceMoment:
    """The vectors to compare with, and the shot they come from, which is not an answer.

    ``frame`` is the vector ``(dim,)`` of the frame at the second asked for, ``text`` the mean direction of the segments
    said or shown then, ``sound`` that of the sounds heard; None where there is none.
    """

    excerpt: Excerpt
    frame: Embedding | None
    text: Embedding | None
    sound: Embedding | None


def find_reference(store: VectorStore, video: Video, second: float) -> ReferenceMoment:
    """Look up the frame at that second, or else the nearest frame, and the segments at it.

    Segments about the whole video are left out: they do not distinguish its moments.

    Raises:
        QueryError: the video ends before that second, or the index holds nothing at it.
    """
    _check_within(video, second)
    frames = list(store.records("frames", video_id=video.id, vectors=True))
    frame = min(frames, key=lambda record: (_distance_s(record, second), record.start_s, record.id), default=None)
    around = _segments_at(store, "text", video, second)
    heard = _segments_at(store, "audio", video, second)
    if frame is None and not around and not heard:
        raise QueryError(f"The index holds nothing at {second:.1f} s of {video.path.name}.", hint="Try another second.")
    shown = frame is not None and _distance_s(frame, second) == 0
    same = _of_shot(frames, frame) if shown else around or heard or [record for record in (frame,) if record]
    return ReferenceMoment(
        excerpt=_excerpt(video, same),
        frame=None if frame is None else frame.vector,
        text=_mean_direction([segment.vector for segment in around]),
        sound=_mean_direction([sound.vector for sound in heard]),
    )


def _check_within(video: Video, second: float) -> None:
    if second > video.duration_s:
        raise QueryError(
            f"{video.path.name} ends at {video.duration_s:.1f} s, before {second:.1f} s.",
            hint="Give a second within the video.",
        )


def _segments_at(store: VectorStore, space: Space, video: Video, second: float) -> list[Record]:
    segments = store.records(space, video_id=video.id, vectors=True)
    return [
        segment
        for segment in segments
        if _distance_s(segment, second) == 0 and segment.end_s - segment.start_s < video.duration_s
    ]


def _distance_s(record: Record, second: float) -> float:
    """How far a second is from a record's span; 0 within it."""
    if record.start_s <= second < record.end_s or second == record.start_s:
        return 0.0
    return max(record.start_s - second, second - record.end_s, 1e-9)


def _of_shot(frames: Sequence[Record], frame: Record | None) -> list[Record]:
    if frame is None:
        return []
    if frame.shot >= 0 and len({other.shot for other in frames}) > 1:
        return [other for other in frames if other.shot == frame.shot]
    return _alike_around(sorted(frames, key=lambda other: (other.start_s, other.id)), frame)


def _alike_around(frames: Sequence[Record], frame: Record) -> list[Record]:
    """The frames on either side as long as they look nearly the same; this stands for the shot if cuts are unknown."""
    place = next(number for number, other in enumerate(frames) if other is frame)
    alike = [float(other.vector @ frame.vector) >= _NEARLY_THE_SAME for other in frames]
    before = takewhile(lambda number: alike[number], range(place - 1, -1, -1))
    after = takewhile(lambda number: alike[number], range(place + 1, len(frames)))
    return [frames[number] for number in (place, *before, *after)]


def _excerpt(video: Video, records: Sequence[Record]) -> Excerpt:
    return Excerpt(video.id, min(record.start_s for record in records), max(record.end_s for record in records))


def _mean_direction(vectors: Sequence[Embedding]) -> Embedding | None:
    """The normalised mean, None if there is none or they cancel out."""
    if not vectors:
        return None
    mean: NDArray[np.float64] = np.stack(vectors).astype(np.float64).mean(axis=0)
    length = float(np.linalg.norm(mean))
    if length < 1e-9:
        return None
    return np.asarray(mean / length, np.float32)
