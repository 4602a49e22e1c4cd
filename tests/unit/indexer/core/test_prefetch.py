"""The stages of a stream overlap, stop, and pass errors on."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.core.prefetch import prefetch


@given(st.lists(st.integers(), max_size=30), st.integers(1, 5))
def test_the_stream_is_the_same(pieces: list[int], depth: int) -> None:
    assert list(prefetch(pieces, depth)) == pieces


def test_the_producer_runs_ahead_but_not_further_than_allowed() -> None:
    made: list[int] = []
    full = threading.Event()

    def count() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            if number == 3:  # one was read, two wait, one is in hand
                full.set()
            yield number

    stream = prefetch(count(), 2)
    assert next(stream) == 0
    assert full.wait(5)
    assert len(made) <= 4
    stream.close()


def test_an_error_is_raised_where_the_stream_is_read() -> None:
    def fail() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    stream = prefetch(fail(), 4)
    assert next(stream) == 1
    with pytest.raises(OSError, match="gone"):
        next(stream)


def test_closing_early_closes_every_stage_and_ends_its_thread() -> None:
    closed: list[str] = []

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.append("first")

    def doubled(source: Iterator[int]) -> Iterator[int]:
        try:
            for number in source:
                yield 2 * number
        finally:
            closed.append("second")

    first = prefetch(endless(), 2)
    second = prefetch(doubled(first), 2)
    assert next(second) == 2
    second.close()
    first.close()
    assert sorted(closed) == ["first", "second"]
    assert not any(thread.name == "sceneseek-stage" and thread.is_alive() for thread in threading.enumerate())
