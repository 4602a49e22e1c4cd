"""Real models, tiny ones: colours in pictures and words in texts, in one space, without any weights."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

import numpy as np

from indexer.models.base import Fingerprint
from indexer.types import Embedding, Image

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


def _unit(rows: np.ndarray) -> Embedding:
    rows = rows + 1e-6
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
