import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from hypothesis import given
from hypothesis import strategies as st

from indexer.core.errors import UnreadableMediaError
from indexer.core.types import Cue
from indexer.media.deliver.write import AudioTrack
from indexer.media.read.probe import PacketSpan, looks_like_media, probe


def test_facts_of_an_ordinary_clip(clip):
    facts = probe(clip)
    assert facts.duration_s == 50 / 25
    assert facts.frame_rate == Fraction(25)
    assert (facts.width, facts.height, facts.rotation_deg) == (64, 48, 0)
    assert (facts.has_picture, facts.has_audio) == (True, True)
    assert facts.title == "A clip"
    assert facts.text_subtitle_streams == ()


def test_ntsc_rate_is_exact(make_clip, greys):
    facts = probe(make_clip("ntsc.mp4", greys(30), rate=Fraction(30_000, 1001)))
    assert facts.frame_rate == Fraction(30_000, 1001)
    assert facts.duration_s == pytest.approx(30 * 1001 / 30_000, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mkv", "libx264"),
        ("a.webm", "libvpx"),
        ("a.avi", "mpeg4"),
        ("a.mov", "mpeg4"),
        ("a.ts", "libx264"),
        ("a.mpg", "mpeg2video"),
        ("a.flv", "flv"),
        ("a.nut", "libx264"),
    ],
)
def test_duration_in_every_container(make_clip, greys, name, codec):
    path = make_clip(name, greys(25), codec=codec)
    assert probe(path).duration_s == pytest.approx(25 / 25, abs=0.05)
    assert looks_like_media(path)


@pytest.mark.parametrize("name", ["vfr.mp4", "vfr.mkv"])
def test_duration_with_uneven_frames_reaches_the_last_one(make_clip, greys, name):
    path = make_clip(name, greys(5), times_s=[0, 0.1, 0.5, 0.52, 1.7])
    assert probe(path).duration_s == pytest.approx(1.7 + 1 / 25, abs=0.002)


@pytest.mark.parametrize("name", ["late.mp4", "late.mkv", "late.nut"])
def test_duration_counts_from_the_first_frame(make_clip, greys, name):
    path = make_clip(name, greys(10), times_s=[5 + i / 25 for i in range(10)])
    assert probe(path).duration_s == pytest.approx(10 / 25, abs=0.002)


def test_duration_is_the_picture_s_where_the_sound_is_longer(make_clip, greys, tone):
    path = make_clip("long-sound.mkv", greys(25), audio=AudioTrack(tone(3.0), 48_000))
    assert probe(path).duration_s == pytest.approx(25 / 25, abs=0.002)


def test_raw_stream_is_measured_by_its_packets(tmp_path, make_clip, greys):
    source = make_clip("a.ts", greys(40), gop=10)
    raw = tmp_path / "raw.h264"
    _copy_picture_stream(source, raw, "h264")
    with av.open(str(raw)) as container:
        assert container.format.name == "h264"
    assert probe(raw).duration_s == pytest.approx(40 / 25, abs=0.05)


def test_impossible_length_in_the_header_is_not_believed(make_clip, greys):
    path = make_clip("broken.avi", greys(20), codec="mpeg4")
    data = bytearray(path.read_bytes())
    for chunk, offset in ((b"avih", 24), (b"strh", 40)):
        at = data.index(chunk) + offset
        data[at : at + 4] = (50_000_000).to_bytes(4, "little")
    path.write_bytes(data)
    assert probe(path).duration_s == pytest.approx(20 / 25, abs=0.05)


def test_one_frame(make_clip, greys):
    facts = probe(make_clip("one.mp4", greys(1)))
    assert facts.duration_s == 1 / 25


@pytest.mark.parametrize("degrees", [90, 270])
def test_turned_picture_is_measured_as_displayed(make_clip, greys, degrees):
    facts = probe(make_clip("turned.mp4", greys(3, width=64, height=48), rotation_deg=degrees))
    assert (facts.width, facts.height, facts.rotation_deg) == (48, 64, degrees)


