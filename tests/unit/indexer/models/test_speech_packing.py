"""Stretches laid end to end, and the way back to the clock of the whole sound."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.models.silero import SAMPLE_RATE, Stretch
from indexer.models.speech_packing import Chunk, pack


def stretch(start_s: float, duration_s: float) -> Stretch:
    return Stretch(round(start_s * SAMPLE_RATE), np.zeros(round(duration_s * SAMPLE_RATE), np.float32))


def test_times_find_their_way_back() -> None:
    chunk = Chunk((stretch(10, 2), stretch(100, 3)))
    assert chunk.offsets_s == [0, 2]
    assert len(chunk.samples) == 5 * SAMPLE_RATE
    assert [chunk.stretch_at(time) for time in (-1, 0, 1.9, 2.0, 4.9, 7.0)] == [0, 0, 0, 1, 1, 1]
    assert chunk.original_s(1.5, 0) == 10 + 1.5
    assert chunk.original_s(2.5, 1) == 100 + 0.5
    # A word at the seam stays with its stretch.
    assert (chunk.original_s(2.5, 0), chunk.original_s(1.5, 1)) == (12, 100)


lengths = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 300)), max_size=20)


@given(lengths)
def test_every_stretch_is_packed_once_in_order_and_chunks_are_full(gaps_and_lengths: list[tuple[int, int]]) -> None:
    stretches, now = [], 0.0
    for gap, length in gaps_and_lengths:
        stretches.append(stretch(now + gap / 10, length / 10))
        now = stretches[-1].end_s
    chunks = list(pack(stretches, 29.5))
    assert [one for chunk in chunks for one in chunk.stretches] == stretches
    for chunk in chunks:
        assert len(chunk.samples) <= 29.5 * SAMPLE_RATE or len(chunk.stretches) == 1
    for chunk, following in pairwise(chunks):
        assert len(chunk.samples) + len(following.stretches[0].samples) > 29.5 * SAMPLE_RATE


@given(lengths.filter(bool), st.floats(0, 1))
def test_a_time_of_the_chunk_is_heard_in_one_stretch(gaps: list[tuple[int, int]], share: float) -> None:
    stretches, now = [], 0.0
    for gap, length in gaps:
        stretches.append(stretch(now + gap / 10, length / 10))
        now = stretches[-1].end_s
    chunk = Chunk(tuple(stretches))
    time_s = share * len(chunk.samples) / SAMPLE_RATE
    index = chunk.stretch_at(time_s)
    original_s = chunk.original_s(time_s, index)
    assert stretches[index].start_s <= original_s <= stretches[index].end_s
    heard_before = sum(one.duration_s for one in stretches[:index])
    assert original_s - stretches[index].start_s == pytest.approx(time_s - heard_before, abs=1e-6)
