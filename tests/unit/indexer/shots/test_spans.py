from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.shots.spans import Clock, Span, divide, divide_between, parts_needed


@dataclass(frozen=True)
class Moment:
    time_s: float


def at(*times_s: float) -> list[Moment]:
    return [Moment(time_s) for time_s in times_s]


@given(
    st.floats(0, 1e6),
    st.floats(1e-3, 1e7),
    st.integers(1, 10**9),
    st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=30, unique=True),
)
def test_spans_tile_and_hold_all_members(start_s: float, length_s: float, parts: int, places: list[float]) -> None:
    end_s = start_s + length_s
    times_s = sorted({min(start_s + place * length_s, end_s - length_s * 1e-6) for place in places})
    members = [Moment(time_s) for time_s in times_s if start_s <= time_s < end_s]
    spans = divide(start_s, end_s, parts, members)
    assert [member for span in spans for member in span.members] == members
    assert (spans[0].start_s, spans[-1].end_s) == (start_s, end_s)
    assert all(one.end_s == other.start_s for one, other in itertools.pairwise(spans))
    assert all(span.start_s <= member.time_s < span.end_s for span in spans for member in span.members)
    assert len(spans) <= parts


def test_an_empty_part_joins_the_one_before_it() -> None:
    spans = divide(0.0, 8.0, 4, at(1.0, 1.5, 7.0))
    assert spans == [Span(0.0, 6.0, tuple(at(1.0, 1.5))), Span(6.0, 8.0, tuple(at(7.0)))]


def test_a_member_on_a_bound_belongs_to_what_starts_there() -> None:
    first, second = divide(11.4, 13.0, 2, at(11.92, 12.2, 12.48))  # (12.2 - 11.4) * 2 // 1.6 is 0 in floating point
    assert (first.end_s, second.members) == (pytest.approx(12.2), tuple(at(12.2, 12.48)))


def test_empty_parts_at_the_start_join_the_first_that_is_not() -> None:
    assert divide(0.0, 8.0, 4, at(5.0)) == [Span(0.0, 8.0, tuple(at(5.0)))]


def test_without_members_there_is_no_span() -> None:
    assert divide(0.0, 8.0, 4, at()) == []
    assert divide_between(0.0, 8.0, at()) == []


def test_bounds_lie_halfway_between_neighbours() -> None:
    spans = divide_between(0.0, 10.0, at(1.0, 3.0, 9.0))
    assert [(span.start_s, span.end_s) for span in spans] == [(0.0, 2.0), (2.0, 6.0), (6.0, 10.0)]


@pytest.mark.parametrize(("length_s", "parts"), [(0.0, 1), (4.9, 1), (5.0, 1), (5.1, 2), (10.0, 2), (10.000001, 3)])
def test_parts_are_as_few_as_keep_within_the_limit(length_s: float, parts: int) -> None:
    assert parts_needed(length_s, 5.0) == parts


@pytest.mark.parametrize(
    ("times_s", "duration_s", "frames_end_s", "end_s"),
    [([], 9.0, 0.0, 0.0), ([0.0], 0.0, 0.04, 0.04), ([0.0, 0.5], 0.0, 1.0, 1.0), ([0.0, 0.5], 9.0, 1.0, 9.0)],
)
def test_the_clock_knows_where_the_video_ends(
    times_s: list[float], duration_s: float, frames_end_s: float, end_s: float
) -> None:
    clock = Clock(duration_s)
    for time_s in times_s:
        clock.tick(time_s)
    assert (clock.frames_end_s, clock.end_s) == (frames_end_s, end_s)
