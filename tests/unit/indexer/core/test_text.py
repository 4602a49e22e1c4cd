from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.core.text import fold, squeeze, squeezed

ANY_TEXT = st.text(
    st.one_of(
        st.sampled_from("abAB äÄ\u0308ßİ'’-_.\u200b\u00ad"),
        st.sampled_from("猫がか\u3099ガ한\u1112\u1161\u11abกั\u0928\u093f"),
        st.characters(),
    ),
    max_size=15,
)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("  Élan ", "elan"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("İstanbul", "istanbul"),
        ("ﬁne", "fine"),
        ("𝐁old", "bold"),
        ("ガラス", "ガラス"),
        ("か\u3099", "が"),
        ("한국", "한국"),
        ("\u1112\u1161\u11ab", "한"),
        ("Ёлка", "елка"),
    ],
)
def test_case_and_accents_fold_away_and_other_letters_stay(text: str, folded: str) -> None:
    assert fold(text) == folded


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("With our passion!", "withourpassion"),
        ("withour passion", "withourpassion"),
        ("don't", "dont"),
        ("12:30 — 100%", "1230100"),
        ("snake_case", "snakecase"),
        ("♪ … 😀", ""),
        ("猫が、好き", "猫が好き"),
        ("नि", "नि"),
        ("", ""),
    ],
)
def test_only_letters_and_digits_are_left(text: str, letters: str) -> None:
    assert squeezed(text) == letters


@given(ANY_TEXT)
def test_squeezing_twice_changes_nothing_and_both_ways_agree(text: str) -> None:
    letters = squeezed(text)
    assert squeezed(letters) == letters
    assert squeeze(text).letters == letters
    assert squeezed(fold(text)) == letters


@given(ANY_TEXT)
def test_every_letter_knows_where_it_stood(text: str) -> None:
    seen = squeeze(text)
    assert len(seen.places) == len(seen.letters)
    assert list(seen.places) == sorted(seen.places)
    for place in range(len(seen.letters)):
        assert seen.letters[place] in squeezed(seen.written(place, place + 1))
    assert {0, len(seen.letters)} <= seen.breaks <= set(range(len(seen.letters) + 1))


@given(st.lists(st.sampled_from(["cat", "dön't", "X1", "Ärger"]), min_size=1), st.sampled_from([" ", ", ", "—", "_"]))
def test_words_begin_and_end_at_breaks(words: list[str], between: str) -> None:
    seen = squeeze(between.join(words))
    ends = sorted(seen.breaks)
    pieces = [seen.letters[start:end] for start, end in pairwise(ends)]
    assert pieces == [squeezed(word) for word in words]


def test_where_no_spaces_are_written_a_word_may_begin_anywhere() -> None:
    assert squeeze("猫が好き").breaks == {0, 1, 2, 3, 4}
    assert squeeze("iPhone猫").breaks == {0, 6, 7}


def test_a_phrase_is_cut_out_as_it_is_written() -> None:
    seen = squeeze("… WITHOUR  Passión! …")
    assert seen.written(0, 14) == "WITHOUR  Passión"
    assert seen.written(4, 7) == "OUR"


@given(st.text(st.sampled_from("abZ09 '`-_.\n"), max_size=20))
def test_plain_letters_are_squeezed_like_any_others(text: str) -> None:
    plain, other = squeeze(text), squeeze(text + "\u00e9")
    assert other.letters == plain.letters + "e"
    assert other.places[:-1] == plain.places
    assert other.breaks - {len(other.letters)} <= plain.breaks
    assert plain.breaks - {len(plain.letters)} <= other.breaks


def test_strokes_are_accents_too() -> None:
    assert fold("Łódź") == "lodz"
    assert fold("Smørrebrød") == "smorrebrod"
    assert squeezed("Ħal Għaxaq") == "halghaxaq"
