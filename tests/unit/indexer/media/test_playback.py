"""What browsers get to play: the file itself, another container, or pictures and sound encoded anew."""

import io
import os
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from indexer.core.errors import UnreadableMediaError, UsageError
from indexer.core.types import Image
from indexer.media.deliver.cutting import cut_clip
from indexer.media.deliver.playback import Playback, how_to_play, stream_mp4, stream_start
from indexer.media.deliver.write import AudioTrack
from indexer.media.read.audio import iter_audio, read_audio

Pictures = Callable[..., list[Image]]
MakeClip = Callable[..., Path]
Tone = Callable[..., NDArray[np.float32]]
RATE = 25


@dataclass(frozen=True)
class Streamed:
    """A stream taken apart: each frame's time and number (told by its grey), and the sound at 48 kHz."""

    times_s: list[float]
    numbers: list[int]
    sound: NDArray[np.float32]
    codecs: tuple[str, ...]
    size: tuple[int, int]


def parsed(content: bytes, tmp_path: Path) -> Streamed:
    path = tmp_path / "streamed.mp4"
    path.write_bytes(content)
    with av.open(io.BytesIO(content)) as container:
        codecs = tuple(stream.codec_context.codec.canonical_name for stream in container.streams)
        frames = list(container.decode(video=0)) if container.streams.video else []
        greys = [float(frame.to_ndarray(format="gray").mean()) for frame in frames]
        size = (frames[0].width, frames[0].height) if frames else (0, 0)
        numbers = [round((grey - 20) / 4) for grey in greys]
        times = [float(frame.time) for frame in frames]
    sound = read_audio(path, 48_000) if "aac" in codecs or "mp3" in codecs else np.zeros(0, np.float32)
    return Streamed(times, numbers, sound, codecs, size)


def streamed(path: Path, start_s: float, tmp_path: Path, playback: Playback | None = None) -> Streamed:
    return parsed(b"".join(stream_mp4(path, start_s, playback=playback or how_to_play(path))), tmp_path)


def loud_at(sound: NDArray[np.float32]) -> float:
    """When the first loud sample is heard, in seconds."""
    return float(np.argmax(np.abs(sound) > 0.2)) / 48_000


def beep(at_s: float, length_s: float) -> AudioTrack:
    """Silence with a tone from a second on."""
    samples = np.zeros(round(length_s * 48_000), np.float32)
    first = round(at_s * 48_000)
    samples[first:] = 0.5 * np.sin(2 * np.pi * 440 * np.arange(len(samples) - first) / 48_000)
    return AudioTrack(samples, 48_000)


@pytest.fixture
def usual_priority() -> Iterator[None]:
    """SVT-AV1, run by root, gives its caller real-time priority: all that is started later would starve the rest."""
    if not hasattr(os, "sched_setscheduler"):  # not Linux
        yield
        return
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    yield
    os.sched_setscheduler(0, policy, priority)


@pytest.mark.usefixtures("usual_priority")
@pytest.mark.parametrize(
    ("name", "options", "way", "mime"),
    [
        ("a.mp4", {}, "direct", "video/mp4"),
        ("a.mov", {}, "direct", "video/mp4"),
        ("a.m4v", {"codec": "libsvtav1", "pixel_format": "yuv420p10le"}, "direct", "video/mp4"),
        ("a.webm", {"codec": "libvpx-vp9"}, "direct", "video/webm"),
        ("a.webm", {"codec": "libvpx"}, "direct", "video/webm"),
        ("a.mkv", {}, "remux", "video/mp4"),
        ("a.ts", {}, "remux", "video/mp4"),
        ("a.flv", {}, "remux", "video/mp4"),
        ("a.mkv", {"codec": "libvpx-vp9"}, "remux", "video/mp4"),
        ("a.mkv", {"codec": "libvpx"}, "transcode", "video/mp4"),
        ("a.mp4", {"codec": "libx265"}, "transcode", "video/mp4"),
        ("a.mp4", {"codec": "mpeg4"}, "transcode", "video/mp4"),
        ("a.mp4", {"pixel_format": "yuv422p"}, "transcode", "video/mp4"),
        ("a.mp4", {"pixel_format": "yuv420p10le"}, "transcode", "video/mp4"),
        ("a.avi", {"codec": "mjpeg", "pixel_format": "yuvj420p"}, "transcode", "video/mp4"),
    ],
)
def test_what_is_done_depends_on_container_and_codec(
    make_clip: MakeClip, greys: Pictures, name: str, options: dict[str, str], way: str, mime: str
) -> None:
    playback = how_to_play(make_clip(name, greys(5), **options))
    assert (playback.way, playback.mime) == (way, mime)
    assert (playback.reason == "") == (way == "direct")


