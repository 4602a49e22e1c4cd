"""Turns a video's sound into segments of kind ``sounds``, with tags and vectors.

The sound is cut into windows of the encoder's length. Silent windows are left out; similar neighbours become one
segment with the mean of their vectors and their common tags.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from indexer.core.types import Embedding, Samples, Segment
from indexer.models.base import SoundEncoder
from indexer.models.long_texts import normalised

LONGEST_S = 10.0
"""The longest segment of several windows, in seconds."""

# The largest root mean square of a silent window: 60 dB below full scale, the noise of a quiet room.
_SILENCE_RMS = 10 ** (-60 / 20)
# The smallest cosine between a window and the mean of the segment that it continues.
_MIN_SIMILARITY = 0.95

_SILENCE = "Silence"  # a class of AudioSet
_LEAST_TAG_SCORE, _MOST_TAGS = 0.1, 5
_WINDOWS_AT_ONCE = 16


@dataclass(frozen=True, slots=True, eq=False)
class SoundSegment:
    """A segment whose text has the tags, most confident first (empty if the encoder has no classes), and its vector.

    ``vector`` is ``(dim,)`` float32, L2-normalised, in the encoder's space.
    """

    segment: Segment
    vector: Embedding


@dataclass(frozen=True, slots=True, eq=False)
class _Window:
    """Samples ``start`` up to ``end`` of the sound; ``samples`` is the encoder's input for them."""

    start: int
    end: int
    samples: Samples

    @property
    def is_silent(self) -> bool:
        own = self.samples[-(self.end - self.start) :].astype(np.float64)
        return float(np.sqrt(np.mean(own**2))) <= _SILENCE_RMS


@dataclass(frozen=True, slots=True, eq=False)
class _SoundSpan:
    """Similar consecutive windows: the sums of their vectors and of their tags' scores."""

    start: int
    end: int
    windows: int
    vector: Embedding
    scores: Counter[str]

    def continued_by(self, other: _SoundSpan, longest: float) -> bool:
        """Whether the other follows directly, is similar, and both together have at most ``longest`` samples."""
        is_similar = float(_unit(self.vector) @ _unit(other.vector)) >= _MIN_SIMILARITY
        return other.start == self.end and is_similar and other.end - self.start <= longest

    def joined(self, other: _SoundSpan) -> _SoundSpan:
        windows, vector, scores = self.windows + other.windows, self.vector + other.vector, self.scores + other.scores
        return _SoundSpan(self.start, other.end, windows, vector, scores)

    @property
    def text(self) -> str:
        """The most confident tag, and others that score well on average over the windows."""
        best = self.scores.most_common(_MOST_TAGS)
        least = _LEAST_TAG_SCORE * self.windows
        return ", ".join(label for place, (label, score) in enumerate(best) if place == 0 or score >= least)


def sound_segments(video_id: str, windows: Iterable[Samples], encoder: SoundEncoder) -> Iterator[SoundSegment]:
    """The sounds of a video in time order, without overlap; memory does not grow with the length.

    ``windows`` are consecutive pieces ``(n,)`` of any length, one channel at ``encoder.sample_rate``.

    Raises:
        ModelError: the encoder's weights are missing or cannot be loaded.
    """
    rate = encoder.sample_rate
    loud = (window for window in _cut(windows, round(encoder.window_s * rate)) if not window.is_silent)
    for span in _joined(_encoded(loud, encoder), LONGEST_S * rate):
        segment = Segment(video_id, span.start / rate, span.end / rate, span.text, "sounds")
        yield SoundSegment(segment, _unit(span.vector))


def _cut(pieces: Iterable[Samples], size: int) -> Iterator[_Window]:
    """Consecutive windows of ``size`` samples, the last one of the rest.

    If the rest is less than half a window, the encoder also gets the samples before it.
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


def _encoded(windows: Iterator[_Window], encoder: SoundEncoder) -> Iterator[_SoundSpan]:
    """Each window as a span, without those that the encoder tags as silence."""
    while batch := list(islice(windows, _WINDOWS_AT_ONCE)):
        heard = encoder.encode_audio([window.samples for window in batch])
        for window, vector, tags in zip(batch, heard.vectors, heard.tags, strict=True):
            if not (tags and tags[0].label == _SILENCE):
                scores = Counter({tag.label: tag.score for tag in tags})
                yield _SoundSpan(window.start, window.end, 1, vector, scores)


def _joined(spans: Iterator[_SoundSpan], longest: float) -> Iterator[_SoundSpan]:
    current: _SoundSpan | None = None
    for span in spans:
        if current is not None and current.continued_by(span, longest):
            current = current.joined(span)
            continue
        if current is not None:
            yield current
        current = span
    if current is not None:
        yield current


def _unit(vector: Embedding) -> Embedding:
    unit: Embedding = normalised(vector[None])[0]
    return unit
