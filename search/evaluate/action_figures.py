"""Figures of a zero-shot classification, each with its 95% interval: ranks, cosines, AUC and overlap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from indexer.core.types import Embedding
from search.evaluate.significance import bootstrap_intervals

Numbers: TypeAlias = NDArray[np.float64]
Places: TypeAlias = NDArray[np.int64]

_TIE = 1e-6  # Cosines that differ by no more tie: single precision cannot tell them apart.
_FEWEST_BINS, _MOST_BINS = 6, 60


class CosineTable(NamedTuple):
    """Cosines ``(n, c)`` of frames or videos with classes; ``(n,)``: each row's right class, and its video."""

    cosines: Embedding
    right: Places
    videos: Places


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95% interval. One video gives no interval: ``low`` and ``high`` are None."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of a table of cosines with ``count`` rows.

    ``p_at_1`` is the share of rows whose right class is ranked first, alone; ``hit_at_3`` of those where it is among
    the first three; ``precision_at_3`` is a third of that. ``auc`` and ``overlap`` compare right and wrong cosines.
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


def figures_of(cosines: Embedding, right: Places, videos: Places) -> Figures:
    """All figures of a ``CosineTable`` with at least one row and two classes."""
    ranks = mean_ranks(cosines, right)
    of_right, of_wrong = right_and_wrong(cosines, right)
    columns = {
        "p_at_1": ranks <= 1,
        "hit_at_3": ranks <= 3,
        "precision_at_3": (ranks <= 3) / 3,
        "mean_rank": ranks,
        "right_cosine": of_right,
        "wrong_cosine": of_wrong.reshape(len(cosines), -1).mean(axis=1),
    }
    found = dict(zip(columns, estimates(np.column_stack(list(columns.values())), videos), strict=True))
    return Figures(len(cosines), **found, auc=area_under_curve(of_right, of_wrong), overlap=overlap(of_right, of_wrong))


def estimates(values: Numbers, videos: Places) -> list[Estimate]:
    """The mean of each column of ``(n, m)`` with its bootstrap interval.

    The bootstrap draws whole videos, because the frames of one video are not independent.
    """
    means = values.mean(axis=0).tolist()
    if len(np.unique(videos)) < 2:
        return [Estimate(mean) for mean in means]
    intervals = bootstrap_intervals(values, groups=videos.tolist())
    return [Estimate(mean, each.low, each.high) for mean, each in zip(means, intervals, strict=True)]


def mean_ranks(cosines: Embedding, right: Places) -> Numbers:
    """``(n,)``: the rank of each row's right class, from 1; classes that tie share the mean of their ranks."""
    ahead = cosines - np.take_along_axis(cosines, right[:, np.newaxis], axis=1)
    ties = (np.abs(ahead) <= _TIE).sum(axis=1)
    ranks: Numbers = (ahead > _TIE).sum(axis=1) + (ties + 1) / 2
    return ranks


def best_class(cosines: Embedding, right: int) -> int:
    """The class with the highest cosine in ``(c,)``; the right one only if no other class ties with it."""
    best = np.flatnonzero(cosines >= cosines.max() - _TIE)
    others = best[best != right]
    return int(others[0]) if len(others) else right


def right_and_wrong(cosines: Embedding, right: Places) -> tuple[Numbers, Numbers]:
    """The cosines of right pairs ``(n,)`` and of wrong pairs ``(n * (c - 1),)``, row by row."""
    is_right = right[:, np.newaxis] == np.arange(cosines.shape[1])
    return cosines[is_right].astype(np.float64), cosines[~is_right].astype(np.float64)


def area_under_curve(right: Numbers, wrong: Numbers) -> float:
    """The area under the ROC curve: how often a right pair's cosine exceeds a wrong pair's."""
    from sklearn.metrics import roc_auc_score

    is_right = np.repeat([1, 0], [len(right), len(wrong)])
    return float(roc_auc_score(is_right, np.concatenate([right, wrong])))


def histogram_edges(right: Numbers, wrong: Numbers) -> Numbers:
    """Common bins: the square root of the smaller group's size, between 6 and 60."""
    bins = int(np.clip(round(min(len(right), len(wrong)) ** 0.5), _FEWEST_BINS, _MOST_BINS))
    edges: Numbers = np.histogram_bin_edges(np.concatenate([right, wrong]), bins=bins)
    return edges


def overlap(right: Numbers, wrong: Numbers) -> float:
    """The area that the two histograms share, each of area 1: 0 if they share no bin, 1 if they are equal."""
    edges = histogram_edges(right, wrong)
    shares = [np.histogram(values, bins=edges)[0] / len(values) for values in (right, wrong)]
    return float(np.minimum(*shares).sum())
