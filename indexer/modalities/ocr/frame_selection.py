"""On-screen text: which frames are worth reading, and what the lines read in them say over time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from indexer.modalities.ocr.text_detection import Strokes, find_strokes
from indexer.modalities.ocr.text_keyframes import Allowance, TextKeyframes
from indexer.modalities.ocr.text_tracking import TextFrame, TextTracker

if TYPE_CHECKING:
    from indexer.core.types import Keyframe
    from indexer.media.read.decode import Frame

__all__ = ["TextFrame", "TextTracker", "TextWatch"]

LOOKS_PER_SECOND = 2.5
READS_PER_MINUTE = 30.0
KEYFRAME_READS_PER_MINUTE = 12.0

# A grey picture of 320 x 180, or of that many pixels in another shape.
_LOOK_PIXELS = 57_600
# Between looks further apart than this nobody knows what stood still.
_STEADY_GAP_S = 1.0
_MIN_STROKES = 40
# Cells of 16 x 16 pixels: a short word in small letters fills two.
_CHANGED_CELLS = 2
_MOVING_CELLS = 4
_MOVING_PAUSE_S = 4.0
_MAX_SPAN_S = 15.0
# Reads that may be used up at once, at the start or after a calm stretch.
_SAVED_READS = 20.0
_SAVED_KEYFRAME_READS = 12.0


@dataclass(slots=True, eq=False)
class _Span:
    """A stretch of time over which the strokes stay, and the best frame of it so far."""

    start_s: float
    frame: Frame
    strokes: Strokes
    end_s: float = 0.0

    def offer(self, frame: Frame, strokes: Strokes) -> None:
        """Prefer the frame with the most strokes that also stood in the look before it: sharp, and not distorted."""
        if strokes.amount > self.strokes.amount:
            self.frame, self.strokes = frame, strokes

    @property
    def length_s(self) -> float:
        """How long it lasted."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """What one look saw: all strokes, and those that stood still since the look before, at ``since_s``."""

    frame: Frame
    strokes: Strokes
    steady: Strokes
    moving_cells: int
    since_s: float

    @property
    def time_s(self) -> float:
        """The frame's time."""
        return self.frame.time_s

    @property
    def has_steady(self) -> bool:
        """Whether there are enough strokes in place for a word."""
        return self.steady.amount >= _MIN_STROKES

    @property
    def has_moving(self) -> bool:
        """Whether there are strokes enough for a word that were elsewhere before."""
        return self.moving_cells >= _MOVING_CELLS


