"""Which words of a text were found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ui.services.highlight import excerpt, pieces


def test_matches_are_cut_out_in_order() -> None:
    assert pieces("the cat sat on the mat", ("mat", "cat")) == [
        ("the ", False),
        ("cat", True),
        (" sat on the ", False),
        ("mat", True),
    ]


def test_the_longest_match_wins_and_whole_words_come_before_parts_of_words() -> None:
    assert pieces("at the cat house", ("cat", "the cat house")) == [("at ", False), ("the cat house", True)]
    assert pieces("concatenate a cat", ("cat",)) == [("concatenate a ", False), ("cat", True)]
    assert pieces("concatenate", ("cat",))[1] == ("cat", True)


@given(st.text(), st.lists(st.text(max_size=5), max_size=4))
def test_the_pieces_are_the_text(text: str, matched: list[str]) -> None:
    cut = pieces(text, matched)
    assert "".join(part for part, _ in cut) == text
    assert all(part in matched for part, found in cut if found)


@given(st.text(alphabet="ab ", max_size=300), st.integers(10, 80))
def test_an_excerpt_is_short_and_from_the_text(text: str, longest: int) -> None:
    shown = excerpt(text, ("ab",), longest)
    assert len(shown) <= longest + 2
    assert shown.strip("…").strip() in text


@pytest.mark.parametrize("place", [0, 300, 900])
def test_an_excerpt_holds_what_was_found(place: int) -> None:
    words = ["word"] * 250
    words[place // 5] = "needle"
    assert "needle" in excerpt(" ".join(words), ("needle",), 100)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("字" * 500 + "目標" + "字" * 500, "目標"),
        ("x" * 300 + "our passion is here " + "z " * 300, "our passion"),
    ],
)
def test_an_excerpt_of_words_run_together_holds_what_was_found(text: str, found: str) -> None:
    assert found in excerpt(text, (found,), 200)
