from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from indexer.core.types import Image
from indexer.media.read.decode import FrameReader
from indexer.shots.detect import CutDetector, is_same_view, shrink
from indexer.shots.sampling import DetectorName
from tests.unit.indexer.shots.pictures import DATA, brightened, encode, filmed, photograph, scenery, thumbnail

needs_data = [pytest.mark.data, pytest.mark.skipif(not DATA.is_dir(), reason="the shared real data are not here")]
SHOT_FRAMES = [41, 23, 67, 30, 55, 18, 49, 36]
CUT_FRAMES = np.cumsum(SHOT_FRAMES)[:-1].tolist()


def cuts_of(path: Path, detector: DetectorName = "adaptive") -> list[float]:
    cuts = CutDetector(detector)
    found: list[float] = []
    with FrameReader(path, detection_width=128) as frames:
        for frame in frames:
            found += cuts.feed(frame.thumbnail_bgr(), frame.time_s)
    return [*found, *cuts.finish()]


def cuts_in(pictures: Sequence[Image], *, rate: float = 25.0, min_shot_s: float = 0.6) -> list[float]:
    cuts = CutDetector(min_shot_s=min_shot_s)
    found = [cut for index, picture in enumerate(pictures) for cut in cuts.feed(picture, index / rate)]
    return [*found, *cuts.finish()]


def f1(found_s: Sequence[float], true_s: Sequence[float], slack_s: float) -> float:
    """2 TP / (found + true), each true cut matched at most once."""
    left = list(true_s)
    hits = 0
    for cut_s in found_s:
        near = [true for true in left if abs(true - cut_s) <= slack_s + 1e-6]
        if near:
            left.remove(near[0])
            hits += 1
    return 2 * hits / (len(found_s) + len(true_s))


def montage(views: Sequence[Image], style: str) -> list[Image]:
    options = {"dark": {"gain": 0.2}, "noisy": {"noise": 15.0}}.get(style, {})
    motion = style if style in ("static", "pan", "zoom", "fast") else "pan"
    pictures: list[Image] = []
    for view, frames in zip(views, SHOT_FRAMES, strict=True):
        shot = filmed(view, motion, frames, **options)
        if style == "flashes":
            shot[frames // 2] = brightened(shot[frames // 2], 0.8)
        pictures += shot
    return pictures


STYLES = ["static", "pan", "zoom", "fast", "dark", "noisy", "flashes"]


@pytest.mark.parametrize("style", STYLES)
def test_hard_cuts_between_made_up_views_are_found(tmp_path: Path, style: str) -> None:
    views = [scenery(seed) for seed in range(len(SHOT_FRAMES))]
    found = cuts_of(encode(tmp_path / "clip.mp4", montage(views, style)))
    assert f1(found, [frame / 25 for frame in CUT_FRAMES], 2 / 25) >= 0.95


@pytest.mark.parametrize("style", [pytest.param(style, marks=needs_data) for style in STYLES])
def test_hard_cuts_between_photographs_are_found(tmp_path: Path, style: str) -> None:
    paths = sorted((DATA / "imagenet-sample").glob("*.JPEG"))[STYLES.index(style) * 8 :][:8]
    found = cuts_of(encode(tmp_path / "clip.mp4", montage([photograph(path) for path in paths], style)))
    assert f1(found, [frame / 25 for frame in CUT_FRAMES], 2 / 25) >= 0.95


def single_shot(kind: str) -> list[Image]:
    if kind in ("static", "pan", "fast", "zoom", "shake", "jolt"):
        return filmed(scenery(3), kind, 120)
    shot = filmed(scenery(5), "pan", 120)
    for start in (20, 57, 90):
        for late in range({"flash": 1, "long flash": 5}.get(kind, 0)):
            shot[start + late] = brightened(shot[start + late], 0.8)
        for late in range(6 if kind == "dying flash" else 0):
            shot[start + late] = brightened(shot[start + late], 0.9 - 0.15 * late)
    for index, picture in enumerate(shot):
        fade = min(1.0, index / 12, (119 - index) / 12) if kind == "fade" else 1.0
        flicker = 1 + 0.2 * np.sin(index * 2.4) if kind == "flicker" else 1.0
        shot[index] = np.clip(picture * (fade * flicker), 0, 255).astype(np.uint8)
    return [shot[index // 4 * 4] for index in range(120)] if kind == "stutter" else shot


@pytest.mark.parametrize(
    "kind",
    [
        "static",
        "pan",
        "fast",
        "zoom",
        "shake",
        "jolt",
        "flash",
        "long flash",
        "dying flash",
        "fade",
        "flicker",
        "stutter",
    ],
)
def test_no_cut_is_invented_in_a_single_shot(tmp_path: Path, kind: str) -> None:
    assert cuts_of(encode(tmp_path / "clip.mp4", single_shot(kind))) == []


REAL_SHOTS = ["cockatoo.mp4", "bottles.mp4", "parking-lot-cars.mp4", "potted-plant.mp4"]
REAL_SHOTS += [f"ucf101/v_{name}.avi" for name in ("ApplyEyeMakeup_g01_c01", "BenchPress_g01_c02", "Diving_g01_c01")]


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs_data) for name in REAL_SHOTS])
def test_no_cut_is_invented_in_a_real_single_shot(name: str) -> None:
    assert cuts_of(DATA / "media" / name) == []


