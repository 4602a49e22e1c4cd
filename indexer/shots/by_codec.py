"""Keyframes of the codec."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from indexer.core.types import Image, Keyframe, Shot
from indexer.shots.sampling import FrameLike, advancing
from indexer.shots.sharpness import appearance_of
from indexer.shots.spans import Clock

_MIN_GAP_S = 1.0
_ROUNDING_S = 1e-6


class CodecSampler:
    """Takes codec keyframes, at most one a second, and other frames if they come and ``max_span_s`` has passed.

    A keyframe stands for the time until the next one. Black frames are skipped. ``duration_s`` is 0 if unknown.
    """

    def __init__(self, video_id: str, duration_s: float, max_span_s: float) -> None:
        self._video_id = video_id
        self._duration_s = duration_s
        self._max_span_s = max_span_s
        self._clock = Clock(duration_s)
        self._start_s = 0.0
        self._taken: tuple[float, Image] | None = None
        self._spare: tuple[float, Image] | None = None

    @property
    def shots(self) -> tuple[Shot, ...]:
        """One shot, from the first frame to the last."""
        return (Shot(self._video_id, 0, 0.0, self._end_s),) if self._end_s else ()

    def keyframes(self, frames: Iterable[FrameLike]) -> Iterator[Keyframe]:
        """See `Sampler.keyframes`."""
        for frame in advancing(frames):
            is_first = self._clock.last_s is None
            self._clock.tick(frame.time_s)
            if (is_first or self._is_due(frame)) and not self._is_black(frame):
                yield from self._end_span(frame.time_s)
                self._taken = frame.time_s, frame.image()
        self._taken = self._taken or self._spare
        yield from self._end_span(self._end_s)

    @property
    def _end_s(self) -> float:
        """The stated duration if possible: how long the last codec keyframe is shown is unknown."""
        is_possible = self._clock.last_s is not None and self._duration_s > self._clock.last_s
        return self._duration_s if is_possible else self._clock.frames_end_s

    def _is_due(self, frame: FrameLike) -> bool:
        wait_s = _MIN_GAP_S if frame.is_codec_keyframe else self._max_span_s
        if self._taken is None:
            return frame.is_codec_keyframe or frame.time_s >= wait_s
        return frame.time_s - self._taken[0] >= wait_s - _ROUNDING_S

    def _is_black(self, frame: FrameLike) -> bool:
        is_black = appearance_of(frame.thumbnail_bgr()).is_black
        if is_black and self._taken is None and self._spare is None:
            self._spare = frame.time_s, frame.image()
        return is_black

    def _end_span(self, end_s: float) -> Iterator[Keyframe]:
        if self._taken is None:
            return
        yield Keyframe(self._video_id, 0, self._start_s, end_s, *self._taken)
        self._start_s = end_s
