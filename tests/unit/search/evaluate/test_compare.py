"""Comparisons: axes and setups as they are typed, and the table of differences."""

from __future__ import annotations

import pytest

from indexer.core.errors import QueryError, UsageError
from search.evaluate.compare import Setup, compared, parse_setups


def test_axes_are_all_combinations_the_first_values_first() -> None:
    setups = parse_setups(["profile=embedded,standard", " Keyframes = middle , shots,middle"])
    assert [setup.name for setup in setups] == [
        "profile=embedded keyframes=middle",
        "profile=embedded keyframes=shots",
        "profile=standard keyframes=middle",
        "profile=standard keyframes=shots",
    ]
    assert setups[0].slug == "profile-embedded-keyframes-middle"


@pytest.mark.parametrize(
    ("texts", "error", "told"),
    [
        (["colour=red"], UsageError, "cannot be compared"),
        (["profile"], UsageError, "names no values"),
        (["profile=, ,"], UsageError, "names no values"),
        (["keyframes=shots,best"], UsageError, "called 'best'"),
        (["profile=a", "profile=b"], UsageError, "given twice"),
        (["weights=frames"], UsageError, "'frames' is not a weight"),
        (["weights=frames:-1"], UsageError, "not a weight"),
        (["weights=frames:inf"], UsageError, "not a weight"),
        (["only=all,smells"], QueryError, "smells"),
        (["weights=smells:1"], QueryError, "smells"),
    ],
)
def test_what_cannot_be_compared_is_said_before_anything_is_done(texts: list[str], error: type, told: str) -> None:
    with pytest.raises(error, match=told):
        parse_setups(texts)


def test_only_and_weights_change_how_much_modalities_count() -> None:
    usual = {"frames": 2.0, "speech": 0.0}
    assert Setup({"only": "all", "weights": "default"}).weights(usual)["frames"] == 2
    only = Setup({"only": "frames+speech"}).weights(usual)
    assert {name: weight for name, weight in only.items() if weight} == {"frames": 2, "speech": 1}
    weights = Setup({"weights": "subtitle:3+frames:0"}).weights(usual)
    assert (weights["subtitle"], weights["frames"], weights["speech"], weights["ocr"]) == (3, 0, 0, 1)


def test_differences_are_to_the_first_row_over_the_same_queries() -> None:
    first = {"MRR": {"a": 1.0, "b": 0.5, "c": 0.0}, "MdR": {"a": 1.0, "b": 2.0}, "alone": {"a": 1.0}}
    second = {"MRR": {"c": 1.0, "b": 1.0, "a": 0.5, "d": 1.0}, "MdR": {"b": 1.0, "a": 1.0}}
    base, other = compared([("one", first, 3), ("two", second, 4)])
    assert (base.name, base.differences, base.videos, other.videos) == ("one", {}, 3, 4)
    assert base.metric("MRR").value == pytest.approx((1 + 0.5 + 0) / 3)
    assert other.metric("MRR").value == pytest.approx((0.5 + 1 + 1) / 3)
    assert other.metric("MRR").queries == 3
    assert other.differences["MRR"].value == pytest.approx((-0.5 + 0.5 + 1) / 3)
    assert other.differences["MdR"].value == 1 - 1.5
    assert other.differences.keys() == {"MRR", "MdR"}
    # The differences are -1/2, 1/2 and 1, 1 in all: of the 8 swaps, 6 differ as much.
    signs = [(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]
    as_much = sum(abs(-0.5 * x + 0.5 * y + z) >= 1 for x, y, z in signs)
    assert other.differences["MRR"].p == as_much / 8


def test_runs_without_a_query_in_common_are_not_compared() -> None:
    with pytest.raises(ValueError, match="in common"):
        compared([("one", {"MRR": {"a": 1.0}}, 0), ("two", {"MRR": {"b": 1.0}}, 0)])