class TextWatch:
    """Watches a video's frames go by, and keeps those in which there may be text that has not been read yet.

    A few times a second it looks at a small grey picture for strokes that may be letters. As long as the same strokes
    stay in place, one picture stands for them; strokes that keep moving are read now and then. Letters that are too
    small or too pale to be found so are read in the keyframes. Good for one video and one pass. It holds two frames, a
    few keyframes and, between two calls of ``take``, the few pictures that the reads per minute allow.

    Args:
        video_id: The video's id.
        looks_per_second: How often to look, per second of video, as far as there are frames.
        reads_per_minute: How many frames to hand over per minute of video in the long run. Where there are more
            candidates, those that stay longest are handed over.
        keyframe_reads_per_minute: How many keyframes to hand over besides, for times without such a frame.
    """

    def __init__(
        self,
        video_id: str,
        *,
        looks_per_second: float = LOOKS_PER_SECOND,
        reads_per_minute: float = READS_PER_MINUTE,
        keyframe_reads_per_minute: float = KEYFRAME_READS_PER_MINUTE,
    ) -> None:
        self._video_id = video_id
        self._pause_s = 1 / looks_per_second
        self._allowance = Allowance(reads_per_minute, _SAVED_READS)
        self._keyframes = TextKeyframes(video_id, Allowance(keyframe_reads_per_minute, _SAVED_KEYFRAME_READS))
        self._next_look_s = 0.0
        self._before: tuple[float, Strokes] | None = None
        self._span: _Span | None = None
        self._free_s = 0.0
        self._waiting: _Span | None = None
        self._found: list[TextFrame] = []
        self._last: TextFrame | None = None

    def watch(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Every frame, unchanged, in the order given."""
        for frame in frames:
            if frame.time_s >= self._next_look_s:
                self._next_look_s = frame.time_s + self._pause_s
                self._look(frame)
            yield frame
        self._make_last()

    def noting(self, keyframes: Iterable[Keyframe]) -> Iterator[Keyframe]:
        """Every keyframe that a sampler chooses from the frames watched, unchanged, in the order given."""
        for keyframe in keyframes:
            self._keyframes.offer(keyframe)
            self._settle_keyframes()
            yield keyframe

    def take(self) -> list[TextFrame]:
        """The frames to be read that have become known since the last call, in order of time."""
        found, self._found = self._found, []
        return sorted(found, key=lambda frame: frame.time_s)

    def finish(self, end_s: float) -> None:
        """Say when the video ends, in seconds: the next ``take`` hands over the rest."""
        if self._last is not None:
            self._hand_over(replace(self._last, end_s=max(self._last.end_s, end_s)))
            self._last = None
        self._settle_keyframes()

    def _hand_over(self, frame: TextFrame) -> None:
        self._found.append(frame)
        self._keyframes.note(frame)

    def _settle_keyframes(self) -> None:
        """Decide about the keyframes before the span that is still open."""
        still_open = self._span or self._last
        self._found += self._keyframes.settle(still_open.start_s if still_open else math.inf)

    def _look(self, frame: Frame) -> None:
        look = self._compare(frame, find_strokes(frame.grey(_LOOK_PIXELS)))
        if self._span is not None:
            self._follow(self._span, look)
        if self._span is None and look.has_steady:
            self._open(look, look.steady, look.since_s)
        elif self._span is None and look.has_moving and look.time_s >= self._free_s + _MOVING_PAUSE_S:
            self._open(look, look.strokes, look.time_s)

    def _compare(self, frame: Frame, strokes: Strokes) -> _Look:
        before, self._before = self._before, (frame.time_s, strokes)
        if before is None or frame.time_s - before[0] > _STEADY_GAP_S:
            return _Look(frame, strokes, strokes, 0, frame.time_s)
        former_s, former = before
        return _Look(frame, strokes, strokes.also_in(former), strokes.cells_missing_in(former), former_s)

    def _follow(self, span: _Span, look: _Look) -> None:
        """End the span where something has come, gone, or kept moving for long; else go on with it."""
        age_s = look.time_s - span.start_s
        if look.steady.cells_missing_in(span.strokes) >= _CHANGED_CELLS:
            self._close(span, look.since_s)
        elif span.strokes.cells_missing_in(look.strokes) >= _CHANGED_CELLS or age_s >= _MAX_SPAN_S:
            self._close(span, look.time_s)
        elif age_s >= _MOVING_PAUSE_S and look.has_moving:
            self._close(span, look.time_s)
            self._open(look, look.strokes, look.time_s)
        else:
            span.offer(look.frame, look.steady)

    def _open(self, look: _Look, strokes: Strokes, start_s: float) -> None:
        self._span = _Span(max(start_s, self._free_s), look.frame, strokes)

    def _close(self, span: _Span, end_s: float) -> None:
        self._span = None
        if end_s > span.start_s:
            span.end_s = self._free_s = end_s
            self._queue(span)
        self._settle_keyframes()

    def _queue(self, span: _Span) -> None:
        """Hand over what the allowance permits; of the others the longest waits."""
        for candidate in [span] if self._waiting is None else [self._waiting, span]:
            if not self._allowance.spend(span.end_s):
                self._waiting = max(self._waiting or candidate, candidate, key=lambda span: span.length_s)
                return
            self._hand_over(self._text_frame(candidate))
            self._waiting = None

    def _make_last(self) -> None:
        """Make what is still open a picture as long as the reader can."""
        if self._waiting is not None:
            self._hand_over(self._text_frame(self._waiting))
        if self._span is not None:
            self._span.end_s = max(self._span.start_s, self._before[0] if self._before else 0.0)
            self._last = self._text_frame(self._span)
        self._waiting = self._span = None

    def _text_frame(self, span: _Span) -> TextFrame:
        time_s = min(max(span.frame.time_s, span.start_s), span.end_s)
        return TextFrame(self._video_id, span.start_s, span.end_s, time_s, span.frame.image())
