"""Chooses a video's keyframes by one of the strategies."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Protocol

from indexer.core.types import Keyframe, Shot
from indexer.shots.sampling import FrameLike, Sampling


class Sampler(Protocol):
    """Chooses the keyframes of one video, in one pass over its frames."""

    def keyframes(self, frames: Iterable[FrameLike]) -> Iterator[Keyframe]:
        """The keyframes in order of time; few frames are kept at once.

        Their spans follow each other without a gap from 0 to the video's end. Only black spans have no keyframe, unless
        the whole video is black. The end is that of the last frame's display, or the stated duration if that is later.
        Each frame is used only until the next few are read.
        """
        ...

    @property
    def shots(self) -> tuple[Shot, ...]:
        """The video's shots, complete once ``keyframes`` is exhausted; one with strategies that find no cuts."""
        ...


def make_sampler(sampling: Sampling, video_id: str, duration_s: float) -> Sampler:
    """The sampler for one video; the container's ``duration_s`` may be wrong, and 0 or NaN means unknown."""
    duration_s = duration_s if math.isfinite(duration_s) and duration_s > 0 else 0.0
    if sampling.strategy == "shots":
        from indexer.shots.by_shot import ShotSampler
        from indexer.shots.detect import CutDetector

        detector = CutDetector(sampling.detector, threshold=sampling.threshold, min_shot_s=sampling.min_shot_s)
        return ShotSampler(video_id, duration_s, detector, sampling.max_span_s)
    if sampling.strategy == "codec":
        from indexer.shots.by_codec import CodecSampler

        return CodecSampler(video_id, duration_s, sampling.max_span_s)
    from indexer.shots.by_time import KMeansSampler, UniformSampler

    if sampling.strategy == "kmeans":
        return KMeansSampler(video_id, duration_s, sampling.pool, sampling.clusters)
    return UniformSampler(video_id, duration_s, 1 if sampling.strategy == "middle" else sampling.count)
