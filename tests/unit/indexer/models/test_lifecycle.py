from __future__ import annotations

from threading import Barrier, Thread

import pytest

from indexer.models.lifecycle import Lazy


def test_many_threads_make_it_once() -> None:
    made: list[object] = []
    barrier = Barrier(8)
    lazy = Lazy(lambda: made.append(object()) or made[-1])
    got: list[object] = []

    def ask() -> None:
        barrier.wait()
        got.append(lazy.get())

    threads = [Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert set(map(id, got)) == {id(made[0])}


def test_dropped_it_is_made_again() -> None:
    lazy = Lazy(object)
    first = lazy.get()
    assert lazy.loaded
    lazy.drop()
    assert not lazy.loaded
    assert lazy.get() is not first


def test_a_failure_goes_to_the_caller_and_is_not_kept() -> None:
    answers = iter([OSError("once")])

    def make() -> str:
        for error in answers:
            raise error
        return "made"

    lazy = Lazy(make)
    with pytest.raises(OSError, match="once"):
        lazy.get()
    assert lazy.get() == "made"
