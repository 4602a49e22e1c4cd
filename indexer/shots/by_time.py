"""Keyframes spread evenly over a video, or chosen from evenly spread frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from indexer.core.types import Image, Keyframe, Shot
from indexer.shots.sampling import FrameLike, advancing
from indexer.shots.spans import Clock, Span, divide, divide_between

_MOST_WHOLE_IMAGES = 32
_JPEG_OPTIONS = [
    *(cv2.IMWRITE_JPEG_QUALITY, 95),
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
]
_FEATURE_SIDE = 16
_SEED = 0
_ROUNDING = 1e-6
_FIRST_STEP_S = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class _Still:
    """A frame kept for later: its small picture for comparison, and a function that returns its image."""

    time_s: float
    small: Image
    image: Callable[[], Image]


class _Pool:
    """Keeps frames that are evenly spread over a video whose length is known only at its end.

    It keeps the frames nearest to the middles of ``count`` equal spans of the stated duration. In case that is wrong or
    unknown, it also keeps frames a step apart; the step doubles whenever they are too many.
    """

    def __init__(self, count: int, duration_s: float) -> None:
        self._keep = _keep_whole if count <= _MOST_WHOLE_IMAGES else _keep_packed
        self._targets_s = iter([(index + 0.5) * duration_s / count for index in range(count)] if duration_s else [])
        self._target_s = next(self._targets_s, None)
        self._previous: FrameLike | None = None
        self._exact: dict[float, _Still] = {}
        self._spread: list[_Still] = []
        self._room = max(16, min(4 * count, 64), 0 if duration_s else 2 * count)
        self._step_s = min(duration_s / self._room, _FIRST_STEP_S) * (1 - _ROUNDING)

    def offer(self, frame: FrameLike) -> None:
        """Take the next frame."""
        while self._target_s is not None and frame.time_s >= self._target_s:
            self._keep_nearest(frame, self._target_s)
            self._target_s = next(self._targets_s, None)
        if not self._spread or frame.time_s - self._spread[-1].time_s >= self._step_s:
            self._spread.append(self._exact.get(frame.time_s) or self._keep(frame))
        if len(self._spread) > self._room:
            self._thin()
        self._previous = frame

    def stills(self) -> list[_Still]:
        """The kept frames in order of time."""
        if self._target_s is not None and self._previous is not None:
            self._keep_nearest(self._previous, self._target_s)
        kept = {still.time_s: still for still in self._spread} | self._exact
        return [kept[time_s] for time_s in sorted(kept)]

    def _keep_nearest(self, frame: FrameLike, target_s: float) -> None:
        if self._previous is not None and target_s - self._previous.time_s <= frame.time_s - target_s:
            frame = self._previous
        if frame.time_s not in self._exact:
            self._exact[frame.time_s] = self._keep(frame)

    def _thin(self) -> None:
        length_s = self._spread[-1].time_s - self._spread[0].time_s
        self._step_s = 2 * length_s / (len(self._spread) - 1) * (1 - _ROUNDING)
        kept = [self._spread[0]]
        for still in self._spread:
            if still.time_s - kept[-1].time_s >= self._step_s:
                kept.append(still)
        self._spread = kept


class UniformSampler:
    """The middle frames of ``count`` equal spans; fewer where there are fewer frames.

    If ``duration_s`` is far off or unknown (0), the frames are those nearest to the middles of the true spans among
    evenly spread ones.
    """

    def __init__(self, video_id: str, duration_s: float, count: int) -> None:
        self._video_id = video_id
        self._count = count
        self._clock = Clock(duration_s)
        self._pool = _Pool(count, duration_s)

    @property
    def shots(self) -> tuple[Shot, ...]:
        """One shot, from the first frame to the last."""
        return (Shot(self._video_id, 0, 0.0, self._clock.end_s),) if self._clock.end_s else ()

    def keyframes(self, frames: Iterable[FrameLike]) -> Iterator[Keyframe]:
        """See `Sampler.keyframes`."""
        for frame in advancing(frames):
            self._clock.tick(frame.time_s)
            self._pool.offer(frame)
        spans = self._choose(self._pool.stills())
        for span in spans:
            still = span.members[0]
            end_s = self._clock.end_s if span is spans[-1] else span.end_s
            yield Keyframe(self._video_id, 0, span.start_s, end_s, still.time_s, still.image())

    def _choose(self, stills: Sequence[_Still]) -> list[Span[_Still]]:
        """Spans of one still each, up to the end of the frames."""
        spans = divide(0.0, self._clock.frames_end_s, self._count, stills)
        return [replace(span, members=(_nearest_to_middle(span),)) for span in spans]


class KMeansSampler(UniformSampler):
    """Groups ``pool`` evenly spread frames by k-means and takes the frame nearest to the centre of each group.

    There are ``clusters`` groups, fewer if there are fewer different frames.
    """

    def __init__(self, video_id: str, duration_s: float, pool: int, clusters: int) -> None:
        super().__init__(video_id, duration_s, pool)
        self._clusters = clusters

    def _choose(self, stills: Sequence[_Still]) -> list[Span[_Still]]:
        spread = [span.members[0] for span in super()._choose(stills)]
        return divide_between(0.0, self._clock.frames_end_s, _representatives(spread, self._clusters))


def _representatives(stills: Sequence[_Still], clusters: int) -> list[_Still]:
    """The still nearest to each centre of k-means with a fixed seed, in order of time."""
    if len(stills) <= 1:
        return list(stills)
    from sklearn.cluster import KMeans

    features = _features(stills)
    clusters = min(clusters, len(np.unique(features, axis=0)))
    centres = KMeans(clusters, n_init=1, random_state=_SEED).fit(features).cluster_centers_
    distances = np.linalg.norm(features[:, None] - centres[None], axis=2)
    return [stills[index] for index in sorted(set(distances.argmin(axis=0).tolist()))]


def _features(stills: Sequence[_Still]) -> NDArray[np.float32]:
    return np.stack([still.small.reshape(-1) for still in stills]).astype(np.float32)


def _nearest_to_middle(span: Span[_Still]) -> _Still:
    middle_s = (span.start_s + span.end_s) / 2
    return min(span.members, key=lambda still: abs(still.time_s - middle_s))


def _keep_whole(frame: FrameLike) -> _Still:
    image = frame.image()
    return _Still(frame.time_s, _small(frame), lambda: image)


def _keep_packed(frame: FrameLike) -> _Still:
    """Hundreds of images would fill the memory, so they are kept as JPEG of high quality."""
    bgr = cv2.cvtColor(frame.image(), cv2.COLOR_RGB2BGR)
    packed = cv2.imencode(".jpg", bgr, _JPEG_OPTIONS)[1]
    return _Still(frame.time_s, _small(frame), lambda: _unpack(packed))


def _unpack(packed: NDArray[np.uint8]) -> Image:
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR_RGB), dtype=np.uint8)


def _small(frame: FrameLike) -> Image:
    rgb = cv2.cvtColor(frame.thumbnail_bgr(), cv2.COLOR_BGR2RGB)
    return np.asarray(cv2.resize(rgb, (_FEATURE_SIDE, _FEATURE_SIDE), interpolation=cv2.INTER_AREA), dtype=np.uint8)
