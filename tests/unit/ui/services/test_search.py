"""What a request, its text and the settings make of a query together."""

from __future__ import annotations

import pytest

from indexer.config import SearchSettings
from indexer.core.errors import QueryError
from search.engine import Ranking
from search.query.filters import FacetCondition
from search.query.query import Query
from search.query.syntax import parse_query
from ui.services.search import SearchRequest, absent, filters_of

SETTINGS = SearchSettings(weights={"frames": 0.0, "speech": 3.0}, min_confidence=0.5)


def test_the_request_counts_before_the_settings() -> None:
    weights = SearchRequest("a", weights={"speech": 2.0}).query(parse_query, SETTINGS).weights
    assert (weights["frames"], weights["speech"], weights["ocr"]) == (0.0, 2.0, 1.0)
    only = SearchRequest("a", only={"frames", "speech"}).query(parse_query, SETTINGS).weights
    assert {name: weight for name, weight in only.items() if weight} == {"frames": 1.0, "speech": 3.0}


def test_the_least_confidence_is_that_of_the_settings_unless_it_is_given() -> None:
    for least, expected in ((None, 0.5), (0.0, 0.0), (0.9, 0.9)):
        assert SearchRequest("a", min_confidence=least).query(parse_query, SETTINGS).min_confidence == expected


def test_modalities_are_named_by_the_text_and_by_the_request() -> None:
    request = SearchRequest("a weight:ocr=2 only:speech", weights={"sounds": 2.0}, only={"frames"})
    assert request.named_modalities(parse_query) == {"ocr", "speech", "sounds", "frames"}


def test_filters_are_read() -> None:
    filters = filters_of(["a"], ["b/*"], ["duration<60"])
    assert (filters.labels, filters.paths) == (("a",), ("b/*",))
    assert filters.facets == (FacetCondition("duration", "<", "60"),)
    with pytest.raises(QueryError, match="no condition"):
        filters_of([], [], ["duration"])


def test_what_could_not_be_searched_is_not_absent() -> None:
    ranking = Ranking(Query("a"), (), 0, ("frames",), ("ocr", "sounds"), unsearched={"sounds": "It is gone."})
    assert absent(ranking) == ["ocr"]
    conditions = Ranking(Query("a"), (), 0, (), ("ocr",))
    assert absent(conditions) == []
