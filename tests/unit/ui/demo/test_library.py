"""The sample library: honest clips, the same every time, made from what is installed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from indexer.core.errors import UsageError
from indexer.corpus.sidecars import read_facts, read_text
from indexer.media.read.audio import read_audio
from indexer.media.read.decode import FrameReader
from indexer.media.read.probe import probe
from indexer.media.read.subtitles import read_embedded, read_sidecar
from tests.conftest import Begun
from ui.demo.clips import DEMO_ANSWERS, SAMPLE_CLIPS, ClipSource, SampleClip, SampleShot, View
from ui.demo.library import build_sample_library, frame_times, package_folder
from ui.demo.pictures import film_still
from ui.services.query_pictures import read_picture

CLIPS = {clip.name: clip for clip in SAMPLE_CLIPS}
SAFARI, TOUCHLINE, LETTERS = CLIPS["animals/safari.mp4"], CLIPS["sport/touchline.mp4"], CLIPS["travel/letters.mp4"]
MEMO, NIGHT_SIDE, LISTENER = CLIPS["voices/memo.mp4"], CLIPS["space/night-side.mkv"], CLIPS["film/listener.mp4"]

needs_gradio = pytest.mark.skipif(package_folder("gradio") is None, reason="gradio (the extra web) is not installed")
pytestmark = needs_gradio


def is_there(source: ClipSource) -> bool:
    folder = package_folder(source.package)
    return folder is not None and (folder / source.path).is_file()


def missing(*packages: str) -> Callable[[str], Path | None]:
    return lambda package: None if package in packages else package_folder(package)


BUILT = [clip for clip in SAMPLE_CLIPS if all(map(is_there, clip.sources))]
each_clip = pytest.mark.parametrize("clip", BUILT, ids=lambda clip: clip.name)


@pytest.fixture(scope="module")
def library(begun: Begun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All clips: those that the demo made where it runs anyway, and otherwise made here."""
    if "demo" in begun:
        made: Path = begun["demo"].result().library
        return made
    folder = tmp_path_factory.mktemp("library")
    build_sample_library(folder)
    return folder


def changes(path: Path) -> tuple[list[float], list[float]]:
    """The time of every frame but the first, and its mean difference from the frame before, in grey levels."""
    times, differences = [], []
    before = None
    with FrameReader(path) as reader:
        for frame in reader:
            thumbnail = frame.thumbnail_bgr().astype(np.float32)
            if before is not None:
                times.append(frame.time_s)
                differences.append(float(np.abs(thumbnail - before).mean()))
            before = thumbnail
    return times, differences


def image_at(path: Path, time_s: float) -> np.ndarray:
    with FrameReader(path) as reader:
        return next(frame.image() for frame in reader if frame.time_s >= time_s)


@each_clip
def test_a_clip_is_what_the_table_says(library: Path, clip: SampleClip) -> None:
    facts = probe(library / clip.name)
    assert (facts.width, facts.height) == (clip.width, clip.height)
    assert facts.has_audio == bool(clip.sound)
    assert facts.duration_s == pytest.approx(float(clip.length), abs=0.1)
    assert facts.frame_rate is not None
    assert float(facts.frame_rate) == pytest.approx(float(clip.rate), rel=0.03)


@each_clip
def test_the_cuts_are_where_the_table_says_and_nowhere_else(library: Path, clip: SampleClip) -> None:
    times, differences = changes(library / clip.name)
    ranked = sorted(zip(differences, times, strict=True), reverse=True)
    cuts = ranked[: len(clip.cuts_s)]
    assert sorted(time for _, time in cuts) == pytest.approx(clip.cuts_s, abs=1e-3)
    calmest_cut = min([difference for difference, _ in cuts], default=25.0)
    assert ranked[len(cuts)][0] < calmest_cut / 2.5


@each_clip
def test_every_frame_is_on_time(library: Path, clip: SampleClip) -> None:
    with FrameReader(library / clip.name) as reader:
        times = [frame.time_s for frame in reader]
    assert times == pytest.approx([float(time) for time in frame_times(clip)], abs=1e-3)


