"""Runs: the order that a person sees, kept in TREC's form, and gone on with after a stop."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.core.errors import QueryError
from indexer.store.memory import MemoryStore
from search.catalogue import index_signature
from search.engine import SearchEngine
from search.evaluate.runs import RetrievalOptions, Run, keep_answers, read_answers, read_run, run_queries, write_run
from search.query.query import Query
from tests.unit.search.library import engine_of, found, put, shots, video


def library() -> MemoryStore:
    store = MemoryStore()
    put(store, video("v1"), shots("v1", ["red bus", "blue car", "green tree"]))
    put(store, video("v2"), shots("v2", ["red car", "old red house"]))
    put(store, video("v3"), shots("v3", ["quiet sea"]))
    return store


TEXTS = {"1": "red car", "2": "quiet sea", "3": 'red "bus" -car label:x'}


class StoppedError(Exception):
    """What Ctrl-C is in these tests."""


class StoppingEngine:
    """Answers so many searches and stops."""

    def __init__(self, engine: SearchEngine, searches: int) -> None:
        self.left = searches
        self.catalogue = engine.catalogue
        self._engine = engine

    def search(self, query: Query) -> object:
        if self.left == 0:
            raise StoppedError
        self.left -= 1
        return self._engine.search(query)


def test_a_run_lists_what_a_search_finds_in_its_order() -> None:
    engine = engine_of(library())
    runs = run_queries(engine, TEXTS)
    for key, text in TEXTS.items():
        by_video = engine.search(Query(text=text, group_by_video=True, top_k=100))
        assert [document for document, _ in runs["videos"][key]] == [moment.video.id for moment in by_video.moments]
        by_moment = engine.search(Query(text=text, top_k=100))
        expected = [f"{name}@{start_s:.3f}-" for name, start_s in found(by_moment)]
        assert [document.rsplit("-", 1)[0] + "-" for document, _ in runs["moments"][key]] == expected
        assert len(expected) >= 1


def test_a_text_is_taken_literally() -> None:
    engine = engine_of(library())
    literal = run_queries(engine, {"3": TEXTS["3"]})["videos"]["3"]
    assert "v1" in [document for document, _ in literal]


def test_scores_are_reciprocal_places_and_what_only_ids_put_in_order_is_tied() -> None:
    store = MemoryStore()
    put(store, video("first"), shots("first", ["red bus"]))
    for name in ("b", "c"):
        put(store, video(name), shots(name, ["red old house by a lake"]))
    answers = run_queries(engine_of(store), {"q": "red bus"})["videos"]["q"]
    assert answers == (("first", 1.0), ("b", 1 / 2.5), ("c", 1 / 2.5))


def test_weights_and_depth_are_passed_on() -> None:
    texts = {str(number): "red" for number in range(2)}
    store = MemoryStore()
    for number in range(15):
        put(store, video(f"v{number:02}"), shots(f"v{number:02}", [f"red w{number} x{number}"]))
    run = run_queries(engine_of(store), texts, options=RetrievalOptions(depth=12, name="mine"))["videos"]
    assert (run.name, [len(run[query]) for query in texts]) == ("mine", [12, 12])
    with pytest.raises(QueryError):
        run_queries(engine_of(store), texts, options=RetrievalOptions(weights={"frames": 0.0}))


def test_too_little_depth_for_the_metrics_is_an_error() -> None:
    with pytest.raises(QueryError, match="first 10"):
        RetrievalOptions(depth=9)


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path) -> None:
    store = library()
    engine = engine_of(store)
    path = tmp_path / "out" / "searched.json"
    stopping = StoppingEngine(engine, 3)
    with pytest.raises(StoppedError):
        run_queries(stopping, TEXTS, checkpoint=path)  # type: ignore[arg-type]
    assert list(json.loads(path.read_text())["queries"]) == ["1"]
    rest = StoppingEngine(engine, 4)
    runs = run_queries(rest, TEXTS, checkpoint=path)  # type: ignore[arg-type]
    assert rest.left == 0
    assert runs == run_queries(engine, TEXTS)
    assert [entry.name for entry in path.parent.iterdir()] == ["searched.json"]


def test_answers_to_another_text_are_not_used(tmp_path: Path) -> None:
    engine, path = engine_of(library()), tmp_path / "searched.json"
    run_queries(engine, {"1": "red car"}, checkpoint=path)
    for text, searches in (("red car", 0), ("red cars", 2)):
        counting = StoppingEngine(engine, searches)
        run_queries(counting, {"1": text}, checkpoint=path)  # type: ignore[arg-type]
        assert counting.left == 0


def test_answers_of_another_index_are_not_used(tmp_path: Path) -> None:
    store, path = library(), tmp_path / "searched.json"
    signature = index_signature(engine_of(store).catalogue(), 1)
    keep_answers(path, signature, {"1": ("red car", {"videos": [("v1", 1.0)], "moments": []})})
    assert read_answers(path, signature)["1"][0] == "red car"
    put(store, video("v4"), shots("v4", ["red car"]))
    for other in (
        index_signature(engine_of(store).catalogue(), 1),
        index_signature(engine_of(library()).catalogue(), 2),
    ):
        assert read_answers(path, other) == {}
    path.write_text("cut off {")
    assert read_answers(path, signature) == {}


def test_progress_is_told_after_every_query() -> None:
    told: list[tuple[str, int, int]] = []
    run_queries(engine_of(library()), TEXTS, progress=lambda *step: told.append(step))
    assert told == [("searching", done, 3) for done in (0, 1, 2, 3)]


names = st.text(min_size=1, max_size=8)


@given(
    st.dictionaries(
        names,
        st.dictionaries(names, st.floats(-1e6, 1e6), min_size=1, max_size=5).map(dict.items).map(list),
        max_size=3,
    )
)
def test_runs_are_written_and_read_in_trec_form(tmp_path_factory: pytest.TempPathFactory, by_query: dict) -> None:
    run = Run(by_query, "my run")
    path = write_run(tmp_path_factory.mktemp("runs") / "run.trec", run)
    found = read_run(path)
    assert found.by_query == run.by_query
    assert not by_query or found.name == "my run"


def test_the_form_is_trecs_and_the_score_alone_orders(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run.trec", Run({"q 1": [("b.mp4", 0.5), ("a film.mp4", 0.75)]}, "mine"))
    assert path.read_text() == "q%201 Q0 a%20film.mp4 1 0.75 mine\nq%201 Q0 b.mp4 2 0.5 mine\n"
    path.write_text("1 Q0 a 1 0.1 t\n1 Q0 b 2 0.9 t\n")
    assert read_run(path)["1"] == (("b", 0.9), ("a", 0.1))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("1 Q0 a 1 0.1 t\n1 Q0 b 2 0.1\n", "line 2 is not a line of a run"),
        ("1 Q0 a 1 high t\n", "line 1 is not a line of a run"),
        ("1 Q0 a 1 nan t\n", "a score that is not a number"),
        ("1 Q0 a 1 0.2 t\n1 Q0 a 2 0.1 t\n", "lists a document twice"),
    ],
)
def test_a_file_that_is_no_run_is_named(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "run.trec"
    path.write_text(content)
    with pytest.raises(QueryError, match=told):
        read_run(path)
