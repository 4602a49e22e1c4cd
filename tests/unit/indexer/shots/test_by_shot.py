from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.core.types import Image, Keyframe, Shot
from indexer.shots.by_shot import ShotSampler
from indexer.shots.detect import CutDetector
from indexer.shots.sampling import FrameLike
from tests.unit.indexer.shots.pictures import Ledger, StillFrame, stills, thumbnail

BLACK = np.full((72, 128, 3), 4, np.uint8)


def sample(
    frames: Sequence[FrameLike], duration_s: float = 0.0, max_span_s: float = 5.0
) -> tuple[list[Keyframe], tuple[Shot, ...]]:
    sampler = ShotSampler("video", duration_s, CutDetector(), max_span_s)
    return list(sampler.keyframes(frames)), sampler.shots


def assert_tiles(spans: Sequence[Keyframe] | Sequence[Shot], end_s: float) -> None:
    assert spans[0].start_s == 0.0
    assert all(one.end_s == other.start_s for one, other in itertools.pairwise(spans))
    assert spans[-1].end_s == pytest.approx(end_s)


shot_frames = st.lists(st.integers(20, 300), min_size=1, max_size=6)


@settings(max_examples=25, deadline=None)
@given(shot_frames, st.sampled_from([12.5, 25.0, 30000 / 1001]), st.sampled_from([1.0, 2.5, 5.0, 10.0]))
def test_every_shot_is_tiled_by_spans_with_a_keyframe_of_its_own(
    frames: list[int], rate: float, max_span_s: float
) -> None:
    ledger = Ledger()
    video = stills(frames, rate, ledger)
    keyframes, shots = sample(video, max_span_s=max_span_s)
    end_s = len(video) / rate
    slot_s = max(0.25, max_span_s / 5)
    assert [shot.start_s for shot in shots] == [video[sum(frames[:index])].time_s for index in range(len(frames))]
    assert_tiles(shots, end_s)
    assert_tiles(keyframes, end_s)
    assert {keyframe.start_s for keyframe in keyframes} >= {shot.start_s for shot in shots}
    for keyframe in keyframes:
        assert keyframe.start_s <= keyframe.time_s < keyframe.end_s <= keyframe.start_s + max_span_s + 1e-6
        assert int(keyframe.image[0, 0, 0]) == keyframe.shot  # no frame from the other side of a cut
        assert shots[keyframe.shot].start_s <= keyframe.start_s < keyframe.end_s <= shots[keyframe.shot].end_s
    assert len(keyframes) >= end_s / 10
    assert ledger.made <= end_s / slot_s + 2 * len(frames)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.005, 9.0), min_size=1, max_size=80), st.floats(1.0, 10.0))
def test_with_any_frame_rate_spans_tile_and_hold_their_keyframe(gaps_s: list[float], max_span_s: float) -> None:
    times_s = [sum(gaps_s[:index]) for index in range(len(gaps_s) + 1)]
    video = [StillFrame(time_s, thumbnail(0)) for time_s in times_s]
    keyframes, shots = sample(video, max_span_s=max_span_s)
    end_s = 2 * times_s[-1] - times_s[-2]
    assert_tiles(shots, end_s)
    assert_tiles(keyframes, end_s)
    assert len(shots) == 1
    assert all(keyframe.start_s <= keyframe.time_s < keyframe.end_s for keyframe in keyframes)
    assert {keyframe.time_s for keyframe in keyframes} <= set(times_s)


@pytest.mark.parametrize("extra_s", [0.04, 0.5, 2.4, 4.96])
def test_no_span_is_a_tiny_remainder(extra_s: float) -> None:
    keyframes, _ = sample(stills([round((20 + extra_s) * 25)]))
    assert min(keyframe.end_s - keyframe.start_s for keyframe in keyframes) >= 2.5
    assert len(keyframes) == math.ceil((20 + extra_s) / 5)


def endless(ledger: Ledger, frames: int) -> Iterator[StillFrame]:
    for index in range(frames):
        yield StillFrame(index / 25, thumbnail(0), ledger=ledger)


def test_a_long_shot_is_emitted_as_it_goes_and_few_images_are_held() -> None:
    ledger = Ledger()
    sampler = ShotSampler("video", 0.0, CutDetector(), 5.0)
    times_s = [keyframe.time_s for keyframe in sampler.keyframes(endless(ledger, 25 * 300))]
    assert len(times_s) == 300 / 5
    assert ledger.most_alive <= 2 * 5 + 4


def test_keyframes_come_before_the_video_has_ended() -> None:
    read: list[float] = []

    def frames() -> Iterator[StillFrame]:
        for frame in stills([1000]):
            read.append(frame.time_s)
            yield frame

    next(ShotSampler("video", 0.0, CutDetector(), 5.0).keyframes(frames()))
    assert read[-1] <= 2 * 5 + 1


def blurred(picture: Image) -> Image:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 2), dtype=np.uint8)


