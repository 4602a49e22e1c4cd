"""The bank of unrelated queries, and the best score that each of them has in an index."""

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
from search.confidence.background import LEAST_SPREAD, Background, Channel, NullDistribution, local_scale
from search.match.calibration import Calibration, shortness
from search.match.candidates import exact_cosines
from search.match.lexical import Wording, WordScorer

_MOST_READ = 10_000
_MOST_TEXTS = 20_000  # of more texts, only so many are searched for the bank's words
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
class EncodedBank:
    """The bank as one space's model encodes it, ``(queries, dim)``, L2-normalised.

    ``vocabulary`` are the classes that the model's vectors are mixtures of, ``(classes, dim)``; None for other models.
    ``rated_by`` are the vectors ``(queries, dim)`` to rate hits by, often the same (``search.match.word_by_word``).
    """

    vectors: Embedding
    vocabulary: Embedding | None
    calibration: Calibration
    rated_by: Embedding


@dataclass(frozen=True)
class BankScorer:
    """Finds the best score of every bank query in every channel of an index.

    Up to ``most_read`` records of a space are all compared; of a larger one, the nearest to each query.
    """

    store: VectorStore
    catalogue: Catalogue
    queries: tuple[str, ...] = field(default_factory=bank_queries)
    most_read: int = _MOST_READ

    def background(self, banks: Mapping[Space, EncodedBank]) -> Background:
        """What the bank scores in the spaces that it was encoded for."""
        nulls = [null for space, bank in banks.items() for null in self._distributions(space, bank)]
        vocabularies = {space: bank.vocabulary for space, bank in banks.items() if bank.vocabulary is not None}
        return Background({null.channel: null for null in nulls}, vocabularies)

    def _distributions(self, space: Space, bank: EncodedBank) -> Iterator[NullDistribution]:
        is_small = self.store.count(space) <= self.most_read
        best = self._best_of_all(space, bank) if is_small else self._best_of_nearest(space, bank)
        least_spread = LEAST_SPREAD * (bank.calibration.ceiling - bank.calibration.floor)
        for modality, scores in best.items():
            scaled = scores - local_scale(bank.rated_by, bank.vocabulary)
            yield NullDistribution(Channel(modality, "meaning"), scaled, least_spread)
        if space == "text":  # the names of sounds are few and common, and their meaning says more
            for modality, scores in self._best_by_words(space).items():
                yield NullDistribution(Channel(modality, "words"), scores)

    def _best_of_all(self, space: Space, bank: EncodedBank) -> dict[ModalityName, NDArray[np.float64]]:
        best: dict[ModalityName, NDArray[np.float64]] = {}
        records = self._searchable(space, vectors=True)
        while chunk := list(islice(records, _CHUNK)):
            for modality, own in _by_modality(chunk).items():
                scores = self._scores(own, bank).max(axis=1)
                best[modality] = np.maximum(best.get(modality, scores), scores)
        return best

    def _scores(self, records: Sequence[Record], bank: EncodedBank) -> NDArray[np.float64]:
        """``(queries, records)`` cosines less what brevity raises the floor by."""
        stored = np.stack([one.vector for one in records])
        cosines: NDArray[np.float64] = (bank.rated_by @ stored.T).astype(np.float64)
        brevity = bank.calibration.brevity
        if not brevity:
            return cosines
        rises = [shortness(one.text) if one.text else 0.0 for one in records]
        return cosines - brevity * np.outer([shortness(query) for query in self.queries], rises)

    def _best_of_nearest(self, space: Space, bank: EncodedBank) -> dict[ModalityName, NDArray[np.float64]]:
        """The best of each query's nearest records; a modality that is not among them is searched separately."""
        modalities = self.catalogue.modalities(space)
        best = {name: np.zeros(len(self.queries)) for name in modalities}
        for place, vector in enumerate(bank.vectors):
            among_all = self._best_of(self.store.nearest(space, vector, _NEAREST), place, bank)
            for name in modalities:
                own = among_all.get(name)
                if own is None:
                    nearest = self.store.nearest(space, vector, _NEAREST, modalities=frozenset({name}))
                    own = self._best_of(nearest, place, bank).get(name, 0.0)
                best[name][place] = own
        return best

    def _best_of(self, records: Sequence[Record], place: int, bank: EncodedBank) -> dict[ModalityName, float]:
        """The best score of one query among the searchable ones of these records, for each of their modalities."""
        best: dict[ModalityName, float] = {}
        for one, cosine in zip(records, exact_cosines(records, bank.rated_by[place]), strict=True):
            if one.video_id in self.catalogue.ids:
                score = float(cosine) - bank.calibration.rise(self.queries[place], one.text)
                best[one.modality] = max(best.get(one.modality, score), score)
        return best

    def _best_by_words(self, space: Space) -> dict[ModalityName, NDArray[np.float64]]:
        texts = [(one.modality, one.text) for one in islice(self._searchable(space), _MOST_TEXTS)]
        wordings = [Wording.of(query) for query in self.queries]
        holders = _holders(
            [text for _, text in texts], {word for wording in wordings for word in wording.telling[:_MOST_WORDS]}
        )
        best = {name: np.zeros(len(self.queries)) for name in self.catalogue.modalities(space)}
        for place, wording in enumerate(wordings):
            found = {word: holders.get(word, []) for word in wording.telling[:_MOST_WORDS]}
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


def _holders(texts: Sequence[str], words: Collection[str]) -> Mapping[str, list[int]]:
    """The places of the texts that hold each word, by itself or within a longer one."""
    holders: dict[str, list[int]] = defaultdict(list)
    for place, text in enumerate(texts):
        for word in {piece for whole in set(Wording.of(text).words) for piece in _pieces(whole) if piece in words}:
            holders[word].append(place)
    return holders


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
