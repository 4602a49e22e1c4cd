"""What a moment must have in it and what it must not, through the whole engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.core.errors import ModelError, QueryError
from indexer.core.types import Cue, Record, Sighting
from indexer.store.memory import MemoryStore
from search.engine import SearchEngine
from search.query.filters import parse_condition
from search.query.query import ObjectCondition, Query
from tests.unit.search.library import (
    OPTIONS,
    BagOfWords,
    Models,
    engine_of,
    found,
    picture_of,
    put,
    record,
    shots,
    video,
)


def seen(video_id: str, start_s: float, text: str, *labels: str) -> Record:
    """A shot of 10 s with these objects in one keyframe, and one more of the first in another keyframe."""
    boxes = [Sighting(start_s + 1, label, 0, 0.9, (0.0, 0.0, 1.0, 1.0)) for label in labels]
    later = Sighting(start_s + 5, labels[0], 0, 0.9, (0.0, 0.0, 1.0, 1.0))
    return replace(record(video_id, "objects", start_s, start_s + 10, text), sightings=(*boxes, later))


@pytest.fixture
def store() -> MemoryStore:
    """A street with speech, writing and objects, and a park."""
    store = MemoryStore()
    street = shots("street", ["man and hat", "a man", "a man in town"])
    texts = [
        record("street", "speech", 12, 14, "he lost his hat there"),
        record("street", "ocr", 21, 23, "NEXTSTOP Main Street"),
        seen("street", 0, "2 buses, 1 person", "bus", "bus", "person"),
        seen("street", 10, "1 bus", "bus"),
        seen("street", 20, "3 knives", "knife", "knife", "knife"),
    ]
    put(store, video("street", path="/films/town/street.mp4"), [*street, *texts])
    put(store, video("park", label="Green Park", path="/films/green/park.mp4"), shots("park", ["a man", "a tree"]))
    return store


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("man", {("street", 0), ("street", 10), ("street", 20), ("park", 0)}),
        ("man -hat", {("street", 20), ("park", 0)}),
        ("man -HAT,", {("street", 20), ("park", 0)}),
        ("man -park", {("street", 0), ("street", 10), ("street", 20)}),
        ('man -"green park"', {("street", 0), ("street", 10), ("street", 20)}),
        ('man -"main street"', {("street", 0), ("street", 10), ("park", 0)}),
        ("man -at", {("street", 0), ("street", 10), ("street", 20), ("park", 0)}),
        ("man -hat -street", {("park", 0)}),
        ("man objects:bus", {("street", 0), ("street", 10)}),
        ("man objects:bus>=2", {("street", 0)}),
        ("man objects:buses>1", {("street", 0)}),
        ("man objects:bus=1", {("street", 0), ("street", 10)}),
        ("man objects:knife>=3", {("street", 20)}),
        ("man objects:knife>3", set()),
        ("man objects:bus objects:person", {("street", 0)}),
        ("man -objects:bus", {("street", 20), ("park", 0)}),
        ("man -objects:bus>=2", {("street", 10), ("street", 20), ("park", 0)}),
        ('man "lost his hat"', {("street", 10)}),
        ('man "stop main"', {("street", 20)}),
        ('man "his" "hat"', {("street", 10)}),
        ('man "no such words"', set()),
        ('man "hat" -hat', set()),
    ],
)
def test_conditions_decide_which_pictures_may_be_found(
    store: MemoryStore, query: str, expected: set[tuple[str, float]]
) -> None:
    ranking = engine_of(store).search(f"{query} only:frames")
    assert set(found(ranking)) == expected
    assert ranking.total == len(expected)


def test_a_phrase_alone_is_a_query(store: MemoryStore) -> None:
    best, *others = engine_of(store).search('"lost his hat"').moments
    assert (best.video.id, best.start_s, best.hits[0].matched) == ("street", 12, ("lost his hat",))
    assert others == []
    assert found(engine_of(store).search(Query(phrases=("lost his hat",)))) == [("street", 12)]


def test_a_phrase_is_looked_for_only_in_the_texts_that_count(store: MemoryStore) -> None:
    store.upsert([record("street", "speech", 20, 24, "the next stop is far")])
    engine = engine_of(store)
    assert found(engine.search('stop "main street" only:speech')) == []
    assert found(engine.search('stop "main street" only:ocr')) == [("street", 21)]
    assert found(engine.search('stop "main street" weight:ocr=0')) == []


def test_a_negation_of_what_is_sought_finds_nothing_of_it(store: MemoryStore) -> None:
    assert engine_of(store).search("hat -hat").total == 0


def test_a_phrase_is_there_only_while_it_is_said() -> None:
    store = MemoryStore()
    words = tuple(Cue(n, n + 0.5, word) for n, word in enumerate(["so", "now", "you", "see", "the", "red", "fox"]))
    said = replace(record("v", "speech", 0, 20, "so now you see the red fox"), words=words)
    put(store, video("v"), [*shots("v", ["grass", "grass"], 5), said])
    assert found(engine_of(store).search('grass "red fox" only:frames')) == [("v", 5)]
    assert found(engine_of(store).search("grass -fox only:frames")) == []


def test_what_is_said_about_a_whole_video_is_not_wrong_for_one_frame_of_it(store: MemoryStore) -> None:
    about = record("street", "description", 0, 30, "a walk through town")
    put(store, video("street"), [*store.records("frames", video_id="street", vectors=True), about])
    assert found(engine_of(store).search("a walk -hat only:description")) == [("street", 0)]
    assert found(engine_of(store).search("a walk -town only:description")) == []


def test_a_picture_may_be_sought_with_conditions(store: MemoryStore) -> None:
    engine = engine_of(store)
    query = engine.parse("-hat").query(image=picture_of("a man"))
    assert found(engine.search(query))[:2] == [("park", 0), ("street", 20)]
    alike = engine.parse("-hat").query(like=("park", 2.0))
    assert [found(engine.search(alike))[0]] == [("street", 20)]
    said = engine.parse('"lost his hat"').query(image=picture_of("a man"))
    assert found(engine.search(said)) == [("street", 10)]


def test_only_the_frames_of_videos_that_could_be_found_are_read(store: MemoryStore) -> None:
    read: list[str | None] = []

    class Noting(MemoryStore):
        def records(self, space: str, *, video_id: str | None = None, vectors: bool = False):  # type: ignore[no-untyped-def,override]
            read.append(video_id)
            return super().records(space, video_id=video_id, vectors=vectors)  # type: ignore[arg-type]

    noting = Noting()
    for n in range(5):
        put(noting, video(f"v{n}"), shots(f"v{n}", ["a man", "a dog"] if n < 2 else ["a tree"]))
    engine_of(noting).search("dog -cat")
    assert read == ["v0", "v1"]


def test_conditions_that_the_index_cannot_meet_are_explained() -> None:
    store = MemoryStore()
    put(store, video("v"), shots("v", ["a man"]))
    with pytest.raises(QueryError, match=r"does not know where to see 'bus'.*--add objects"):
        engine_of(store).search("man objects:bus")
    with pytest.raises(QueryError, match=r"no text to look for.*--add speech"):
        engine_of(store).search('man "buck bunny"')


def test_a_negation_needs_the_model_of_the_pictures(store: MemoryStore) -> None:
    engine = SearchEngine(store, lambda: Models(None, BagOfWords()), options=OPTIONS)
    with pytest.raises(ModelError, match=r"no frames model"):
        engine.search("hello -hat only:speech")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("label:*", []),
        ("path:town", [("street", 0)]),
        ("duration>1", [("park", 0), ("street", 0)]),
        ('label:"green park"', [("park", 0)]),
        ("-hat", [("park", 0), ("street", 20)]),
        ("objects:bus", [("street", 0), ("street", 10)]),
        ("objects:bus -hat", []),
        ("-objects:bus", [("park", 0), ("street", 20)]),
    ],
)
def test_conditions_alone_are_answered_in_the_order_of_paths(
    store: MemoryStore, query: str, expected: list[tuple[str, float]]
) -> None:
    ranking = engine_of(store).search(query)
    assert found(ranking) == expected
    assert (ranking.total, ranking.searched) == (len(expected), ())
    assert all(moment.score == 0 for moment in ranking.moments)


def test_browsing_goes_page_by_page(store: MemoryStore) -> None:
    for n in range(7):
        put(store, video(f"v{n}", path=f"/more/{6 - n}.mp4"), shots(f"v{n}", ["x", "y"]) if n else [])
    engine = engine_of(store)
    query = engine.parse("duration>1 path:more").query(top_k=3)
    pages = [engine.search(replace(query, offset=offset)) for offset in (0, 3, 6)]
    names = [moment.video.id for page in pages for moment in page.moments]
    assert names == ["v6", "v5", "v4", "v3", "v2", "v1"]
    assert [page.has_more for page in pages] == [True, False, False]
    once = engine.search(replace(engine.parse("objects:bus").query(), group_by_video=True))
    assert found(once) == [("street", 0)]


def test_only_one_kind_of_evidence_and_one_that_is_missing(store: MemoryStore) -> None:
    engine = engine_of(store)
    ranking = engine.search("man only:frames,sounds,captions")
    assert (ranking.searched, ranking.missing) == (("frames",), ("captions", "sounds"))
    with pytest.raises(QueryError, match=r"no subtitles, captions or sounds to search.*Put subtitles beside"):
        engine.search("man only:sounds,captions,subtitle")
    with pytest.raises(QueryError, match=r"no sounds to search.*--add sounds"):
        engine.search("man only:sounds")


SIGHTINGS = st.lists(
    st.builds(
        lambda at, label: Sighting(at, label, 0, 0.9, (0, 0, 1, 1)),
        st.sampled_from([1.0, 2.0]),
        st.sampled_from(["bus", "Bus", "car"]),
    )
)


@given(SIGHTINGS, st.integers(1, 4), st.one_of(st.none(), st.integers(4, 6)))
def test_objects_are_counted_in_one_picture(sightings: Sequence[Sighting], least: int, most: int | None) -> None:
    counts = [sum(one.label != "car" and one.time_s == at for one in sightings) for at in (1.0, 2.0)]
    expected = any(least <= count <= (most or 99) for count in counts)
    assert ObjectCondition("BUSES", least, most).holds(sightings) is expected


@pytest.mark.parametrize("arguments", [("", 1), ("…", 1), ("bus", 0), ("bus", 3, 2)])
def test_an_object_condition_that_nothing_meets_is_refused(arguments: tuple[object, ...]) -> None:
    with pytest.raises(QueryError):
        ObjectCondition(*arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("condition", ["duration<abc", "cuts>x", "size=big", "cuts_per_minute < inf", "Width >= nan"])
def test_a_number_compared_with_none_is_refused(condition: str) -> None:
    with pytest.raises(QueryError, match="no number") as error:
        parse_condition(condition)
    assert error.value.hint.startswith("Write it like ")


def test_a_yes_or_no_compared_with_something_else_is_refused() -> None:
    for condition in ("has_audio=perhaps", "has_audio>0"):
        with pytest.raises(QueryError, match="yes or no"):
            parse_condition(condition)
    assert parse_condition("has_audio!=No").value == "No"


def kinds_of(query: str, *, grouped: bool = False) -> list[tuple[str, str, float]]:
    store = MemoryStore()
    for key, label in (("a", "x"), ("b", "x"), ("c", "y")):
        texts = [record(key, "speech", start_s, start_s + 2, "well then") for start_s in (21, 3)]
        signs = [record(key, "ocr", 12, 14, "EXIT")]
        put(store, video(key, label=label), [*shots(key, ["a", "b", "c"]), *texts, *signs])
    asked = replace(engine_of(store).parse(query).query(), group_by_video=grouped)
    ranking = engine_of(store).search(asked)
    assert ranking.searched == ()
    return [(one.video.id, one.hits[0].modality, one.start_s) for one in ranking.moments]


def test_kinds_of_evidence_beside_conditions_are_listed() -> None:
    said = [(key, "speech", start_s) for key in "ab" for start_s in (3, 21)]
    assert kinds_of("only:speech label:x") == said
    assert kinds_of("only:speech, ocr label:y") == [("c", "speech", 3), ("c", "ocr", 12), ("c", "speech", 21)]
    assert kinds_of("only:speech label:x", grouped=True) == [("a", "speech", 3), ("b", "speech", 3)]
    assert kinds_of("only:speech -exit label:x") == said
    assert kinds_of("only:speech,ocr -exit label:x") == said
    assert kinds_of("label:y") == kinds_of("only:frames label:y") == [("c", "frames", 0)]
    assert kinds_of("-only:frames,speech label:y") == [("c", "ocr", 12)]


def test_kinds_of_evidence_that_are_not_there_to_list_are_named() -> None:
    with pytest.raises(QueryError, match="no captions or sounds to list") as error:
        kinds_of("only:captions,sounds label:x")
    assert "--add captions" in error.value.hint
