"""From the sound of a video to segments of kind ``sounds``: what is heard, from when to when, and its vector.

The sound is cut into windows of the length that the encoder knows. Silent ones are left out; neighbours that sound
alike become one segment on the borders of windows, with the mean of their vectors and the tags that they share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from indexer.core.types import Embedding, Samples, Segment
from indexer.models.base import SoundEncoder, Tag
from indexer.models.long_texts import normalised

__all__ = ["ALIKE", "LONGEST_S", "SILENCE_RMS", "HeardSegment", "sound_segments"]

SILENCE_RMS = 10 ** (-60 / 20)
"""Root mean square up to which a window is silent: 60 dB below full scale, what is left of a quiet room."""

ALIKE = 0.95
"""Cosine to the mean of the segment so far from which a window continues it."""

LONGEST_S = 10.0
"""No window is added to a segment that would become longer than this."""

_SILENCE = "Silence"  # a class of AudioSet
_LEAST_TAG_SCORE, _MOST_TAGS = 0.1, 5
_WINDOWS_AT_ONCE = 16


@dataclass(frozen=True, slots=True, eq=False)
class HeardSegment:
    """A stretch of one kind of sound. ``segment.text`` names what is heard, the surest first, or is empty for an
    encoder without classes; ``vector`` is ``(dim,)`` float32, L2-normalised, in the encoder's space.
    """

    segment: Segment
    vector: Embedding


@dataclass(frozen=True, slots=True, eq=False)
class _Window:
    """Samples ``start`` up to ``end`` of the sound; ``samples`` are what the encoder is given for them."""

    start: int
    end: int
    samples: Samples

    @property
    def is_silent(self) -> bool:
        own = self.samples[-(self.end - self.start) :].astype(np.float64)
        return float(np.sqrt(np.mean(own**2))) <= SILENCE_RMS


@dataclass(frozen=True, slots=True, eq=False)
class _Stretch:
    """One window or more that sound alike: the sums of their vectors and of their tags' scores."""

    start: int
    end: int
    windows: int
    vector: Embedding
    scores: Counter[str]

    def continued_by(self, other: _Stretch, longest: float) -> bool:
        """Whether the other follows at once, sounds alike, and both together last no more than ``longest`` samples."""
        alike = float(_unit(self.vector) @ _unit(other.vector)) >= ALIKE
        return other.start == self.end and alike and other.end - self.start <= longest

    def joined(self, other: _Stretch) -> _Stretch:
        return _Stretch(
            start=self.start,
            end=other.end,
            windows=self.windows + other.windows,
            vector=self.vector + other.vector,
            scores=self.scores + other.scores,
        )

    @property
    def text(self) -> str:
        """The surest tag, and further ones that are heard through most of the stretch or clearly in a part of it."""
        best = self.scores.most_common(_MOST_TAGS)
        least = _LEAST_TAG_SCORE * self.windows
        return ", ".join(label for place, (label, score) in enumerate(best) if place == 0 or score >= least)


def sound_segments(video_id: str, windows: Iterable[Samples], encoder: SoundEncoder) -> Iterator[HeardSegment]:
    """What is heard in a video, in time order, each segment as soon as it has ended. Segments do not overlap.

    Args:
        video_id: Of the video.
        windows: Its sound as consecutive pieces ``(n,)`` of any length, one channel at ``encoder.sample_rate``. They
            are pulled as they are needed, and memory does not grow with their number.
        encoder: Makes vectors and tags of windows of ``encoder.window_s``.

    Raises:
        ModelError: the encoder's weights are missing or cannot be loaded.
    """
    rate = encoder.sample_rate
    loud = (window for window in _cut(windows, round(encoder.window_s * rate)) if not window.is_silent)
    for stretch in _joined(_heard(loud, encoder), LONGEST_S * rate):
        segment = Segment(video_id, stretch.start / rate, stretch.end / rate, stretch.text, "sounds")
        yield HeardSegment(segment, _unit(stretch.vector))


def _cut(pieces: Iterable[Samples], size: int) -> Iterator[_Window]:
    """Consecutive windows of ``size`` samples, the last one of what is left.

    Less than half a window tells an encoder little, so it is then given what comes before as well.
    """
    start, waiting, before = 0, np.zeros(0, np.float32), np.zeros(0, np.float32)
    for piece in pieces:
        waiting = np.concatenate([waiting, piece])
        whole = len(waiting) - len(waiting) % size
        for place in range(0, whole, size):
            before = waiting[place : place + size]
            yield _Window(start, start + size, before)
            start += size
        waiting = waiting[whole:]
    if len(waiting):
        led_in = [before, waiting] if 2 * len(waiting) < size else [waiting]
        yield _Window(start, start + len(waiting), np.concatenate(led_in)[-size:])


def _heard(windows: Iterator[_Window], encoder: SoundEncoder) -> Iterator[_Stretch]:
    """Each window as a stretch of its own, but for those that the encoder itself takes for silence."""
    while batch := list(islice(windows, _WINDOWS_AT_ONCE)):
        heard = encoder.encode_audio([window.samples for window in batch])
        for window, vector, tags in zip(batch, heard.vectors, heard.tags, strict=True):
            if not (tags and tags[0].label == _SILENCE):
                yield _Stretch(window.start, window.end, 1, vector, _scores(tags))


def _scores(tags: Iterable[Tag]) -> Counter[str]:
    return Counter({tag.label: tag.score for tag in tags})


def _joined(stretches: Iterator[_Stretch], longest: float) -> Iterator[_Stretch]:
    current: _Stretch | None = None
    for stretch in stretches:
        if current is not None and current.continued_by(stretch, longest):
            current = current.joined(stretch)
            continue
        if current is not None:
            yield current
        current = stretch
    if current is not None:
        yield current


def _unit(vector: Embedding) -> Embedding:
    unit: Embedding = normalised(vector[None])[0]
    return unit
