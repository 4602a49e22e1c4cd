"""Calls that meet are answered together, each with its own answer."""

from __future__ import annotations

import contextlib
import gc
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from indexer.core.coalescing import Coalescer


class Panic(BaseException):
    """What code in Rust raises is no Exception."""


class Squares:
    """Squares numbers, and notes how it was asked; a call waits for ``go``, so that others can gather meanwhile.

    Args:
        fails: Raises, for some numbers, what they cannot be squared for.
    """

    def __init__(self, fails: Callable[[Sequence[int]], None] = lambda numbers: None) -> None:
        self.calls: list[list[int]] = []
        self.go = threading.Event()
        self.under_way = 0
        self.most_under_way = 0
        self._fails = fails

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        self.calls.append(list(numbers))
        assert self.go.wait(timeout=60)
        self.under_way -= 1
        self._fails(numbers)
        return [number * number for number in numbers]


def until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.001)


def meet(squares: Squares, first: int, others: Sequence[int], most: int = 10) -> tuple[Future[int], list[Future[int]]]:
    """The ended calls of one thread and of those that came while it was asking."""
    together = Coalescer(squares, most)
    with ThreadPoolExecutor(1 + len(others)) as people:
        asked = people.submit(together, first)
        until(lambda: squares.calls == [[first]])
        waiting = [people.submit(together, number) for number in others]
        until(lambda: together.waiting == len(others))
        squares.go.set()
    return asked, waiting


def test_whoever_comes_alone_is_asked_alone() -> None:
    squares = Squares()
    squares.go.set()
    together = Coalescer(squares, most=10)
    assert [together(3), together(4)] == [9, 16]
    assert squares.calls == [[3], [4]]


def test_those_who_come_meanwhile_are_answered_by_one_call() -> None:
    squares = Squares()
    first, others = meet(squares, 0, range(1, 6))
    assert first.result() == 0
    assert [other.result() for other in others] == [1, 4, 9, 16, 25]
    assert [sorted(call) for call in squares.calls] == [[0], [1, 2, 3, 4, 5]]


def test_no_call_takes_more_than_it_may_and_all_are_answered() -> None:
    squares = Squares()
    first, others = meet(squares, 100, range(8), most=3)
    assert first.result() == 10_000
    assert [other.result() for other in others] == [number * number for number in range(8)]
    assert [len(call) for call in squares.calls] == [1, 3, 3, 2]


def test_many_threads_get_their_own_answers_from_one_call_at_a_time() -> None:
    squares = Squares()
    squares.go.set()
    together = Coalescer(squares, most=7)
    numbers = list(range(500))
    with ThreadPoolExecutor(20) as people:
        assert list(people.map(together, numbers)) == [number * number for number in numbers]
    assert squares.most_under_way == 1
    assert sorted(number for call in squares.calls for number in call) == numbers


@pytest.mark.parametrize("error", [ValueError, Panic])
def test_an_error_goes_to_whoever_asked_and_to_nobody_else(error: type[BaseException]) -> None:
    def fails(numbers: Sequence[int]) -> None:
        if 13 in numbers:
            raise error

    first, [good, bad] = meet(Squares(fails), 1, [2, 13])
    assert (first.result(), good.result()) == (1, 4)
    assert isinstance(bad.exception(), error)


def test_an_error_lets_go_of_what_was_in_use() -> None:
    class Opening:
        """Something that is closed when nobody holds it."""

    openings: list[weakref.ref[Opening]] = []

    def fail(numbers: Sequence[int]) -> list[int]:
        opening = Opening()
        openings.append(weakref.ref(opening))
        raise ValueError(numbers)

    gc.disable()
    try:
        with contextlib.suppress(ValueError):
            Coalescer(fail, most=1)(1)
        assert openings[0]() is None
    finally:
        gc.enable()


def test_an_interruption_of_one_leaves_the_others_their_answers() -> None:
    def fails(numbers: Sequence[int]) -> None:
        if 13 in numbers:
            raise KeyboardInterrupt

    interrupted, others = meet(Squares(fails), 13, [1, 2])
    assert isinstance(interrupted.exception(), KeyboardInterrupt)
    assert [other.result() for other in others] == [1, 4]


def test_what_an_interrupted_call_had_taken_of_others_is_asked_again() -> None:
    interrupted_once = threading.Event()

    def fails(numbers: Sequence[int]) -> None:
        if len(numbers) > 1 and not interrupted_once.is_set():
            interrupted_once.set()
            raise KeyboardInterrupt

    first, others = meet(Squares(fails), 1, [2, 3, 4])
    assert first.result() == 1
    ended = [other.exception() for other in others]
    assert [type(error) for error in ended if error is not None] == [KeyboardInterrupt]
    left = [
        (other.result(), number**2) for other, number, error in zip(others, (2, 3, 4), ended, strict=True) if not error
    ]
    assert len(left) == 2
    assert all(answer == square for answer, square in left)
