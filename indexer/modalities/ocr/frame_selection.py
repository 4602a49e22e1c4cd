"""Selects the frames of a video that are read for on-screen text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from indexer.modalities.ocr.text_detection import Strokes, find_strokes
from indexer.modalities.ocr.text_keyframes import ReadBudget, TextKeyframes
from indexer.modalities.ocr.text_tracking import TextFrame

if TYPE_CHECKING:
    from indexer.core.types import Keyframe
    from indexer.media.read.decode import Frame

# Pixels of the grey picture: 320 x 180, or another shape.
_GREY_PIXELS = 57_600
# Two pictures further apart than this do not show what stood still.
_STEADY_GAP_S = 1.0
_MIN_STROKES = 40
# Cells of 16 x 16 pixels: a short word in small letters fills two.
_CHANGED_CELLS = 2
_MOVING_CELLS = 4
_MOVING_PAUSE_S = 4.0
_MAX_SPAN_S = 15.0
_SAVED_READS = 20.0
_SAVED_KEYFRAME_READS = 12.0


@dataclass(slots=True, eq=False)
class _OpenSpan:
    """A span over which the strokes stay in place, and its best frame so far."""

    start_s: float
    frame: Frame
    strokes: Strokes
    end_s: float = 0.0

    def offer(self, frame: Frame, strokes: Strokes) -> None:
        """Keep the frame with the most strokes that also stood in the previous picture: it is sharp and undistorted."""
        if strokes.amount > self.strokes.amount:
            self.frame, self.strokes = frame, strokes

    @property
    def length_s(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True, eq=False)
class _Change:
    """A frame's strokes, and those that have been in place since the previous picture, at ``since_s``."""

    frame: Frame
    strokes: Strokes
    steady: Strokes
    moving_cells: int
    since_s: float

    @property
    def time_s(self) -> float:
        return self.frame.time_s

    @property
    def has_steady(self) -> bool:
        """Whether enough strokes for a word stayed in place."""
        return self.steady.amount >= _MIN_STROKES

    @property
    def has_moving(self) -> bool:
        """Whether enough strokes for a word moved."""
        return self.moving_cells >= _MOVING_CELLS