def test_pixel_aspect_is_applied(make_clip, greys):
    facts = probe(make_clip("wide.mp4", greys(3, width=64, height=48), pixel_aspect=Fraction(16, 11)))
    assert (facts.width, facts.height) == (round(64 * 16 / 11), 48)


def test_text_subtitle_streams_are_listed(make_clip, greys):
    facts = probe(make_clip("subtitled.mkv", greys(50), subtitles=(Cue(0.5, 1.0, "hello"),)))
    assert facts.text_subtitle_streams == (1,)


@pytest.mark.parametrize(("name", "codec"), [("a.mp3", "libmp3lame"), ("a.wav", "pcm_s16le"), ("a.flac", "flac")])
def test_sound_only(make_clip, tone, name, codec):
    path = make_clip(name, [], audio=AudioTrack(tone(1.0), 48_000, codec))
    facts = probe(path)
    assert (facts.has_picture, facts.has_audio, facts.frame_rate) == (False, True, None)
    assert (facts.width, facts.height) == (0, 0)
    assert facts.duration_s == pytest.approx(1.0, abs=0.06)
    assert looks_like_media(path)


@pytest.mark.parametrize(("name", "format_", "codec"), [("a.mp3", "mp3", "libmp3lame"), ("a.m4a", "mp4", "aac")])
def test_cover_art_is_no_picture(tmp_path, tone, name, format_, codec):
    path = tmp_path / name
    _write_song_with_cover(path, format_, codec, tone(1.0))
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 1
    facts = probe(path)
    assert (facts.has_picture, facts.has_audio, facts.width) == (False, True, 0)
    assert facts.duration_s == pytest.approx(1.0, abs=0.1)


def test_empty_file(tmp_path):
    path = tmp_path / "empty.mp4"
    path.touch()
    with pytest.raises(UnreadableMediaError, match=r"empty\.mp4 is empty"):
        probe(path)
    assert not looks_like_media(path)


def test_text_with_a_video_s_name(tmp_path):
    path = tmp_path / "notes.mp4"
    path.write_text("These are my notes.\n" * 50)
    with pytest.raises(UnreadableMediaError, match="is not a video or audio file"):
        probe(path)
    assert not looks_like_media(path)


def test_recording_without_its_table_of_contents(tmp_path, clip):
    path = tmp_path / "cut.mp4"
    data = clip.read_bytes()
    path.write_bytes(data[: data.index(b"moov") - 4])
    with pytest.raises(UnreadableMediaError, match="table of contents is missing") as raised:
        probe(path)
    assert "cut short" in raised.value.hint


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(UnreadableMediaError, match="cannot be read"):
        probe(tmp_path / "nowhere.mp4")
    with pytest.raises(UnreadableMediaError, match="is not a file"):
        probe(tmp_path)
    assert not looks_like_media(tmp_path / "nowhere.mp4")
    assert not looks_like_media(tmp_path)


def test_file_that_may_not_be_read(clip):
    if os.name != "posix":
        pytest.skip("permissions are POSIX's")
    clip.chmod(0)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65_534)
    try:
        with pytest.raises(UnreadableMediaError, match="cannot be read: Permission denied"):
            probe(clip)
        assert not looks_like_media(clip)
    finally:
        if is_root:
            os.seteuid(0)


def test_a_queue_is_not_waited_for(tmp_path):
    path = tmp_path / "pipe.mp4"
    os.mkfifo(path)
    with pytest.raises(UnreadableMediaError, match="is not a file"):
        probe(path)


@pytest.mark.parametrize("name", ["film.txt", "film", "film.mp3", "film.jpg"])
def test_contents_count_and_not_the_name(clip, name):
    renamed = clip.rename(clip.with_name(name))
    assert (probe(renamed).width, probe(renamed).height) == (64, 48)
    assert looks_like_media(renamed)


@pytest.mark.parametrize(
    "name",
    [
        "Фильм о кошке 猫.mp4",
        'it\'s "quoted".mp4',
        "two\nlines.mp4",
        "file:odd%03d[0-9]*?.mp4",
        "concat:a|b.mp4",
        "-i.mp4",
        os.fsdecode(b"\xff\xfe.mp4"),
    ],
)
def test_any_name_will_do(clip, name):
    renamed = clip.rename(clip.with_name(name))
    assert probe(renamed).duration_s == 50 / 25


