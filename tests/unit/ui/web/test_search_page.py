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

from indexer.core.errors import IndexMissingError, ModelError
from indexer.store.base import Commit, Manifest
from indexer.store.memory import MemoryStore
from search.engine import SearchEngine
from tests.unit.search.library import engine_of, put, record, shots, video
from tests.unit.search.test_unsearched import engine_without_its_sound_model
from ui.services.context import Context
from ui.services.index_jobs import IndexProgress
from ui.services.library import Library
from ui.web.answers_router import answers_router
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


def test_nothing_found_names_what_the_library_has_nothing_of(library):
    html = SearchPage(library).answer(SearchForm(text="red bus", labels=("farm",)))
    assert "no speech, text in the picture, descriptions, captions, objects or sounds" in html
    assert "subtitles" not in html
    assert "no speech" not in SearchPage(library).answer(SearchForm(text="label:farm"))


@pytest.mark.parametrize("shows_paths", [True, False])
def test_a_sound_model_that_has_gone_is_named_each_time(tmp_path, shows_paths):
    context = Context.load(None, tmp_path / "index", {"search.min_confidence": 0.0})
    library = Library(context, lambda: engine_without_its_sound_model(tmp_path))
    page = SearchPage(library, shows_paths=shows_paths)
    for text in ("saxophone", "saxophone label:nowhere"):
        html = page.answer(SearchForm(text=text))
        assert "Not searched: sounds." in html
        assert ("gone.tflite" in html) == shows_paths


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
    assert "Your library is empty so far" in SearchPage(library_of(MemoryStore(), tmp_path)).answer(SearchForm())
    assert "No video can be searched yet" in SearchPage(library_of(with_failure(), tmp_path)).answer(SearchForm())
    assert "is no date" in SearchPage(library).answer(SearchForm(text="red", since="soon"))


def with_failure() -> MemoryStore:
    """An index in which the only file could not be read."""
    store, broken = MemoryStore(), video("broken")
    store.write_commit(Commit(broken, "failed", (), failure="It is empty."))
    return store


@pytest.mark.parametrize("tried", [False, True])
def test_a_library_that_is_being_built_says_how_far_it_is(tmp_path, library, tried):
    store = with_failure() if tried else MemoryStore()
    growth = [
        IndexProgress(
            "running", 1, "Adding <films>", done=1, total=4, bytes_done=3, bytes_total=10, media_s=9.0, step_s=80.0
        )
    ]
    page = SearchPage(library_of(store, tmp_path), growing=lambda: growth[0] if growth else None)
    for form in (SearchForm(), SearchForm(text="red bus")):
        html = page.answer(form)
        assert "Your library is being built" in html
        assert "Adding &lt;films&gt;" in html
        assert 'aria-valuenow="30"' in html
        assert "1 of 4 videos" in html
        assert "about 3 min left" in html
        assert f'data-address="{form.to_address()}" data-library="building"' in html
    assert page.news()["library"] == "building"
    assert page.news()["figures"] in html
    put(store, video("a"), shots("a", ["red bus"]))
    assert cards(SearchPage(library_of(store, tmp_path)).answer(SearchForm(text="red bus"))) == [("a", 0.0)]
    ready = SearchPage(library_of(store, tmp_path), growing=page._growing).news()
    assert (ready["library"], ready["line"]) == ("ready", growth[0].line)
    growth.clear()
    assert page.news()["line"] == ""
    assert "being built" not in page.answer(SearchForm())


def test_news_of_a_library_that_is_not_there_or_cannot_be_read(tmp_path, library):
    def missing() -> SearchEngine:
        raise IndexMissingError("There is no index.")

    def broken() -> SearchEngine:
        raise ModelError("It cannot be read.")

    assert SearchPage(Library(library.context, missing)).news() == {"library": "empty", "line": "", "figures": ""}
    assert SearchPage(Library(library.context, broken)).news()["library"] == ""
    assert "being built" in SearchPage(
        Library(library.context, missing), growing=lambda: IndexProgress("running", 1, "Adding")
    ).answer(SearchForm())


@pytest.fixture
def home(tmp_path) -> Library:
    """Two indexed folders in a home that strangers are not to know."""
    store = MemoryStore()
    roots = (Path("/home/ann/films"), Path("/mnt/secret/tapes"))
    store.write_manifest(Manifest("embedded", {}, "2026-01-01T00:00:00Z", roots=roots))
    put(store, video("a", path="/home/ann/films/city/a.mp4"), shots("a", ["red bus"]))
    put(store, video("b", path="/mnt/secret/tapes/b.mp4"), shots("b", ["red boat"]))
    return library_of(store, tmp_path)


def found(page: SearchPage, **asked: object) -> set[str]:
    return {key for key, _ in cards(page.answer(replace(SearchForm(text="red"), **asked)))}


@pytest.mark.parametrize(
    ("guess", "local", "public"),
    [
        ({"folder": "films"}, {"a"}, {"a"}),
        ({"folder": "films/city"}, {"a"}, {"a"}),
        ({"folder": "tapes/*"}, {"b"}, {"b"}),
        ({"folder": "b.mp4"}, {"b"}, {"b"}),
        ({"folder": "/home"}, {"a"}, set()),
        ({"folder": "/home/ann/films/"}, {"a"}, set()),
        ({"folder": "ann"}, {"a"}, set()),
        ({"folder": "**/secret/**"}, {"b"}, set()),
        ({"text": "red path:/mnt/s*/**"}, {"b"}, set()),
        ({"text": "red -path:/home/"}, {"b"}, {"a", "b"}),
        ({"text": "red path>=/i"}, {"b"}, {"a", "b"}),
        ({"text": "red path<g"}, {"a", "b"}, {"a"}),
        ({"text": "red path!=/home/ann/films/city/a.mp4"}, {"b"}, {"a", "b"}),
    ],
)
def test_who_may_not_know_paths_cannot_guess_them(home, guess, local, public):
    assert found(SearchPage(home), **guess) == local
    stranger = SearchPage(home, shows_paths=False)
    assert found(stranger, **guess) == public
    form = replace(SearchForm(text="red"), **guess)
    assert {key for key in "ab" if stranger.timeline(form, key)} == public


def test_strangers_are_shown_folders_from_the_indexed_one_on(home):
    assert "ann/films" not in SearchPage(home, shows_paths=False).answer(SearchForm(text="red"))
    assert "films/city" in SearchPage(home, shows_paths=False).answer(SearchForm(text="red"))
    assert "secret/tapes" in SearchPage(home).answer(SearchForm(text="red"))


@pytest.mark.parametrize("named", ["/home/ann/films/city/a.mp4", "a.mp4", "city/a.mp4"])
def test_a_moment_is_known_by_its_videos_id_alone(home, named):
    answer = SearchPage(home, shows_paths=False).answer(SearchForm(like=(named, 1.0)))
    assert "not in this library" in answer
    assert cards(answer) == []


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
    news = client.get("/news")
    assert news.json() == {"library": "ready", "line": "", "figures": ""}
    assert news.headers["cache-control"] == "no-store"
    assert client.get("/export/csv?q=").status_code == 400
