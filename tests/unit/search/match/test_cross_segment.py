"""Phrases that are cut by the end of a segment or of a subtitle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.core.text import squeezed
from indexer.core.types import Cue, ModalityName, Record
from indexer.store.base import VectorStore
from indexer.store.chroma import ChromaStore
from indexer.store.memory import MemoryStore
from search.match.cross_segment import LONGEST_GAPS_S, SeamFinder
from search.match.lexical import match_phrase
from search.query.query import Query
from tests.unit.search.library import engine_of, found, put, record, shots, video

ASK = "ask not what your country can do for you ask what you can do"
SPEECH = (
    "and so my fellow americans ask not what your country can do for you",
    "ask what you can do for your country",
    "my fellow citizens of the world",
)


def spoken(video_id: str, texts: Sequence[str], start_s: float = 10.0, gap_s: float = 1.0) -> list[Record]:
    """Segments of speech, a word each second, with so much silence between them."""
    said = []
    for text in texts:
        words = tuple(Cue(start_s + place, start_s + place + 0.5, word) for place, word in enumerate(text.split()))
        said.append(replace(record(video_id, "speech", start_s, start_s + len(words), text), words=words))
        start_s += len(words) + gap_s
    return said


def lines(video_id: str, texts: Sequence[str], modality: ModalityName = "subtitle", gap_s: float = 0.0) -> list[Record]:
    """Texts of two seconds each, one after the other."""
    return [
        record(video_id, modality, (2 + gap_s) * place, (2 + gap_s) * place + 2, text)
        for place, text in enumerate(texts)
    ]


def library(said: Sequence[Record]) -> MemoryStore:
    store = MemoryStore()
    put(store, video("jfk", 100), [*shots("jfk", ["a man at a desk"] * 10), *said])
    put(store, video("other"), lines("other", ["a country you can do without", "what for"], "speech"))
    return store


def texts_found(store: VectorStore, phrase: str) -> list[tuple[str, ...]]:
    return [tuple(part.text for part in one.parts) for one in SeamFinder(store).find(phrase)]


def test_a_spoken_phrase_over_a_seam_is_one_moment_from_its_first_word_to_its_last() -> None:
    store = library(spoken("jfk", SPEECH))
    ranking = engine_of(store).search(f'"{ASK}"')
    [moment] = [one for one in ranking.moments if "speech" in one.modalities]
    first_word_s, last_word_s = 10 + SPEECH[0].split().index("ask"), 10 + len(SPEECH[0].split()) + 1 + 4
    assert (moment.video.id, moment.start_s, moment.end_s) == ("jfk", first_word_s, last_word_s + 0.5)
    assert (moment.time_s, moment.hits[0].lexical, moment.hits[0].matched) == (first_word_s, 1.0, (ASK,))
    assert moment.hits[0].text == f"{SPEECH[0]} {SPEECH[1]}"
    assert ranking.moments[0] == moment
    assert {one.video.id for one in ranking.moments} == {"jfk"}


def test_its_cosine_is_that_of_the_nearer_record_even_if_neither_was_looked_up() -> None:
    said = spoken("jfk", ["my dear friends now quartz", "and we all had", "sodalite for tea"])
    store = library(said)
    phrase = "quartz and we all had sodalite"
    [moment] = [one for one in engine_of(store).search(f'"{phrase}"').moments if "speech" in one.modalities]
    words = set(phrase.split())
    cosines = [len(words & set(one.text.split())) / (len(words) * len(one.text.split())) ** 0.5 for one in said]
    assert max(hit.score for hit in moment.hits) == pytest.approx(max(cosines))
    assert moment.hits[0].record_id == said[0].id
    assert moment.hits[0].score == pytest.approx(max(cosines))


@pytest.mark.parametrize(
    ("phrase", "cut"),
    [
        ("to be or not to be", ["to be or", "not to be, that is the question"]),
        ("to sleep perchance to dream", ["He said: to", "sleep - perchance", "to dream. Aye"]),
        ("to sleep perchance to dream", ["To", "sleep perchance", "to dream", "aye"]),
    ],
)
def test_a_phrase_may_run_over_several_subtitles(phrase: str, cut: list[str]) -> None:
    store = MemoryStore()
    put(store, video("hamlet"), lines("hamlet", cut))
    [moment] = engine_of(store).search(f'"{phrase}"').moments
    last = next(n for n in range(len(cut)) if match_phrase(" ".join(cut[: n + 1]), phrase))
    assert (moment.start_s, moment.end_s) == (0, 2 * last + 2)


@pytest.mark.parametrize(
    ("texts", "is_found"),
    [
        (["we met Anna", "Lindberg there"], True),
        (["we met Anna!", "“Lindberg” there"], True),
        (["we met Hanna", "Lindberg there"], False),
        (["we met Anna", "Lindbergs there"], False),
        (["Lindberg there", "we met Anna"], False),
        (["we met Anna then", "Lindberg there"], False),
        (["we met Anna", "well", "Lindberg there"], False),
    ],
)
def test_only_whole_words_side_by_side_hold_a_phrase(texts: list[str], is_found: bool) -> None:
    store = MemoryStore()
    put(store, video("v"), lines("v", texts, gap_s=1.0))
    assert bool(engine_of(store).search('"anna lindberg"').moments) == is_found


def test_neighbours_are_of_one_video_and_kind_and_near_in_time() -> None:
    texts = ["we met Anna", "Lindberg there"]
    store = MemoryStore()
    for name, longest_s in LONGEST_GAPS_S.items():
        put(store, video(f"near {name}"), lines(f"near {name}", texts, name, longest_s))
        put(store, video(f"far {name}"), lines(f"far {name}", texts, name, longest_s + 0.1))
    put(store, video("signs"), lines("signs", texts, "ocr"))
    subtitle, speech = lines("mixed", texts)[0], lines("mixed", texts, "speech")[1]
    put(store, video("mixed"), [subtitle, speech])
    put(store, video("one"), lines("one", texts[:1]))
    put(store, video("two"), lines("two", ["and", texts[1]]))
    put(store, video("pending"), lines("pending", texts), state="pending")
    assert sorted(found(engine_of(store).search('"anna lindberg"'))) == [("near speech", 0), ("near subtitle", 0)]


def test_letters_without_spaces_between_words_may_be_cut_anywhere() -> None:
    store = MemoryStore()
    put(store, video("cat"), lines("cat", ["あの黒い", "猫が好き"]))
    assert found(engine_of(store).search('"黒い猫"')) == [("cat", 0)]


def test_of_phrases_that_say_too_little_none_is_looked_for() -> None:
    store = MemoryStore()
    put(store, video("v"), lines("v", ["the end of", "the road"]))
    assert texts_found(store, "of the") == []
    assert texts_found(store, "end of the") == [("the end of", "the road")]
    assert texts_found(store, "road") == []


@pytest.mark.parametrize("excluded", ["speech", "label"])
def test_only_what_counts_and_the_videos_asked_for_are_looked_in(excluded: str) -> None:
    store = library(spoken("jfk", SPEECH))
    conditions = {"speech": "weight:speech=0", "label": "label:none"}[excluded]
    assert engine_of(store).search(f'"{ASK}" {conditions}').moments == ()


def test_other_words_beside_a_phrase_count_as_always() -> None:
    store = library(spoken("jfk", SPEECH))
    put(store, video("copy", 100), spoken("copy", [f"kennedy {SPEECH[0]}", SPEECH[1]]))
    ranking = engine_of(store).search(f'kennedy "{ASK}"')
    with_it, without_it = (one for one in ranking.moments if "speech" in one.modalities)
    assert (with_it.video.id, without_it.video.id) == ("copy", "jfk")
    assert 1 > with_it.hits[0].lexical > 0.9 > without_it.hits[0].lexical


def test_what_is_seen_meanwhile_is_found_and_what_is_seen_later_is_not() -> None:
    store = MemoryStore()
    texts = ["a man"] * 9 + ["a red hat"]
    put(store, video("jfk", 100), [*shots("jfk", texts), *spoken("jfk", SPEECH)])
    ranking = engine_of(store).search(f'a man "{ASK}"')
    assert {hit.start_s for one in ranking.moments for hit in one.hits if hit.modality == "frames"} == {10, 20}


def test_a_negated_phrase_over_a_seam_leaves_out_both_records_and_what_is_seen_meanwhile() -> None:
    store = MemoryStore()
    put(store, video("jfk", 100), [*shots("jfk", ["a country"] * 10), *spoken("jfk", SPEECH)])
    put(store, video("other"), lines("other", ["my country", "and what you can do"], "speech"))
    ranking = engine_of(store).search(f'country -"{ASK}"', top_k=50)
    last_s = 10 + sum(len(text.split()) for text in SPEECH[:2]) + 1
    seen = sorted(one.start_s for one in ranking.moments if one.video.id == "jfk")
    assert seen == [0, *range(10 * (last_s // 10 + 1), 100, 10)]
    assert any(one.video.id == "other" for one in ranking.moments)
    assert any(one.start_s == 10 for one in engine_of(store).search("country", top_k=50).moments)


def test_a_record_that_holds_the_phrase_itself_stays_what_it_was() -> None:
    text = "anna lindberg and then again anna"
    store = MemoryStore()
    put(store, video("v"), lines("v", [text, "lindberg said so"]))
    [moment, *_] = engine_of(store).search('"anna lindberg"').moments
    assert (moment.hits[0].text, moment.hits[0].matched) == (text, ("anna lindberg",))


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("size", [1, 4, 7])
def test_pages_continue_each_other_exactly(grouped: bool, size: int) -> None:
    store = MemoryStore()
    for n in range(12):
        key = f"v{n:02d}"
        texts = ["we met Anna" + " well" * (n % 3), "Lindberg there", "Anna Lindberg", "anna", f"lindberg {n}"]
        put(store, video(key), [*shots(key, ["anna", "lindberg anna", "tea"]), *lines(key, texts[n % 2 :])])
    engine = engine_of(store)
    query = Query("anna lindberg", phrases=("anna lindberg",), top_k=1000, group_by_video=grouped)
    whole = engine.search(query)
    pages = [
        moment
        for offset in range(0, whole.total, size)
        for moment in engine.search(replace(query, offset=offset, top_k=size)).moments
    ]
    assert pages == list(whole.moments)
    hits = [hit.record_id for moment in pages for hit in moment.hits]
    assert len(hits) == len(set(hits))


class Counted(MemoryStore):
    """Counts how often texts are looked up."""

    def __init__(self) -> None:
        super().__init__()
        self.lookups = 0

    def containing(self, *args: Any, **more: Any) -> list[Record]:
        self.lookups += 1
        return super().containing(*args, **more)


def lookups(query: str) -> int:
    store = Counted()
    put(store, video("jfk", 100), spoken("jfk", SPEECH))
    engine_of(store).search(query)
    return store.lookups


def test_a_phrase_costs_two_lookups_more_and_without_quotes_there_are_none() -> None:
    # The words that say something: ask, country; the phrase is among what holds them.
    assert lookups(ASK) == 2
    # What must be there; the longest word; what continues its record.
    assert lookups(f'"{ASK}"') == 2 + 1 + 2
    assert lookups('"country"') == lookups("country") + 1


def test_it_works_in_the_database_too(tmp_path: Path) -> None:
    store = ChromaStore(tmp_path, create=True)
    put(store, video("jfk", 100), spoken("jfk", SPEECH))
    [one] = SeamFinder(store).find(ASK)
    assert [part.text for part in one.parts] == list(SPEECH[:2])
    assert (one.start_s, one.phrase) == (15, ASK)
    assert SeamFinder(store).find(ASK, ["other"]) == []
    store.close()


NAMES = ["anna", "berta", "cesar", "doris", "emil", "frieda", "gustav", "hanna", "ilse", "jakob"]


@given(
    cues=st.lists(st.lists(st.sampled_from(NAMES), min_size=2, max_size=5), min_size=2, max_size=5),
    start=st.integers(0, 12),
    length=st.integers(2, 8),
)
def test_every_phrase_of_a_text_is_found_wherever_it_was_cut(cues: list[list[str]], start: int, length: int) -> None:
    words = [word for cue in cues for word in cue]
    phrase = " ".join(words[start : start + length])
    texts = [" ".join(cue) for cue in cues]
    store = MemoryStore()
    put(store, video("v"), lines("v", texts))
    if len(phrase.split()) < 2:
        return
    is_whole = any(match_phrase(text, phrase) for text in texts)
    joined = SeamFinder(store).find(phrase)
    assert is_whole or joined
    for one in joined:
        assert squeezed(phrase) in squeezed(one.record.text)
        starts = [part.start_s for part in one.parts]
        assert starts == [starts[0] + 2 * place for place in range(len(starts))]