@pytest.mark.parametrize(
    ("name", "rate", "cuts_s"),
    [
        pytest.param("street-bikes.mp4", 25, [1.2, 3.04, 5.48, 7.48, 9.68], marks=needs_data),
        pytest.param("big-buck-bunny.mp4", 24, [11.875, 15.75, 23.042], marks=needs_data),
    ],
)
def test_the_cuts_one_sees_in_real_clips_are_found(name: str, rate: int, cuts_s: list[float]) -> None:
    assert cuts_of(DATA / "media" / name) == pytest.approx(cuts_s, abs=2 / rate)


@pytest.mark.parametrize("detector", get_args(DetectorName))
def test_every_detector_finds_plain_cuts(tmp_path: Path, detector: DetectorName) -> None:
    views = [scenery(seed) for seed in range(len(SHOT_FRAMES))]
    found = cuts_of(encode(tmp_path / "clip.mp4", montage(views, "pan")), detector)
    assert f1(found, [frame / 25 for frame in CUT_FRAMES], 2 / 25) >= 0.95


def test_with_a_variable_frame_rate_cuts_are_at_their_true_times(tmp_path: Path) -> None:
    gaps_s = [Fraction(1, 25)] * 30 + [Fraction(1, 10)] * 30 + [Fraction(1, 4)] * 30
    times_s = [sum(gaps_s[:index], Fraction(0)) for index in range(90)]
    pictures = [picture for seed in range(3) for picture in filmed(scenery(seed), "pan", 30)]
    found = cuts_of(encode(tmp_path / "clip.mp4", pictures, times_s))
    assert found == pytest.approx([30 / 25, 30 / 25 + 30 / 10])


@pytest.mark.parametrize("rate", [10.0, 25.0, 60.0])
def test_the_shortest_shot_is_in_seconds_whatever_the_frame_rate(rate: float) -> None:
    views = [thumbnail(seed) for seed in range(4)]
    lengths_s = [2.0, 0.4, 2.0, 0.8]
    pictures = [view for view, length_s in zip(views, lengths_s, strict=True) for _ in range(round(length_s * rate))]
    assert cuts_in(pictures, rate=rate) == pytest.approx([2.0, 2.0 + 0.4 + 2.0])
    assert cuts_in(pictures, rate=rate, min_shot_s=0.3) == pytest.approx([2.0, 2.0 + 0.4, 2.0 + 0.4 + 2.0])


def test_a_flash_is_no_cut_even_when_frames_are_few() -> None:
    pictures = [thumbnail(0)] * 40
    pictures[20] = brightened(thumbnail(1), 0.5)
    assert cuts_in(pictures, rate=2.5) == []


def test_a_cut_close_to_either_end_is_found() -> None:
    pictures = [thumbnail(0)] * 4 + [thumbnail(1)] * 50 + [thumbnail(2)] * 4
    assert cuts_in(pictures) == pytest.approx([4 / 25, 54 / 25])


def test_frames_of_any_shape_are_taken() -> None:
    pictures = [thumbnail(0)] * 20 + [thumbnail(0)[::2, ::3]] * 20 + [np.zeros((1, 1, 3), np.uint8)] * 20
    assert cuts_in(pictures) == pytest.approx([40 / 25])


def test_a_video_of_one_colour_has_no_cut() -> None:
    assert cuts_in([np.full((1, 1, 3), 90, np.uint8)] * 60) == []


def test_no_cut_comes_before_the_time_that_was_called_settled() -> None:
    cuts = CutDetector()
    settled_s = 0.0
    for index in range(200):
        for cut_s in cuts.feed(thumbnail(index // 23 % 5), index / 25):
            assert cut_s >= settled_s
        assert settled_s <= cuts.settled_s <= index / 25
        settled_s = cuts.settled_s
    assert all(cut_s >= settled_s for cut_s in cuts.finish())


def test_a_cut_is_the_newest_suspect_when_its_lag_has_passed() -> None:
    cuts = CutDetector()
    suspects = []
    for index in range(100):
        cuts.feed(thumbnail(index // 25), index / 25)
        if index >= cuts.lag_frames and cuts.newest_suspect_s == (index - cuts.lag_frames) / 25:
            suspects.append(index - cuts.lag_frames)
    assert suspects == [25, 50, 75]


def test_the_same_view_is_known_when_moved_or_brighter_and_no_other() -> None:
    view = scenery(1)
    here = shrink(filmed(view, "static", 1)[0])
    assert is_same_view(here, shrink(filmed(view, "pan", 2)[1]))
    assert is_same_view(here, shrink(brightened(filmed(view, "static", 1)[0], 0.7)))
    assert not any(is_same_view(here, shrink(scenery(seed))) for seed in range(2, 16))