@pytest.mark.parametrize(
    ("name", "codec", "way", "mime"),
    [
        ("a.mp3", "mp3", "direct", "audio/mpeg"),
        ("a.m4a", "aac", "direct", "audio/mp4"),
        ("a.flac", "flac", "direct", "audio/flac"),
        ("a.wav", "pcm_s16le", "direct", "audio/wav"),
        ("a.ogg", "libopus", "direct", "audio/ogg"),
        ("a.mka", "aac", "remux", "video/mp4"),
        ("a.mka", "ac3", "transcode", "video/mp4"),
    ],
)
def test_sound_files_play_too(make_clip: MakeClip, tone: Tone, name: str, codec: str, way: str, mime: str) -> None:
    playback = how_to_play(make_clip(name, [], audio=AudioTrack(tone(0.5), 48_000, codec)))
    assert (playback.way, playback.mime, playback.picture) == (way, mime, "none")


def test_only_what_has_to_be_encoded_is(make_clip: MakeClip, greys: Pictures, tone: Tone) -> None:
    path = make_clip("a.mkv", greys(10), audio=AudioTrack(tone(0.4), 48_000, "ac3"))
    playback = how_to_play(path)
    assert (playback.way, playback.picture, playback.sound) == ("transcode", "copy", "encode")
    assert playback.reason == "Browsers do not play ac3 sound."


def test_the_reason_names_codec_and_pixels(make_clip: MakeClip, greys: Pictures) -> None:
    reason = how_to_play(make_clip("a.mp4", greys(5), pixel_format="yuv444p")).reason
    assert reason == "Browsers do not play h264 pictures stored as yuv444p."


@pytest.mark.parametrize("content", [b"", b"no video, only words"])
def test_what_is_no_media_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(UnreadableMediaError):
        how_to_play(path)


@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.flv", "a.mp4"])
def test_a_copy_begins_at_the_keyframe_before(make_clip: MakeClip, greys: Pictures, tmp_path: Path, name: str) -> None:
    path = make_clip(name, greys(50), gop=10, preset="ultrafast", audio=beep(1.4, 2.0))
    start_s = stream_start(path, 1.0, how_to_play(path))
    assert start_s == pytest.approx(20 / RATE)
    shown = streamed(path, 1.0, tmp_path)
    assert shown.codecs == ("h264", "aac")
    assert shown.times_s == pytest.approx([i / RATE for i in range(30)])
    assert shown.numbers == list(range(20, 50))
    assert loud_at(shown.sound) == pytest.approx(1.4 - start_s, abs=0.03)


@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.mp4"])
@pytest.mark.parametrize("asked_s", [0.0, 0.79, 0.8, 1.33, 1.99])
def test_a_copy_with_pictures_out_of_order_keeps_their_times(
    make_clip: MakeClip, greys: Pictures, tmp_path: Path, name: str, asked_s: float
) -> None:
    path = make_clip(name, greys(50), gop=10, preset="medium")
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.has_b_frames, "the clip has no pictures out of order"
    playback = how_to_play(path)
    start_s, shown = stream_start(path, asked_s, playback), streamed(path, asked_s, tmp_path)
    assert start_s <= asked_s + 1e-9
    assert [round(time * RATE) for time in shown.times_s] == list(range(len(shown.times_s)))
    assert shown.numbers == [round(start_s * RATE) + i for i in range(len(shown.times_s))]
    assert shown.numbers[-1] == 49


