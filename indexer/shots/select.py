"""Which frames stand for a video: the strategies there are, their options, and the sampler that follows them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeAlias, get_args

from indexer.core.errors import ConfigError
from indexer.core.types import Keyframe, Shot
from indexer.shots.frame_protocol import Frame

__all__ = ["DETECTORS", "STRATEGIES", "DetectorName", "Sampler", "Sampling", "Strategy", "make_sampler"]

Strategy: TypeAlias = Literal["shots", "middle", "uniform", "kmeans", "codec"]
DetectorName: TypeAlias = Literal["adaptive", "content", "histogram", "hash"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
DETECTORS: tuple[DetectorName, ...] = get_args(DetectorName)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How keyframes are chosen.

    Args:
        strategy: ``shots``: the sharpest frame near the middle of each shot, more than one where a shot is long;
            ``middle``: the frame at half time; ``uniform``: the middle frames of ``count`` equal spans;
            ``kmeans``: one frame for each of ``clusters`` groups of alike frames; ``codec``: the frames that the
            codec can decode alone, at most one a second.
        count: Keyframes per video with ``uniform``, at least 1.
        clusters: Keyframes per video with ``kmeans``, from 1 to ``pool``.
        pool: Evenly spread frames that ``kmeans`` groups, from 1 to 1000.
        max_span_s: The longest span that one keyframe stands for with ``shots`` and, as far as the frames allow,
            ``codec``; 1 to 10 seconds.
        detector: Which of PySceneDetect's detectors finds the cuts for ``shots``.
        threshold: The detector's threshold in its own unit; None takes the one tuned for small frames.
        min_shot_s: The shortest time between two cuts, 0 to 10 seconds.

    Raises:
        ConfigError: An option is unknown or out of range.
    """

    strategy: Strategy = "shots"
    count: int = 8
    clusters: int = 32
    pool: int = 400
    max_span_s: float = 5.0
    detector: DetectorName = "adaptive"
    threshold: float | None = None
    min_shot_s: float = 0.6

    def __post_init__(self) -> None:
        _check_name("sampling strategy", self.strategy, STRATEGIES)
        _check_name("cut detector", self.detector, DETECTORS)
        _check_whole("count", self.count, 1, 10_000)
        _check_whole("pool", self.pool, 1, 1000)
        _check_whole("clusters", self.clusters, 1, self.pool)
        _check_number("max_span_s", self.max_span_s, 1, 10)
        _check_number("min_shot_s", self.min_shot_s, 0, 10)
        if self.threshold is not None:
            _check_number("threshold", self.threshold, 1e-6, 1e6)

    @property
    def wants_codec_keyframes_only(self) -> bool:
        """Whether the decoder may skip every frame that is not a codec keyframe."""
        return self.strategy == "codec"

    @property
    def is_prompt(self) -> bool:
        """Whether keyframes are known while the video is decoded; other strategies look at the whole video first."""
        return self.strategy in ("shots", "codec")

    @property
    def for_text(self) -> Sampling:
        """How the keyframes that are read for text are chosen: as these, if they are known in time."""
        return self if self.is_prompt else replace(self, strategy="shots")


class Sampler(Protocol):
    """Turns the frames of one video into its keyframes; good for one video."""

    def keyframes(self, frames: Iterable[Frame]) -> Iterator[Keyframe]:
        """Choose keyframes in one pass, in order of time, keeping few frames at once.

        Their spans follow each other without a gap from 0 to the video's end, but for spans that are black all
        through: those have no keyframe, unless nothing else is to be seen in the whole video. The end is where
        the last frame's display ends, or the duration that was given if that is later.

        Args:
            frames: The video's frames in order of time, each used only until the next few are asked for.
        """
        ...

    @property
    def shots(self) -> tuple[Shot, ...]:
        """The video's shots, all of them once `keyframes` is exhausted; one with strategies that seek no cuts."""
        ...


def make_sampler(sampling: Sampling, video_id: str, duration_s: float) -> Sampler:
    """Make the sampler for one video.

    Args:
        sampling: The options.
        video_id: The video's id.
        duration_s: The duration that the container states; it may be wrong, and 0 or NaN means unknown.
    """
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


def _check_name(what: str, name: object, known: tuple[str, ...]) -> None:
    if name not in known:
        raise ConfigError(f"There is no {what} named {name!r}.", hint=f"Use one of: {', '.join(known)}.")


def _check_whole(option: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigError(f"{option} cannot be {value!r}.", hint=f"Use a whole number from {low} to {high}.")


def _check_number(option: str, value: object, low: float, high: float) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigError(f"{option} cannot be {value!r}.", hint=f"Use a number from {low:g} to {high:g}.")
