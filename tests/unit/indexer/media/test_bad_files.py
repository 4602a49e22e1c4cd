"""Damage that leaves something to read: it is skipped, counted, and the rest comes out at its right time."""

import contextlib
import os
from pathlib import Path

import av
import numpy as np
import pytest

from indexer.core.errors import UnreadableMediaError
from indexer.media.deliver.write import AudioTrack
from indexer.media.read.audio import read_audio
from indexer.media.read.decode import FrameReader
from indexer.media.read.probe import looks_like_media, probe

CLIPS = [
    ("a.mp4", {"gop": 10}),
    ("a.mkv", {"gop": 10}),
    ("a.ts", {"gop": 10}),
    ("mpeg4.mkv", {"codec": "mpeg4", "bitrate": 400_000}),
    ("mpeg4.avi", {"codec": "mpeg4", "bitrate": 400_000}),
    ("mjpeg.avi", {"codec": "mjpeg", "pixel_format": "yuvj420p"}),
]


def read(path: Path) -> tuple[list[float], FrameReader]:
    with FrameReader(path) as reader:
        times_s = []
        for frame in reader:
            assert frame.image().shape == (96, 128, 3)
            times_s.append(frame.time_s)
    return times_s, reader


def garble(path: Path, start: int, length: int, seed: int = 1) -> None:
    data = bytearray(path.read_bytes())
    data[start : start + length] = np.random.default_rng(seed).bytes(length)
    path.write_bytes(data)


def move_index_to_front(source: Path, target: Path) -> None:
    with (
        av.open(str(source)) as inside,
        av.open(str(target), "w", format="mp4", container_options={"movflags": "faststart"}) as outside,
    ):
        stream = outside.add_stream_from_template(inside.streams.video[0], opaque=True)
        for packet in inside.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                outside.mux(packet)


@pytest.mark.parametrize(("name", "options"), CLIPS)
def test_garbled_bytes_in_the_middle(make_clip, noise, name, options):
    path = make_clip(name, noise(100), **options)
    garble(path, path.stat().st_size // 2, 1500)
    times_s, reader = read(path)
    assert reader.corrupt_packets >= 1
    assert 80 <= reader.frames == len(times_s) <= 100  # at most two groups of 10 pictures are hit
    assert times_s[:40] == pytest.approx([i / 25 for i in range(40)], abs=0.001)
    assert times_s[-1] == pytest.approx(99 / 25, abs=0.001)


def test_packets_that_cannot_be_decoded_at_all_are_counted_one_by_one(make_clip, noise):
    path = make_clip("a.avi", noise(20), codec="mjpeg", pixel_format="yuvj420p")
    data = bytearray(path.read_bytes())
    starts = [at for at in range(len(data)) if data[at : at + 3] == b"\xff\xd8\xff"]
    assert len(starts) == 20
    for number in (5, 11, 12):
        data[starts[number] : starts[number] + 800] = bytes(800)
    path.write_bytes(data)
    times_s, reader = read(path)
    assert reader.corrupt_packets == 3
    assert times_s == pytest.approx([i / 25 for i in range(20) if i not in (5, 11, 12)])


@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.nut"])
def test_second_half_missing(make_clip, noise, name):
    path = make_clip(name, noise(100), gop=10)
    os.truncate(path, path.stat().st_size // 2)
    times_s, reader = read(path)
    assert 40 <= reader.frames <= 60
    # The last picture may be one that others, now missing, were to be shown before.
    assert times_s[:-1] == pytest.approx([i / 25 for i in range(len(times_s) - 1)], abs=0.001)
    assert probe(path).duration_s == pytest.approx(times_s[-1] + 1 / 25, abs=0.09)


def test_mp4_cut_short_with_its_index_in_front(tmp_path, make_clip, noise):
    path = tmp_path / "front.mp4"
    move_index_to_front(make_clip("a.mp4", noise(100), gop=10), path)
    assert path.read_bytes().index(b"moov") < path.read_bytes().index(b"mdat")
    assert probe(path).duration_s == 100 / 25
    os.truncate(path, path.stat().st_size // 2)
    times_s, reader = read(path)
    assert 40 <= reader.frames <= 60
    assert probe(path).duration_s == pytest.approx(times_s[-1] + 1 / 25, abs=0.001)


def test_nothing_but_damage(make_clip, noise):
    path = make_clip("a.mp4", noise(10))
    data = path.read_bytes()
    start, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    garble(path, start, end - start)
    assert probe(path).has_picture
    with pytest.raises(UnreadableMediaError, match="none of its frames can be decoded"):
        read(path)


def test_container_that_promises_frames_and_has_none(tmp_path):
    path = tmp_path / "empty.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height = 64, 48
        container.start_encoding()
    assert probe(path).duration_s == 0
    with FrameReader(path) as reader, pytest.raises(UnreadableMediaError, match="holds no frames"):
        list(reader)


@pytest.fixture
def oversized(make_clip, noise) -> Path:
    """An IVF file whose frame 150 claims to be four gigabytes long."""
    path = make_clip("a.ivf", noise(200), codec="libvpx", bitrate=400_000)
    data = bytearray(path.read_bytes())
    at = 32
    for _ in range(150):
        at += 12 + int.from_bytes(data[at : at + 4], "little")
    data[at : at + 4] = (0xFFFFFF00).to_bytes(4, "little")
    path.write_bytes(data)
    return path


def test_place_that_cannot_be_read_is_counted(oversized):
    times_s, reader = read(oversized)
    assert reader.corrupt_packets >= 1
    assert times_s[:150] == pytest.approx([i / 25 for i in range(150)], abs=0.001)


def test_file_that_vanishes_while_it_is_read(oversized):
    with FrameReader(oversized) as reader:
        next(iter(reader))
        oversized.unlink()
        with pytest.raises(UnreadableMediaError, match="cannot be read"):
            list(reader)


def test_garbled_sound_is_silent_and_keeps_its_place(make_clip, tone):
    path = make_clip("a.mka", [], audio=AudioTrack(tone(6.0), 48_000, "libmp3lame"))
    size = path.stat().st_size
    garble(path, size // 3, size // 6)
    sound = read_audio(path, 16_000)
    assert sound.size == pytest.approx(6 * 16_000, abs=2000)
    crossings = np.flatnonzero(np.diff(np.signbit(sound[-16_000:]).astype(int)))
    assert len(crossings) == pytest.approx(2 * 440, abs=8)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi"])
def test_random_damage_never_raises_anything_else(make_clip, noise, tone, name, seed):
    audio = AudioTrack(tone(0.4), 48_000, "libmp3lame")
    path = make_clip(name, noise(10, width=48, height=32), codec="mpeg4", bitrate=200_000, audio=audio)
    chance = np.random.default_rng(seed)
    for _ in range(8):
        garble(
            path, int(chance.integers(path.stat().st_size)), int(chance.integers(1, 60)), int(chance.integers(2**32))
        )
    looks_like_media(path)
    for use in (probe, read_pictures, read_sound):
        with contextlib.suppress(UnreadableMediaError):
            use(path)


def read_pictures(path: Path) -> None:
    with FrameReader(path) as reader:
        for frame in reader:
            frame.image()
            frame.thumbnail_bgr()


def read_sound(path: Path) -> None:
    read_audio(path, 16_000)
