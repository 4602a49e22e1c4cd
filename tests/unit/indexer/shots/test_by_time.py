from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.core.types import Keyframe
from indexer.shots.sampling import FrameLike, Sampling
from indexer.shots.select import make_sampler
from tests.unit.indexer.shots.pictures import Ledger, StillFrame, stills, thumbnail


def sample(sampling: Sampling, frames: Sequence[FrameLike], duration_s: float = 0.0) -> list[Keyframe]:
    sampler = make_sampler(sampling, "video", duration_s)
    keyframes = list(sampler.keyframes(frames))
    end_s = max(keyframes[-1].end_s, 0) if keyframes else 0.0
    assert [(shot.start_s, shot.end_s) for shot in sampler.shots] == ([(0.0, end_s)] if keyframes else [])
    return keyframes


MIDDLE, UNIFORM, KMEANS = Sampling("middle"), Sampling("uniform"), Sampling("kmeans")


def times(keyframes: Sequence[Keyframe]) -> list[float]:
    return [keyframe.time_s for keyframe in keyframes]


def test_middle_is_the_frame_at_half_time() -> None:
    [keyframe] = sample(MIDDLE, stills([101]), 101 / 25)
    assert keyframe.time_s == 50 / 25
    assert (keyframe.start_s, keyframe.end_s) == (0.0, pytest.approx(101 / 25))


@pytest.mark.parametrize("duration_s", [0.0, float("nan"), -1.0, 2.0, 8.0, 40.0, 1e9])
def test_middle_is_near_half_time_whatever_the_container_says(duration_s: float) -> None:
    [keyframe] = sample(MIDDLE, stills([200]), duration_s)
    assert keyframe.time_s == pytest.approx(4.0, abs=0.5)
    assert keyframe.end_s == pytest.approx(max(8.0, duration_s) if duration_s > 0 else 8.0)


@pytest.mark.parametrize("strategy", ["middle", "uniform", "kmeans"])
def test_a_duration_without_end_loses_no_keyframe(strategy: str) -> None:
    keyframes = sample(Sampling(strategy), stills([200]), 1e9)  # type: ignore[arg-type]
    assert keyframes
    assert keyframes[-1].end_s == 1e9


def test_uniform_takes_the_middles_of_equal_spans() -> None:
    keyframes = sample(UNIFORM, stills([400]), 16.0)
    assert times(keyframes) == [index * 2.0 + 1.0 for index in range(8)]
    assert [keyframe.start_s for keyframe in keyframes] == pytest.approx([index * 2.0 for index in range(8)])


def test_the_last_frame_serves_for_what_should_come_after_it() -> None:
    assert times(sample(Sampling("uniform", count=2), stills([3]), 1e9)) == [0.0, 2 / 25]


@pytest.mark.parametrize("duration_s", [0.0, 5.0, 13.0, 20.0, 32.0])
def test_uniform_finds_all_spans_whatever_the_container_says(duration_s: float) -> None:
    keyframes = sample(UNIFORM, stills([400]), duration_s)
    assert len(keyframes) == 8
    assert times(keyframes) == pytest.approx([index * 2.0 + 1.0 for index in range(8)], abs=0.5)


def test_uniform_gives_every_frame_where_there_are_fewer() -> None:
    assert times(sample(UNIFORM, stills([3]), 3 / 25)) == [0.0, 1 / 25, 2 / 25]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0.005, 30.0), min_size=0, max_size=150),
    st.floats(0, 3000.0),
    st.sampled_from([MIDDLE, UNIFORM, Sampling("uniform", count=40)]),
)
def test_spans_tile_and_hold_their_keyframe(gaps_s: list[float], duration_s: float, sampling: Sampling) -> None:
    times_s = [sum(gaps_s[:index]) for index in range(len(gaps_s) + 1)]
    ledger = Ledger()
    video = [StillFrame(time_s, thumbnail(0), index, ledger=ledger) for index, time_s in enumerate(times_s)]
    keyframes = sample(sampling, video, duration_s)
    last_gap_s = gaps_s[-1] if gaps_s else 0.04
    assert keyframes[0].start_s == 0.0
    assert keyframes[-1].end_s == pytest.approx(max(duration_s, times_s[-1] + last_gap_s))
    assert all(one.end_s == other.start_s for one, other in itertools.pairwise(keyframes))
    for keyframe in keyframes:
        assert keyframe.start_s <= keyframe.time_s < keyframe.end_s
        if sampling.count <= 32:  # otherwise images are packed, which blurs the mark
            assert times_s[int(keyframe.image[0, 0, 0])] == keyframe.time_s
    assert ledger.most_alive <= 1 or sampling.count < 33


def test_few_images_are_made_and_held_for_one_keyframe() -> None:
    ledger = Ledger()
    sample(MIDDLE, stills([20_000], ledger=ledger), 800.0)
    assert ledger.made <= 17 + 8 * 6
    ledger = Ledger()
    sample(MIDDLE, stills([20_000], ledger=ledger))
    assert ledger.most_alive <= 18
    assert ledger.made <= 17 + 8 * 12


def test_kmeans_finds_one_frame_of_each_view() -> None:
    keyframes = sample(Sampling("kmeans", clusters=5), stills([40, 25, 60, 30, 45]), 8.0)
    assert np.digitize([keyframe.time_s * 25 for keyframe in keyframes], [39.5, 64.5, 124.5, 154.5]).tolist() == [
        *range(5)
    ]
    assert times(keyframes) == sorted(times(keyframes))
    halfway = [(one + other) / 2 for one, other in zip(times(keyframes), times(keyframes)[1:], strict=False)]
    assert [keyframe.start_s for keyframe in keyframes] == [0.0, *halfway]


def test_kmeans_is_the_same_every_time() -> None:
    rng = np.random.default_rng(0)
    video = [StillFrame(index / 25, rng.integers(0, 256, (9, 16, 3), dtype=np.uint8)) for index in range(300)]
    first, second = sample(KMEANS, video, 12.0), sample(KMEANS, video, 12.0)
    assert times(first) == times(second)
    assert len(first) == 32


@pytest.mark.parametrize(("frames", "expected"), [(1, 1), (2, 2), (20, 20), (33, 32)])
def test_kmeans_takes_fewer_frames_than_clusters(frames: int, expected: int) -> None:
    rng = np.random.default_rng(1)
    video = [StillFrame(index / 25, rng.integers(0, 256, (9, 16, 3), dtype=np.uint8)) for index in range(frames)]
    assert len(sample(KMEANS, video, frames / 25)) == expected


def test_kmeans_of_one_view_gives_one_keyframe() -> None:
    assert len(sample(KMEANS, stills([100]), 4.0)) == 1


def test_packed_images_come_back_almost_as_they_were() -> None:
    [keyframe] = sample(Sampling("kmeans", clusters=1), [StillFrame(0.0, thumbnail(0), 130)])
    assert np.abs(keyframe.image[8:, 8:].astype(int) - thumbnail(0)[8:, 8:, ::-1]).mean() <= 2


@pytest.mark.parametrize("strategy", ["middle", "uniform", "kmeans"])
def test_no_frames_give_nothing(strategy: str) -> None:
    assert sample(Sampling(strategy), [], 10.0) == []  # type: ignore[arg-type]
