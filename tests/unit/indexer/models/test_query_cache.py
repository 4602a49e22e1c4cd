"""Vectors of queries are encoded once, together where people ask at the same time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from indexer.core.types import Embedding
from indexer.models.query_cache import QueryVectors


class Encoder:
    """A text's vector is its length and its first letter; notes what it was asked for."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def __call__(self, texts: list[str]) -> Embedding:
        self.calls.append(texts)
        return np.array([[len(text), ord(text[0])] for text in texts], np.float32)


def test_each_text_is_encoded_once_and_only_those_that_are_new() -> None:
    encoder = Encoder()
    vectors = QueryVectors(encoder, most=10)
    np.testing.assert_array_equal(vectors.of(["ab", "c", "ab"]), [[2, 97], [1, 99], [2, 97]])
    np.testing.assert_array_equal(vectors.of(["c", "dd"]), [[1, 99], [2, 100]])
    assert encoder.calls == [["ab", "c"], ["dd"]]


def test_what_was_encoded_first_is_forgotten_first() -> None:
    encoder = Encoder()
    vectors = QueryVectors(encoder, most=2)
    for text in ("a", "b", "c", "b", "a"):
        vectors.of([text])
    assert encoder.calls == [["a"], ["b"], ["c"], ["a"]]


def test_more_texts_at_once_than_are_kept_are_all_answered() -> None:
    vectors = QueryVectors(Encoder(), most=2)
    texts = ["a", "bb", "ccc", "dddd"]
    np.testing.assert_array_equal(vectors.of(texts)[:, 0], [1, 2, 3, 4])


def test_an_answer_may_be_changed_without_harm_to_the_next() -> None:
    vectors = QueryVectors(Encoder(), most=2)
    vectors.of(["a"])[:] = 0
    np.testing.assert_array_equal(vectors.of(["a"]), [[1, 97]])


def test_many_threads_get_their_own_vectors() -> None:
    encoder = Encoder()
    vectors = QueryVectors(encoder, most=5)
    texts = [letter * times for letter in "abcdefgh" for times in range(1, 40)]
    start = threading.Barrier(16)

    def ask(share: list[str]) -> bool:
        start.wait()
        return all((vectors.of([text]) == [[len(text), ord(text[0])]]).all() for text in share)

    with ThreadPoolExecutor(16) as people:
        assert all(people.map(ask, [texts[place::16] for place in range(16)]))


def test_a_text_that_cannot_be_encoded_is_an_error_each_time() -> None:
    def refuse(texts: list[str]) -> Embedding:
        raise ValueError(f"cannot encode {texts}")

    vectors = QueryVectors(refuse, most=5)
    for _ in range(2):
        with pytest.raises(ValueError, match="cannot encode"):
            vectors.of(["a"])