def test_the_camera_glides_by_fractions_of_a_pixel() -> None:
    spot = (500.0, 300.0)
    rows, columns = np.mgrid[0:600, 0:1000]
    light = 255 * np.exp(-((columns - spot[0]) ** 2 + (rows - spot[1]) ** 2) / (2 * 12.0**2))
    picture = np.repeat(np.rint(light)[..., None], 3, axis=2).astype(np.uint8)
    shot = SampleShot(Fraction(4), views=(View(0.44, 0.5, 0.6), View(0.54, 0.5, 0.6)))
    times = [float(Fraction(number, 24)) for number in range(96)]
    seen = [centre_of_light(frame) for frame in film_still(picture, shot, times, (600, 360))]
    eased = [progress * progress * (3 - 2 * progress) for progress in (time / 4 for time in times)]
    # The view is 600 pixels wide and shown 600 wide: its left edge is at (x - 0.3) * 1000, its top at 300 - 180.
    expected = [(spot[0] - (440 + 100 * part - 300), 180.0) for part in eased]
    np.testing.assert_allclose(seen, expected, atol=0.1)


def centre_of_light(frame: np.ndarray) -> tuple[float, float]:
    light = frame[..., 0].astype(np.float64)
    rows, columns = np.mgrid[0 : light.shape[0], 0 : light.shape[1]]
    return float((columns * light).sum() / light.sum()), float((rows * light).sum() / light.sum())


@pytest.mark.parametrize("clip", [clip for clip in BUILT if clip.sound], ids=lambda clip: clip.name)
def test_the_sound_is_heard_and_never_clipped(library: Path, clip: SampleClip) -> None:
    samples = read_audio(library / clip.name, 16_000)
    assert len(samples) / 16_000 == pytest.approx(float(clip.length), abs=0.1)
    assert 0.05 < np.abs(samples).max() < 1.0


def test_a_memo_speaks_after_a_pause(library: Path) -> None:
    samples = read_audio(library / MEMO.name, 16_000)
    pause, speech = samples[: int(0.4 * 16_000)], samples[int(0.5 * 16_000) : int(3.5 * 16_000)]
    assert np.abs(pause).max() < 0.01
    assert np.sqrt(np.square(speech).mean()) > 0.05


@pytest.mark.parametrize("clip", [SAFARI, LETTERS], ids=lambda clip: clip.name)
def test_a_title_is_burnt_in_for_its_span_only(library: Path, clip: SampleClip) -> None:
    assert clip.title is not None
    path = library / clip.name
    middle_s = (clip.title.start_s + clip.title.end_s) / 2
    assert white_share(image_at(path, middle_s)) > 0.03
    assert white_share(image_at(path, 0.0)) < 0.01
    assert white_share(image_at(path, clip.title.end_s)) < 0.01


def white_share(image: np.ndarray) -> float:
    """The share of white in the middle of the lower third, where a title's letters are."""
    height, width = image.shape[:2]
    words = image[int(height * 0.76) : int(height * 0.84), int(width * 0.25) : int(width * 0.75)]
    return float((words.min(axis=2) > 225).mean())


def test_two_clips_have_a_title() -> None:
    assert sum(clip.title is not None for clip in SAMPLE_CLIPS) == 2


def test_sidecars_and_streams_read_back_as_they_were_meant(library: Path) -> None:
    assert read_sidecar((library / LETTERS.name).with_suffix(".en.srt")) == list(LETTERS.subtitles)
    inner = read_embedded(library / NIGHT_SIDE.name, probe(library / NIGHT_SIDE.name).text_subtitle_streams[0])
    assert [cue.text for cue in inner] == [cue.text for cue in NIGHT_SIDE.inner_subtitles]
    assert [cue.start_s for cue in inner] == pytest.approx([cue.start_s for cue in NIGHT_SIDE.inner_subtitles])
    described = next(clip for clip in SAMPLE_CLIPS if clip.description)
    assert read_text((library / described.name).with_suffix(".txt")) == described.description.strip()
    facts = read_facts((library / LISTENER.name).with_suffix(".json"))
    assert (facts.title, facts.label) == ("The listener", "film")
    assert dict(facts.facets) == {"mood": "quiet", "year": 2014}


def test_there_is_nothing_in_the_library_but_clips_and_sidecars(library: Path) -> None:
    sidecars = {".en.srt": "subtitles", ".txt": "description", ".json": "facts"}
    expected = {library / clip.name for clip in BUILT}
    expected |= {
        (library / clip.name).with_suffix(suffix)
        for clip in BUILT
        for suffix, field in sidecars.items()
        if getattr(clip, field)
    }
    assert {path for path in library.rglob("*") if path.is_file()} == expected


