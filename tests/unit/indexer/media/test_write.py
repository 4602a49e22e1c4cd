from fractions import Fraction

import av
import numpy as np
import pytest

from indexer.core.errors import MediaError, UsageError
from indexer.core.types import Cue
from indexer.media.deliver.write import AudioTrack, ClipOptions, write_clip


def test_equal_input_gives_equal_bytes(make_clip, greys, tone):
    options = {"audio": AudioTrack(tone(1.0), 48_000), "subtitles": (Cue(0.2, 0.8, "hello"),), "title": "same"}
    for suffix in ("mp4", "mkv"):
        first = make_clip(f"a.{suffix}", greys(25), **options).read_bytes()
        assert make_clip(f"b.{suffix}", greys(25), **options).read_bytes() == first


def test_rate_quality_and_keyframes_are_as_asked(make_clip, noise):
    path = make_clip("a.mp4", noise(30), rate=Fraction(24_000, 1001), gop=7)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == Fraction(24_000, 1001)
        assert [i for i, frame in enumerate(container.decode(stream)) if frame.key_frame] == [0, 7, 14, 21, 28]
    smaller = make_clip("b.mp4", noise(30), crf=45)
    assert smaller.stat().st_size < path.stat().st_size / 2
    assert make_clip("c.mp4", noise(30), bitrate=100_000).stat().st_size < path.stat().st_size / 2


def test_sound_lies_beside_its_pictures(make_clip, noise, tone):
    path = make_clip("a.mp4", noise(100), audio=AudioTrack(tone(4.0), 48_000))
    with av.open(str(path)) as container:
        packets = [(p.stream.type, float(p.dts * p.time_base), p.pos) for p in container.demux() if p.dts is not None]
    for kind in ("audio", "video"):
        places = [pos for type_, time_s, pos in packets if type_ == kind and 1.9 < time_s < 2.1]
        assert places
        assert 0.3 < np.mean(places) / path.stat().st_size < 0.7


def test_stereo_and_title_are_kept(make_clip, greys, tone):
    samples = np.stack([tone(0.5), -tone(0.5)])
    path = make_clip("a.mkv", greys(12), audio=AudioTrack(samples, 48_000), title="Ünïcode 猫")
    with av.open(str(path)) as container:
        assert container.streams.audio[0].codec_context.layout.name == "stereo"
        assert container.metadata["title"] == "Ünïcode 猫"
        assert "creation_time" not in container.metadata


def test_existing_file_is_replaced_only_by_a_whole_one(tmp_path, greys):
    path = tmp_path / "a.mp4"
    write_clip(path, greys(3))
    before = path.read_bytes()

    def failing():
        yield from greys(3)
        raise RuntimeError("the camera fell")

    with pytest.raises(RuntimeError, match="the camera fell"):
        write_clip(path, failing())
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.mp4"]


def test_what_cannot_be_written_is_refused(tmp_path, greys, tone):
    cases = [
        ("a.xyz", greys(2), ClipOptions(), "cannot be written as .xyz"),
        ("a.webm", greys(2), ClipOptions(codec="libx264"), "libx264"),
        ("a.mp4", greys(2), ClipOptions(codec="nonsense"), "nonsense"),
        ("a.mp4", [*greys(1), *greys(1, width=32)], ClipOptions(), "one size"),
        ("a.mp4", greys(3), ClipOptions(times_s=[0.0, 0.1]), "time stamp"),
        ("a.avi", greys(2), ClipOptions(codec="mpeg4", subtitles=(Cue(0, 1, "x"),)), "Subtitles"),
        ("a.mp4", greys(2), ClipOptions(audio=AudioTrack(np.zeros((3, 100), np.float32), 48_000)), "one or two"),
    ]
    for name, pictures, options, message in cases:
        with pytest.raises(UsageError, match=message):
            write_clip(tmp_path / name, pictures, options=options)
    assert list(tmp_path.iterdir()) == []


def test_folder_that_is_not_there(tmp_path, greys):
    with pytest.raises(MediaError, match="cannot be written"):
        write_clip(tmp_path / "nowhere" / "a.mp4", greys(2))


def test_nothing_is_printed(make_clip, greys, capfd):
    make_clip("a.mp4", greys(5))
    make_clip("b.mp4", greys(5), codec="libx265")
    assert capfd.readouterr() == ("", "")
