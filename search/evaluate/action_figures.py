"""Figures of a zero-shot classification: ranks with ties at their mean, how far right and wrong cosines stand
apart, and how far each figure can be trusted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from indexer.core.types import Embedding

__all__ = [
    "TIE",
    "Estimate",
    "Figures",
    "Resampling",
    "area_under_curve",
    "best_class",
    "figures_of",
    "histogram_edges",
    "mean_ranks",
    "overlap",
    "right_and_wrong",
    "share_of",
]

Numbers: TypeAlias = NDArray[np.float64]
Places: TypeAlias = NDArray[np.int64]

TIE = 1e-6
"""Cosines as near as this tie: single precision cannot tell them apart."""

_CONFIDENCE = 0.95
_RESAMPLES_AT_ONCE = 100
_FEWEST_BINS, _MOST_BINS = 6, 60


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95% interval; ``low`` and ``high`` are None where one video cannot tell."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Resampling:
    """How intervals are found: so many draws of all videos, with replacement, from this seed."""

    draws: int = 2000
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Figures:
    """What a set of cosines, each row of one right class, says of a model.

    Args:
        count: How many rows: frames or videos.
        p_at_1: Share whose right class is ranked first, alone.
        hit_at_3: Share whose right class is among the first three.
        precision_at_3: Right classes among the first three, of three: with one right class a third of ``hit_at_3``.
        mean_rank: Of the right class; 1 is best.
        right_cosine: Mean over the rows of the right class's cosine.
        wrong_cosine: Mean over the rows of all other classes' cosines.
        auc: How probable it is that a right pair's cosine exceeds a wrong pair's; a tie counts half.
        overlap: The area that the histograms of right and of wrong cosines share, in [0, 1].
    """

    count: int
    p_at_1: Estimate
    hit_at_3: Estimate
    precision_at_3: Estimate
    mean_rank: Estimate
    right_cosine: Estimate
    wrong_cosine: Estimate
    auc: float
    overlap: float


def figures_of(cosines: Embedding, right: Places, videos: Places, resampling: Resampling = Resampling()) -> Figures:
    """The figures of rows of cosines.

    Args:
        cosines: ``(n, c)``; at least one row and two classes.
        right: ``(n,)``: each row's right class, as a column.
        videos: ``(n,)``: which video each row is from, numbered from 0. The intervals are found by drawing videos, for
            the frames of one video are no independent witnesses.
        resampling: How the intervals are found.
    """
    ranks = mean_ranks(cosines, right)
    of_right, of_wrong = right_and_wrong(cosines, right)

    def estimate(values: Numbers) -> Estimate:
        return share_of(values, videos, resampling)

    return Figures(
        count=len(cosines),
        p_at_1=estimate((ranks <= 1).astype(np.float64)),
        hit_at_3=estimate((ranks <= 3).astype(np.float64)),
        precision_at_3=estimate((ranks <= 3) / 3),
        mean_rank=estimate(ranks),
        right_cosine=estimate(of_right),
        wrong_cosine=estimate(of_wrong.reshape(len(cosines), -1).mean(axis=1)),
        auc=area_under_curve(of_right, of_wrong),
        overlap=overlap(of_right, of_wrong),
    )


def mean_ranks(cosines: Embedding, right: Places) -> Numbers:
    """``(n,)``: the rank of each row's right class, from 1; classes that tie with it share the mean of their ranks."""
    ahead = cosines - cosines[np.arange(len(cosines)), right][:, np.newaxis]
    ties = (np.abs(ahead) <= TIE).sum(axis=1)
    ranks: Numbers = (ahead > TIE).sum(axis=1) + (ties + 1) / 2
    return ranks


def best_class(cosines: Embedding, right: int) -> int:
    """The class with the highest cosine in ``(c,)``; the right one only if no other ties with it, as in the ranks."""
    best = np.flatnonzero(cosines >= cosines.max() - TIE)
    others = best[best != right]
    return int(others[0]) if len(others) else right


def right_and_wrong(cosines: Embedding, right: Places) -> tuple[Numbers, Numbers]:
    """The cosines of right pairs ``(n,)`` and of wrong ones ``(n * (c - 1),)``, row by row."""
    is_right = np.zeros(cosines.shape, dtype=bool)
    is_right[np.arange(len(cosines)), right] = True
    return cosines[is_right].astype(np.float64), cosines[~is_right].astype(np.float64)


def area_under_curve(right: Numbers, wrong: Numbers) -> float:
    """The area under the ROC curve: the share of (right, wrong) pairs that are in order, ties counting half."""
    ordered = np.sort(right)
    above = len(right) - np.searchsorted(ordered, wrong, side="right")
    tied = len(right) - np.searchsorted(ordered, wrong, side="left") - above
    return float((above.sum() + tied.sum() / 2) / (len(right) * len(wrong)))


def histogram_edges(right: Numbers, wrong: Numbers) -> Numbers:
    """Common bins for both: as many as the square root of the smaller group's size, 6 at least and 60 at most."""
    bins = int(np.clip(round(min(len(right), len(wrong)) ** 0.5), _FEWEST_BINS, _MOST_BINS))
    edges: Numbers = np.histogram_bin_edges(np.concatenate([right, wrong]), bins=bins)
    return edges


def overlap(right: Numbers, wrong: Numbers) -> float:
    """The overlap coefficient of the two histograms, each of area 1: 0 if they share no bin, 1 if they are equal."""
    edges = histogram_edges(right, wrong)
    shares = [np.histogram(values, bins=edges)[0] / len(values) for values in (right, wrong)]
    return float(np.minimum(*shares).sum())


def share_of(values: Numbers, videos: Places, resampling: Resampling = Resampling()) -> Estimate:
    """The mean of ``values`` with its 95% percentile bootstrap interval (Efron, 1979) over the videos they are from.

    Args:
        values: ``(n,)``; at least one.
        videos: ``(n,)``: which video each value is from, numbered from 0.
        resampling: How often videos are drawn, and the seed.
    """
    counts = np.bincount(videos)
    sums = np.bincount(videos, weights=values).astype(np.float64)
    is_there = counts > 0
    value = float(values.mean())
    if is_there.sum() < 2:
        return Estimate(value)
    low, high = _interval(sums[is_there], counts[is_there].astype(np.float64), resampling)
    return Estimate(value, low, high)


def _interval(sums: Numbers, counts: Numbers, resampling: Resampling) -> tuple[float, float]:
    from scipy.stats import bootstrap

    drawn = bootstrap(
        (sums, counts),
        _ratio,
        paired=True,
        vectorized=True,
        n_resamples=resampling.draws,
        batch=_RESAMPLES_AT_ONCE,
        confidence_level=_CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(resampling.seed),
    )
    interval: Any = drawn.confidence_interval
    return float(interval.low), float(interval.high)


def _ratio(sums: Numbers, counts: Numbers, axis: int = -1) -> Numbers:
    ratio: Numbers = sums.sum(axis=axis) / counts.sum(axis=axis)
    return ratio
