import itertools
import sys
import weakref
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.core.errors import UnreadableMediaError
from indexer.media.deliver.write import AudioTrack
from indexer.media.read.container import open_media
from indexer.media.read.decode import Frame, FrameReader, Timeline
from indexer.media.read.picture import PictureConverter
from indexer.media.read.probe import probe

MEDIA = Path(__file__).resolve().parents[4] / ".." / "shared" / "data" / "media"


def times_of(path: Path, **options) -> list[float]:
    with FrameReader(path, **options) as reader:
        return [frame.time_s for frame in reader]


def numbers_of(path: Path) -> list[int]:
    """Which picture each frame shows, told by its grey value."""
    with FrameReader(path) as reader:
        return [round((float(frame.image().mean()) - 20) / 4) for frame in reader]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.ts", "a.flv", "a.nut"])
def test_every_frame_once_at_its_time(make_clip, greys, name):
    path = make_clip(name, greys(40), gop=10)
    assert times_of(path) == pytest.approx([i / 25 for i in range(40)], abs=0.001)
    assert numbers_of(path) == list(range(40))


def test_rate_is_never_rounded(make_clip, greys):
    path = make_clip("ntsc.mp4", greys(48), rate=Fraction(30_000, 1001))
    assert times_of(path) == pytest.approx([i * 1001 / 30_000 for i in range(48)], abs=1e-9)


@pytest.mark.parametrize("name", ["vfr.mp4", "vfr.mkv", "vfr.nut"])
@pytest.mark.parametrize("shift_s", [0.0, 5.25])
def test_uneven_and_late_time_stamps(make_clip, greys, name, shift_s):
    times_s = [0, 0.1, 0.5, 0.52, 1.7]
    path = make_clip(name, greys(5), times_s=[shift_s + t for t in times_s])
    assert times_of(path) == pytest.approx(times_s, abs=0.001)
    assert numbers_of(path) == [0, 1, 2, 3, 4]


def test_time_stamps_below_zero(make_clip, greys):
    # A transport stream's clock has 33 bits at 90 kHz; one that is about to wrap round is read as below zero.
    wraps_s = 2**33 / 90_000
    path = make_clip("early.ts", greys(40), times_s=[wraps_s - 0.8 - 1.4 + i / 25 for i in range(40)], gop=10)
    with av.open(str(path)) as container:
        stamps = [frame.pts for frame in container.decode(video=0)]
    assert min(stamps) < 0
    assert times_of(path) == pytest.approx([i / 25 for i in range(40)], abs=0.001)
    assert probe(path).duration_s == pytest.approx(40 / 25, abs=0.001)


def test_stamps_that_pass_zero(make_clip, greys):
    wraps_s = 2**33 / 90_000
    path = make_clip("wrap.ts", greys(40), times_s=[wraps_s - 0.7 + i / 25 for i in range(40)], gop=10)
    assert times_of(path) == pytest.approx([i / 25 for i in range(40)], abs=0.001)


def test_codec_keyframes_are_marked_and_can_be_had_alone(make_clip, noise):
    path = make_clip("gop.mp4", noise(60), gop=12)
    with FrameReader(path) as reader:
        marked = [frame.time_s for frame in reader if frame.is_codec_keyframe]
    assert marked == pytest.approx([i / 25 for i in (0, 12, 24, 36, 48)])
    with FrameReader(path, keyframes_only=True) as reader:
        frames = [(frame.time_s, frame.is_codec_keyframe) for frame in reader]
    assert frames == [(time_s, True) for time_s in marked]
    assert (reader.frames, reader.corrupt_packets) == (5, 0)


def test_image_is_rgb_and_thumbnail_bgr(make_clip):
    picture = np.full((90, 160, 3), (200, 100, 50), np.uint8)
    path = make_clip("colour.mp4", [picture] * 3, crf=1)
    with FrameReader(path, detection_width=32) as reader:
        frame = next(iter(reader))
        image, thumbnail = frame.image(), frame.thumbnail_bgr()
    assert (image.shape, image.dtype) == ((90, 160, 3), np.uint8)
    assert (thumbnail.shape, thumbnail.dtype) == ((18, 32, 3), np.uint8)
    assert np.abs(image.reshape(-1, 3).mean(0) - (200, 100, 50)).max() < 4
    assert np.abs(thumbnail.reshape(-1, 3).mean(0) - (50, 100, 200)).max() < 4
    assert image.flags.c_contiguous
    assert thumbnail.flags.c_contiguous


