"""The frames that the codec can decode alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from indexer.core.types import Image, Keyframe, Shot
from indexer.shots.frame_protocol import Frame, advancing
from indexer.shots.sharpness import appearance_of
from indexer.shots.spans import Clock

__all__ = ["CodecSampler"]

_MIN_GAP_S = 1.0
_ROUNDING_S = 1e-6


class CodecSampler:
    """Takes codec keyframes, at most one a second; where other frames come too, one at least every ``max_span_s``.

    A keyframe stands for the time until the next one. Black ones are passed over.

    Args:
        video_id: The video's id.
        duration_s: The duration that the container states, 0 if unknown.
        max_span_s: The longest span that one keyframe stands for, as far as there are frames.
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

    def keyframes(self, frames: Iterable[Frame]) -> Iterator[Keyframe]:
        """See `indexer.shots.select.Sampler.keyframes`."""
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
        """The stated duration, if it can be right: how long the last codec keyframe is shown is not to be known."""
        is_possible = self._clock.last_s is not None and self._duration_s > self._clock.last_s
        return self._duration_s if is_possible else self._clock.frames_end_s

    def _is_due(self, frame: Frame) -> bool:
        wait_s = _MIN_GAP_S if frame.is_codec_keyframe else self._max_span_s
        if self._taken is None:
            return frame.is_codec_keyframe or frame.time_s >= wait_s
        return frame.time_s - self._taken[0] >= wait_s - _ROUNDING_S

    def _is_black(self, frame: Frame) -> bool:
        is_black = appearance_of(frame.thumbnail_bgr()).is_black
        if is_black and self._taken is None and self._spare is None:
            self._spare = frame.time_s, frame.image()
        return is_black

    def _end_span(self, end_s: float) -> Iterator[Keyframe]:
        if self._taken is None:
            return
        yield Keyframe(self._video_id, 0, self._start_s, end_s, *self._taken)
        self._start_s = end_s
