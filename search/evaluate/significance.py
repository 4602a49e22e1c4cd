"""How sure a figure is: intervals by bootstrap over the queries, and a paired test of the difference of two runs.

All columns of a table are resampled together: the same draws of queries, or the same swaps, serve every metric. That
makes the 25 metrics of a run as quick as one, and keeps them comparable.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Difference", "Interval", "Statistic", "bootstrap_intervals", "paired_differences", "share_interval"]

Statistic: TypeAlias = Literal["mean", "median"]
Values: TypeAlias = NDArray[np.float64]

RESAMPLES = 9999
CONFIDENCE = 0.95
_DEVIATIONS = 1.959964
"""So many standard deviations of a normal distribution, to both sides, hold 95% of it."""
_AT_ONCE = 2_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """Where a figure lies with 95% confidence; its ends are included."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """What a second run has more than a first one, its interval, and how likely so much is by chance alone.

    ``p`` is two-sided: the share of all ways to swap the two runs' values, query by query, that differ at least as
    much.
    """

    value: float
    interval: Interval
    p: float


def bootstrap_intervals(
    values: Values, statistic: Statistic = "mean", *, groups: Sequence[Hashable] | None = None, seed: int = 0
) -> tuple[Interval, ...]:
    """The 95% percentile bootstrap intervals (Efron, 1979): queries are drawn with replacement, 9999 times.

    Queries that are alike, as those of one video, tell less than so many independent ones would. If they are named as
    groups, whole groups are drawn instead (the cluster bootstrap of Davison and Hinkley, 1997, section 3.8).

    Args:
        values: One row per query and one column per metric, ``(n, m)``.
        statistic: Of what.
        groups: To which group each query belongs, ``(n,)``; only for means.
        seed: The same seed gives the same intervals.

    Raises:
        ValueError: there are no queries, a value is not finite, there is not one group for each query, or a median of
            groups is asked for.
    """
    checked = _checked(values)
    if groups is None:
        return _intervals(_resampled(checked, statistic, seed))
    if statistic != "mean" or len(groups) != len(checked):
        raise ValueError("groups are drawn for means, and there must be one for each query")
    return _intervals(_resampled_groups(checked, groups, seed))


def share_interval(share: float, draws: int) -> Interval:
    """The 95% score interval (Wilson, 1927) of a share, or of any mean of values from 0 to 1.

    It serves where all values are the same, which a bootstrap takes for certainty. For a mean of values between 0 and 1
    it is rather too wide, since none of them spreads more than a share does.

    Args:
        share: What was seen, from 0 to 1.
        draws: How many independent values it is the mean of.

    Raises:
        ValueError: the share is not from 0 to 1, or there are no draws.
    """
    if not 0 <= share <= 1 or draws < 1:
        raise ValueError(f"{share} of {draws} is no share")
    doubt = _DEVIATIONS**2 / draws
    middle = (share + doubt / 2) / (1 + doubt)
    reach = math.sqrt(share * (1 - share) * doubt + doubt**2 / 4) / (1 + doubt)
    # The ends of 0 and 1 are exact but for the last digit.
    return Interval(max(0.0, min(share, middle - reach)), min(1.0, max(share, middle + reach)))


def paired_differences(
    first: Values, second: Values, statistic: Statistic = "mean", *, seed: int = 0
) -> tuple[Difference, ...]:
    """The second run's figures less the first one's, over the same queries in the same order.

    The p-value is that of the paired randomisation test (Fisher; Smucker, Allan and Carterette, CIKM 2007): over all
    swaps where there are fewer than 10,000, else over 9999 at random and the one that was seen. The interval is a
    bootstrap over the queries, both runs' values of a query drawn together.

    Args:
        first: One row per query and one column per metric, ``(n, m)``.
        second: The same for the other run.
        statistic: Of what.
        seed: The same seed gives the same answer.

    Raises:
        ValueError: there are no queries, a value is not finite, or the two are not of one shape.
    """
    first, second = _checked(first), _checked(second)
    if first.shape != second.shape:
        raise ValueError(f"values of shape {first.shape} cannot be paired with {second.shape}")
    found = _of(second, statistic) - _of(first, statistic)
    intervals = _intervals(_resampled_differences(first, second, statistic, seed))
    p_values = _p_values(found, _swapped(first, second, statistic, seed), exact=_is_exact(len(first)))
    return tuple(
        Difference(float(value), interval, p) for value, interval, p in zip(found, intervals, p_values, strict=True)
    )


def _checked(values: Values) -> Values:
    checked = np.asarray(values, dtype=np.float64)
    if checked.ndim != 2 or not len(checked) or not np.isfinite(checked).all():
        raise ValueError("there must be a finite value for every query and metric, and at least one query")
    return checked


def _of(values: Values, statistic: Statistic) -> Values:
    """The figures of ``(..., n, m)`` over the queries: ``(..., m)``."""
    return np.asarray(np.median(values, axis=-2) if statistic == "median" else np.mean(values, axis=-2))


def _resampled_differences(first: Values, second: Values, statistic: Statistic, seed: int) -> Values:
    if statistic == "mean":
        return _resampled(second - first, statistic, seed)
    return _resampled(second, statistic, seed) - _resampled(first, statistic, seed)


def _resampled(values: Values, statistic: Statistic, seed: int) -> Values:
    """The figures of every resample, ``(9999, m)``; the same seed draws the same queries."""
    count = len(values)
    rng = np.random.default_rng(seed)
    return _in_parts(
        RESAMPLES, values.size, lambda rows: _figures(values, rng.integers(0, count, (rows, count)), statistic)
    )


def _resampled_groups(values: Values, groups: Sequence[Hashable], seed: int) -> Values:
    """The means of every resample of whole groups, ``(9999, m)``; larger groups count for more."""
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    sums = np.zeros((len(numbers), values.shape[1] + 1))
    np.add.at(sums, [numbers[group] for group in groups], np.column_stack([values, np.ones(len(values))]))
    rng = np.random.default_rng(seed)
    count = len(numbers)
    means = _in_parts(
        RESAMPLES, max(count, sums.shape[1]), lambda rows: _figures(sums, rng.integers(0, count, (rows, count)), "mean")
    )
    return np.asarray(means[:, :-1] / means[:, -1:])


def _figures(values: Values, drawn: NDArray[np.int64], statistic: Statistic) -> Values:
    if statistic == "median":
        return _of(values[drawn], statistic)
    rows, count = drawn.shape
    places = drawn + np.arange(rows)[:, None] * count
    times = np.bincount(places.ravel(), minlength=rows * count).reshape(rows, count)
    return np.asarray(times @ values / count)


def _swapped(first: Values, second: Values, statistic: Statistic, seed: int) -> Values:
    """The differences after swapping the runs' values of some queries: ``(swaps, m)``, all swaps or 9999 of them."""
    masks = _masks(len(first), seed)
    if statistic == "median":

        def difference(mask: NDArray[np.bool_]) -> Values:
            swap = mask[:, :, None]
            return _of(np.where(swap, first, second), statistic) - _of(np.where(swap, second, first), statistic)
    else:
        # For means, swapping the values of a query is changing the sign of their difference.
        apart = (second - first) / len(first)

        def difference(mask: NDArray[np.bool_]) -> Values:
            return np.asarray((1.0 - 2.0 * mask) @ apart)

    return _in_parts(
        2 ** len(first) if _is_exact(len(first)) else RESAMPLES, first.size, lambda rows: difference(masks(rows))
    )


