"""Filtering by the day a file was last changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from indexer.core.errors import QueryError
from indexer.core.types import Video
from search.query.filters import FacetCondition, Filters, date_of, facets_of, parse_condition
from search.query.syntax import parse_query
from tests.unit.search.library import video


def changed(day: str) -> Video:
    """A video last changed at noon of that day, here."""
    return replace(video("v"), mtime_ns=int(datetime.fromisoformat(f"{day}T12:00").timestamp()) * 10**9)


def test_the_day_of_the_file() -> None:
    assert date_of(changed("2024-05-31")) == facets_of(changed("2024-05-31"))["date"] == "2024-05-31"


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("date>=2024-05", True),
        ("date>=2024-06", False),
        ("date>2024-05", False),
        ("date>2024-05-30", True),
        ("date<=2024-05", True),
        ("date<=2024", True),
        ("date<2024", False),
        ("date<2024-06", True),
        ("date=2024", True),
        ("date=2024-05", True),
        ("date=2024-05-31", True),
        ("date==2024-05-30", False),
        ("date!=2023", True),
        ("Date != 2024", False),
    ],
)
def test_a_month_or_a_year_is_meant_as_a_whole(condition: str, holds: bool) -> None:
    assert Filters(facets=(parse_condition(condition),)).accepts(changed("2024-05-31")) is holds


def test_what_people_type() -> None:
    assert parse_query("beach date>=2024-05").filters.facets == (FacetCondition("date", ">=", "2024-05"),)
    assert parse_query("-date:2024 beach").filters.facets == (FacetCondition("date", "!=", "2024"),)
    assert parse_query("a date: tonight").text == "a date: tonight"


@pytest.mark.parametrize(
    "value",
    [
        "yesterday",
        "24",
        "2024-5",
        "31.5.2024",
        "2024-05-31T12:00",
        "٢٠٢٤",
        "",
        "2024-13",
        "2024-00",
        "2023-02-29",
        "0000",
    ],
)
def test_what_is_no_date_is_refused(value: str) -> None:
    with pytest.raises(QueryError, match="no date"):
        FacetCondition("date", ">=", value)


def test_a_time_beyond_the_calendar_is_unknown() -> None:
    odd = replace(video("v"), mtime_ns=10**30)
    assert date_of(odd) == ""
    assert not Filters(facets=(parse_condition("date<2024"),)).accepts(odd)
    assert Filters(facets=(parse_condition("date!=2024"),)).accepts(odd)
