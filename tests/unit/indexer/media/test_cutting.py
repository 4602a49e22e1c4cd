"""Clips cut out of a file: what is in them, from when to when, and what happens where that cannot be done."""

import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from indexer.core.errors import UnreadableMediaError, UsageError
from indexer.core.types import Image
from indexer.media.deliver.cutting import cut_clip, suffix_of_cut
from indexer.media.deliver.write import AudioTrack, ClipOptions, write_clip
from indexer.media.read.audio import read_audio
from indexer.media.read.decode import FrameReader
from indexer.media.read.probe import probe

Pictures = Callable[..., list[Image]]
MakeClip = Callable[..., Path]
Tone = Callable[..., NDArray[np.float32]]
RATE = 25


def numbers_in(path: Path) -> tuple[list[float], list[int]]:
    """Each frame's time, and its number as its grey tells it."""
    with FrameReader(path) as reader:
        frames = [(frame.time_s, float(frame.grey(64).mean())) for frame in reader]
    return [time_s for time_s, _ in frames], [round((grey - 20) / 4) for _, grey in frames]


def beep(at_s: float, length_s: float, codec: str = "aac") -> AudioTrack:
    samples = np.zeros(round(length_s * 48_000), np.float32)
    first = round(at_s * 48_000)
    samples[first:] = 0.5 * np.sin(2 * np.pi * 440 * np.arange(len(samples) - first) / 48_000)
    return AudioTrack(samples, 48_000, codec)


def loud_at(path: Path) -> float:
    return float(np.argmax(np.abs(read_audio(path, 48_000)) > 0.2)) / 48_000


def test_packets_are_copied_from_the_keyframe_before(make_clip: MakeClip, greys: Pictures, tmp_path: Path) -> None:
    path = make_clip("a.mp4", greys(50), gop=10, preset="ultrafast", audio=beep(1.2, 2.0))
    cut = cut_clip(path, 1.0, 1.6, tmp_path / "cut.mp4")
    assert (cut.start_s, cut.is_encoded) == (pytest.approx(20 / RATE), False)
    times, numbers = numbers_in(cut.path)
    assert numbers == list(range(20, 40))
    assert times == pytest.approx([i / RATE for i in range(20)], abs=0.001)
    assert cut.end_s == pytest.approx(1.6, abs=0.03)
    assert loud_at(cut.path) == pytest.approx(1.2 - cut.start_s, abs=0.03)


@given(start=st.integers(0, 45), length=st.integers(1, 30), suffix=st.sampled_from([".mp4", ".mkv"]))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_copy_holds_all_that_was_asked(greys: Pictures, tmp_path: Path, start: int, length: int, suffix: str) -> None:
    path = tmp_path / f"source{suffix}"
    if not path.exists():
        write_clip(path, greys(50), options=ClipOptions(gop=12, preset="medium"))
    cut = cut_clip(path, start / RATE, (start + length) / RATE, tmp_path / f"cut{suffix}")
    times, numbers = numbers_in(cut.path)
    first = start // 12 * 12
    assert numbers[: min(50, start + length) - first] == list(range(first, min(50, start + length)))
    assert cut.start_s == pytest.approx(first / RATE, abs=0.001)
    # Some frames more, if those that were asked for are made from them.
    assert min(50, start + length) <= numbers[-1] + 1 <= min(50, start + length + 4)
    assert times == pytest.approx([(number - first) / RATE for number in numbers], abs=0.001)


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_an_exact_clip_is_encoded(make_clip: MakeClip, greys: Pictures, tmp_path: Path, codec: str) -> None:
    quality = {} if codec == "libx264" else {"crf": None, "bitrate": 2_000_000}
    path = make_clip("a.mkv", greys(50), codec=codec, gop=30, audio=beep(1.2, 2.0), **quality)
    cut = cut_clip(path, 1.0, 1.6, tmp_path / "cut.mp4", exact=True)
    assert (cut.start_s, cut.is_encoded) == (1.0, True)
    times, numbers = numbers_in(cut.path)
    assert numbers == list(range(25, 40))
    assert times == pytest.approx([i / RATE for i in range(15)], abs=0.001)
    assert loud_at(cut.path) == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize(
    ("name", "options", "suffix"),
    [
        ("a.mp4", {}, ".mp4"),
        ("a.mov", {}, ".mov"),
        ("a.mkv", {}, ".mkv"),
        ("a.webm", {"codec": "libvpx", "preset": None}, ".webm"),
        ("a.ts", {}, ".mp4"),
        ("a.flv", {}, ".mp4"),
        ("a.avi", {"codec": "mpeg4", "crf": None, "bitrate": 900_000}, ".mp4"),
        ("a.mpg", {"codec": "mpeg1video", "crf": None, "bitrate": 900_000}, ".mp4"),
    ],
)
def test_the_kind_of_file_is_the_same_or_one_that_holds_a_copy(
    make_clip: MakeClip, greys: Pictures, tmp_path: Path, name: str, options: dict[str, object], suffix: str
) -> None:
    sound = AudioTrack(beep(1.0, 2.0).samples, 48_000, "libopus") if suffix == ".webm" else beep(1.2, 2.0)
    path = make_clip(name, greys(50), gop=5, audio=None if name in ("a.avi", "a.mpg") else sound, **options)
    assert suffix_of_cut(path) == suffix
    cut = cut_clip(path, 1.0, 1.6, tmp_path / f"cut{suffix}")
    assert not cut.is_encoded
    assert cut.start_s == pytest.approx(1.0, abs=0.001)
    assert numbers_in(cut.path)[1][:15] == list(range(25, 40))


