"""What was read from a database lately is not read again, until it is to be forgotten."""

from __future__ import annotations

import numpy as np

from indexer.core.types import Record
from indexer.store.record_cache import RecordCache

VECTOR = np.ones(1, np.float32)


def record(key: str) -> Record:
    return Record(key, "v", "frames", "frames", 0.0, 1.0, 0.0, VECTOR)


class Database:
    """Gives records, in the wrong order, and notes which were read."""

    def __init__(self, gone: str = "") -> None:
        self.read: list[list[str]] = []
        self._gone = gone

    def __call__(self, ids: list[str]) -> list[Record]:
        self.read.append(ids)
        return [record(key) for key in reversed(ids) if key not in self._gone]


def test_only_records_that_are_not_known_are_read_and_all_come_in_order() -> None:
    kept, database = RecordCache(), Database()
    assert [one.id for one in kept.records("frames", ["b", "a"], database)] == ["b", "a"]
    assert [one.id for one in kept.records("frames", ["c", "a", "d", "b"], database)] == ["c", "a", "d", "b"]
    assert database.read == [["b", "a"], ["c", "d"]]


def test_equal_ids_of_two_spaces_are_two_records() -> None:
    kept, database = RecordCache(), Database()
    kept.records("frames", ["a"], database)
    kept.records("text", ["a"], database)
    assert database.read == [["a"], ["a"]]


def test_records_that_are_no_more_are_passed_over_and_asked_for_again() -> None:
    kept, database = RecordCache(), Database(gone="b")
    for _ in range(2):
        assert [one.id for one in kept.records("frames", ["a", "b"], database)] == ["a"]
    assert database.read == [["a", "b"], ["b"]]


def test_a_question_is_looked_up_once_also_where_nothing_is_found() -> None:
    kept = RecordCache()
    asked: list[str] = []

    def find(word: str) -> list[str]:
        asked.append(word)
        return ["a", "b"] if word == "sea" else []

    for _ in range(2):
        assert kept.lookup("sea", lambda: find("sea")) == ("a", "b")
        assert kept.lookup("hill", lambda: find("hill")) == ()
    assert asked == ["sea", "hill"]


def test_everything_is_read_anew_after_forgetting() -> None:
    kept, database = RecordCache(), Database()
    kept.records("frames", ["a"], database)
    kept.lookup("sea", lambda: ["a"])
    kept.forget()
    kept.records("frames", ["a"], database)
    assert kept.lookup("sea", lambda: ["b"]) == ("b",)
    assert database.read == [["a"], ["a"]]


def test_what_is_under_way_while_everything_is_forgotten_is_not_kept() -> None:
    kept = RecordCache()

    def overtaken(ids: list[str]) -> list[Record]:
        kept.forget()
        return [record(key) for key in ids]

    assert len(kept.records("frames", ["a"], overtaken)) == 1
    database = Database()
    kept.records("frames", ["a"], database)
    assert database.read == [["a"]]


def test_what_was_not_used_for_the_longest_time_is_forgotten() -> None:
    kept, database = RecordCache(most_records=2), Database()
    for key in ("a", "b", "a", "c", "a", "b"):
        kept.records("frames", [key], database)
    assert database.read == [["a"], ["b"], ["c"], ["b"]]
