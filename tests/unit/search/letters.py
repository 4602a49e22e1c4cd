"""A library and a model in which every word is a random direction of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from zlib import crc32

import numpy as np

from indexer.core.types import Embedding, Record, Video
from indexer.models.base import Fingerprint
from indexer.store.base import Commit, Location, Manifest, ModalityState
from indexer.store.memory import MemoryStore
from search.engine import SearchEngine

DIM = 64
MADE_WITH = Fingerprint("letters", "letters", "0", "{}", DIM)


@dataclass
class LetterEncoder:
    """Texts as random directions of their own, the same for the same text; words in common pull them together."""

    asked: list[int] = field(default_factory=list)
    fingerprint: Fingerprint = MADE_WITH

    def load(self) -> None: ...
    def unload(self) -> None: ...

    def encode_queries(self, texts: Sequence[str]) -> Embedding:
        self.asked.append(len(texts))
        sums = np.stack([sum(_direction(word) for word in text.split()) for text in texts])
        return (sums / np.linalg.norm(sums, axis=1, keepdims=True)).astype(np.float32)

    encode_texts = encode_documents = encode_queries


@dataclass(frozen=True)
class LetterModels:
    """Pictures and texts in the space of one encoder."""

    text: LetterEncoder
    sounds: None = None

    @property
    def frames(self) -> LetterEncoder:
        return self.text


def _direction(word: str) -> Embedding:
    return np.random.default_rng(crc32(word.encode())).standard_normal(DIM).astype(np.float32)


def library(shown: Sequence[str], said: Sequence[str] = ()) -> MemoryStore:
    """One video for each picture, the first of which is also spoken in."""
    store, encoder = MemoryStore(), LetterEncoder()
    store.write_manifest(Manifest("test", {"frames": ("x", MADE_WITH), "text": ("x", MADE_WITH)}, ""))
    for number, text in enumerate(shown):
        key = f"video{number}"
        vector = encoder.encode_queries([text])[0]
        records = [Record(f"{key}/frames/0", key, "frames", "frames", 0, 5, 2, vector, shot=0)]
        for place, line in enumerate(said if number == 0 else ()):
            spoken = encoder.encode_queries([line])[0]
            records.append(
                Record(f"{key}/speech/{place}", key, "speech", "text", place, place + 1, place, spoken, text=line)
            )
        store.upsert(records)
        path = Path(f"/library/{key}.mp4")
        video = Video(key, path, 1, 0, 100.0, Fraction(25), 64, 64, True)
        counts = {"frames": ModalityState("f", 1), "speech": ModalityState("s", len(records) - 1)}
        store.write_commit(Commit(video, "committed", (Location(path, path, 1, 0),), counts))
    return store


def engine_of(store: MemoryStore, kept_in: Path | None = None) -> tuple[SearchEngine, LetterEncoder]:
    encoder = LetterEncoder()
    return SearchEngine(store, lambda: LetterModels(encoder), kept_in=kept_in), encoder
