"""The search page without a browser: real searches over a small library, and what they look like."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from indexer.errors import IndexMissingError, ModelError
from indexer.store.memory import MemoryStore
from search.engine import SearchEngine
from tests.unit.search.library import engine_of, put, record, shots, video
from ui.context import Context
from ui.web.answers_router import answers_router
from ui.web.library import Library
from ui.web.search_form import PAGE_SIZE, SearchForm
from ui.web.search_page import SearchPage

EVIL = "<script>alert(1)</script> ${x} {{y}} \"'"


def library_of(store: MemoryStore, tmp_path: Path) -> Library:
    context = Context.load(None, tmp_path / "index", {"search.min_confidence": 0.0})
    return Library(context, lambda: engine_of(store))


@pytest.fixture
def library(tmp_path) -> Library:
    store = MemoryStore()
    put(store, video("a", label="city", path="/films/city/a.mp4"), shots("a", ["red bus", "dog park", "red car"]))
    put(
        store,
        replace(video("b", path="/films/sea/b.mp4"), title=EVIL),
        [
            *shots("b", ["blue sea", "white boat", "red boat"]),
            record("b", "subtitle", 1.0, 4.0, f"the long way home {EVIL}", number=1),
        ],
    )
    return library_of(store, tmp_path)


def cards(html: str) -> list[tuple[str, float]]:
    return [(key, float(start)) for key, start in re.findall(r'data-video="(\w+)" data-start="([\d.]+)"', html)]


def test_an_answer_has_a_card_for_every_moment_in_order(library):
    html = SearchPage(library).answer(SearchForm(text="red bus"))
    assert cards(html)[0] == ("a", 0.0)
    assert set(cards(html)) == {("a", 0.0), ("a", 20.0), ("b", 20.0)}
    assert 'data-address="q=red+bus"' in html
    assert "for “red bus”" in html
    assert "/media/a/picture.jpg?t=0.500" in html
    assert "/media/a/clip?start=0.000&amp;end=10.000" in html


def test_texts_of_files_are_escaped_and_words_marked(library):
    html = SearchPage(library).answer(SearchForm(text='"way home"'))
    assert "<script>" not in html
    assert EVIL in unescape(html)
    assert "<mark>way home</mark>" in html
    question = SearchPage(library).answer(SearchForm(text=f"red {EVIL}"))
    assert "<script>" not in question


def test_the_order_of_time_and_each_video_once(library):
    page = SearchPage(library)
    in_time = cards(page.answer(SearchForm(text="red", sort="time")))
    assert in_time == [("a", 0.0), ("a", 20.0), ("b", 20.0)]
    once = cards(page.answer(SearchForm(text="red", by_video=True)))
    assert sorted(key for key, _ in once) == ["a", "b"]


def test_pages_follow_each_other(tmp_path):
    store = MemoryStore()
    for number in range(PAGE_SIZE + 3):
        put(store, video(f"v{number:02}"), shots(f"v{number:02}", ["red"]))
    page = SearchPage(library_of(store, tmp_path))
    first, second = (page.answer(SearchForm(text="red", page=number)) for number in (1, 2))
    assert len(cards(first)) == PAGE_SIZE
    assert len(cards(second)) == 3
    assert not set(cards(first)) & set(cards(second))
    assert 'href="?q=red&amp;p=2"' in first
    assert f'start="{PAGE_SIZE + 1}"' in second
    in_time = [cards(page.answer(SearchForm(text="red", sort="time", page=number))) for number in (1, 2)]
    assert [key for part in in_time for key, _ in part] == [f"v{number:02}" for number in range(PAGE_SIZE + 3)]
    assert "no more moments" in page.answer(SearchForm(text="red", page=3))


def test_nothing_found_offers_to_search_without_filters(library):
    html = SearchPage(library).answer(SearchForm(text="red bus", labels=("farm",)))
    assert "Nothing found" in html
    assert 'href="?q=red+bus"' in html


def test_an_empty_form_welcomes_with_examples_that_are_answered(library):
    page = SearchPage(library)
    html = page.answer(SearchForm())
    assert "2 videos" in html
    examples = [unescape(text) for text in re.findall(r'<a href="\?([^"]+)" data-go><bdi>', html)]
    assert examples
    for address in examples:
        assert cards(page.answer(SearchForm.from_address(address)))


def test_what_is_wrong_is_said_in_words(tmp_path, library):
    def missing() -> SearchEngine:
        raise IndexMissingError("There is no index.")

    def broken() -> SearchEngine:
        raise ModelError("The model cannot be loaded.", hint="Install it again.")

    def faulty() -> SearchEngine:
        raise ZeroDivisionError("a bug")

    context = library.context
    assert "Your library is empty so far" in SearchPage(Library(context, missing)).answer(SearchForm(text="a"))
    told = SearchPage(Library(context, broken)).answer(SearchForm(text="a"))
    assert "The model cannot be loaded." in told
    assert "Install it again." in told
    assert 'role="alert"' in told
    assert "Something went wrong" in SearchPage(Library(context, faulty)).answer(SearchForm(text="a"))
    assert "No video can be searched yet" in SearchPage(library_of(MemoryStore(), tmp_path)).answer(SearchForm())
    assert "is no day" in SearchPage(library).answer(SearchForm(text="red", since="soon"))


def test_the_time_line_has_every_moment_of_one_video(library):
    marks = SearchPage(library).timeline(SearchForm(text="red", page=4), "a")
    assert [(mark.start_s, mark.end_s) for mark in marks] == [(0.0, 10.0), (20.0, 30.0)]
    assert max(mark.strength for mark in marks) == 1.0
    assert SearchPage(library).timeline(SearchForm(text="red"), "unknown") == []
    assert SearchPage(library).timeline(SearchForm(), "a") == []


@pytest.fixture
def client(library) -> TestClient:
    app = FastAPI()
    app.include_router(answers_router(SearchPage(library, shows_paths=False)))
    return TestClient(app)


def test_the_routes_answer_as_the_page_does(client):
    told = client.get("/moments/a?q=red").json()["moments"]
    assert [mark["start_s"] for mark in told] == [0.0, 20.0]
    assert client.get("/moments/a?q=red&since=soon").status_code == 400
    exported = json.loads(client.get("/export/json?q=red&sort=time").content)
    assert [(each["video_id"], each["start_s"]) for each in exported["moments"]] == [
        ("a", 0.0),
        ("a", 20.0),
        ("b", 20.0),
    ]
    answer = client.get("/export/csv?q=red")
    assert answer.headers["content-disposition"] == 'attachment; filename="moments.csv"'
    assert b"/films/" not in answer.content
    assert client.get("/export/exe?q=red").status_code == 404
    assert client.get("/export/csv?q=").status_code == 400