def _is_exact(queries: int) -> bool:
    return queries <= 13 and 2**queries <= RESAMPLES


def _masks(queries: int, seed: int) -> Callable[[int], NDArray[np.bool_]]:
    """Gives so many further swaps: one after the other where all are tried, else at random."""
    if _is_exact(queries):
        numbers = iter(range(2**queries))

        def in_turn(rows: int) -> NDArray[np.bool_]:
            taken = np.fromiter(numbers, np.int64, rows)
            return np.asarray(taken[:, None] >> np.arange(queries) & 1, dtype=np.bool_)

        return in_turn
    rng = np.random.default_rng(seed)
    return lambda rows: rng.integers(0, 2, (rows, queries), dtype=np.int8).astype(np.bool_)


def _p_values(found: Values, swapped: Values, *, exact: bool) -> Iterator[float]:
    """The share of swaps that differ as much as what was found; that one is counted among random ones, too."""
    # Sums of the same values in another order differ in the last digits.
    as_much = np.abs(swapped) >= np.abs(found) - 1e-9
    counts = as_much.sum(axis=0)
    yield from (float(count / len(swapped) if exact else (count + 1) / (len(swapped) + 1)) for count in counts)


def _in_parts(rows: int, size: int, make: Callable[[int], Values]) -> Values:
    """So many rows, made a few at a time, so that memory does not grow with the number of queries."""
    at_once = max(1, _AT_ONCE // size)
    return np.concatenate([make(min(at_once, rows - start)) for start in range(0, rows, at_once)])


def _intervals(figures: Values) -> tuple[Interval, ...]:
    tail = (1 - CONFIDENCE) / 2
    lows, highs = np.quantile(figures, [tail, 1 - tail], axis=0)
    return tuple(Interval(float(low), float(high)) for low, high in zip(lows, highs, strict=True))
