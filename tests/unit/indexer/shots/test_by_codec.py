from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.core.types import Keyframe
from indexer.media.read.decode import FrameReader
from indexer.shots.by_codec import CodecSampler
from indexer.shots.sampling import FrameLike, Sampling
from indexer.shots.select import make_sampler
from tests.unit.indexer.shots.pictures import StillFrame, encode, filmed, scenery, stills, thumbnail

BLACK = np.full((72, 128, 3), 4, np.uint8)


def sample(frames: Sequence[FrameLike], duration_s: float = 0.0) -> list[Keyframe]:
    return list(CodecSampler("video", duration_s, 5.0).keyframes(frames))


def keyed(times_s: Sequence[float], dark: Sequence[float] = ()) -> list[StillFrame]:
    return [StillFrame(time_s, BLACK if time_s in dark else thumbnail(0), 0, True) for time_s in times_s]


def test_a_keyframe_stands_until_the_next() -> None:
    spans = [(keyframe.time_s, keyframe.start_s, keyframe.end_s) for keyframe in sample(keyed([0.0, 8.0, 9.5]), 30.0)]
    assert spans == [(0.0, 0.0, 8.0), (8.0, 8.0, 9.5), (9.5, 9.5, 30.0)]


def test_how_long_the_last_keyframe_is_shown_is_guessed_only_where_the_duration_is_unknown_or_wrong() -> None:
    assert sample(keyed([0.0, 8.0, 16.0]), 17.0)[-1].end_s == 17.0
    assert sample(keyed([0.0, 8.0, 16.0]), 0.0)[-1].end_s == 16.0 + 8.0
    assert sample(keyed([0.0, 8.0, 16.0]), 9.0)[-1].end_s == 16.0 + 8.0


def test_an_all_intra_file_gives_one_keyframe_a_second() -> None:
    keyframes = sample(keyed([index / 25 for index in range(251)]))
    assert [keyframe.time_s for keyframe in keyframes] == [float(second) for second in range(11)]


def test_where_plain_frames_come_too_no_span_is_long() -> None:
    frames = stills([500])
    frames[0].is_codec_keyframe = frames[250].is_codec_keyframe = True
    assert [keyframe.time_s for keyframe in sample(frames)] == [0.0, 5.0, 10.0, 15.0]


def test_black_frames_are_passed_over() -> None:
    keyframes = sample(keyed([0.0, 4.0, 8.0, 12.0], dark=[0.0, 8.0]), 16.0)
    assert [(k.time_s, k.start_s, k.end_s) for k in keyframes] == [(4.0, 0.0, 12.0), (12.0, 12.0, 16.0)]


def test_a_black_video_still_has_one_keyframe() -> None:
    keyframes = sample(keyed([0.0, 4.0], dark=[0.0, 4.0]), 8.0)
    assert [(k.time_s, k.start_s, k.end_s) for k in keyframes] == [(0.0, 0.0, 8.0)]


def test_no_frames_give_nothing() -> None:
    sampler = CodecSampler("video", 8.0, 5.0)
    assert list(sampler.keyframes([])) == []
    assert sampler.shots == ()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0.01, 20.0), st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_spans_tile_and_hold_their_keyframe(steps: list[tuple[float, bool, bool]]) -> None:
    times_s = [sum(gap_s for gap_s, _, _ in steps[:index]) for index in range(len(steps))]
    frames = [
        StillFrame(time_s, BLACK if dark else thumbnail(0), 0, key)
        for time_s, (_, key, dark) in zip(times_s, steps, strict=True)
    ]
    keyframes = sample(frames)
    last_gap_s = times_s[-1] - times_s[-2] if len(times_s) > 1 else 0.04
    assert keyframes[0].start_s == 0.0
    assert keyframes[-1].end_s == pytest.approx(times_s[-1] + last_gap_s)
    assert all(one.end_s == other.start_s for one, other in itertools.pairwise(keyframes))
    assert all(keyframe.start_s <= keyframe.time_s < keyframe.end_s for keyframe in keyframes)


def test_a_real_file_is_read_by_its_codec_keyframes(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.mp4", [p for seed in range(3) for p in filmed(scenery(seed), "pan", 300)])
    sampling = Sampling("codec")
    with FrameReader(path, keyframes_only=sampling.wants_codec_keyframes_only) as reader:
        keyframes = list(make_sampler(sampling, "video", 36.0).keyframes(reader))
    assert 3 <= len(keyframes) <= 36
    assert (keyframes[0].start_s, keyframes[-1].end_s) == (0.0, 36.0)