class TextWatch:
    """Selects frames that may show text which has not been read yet, while a video's frames pass. Good for one video.

    A few times a second it searches a small grey picture for strokes that may be letters. While the same strokes stay
    in place, one frame stands for them; moving strokes are read at intervals. Keyframes are read for letters that are
    too small or too pale to be found so. Memory: two frames, a few keyframes and, between two calls of ``take``, the
    frames that the limits allow.

    Args:
        video_id: The video's id.
        looks_per_second: How many frames to search for strokes per second of video.
        reads_per_minute: How many frames to select per minute of video in the long run; those that stand for the
            longest spans are preferred.
        keyframe_reads_per_minute: How many keyframes to select in addition, for times without such a frame.
    """

    def __init__(
        self,
        video_id: str,
        *,
        looks_per_second: float = 2.5,
        reads_per_minute: float = 30.0,
        keyframe_reads_per_minute: float = 12.0,
    ) -> None:
        self._video_id = video_id
        self._pause_s = 1 / looks_per_second
        self._budget = ReadBudget(reads_per_minute, _SAVED_READS)
        self._keyframes = TextKeyframes(video_id, ReadBudget(keyframe_reads_per_minute, _SAVED_KEYFRAME_READS))
        self._next_look_s = 0.0
        self._previous: tuple[float, Strokes] | None = None
        self._span: _OpenSpan | None = None
        self._free_s = 0.0
        self._waiting: _OpenSpan | None = None
        self._selected: list[TextFrame] = []
        self._last: TextFrame | None = None

    def watch(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """The frames, unchanged, searched as they pass."""
        for frame in frames:
            if frame.time_s >= self._next_look_s:
                self._next_look_s = frame.time_s + self._pause_s
                self._look(frame)
            yield frame
        self._end_spans()

    def noting(self, keyframes: Iterable[Keyframe]) -> Iterator[Keyframe]:
        """The keyframes that a sampler chooses from the watched frames, unchanged, noted as they pass."""
        for keyframe in keyframes:
            self._keyframes.offer(keyframe)
            self._settle_keyframes()
            yield keyframe

    def take(self) -> list[TextFrame]:
        """The frames selected since the last call, in order of time."""
        selected, self._selected = self._selected, []
        return sorted(selected, key=lambda frame: frame.time_s)

    def finish(self, end_s: float) -> None:
        """Select the rest, given the video's end in seconds; the next ``take`` returns it."""
        if self._last is not None:
            self._select(replace(self._last, end_s=max(self._last.end_s, end_s)))
            self._last = None
        self._settle_keyframes()

    def _select(self, frame: TextFrame) -> None:
        self._selected.append(frame)
        self._keyframes.note(frame)

    def _settle_keyframes(self) -> None:
        """Decide about the keyframes before the span that is still open."""
        still_open = self._span or self._last
        self._selected += self._keyframes.settle(still_open.start_s if still_open else math.inf)

    def _look(self, frame: Frame) -> None:
        change = self._compare(frame, find_strokes(frame.grey(_GREY_PIXELS)))
        if self._span is not None:
            self._follow(self._span, change)
        if self._span is None and change.has_steady:
            self._open(change, change.steady, change.since_s)
        elif self._span is None and change.has_moving and change.time_s >= self._free_s + _MOVING_PAUSE_S:
            self._open(change, change.strokes, change.time_s)

    def _compare(self, frame: Frame, strokes: Strokes) -> _Change:
        previous, self._previous = self._previous, (frame.time_s, strokes)
        if previous is None or frame.time_s - previous[0] > _STEADY_GAP_S:
            return _Change(frame, strokes, strokes, 0, frame.time_s)
        before_s, before = previous
        return _Change(frame, strokes, strokes.also_in(before), strokes.cells_missing_in(before), before_s)

    def _follow(self, span: _OpenSpan, change: _Change) -> None:
        """End the span where strokes have come, gone, or moved for long; otherwise continue it."""
        age_s = change.time_s - span.start_s
        if change.steady.cells_missing_in(span.strokes) >= _CHANGED_CELLS:
            self._close(span, change.since_s)
        elif span.strokes.cells_missing_in(change.strokes) >= _CHANGED_CELLS or age_s >= _MAX_SPAN_S:
            self._close(span, change.time_s)
        elif age_s >= _MOVING_PAUSE_S and change.has_moving:
            self._close(span, change.time_s)
            self._open(change, change.strokes, change.time_s)
        else:
            span.offer(change.frame, change.steady)

    def _open(self, change: _Change, strokes: Strokes, start_s: float) -> None:
        self._span = _OpenSpan(max(start_s, self._free_s), change.frame, strokes)

    def _close(self, span: _OpenSpan, end_s: float) -> None:
        self._span = None
        if end_s > span.start_s:
            span.end_s = self._free_s = end_s
            self._queue(span)
        self._settle_keyframes()

    def _queue(self, span: _OpenSpan) -> None:
        """Select what the budget allows; the longest of the other spans waits."""
        for candidate in [span] if self._waiting is None else [self._waiting, span]:
            if not self._budget.spend(span.end_s):
                self._waiting = max(self._waiting or candidate, candidate, key=lambda span: span.length_s)
                return
            self._select(self._text_frame(candidate))
            self._waiting = None

    def _end_spans(self) -> None:
        """Make pictures of the open spans while the reader is open."""
        if self._waiting is not None:
            self._select(self._text_frame(self._waiting))
        if self._span is not None:
            self._span.end_s = max(self._span.start_s, self._previous[0] if self._previous else 0.0)
            self._last = self._text_frame(self._span)
        self._waiting = self._span = None

    def _text_frame(self, span: _OpenSpan) -> TextFrame:
        time_s = min(max(span.frame.time_s, span.start_s), span.end_s)
        return TextFrame(self._video_id, span.start_s, span.end_s, time_s, span.frame.image())