def test_image_is_bounded_and_never_enlarged(make_clip, greys):
    path = make_clip("wide.mp4", greys(1, width=320, height=100))
    with FrameReader(path, max_side=160) as reader:
        assert next(iter(reader)).image().shape == (50, 160, 3)
    with FrameReader(path, max_side=1000, detection_width=1000) as reader:
        frame = next(iter(reader))
        assert frame.image().shape == (100, 320, 3)
        assert frame.thumbnail_bgr().shape == (100, 320, 3)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("name", ["turned.mp4", "turned.mkv"])
def test_turned_picture_comes_upright(make_clip, name, degrees):
    stored = np.zeros((48, 64, 3), np.uint8)
    stored[:24, :32], stored[:24, 32:], stored[24:, :32] = 250, 170, 90
    path = make_clip(name, [stored] * 2, rotation_deg=degrees, crf=1)
    with FrameReader(path) as reader:
        image = next(iter(reader)).image()
    shown = np.rot90(stored, -degrees // 90)
    assert image.shape == shown.shape
    assert np.abs(image.astype(int) - shown).mean() < 6
    assert (probe(path).height, probe(path).width) == shown.shape[:2]


@pytest.mark.parametrize("aspect", [Fraction(2), Fraction(1, 2), Fraction(16, 15)])
def test_pixels_are_made_square(make_clip, greys, aspect):
    path = make_clip("sar.mp4", greys(2, width=60, height=48), pixel_aspect=aspect)
    with FrameReader(path) as reader:
        assert next(iter(reader)).image().shape == (48, 60 * aspect, 3)
    assert (probe(path).width, probe(path).height) == (60 * aspect, 48)


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("p10.mp4", "libx264", "yuv420p10le"),
        ("p12.mkv", "ffv1", "yuv420p12le"),
        ("p444.mp4", "libx264", "yuv444p"),
        ("full.avi", "mjpeg", "yuvj420p"),
        ("rgb.mkv", "ffv1", "bgr0"),
        ("rgba.mkv", "ffv1", "bgra"),
        ("nv12.mkv", "rawvideo", "nv12"),
        ("palette.gif", "gif", "rgb8"),
    ],
)
def test_pixel_formats(make_clip, name, codec, pixel_format):
    colour = (73, 146, 170)
    path = make_clip(name, [np.full((48, 64, 3), colour, np.uint8)] * 2, codec=codec, pixel_format=pixel_format, crf=1)
    with FrameReader(path) as reader:
        for frame in reader:
            assert np.abs(frame.image().reshape(-1, 3).mean(0) - colour).max() < 18
            assert np.abs(frame.thumbnail_bgr().reshape(-1, 3).mean(0) - colour[::-1]).max() < 18
    assert reader.frames == 2


@pytest.mark.parametrize("pixel_format", ["gray", "gray16le"])
def test_grey_formats(make_clip, greys, pixel_format):
    path = make_clip("grey.mkv", greys(3), codec="ffv1", pixel_format=pixel_format)
    assert numbers_of(path) == [0, 1, 2]


def test_palette_frames(clip):
    palette = np.zeros((256, 4), np.uint8)
    palette[7] = (255, 200, 100, 50)
    decoded = av.VideoFrame.from_ndarray((np.full((48, 64), 7, np.uint8), palette), format="pal8")
    with open_media(clip) as container:
        converter = PictureConverter(container.streams.video[0], thumbnail_width=16, max_side=64)
    frame = Frame(decoded, 0.0, converter)
    assert frame.image()[24, 32].tolist() == pytest.approx([200, 100, 50], abs=1)
    assert frame.thumbnail_bgr()[6, 8].tolist() == pytest.approx([50, 100, 200], abs=1)


@pytest.mark.parametrize(
    ("width", "height", "codec", "pixel_format"),
    [
        (1, 1, "ffv1", "bgr0"),
        (1, 1, "mpeg4", "yuv420p"),
        (2, 2, "libx264", "yuv420p"),
        (33, 17, "mpeg4", "yuv420p"),
        (35, 19, "libx264", "yuv444p"),
        (200, 1, "ffv1", "yuv444p"),
        (1, 200, "mpeg4", "yuv420p"),
    ],
)
def test_tiny_and_odd_sizes(make_clip, greys, width, height, codec, pixel_format):
    path = make_clip("odd.mkv", greys(3, width=width, height=height), codec=codec, pixel_format=pixel_format)
    with FrameReader(path) as reader:
        shapes = {(frame.image().shape, frame.thumbnail_bgr().shape[2]) for frame in reader}
    assert shapes == {((height, width, 3), 3)}
    assert (probe(path).width, probe(path).height) == (width, height)
    with FrameReader(path, max_side=1, detection_width=1) as reader:
        assert {frame.image().shape for frame in reader} == {(1, 1, 3)}


