"""What unrelated queries score in an index, and how likely they reach a given score (see ``search.confidence``).

Of the scores by meaning only three quantiles are used, the median, the third quartile and the ninth decile: a library
of cars truly answers some of the bank, and as long as it answers less than a tenth, these hardly move. Up to the
quartile the rate is a normal distribution's, beyond it falls exponentially through the decile (the tail of peaks over a
threshold, Pickands, 1975, in its lightest form; a normal tail proved five times too small at the 95th percentile of
texts). It is never 0. A small index answers all queries about alike, so the spread is at least a share of the span
between the model's floor and ceiling (``search.match.calibration``). Scores by words are mostly 0 and come in steps;
their rate is the share counted, smoothed as ``(1 + better) / (1 + queries)`` (Davison and Hinkley, 1997) and as if a
fifth more queries had scored evenly from 0 to 1.

Two corrections make the cosines of different queries comparable. Subtracted are what the floor rises by with the
brevity of query and text and, where a picture or sound is a mixture of named classes, the query's mean cosine with the
tenth of these classes that are nearest to it. The latter is the local scaling of CSLS (Conneau et al., 2018): "a
submarine" is near many classes and so near many pictures, "a red car seen from above" near few.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexer.core.types import Embedding, ModalityName, Space

NEAREST_SHARE = 0.1
"""The share of a vocabulary that is near a query. Measured on 200 photographs with half of their classes left out, and
on two small libraries, each with queries of its own (area under the ROC curve, pooled): plain cosine 0.841, less the
mean cosine with the nearest 100 of 1000 classes 0.875, with the nearest 50 or 200 the same, with all of them 0.867."""

LEAST_SPREAD = 0.225
"""The least spread of scores by meaning, as a share of the span between a model's floor and ceiling."""

_LEAST_WORDS_SPREAD = 0.1
_QUARTILE, _DECILE = 0.6745, 1.2816  # where a normal distribution's third quartile and ninth decile lie
_LEAST_RATE = 1e-9
_ASSUMED_SHARE = 0.2  # in an index with few texts no bank query finds a word; still "stand" in "understand" says little


class Channel(NamedTuple):
    """One way to search for a query: in one modality, by meaning or by words."""

    modality: ModalityName
    way: Literal["meaning", "words"]


_CREDENCE: Mapping[Channel, float] = MappingProxyType(
    {Channel("frames", "meaning"): 4.0, Channel("ocr", "meaning"): 0.25}
)
"""How much rather than in other channels an answer is to be expected. Most queries are about pictures; a few words on a
screen are like something in every query. Measured on two small libraries with 63 answerable and 50 unanswerable queries
(area under the ROC curve, pooled): all alike 0.840, pictures 4 times 0.858, these 0.874."""


class Rating(NamedTuple):
    """How a score compares: its distance from the middle in spreads, and its false-alarm rate in (0, 1]."""

    z_score: float
    rate: float


@dataclass(frozen=True)
class NullDistribution:
    """How high unrelated queries score in one channel: the best score of each bank query, ``(queries,)``."""

    channel: Channel
    scores: NDArray[np.float64]
    least_spread: float = _LEAST_WORDS_SPREAD

    @cached_property
    def middle(self) -> float:
        """The median."""
        return float(np.median(self.scores))

    @cached_property
    def spread(self) -> float:
        """The standard deviation, estimated from the third quartile, more than 0."""
        return max(self.least_spread, (self._quantile(0.75) - self.middle) / _QUARTILE)

    @cached_property
    def rates(self) -> NDArray[np.float64]:
        """The false-alarm rate of each bank query's own score."""
        return np.array([self.rated(score).rate for score in self.scores.tolist()])

    def rated(self, score: float) -> Rating:
        """The rating of a score in this channel."""
        z_score = (score - self.middle) / self.spread
        if self.channel.way == "words":
            return Rating(z_score, self._share_from(score))
        if z_score <= _QUARTILE:
            return Rating(z_score, 0.5 * math.erfc(z_score / math.sqrt(2)))
        beyond = (z_score - _QUARTILE) * self.spread / self._tail
        return Rating(z_score, max(_LEAST_RATE, 0.25 * math.exp(-beyond)))

    def _share_from(self, score: float) -> float:
        """The smoothed share of queries that score at least so high."""
        queries = len(self._ascending)
        better = queries - bisect_left(self._ascending, score)
        assumed = _ASSUMED_SHARE * queries
        return (1 + better + assumed * min(1.0, max(0.0, 1 - score))) / (1 + queries + assumed)

    @cached_property
    def _tail(self) -> float:
        """How far above the quartile the rate has fallen to 1/e of its value there."""
        to_decile = self._quantile(0.9) - self._quantile(0.75)
        return max(self.least_spread * (_DECILE - _QUARTILE), to_decile) / math.log(2.5)

    @cached_property
    def _ascending(self) -> list[float]:
        return sorted(self.scores.tolist())

    def _quantile(self, share: float) -> float:
        return float(np.quantile(self.scores, share))


@dataclass(frozen=True)
class Background:
    """How an index with its models answers unrelated queries, all channels over the same queries in the same order.

    ``vocabularies`` are the classes, ``(classes, dim)``, that a space's vectors are mixtures of; none for other spaces.
    """

    distributions: Mapping[Channel, NullDistribution]
    vocabularies: Mapping[Space, Embedding] = field(default_factory=dict)

    @property
    def modalities(self) -> frozenset[ModalityName]:
        """The modalities that the index had."""
        return frozenset(channel.modality for channel in self.distributions)

    def effective_tests(self, modalities: Collection[ModalityName]) -> float:
        """How many independent tests the channels of these modalities count as, 1 or more."""
        weighted = [
            np.minimum(1.0, null.rates / _CREDENCE.get(channel, 1.0))
            for channel, null in self.distributions.items()
            if channel.modality in modalities
        ]
        if not weighted:
            return 1.0
        middle = float(np.median(np.min(np.stack(weighted), axis=0)))
        return max(1.0, math.log(0.5) / math.log1p(-min(middle, 0.5)))


def local_scale(vectors: Embedding, vocabulary: Embedding | None) -> NDArray[np.float64]:
    """The mean cosine of each of ``(n, dim)`` queries with the nearest of ``(classes, dim)``: ``(n,)``."""
    if vocabulary is None or not len(vocabulary):
        return np.zeros(len(vectors))
    near = max(1, round(NEAREST_SHARE * len(vocabulary)))
    cosines = (vectors @ vocabulary.T).astype(np.float64)
    means: NDArray[np.float64] = np.partition(cosines, -near, axis=1)[:, -near:].mean(axis=1)
    return means


def confidence_of(rates: Iterable[tuple[Channel, float]], tests: float) -> float | None:
    """The confidence in something with these false-alarm rates, in [0, 1]; None without any."""
    weighted = [min(1.0, rate / _CREDENCE.get(channel, 1.0)) for channel, rate in rates]
    return (1.0 - min(weighted)) ** tests if weighted else None