@pytest.mark.parametrize(
    ("name", "codec", "suffix"),
    [("a.mp3", "mp3", ".mp3"), ("a.wav", "pcm_s16le", ".wav"), ("a.m4a", "aac", ".m4a"), ("a.flac", "flac", ".mka")],
)
def test_sound_is_cut_too(make_clip: MakeClip, tmp_path: Path, name: str, codec: str, suffix: str) -> None:
    path = make_clip(name, [], audio=beep(1.5, 3.0, codec))
    assert suffix_of_cut(path) == suffix
    cut = cut_clip(path, 1.0, 2.5, tmp_path / f"cut{suffix}")
    assert not cut.is_encoded
    # Whole packets, which have 0.1 s at most.
    assert 0.9 <= cut.start_s <= 1.0
    assert 2.5 <= cut.end_s + 0.001 <= 2.6
    assert probe(cut.path).duration_s == pytest.approx(cut.end_s - cut.start_s, abs=0.03)
    assert loud_at(cut.path) == pytest.approx(1.5 - cut.start_s, abs=0.06)


@pytest.mark.parametrize(
    ("name", "codec", "suffix"),
    [("a.mp3", "mp3", ".mp3"), ("a.wav", "pcm_s16le", ".wav"), ("a.m4a", "aac", ".m4a"), ("a.flac", "flac", ".mka")],
)
@pytest.mark.parametrize(("start_s", "end_s"), [(0.0, 0.01), (1.0, 1.02), (1.9, 20.0), (1.99, 2.5)])
def test_a_short_piece_of_sound_holds_what_was_asked(
    make_clip: MakeClip, tmp_path: Path, name: str, codec: str, suffix: str, start_s: float, end_s: float
) -> None:
    path = make_clip(name, [], audio=beep(0.0, 2.0, codec))
    cut = cut_clip(path, start_s, end_s, tmp_path / f"cut{suffix}")
    # An MP3 is widened by a quarter of a second to each side, the others to whole packets.
    assert start_s - 0.3 <= cut.start_s <= start_s
    assert min(end_s, 2.0) <= cut.end_s + 0.001 <= min(end_s, 2.0) + 0.3
    samples = read_audio(cut.path, 48_000)
    assert len(samples) / 48_000 == pytest.approx(cut.end_s - cut.start_s, abs=0.03)
    assert float(np.abs(samples).max()) > 0.3


def test_what_a_container_cannot_hold_is_encoded(make_clip: MakeClip, greys: Pictures, tmp_path: Path) -> None:
    path = make_clip("a.webm", greys(50), codec="libvpx")
    assert suffix_of_cut(path) == ".webm"
    cut = cut_clip(path, 1.0, 1.6, tmp_path / "cut.mp4")
    assert cut.is_encoded
    assert numbers_in(cut.path)[1] == list(range(25, 40))


def test_a_copy_stays_upright(make_clip: MakeClip, greys: Pictures, tmp_path: Path) -> None:
    path = make_clip("a.mp4", greys(10, 96, 64), rotation_deg=90)
    facts = probe(cut_clip(path, 0.0, 1.0, tmp_path / "cut.mp4").path)
    assert (facts.width, facts.height, facts.rotation_deg) == (64, 96, 90)


def test_an_end_behind_the_end_is_the_end(clip: Path, tmp_path: Path) -> None:
    cut = cut_clip(clip, 0.0, 100.0, tmp_path / "cut.mp4")
    assert cut.end_s == pytest.approx(2.0, abs=0.03)
    assert numbers_in(cut.path)[1] == list(range(50))


@pytest.mark.parametrize(
    ("start_s", "end_s"), [(1.0, 1.0), (2.0, 1.0), (-1.0, 1.0), (math.nan, 1.0), (1.0, math.nan), (1.0, math.inf)]
)
def test_an_empty_span_is_refused(clip: Path, tmp_path: Path, start_s: float, end_s: float) -> None:
    with pytest.raises(UsageError, match="cannot go from"):
        cut_clip(clip, start_s, end_s, tmp_path / "cut.mp4")


def test_a_clip_behind_the_end_of_sound_leaves_nothing(make_clip: MakeClip, tmp_path: Path) -> None:
    path = make_clip("a.mp3", [], audio=beep(0.1, 1.0, "mp3"))
    with pytest.raises(UsageError, match="nothing to cut out"):
        cut_clip(path, 50.0, 60.0, tmp_path / "cut.mp3")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.mp3"]


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("has_sound", [False, True])
def test_a_clip_behind_the_end_of_the_pictures_leaves_nothing(
    make_clip: MakeClip, greys: Pictures, tmp_path: Path, suffix: str, has_sound: bool, exact: bool
) -> None:
    path = make_clip(f"a{suffix}", greys(50), gop=25, audio=beep(0.0, 2.0) if has_sound else None)
    for start_s in (2.1, 2.5, 50.0):
        with pytest.raises(UsageError, match="has ended"):
            cut_clip(path, start_s, start_s + 0.5, tmp_path / f"cut{suffix}", exact=exact)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".avi"])
