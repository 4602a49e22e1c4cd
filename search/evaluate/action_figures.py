"""Figures of a zero-shot classification: pooled cosines of videos with classes, their ranks, AUC and overlap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from indexer.core.errors import UsageError
from indexer.core.types import Embedding
from indexer.models.long_texts import normalised
from search.evaluate.significance import bootstrap_intervals

Numbers: TypeAlias = NDArray[np.float64]
Places: TypeAlias = NDArray[np.int64]
Pooling: TypeAlias = Literal["mean", "max", "query"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
TAU = 0.1  # the temperature of query scoring that Bain et al. found best

_TIE = 1e-6  # Cosines that differ by no more tie: single precision cannot tell them apart.


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


def check_pooling(name: str, tau: float = TAU) -> Pooling:
    """The pooling of this name.

    Raises:
        UsageError: there is none, or ``tau`` is not above 0.
    """
    if not 0 < tau < float("inf"):
        raise UsageError(f"tau is {tau}.", hint="Use a number above 0; 0.1 is usual.")
    for pooling in POOLINGS:
        if pooling == name:
            return pooling
    raise UsageError(f"There is no pooling '{name}'.", hint=f"There are: {', '.join(POOLINGS)}.")


def cosines_of(frames: Embedding, texts: Embedding) -> Embedding:
    """``(n, c)``: every frame's cosine with every text, both L2-normalised."""
    return _in_range(frames @ texts.T)


def pooled(frames: Embedding, texts: Embedding, pooling: Pooling, tau: float = TAU) -> Embedding:
    """``(c,)``: the cosine of a whole video, which has at least one frame, with each text.

    ``frames`` are ``(n, dim)`` and ``texts`` ``(c, dim)``, L2-normalised. The pooling ``mean`` takes the frames' mean,
    normalised again; ``max`` the frame nearest to the text; ``query`` the frames' mean weighted for each text by the
    softmax of their cosines over ``tau``, normalised again (Bain et al., 2022, "A CLIP-Hitchhiker's Guide to Long Video
    Retrieval"). With a ``tau`` near 0 only the nearest frame counts; far above 1 all count alike.
    """
    if pooling == "max":
        return _in_range((frames @ texts.T).max(axis=0))
    if pooling == "mean":
        return _in_range(texts @ normalised(frames.mean(axis=0, keepdims=True))[0])
    from scipy.special import softmax

    weights = softmax((texts @ frames.T).astype(np.float64) / tau, axis=1)
    return _in_range(np.einsum("cd,cd->c", normalised((weights @ frames).astype(np.float32)), texts))


def _in_range(cosines: Embedding) -> Embedding:
    return np.asarray(np.clip(cosines, -1, 1), dtype=np.float32)


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
    return np.asarray((ahead > _TIE).sum(axis=1) + (ties + 1) / 2, dtype=np.float64)


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
    bins = int(np.clip(round(min(len(right), len(wrong)) ** 0.5), 6, 60))
    return np.histogram_bin_edges(np.concatenate([right, wrong]), bins=bins)


def overlap(right: Numbers, wrong: Numbers) -> float:
    """The area that the two histograms share, each of area 1: 0 if they share no bin, 1 if they are equal."""
    edges = histogram_edges(right, wrong)
    shares = [np.histogram(values, bins=edges)[0] / len(values) for values in (right, wrong)]
    return float(np.minimum(*shares).sum())