@pytest.mark.parametrize("asked_s", [0.0, 0.5, 1.0, 1.61])
def test_what_is_encoded_begins_exactly_where_asked(
    make_clip: MakeClip, greys: Pictures, tmp_path: Path, asked_s: float
) -> None:
    path = make_clip("a.mkv", greys(50), codec="mpeg4", crf=None, bitrate=2_000_000, gop=12, audio=beep(1.8, 2.0))
    assert stream_start(path, asked_s, how_to_play(path)) == asked_s
    shown = streamed(path, asked_s, tmp_path)
    first = int(asked_s * RATE + 1e-9)
    assert shown.codecs == ("h264", "aac")
    assert shown.numbers == list(range(first, 50))
    # The frame that stands at the asked second is shown from the beginning on, until the next one's time.
    assert shown.times_s == pytest.approx([0.0, *(i / RATE - asked_s for i in range(first + 1, 50))], abs=0.001)
    assert loud_at(shown.sound) == pytest.approx(1.8 - asked_s, abs=0.03)


@pytest.mark.parametrize("name", ["a.avi", "a.flv", "a.mpg", "a.mov", "a.gif"])
@pytest.mark.parametrize("first", [0, 25])
def test_other_containers_keep_times_too(
    make_clip: MakeClip, greys: Pictures, tmp_path: Path, name: str, first: int
) -> None:
    codec = {"a.avi": "mpeg4", "a.flv": "flv", "a.mpg": "mpeg1video", "a.mov": "mjpeg", "a.gif": "gif"}[name]
    pixel_format = {"mjpeg": "yuvj420p", "gif": "gray"}.get(codec, "yuv420p")
    path = make_clip(name, greys(50), codec=codec, pixel_format=pixel_format, crf=None, bitrate=2_000_000, gop=10)
    shown = streamed(path, first / RATE, tmp_path)
    assert shown.numbers == list(range(first, 50))
    assert shown.times_s == pytest.approx([i / RATE for i in range(50 - first)], abs=0.002)


def test_a_first_frame_that_is_late_is_second_zero(make_clip: MakeClip, greys: Pictures, tmp_path: Path) -> None:
    times = [0.6 + i / RATE for i in range(40)]
    path = make_clip(
        "a.mkv", greys(40), codec="mpeg4", crf=None, bitrate=2_000_000, times_s=times, audio=beep(1.0, 2.2)
    )
    shown = streamed(path, 0.2, tmp_path)
    assert shown.numbers == list(range(5, 40))
    assert loud_at(shown.sound) == pytest.approx(1.0 - 0.6 - 0.2, abs=0.03)
    direct = how_to_play(make_clip("b.mp4", greys(40), times_s=times, audio=beep(1.0, 2.2)))
    assert (direct.way, direct.lead_s) == ("direct", pytest.approx(0.6, abs=0.001))


def test_a_clock_that_begins_late_is_made_to_begin_at_zero(
    make_clip: MakeClip, greys: Pictures, tmp_path: Path
) -> None:
    path = make_clip("a.mkv", greys(40), times_s=[0.6 + i / RATE for i in range(40)])
    late = tmp_path / "a.mp4"
    cut_clip(path, 0.0, 9.0, late)
    assert how_to_play(late).way == "direct"
    webm = make_clip("a.webm", greys(40), codec="libvpx-vp9", times_s=[0.6 + i / RATE for i in range(40)])
    playback = how_to_play(webm)
    assert (playback.way, playback.reason[:24]) == ("remux", "The file's clock does no")
    shown = streamed(webm, 0.0, tmp_path, playback)
    assert (shown.numbers[0], shown.times_s[0]) == (0, 0.0)