def test_the_sharpest_frame_is_chosen() -> None:
    video = [StillFrame(index / 25, blurred(thumbnail(0))) for index in range(100)]
    for frame in video[40:43]:  # at 25 a second not every frame is looked at
        frame.thumbnail = thumbnail(0)
    keyframes, _ = sample(video)
    assert [40 / 25 <= keyframe.time_s < 43 / 25 for keyframe in keyframes] == [True]


def test_of_equally_sharp_frames_one_near_the_middle_is_chosen() -> None:
    keyframes, _ = sample(stills([100, 100]))
    assert [abs(keyframe.time_s - middle_s) <= 1.0 for keyframe, middle_s in zip(keyframes, (2, 6), strict=True)]
    assert all(abs(k.time_s - (k.start_s + k.end_s) / 2) <= 0.5 for k in keyframes)


def fading_in(dark: int, frames: int) -> list[StillFrame]:
    """So many frames of black, then a slow fade in."""
    levels = [max(0.0, (index - dark) / (frames - dark)) for index in range(frames)]
    return [StillFrame(index / 25, (thumbnail(1) * level).astype(np.uint8)) for index, level in enumerate(levels)]


def test_a_black_frame_is_never_chosen_where_the_shot_shows_something() -> None:
    keyframes, shots = sample(fading_in(80, 110))
    assert len(shots) == 1
    assert [keyframe.time_s >= 85 / 25 for keyframe in keyframes] == [True]


def test_a_black_shot_has_no_keyframe() -> None:
    video = [StillFrame(index / 25, BLACK if 50 <= index < 100 else thumbnail(index // 50)) for index in range(150)]
    keyframes, shots = sample(video)
    assert [shot.start_s for shot in shots] == [0.0, 2.0, 4.0]
    assert [(keyframe.shot, keyframe.start_s, keyframe.end_s) for keyframe in keyframes] == [
        (0, 0.0, 2.0),
        (2, 4.0, pytest.approx(6.0)),
    ]


@pytest.mark.parametrize("frames", [1, 40, 1000])
def test_a_wholly_black_video_still_has_one_keyframe(frames: int) -> None:
    video = [StillFrame(index / 25, BLACK) for index in range(frames)]
    keyframes, shots = sample(video)
    assert [(k.start_s, k.end_s) for k in keyframes] == [(s.start_s, s.end_s) for s in shots]
    assert len(keyframes) == 1


def test_no_frames_give_nothing() -> None:
    assert sample([], duration_s=10.0) == ([], ())


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_a_few_frames_give_one_keyframe(frames: int) -> None:
    keyframes, shots = sample(stills([frames]))
    assert [(k.start_s, k.end_s) for k in keyframes] == [(0.0, pytest.approx(frames / 25))]
    assert len(shots) == 1


def test_a_first_shot_shorter_than_a_slot_keeps_its_own_keyframe() -> None:
    keyframes, shots = sample(stills([3, 60]))
    assert [shot.start_s for shot in shots] == [0.0, 3 / 25]
    assert [int(keyframe.image[0, 0, 0]) for keyframe in keyframes] == [0, 1]


@pytest.mark.parametrize("duration_s", [0.0, 1.0, 7.2, 7.4, 3600.0, 1e12])
def test_a_wrong_duration_only_moves_the_end(duration_s: float) -> None:
    keyframes, shots = sample(stills([90, 90]), duration_s)
    assert_tiles(keyframes, max(7.2, duration_s))
    assert_tiles(shots, max(7.2, duration_s))
    assert [keyframe.shot for keyframe in keyframes] == [0, 1]
    assert all(keyframe.time_s < 7.2 for keyframe in keyframes)


def test_a_jump_in_time_costs_nothing() -> None:
    video = stills([50])
    late = [StillFrame(1e9 + index / 25, thumbnail(0)) for index in range(50)]
    keyframes, _ = sample([*video, *late])
    assert_tiles(keyframes, 1e9 + 2)


def test_frames_that_do_not_advance_are_passed_over() -> None:
    video = stills([30])
    video[10].time_s = video[9].time_s
    keyframes, _ = sample(video)
    assert_tiles(keyframes, 30 / 25)
    assert [keyframe.shot for keyframe in sample([StillFrame(0.0, thumbnail(0))] * 5)[0]] == [0]


def test_a_flash_does_not_end_a_shot_and_is_not_chosen() -> None:
    video = stills([100])
    for index in (48, 49):
        video[index].thumbnail = np.full((72, 128, 3), 250, np.uint8)
    keyframes, shots = sample(video)
    assert len(shots) == 1
    assert keyframes[0].time_s not in (48 / 25, 49 / 25)


def test_a_gap_of_exactly_so_many_spans_loses_no_keyframe() -> None:
    times_s = (0.0, 48.1, 68.1, 88.1, 177.28)
    frames = [StillFrame(time_s, thumbnail(seed)) for time_s, seed in zip(times_s, (0, 1, 1, 1, 2), strict=True)]
    sampler = ShotSampler("video", 0.0, CutDetector("content", min_shot_s=3), 10.0)
    assert len(list(sampler.keyframes(frames))) >= 3