def test_relative_path_that_looks_like_an_address(clip, monkeypatch):
    clip.rename(clip.with_name("http:example.mp4"))
    monkeypatch.chdir(clip.parent)
    assert probe(Path("http:example.mp4")).has_picture


@pytest.mark.parametrize(
    "script",
    [
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nclip.mp4\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile clip.mp4\n",
        "1\n00:00:00,000 --> 00:00:01,000\nhello\n",
        "WEBVTT\n\n00:00.000 --> 00:01.000\nhello\n",
    ],
)
@pytest.mark.parametrize("suffix", ["m3u8", "mp4", "ffconcat", "srt", "vtt"])
def test_playlists_and_subtitles_open_nothing(clip, script, suffix):
    path = clip.with_name(f"list.{suffix}")
    path.write_text(script)
    with pytest.raises(UnreadableMediaError):
        probe(path)
    assert not looks_like_media(path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "mp4"])
def test_photographs_are_no_videos(tmp_path, suffix):
    from PIL import Image as Photograph

    path = tmp_path / f"photo.{suffix}"
    with path.open("wb") as file:
        Photograph.fromarray(np.zeros((20, 30, 3), np.uint8)).save(file, "png" if suffix == "png" else "jpeg")
    assert not looks_like_media(path)
    with pytest.raises(UnreadableMediaError):
        probe(path)


def test_damaged_title_is_read_as_far_as_possible(make_clip, greys):
    path = make_clip("title.mkv", greys(2), title="ABCDEFGH")
    path.write_bytes(path.read_bytes().replace(b"ABCDEFGH", b"AB\xff\xfeEFGH"))
    assert probe(path).title == "AB\ufffd\ufffdEFGH"


def test_subtitles_alone_are_nothing_to_index(make_clip):
    path = make_clip("only.mkv", [], subtitles=(Cue(0.5, 1.0, "hello"),))
    with pytest.raises(UnreadableMediaError, match="neither picture nor sound"):
        probe(path)
    assert not looks_like_media(path)


def test_probing_closes_the_file(clip, tmp_path, open_files):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(clip.read_bytes()[:300])
    before = open_files()
    probe(clip)
    looks_like_media(clip)
    with pytest.raises(UnreadableMediaError):
        probe(broken)
    assert open_files() == before


@given(st.lists(st.tuples(st.integers(-1000, 1000), st.integers(1, 50)), min_size=1))
def test_span_does_not_depend_on_order(packets):
    span = PacketSpan(Fraction(1, 25))
    for pts, duration in packets:
        span.add(pts, duration, Fraction(1, 100))
    first, last = min(pts for pts, _ in packets), max(pts + duration for pts, duration in packets)
    assert span.length_s == Fraction(last - first, 100)


@given(st.integers(0, 500))
def test_packets_without_stamps_count_as_steps(count):
    span = PacketSpan(Fraction(1001, 30_000))
    for _ in range(count):
        span.add(None, None, Fraction(1, 1000))
    assert span.length_s == count * Fraction(1001, 30_000)


def _copy_picture_stream(source: Path, target: Path, format_: str) -> None:
    with av.open(str(source)) as inside, av.open(str(target), "w", format=format_) as outside:
        stream = outside.add_stream_from_template(inside.streams.video[0], opaque=True)
        for packet in inside.demux(inside.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                outside.mux(packet)


def _write_song_with_cover(path: Path, format_: str, codec: str, samples: np.ndarray) -> None:
    with av.open(str(path), "w", format=format_) as container:
        song = container.add_stream(codec, rate=48_000)
        song.codec_context.layout = "mono"
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 32, 32, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        art = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 90, np.uint8), format="rgb24").reformat(format="yuvj420p")
        packets = [*cover.encode(art), *cover.encode(None)]
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate = 48_000
        container.mux([*packets, *song.encode(frame), *song.encode(None)])
