"""A small library to search, and a real if tiny model: texts and pictures as bags of hashed words."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from indexer.core.types import Embedding, Facet, Image, ModalityName, Record, Video
from indexer.modalities.registry import space_of
from indexer.models.base import Fingerprint
from indexer.store.base import Commit, Location, ModalityState, VectorStore
from indexer.store.memory import MemoryStore
from search.engine import Ranking, SearchEngine, SearchOptions
from search.match.calibration import Calibration

DIM = 4096


def bag_of_words(text: str) -> Embedding:
    """A unit vector with one direction per word; of nothing, the zero vector."""
    vector = np.zeros(DIM, np.float32)
    for word in text.lower().split():
        vector[int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest()) % DIM] += 1
    length = np.linalg.norm(vector)
    return vector / length if length else vector


def picture_of(text: str) -> Image:
    """A picture that "shows" a text: its letters are its pixels."""
    letters = np.frombuffer(text.encode(), np.uint8)
    return np.repeat(letters.reshape(1, -1, 1), 3, axis=2)


class BagOfWords:
    """Both roles in one space; counts how often it was asked."""

    def __init__(self, name: str = "words") -> None:
        self.fingerprint = Fingerprint("bag-of-words", name, "none", "lower case", DIM)
        self.encoded = 0

    def load(self) -> None:
        """Nothing to load."""

    def unload(self) -> None:
        """Nothing to give back."""

    def encode_texts(self, texts: Sequence[str]) -> Embedding:
        self.encoded += len(texts)
        return np.stack([bag_of_words(text) for text in texts])

    encode_documents = encode_queries = encode_texts

    def encode_images(self, images: Sequence[Image]) -> Embedding:
        return self.encode_texts([bytes(image[0, :, 0]).decode() for image in images])


@dataclass(frozen=True)
class Models:
    frames: BagOfWords | None
    text: BagOfWords | None
    sounds: BagOfWords | None = None


def video(video_id: str, duration_s: float = 30.0, *, label: str = "", path: str = "", **facets: Facet) -> Video:
    place = Path(path or f"/films/{label or 'all'}/{video_id}.mp4")
    return Video(video_id, place, 1000, 1, duration_s, Fraction(25), 640, 360, True, label=label, facets=facets)


def record(
    video_id: str, modality: ModalityName, start_s: float, end_s: float, text: str, *, shot: int = -1, number: int = 0
) -> Record:
    return Record(
        id=f"{video_id}/{modality}/{start_s:09.3f}-{number}",
        video_id=video_id,
        modality=modality,
        space=space_of(modality),
        start_s=start_s,
        end_s=end_s,
        time_s=start_s + (0.5 if modality == "frames" else 0.0),
        vector=bag_of_words(text),
        text="" if modality == "frames" else text,
        shot=shot,
    )


def shots(video_id: str, texts: Sequence[str], shot_s: float = 10.0) -> list[Record]:
    """One frame for each shot of ``shot_s``, showing a text each."""
    return [
        record(video_id, "frames", shot_s * place, shot_s * (place + 1), text, shot=place)
        for place, text in enumerate(texts)
    ]


def put(store: VectorStore, one: Video, records: Sequence[Record], state: str = "committed") -> None:
    counts: Mapping[ModalityName, int] = {}
    for each in records:
        counts = {**counts, each.modality: counts.get(each.modality, 0) + 1}
    store.upsert(records)
    store.write_commit(
        Commit(
            video=one,
            state=state,  # type: ignore[arg-type]
            locations=(Location(one.path, one.path.parent, one.size, one.mtime_ns),),
            modalities={name: ModalityState("bag-of-words", count) for name, count in counts.items()},
        )
    )


OPTIONS = SearchOptions(
    calibrations={
        "text-frames": Calibration(0.0, 0.5),
        "image-frames": Calibration(0.0, 1.0),
        "text-text": Calibration(0.25, 0.7),
        "text-audio": Calibration(0.25, 0.7),
        "audio-audio": Calibration(0.2, 1.0),
    }
)


def engine_of(store: MemoryStore, options: SearchOptions = OPTIONS) -> SearchEngine:
    words = BagOfWords()
    return SearchEngine(store, lambda: Models(words, words, words), options=options)


def found(ranking: Ranking) -> list[tuple[str, float]]:
    return [(moment.video.id, moment.start_s) for moment in ranking.moments]