def test_uneven_frames_stand_until_the_next(make_clip: MakeClip, greys: Pictures, tmp_path: Path) -> None:
    path = make_clip("a.mkv", greys(4), codec="mpeg4", crf=None, bitrate=2_000_000, times_s=[0.0, 2.0, 5.0, 5.5])
    shown = streamed(path, 3.0, tmp_path)
    assert shown.numbers == [1, 2, 3]
    assert shown.times_s == pytest.approx([0.0, 2.0, 2.5], abs=0.002)


def test_pictures_are_made_small_and_stay_upright(make_clip: MakeClip, greys: Pictures, tmp_path: Path) -> None:
    path = make_clip("a.mp4", greys(3, 2000, 1000), codec="libx265", preset="ultrafast", rotation_deg=90)
    assert how_to_play(path).way == "transcode"
    # Displayed, it is 1000 x 2000, so 360 x 720, which is stored lying on its side as before.
    shown = streamed(path, 0.0, tmp_path)
    assert shown.size == (720, 360)
    from indexer.media.read.probe import probe

    facts = probe(tmp_path / "streamed.mp4")
    assert (facts.width, facts.height, facts.rotation_deg) == (360, 720, 90)


def test_a_copy_stays_upright(make_clip: MakeClip, greys: Pictures, tmp_path: Path) -> None:
    from indexer.media.read.probe import probe

    path = make_clip("a.mkv", greys(3, 96, 64), rotation_deg=90)
    assert how_to_play(path).way == "remux"
    streamed(path, 0.0, tmp_path)
    assert probe(tmp_path / "streamed.mp4").rotation_deg == probe(path).rotation_deg == 90


def test_long_pixels_become_square(make_clip: MakeClip, greys: Pictures, tmp_path: Path) -> None:
    path = make_clip("a.mp4", greys(3, 72, 60), codec="mpeg4", crf=None, bitrate=900_000, pixel_aspect=Fraction(4, 3))
    assert streamed(path, 0.0, tmp_path).size == (96, 60)


def test_a_browser_that_could_not_play_it_gets_it_encoded(clip: Path, tmp_path: Path) -> None:
    playback = how_to_play(clip)
    assert playback.way == "direct"
    again = playback.transcoded()
    assert (again.way, again.picture, again.sound, again.mime) == ("transcode", "encode", "encode", "video/mp4")
    assert streamed(clip, 1.0, tmp_path, again).numbers == list(range(25, 50))


def test_sound_alone_is_streamed(make_clip: MakeClip, tmp_path: Path) -> None:
    for codec in ("aac", "ac3"):
        track = beep(1.5, 2.0)
        path = make_clip("a.mka", [], audio=AudioTrack(track.samples, 48_000, codec))
        assert loud_at(streamed(path, 1.0, tmp_path).sound) == pytest.approx(0.5, abs=0.05)


def test_behind_the_end_of_the_sound_the_pictures_go_on(make_clip: MakeClip, greys: Pictures, tmp_path: Path) -> None:
    path = make_clip("a.mkv", greys(50), codec="mpeg4", crf=None, bitrate=2_000_000, audio=beep(0.1, 0.5))
    shown = streamed(path, 1.2, tmp_path)
    assert shown.numbers == list(range(30, 50))


def test_behind_the_end_of_sound_there_is_nothing(make_clip: MakeClip, tone: Tone) -> None:
    path = make_clip("a.mka", [], audio=AudioTrack(tone(0.5), 48_000, "ac3"))
    with pytest.raises(UsageError, match=r"nothing to play at 30\.0 s"):
        list(stream_mp4(path, 30.0, playback=how_to_play(path)))


