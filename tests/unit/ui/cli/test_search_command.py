"""What ``sceneseek search`` says about pages that hold nothing, and while it learns."""

from __future__ import annotations

from dataclasses import replace
from threading import Timer
from typing import ClassVar

import pytest

from indexer.store.memory import MemoryStore
from search.query.query import Query
from tests.unit.search.letters import engine_of, library
from ui.cli.console import answer_console
from ui.cli.search import notice_if_long, print_answer


def store_of_owls() -> MemoryStore:
    return library(["grey owl perched", "grey owl", "blue tram", "grey pots", "old sky"])


def told(capsys: pytest.CaptureFixture[str], text: str, page: int, least: float) -> str:
    query = Query(text=text, top_k=2, offset=2 * (page - 1), min_confidence=least)
    ranking = engine_of(store_of_owls())[0].search(query)
    print_answer(answer_console(), ranking)
    return capsys.readouterr().out


def test_a_page_behind_the_last_says_only_that(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "grey owl", 1, 0.9).startswith("  1  ")
    assert told(capsys, "grey owl", 9, 0.9) == "There are no more moments.\n"


def test_when_nothing_is_found_the_nearest_are_told_on_any_page(capsys: pytest.CaptureFixture[str]) -> None:
    for page in (1, 9):
        out = told(capsys, "grey owl", page, 1.0)
        assert out.startswith("Nothing found.\n")
        assert "The nearest 2 moments are unlikely to be it" in out


def test_nothing_found_names_what_the_index_has_nothing_of(capsys: pytest.CaptureFixture[str]) -> None:
    for text, is_told in (("grey owl", True), ("label:nowhere", False)):
        engine = engine_of(store_of_owls())[0]
        asked = replace(engine.parse(text).query(weights={"frames": 1, "ocr": 1, "sounds": 1}), min_confidence=1.0)
        print_answer(answer_console(), engine.search(asked))
        out = capsys.readouterr().out
        assert out.startswith("Nothing found.\n")
        assert ("This library has no text in the picture or sounds, so nothing" in out) == is_told


class OwnClock(Timer):
    """A timer whose time is up when the test says so."""

    running: ClassVar[list[OwnClock]] = []

    def start(self) -> None:
        self.running.append(self)

    def cancel(self) -> None:
        self.running.remove(self)


def test_learning_is_said_once_it_takes_long(capsys: pytest.CaptureFixture[str]) -> None:
    with notice_if_long(OwnClock):
        assert capsys.readouterr().err == ""
        (timer,) = OwnClock.running
        timer.function()
        assert capsys.readouterr().err == "Learning what unrelated queries find in this index ...\n"
    assert OwnClock.running == []
