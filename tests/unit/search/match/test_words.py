"""Exact words, fused with meanings: through the whole engine."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.core.types import Cue
from indexer.store.memory import MemoryStore
from search.catalogue import Catalogue
from search.engine import SearchEngine
from search.match.candidates import QueryVector, Scope
from search.match.lexical import Wording
from search.match.word_search import WordSearch
from search.query.query import Query
from tests.unit.search.library import OPTIONS, bag_of_words, engine_of, found, put, record, shots, video

FILLER = "the and of a in to it is was for on with as at by"


@pytest.fixture
def store() -> MemoryStore:
    """A film with speech and writing, and others that show things."""
    store = MemoryStore()
    titles = [
        record("titles", "ocr", 4, 6, "WITHOUR PASSION"),
        record("titles", "ocr", 12, 14, "THE WORK OF OUR HANDS"),
    ]
    put(store, video("titles"), [*shots("titles", ["letters", "more letters", "a black screen"]), *titles])
    put(store, video("party"), shots("party", ["a passion of hands", "our dance", "with friends"]))
    return store


def test_a_phrase_is_found_where_the_reader_lost_a_space_and_before_a_mediocre_picture(store: MemoryStore) -> None:
    best = engine_of(store).search("with our passion").moments[0]
    [hit] = best.hits
    assert (best.video.id, best.start_s, best.end_s) == ("titles", 4, 6)
    assert (hit.modality, hit.lexical, hit.matched) == ("ocr", 1.0, ("WITHOUR PASSION",))
    assert best.score == pytest.approx(((1 / 6**0.5 - 0.25) / 0.45 + 1) / (60 + 1))


def test_what_is_found_by_words_alone_is_a_hit_with_its_true_cosine(store: MemoryStore) -> None:
    put(store, video("long"), [record("long", "speech", 10, 20, f"{FILLER} {FILLER.upper()} quartz {FILLER}")])
    [moment] = engine_of(store).search("quartz").moments
    [hit] = moment.hits
    assert hit.score < OPTIONS.calibrations["text-text"].floor
    assert (hit.lexical, hit.matched, hit.evidence) == (1.0, ("quartz",), pytest.approx(6 / 12 / (60 + 1)))
    assert moment.score == hit.evidence


def test_a_single_common_word_does_not_pass_a_good_picture() -> None:
    store = MemoryStore()
    put(store, video("beach"), shots("beach", ["a man"]))
    for n in range(30):
        put(store, video(f"talk{n}"), [record(f"talk{n}", "speech", 0, 5, f"{FILLER} the man said nothing word{n}")])
    ranking = engine_of(store).search("a man", top_k=50)
    assert ranking.moments[0].video.id == "beach"
    assert ranking.moments[1].score < 0.5 * ranking.moments[0].score


@given(st.data())
def test_a_phrase_among_what_holds_a_rare_word_of_it_is_the_phrase_looked_up(data: st.DataObject) -> None:
    words = st.sampled_from(["sea", "Sea-", "horse", "überaus", "o'clock", "the", "海", "1st", "sehr", "ars"])
    texts = st.lists(words, max_size=5).map(" ".join)
    store = MemoryStore()
    spoken = [record("v", "speech", 2 * n, 2 * n + 1, text) for n, text in enumerate(data.draw(st.lists(texts)))]
    put(store, video("v"), [*spoken, record("v", "ocr", 0, 1, "no word")])
    query = data.draw(texts.filter(str.strip))
    catalogue, vector = Catalogue.read(store), bag_of_words(query)
    sought = QueryVector("text", vector, catalogue.modalities("text"), OPTIONS.calibrations["text-text"])
    among, looked_up = (
        WordSearch(store, catalogue, Wording.of(query), few=few).find(sought, Scope(catalogue.ids), [])
        for few in (20, -1)
    )
    assert among == looked_up


def test_a_phrase_of_grammar_words_is_found_as_a_phrase(store: MemoryStore) -> None:
    hamlet = record("hamlet", "speech", 5, 15, f"quietly whether {FILLER} to be or not to be questions {FILLER} end")
    put(store, video("hamlet"), [hamlet])
    put(store, video("lawyer"), [record("lawyer", "speech", 5, 15, f"or not be to {FILLER}")])
    best = engine_of(store).search("to be or not to be").moments[0]
    assert (best.video.id, best.hits[0].matched) == ("hamlet", ("to be or not to be",))


SPOKEN = "well my fellow people now ask what you can do for your country and then go home"
WORDS = tuple(Cue(100 + n, 100 + n + 0.8, word) for n, word in enumerate(SPOKEN.split()))


def test_a_spoken_phrase_begins_where_its_first_word_is_said() -> None:
    store = MemoryStore()
    said = replace(record("jfk", "speech", 100, 117, SPOKEN.capitalize() + "."), words=WORDS)
    put(store, video("jfk", 200), [*shots("jfk", ["a man"] * 20), said])
    [best, *_] = engine_of(store).search("what you can do for your country").moments
    assert (best.start_s, best.end_s, best.time_s) == (106, 112.8, 106)
    [whole, *_] = engine_of(store).search("fellow home").moments
    assert (whole.start_s, whole.end_s) == (100, 117)


def test_tags_of_sounds_are_matched_by_word_and_by_meaning() -> None:
    store = MemoryStore()
    put(store, video("jazz"), [record("jazz", "sounds", 0, 10, "Saxophone, Music")])
    put(store, video("talk"), [record("talk", "sounds", 0, 10, "Speech")])
    ranking = engine_of(store).search("saxophone music")
    [moment] = ranking.moments
    assert ranking.searched == ("sounds",)
    assert (moment.video.id, moment.hits[0].modality, moment.hits[0].lexical) == ("jazz", "sounds", 1.0)


def many(count: int) -> MemoryStore:
    """Videos in which a word is said more or less clearly, and seen."""
    store = MemoryStore()
    for n in range(count):
        key = f"v{n:03d}"
        said = [record(key, "speech", 10 * s + 1, 10 * s + 6, f"quartz {FILLER[: (n * 5 + s) % 40]}") for s in range(3)]
        seen = shots(key, [f"quartz and w{n % 7} x{n % 3}", "an empty room", f"quartz {' '.join(FILLER[: n % 9])}"])
        put(store, video(key), [*seen, *said])
    return store


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("size", [1, 10, 33])
def test_pages_continue_each_other_exactly(grouped: bool, size: int) -> None:
    engine = engine_of(many(25), replace(OPTIONS, depth=8))
    query = Query("quartz rock", top_k=1000, group_by_video=grouped)
    whole = engine.search(query)
    pages = [
        moment
        for offset in range(0, whole.total, size)
        for moment in engine.search(replace(query, offset=offset, top_k=size)).moments
    ]
    assert pages == list(whole.moments)
    hits = [hit.record_id for moment in pages for hit in moment.hits]
    assert len(hits) == len(set(hits))
    assert any(hit.lexical for moment in pages for hit in moment.hits)


def test_words_are_looked_for_only_in_what_counts_and_in_the_videos_asked_for(store: MemoryStore) -> None:
    assert engine_of(store).search(Query("work of our hands", weights={"ocr": 0})).searched == ("frames",)
    put(store, video("copy", label="b"), [record("copy", "ocr", 0, 2, "the work of our hands")])
    ranking = engine_of(store).search("work of our hands label:b")
    assert found(ranking) == [("copy", 0)]


def test_an_image_query_is_not_matched_by_words(store: MemoryStore) -> None:
    ranking = engine_of(store).search(Query(like=("titles", 1.0)))
    assert all(hit.lexical == 0 for moment in ranking.moments for hit in moment.hits)


def test_the_same_words_in_many_records_are_worth_little_and_are_bounded() -> None:
    store = MemoryStore()
    for n in range(300):
        put(store, video(f"v{n:03d}"), [record(f"v{n:03d}", "speech", 0, 5, f"{FILLER} {FILLER.upper()} quartz")])
    ranking = engine_of(store).search("quartz", top_k=500)
    assert ranking.total == 200
    assert [moment.score for moment in ranking.moments] == pytest.approx([6 / 12 / (60 + (1 + 200) / 2)] * 200)


@pytest.mark.parametrize("query", ["ann", "Ann came", "anna"])
def test_a_rare_word_is_found_though_its_letters_are_in_many_others(query: str) -> None:
    store = MemoryStore()
    for n in range(300):
        put(store, video(f"v{n:03d}"), [record(f"v{n:03d}", "speech", 0, 5, f"he cannot or wanna plan it {FILLER}")])
    said = [record("zz", "speech", 0, 5, f"then {name} came {FILLER} {FILLER.upper()}") for name in ("Ann", "Anna")]
    put(store, video("zz"), [said[0]])
    put(store, video("zzz"), [replace(said[1], id="zzz/speech/0", video_id="zzz")])
    best = engine_of(store).search(query).moments[0]
    assert best.video.id == ("zzz" if query == "anna" else "zz")


def test_the_engine_takes_a_query_as_it_is_and_reads_a_text(store: MemoryStore) -> None:
    engine: SearchEngine = engine_of(store)
    literal = engine.search(Query('"our hands" -passion'))
    assert [moment.video.id for moment in literal.moments].count("titles") == 2
    assert [hit.text for moment in engine.search('"our hands" -passion').moments for hit in moment.hits] == [
        "THE WORK OF OUR HANDS"
    ]
