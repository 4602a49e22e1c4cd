"""Intervals and tests: exact on small cases, and right as often as they say."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from search.evaluate.significance import Statistic, bootstrap_intervals, paired_differences, share_interval


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)[:, None]


def test_values_that_are_all_the_same_leave_no_doubt() -> None:
    [interval] = bootstrap_intervals(np.full((7, 1), 0.25))
    assert (interval.low, interval.high) == pytest.approx((0.25, 0.25))


def test_the_interval_of_a_share_is_the_binomial_one() -> None:
    # 40 of 100 found: resamples are binomial, with a deviation of sqrt(0.4 * 0.6 / 100).
    [interval] = bootstrap_intervals(column(*[1.0] * 40, *[0.0] * 60))
    spread = 1.96 * np.sqrt(0.4 * 0.6 / 100)
    assert interval.low == pytest.approx(0.4 - spread, abs=0.011)
    assert interval.high == pytest.approx(0.4 + spread, abs=0.011)


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_the_interval_holds_all_but_five_percent_of_all_resamples(statistic: Statistic) -> None:
    values = np.array([0.0, 1.0, 3.0, 7.0, 20.0])
    figures = getattr(np, statistic)(list(product(values, repeat=5)), axis=1)
    [ours] = bootstrap_intervals(values[:, None], statistic)
    for end, tail in ((ours.low, 0.025), (ours.high, 0.975)):
        # 9999 draws come near the quantile of all 3125 resamples, to half a percent.
        low, high = np.quantile(figures, [tail - 0.005, tail + 0.005])
        assert low <= end <= high


def test_a_single_query_has_an_interval_of_itself_and_no_significance() -> None:
    [interval] = bootstrap_intervals(column(0.5))
    [difference] = paired_differences(column(0.5), column(0.75))
    assert (interval.low, interval.high) == (0.5, 0.5)
    assert (difference.value, difference.interval.low, difference.p) == (0.25, 0.25, 1)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(5)
    intervals = bootstrap_intervals(rng.normal(size=(60, 300)))
    held = np.mean([interval.low <= 0 <= interval.high for interval in intervals])
    assert 0.90 <= held <= 0.98


def test_groups_of_one_are_the_queries_themselves() -> None:
    values = np.random.default_rng(11).random((30, 3))
    assert bootstrap_intervals(values, groups=range(30)) == bootstrap_intervals(values)


def test_whole_groups_are_drawn_and_larger_ones_count_for_more() -> None:
    # Of two groups, a half of all draws has both, a quarter each one alone: its mean is the end of the interval.
    values, groups = column(1.0, 1.0, 1.0, 0.0, 0.5), ["a", "a", "a", "a", "b"]
    [interval] = bootstrap_intervals(values, groups=groups)
    assert (interval.low, interval.high) == (0.5, 3 / 4)
    # Of three equal copies of a hundred values there is no more to know than of the hundred.
    once = np.random.default_rng(12).random((100, 1))
    [copied] = bootstrap_intervals(np.repeat(once, 3, axis=0), groups=[n for n in range(100) for _ in range(3)])
    [single] = bootstrap_intervals(once)
    assert (copied.low, copied.high) == pytest.approx((single.low, single.high))


def test_intervals_of_alike_queries_hold_the_truth_as_often_as_they_say_only_if_groups_are_drawn() -> None:
    rng = np.random.default_rng(13)
    groups = np.repeat(np.arange(40), 5)
    values = rng.normal(size=(40, 300))[groups] + 0.5 * rng.normal(size=(200, 300))

    def held(of: list[int] | None) -> float:
        intervals = bootstrap_intervals(values, groups=of)
        return float(np.mean([interval.low <= 0 <= interval.high for interval in intervals]))

    assert 0.89 <= held(groups.tolist()) <= 0.98
    assert held(None) < 0.75


@pytest.mark.parametrize(("statistic", "groups"), [("mean", ["a"]), ("median", ["a", "b", "c"])])
def test_groups_must_be_named_for_every_query_and_have_no_median(statistic: Statistic, groups: list[str]) -> None:
    with pytest.raises(ValueError, match="groups"):
        bootstrap_intervals(column(1, 2, 3), statistic, groups=groups)


@pytest.mark.parametrize(("hits", "draws"), [(0, 3), (3, 3), (1, 1), (2, 9), (57, 100)])
def test_the_interval_of_a_share_is_wilsons_as_scipy_has_it(hits: int, draws: int) -> None:
    ours = share_interval(hits / draws, draws)
    theirs = binomtest(hits, draws).proportion_ci(method="wilson")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-6)
    assert ours.low <= hits / draws <= ours.high


def test_what_is_no_share_has_no_interval() -> None:
    for share, draws in ((1.5, 3), (-0.1, 3), (0.5, 0)):
        with pytest.raises(ValueError, match="not a share"):
            share_interval(share, draws)


def test_the_same_values_give_the_same_interval_and_columns_do_not_touch_each_other() -> None:
    values = np.random.default_rng(6).random((30, 4))
    together = bootstrap_intervals(values)
    alone = [bootstrap_intervals(values[:, [number]])[0] for number in range(4)]
    for ours, theirs in zip(together, alone, strict=True):
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))
    assert bootstrap_intervals(values) == together


def test_a_run_does_not_differ_from_itself() -> None:
    values = np.random.default_rng(7).random((20, 2))
    for statistic in ("mean", "median"):
        for difference in paired_differences(values, values, statistic):
            assert (difference.value, difference.interval.low, difference.interval.high, difference.p) == (0, 0, 0, 1)


def test_p_is_the_share_of_all_swaps_that_differ_as_much() -> None:
    first, second = column(0, 0, 0, 0, 0.5), column(1, 1, 1, 0.5, 0)
    apart = (second - first)[:, 0]
    as_much = [abs(np.dot(signs, apart)) >= abs(apart.sum()) for signs in product((1, -1), repeat=5)]
    [difference] = paired_differences(first, second)
    assert difference.value == pytest.approx((1 + 1 + 1 + 0.5 - 0.5) / 5)
    assert difference.p == sum(as_much) / 2**5


def test_five_wins_out_of_five_are_one_swap_in_sixteen() -> None:
    [difference] = paired_differences(column(0, 0, 0, 0, 0), column(1, 1, 1, 1, 1))
    assert difference.p == 2 / 2**5
    assert (difference.interval.low, difference.interval.high) == (1, 1)


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_p_is_exact_for_either_statistic(statistic: Statistic) -> None:
    rng = np.random.default_rng(9)
    first = rng.random(9)
    second = first + rng.normal(0.05, 0.3, 9)
    figure = getattr(np, statistic)
    swaps = np.array(list(product([False, True], repeat=9)))
    swapped = figure(np.where(swaps, first, second), axis=1) - figure(np.where(swaps, second, first), axis=1)
    [difference] = paired_differences(first[:, None], second[:, None], statistic)
    assert difference.value == pytest.approx(figure(second) - figure(first))
    assert difference.p == pytest.approx(np.mean(np.abs(swapped) >= abs(difference.value) - 1e-9))


def test_p_of_many_queries_is_near_that_of_a_normal_distribution() -> None:
    rng = np.random.default_rng(60)
    apart = rng.normal(0.05, 0.3, 200)
    [difference] = paired_differences(np.zeros((200, 1)), apart[:, None])
    deviations = abs(apart.mean()) / np.sqrt((apart**2).sum()) * len(apart)
    assert difference.p == pytest.approx(2 * norm.sf(deviations), abs=0.015)


def test_p_is_below_a_level_about_as_often_as_the_level_where_there_is_no_difference() -> None:
    rng = np.random.default_rng(8)
    found = paired_differences(rng.normal(size=(30, 250)), rng.normal(size=(30, 250)))
    assert 0.02 <= np.mean([difference.p < 0.05 for difference in found]) <= 0.08


def test_medians_are_swapped_pair_by_pair() -> None:
    [difference] = paired_differences(column(5, 5, 5), column(1, 1, 9), "median")
    assert difference.value == 1 - 5
    # Of the 8 swaps: medians 1 and 5 or 5 and 1 where the first two are swapped alike, else 5 and 5.
    assert difference.p == 4 / 8


@pytest.mark.parametrize("values", [np.empty((0, 1)), np.array([[np.nan]]), np.array([[np.inf]]), np.array([1.0])])
def test_nothing_is_said_of_what_is_no_figure(values: np.ndarray) -> None:
    with pytest.raises(ValueError, match="finite"):
        bootstrap_intervals(values)


def test_two_runs_must_have_the_same_queries() -> None:
    with pytest.raises(ValueError, match="paired"):
        paired_differences(column(1, 2), column(1, 2, 3))