def test_change_of_size_in_mid_stream(tmp_path, make_clip, greys):
    small, large = make_clip("a.ts", greys(30, width=64, height=48)), make_clip("b.ts", greys(30, width=96, height=80))
    joined = tmp_path / "joined.ts"
    joined.write_bytes(small.read_bytes() + large.read_bytes())
    with FrameReader(joined) as reader:
        seen = [(frame.time_s, frame.image().shape, frame.thumbnail_bgr().shape) for frame in reader]
    assert {shape for _, shape, _ in seen} == {(48, 64, 3), (80, 96, 3)}
    assert len({thumbnail for _, _, thumbnail in seen}) == 1
    times_s = [time_s for time_s, _, _ in seen]
    assert len(seen) == 60
    assert np.diff(times_s) == pytest.approx([1 / 25] * (len(seen) - 1), abs=1e-3)


def test_file_without_picture(make_clip, tone):
    path = make_clip("sound.m4a", [], audio=AudioTrack(tone(0.5), 48_000))
    with pytest.raises(UnreadableMediaError, match="has no picture"), FrameReader(path):
        pass


def test_reader_is_used_inside_its_block(clip):
    with pytest.raises(RuntimeError, match="with block"):
        next(iter(FrameReader(clip)))


def test_file_is_closed_after_the_end_an_early_exit_and_an_error(clip, make_clip, tone, open_files):
    silent = make_clip("sound.m4a", [], audio=AudioTrack(tone(0.5), 48_000))
    before = open_files()
    with FrameReader(clip) as reader:
        for frame in reader:
            frame.thumbnail_bgr()
    assert open_files() == before
    with FrameReader(clip) as reader:
        next(iter(reader))
    assert open_files() == before
    with pytest.raises(ZeroDivisionError):
        stop_at_the_first_frame(clip)
    with pytest.raises(UnreadableMediaError), FrameReader(silent):
        pass
    assert open_files() == before


def stop_at_the_first_frame(path: Path) -> None:
    with FrameReader(path) as reader:
        for frame in reader:
            assert 1 / frame.time_s


def test_reader_keeps_no_frame(clip):
    with FrameReader(clip) as reader:
        for frame in reader:
            frame.image()
            frame.thumbnail_bgr()
            owners = sys.getrefcount(frame._decoded) - 1
            assert owners == 1
            alive = weakref.ref(frame)
            del frame
            assert alive() is None


def test_pictures_outlive_the_frame_and_the_reader(clip):
    with FrameReader(clip) as reader:
        frame = next(iter(reader))
        image, thumbnail = frame.image(), frame.thumbnail_bgr()
        copies = image.copy(), thumbnail.copy()
        for later in reader:
            later.image()
    assert np.array_equal(frame.image(), image)
    del frame
    assert np.array_equal(image, copies[0])
    assert np.array_equal(thumbnail, copies[1])


def test_real_media_are_read_whole():
    if not MEDIA.is_dir():
        pytest.skip(f"{MEDIA} is not there")
    for path in sorted(MEDIA.glob("ucf101/*.avi")):
        rate = probe(path).frame_rate
        with FrameReader(path) as reader:
            times_s = [frame.time_s for frame in reader]
        assert reader.corrupt_packets == 0
        assert times_s[0] == 0
        assert np.diff(times_s).min() >= 0
        assert times_s[-1] + 1 / rate == pytest.approx(probe(path).duration_s, abs=float(2 / rate))


@given(st.lists(st.one_of(st.none(), st.integers(-(10**6), 10**6)), min_size=1, max_size=50))
def test_times_never_decrease_and_start_at_zero(stamps):
    timeline = Timeline(Fraction(25), Fraction(1, 1000))
    times_s = [timeline.time_s(stamp) for stamp in stamps]
    assert times_s[0] == 0
    assert all(earlier <= later for earlier, later in itertools.pairwise(times_s))


@given(st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=50, unique=True).map(sorted))
def test_ordered_stamps_are_kept_exactly(stamps):
    timeline = Timeline(None, Fraction(1, 90_000))
    assert [timeline.time_s(stamp) for stamp in stamps] == [
        float(Fraction(stamp - stamps[0], 90_000)) for stamp in stamps
    ]


def test_frame_without_a_stamp_comes_one_step_later():
    timeline = Timeline(Fraction(30_000, 1001), Fraction(1, 90_000))
    times_s = [timeline.time_s(stamp) for stamp in (None, None, 6006, 9009)]
    assert times_s == pytest.approx([0, 1001 / 30_000, 2 * 1001 / 30_000, 3 * 1001 / 30_000])


def test_clock_goes_on_where_stamps_start_anew():
    timeline = Timeline(Fraction(10), Fraction(1, 10))
    assert [timeline.time_s(stamp) for stamp in (50, 51, 52, 0, 1)] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
