from __future__ import annotations

from pathlib import PurePosixPath

import numpy as np
import pytest

from indexer.core.errors import QueryError
from search.query.filters import FacetCondition, Filters, matches_path, parse_condition
from search.query.query import Query, is_visible
from tests.unit.search.library import video

PICTURE = np.zeros((2, 3, 3), np.uint8)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "empty"),
        ({"text": " \n"}, "empty"),
        ({"text": "\u200b\u3164\u0301"}, "empty"),
        ({"text": "cat", "without": ("!",)}, "no letters"),
        ({"phrases": ("\u2026",)}, "no letters"),
        ({"text": "cat", "image": PICTURE}, "several"),
        ({"text": "cat", "like": ("a.mp4", 1.0)}, "several"),
        ({"image": PICTURE.astype(float)}, "picture"),
        ({"image": PICTURE[:, :, 0]}, "picture"),
        ({"image": PICTURE[:0]}, "picture"),
        ({"like": ("", 1.0)}, "No video"),
        ({"like": ("a.mp4", -1.0)}, "no time"),
        ({"like": ("a.mp4", float("nan"))}, "no time"),
        ({"text": "cat", "weights": {"smell": 1.0}}, "smell"),
        ({"text": "cat", "weights": {"frames": -1.0}}, "frames"),
        ({"text": "cat", "weights": {"frames": float("inf")}}, "frames"),
        ({"text": "cat", "top_k": 0}, "0 moments"),
        ({"text": "cat", "offset": -1}, "-1"),
    ],
)
def test_a_wrong_query_says_what_is_wrong(arguments: dict[str, object], says: str) -> None:
    with pytest.raises(QueryError, match=says) as error:
        Query(**arguments)
    assert error.value.hint


def test_a_modality_that_is_not_named_weighs_one() -> None:
    query = Query("cat", weights={"subtitle": 0.0, "frames": 2})
    assert [query.weight(name) for name in ("frames", "subtitle", "speech")] == [2.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("label=cats", FacetCondition("label", "=", "cats")),
        ("duration<60", FacetCondition("duration", "<", "60")),
        (" width >= 1280 ", FacetCondition("width", ">=", "1280")),
        ("a==b", FacetCondition("a", "=", "b")),
        ("note!=", FacetCondition("note", "!=", "")),
        ("formula=a=b<c", FacetCondition("formula", "=", "a=b<c")),
    ],
)
def test_conditions_are_read(text: str, condition: FacetCondition) -> None:
    assert parse_condition(text) == condition


@pytest.mark.parametrize("text", ["", "cats", "=3", "<", "  !=1"])
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(QueryError):
        parse_condition(text)


FACTS = video("v", 59.5, label="Éléphants", year="1999", take=7, indoor=True, camera="GoPro 12", batch="010")


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("duration<60", True),
        ("duration<59.5", False),
        ("duration<=59.5", True),
        ("duration<7e1", True),
        ("width=640.0", True),
        ("height!=360", False),
        ("size>999", True),
        ("has_audio=yes", True),
        ("has_audio=FALSE", False),
        ("has_audio!=no", True),
        ("label=elephants", True),
        ("label=ELÉPHANTS", True),
        ("label!=cats", True),
        ("Camera = gopro 12", True),
        ("camera<5", False),
        ("camera>5", False),
        ("camera!=5", True),
        ("camera>canon", True),
        ("year>=1999", True),
        ("year<200", False),
        ("batch=10", True),
        ("take>6.5", True),
        ("take=six", False),
        ("indoor=1", True),
        ("path=/films/éléphants/V.mp4", True),
        ("absent=", False),
        ("absent!=x", True),
        ("absent<1", False),
    ],
)
def test_facts_compare_as_numbers_where_they_are_and_as_folded_text_elsewhere(condition: str, holds: bool) -> None:
    assert Filters(facets=(parse_condition(condition),)).accepts(FACTS) is holds


