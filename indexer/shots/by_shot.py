"""The sharpest frame near the middle of each shot, several in long shots."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from indexer.core.types import Image, Keyframe, Shot
from indexer.shots.detect import CutDetector
from indexer.shots.sampling import FrameLike, advancing
from indexer.shots.sharpness import Appearance, appearance_of, sharpness_of
from indexer.shots.spans import Clock, Span, divide, parts_needed

_MIN_SLOT_S = 0.25
_SLOTS_PER_SPAN = 5
_LOOKS_PER_SLOT = 12
_EDGE_WEIGHT = 0.4  # of a frame at either end of its span, against 1 in the middle


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    time_s: float
    is_black: bool
    sharpness: float
    image: Image


class _Slot:
    """A short time slot: keeps only its best frame, and makes an image of that frame when it closes."""

    def __init__(self, length_s: float) -> None:
        self._length_s = length_s
        self._start_s = self._next_look_s = 0.0
        self._best: tuple[FrameLike, Appearance] | None = None

    def has_room(self, time_s: float) -> bool:
        """Whether a frame of that time belongs to this slot."""
        return self._best is None or time_s - self._start_s < self._length_s

    def add(self, frame: FrameLike, thumbnail: Image) -> None:
        """Keep a frame if it is the best of those measured."""
        if self._best is None:
            self._start_s = frame.time_s
        elif frame.time_s < self._next_look_s:
            return
        self._next_look_s = frame.time_s + self._length_s / _LOOKS_PER_SLOT
        appearance = appearance_of(thumbnail)
        if self._best is None or _quality(appearance) > _quality(self._best[1]):
            self._best = frame, appearance

    def close(self) -> _Candidate | None:
        """The best frame as a candidate, None without frames; the slot is then empty."""
        if self._best is None:
            return None
        frame, appearance = self._best
        self._best = None
        image = frame.image()
        return _Candidate(frame.time_s, appearance.is_black, sharpness_of(image), image)


class ShotSampler:
    """Chooses one keyframe per shot; divides longer shots into spans of ``max_span_s`` down to half of that.

    Holds the images of at most about two spans, however long the shot.
    ``duration_s`` is 0 if unknown; ``detector`` is a new one for each video.
    """

    def __init__(self, video_id: str, duration_s: float, detector: CutDetector, max_span_s: float) -> None:
        self._video_id = video_id
        self._detector = detector
        self._max_span_s = max_span_s
        self._clock = Clock(duration_s)
        self._delayed: deque[tuple[FrameLike, Image]] = deque()
        self._slot = _Slot(max(_MIN_SLOT_S, max_span_s / _SLOTS_PER_SPAN))
        self._candidates: list[_Candidate] = []
        self._start_s = 0.0
        self._shots: list[Shot] = []
        self._shot_start_s = 0.0
        self._is_empty = True
        self._spare: tuple[int, _Candidate] | None = None

    @property
    def shots(self) -> tuple[Shot, ...]:
        """The shots that have ended."""
        return tuple(self._shots)

    def keyframes(self, frames: Iterable[FrameLike]) -> Iterator[Keyframe]:
        """See `Sampler.keyframes`."""
        for frame in advancing(frames):
            cuts = self._take(frame)
            for cut_s in cuts:
                yield from self._end_shot(cut_s)
            yield from self._end_spans()
        if self._clock.last_s is not None:
            yield from self._finish()

    def _take(self, frame: FrameLike) -> tuple[float, ...]:
        self._clock.tick(frame.time_s)
        thumbnail = frame.thumbnail_bgr()
        cuts = self._detector.feed(thumbnail, frame.time_s)
        self._delayed.append((frame, thumbnail))
        if len(self._delayed) > self._detector.lag_frames:
            self._settle(*self._delayed.popleft())
        return cuts

    def _settle(self, frame: FrameLike, thumbnail: Image) -> None:
        """Add a frame to a slot; a slot never spans a suspected cut."""
        if frame.time_s == self._detector.newest_suspect_s or not self._slot.has_room(frame.time_s):
            self._close_slot()
        self._slot.add(frame, thumbnail)

    def _close_slot(self) -> None:
        candidate = self._slot.close()
        if candidate is not None:
            self._candidates.append(candidate)

    def _finish(self) -> Iterator[Keyframe]:
        while self._delayed:
            self._settle(*self._delayed.popleft())
        self._close_slot()
        for cut_s in self._detector.finish():
            yield from self._end_shot(cut_s)
        yield from self._end_shot(self._clock.frames_end_s, self._clock.end_s)
        if self._is_empty and self._spare is not None:
            index, candidate = self._spare
            yield self._keyframe(self._shots[index].start_s, self._shots[index].end_s, candidate, index)

    def _end_spans(self) -> Iterator[Keyframe]:
        """End the first span of a long shot once the rest is certain to be at least a whole span."""
        while self._candidates:
            skipped = (self._candidates[0].time_s - self._start_s) // self._max_span_s
            end_s = self._start_s + (skipped + 1) * self._max_span_s
            if end_s <= self._candidates[0].time_s:  # rounding put the bound on the candidate
                end_s += self._max_span_s
            if self._detector.settled_s < end_s + self._max_span_s:
                return
            yield from self._choose(Span(self._start_s, end_s, self._pop_before(end_s)), end_s)
            self._start_s = end_s

    def _end_shot(self, frames_end_s: float, end_s: float | None = None) -> Iterator[Keyframe]:
        """End the shot with its last frame; its last span is extended to ``end_s`` if that is given."""
        end_s = frames_end_s if end_s is None else end_s
        parts = parts_needed(frames_end_s - self._start_s, self._max_span_s)
        spans = divide(self._start_s, frames_end_s, parts, self._pop_before(frames_end_s))
        for span in spans:
            yield from self._choose(span, end_s if span is spans[-1] else span.end_s)
        self._shots.append(Shot(self._video_id, len(self._shots), self._shot_start_s, end_s))
        self._start_s = self._shot_start_s = end_s

    def _pop_before(self, end_s: float) -> tuple[_Candidate, ...]:
        popped = tuple(candidate for candidate in self._candidates if candidate.time_s < end_s)
        del self._candidates[: len(popped)]
        return popped

    def _choose(self, span: Span[_Candidate], end_s: float) -> Iterator[Keyframe]:
        """The keyframe of a span that ends at ``end_s``; none if all its frames are black."""
        visible = [candidate for candidate in span.members if not candidate.is_black]
        best = _best(visible or span.members, span.start_s, span.end_s)
        if visible:
            self._is_empty, self._spare = False, None
            yield self._keyframe(span.start_s, end_s, best, len(self._shots))
        elif self._is_empty and self._spare is None:
            self._spare = len(self._shots), best

    def _keyframe(self, start_s: float, end_s: float, candidate: _Candidate, shot: int) -> Keyframe:
        return Keyframe(self._video_id, shot, start_s, end_s, candidate.time_s, candidate.image)


def _quality(appearance: Appearance) -> tuple[bool, float]:
    return not appearance.is_black, appearance.sharpness


def _best(candidates: Sequence[_Candidate], start_s: float, end_s: float) -> _Candidate:
    """The candidate with the largest product of sharpness and closeness to the span's middle."""
    middle_s, half_s = (start_s + end_s) / 2, max((end_s - start_s) / 2, 1e-9)

    def merit(candidate: _Candidate) -> tuple[float, float]:
        distance = min(1.0, abs(candidate.time_s - middle_s) / half_s)
        closeness = 1.0 - (1.0 - _EDGE_WEIGHT) * distance
        return candidate.sharpness * closeness, closeness

    return max(candidates, key=merit)
