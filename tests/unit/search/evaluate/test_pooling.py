"""Frames pooled into one cosine for each class."""

from __future__ import annotations

from math import exp, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.core.errors import UsageError
from indexer.core.types import Embedding
from search.evaluate.actions import POOLINGS, Pooling, check_pooling, cosines_of, mean_ranks, pooled

X, Y = np.eye(2, dtype=np.float32)
TOLERANCE = 3e-6


@st.composite
def unit_rows(draw: st.DrawFn, most: int = 6) -> Embedding:
    """Up to ``most`` random unit vectors in three dimensions."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows = rng.normal(size=(draw(st.integers(1, most)), 3))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_the_mean_lies_between_the_frames() -> None:
    assert pooled(np.stack([X, Y]), X[None], "mean")[0] == pytest.approx(1 / sqrt(2), abs=TOLERANCE)


def test_the_maximum_is_the_nearest_frame() -> None:
    assert pooled(np.stack([X, Y]), np.stack([X, -Y]), "max").tolist() == [1.0, 0.0]


def test_query_scoring_weighs_frames_by_the_softmax_over_tau() -> None:
    near = 1 / (1 + exp(-1 / 0.5))  # frames with cosines 1 and 0, tau 0.5
    far = 1 - near
    assert pooled(np.stack([X, Y]), X[None], "query", 0.5)[0] == pytest.approx(
        near / sqrt(near**2 + far**2), abs=TOLERANCE
    )


def test_query_scoring_weighs_for_each_text_anew() -> None:
    cosines = pooled(np.stack([X, Y]), np.stack([X, Y]), "query")
    assert cosines[0] == cosines[1] > 0.99


@given(unit_rows(), unit_rows())
def test_query_scoring_is_the_maximum_at_low_and_the_mean_at_high_temperature(
    frames: Embedding, texts: Embedding
) -> None:
    ordered = np.sort(frames @ texts.T, axis=0)
    clear = np.ones(len(texts), bool) if len(frames) == 1 else ordered[-1] - ordered[-2] > 1e-3
    low = pooled(frames, texts, "query", 1e-5)
    assert low[clear] == pytest.approx(pooled(frames, texts, "max")[clear], abs=TOLERANCE)
    if np.linalg.norm(frames.mean(axis=0)) > 0.05:
        assert pooled(frames, texts, "query", 1e6) == pytest.approx(pooled(frames, texts, "mean"), abs=1e-4)


@given(unit_rows(most=1), unit_rows())
def test_one_frame_is_itself_however_it_is_pooled(frame: Embedding, texts: Embedding) -> None:
    for pooling in POOLINGS:
        assert pooled(frame, texts, pooling) == pytest.approx(cosines_of(frame, texts)[0], abs=TOLERANCE)


@given(unit_rows(), unit_rows(), st.randoms(use_true_random=False), st.sampled_from(POOLINGS))
def test_the_order_of_frames_does_not_matter(frames: Embedding, texts: Embedding, random: object, how: Pooling) -> None:
    order = list(range(len(frames)))
    random.shuffle(order)  # type: ignore[attr-defined]
    if np.linalg.norm(frames.mean(axis=0)) > 0.01:
        assert pooled(frames[order], texts, how) == pytest.approx(pooled(frames, texts, how), abs=1e-4)


@given(unit_rows(), unit_rows(), st.sampled_from(POOLINGS))
def test_a_pooled_cosine_is_one(frames: Embedding, texts: Embedding, how: Pooling) -> None:
    cosines = pooled(frames, texts, how)
    assert cosines.shape == (len(texts),)
    assert np.abs(cosines).max() <= 1


@pytest.mark.parametrize("pooling", POOLINGS)
def test_equal_texts_far_apart_in_a_long_list_tie(pooling: Pooling) -> None:
    rng = np.random.default_rng(0)
    texts = rng.normal(size=(1001, 384)).astype(np.float32)
    texts[1000] = texts[3]
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    cosines = pooled(np.stack([texts[3], rng.permutation(texts[3])]), texts, pooling)
    assert mean_ranks(cosines[None], np.array([1000]))[0] == mean_ranks(cosines[None], np.array([3]))[0] == 1.5


def test_frames_that_cancel_out_are_like_nothing() -> None:
    assert pooled(np.stack([X, -X]), np.stack([X, Y]), "mean").tolist() == [0.0, 0.0]


def test_only_known_poolings_and_temperatures_above_0_are_accepted() -> None:
    assert [check_pooling(name) for name in POOLINGS] == ["mean", "max", "query"]
    with pytest.raises(UsageError, match="no pooling 'median'"):
        check_pooling("median")
    for tau in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="tau"):
            check_pooling("query", tau)
