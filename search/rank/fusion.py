"""What a hit adds to the score of its moment: weighted reciprocal ranks (see ``search.rank``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from indexer.core.types import ModalityName
from search.match.calibration import Calibration
from search.match.candidates import QueryVector
from search.match.lexical import Wording
from search.moments import Hit
from search.query.query import Query

RRF_K = 60.0  # how slowly the worth of a rank falls; the value of the paper


@dataclass(frozen=True, slots=True)
class Fusion:
    """One query's weights and calibrations, its wording, and how distinct that is, in [0, 1]."""

    weights: Mapping[ModalityName, float]
    calibrations: Mapping[ModalityName, Calibration]
    wording: str = ""
    distinctness: float = 1.0

    @classmethod
    def of(cls, query: Query, vectors: Sequence[QueryVector]) -> Fusion:
        """The fusion for a query, over the modalities that its vectors look in."""
        searched = {name: vector.calibration for vector in vectors for name in vector.modalities}
        weights = {name: query.weight(name) for name in searched}
        return cls(weights, searched, query.wording, Wording.of(query.wording).distinctness)

    def weight(self, modality: ModalityName, cosine: float, text: str = "") -> float:
        """A modality's weight times the strength of this cosine, 0 or more; ``text`` is the record's."""
        return self.weights[modality] * self.calibrations[modality].strength(cosine, self.wording, text)

    def evidence(self, hit: Hit, rank: float, lexical_rank: float) -> float:
        """What a hit at these ranks, by meaning and by words, adds to its moment's score."""
        by_meaning = self.weight(hit.modality, hit.score, hit.text)
        by_words = self.weights[hit.modality] * hit.lexical**2 * self.distinctness
        return by_meaning / (RRF_K + rank) + by_words / (RRF_K + lexical_rank)


def mean_ranks(scores: Sequence[float]) -> list[float]:
    """The rank of each score, from 1 for the highest; equal scores share the mean of the ranks they take up.

    ``[0.9, 0.5, 0.5, 0.1]`` gives ``[1, 2.5, 2.5, 4]``, so that the order in which a tie is listed does not matter.
    """
    best_first = sorted(range(len(scores)), key=lambda place: -scores[place])
    ranks = [0.0] * len(scores)
    passed = 0
    for _, tied in groupby(best_first, key=lambda place: scores[place]):
        places = list(tied)
        for place in places:
            ranks[place] = passed + (len(places) + 1) / 2
        passed += len(places)
    return ranks
