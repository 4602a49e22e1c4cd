"""How sure a figure is: bootstrap intervals over the queries, and paired tests of two runs.

All columns of a table are resampled together, by the same draws of queries, which keeps them comparable.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Statistic: TypeAlias = Literal["mean", "median"]
Values: TypeAlias = NDArray[np.float64]

RESAMPLES = 9999
_DEVIATIONS = 1.959964  # of a normal distribution, to both sides, hold 95% of it
_VALUES_AT_ONCE = 2_000_000
_SEED = 0


@dataclass(frozen=True, slots=True)
class Interval:
    """Where a figure lies with 95% confidence, ends included."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """The second run's figure less the first one's, its interval, and the two-sided p-value."""

    value: float
    interval: Interval
    p: float


def bootstrap_intervals(
    values: Values, statistic: Statistic = "mean", *, groups: Sequence[Hashable] | None = None
) -> tuple[Interval, ...]:
    """The 95% percentile bootstrap interval (Efron, 1979) of each column of ``(queries, metrics)``.

    With the group of each query in ``groups``, whole groups are drawn (cluster bootstrap; Davison and Hinkley, 1997,
    section 3.8), for means only.

    Raises:
        ValueError: there are no queries, a value is not finite, or the groups are not one per query or not for means.
    """
    checked = _checked(values)
    if groups is None:
        return _intervals((checked,), partial(_figure, of=statistic))
    if statistic != "mean" or len(groups) != len(checked):
        raise ValueError("groups are drawn for means, and each query needs one")
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    places = [numbers[group] for group in groups]
    sums, counts = np.zeros((2, len(numbers), checked.shape[1]))
    np.add.at(sums, places, checked)
    np.add.at(counts, places, 1)
    return _intervals((sums, counts), lambda sums, counts, axis: sums.sum(axis) / counts.sum(axis))


def share_interval(share: float, draws: int) -> Interval:
    """The 95% score interval (Wilson, 1927) of a mean of ``draws`` independent values from 0 to 1.

    It serves where all values are the same, which a bootstrap takes for certainty. SciPy's takes whole numbers only.

    Raises:
        ValueError: the share is not from 0 to 1, or there are no draws.
    """
    if not 0 <= share <= 1 or draws < 1:
        raise ValueError(f"{share} of {draws} is not a share")
    doubt = _DEVIATIONS**2 / draws
    middle = (share + doubt / 2) / (1 + doubt)
    reach = math.sqrt(share * (1 - share) * doubt + doubt**2 / 4) / (1 + doubt)
    # The ends at 0 and 1 are exact but for the last digit.
    return Interval(max(0.0, min(share, middle - reach)), min(1.0, max(share, middle + reach)))


def paired_differences(first: Values, second: Values, statistic: Statistic = "mean") -> tuple[Difference, ...]:
    """The second run's figures less the first one's, for each column of ``(queries, metrics)`` of the same queries.

    The p-value is that of the paired randomisation test (Fisher; Smucker, Allan and Carterette, CIKM 2007): over all
    swaps of the two values of queries if fewer than 10,000, else over 9999 at random. The interval is a bootstrap that
    draws both values of a query together.

    Raises:
        ValueError: there are no queries, a value is not finite, or the shapes differ.
    """
    from scipy.stats import permutation_test

    first, second = _checked(first), _checked(second)
    if first.shape != second.shape:
        raise ValueError(f"values of shape {first.shape} cannot be paired with {second.shape}")
    # A mean of differences is quicker than a difference of means, and the same.
    samples = (second - first,) if statistic == "mean" else (second, first)
    figure = partial(_figure, of=statistic)
    values, intervals, p_values = figure(*samples, axis=0), _intervals(samples, figure), np.ones(first.shape[1])
    if len(first) > 1:  # SciPy refuses a single query; both swaps differ as much
        tested: Any = permutation_test(samples, figure, permutation_type="samples", **_resampling(first))
        p_values = tested.pvalue
    return tuple(map(Difference, values.tolist(), intervals, p_values.tolist()))


def _checked(values: Values) -> Values:
    checked = np.asarray(values, dtype=np.float64)
    if checked.ndim != 2 or not len(checked) or not np.isfinite(checked).all():
        raise ValueError("there must be a finite value for every query and metric, and at least one query")
    return checked


def _figure(*samples: Values, axis: int, of: Statistic) -> Values:
    """The mean or median of one sample, or the difference of those of two."""
    figures = [np.asarray(np.median(sample, axis) if of == "median" else np.mean(sample, axis)) for sample in samples]
    return figures[0] - figures[1] if len(figures) == 2 else figures[0]


def _intervals(samples: tuple[Values, ...], figure: Callable[..., Values]) -> tuple[Interval, ...]:
    from scipy.stats import bootstrap

    low = high = figure(*samples, axis=0)
    if len(samples[0]) > 1:  # SciPy refuses a single query; every draw of it is the same
        paired, resampling = len(samples) == 2, _resampling(samples[0])
        drawn: Any = bootstrap(samples, figure, paired=paired, method="percentile", **resampling)
        low, high = drawn.confidence_interval
    return tuple(map(Interval, low.tolist(), high.tolist()))


def _resampling(values: Values) -> dict[str, Any]:
    """What bootstrap and test have in common; in batches, so that memory does not grow with the number of queries."""
    batch = max(1, _VALUES_AT_ONCE // values.size)
    return {"axis": 0, "vectorized": True, "n_resamples": RESAMPLES, "batch": batch, "rng": _SEED}
