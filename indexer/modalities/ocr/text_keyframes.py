"""Which keyframes are read for text: those of times for which no text frame was chosen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from indexer.modalities.ocr.text_detection import is_smooth
from indexer.modalities.ocr.text_tracking import TextFrame

if TYPE_CHECKING:
    from indexer.core.types import Keyframe

# Keyframes held until it is known whether a text frame covers them.
_MOST_PENDING = 8
# Strokes are detected at intervals: those of a text frame may be visible this much earlier and later.
_SLACK_S = 0.5


class ReadBudget:
    """A rate limit for reads over the time of a video (a token bucket).

    Args:
        reads_per_minute: How many reads each minute of video adds.
        saved: The most reads that may be saved up; also the number at the start.
    """

    def __init__(self, reads_per_minute: float, saved: float) -> None:
        self._per_second = reads_per_minute / 60
        self._most = self._saved = saved
        self._now_s = 0.0

    def spend(self, now_s: float) -> bool:
        """Take one read; False if there is none left."""
        self._saved = min(self._most, self._saved + max(0.0, now_s - self._now_s) * self._per_second)
        self._now_s = max(self._now_s, now_s)
        if self._saved < 1:
            return False
        self._saved -= 1
        return True


@dataclass(frozen=True, slots=True)
class _CoveredSpan:
    """The span ``[start_s, end_s)`` of a text frame whose picture is at ``time_s``."""

    start_s: float
    end_s: float
    time_s: float

    def covers(self, keyframe: Keyframe) -> bool:
        """Whether the text frame shows the keyframe's text: the same strokes in the same part of the same shot."""
        is_near = self.start_s - _SLACK_S <= keyframe.time_s < self.end_s + _SLACK_S
        return is_near and keyframe.start_s <= self.time_s < keyframe.end_s


class TextKeyframes:
    """Chooses the keyframes that no text frame covers, as text frames for their spans. Good for one video.

    It finds letters that are too small or too pale for the detection of strokes.
    """

    def __init__(self, video_id: str, budget: ReadBudget) -> None:
        self._video_id = video_id
        self._budget = budget
        self._covered: list[_CoveredSpan] = []
        self._covered_until_s = 0.0
        self._pending: list[Keyframe] = []
        self._unread_s: float | None = None

    def note(self, frame: TextFrame) -> None:
        """Remember the span of a text frame."""
        self._covered.append(_CoveredSpan(frame.start_s, frame.end_s, frame.time_s))

    def offer(self, keyframe: Keyframe) -> None:
        """Take the next keyframe. Of too many pending ones, the one with the shortest span is dropped."""
        self._pending.append(keyframe)
        if len(self._pending) > _MOST_PENDING:
            self._pending.remove(min(self._pending, key=lambda pending: pending.end_s - pending.start_s))

    def settle(self, until_s: float) -> list[TextFrame]:
        """Decide about the keyframes before ``until_s``, for which all text frames have been noted."""
        settled = [keyframe for keyframe in self._pending if keyframe.time_s < until_s]
        self._pending = self._pending[len(settled) :]
        return [frame for keyframe in settled for frame in self._to_read(keyframe)]

    def _to_read(self, keyframe: Keyframe) -> Iterator[TextFrame]:
        self._forget_before(keyframe.start_s)
        near = [span for span in self._covered if span.start_s < keyframe.end_s]
        if any(span.covers(keyframe) for span in near) or is_smooth(keyframe.image):
            self._unread_s = None
        elif self._budget.spend(keyframe.time_s):
            yield self._text_frame(keyframe, near)
        elif self._unread_s is None:
            self._unread_s = keyframe.start_s

    def _forget_before(self, start_s: float) -> None:
        """Keyframes come in order of time: keep only the latest end of the spans before ``start_s``."""
        past = [span.end_s for span in self._covered if span.end_s <= start_s]
        if past:
            self._covered_until_s = max(self._covered_until_s, *past)
            self._covered = [span for span in self._covered if span.end_s > start_s]

    def _text_frame(self, keyframe: Keyframe, near: Sequence[_CoveredSpan]) -> TextFrame:
        (first_s, last_s), (start_s, end_s) = _bounds(keyframe, near), _span(keyframe, near)
        since_s = self._unread_since(first_s)
        self._unread_s = end_s if end_s < last_s else None
        return TextFrame(self._video_id, start_s, end_s, keyframe.time_s, keyframe.image, since_s)

    def _unread_since(self, first_s: float) -> float:
        """The start of the unread time that ends at ``first_s``; ``first_s`` if there is none."""
        if self._unread_s is None:
            return first_s
        ends = (span.end_s for span in self._covered if span.end_s <= first_s)
        return min(first_s, max(self._unread_s, self._covered_until_s, *ends))


def _bounds(keyframe: Keyframe, near: Sequence[_CoveredSpan]) -> tuple[float, float]:
    """The part of a keyframe's span, between text frames, over which its picture looks the same."""
    edges = [edge for span in near for edge in (span.start_s, span.end_s)]
    first_s = max(edge for edge in (keyframe.start_s, *edges) if edge <= keyframe.time_s)
    return first_s, min((edge for edge in (keyframe.end_s, *edges) if edge > keyframe.time_s), default=first_s)


def _span(keyframe: Keyframe, near: Sequence[_CoveredSpan]) -> tuple[float, float]:
    """The time for which a keyframe's text is taken to be visible.

    A text that fades in or out is read both in the keyframe and in a neighbouring text frame. If a text frame borders
    on one end only, the other end is set to the keyframe's own time.
    """
    first_s, last_s = _bounds(keyframe, near)
    follows = any(span.end_s == first_s for span in near)
    is_followed = any(span.start_s == last_s for span in near)
    if follows == is_followed:
        return first_s, last_s
    return (first_s, keyframe.time_s) if follows else (keyframe.time_s, last_s)
