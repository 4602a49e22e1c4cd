"""Which keyframes are read for text, too: those of times for which nobody found letters to read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from indexer.modalities.ocr.text_detection import is_smooth
from indexer.modalities.ocr.text_tracking import TextFrame

if TYPE_CHECKING:
    from indexer.core.types import Keyframe

__all__ = ["Allowance", "TextKeyframes"]

# Keyframes held until it is known whether a text frame stands for them.
_MOST_PENDING = 8
# Strokes are not looked for all the time: those of a text frame are there as much earlier or later than is known.
_SLACK_S = 0.5


class Allowance:
    """How many reads may be spent: a steady income, and some savings.

    Args:
        reads_per_minute: The income, for a minute of video.
        savings: Reads that may be used up at once, at the start or after a calm stretch.
    """

    def __init__(self, reads_per_minute: float, savings: float) -> None:
        self._per_second = reads_per_minute / 60
        self._most = self._saved = savings
        self._now_s = 0.0

    def spend(self, now_s: float) -> bool:
        """Whether there was a read to spend."""
        self._saved = min(self._most, self._saved + max(0.0, now_s - self._now_s) * self._per_second)
        self._now_s = max(self._now_s, now_s)
        if self._saved < 1:
            return False
        self._saved -= 1
        return True


@dataclass(frozen=True, slots=True)
class _Stretch:
    """What a text frame stands for: ``[start_s, end_s)``, seen in the picture at ``time_s``."""

    start_s: float
    end_s: float
    time_s: float

    def holds(self, time_s: float) -> bool:
        return self.start_s <= time_s < self.end_s

    def stands_for(self, keyframe: Keyframe) -> bool:
        """Whether its picture shows what the keyframe shows: the same strokes, in the same part of the same shot."""
        is_near = self.start_s - _SLACK_S <= keyframe.time_s < self.end_s + _SLACK_S
        return is_near and keyframe.start_s <= self.time_s < keyframe.end_s


class TextKeyframes:
    """Hands over the keyframes that no text frame stands for, as text frames for the time that they stand for.

    Letters may be too small or too pale for the search for strokes. Good for one video and one pass.

    Args:
        video_id: The video's id.
        allowance: The reads that keyframes may use up.
    """

    def __init__(self, video_id: str, allowance: Allowance) -> None:
        self._video_id = video_id
        self._allowance = allowance
        self._stretches: list[_Stretch] = []
        self._pending: list[Keyframe] = []
        self._unread_s: float | None = None

    def note(self, frame: TextFrame) -> None:
        """Remember what a text frame stands for."""
        self._stretches.append(_Stretch(frame.start_s, frame.end_s, frame.time_s))

    def offer(self, keyframe: Keyframe) -> None:
        """Take the next keyframe. Of too many that cannot be decided yet, the one that stands for least is dropped."""
        self._pending.append(keyframe)
        if len(self._pending) > _MOST_PENDING:
            self._pending.remove(min(self._pending, key=lambda pending: pending.end_s - pending.start_s))

    def settle(self, until_s: float) -> list[TextFrame]:
        """Decide about the keyframes before ``until_s``, for which all text frames have been noted."""
        settled = [keyframe for keyframe in self._pending if keyframe.time_s < until_s]
        self._pending = self._pending[len(settled) :]
        return [frame for keyframe in settled for frame in self._to_read(keyframe)]

    def _to_read(self, keyframe: Keyframe) -> Iterator[TextFrame]:
        near = [one for one in self._stretches if one.start_s < keyframe.end_s and one.end_s > keyframe.start_s]
        if any(stretch.stands_for(keyframe) for stretch in near) or is_smooth(keyframe.image):
            self._unread_s = None
        elif self._allowance.spend(keyframe.time_s):
            yield self._text_frame(keyframe, near)
        elif self._unread_s is None:
            self._unread_s = keyframe.start_s

    def _text_frame(self, keyframe: Keyframe, near: Sequence[_Stretch]) -> TextFrame:
        (first_s, last_s), (start_s, end_s) = _bounds(keyframe, near), _span(keyframe, near)
        since_s = self._unread_since(first_s)
        self._unread_s = end_s if end_s < last_s else None
        return TextFrame(self._video_id, start_s, end_s, keyframe.time_s, keyframe.image, since_s)

    def _unread_since(self, first_s: float) -> float:
        """When the last picture before ``first_s`` that was read, or need not be, had been shown."""
        if self._unread_s is None:
            return first_s
        read_until_s = max((stretch.end_s for stretch in self._stretches if stretch.end_s <= first_s), default=0.0)
        return min(first_s, max(self._unread_s, read_until_s))


def _bounds(keyframe: Keyframe, near: Sequence[_Stretch]) -> tuple[float, float]:
    """The part of its span over which a keyframe's picture looked the same, as far as text frames tell."""
    edges = [edge for stretch in near for edge in (stretch.start_s, stretch.end_s)]
    first_s = max(edge for edge in (keyframe.start_s, *edges) if edge <= keyframe.time_s)
    return first_s, min((edge for edge in (keyframe.end_s, *edges) if edge > keyframe.time_s), default=first_s)


def _span(keyframe: Keyframe, near: Sequence[_Stretch]) -> tuple[float, float]:
    """The time for which a keyframe's text is told to be there.

    A text that fades in or out is read in the keyframe, and then or before that in a text frame. So where one borders
    on it, the other end is no further away than the picture.
    """
    first_s, last_s = _bounds(keyframe, near)
    follows = any(stretch.end_s == first_s for stretch in near)
    is_followed = any(stretch.start_s == last_s for stretch in near)
    if follows == is_followed:
        return first_s, last_s
    return (first_s, keyframe.time_s) if follows else (keyframe.time_s, last_s)
