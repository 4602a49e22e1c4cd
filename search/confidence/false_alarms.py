"""How likely a hit, or one as good, is found for a query that has no answer in the index.

The best record of an index has some score for every query, also for one that means nothing here. How high such scores
are is learnt from a bank of unrelated queries (``queries``) asked of this very index with its own models: for each
**channel**, a modality looked at by meaning or by words, the best score of every bank query. From these follow

* a hit's **z-score**: how many spreads its score lies above the middle of theirs,
* its **false-alarm rate**: the share of unrelated queries whose best hit in that channel is at least as good, and
* a moment's **confidence** in [0, 1]: the probability that a query without an answer finds nothing as good.

Of the scores by meaning only three quantiles are used, the median, the third quartile and the ninth decile: a library
of cars truly answers some of the bank, and as long as it answers less than a tenth, these hardly move. Up to the
quartile the rate is a normal distribution's, beyond it falls exponentially through the decile (the tail of peaks over a
threshold, Pickands, 1975, in its lightest form; a normal tail proved five times too small at the 95th percentile of
texts). It is never 0. An index with little in it answers all queries about alike, so the spread is at least a share of
the span between the model's floor and ceiling (``calibration``). Scores by words are mostly 0 and come in steps;
their rate is the share counted, smoothed as ``(1 + better) / (1 + queries)`` (Davison and Hinkley, 1997) and as if a
fifth more queries had scored evenly from 0 to 1.

A query is looked for in several channels, and the best of many chances is lucky more often than one. A moment's
confidence is Sidak's (1967), ``(1 - rate) ** tests``, with the smallest of its hits' rates. The rates are first divided
by a channel's credence, how much rather an answer is to be expected there (weighted tests: Genovese, Roeder and
Wasserman, 2006). As credences differ and channels agree with each other, ``tests`` is not the number of channels but
the effective number of independent tests (the idea of Cheverud, 2001). It is read off the bank: the number with which
half of its queries have a confidence of at least one half.

A cosine is compared after two corrections that make queries comparable. Less is what the floor rises by with the
brevity of query and text (``fusion``), and, where a picture or sound is a mixture of named classes, the query's
mean cosine with the tenth of these classes that are nearest to it. That is the local scaling of CSLS (Conneau et al.,
2018): "a submarine" is near many classes and so near many pictures, "a red car seen from above" near few. Such
pictures are also judged by the query drawn toward its words (``search.confidence.word_by_word``).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from indexer.core.types import Embedding, ModalityName

__all__ = [
    "CREDENCE",
    "LEAST_SPREAD",
    "NEAREST_SHARE",
    "Background",
    "Channel",
    "Null",
    "Rated",
    "Way",
    "confidence_of",
    "local_scale",
]

Way: TypeAlias = Literal["meaning", "words"]

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
    """One way of looking for a query: in which modality, and whether by meaning or by words."""

    modality: ModalityName
    way: Way


CREDENCE: Mapping[Channel, float] = MappingProxyType(
    {Channel("frames", "meaning"): 4.0, Channel("ocr", "meaning"): 0.25}
)
"""How much rather than in other channels an answer is to be expected. Pictures are what most queries are about; a few
words on a screen are like something in every query. Measured on two small libraries with 63 answerable and 50
unanswerable queries (area under the ROC curve, pooled): all alike 0.840, pictures 4 times 0.858, these 0.874."""


class Rated(NamedTuple):
    """What a score means: its z-score and its false-alarm rate, in (0, 1]."""

    z_score: float
    rate: float


@dataclass(frozen=True)
class Null:
    """How high unrelated queries score in one channel.

    Args:
        channel: Which.
        scores: The best score of each bank query, ``(queries,)``.
        least_spread: The least that counts as their standard deviation, more than 0.
    """

    channel: Channel
    scores: NDArray[np.float64]
    least_spread: float = _LEAST_WORDS_SPREAD

    @cached_property
    def middle(self) -> float:
        """The median."""
        return float(np.median(self.scores))

    @cached_property
    def spread(self) -> float:
        """Their standard deviation as the third quartile says, more than 0."""
        return max(self.least_spread, (self._quantile(0.75) - self.middle) / _QUARTILE)

    @cached_property
    def rates(self) -> NDArray[np.float64]:
        """The false-alarm rate of each bank query's own score."""
        return np.array([self.rated(score).rate for score in self.scores.tolist()])

    def rated(self, score: float) -> Rated:
        """What a score in this channel means."""
        z_score = (score - self.middle) / self.spread
        if self.channel.way == "words":
            return Rated(z_score, self._share_from(score))
        if z_score <= _QUARTILE:
            return Rated(z_score, 0.5 * math.erfc(z_score / math.sqrt(2)))
        beyond = (z_score - _QUARTILE) * self.spread / self._tail
        return Rated(z_score, max(_LEAST_RATE, 0.25 * math.exp(-beyond)))

    def _share_from(self, score: float) -> float:
        """The share that scores at least so high, where some more are taken to score anything from 0 to 1."""
        queries = len(self._ascending)
        better = queries - bisect_left(self._ascending, score)
        assumed = _ASSUMED_SHARE * queries
        return (1 + better + assumed * min(1.0, max(0.0, 1 - score))) / (1 + queries + assumed)

    @cached_property
    def _tail(self) -> float:
        """How far above the quartile the rate has fallen to its 1/e."""
        to_decile = self._quantile(0.9) - self._quantile(0.75)
        return max(self.least_spread * (_DECILE - _QUARTILE), to_decile) / math.log(2.5)

    @cached_property
    def _ascending(self) -> list[float]:
        return sorted(self.scores.tolist())

    def _quantile(self, share: float) -> float:
        return float(np.quantile(self.scores, share))


@dataclass(frozen=True)
class Background:
    """How an index with its models answers unrelated queries.

    Args:
        nulls: One for each channel; all over the same queries in the same order.
    """

    nulls: Mapping[Channel, Null]

    def effective_tests(self, channels: Collection[Channel]) -> float:
        """As how many independent chances these channels count together, 1 or more."""
        weighed = [_weighed(null) for channel, null in self.nulls.items() if channel in channels]
        if not weighed:
            return 1.0
        middle = float(np.median(np.min(np.stack(weighed), axis=0)))
        return max(1.0, math.log(0.5) / math.log1p(-min(middle, 0.5)))


def _weighed(null: Null) -> NDArray[np.float64]:
    weighed: NDArray[np.float64] = np.minimum(1.0, null.rates / CREDENCE.get(null.channel, 1.0))
    return weighed


def local_scale(vectors: Embedding, vocabulary: Embedding | None) -> NDArray[np.float64]:
    """The mean cosine of each of ``(n, dim)`` queries with the nearest of ``(classes, dim)``: ``(n,)``, or 0."""
    if vocabulary is None or not len(vocabulary):
        return np.zeros(len(vectors))
    near = max(1, round(NEAREST_SHARE * len(vocabulary)))
    cosines = (vectors @ vocabulary.T).astype(np.float64)
    means: NDArray[np.float64] = np.partition(cosines, -near, axis=1)[:, -near:].mean(axis=1)
    return means


def confidence_of(rates: Iterable[tuple[Channel, float]], tests: float) -> float | None:
    """The confidence in something with these false-alarm rates, in [0, 1]; None without any."""
    weighed = [min(1.0, rate / CREDENCE.get(channel, 1.0)) for channel, rate in rates]
    return (1.0 - min(weighed)) ** tests if weighed else None
