"""Asking an index the queries of ``unrelated_queries.txt``: what scores mean nothing here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.core.types import Embedding, ModalityName, Record, Space
from indexer.store.base import VectorStore
from search.catalogue import Catalogue
from search.confidence.false_alarms import LEAST_SPREAD, Background, Channel, Null, local_scale
from search.match.candidates import exact_cosines
from search.match.lexical import Wording, WordScorer
from search.rank.fusion import Calibration, shortness

__all__ = ["Asked", "BankScorer", "bank_queries"]

MOST_READ = 10_000
"""Up to so many records of a space are all compared with the bank; of a larger one, the nearest to each query."""

MOST_TEXTS = 20_000
"""How many texts the bank's words are looked for in; of more, some stand for all."""

_CHUNK = 2000
_NEAREST = 30
_MOST_HOLDERS = 200  # as many as a search looks up of a word
_MOST_WORDS = 4
_LEAST_WITHIN = 4


@lru_cache(maxsize=1)
def bank_queries() -> tuple[str, ...]:
    """The unrelated queries, some four hundred: scenes, objects, actions, sounds, sayings, names and nonsense."""
    lines = Path(__file__).with_name("unrelated_queries.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """The bank as one space's model encodes it.

    Args:
        vectors: ``(queries, dim)``, L2-normalised.
        vocabulary: The classes that the model's vectors are mixtures of, ``(classes, dim)``; None for other models.
        calibration: How the space's cosines are read.
        judged_by: What hits are judged by, ``(queries, dim)``, if not by the vectors (``word_by_word``).
    """

    vectors: Embedding
    vocabulary: Embedding | None
    calibration: Calibration
    judged_by: Embedding | None = None

    @property
    def judging(self) -> Embedding:
        """What hits are judged by, ``(queries, dim)``."""
        return self.vectors if self.judged_by is None else self.judged_by

    @property
    def least_spread(self) -> float:
        """The least spread of scores by meaning."""
        return LEAST_SPREAD * (self.calibration.ceiling - self.calibration.floor)


@dataclass(frozen=True)
class BankScorer:
    """Finds the best score of every bank query in every channel of an index.

    Args:
        store: The index.
        catalogue: What is in it.
        queries: The bank.
    """

    store: VectorStore
    catalogue: Catalogue
    queries: tuple[str, ...] = field(default_factory=bank_queries)

    def background(self, asked: Mapping[Space, Asked]) -> Background:
        """What the bank scores in the spaces that it was encoded for.

        Raises:
            IndexDamagedError: the index cannot be read, or a stored vector is no direction.
        """
        nulls = [null for space, of_space in asked.items() for null in self._nulls(space, of_space)]
        return Background({null.channel: null for null in nulls})

    def _nulls(self, space: Space, asked: Asked) -> Iterator[Null]:
        best = self._read_all(space, asked) if self._is_small(space) else self._nearest(space, asked)
        for modality, scores in best.items():
            scaled = scores - local_scale(asked.judging, asked.vocabulary)
            yield Null(Channel(modality, "meaning"), scaled, asked.least_spread)
        if space == "text":  # the names of sounds are few and common, and their meaning says it better
            for modality, scores in self._best_by_words(space).items():
                yield Null(Channel(modality, "words"), scores)

    def _is_small(self, space: Space) -> bool:
        return self.store.count(space) <= MOST_READ

    def _read_all(self, space: Space, asked: Asked) -> dict[ModalityName, NDArray[np.float64]]:
        best: dict[ModalityName, NDArray[np.float64]] = {}
        records = self._searchable(space, vectors=True)
        while chunk := list(islice(records, _CHUNK)):
            for modality, own in _by_modality(chunk).items():
                scores = self._scores(own, asked).max(axis=1)
                best[modality] = np.maximum(best.get(modality, scores), scores)
        return best

    def _scores(self, records: Sequence[Record], asked: Asked) -> NDArray[np.float64]:
        """``(queries, records)`` cosines less what brevity raises the floor by."""
        cosines: NDArray[np.float64] = (asked.judging @ np.stack([one.vector for one in records]).T).astype(np.float64)
        brevity = asked.calibration.brevity
        if not brevity:
            return cosines
        rises = [shortness(one.text) if one.text else 0.0 for one in records]
        return cosines - brevity * np.outer([shortness(query) for query in self.queries], rises)

    def _nearest(self, space: Space, asked: Asked) -> dict[ModalityName, NDArray[np.float64]]:
        """The best of each query's nearest records; a modality that is not among them is asked by itself."""
        modalities = self.catalogue.modalities(space)
        best = {name: np.zeros(len(self.queries)) for name in modalities}
        for place, vector in enumerate(asked.vectors):
            among_all = self._best_of(self.store.nearest(space, vector, _NEAREST), place, asked)
            for name in modalities:
                own = among_all.get(name)
                if own is None:
                    nearest = self.store.nearest(space, vector, _NEAREST, modalities=frozenset({name}))
                    own = self._best_of(nearest, place, asked).get(name, 0.0)
                best[name][place] = own
        return best

    def _best_of(self, records: Sequence[Record], place: int, asked: Asked) -> dict[ModalityName, float]:
        """The best score of one query among the searchable ones of these records, for each of their modalities."""
        best: dict[ModalityName, float] = {}
        for one, cosine in zip(records, exact_cosines(records, asked.judging[place]), strict=True):
            if one.video_id in self.catalogue.ids:
                score = float(cosine) - asked.calibration.rise(self.queries[place], one.text)
                best[one.modality] = max(best.get(one.modality, score), score)
        return best

    def _best_by_words(self, space: Space) -> dict[ModalityName, NDArray[np.float64]]:
        texts = [(one.modality, one.text) for one in islice(self._searchable(space), MOST_TEXTS)]
        wordings = [Wording.of(query) for query in self.queries]
        sought = {word for wording in wordings for word in wording.telling[:_MOST_WORDS]}
        holders = _Holders([text for _, text in texts], sought)
        best = {name: np.zeros(len(self.queries)) for name in self.catalogue.modalities(space)}
        for place, wording in enumerate(wordings):
            found = {word: holders.of(word) for word in wording.telling[:_MOST_WORDS]}
            scorer = WordScorer(wording, {word: len(places) for word, places in found.items()}, len(texts))
            for holder in {holder for places in found.values() for holder in places[:_MOST_HOLDERS]}:
                modality, text = texts[holder]
                match = scorer.match(text, modality)
                if match is not None and modality in best:
                    best[modality][place] = max(best[modality][place], match.score)
        return best

    def _searchable(self, space: Space, *, vectors: bool = False) -> Iterator[Record]:
        ids = self.catalogue.ids
        return (one for one in self.store.records(space, vectors=vectors) if one.video_id in ids)


class _Holders:
    """Which texts hold a word, by itself or within a longer one."""

    def __init__(self, texts: Sequence[str], words: Collection[str]) -> None:
        self._by_word: dict[str, list[int]] = defaultdict(list)
        for place, text in enumerate(texts):
            for word in {piece for whole in set(Wording.of(text).words) for piece in _pieces(whole) if piece in words}:
                self._by_word[word].append(place)

    def of(self, word: str) -> list[int]:
        return self._by_word.get(word, [])


def _pieces(word: str) -> Iterator[str]:
    """A word and everything within it that may be one."""
    yield word
    for start in range(len(word) - _LEAST_WITHIN + 1):
        yield from (word[start:end] for end in range(start + _LEAST_WITHIN, len(word) + 1))


def _by_modality(records: Sequence[Record]) -> dict[ModalityName, list[Record]]:
    groups: dict[ModalityName, list[Record]] = defaultdict(list)
    for one in records:
        groups[one.modality].append(one)
    return groups
