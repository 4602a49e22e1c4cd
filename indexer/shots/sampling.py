"""How keyframes are chosen, and the frames that they are chosen from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeAlias, get_args

from indexer.core.errors import ConfigError
from indexer.core.types import Image

Strategy: TypeAlias = Literal["shots", "middle", "uniform", "kmeans", "codec"]
DetectorName: TypeAlias = Literal["adaptive", "content"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)


@dataclass(frozen=True, slots=True)
class Sampling:
    """Options for choosing keyframes; every index stores all of them and compares them with the next run's.

    Args:
        strategy: ``shots``: the sharpest frame near the middle of each shot, several in long shots; ``middle``: the
            frame at half time; ``uniform``: the middle frames of ``count`` equal spans; ``kmeans``: one frame for each
            of ``clusters`` groups of similar frames; ``codec``: the codec's keyframes, at most one a second.
        count: Keyframes per video with ``uniform``, at least 1.
        clusters: Keyframes per video with ``kmeans``, from 1 to ``pool``.
        pool: Evenly spread frames that ``kmeans`` groups, from 1 to 1000.
        max_span_s: The longest span per keyframe with ``shots`` and, where the frames allow it, ``codec``; 1 to 10
            seconds.
        detector: PySceneDetect's detector that finds the cuts for ``shots``.
        threshold: The detector's threshold in its own unit; None takes the one tuned for small frames.
        min_shot_s: The shortest time between two cuts, 0 to 10 seconds.

    Raises:
        ConfigError: an option is unknown or out of range.
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
        _check_name("cut detector", self.detector, get_args(DetectorName))
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
        """Whether keyframes are known while the video is decoded; other strategies need the whole video first."""
        return self.strategy in ("shots", "codec")

    @property
    def for_text(self) -> Sampling:
        """The sampling of keyframes that are read for text: this one if it is prompt, else that of shots."""
        return self if self.is_prompt else replace(self, strategy="shots")


class FrameLike(Protocol):
    """One decoded frame of a video, in order of display."""

    @property
    def time_s(self) -> float:
        """Seconds from the first frame; never less than the previous frame's."""
        ...

    @property
    def is_codec_keyframe(self) -> bool:
        """Whether the codec can decode this frame without any other."""
        ...

    def thumbnail_bgr(self) -> Image:
        """A small picture, uint8 ``(h, w, 3)`` BGR, about 64 pixels wide; fast."""
        ...

    def image(self) -> Image:
        """The whole picture, uint8 ``(H, W, 3)`` RGB; slow, so call it rarely."""
        ...


def advancing(frames: Iterable[FrameLike]) -> Iterator[FrameLike]:
    """The frames without those that repeat a time: no interval could hold them."""
    last_s = -1.0
    for frame in frames:
        if frame.time_s > last_s:
            last_s = frame.time_s
            yield frame


def _check_name(what: str, name: object, known: tuple[str, ...]) -> None:
    if name not in known:
        raise ConfigError(f"There is no {what} named {name!r}.", hint=f"Use one of: {', '.join(known)}.")


def _check_whole(option: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigError(f"{option} cannot be {value!r}.", hint=f"Use a whole number from {low} to {high}.")


def _check_number(option: str, value: object, low: float, high: float) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigError(f"{option} cannot be {value!r}.", hint=f"Use a number from {low:g} to {high:g}.")