def test_paths_can_be_left_out() -> None:
    assert not Filters(not_paths=("films/",)).accepts(FACTS)
    assert not Filters(paths=("films/",), not_paths=("v.*",)).accepts(FACTS)
    assert Filters(not_paths=("other/",)).accepts(FACTS)
    assert Filters(not_paths=("other/",))


def test_filters_are_joined() -> None:
    one, other = Filters(("a",), ("p",), (parse_condition("take>1"),), ("q",)), Filters(("b",), not_paths=("r",))
    assert one.joined(other) == Filters(("a", "b"), ("p",), one.facets, ("q", "r"))


@pytest.mark.parametrize(
    ("text", "is_shown"), [("a", True), ("\u732b", True), ("\U0001f600", True), ("?", True), (" \t\u200d", False)]
)
def test_what_can_be_seen(text: str, is_shown: bool) -> None:
    assert is_visible(text) is is_shown


def test_condition_values_may_be_typed() -> None:
    typed = (FacetCondition("take", "=", 7), FacetCondition("indoor", "=", True), FacetCondition("duration", "<", 60))
    assert Filters(facets=typed).accepts(FACTS)


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("*.mp4", True),
        ("*.avi", False),
        ("CAT*", True),
        ("cats/*.mp4", False),
        ("cats/*/*.mp4", True),
        ("cats/**", True),
        ("cats/", True),
        ("cats", True),
        ("**/2019/*", True),
        ("cats/**/cat*", True),
        ("/films/**/*.mp4", True),
        ("/films/cats/2019/cat[[]1].mp4", True),
        ("cat[1].mp4", True),
        ("2019/cat[1].mp4", True),
        ("cat?1?.mp4", True),
        ("cat[!x]1].mp4", True),
        ("cat[!(-_]*", False),
        ("/cats/*", False),
        ("films/*", False),
        ("at[1].mp4", False),
        ("20[0-2]9/**", True),
        ("20/9/*", False),
    ],
)
def test_path_patterns(pattern: str, matches: bool) -> None:
    assert matches_path(pattern, PurePosixPath("/films/Cats/2019/Cat[1].MP4")) is matches


def test_path_patterns_do_not_mind_how_an_accent_is_stored() -> None:
    assert matches_path("caf\u00e9*", PurePosixPath("/films/cafe\u0301.mp4"))


def test_a_pattern_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(QueryError, match="z-a"):
        Filters(paths=("[z-a]*",)).accepts(FACTS)


def test_filters_combine_any_label_any_path_and_all_facets() -> None:
    filters = Filters(("dogs", "elephants"), ("*.avi", "v.*"), (parse_condition("take>1"), parse_condition("take<9")))
    assert filters.accepts(FACTS)
    assert not Filters(filters.labels, filters.paths, (*filters.facets, parse_condition("take=8"))).accepts(FACTS)
    assert not Filters(("dogs",), filters.paths, filters.facets).accepts(FACTS)
    assert not Filters(filters.labels, ("*.avi",), filters.facets).accepts(FACTS)
    assert Filters().accepts(FACTS)
    assert filters
    assert not Filters()


def test_bytes_that_are_no_text_are_searched_for_as_what_is_left() -> None:
    assert Query(text="caf\udce9 noir").text == "caf? noir"


def test_too_many_stars_are_refused_and_a_leading_dot_is_ignored() -> None:
    with pytest.raises(QueryError, match="too many stars"):
        Filters(paths=("*a" * 9,)).accepts(FACTS)
    assert matches_path("./films/*", PurePosixPath("/home/films/a.mp4"))


def test_a_number_too_large_for_a_float_meets_no_condition() -> None:
    assert not parse_condition("year>3").holds({"year": 10**400})


@pytest.mark.parametrize(
    ("pattern", "covers"),
    [
        ("films", True),
        ("films/", True),
        ("home/films", True),
        ("/home/films", True),
        ("/films", False),
        ("film", False),
    ],
)
def test_a_folder_named_without_stars_means_what_lies_below_it(pattern: str, covers: bool) -> None:
    assert matches_path(pattern, PurePosixPath("/home/films/old/a.mp4")) is covers
