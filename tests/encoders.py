"""Real models, tiny ones, without any weights: they know colours, words, and how loud or high a sound is."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from indexer.core.types import Cue, Embedding, Image, Samples
from indexer.models.base import Detection, Fingerprint, SoundBatch, Tag, Utterance

COLOURS = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "white": (255, 255, 255),
}
_PALETTE = np.array(list(COLOURS.values()), dtype=np.float32)


class ColourEncoder:
    """Role frames: how near a picture's mean colour is to each named one; a text is the colours it names."""

    def __init__(self, version: str = "1") -> None:
        self.images_seen = 0
        self._version = version

    @property
    def fingerprint(self) -> Fingerprint:
        return Fingerprint("colours", "mean", self._version, "none", len(COLOURS))

    def load(self) -> None:
        """Nothing to load."""

    def unload(self) -> None:
        """Nothing to give back."""

    def encode_images(self, images: Sequence[Image]) -> Embedding:
        self.images_seen += len(images)
        means = np.array([image.reshape(-1, 3).mean(axis=0) for image in images], dtype=np.float32).reshape(-1, 3)
        return _unit(np.exp(-np.linalg.norm(means[:, None] - _PALETTE, axis=2) / 60))

    def encode_texts(self, texts: Sequence[str]) -> Embedding:
        return _unit(np.array([[name in text.lower() for name in COLOURS] for text in texts], dtype=np.float32))


class WordEncoder:
    """Role text: the words of a text, hashed."""

    def __init__(self, dim: int = 256) -> None:
        self.texts_seen = 0
        self._dim = dim

    @property
    def fingerprint(self) -> Fingerprint:
        return Fingerprint("words", "hashed", "1", "lower case", self._dim)

    def load(self) -> None:
        """Nothing to load."""

    def unload(self) -> None:
        """Nothing to give back."""

    def encode_documents(self, texts: Sequence[str]) -> Embedding:
        self.texts_seen += len(texts)
        return self.encode_queries(texts)

    def encode_queries(self, texts: Sequence[str]) -> Embedding:
        counts = np.zeros((len(texts), self._dim), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.lower()):
                counts[row, zlib.crc32(word.encode()) % self._dim] += 1
        return _unit(counts)


class _Weightless:
    """What a model without weights says of itself."""

    def __init__(self, family: str, dim: int = 0, version: str = "1") -> None:
        self.fingerprint = Fingerprint(family, "tiny", version, "none", dim)

    def load(self) -> None:
        """Nothing to load."""

    def unload(self) -> None:
        """Nothing to give back."""


class LoudRecognizer(_Weightless):
    """Role speech: every second that is loud says "loud <second>", in English."""

    sample_rate = 16_000

    def __init__(self, version: str = "1") -> None:
        super().__init__("loud", version=version)
        self.seconds_heard = 0

    def transcribe(self, windows: Iterable[Samples]) -> Iterator[Utterance]:
        waiting = np.zeros(0, np.float32)
        second = 0
        for window in windows:
            waiting = np.concatenate([waiting, window])
            while len(waiting) >= self.sample_rate:
                heard, waiting = waiting[: self.sample_rate], waiting[self.sample_rate :]
                self.seconds_heard += 1
                if np.abs(heard).max() > 0.1:
                    words = (Cue(second, second + 0.5, "loud"), Cue(second + 0.5, second + 1, str(second)))
                    yield Utterance(second, second + 1, f"loud {second}", words, "en")
                second += 1


class ColourDetector(_Weightless):
    """Role objects: every picture holds one thing of its mean colour, as large as itself."""

    labels = tuple(COLOURS)

    def __init__(self) -> None:
        super().__init__("blobs", len(COLOURS))

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        nearest = [
            int(np.linalg.norm(_PALETTE - image.reshape(-1, 3).mean(axis=0), axis=1).argmin()) for image in images
        ]
        return [[Detection(self.labels[index], index, 0.9, (0.0, 0.0, 1.0, 1.0))] for index in nearest]


class ColourCaptioner(_Weightless):
    """Role captions: names the colour."""

    def __init__(self) -> None:
        super().__init__("colour names")

    def describe(self, images: Sequence[Image]) -> list[str]:
        return [f"a {found.label} picture" for (found,) in ColourDetector().detect(images)]


class PitchEncoder(_Weightless):
    """Role sounds: low or high, by the strongest frequency; silence is neither."""

    sample_rate = 16_000
    window_s = 0.5
    _names = ("low", "high")

    def __init__(self) -> None:
        super().__init__("pitch", 2)

    def encode_audio(self, windows: Sequence[Samples]) -> SoundBatch:
        strongest = [np.abs(np.fft.rfft(window, self.sample_rate)).argmax() for window in windows]
        rows = np.array([[hertz < 1000, hertz >= 1000] for hertz in strongest], dtype=np.float32).reshape(-1, 2)
        return SoundBatch(_unit(rows), tuple((Tag(self._names[int(row[1])], 1.0),) for row in rows))

    def encode_texts(self, texts: Sequence[str]) -> Embedding:
        return _unit(np.array([[name in text for name in self._names] for text in texts], dtype=np.float32))


def _unit(rows: np.ndarray) -> Embedding:
    rows = rows + 1e-6
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
