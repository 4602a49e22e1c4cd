"""Calls that meet are answered together, each with its own answer."""

from __future__ import annotations

import contextlib
import gc
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from indexer.together import Together


class Squares:
    """Squares numbers, and notes how it was asked; the first call waits for ``go``, so that others can gather."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.go = threading.Event()
        self.under_way = 0
        self.most_under_way = 0

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        self.calls.append(list(numbers))
        assert self.go.wait(timeout=60)
        self.under_way -= 1
        if any(number < 0 for number in numbers):
            raise ValueError("a number is negative")
        return [number * number for number in numbers]


def until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.001)


def test_whoever_comes_alone_is_asked_alone() -> None:
    squares = Squares()
    squares.go.set()
    together = Together(squares, most=10)
    assert [together(3), together(4)] == [9, 16]
    assert squares.calls == [[3], [4]]


def test_those_who_come_meanwhile_are_answered_by_one_call() -> None:
    squares = Squares()
    together = Together(squares, most=10)
    with ThreadPoolExecutor(8) as people:
        first = people.submit(together, 0)
        until(lambda: squares.calls == [[0]])
        others = [people.submit(together, number) for number in range(1, 6)]
        until(lambda: together.waiting == 5)
        squares.go.set()
        assert first.result() == 0
        assert [other.result() for other in others] == [1, 4, 9, 16, 25]
    assert [sorted(call) for call in squares.calls] == [[0], [1, 2, 3, 4, 5]]


def test_no_call_takes_more_than_it_may_and_all_are_answered() -> None:
    squares = Squares()
    together = Together(squares, most=3)
    with ThreadPoolExecutor(12) as people:
        first = people.submit(together, 100)
        until(lambda: squares.calls == [[100]])
        others = [people.submit(together, number) for number in range(8)]
        until(lambda: together.waiting == 8)
        squares.go.set()
        assert first.result() == 10_000
        assert [other.result() for other in others] == [number * number for number in range(8)]
    assert [len(call) for call in squares.calls] == [1, 3, 3, 2]


def test_many_threads_get_their_own_answers_from_one_call_at_a_time() -> None:
    squares = Squares()
    squares.go.set()
    together = Together(squares, most=7)
    numbers = list(range(500))
    with ThreadPoolExecutor(20) as people:
        assert list(people.map(together, numbers)) == [number * number for number in numbers]
    assert squares.most_under_way == 1
    assert sorted(number for call in squares.calls for number in call) == numbers


def test_an_error_goes_to_whoever_asked_and_to_nobody_else() -> None:
    squares = Squares()
    together = Together(squares, most=10)
    with ThreadPoolExecutor(4) as people:
        first = people.submit(together, 1)
        until(lambda: squares.calls == [[1]])
        good, bad = people.submit(together, 2), people.submit(together, -2)
        until(lambda: together.waiting == 2)
        squares.go.set()
        assert (first.result(), good.result()) == (1, 4)
        with pytest.raises(ValueError, match="negative"):
            bad.result()
    assert together(5) == 25


def test_a_panic_of_one_question_reaches_nobody_else() -> None:
    class Panic(BaseException):
        """What code in Rust raises is no Exception."""

    began, go = threading.Event(), threading.Event()

    def doubled(numbers: Sequence[int]) -> list[int]:
        began.set()
        assert go.wait(timeout=60)
        if 13 in numbers:
            raise Panic
        return [2 * number for number in numbers]

    together = Together(doubled, most=10)
    with ThreadPoolExecutor(4) as people:
        first = people.submit(together, 1)
        assert began.wait(timeout=60)
        good, bad = people.submit(together, 2), people.submit(together, 13)
        until(lambda: together.waiting == 2)
        go.set()
        assert (first.result(), good.result()) == (2, 4)
        assert isinstance(bad.exception(), Panic)


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
            Together(fail, most=1)(1)
        assert openings[0]() is None
    finally:
        gc.enable()


def test_an_interruption_of_one_leaves_the_others_their_answers() -> None:
    gathered, stopped = threading.Event(), threading.Event()

    def doubled(numbers: Sequence[int]) -> list[int]:
        gathered.set()
        assert stopped.wait(timeout=60)
        if 666 in numbers:
            raise KeyboardInterrupt
        return [2 * number for number in numbers]

    together = Together(doubled, most=10)
    with ThreadPoolExecutor(4) as people:
        interrupted = people.submit(together, 666)
        assert gathered.wait(timeout=60)
        others = [people.submit(together, number) for number in (1, 2)]
        until(lambda: together.waiting == 2)
        stopped.set()
        with pytest.raises(KeyboardInterrupt):
            interrupted.result()
        assert [other.result() for other in others] == [2, 4]


def test_what_an_interrupted_call_had_taken_of_others_is_asked_again() -> None:
    began, go = threading.Event(), threading.Event()
    interrupted_once = []

    def doubled(numbers: Sequence[int]) -> list[int]:
        began.set()
        assert go.wait(timeout=60)
        if len(numbers) > 1 and not interrupted_once:
            interrupted_once.append(True)
            raise KeyboardInterrupt
        return [2 * number for number in numbers]

    together = Together(doubled, most=10)
    with ThreadPoolExecutor(4) as people:
        first = people.submit(together, 1)
        assert began.wait(timeout=60)
        others = [people.submit(together, number) for number in (2, 3, 4)]
        until(lambda: together.waiting == 3)
        go.set()
        assert first.result() == 2
        ended = [other.exception() for other in others]
        assert [type(error) for error in ended if error is not None] == [KeyboardInterrupt]
        assert sum(other.result() for other, error in zip(others, ended, strict=True) if error is None) in (10, 12, 14)
