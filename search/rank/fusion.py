"""How the evidence of several modalities becomes one score.

Weighted reciprocal rank fusion (Cormack, Clarke and Buettcher, SIGIR 2009) gives every modality in which a moment was
found ``weight / (k + rank)``. Ranks are comparable between models whose cosines are not. But ranks alone cannot tell
good evidence from the best of a bad lot: in a library with three subtitles, one of them is first for every query. So
a rank counts as much as its cosine is evidence at all::

    evidence = weight * strength / (k + rank)        strength = (cosine - floor) / (ceiling - floor), within [0, 1]

A modality with texts has a second ranking, by the words found (``search.match.lexical``), and its evidence is added::

    evidence = weight * lexical^2 * distinctness / (k + lexical rank)

Squared, because half of the words are much less than half of the phrase. ``distinctness`` is the query's: a dozen
letters found are no accident, a short word is. So an exact phrase in a text, good by its cosine too, is worth more
than any picture alone, and a single common word, which many records share the mean rank of, next to nothing.

``floor`` is where the cosines of unrelated pairs of a model lie and ``ceiling`` where those of good matches begin
(``Calibration``; measured for each model family). A hit at or below the floor has strength 0 and is no evidence: it
is dropped, and a query that nothing matches finds nothing. Between two short texts even unrelated ones have a higher
cosine, so the floor rises with their brevity: a lone "WORK" on the screen is no evidence for "car". Strength is taken
from each hit's own cosine, not from the best one of the modality; so one exact subtitle does not lift the unrelated
subtitles ranked behind it above a good frame. Within one modality the order is that of the cosines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TypeVar

from indexer.core.types import ModalityName

__all__ = ["RRF_K", "Calibration", "Fusion", "mean_ranks", "reciprocal_rank_fusion", "shortness"]

RRF_K = 60.0

Name = TypeVar("Name")


@dataclass(frozen=True, slots=True)
class Calibration:
    """Where a model's cosines stand: unrelated pairs at ``floor`` and below, good matches from ``ceiling`` up.

    ``brevity`` is how much higher the floor lies between two single words than between sentences.

    Raises:
        ValueError: ``floor`` is not below ``ceiling``, with ``brevity`` or without.
    """

    floor: float
    ceiling: float
    brevity: float = 0.0

    def __post_init__(self) -> None:
        if not (self.brevity >= 0 and self.floor + self.brevity < self.ceiling):
            above = f" and {self.brevity} above it" if self.brevity else ""
            raise ValueError(f"a floor of {self.floor}{above} is not below a ceiling of {self.ceiling}")

    def between(self, query: str, text: str) -> Calibration:
        """The calibration for a query and a record's text; the same where the record has none."""
        if not (self.brevity and text):
            return self
        return Calibration(self.floor + self.rise(query, text), self.ceiling)

    def rise(self, query: str, text: str) -> float:
        """How much higher the floor lies for their brevity, 0 or more; 0 for a record without text."""
        return self.brevity * shortness(query) * shortness(text) if self.brevity and text else 0.0

    def strength(self, cosine: float) -> float:
        """How much a cosine is evidence: 0 up to the floor, 1 from the ceiling on, linear between."""
        return min(1.0, max(0.0, (cosine - self.floor) / (self.ceiling - self.floor)))


@dataclass(frozen=True, slots=True)
class Fusion:
    """One query's weights and calibrations, RRF's ``k``, its wording and how much it means to find that."""

    weights: Mapping[ModalityName, float]
    calibrations: Mapping[ModalityName, Calibration]
    k: float = field(default=RRF_K)
    wording: str = ""
    distinctness: float = 1.0

    def weight(self, modality: ModalityName, cosine: float, text: str = "") -> float:
        """What a modality counts for evidence of this cosine, 0 or more; ``text`` is the record's."""
        return self.weights[modality] * self.calibrations[modality].between(self.wording, text).strength(cosine)

    def evidence(self, modality: ModalityName, cosine: float, rank: float, text: str = "") -> float:
        """What a hit of this cosine at this rank adds to its moment's score."""
        return reciprocal_rank_fusion({modality: rank}, {modality: self.weight(modality, cosine, text)}, self.k)

    def lexical_evidence(self, modality: ModalityName, lexical: float, rank: float) -> float:
        """What a hit of this lexical score at this rank by words adds."""
        weight = self.weights[modality] * lexical**2 * self.distinctness
        return reciprocal_rank_fusion({modality: rank}, {modality: weight}, self.k)


def shortness(text: str) -> float:
    """1 for a single word, less the longer the text is."""
    return float(_length(text) ** -0.7)


def _length(text: str) -> int:
    """In words; where none are set apart, six bytes are about one."""
    return max(1, len(text.split()), len(text.encode("utf-8", "replace")) // 6)


def reciprocal_rank_fusion(ranks: Mapping[Name, float], weights: Mapping[Name, float], k: float = RRF_K) -> float:
    """The fused score of something that stands at ``ranks`` in several rankings: the sum of ``weight / (k + rank)``.

    Args:
        ranks: The rank in each ranking it is found in, from 1; see ``mean_ranks`` for ties.
        weights: The weight of each ranking; one that is not named weighs 1.
        k: How slowly the worth of a rank falls; 60 in the paper.
    """
    return sum(weights.get(name, 1.0) / (k + rank) for name, rank in ranks.items())


def mean_ranks(scores: Sequence[float]) -> list[float]:
    """The rank of each score, from 1 for the highest; equal scores share the mean of the ranks they take up.

    ``[0.9, 0.5, 0.5, 0.1]`` gives ``[1, 2.5, 2.5, 4]``: a tie is worth neither more nor less for how it is listed.
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
