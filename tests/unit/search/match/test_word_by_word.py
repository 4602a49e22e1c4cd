"""What hits are rated by: half the query itself, half its words one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from indexer.core.types import Embedding
from indexer.models.base import Fingerprint
from indexer.store.base import Manifest
from indexer.store.memory import MemoryStore
from search.confidence.background_cache import BackgroundCache
from search.confidence.bank import bank_queries
from search.engine import SearchEngine
from search.match.word_by_word import drawn_to_words
from search.query.query import Query
from tests.unit.search.letters import MADE_WITH, LetterEncoder, library

WORDS = {"volcano": (1.0, 0.0, 0.0), "night": (0.0, 1.0, 0.0), "against": (0.0, 0.0, -1.0)}


@dataclass
class Axes:
    """Encodes each known word as an axis."""

    asked: list[tuple[str, ...]] = field(default_factory=list)

    def __call__(self, texts: Sequence[str]) -> Embedding:
        self.asked.append(tuple(texts))
        return np.array([WORDS[text] for text in texts], np.float32)


def test_a_query_is_drawn_to_its_words_by_how_near_they_are_to_it() -> None:
    query = np.array([[0.6, 0.8, 0.0]], np.float32)
    drawn = drawn_to_words(["a volcano at night"], query, Axes())
    mean = np.array([0.6 * 1.0, 0.8 * 1.0, 0.0]) / (0.6 + 0.8)
    expected = (query[0] + mean) / np.linalg.norm(query[0] + mean)
    assert drawn[0] == pytest.approx(expected, abs=1e-6)


def test_words_that_point_away_do_not_count() -> None:
    query = np.array([[0.0, 0.6, 0.8]], np.float32)
    drawn = drawn_to_words(["against the night"], query, Axes())
    expected = np.array([0.0, 0.6 + 1.0, 0.8])
    assert drawn[0] == pytest.approx(expected / np.linalg.norm(expected), abs=1e-6)
    alone = np.array([[0.0, 0.0, 1.0]], np.float32)
    assert drawn_to_words(["against the volcano"], alone, Axes()).tolist() == alone.tolist()


def test_a_query_of_one_word_that_tells_stays_and_asks_nothing() -> None:
    encode, vectors = Axes(), np.eye(3, dtype=np.float32)
    assert drawn_to_words(["volcano", "at the volcano", "of the"], vectors, encode) is vectors
    assert encode.asked == []


def test_every_word_is_encoded_once_and_at_most_eight_of_a_query() -> None:
    encode = Axes()
    drawn = drawn_to_words(["volcano at night", "night volcano", "volcano"], np.eye(3, dtype=np.float32), encode)
    assert [sorted(words) for words in encode.asked] == [["night", "volcano"]]
    assert np.linalg.norm(drawn, axis=1) == pytest.approx(np.ones(3))
    long = " ".join(f"word{number}" for number in range(20))
    seen: list[int] = []
    drawn_to_words([long], np.eye(3, dtype=np.float32)[:1], lambda texts: (seen.append(len(texts)), _some(texts))[1])
    assert seen == [8]


def _some(texts: Sequence[str]) -> Embedding:
    return np.ones((len(texts), 3), np.float32) / np.float32(3**0.5)


@dataclass
class MixedEncoder(LetterEncoder):
    """Says that its vectors are mixtures of classes."""

    words: list[str] = field(default_factory=list)
    fingerprint: Fingerprint = MADE_WITH

    def encode_queries(self, texts: Sequence[str]) -> Embedding:
        self.words += texts
        return super().encode_queries(texts)

    encode_texts = encode_documents = encode_queries

    @property
    def vocabulary(self) -> Embedding:
        return LetterEncoder().encode_queries([f"class{number}" for number in range(40)])


@dataclass(frozen=True)
class MixedModels:
    """Pictures in the space of an encoder of mixtures."""

    frames: MixedEncoder
    text: None = None
    sounds: None = None


def pictures(shown: Sequence[str]) -> MemoryStore:
    store = library(shown)
    manifest = store.read_manifest()
    assert manifest is not None
    store.write_manifest(Manifest("test", {"frames": manifest.models["frames"]}, ""))
    return store


def test_pictures_that_are_mixtures_are_rated_by_the_words_and_ranked_by_the_whole() -> None:
    encoder = MixedEncoder()
    engine = SearchEngine(pictures(["grey owl perched", "blue tram"]), lambda: MixedModels(encoder))
    plain = engine.search(Query(text="grey owl perched"))
    assert encoder.words == ["grey owl perched"]
    assert plain.moments[0].hits[0].rated_score is None
    rated = engine.search(Query(text="grey owl perched", min_confidence=1e-9))
    assert {"grey", "owl", "perched"} <= set(encoder.words)
    hit = rated.moments[0].hits[0]
    drawn = drawn_to_words(["grey owl perched"], encoder.encode_queries(["grey owl perched"]), encoder.encode_queries)[
        0
    ]
    shown = LetterEncoder().encode_queries(["grey owl perched"])[0]
    assert hit.rated_score == pytest.approx(float(drawn @ shown), abs=1e-5)
    assert hit.score == pytest.approx(1.0, abs=1e-5)
    for one, other in zip(rated.moments, plain.moments, strict=False):
        assert [(each.record_id, each.rank) for each in one.hits] == [
            (each.record_id, each.rank) for each in other.hits
        ]
        assert one.score == pytest.approx(other.score)
        assert one.hits[0].score == pytest.approx(other.hits[0].score)


def test_the_bank_is_drawn_to_its_words_once_and_kept(tmp_path: object) -> None:
    folder = tmp_path / "kept"  # type: ignore[operator]
    first, again = MixedEncoder(), MixedEncoder()
    for encoder, shown in ((first, ["grey owl"]), (again, ["grey owl", "blue tram"])):
        store = pictures(shown)
        catalogue = SearchEngine(store, lambda: MixedModels(first)).catalogue()
        BackgroundCache(folder).measured(store, catalogue, MixedModels(encoder))
    assert len(first.words) > len(bank_queries())
    assert again.words == []