def test_damage_does_not_end_it(make_clip: MakeClip, noise: Pictures, tmp_path: Path) -> None:
    path = make_clip("a.ts", noise(60), gop=10, preset="ultrafast")
    content = bytearray(path.read_bytes())
    third = len(content) // 3
    content[third : third + 4000] = np.random.default_rng(3).integers(0, 255, 4000, dtype=np.uint8).tobytes()
    path.write_bytes(content)
    for playback in (how_to_play(path), how_to_play(path).transcoded()):
        shown = streamed(path, 0.0, tmp_path, playback)
        assert shown.times_s[-1] == pytest.approx(59 / RATE, abs=0.1)
        assert len(shown.times_s) >= 40


def test_two_recordings_joined_are_one(make_clip: MakeClip, greys: Pictures, tmp_path: Path) -> None:
    one = make_clip("one.ts", greys(50), gop=10, preset="ultrafast")
    path = tmp_path / "joined.ts"
    path.write_bytes(one.read_bytes() * 2)
    for playback in (how_to_play(path), how_to_play(path).transcoded()):
        shown = streamed(path, 0.0, tmp_path, playback)
        # A packet at the seam counts as damaged, and may be left out.
        assert shown.numbers in (list(range(50)) * 2, [*range(49), *range(50)])
        steps = np.diff(shown.times_s)
        assert steps == pytest.approx([1 / RATE] * len(steps), abs=0.05)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp3", "mp3"), ("a.m4a", "aac"), ("a.wav", "pcm_s16le"), ("a.mka", "ac3"), ("a.ogg", "libopus")],
)
@pytest.mark.parametrize("start_s", [0.4, 1.7])
def test_sound_is_the_same_wherever_one_begins(
    make_clip: MakeClip, tmp_path: Path, name: str, codec: str, start_s: float
) -> None:
    seconds = np.arange(3 * 48_000) / 48_000
    sweep = (0.5 * np.sin(2 * np.pi * (200 + 300 * seconds) * seconds)).astype(np.float32)
    path = make_clip(name, [], audio=AudioTrack(sweep, 48_000, codec))
    whole = read_audio(path, 48_000)[round(start_s * 48_000) :]
    part = np.concatenate(list(iter_audio(path, 48_000, start_s=start_s)))
    assert len(part) == pytest.approx(len(whole), abs=48)
    # Matroska's stamps are whole milliseconds, so the two may lie half of one apart.
    middle = part[1000:30_000]
    differences = [np.abs(middle - whole[1000 + lag : 30_000 + lag]).max() for lag in range(-30, 31)]
    assert min(differences) < 0.05


def test_leaving_closes_the_file(clip: Path, open_files: Callable[[], int]) -> None:
    before = open_files()
    pieces = stream_mp4(clip, 0.0, playback=how_to_play(clip).transcoded())
    assert next(iter(pieces))
    assert open_files() > before
    pieces.close()  # type: ignore[attr-defined]
    assert open_files() == before


def test_it_comes_in_pieces(make_clip: MakeClip, noise: Pictures) -> None:
    path = make_clip("a.mkv", noise(150), gop=250, preset="ultrafast")
    pieces = [len(piece) for piece in stream_mp4(path, 0.0, playback=how_to_play(path))]
    # Six seconds in fragments of one, though there is no other keyframe than the first.
    assert max(pieces) < sum(pieces) / 3


def test_memory_does_not_grow_with_the_length(make_clip: MakeClip, noise: Pictures) -> None:
    def peak(pieces: Iterable[bytes]) -> int:
        tracemalloc.start()
        for _ in pieces:
            pass
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    short = make_clip("short.mkv", noise(100), gop=10, preset="ultrafast")
    long = make_clip("long.mkv", noise(400), gop=10, preset="ultrafast")
    peaks = [peak(stream_mp4(path, 0.0, playback=how_to_play(path))) for path in (short, long)]
    assert peaks[1] < 1.5 * peaks[0]
