from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.models.long_texts import encode_in_pieces, normalised, split_to_fit


def count_words(text: str) -> int:
    return len(text.split())


@given(st.text(alphabet="ab .!?\n", max_size=200), st.integers(1, 9))
def test_nothing_is_lost_but_space_and_every_piece_fits(text: str, limit: int) -> None:
    pieces = split_to_fit(text, len, limit)
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(len(piece) <= limit for piece in pieces)


def test_a_text_that_fits_stays_whole() -> None:
    assert split_to_fit("One. Two. Three.", count_words, 3) == ["One. Two. Three."]


def test_it_is_split_at_the_sentence_end_nearest_the_middle() -> None:
    text = "A b c. D e f. G h i. J k l."
    assert split_to_fit(text, count_words, 6) == ["A b c. D e f.", "G h i. J k l."]


def test_a_sentence_too_long_is_split_at_a_word() -> None:
    assert split_to_fit("aaa bbb ccc ddd", count_words, 2) == ["aaa bbb", "ccc ddd"]


def test_a_word_too_long_is_split_anywhere() -> None:
    assert split_to_fit("abcdefgh", len, 2) == ["ab", "cd", "ef", "gh"]


def test_a_single_character_that_counts_too_much_is_kept() -> None:
    assert split_to_fit("x", lambda _: 99, 3) == ["x"]


def test_full_stops_of_other_scripts_end_sentences() -> None:
    assert split_to_fit("今天很好。明天更好。", len, 5) == ["今天很好。", "明天更好。"]


def letters(pieces: list[str]) -> np.ndarray:
    """How often a and b occur: a vector whose direction is easy to work out."""
    return np.array([[piece.count("a"), piece.count("b")] for piece in pieces], np.float32)


def test_pieces_are_averaged_by_length() -> None:
    vectors = encode_in_pieces(["aaaa bb", "bb"], letters, lambda text: len(text.split()), 1)
    # "aaaa" points along (1, 0) with weight 4 and "bb" along (0, 1) with weight 2.
    expected = np.array([4 * 1, 2 * 1]) / np.hypot(4, 2)
    assert vectors == pytest.approx(np.array([expected, [0, 1]]))
    assert vectors.dtype == np.float32


def test_without_a_limit_nothing_is_split() -> None:
    seen: list[str] = []

    def encode(pieces: list[str]) -> np.ndarray:
        seen.extend(pieces)
        return letters(pieces)

    encode_in_pieces(["a b. " * 50], encode, len, None)
    assert seen == ["a b. " * 50]


def test_normalised_leaves_zeros_alone() -> None:
    assert normalised(np.array([[3, 4], [0, 0]], np.float32)) == pytest.approx(np.array([[3 / 5, 4 / 5], [0, 0]]))
