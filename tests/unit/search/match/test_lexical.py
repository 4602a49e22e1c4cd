from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.core.types import Cue, ModalityName
from search.match.lexical import FUNCTION_WORDS, LexicalMatch, Wording, WordScorer, match_phrase, spoken_span

RARE, COMMON, RECORDS = 2, 50, 100


def score(query: str, text: str, modality: ModalityName = "speech", **found: int) -> LexicalMatch | None:
    return WordScorer(Wording.of(query), found, RECORDS).match(text, modality)


def rarity(found: float) -> float:
    return math.log(1 + RECORDS / found)


@pytest.mark.parametrize(
    ("query", "text", "matched"),
    [
        ("with our passion", "It starts WITH OUR PASSION, always.", "WITH OUR PASSION"),
        ("what you can do", "ask “what — you… can do”!", "what — you… can do"),
        ("elan vital", "Élan Vital", "Élan Vital"),
        ("dont stop", "Don’t stop", "Don’t stop"),
        ("to be or not to be", "Well: to be, or not to be.", "to be, or not to be"),
        ("saxophone music", "Saxophone, Music", "Saxophone, Music"),
        ("黒い猫", "あの黒い猫が好き", "黒い猫"),
        ("ok", "OK", "OK"),
    ],
)
def test_a_whole_phrase_scores_one_and_is_named_as_it_stands(query: str, text: str, matched: str) -> None:
    match = score(query, text)
    assert match is not None
    assert match.score == 1
    assert match.matched == (matched,)


def test_words_count_by_their_rarity_and_grammar_words_a_tenth() -> None:
    words = {"red": COMMON, "balloon": RARE}
    balloon = score("the red balloon", "a balloon above us", **words)
    red = score("the red balloon", "a red house", **words)
    the = 0.1 * math.log(1 + RECORDS / RECORDS)
    weight = the + rarity(COMMON) + rarity(RARE)
    assert balloon is not None
    assert red is not None
    assert balloon.score == pytest.approx(0.9 * rarity(RARE) / weight)
    assert red.score == pytest.approx(0.9 * rarity(COMMON) / weight)
    assert balloon.matched == ("balloon",)


def test_a_word_that_no_record_has_is_missed_most() -> None:
    found = score("red zyzzyva", "red", red=RARE, zyzzyva=0)
    assert found is not None
    assert found.score == pytest.approx(0.9 * rarity(RARE) / (rarity(RARE) + rarity(0.5)))


def test_words_that_stand_together_count_a_little_more_and_a_phrase_most() -> None:
    words = {"red": 9, "hot": 9, "car": 9}
    apart, together, whole = (
        score("red hot car", text, **words)
        for text in ("hot day, car then red", "car: so red hot it is", "a red hot car")
    )
    assert apart is not None
    assert together is not None
    assert whole is not None
    assert apart.score == pytest.approx(0.9)
    assert together.score == pytest.approx(0.9 + 0.09 * 2 / 3)
    assert whole.score == 1
    assert (together.sequence, together.sequence_share) == ("redhot", pytest.approx(2 / 3))


def test_grammar_words_alone_are_no_match_but_as_a_phrase() -> None:
    assert score("to be or not to be", "or is it not to be") is None
    assert score("the man", "the end") is None


@pytest.mark.parametrize(("word", "text", "share"), [("onion", "onions", 0.5), ("man", "german", 0), ("猫", "黒猫", 1)])
def test_a_word_within_a_longer_one_counts_half_if_it_is_long(word: str, text: str, share: float) -> None:
    found = score(f"{word} qqq", text, **{word: RARE, "qqq": RARE})
    assert (found.score if found else 0) == pytest.approx(0.9 * share / 2)


def test_a_reader_of_pictures_may_lose_spaces() -> None:
    for query in ("with our passion", "our passion", "with our"):
        match = score(query, "withour passion", "ocr")
        assert match is not None
        assert match.score == 1
    heard = score("our passion", "withour passion", "speech")
    assert heard is not None
    assert heard.score < 1
    assert score("our", "withour passion", "ocr") is None


def test_a_query_of_symbols_has_no_wording() -> None:
    assert Wording.of("😀 … !") == Wording("", ())
    assert Wording.of("").distinctness == 0


def test_distinctness_grows_with_the_letters() -> None:
    assert Wording.of("man").distinctness == pytest.approx(3 / 12)
    assert Wording.of("big buck bunny").distinctness == 1
    assert Wording.of("猫").distinctness == pytest.approx(3 / 12)


def test_telling_words_come_longest_first_and_once() -> None:
    assert Wording.of("the cat and the elephant and the cat").telling == ("elephant", "cat")


def test_letters_without_spaces_are_words_two_by_two() -> None:
    assert Wording.of("猫が好き cat 犬").words == ("猫が", "が好", "好き", "cat", "犬")


WORDS = st.lists(st.sampled_from(["red", "car", "the", "onion", "to", "be", "hat", "猫", "über"]), max_size=6)


@given(WORDS.filter(bool), WORDS, WORDS)
def test_scores_lie_in_zero_to_one_and_one_is_the_phrase(query: list[str], before: list[str], after: list[str]) -> None:
    phrase, text = " ".join(query), " ".join([*before, *after])
    match = score(phrase, text)
    holds = match_phrase(text, phrase) is not None
    assert (match is not None and match.score == 1) == holds
    if match is not None:
        assert 0 < match.score <= 1
        assert all(word in text for word in match.matched)
    whole = score(phrase, " ".join([*before, *query, *after]))
    assert whole is not None
    assert whole.score == 1


@given(st.text(), st.text())
def test_any_text_can_be_scored(query: str, text: str) -> None:
    match = score(query, text)
    assert match is None or (0 < match.score <= 1 and all(word in text for word in match.matched))


def test_only_whole_words_hold_a_phrase() -> None:
    assert match_phrase("that is it", "hat") is None
    assert match_phrase("my Hat!", "hat")
    assert match_phrase("anything", "…") is None


SENTENCE = "Ask not what your country can do for you, ask what you can do for your country"
SPOKEN = tuple(Cue(place, place + 0.5, word) for place, word in enumerate(SENTENCE.split()))


def test_a_sequence_is_said_from_its_first_word_to_its_last() -> None:
    assert spoken_span(SPOKEN, "whatyoucandoforyourcountry") == (10, 16.5)
    assert spoken_span(SPOKEN, "asknot") == (0, 1.5)
    assert spoken_span(SPOKEN, "countryask") is None
    assert spoken_span(SPOKEN, "") is None
    assert spoken_span((), "ask") is None


def test_the_weightiest_run_of_words_is_what_is_narrowed_to() -> None:
    text = " ".join(word.text for word in SPOKEN)
    match = score("what you might do for your country", text, country=RARE, might=RARE)
    assert match is not None
    assert match.sequence == "doforyourcountry"


def test_function_words_are_squeezed_words() -> None:
    assert all(Wording.of(word).words == (word,) for word in FUNCTION_WORDS)