@pytest.mark.parametrize("exact", [False, True])
def test_the_last_frame_is_there_until_it_ends(
    make_clip: MakeClip, greys: Pictures, tmp_path: Path, suffix: str, exact: bool
) -> None:
    options = {"codec": "mpeg4", "crf": None, "bitrate": 900_000} if suffix == ".avi" else {}
    path = make_clip(f"a{suffix}", greys(50), gop=25, **options)
    cut = cut_clip(path, 1.98, 9.0, tmp_path / "cut.mp4", exact=exact)
    assert cut.end_s == pytest.approx(50 / RATE, abs=0.001)
    assert numbers_in(cut.path)[1][-1] == 49


def slides(path: Path, *times_s: float) -> Path:
    """Pictures that stand for seconds, in a file that does not say how long."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number, time_s in enumerate(times_s):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 + 4 * number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = round(time_s * RATE), Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("exact", [False, True])
def test_a_picture_stands_until_the_next_one(tmp_path: Path, exact: bool) -> None:
    path = slides(tmp_path / "slides.mkv", 0.0, 8.0, 8.04, 8.08, 8.12)
    cut = cut_clip(path, 5.0, 6.0, tmp_path / "cut.mp4", exact=exact)
    assert numbers_in(cut.path)[1] == [0]
    if exact:
        assert (cut.start_s, cut.end_s) == (5.0, 6.0)
        assert probe(cut.path).duration_s == pytest.approx(6.0 - 5.0, abs=0.001)


@pytest.mark.parametrize("has_sound", [False, True])
@pytest.mark.parametrize("frames", [1, 2, 15])
def test_an_encoded_clip_ends_where_its_last_picture_ends(
    make_clip: MakeClip, greys: Pictures, tmp_path: Path, frames: int, has_sound: bool
) -> None:
    path = make_clip("a.mp4", greys(50), audio=beep(0.0, 2.0) if has_sound else None)
    cut = cut_clip(path, 1.0, 1.0 + frames / RATE, tmp_path / "cut.mp4", exact=True)
    assert numbers_in(cut.path)[1] == list(range(25, 25 + frames))
    # AAC comes in packets of 1024 samples.
    assert cut.end_s == pytest.approx(1.0 + frames / RATE, abs=0.022 if has_sound else 0.001)
    assert probe(cut.path).duration_s == pytest.approx(frames / RATE, abs=0.022 if has_sound else 0.001)


def test_a_neighbour_of_a_like_name_is_left_alone(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.mp4.tmp").write_text("mine")
    cut_clip(clip, 0.0, 1.0, tmp_path / "cut.mp4")
    assert (tmp_path / "cut.mp4.tmp").read_text() == "mine"
    assert {entry.name for entry in tmp_path.iterdir()} == {"clip.mp4", "cut.mp4", "cut.mp4.tmp"}


def test_an_unknown_kind_of_file_is_refused(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.xyz"):
        cut_clip(clip, 0.0, 1.0, tmp_path / "cut.xyz")


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"no video, only words")
    with pytest.raises(UnreadableMediaError):
        suffix_of_cut(path)
    with pytest.raises(UnreadableMediaError):
        cut_clip(path, 0.0, 1.0, tmp_path / "cut.mp4")
    assert not (tmp_path / "cut.mp4").exists()


def test_an_empty_place_in_avi_keeps_its_time(make_clip: MakeClip, greys: Pictures, tmp_path: Path) -> None:
    # Sound that is padded at its beginning makes the writer leave out a place.
    path = make_clip("a.avi", greys(50), codec="mpeg4", crf=None, bitrate=900_000, gop=5, audio=beep(1.2, 2.0))
    times, numbers = numbers_in(path)
    assert times[1] == pytest.approx(2 / RATE), "the file has no empty place"
    cut = cut_clip(path, 1.0, 1.6, tmp_path / "cut.mp4")
    assert (cut.is_encoded, cut.start_s) == (False, pytest.approx(1.0))
    assert numbers_in(cut.path)[1][0] == numbers[times.index(1.0)]


def test_the_copy_is_bit_for_bit(make_clip: MakeClip, noise: Pictures, tmp_path: Path) -> None:
    path = make_clip("a.mp4", noise(50), gop=10)
    cut = cut_clip(path, 0.0, 1.0, tmp_path / "cut.mp4")
    with av.open(str(path)) as one, av.open(str(cut.path)) as other:
        packets = [bytes(packet) for packet in one.demux(video=0) if packet.size]
        copied = [bytes(packet) for packet in other.demux(video=0) if packet.size]
    assert len(copied) >= 25
    assert copied == packets[: len(copied)]