def test_the_same_bytes_every_time(library: Path, tmp_path: Path) -> None:
    assert (library / MEMO.name).read_bytes() == build_sample_library(tmp_path, clips=[MEMO])[0].read_bytes()
    clips = [shortened(NIGHT_SIDE), shortened(SAFARI)]
    told: list[str] = []
    once = build_sample_library(tmp_path / "once", clips=clips, progress=told.append)
    assert once == [tmp_path / "once" / clip.name for clip in clips]
    assert len(told) == len(clips)
    again = build_sample_library(tmp_path / "again", clips=clips)
    assert [path.read_bytes() for path in once] == [path.read_bytes() for path in again]


def shortened(clip: SampleClip) -> SampleClip:
    """The first second of a clip's first shot."""
    return replace(clip, shots=(replace(clip.shots[0], seconds=Fraction(1)),), inner_subtitles=clip.inner_subtitles[:1])


def test_the_demo_queries_have_answers() -> None:
    assert len(DEMO_ANSWERS) == 5
    for name, start_s, end_s in DEMO_ANSWERS.values():
        assert 0 <= start_s < end_s <= float(CLIPS[name].length)
    name, start_s, end_s = DEMO_ANSWERS["the ferry left without us"]
    spoken = [cue.text for cue in CLIPS[name].subtitles if (cue.start_s, cue.end_s) == (start_s, end_s)]
    assert spoken == ["Below us the ferry left without anyone noticing."]


@pytest.mark.parametrize("clip", SAMPLE_CLIPS, ids=lambda clip: clip.name)
def test_the_table_contradicts_itself_nowhere(clip: SampleClip) -> None:
    assert 5 <= float(clip.length) <= 20
    assert all((shot.seconds * clip.rate).denominator == 1 for shot in clip.shots), "a shot ends within a frame"
    assert len(clip.cuts_s) == len(clip.shots) - 1
    cues: Sequence[float] = [time for cue in clip.subtitles + clip.inner_subtitles for time in (cue.start_s, cue.end_s)]
    assert sorted(cues) == list(cues)
    assert all(time <= float(clip.length) for time in cues)


@pytest.mark.parametrize("shot", [shot for clip in BUILT for shot in clip.shots if shot.picture])
def test_a_camera_never_looks_past_the_picture(shot: SampleShot) -> None:
    assert shot.picture is not None
    folder = package_folder(shot.picture.package)
    assert folder is not None
    height, width = read_picture(folder / shot.picture.path).shape[:2]
    clip = next(clip for clip in SAMPLE_CLIPS if shot in clip.shots)
    for view in shot.views:
        half_width, half_height = view.width / 2, view.width * width * clip.height / clip.width / height / 2
        assert -0.005 <= view.x - half_width <= view.x + half_width <= 1.005
        assert -0.005 <= view.y - half_height <= view.y + half_height <= 1.005


def test_frame_times_are_exact() -> None:
    assert frame_times(SAFARI) == [Fraction(number, 24) for number in range(12 * 24)]
    uneven = frame_times(MEMO)
    lengths = {later - earlier for earlier, later in pairwise(uneven)}
    assert lengths == {Fraction(thirds, 60) for thirds in (1, 2, 3, 4, 5)}
    assert 0 <= float(MEMO.length) - float(uneven[-1]) <= 5 / 60
    assert len(uneven) == 9 * 20


def test_without_ultralytics_its_clips_are_left_out_and_that_is_said(tmp_path: Path) -> None:
    told: list[str] = []
    clips = [TOUCHLINE, MEMO]
    assert build_sample_library(tmp_path, progress=told.append, locate=missing("ultralytics"), clips=clips) == [
        tmp_path / MEMO.name
    ]
    assert told[0].startswith("sport/touchline.mp4 left out")
    assert "pip install 'sceneseek[objects]'" in told[0]
    assert not (tmp_path / TOUCHLINE.name).exists()


def test_without_gradio_the_error_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"pip install 'sceneseek\[web\]'"):
        build_sample_library(tmp_path / "new", locate=missing("gradio"))
    assert not (tmp_path / "new").exists()


def test_a_package_without_the_file_is_named(tmp_path: Path) -> None:
    def locate(package: str) -> Path | None:
        return tmp_path if package == "gradio" else package_folder(package)

    with pytest.raises(UsageError, match=r"media_assets/.* which the installed gradio"):
        build_sample_library(tmp_path / "new", locate=locate)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="file"):
        build_sample_library(tmp_path / "file", clips=[MEMO])


def test_packages_are_found_without_being_imported() -> None:
    code = (
        "import sys; from ui.demo.library import package_folder\n"
        "assert package_folder('gradio') and package_folder('no_such_package') is None\n"
        "print(*{'gradio', 'ultralytics', 'sklearn', 'torch', 'chromadb'} & set(sys.modules))"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == ""
