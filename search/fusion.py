"""How the evidence of several modalities becomes one score.

Weighted reciprocal rank fusion (Cormack, Clarke and Buettcher, SIGIR 2009) gives every modality in which a moment was
found ``weight / (k + rank)``. Ranks are comparable between models whose cosines are not. But ranks alone cannot tell
good evidence from the best of a bad lot: in a library with three subtitles, one of them is first for every query. So
a rank counts as much as its cosine is evidence at all::

    evidence = weight * strength / (k + rank)        strength = (cosine - floor) / (ceiling - floor), within [0, 1]

``floor`` is where the cosines of unrelated pairs of a model lie and ``ceiling`` where those of good matches begin
(``Calibration``; measured for each model family). A hit at or below the floor has strength 0 and is no evidence: it
is dropped, and a query that nothing matches finds nothing. Strength is taken from each hit's own cosine, not from the
best one of the modality; so one exact subtitle does not lift the unrelated subtitles ranked behind it above a good
frame. Within one modality the order is that of the cosines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TypeVar

from indexer.types import Modality

__all__ = ["RRF_K", "Calibration", "Fusion", "mean_ranks", "reciprocal_rank_fusion"]

RRF_K = 60.0

Name = TypeVar("Name")


@dataclass(frozen=True, slots=True)
class Calibration:
    """Where a model's cosines stand: unrelated pairs at ``floor`` and below, good matches from ``ceiling`` up.

    Raises:
        ValueError: ``floor`` is not below ``ceiling``.
    """

    floor: float
    ceiling: float

    def __post_init__(self) -> None:
        if not self.floor < self.ceiling:
            raise ValueError(f"a floor of {self.floor} is not below a ceiling of {self.ceiling}")

    def strength(self, cosine: float) -> float:
        """How much a cosine is evidence: 0 up to the floor, 1 from the ceiling on, linear between."""
        return min(1.0, max(0.0, (cosine - self.floor) / (self.ceiling - self.floor)))


@dataclass(frozen=True, slots=True)
class Fusion:
    """One query's weights and calibrations, and RRF's ``k``."""

    weights: Mapping[Modality, float]
    calibrations: Mapping[Modality, Calibration]
    k: float = field(default=RRF_K)

    def weight(self, modality: Modality, cosine: float) -> float:
        """What a modality counts for evidence of this cosine, 0 or more."""
        return self.weights[modality] * self.calibrations[modality].strength(cosine)

    def evidence(self, modality: Modality, cosine: float, rank: float) -> float:
        """What a hit of this cosine at this rank adds to its moment's score."""
        return reciprocal_rank_fusion({modality: rank}, {modality: self.weight(modality, cosine)}, self.k)


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
