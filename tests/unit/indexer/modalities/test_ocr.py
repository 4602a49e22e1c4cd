"""Which frames are handed over to be read, in clips made on the spot; and what comes of it on real ones."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from itertools import takewhile
from pathlib import Path

import cv2
import numpy as np
import pytest

from indexer.core.text import squeezed
from indexer.core.types import Image, Segment
from indexer.media.deliver.write import ClipOptions, write_clip
from indexer.media.read.decode import Frame, FrameReader
from indexer.modalities.ocr.frame_selection import TextWatch
from indexer.modalities.ocr.text_tracking import TextFrame, TextTracker
from indexer.models.rapidocr import RapidOcrReader
from indexer.shots.sampling import Sampling
from indexer.shots.select import make_sampler
from tests.unit.written import page, picture

ROOT = Path(__file__).resolve().parents[4]
MEDIA = ROOT / ".." / "shared" / "data" / "media"
TRUTH = ROOT / "benchmarks" / "data" / "on_screen_text.csv"
RATE = 10


def clip(path: Path, *scenes: tuple[float, list[Image]]) -> Path:
    """Each scene lasts so many seconds, repeating its pictures."""
    pictures = [shown[i % len(shown)] for seconds, shown in scenes for i in range(round(seconds * RATE))]
    write_clip(path, pictures, options=ClipOptions(rate=Fraction(RATE), crf=18))
    return path


def watched(path: Path, watch: TextWatch, *, keyframes_only: bool = False) -> list[TextFrame]:
    found, last_s = [], 0.0
    with FrameReader(path, keyframes_only=keyframes_only) as reader:
        for frame in watch.watch(reader):
            last_s = frame.time_s
            found += watch.take()
    watch.finish(last_s + 1 / RATE)
    return found + watch.take()


def watched_with_keyframes(path: Path, watch: TextWatch) -> list[TextFrame]:
    found, last_s = [], 0.0
    with FrameReader(path) as reader:
        for keyframe in watch.noting(make_sampler(Sampling(), "v", 0).keyframes(watch.watch(reader))):
            last_s = keyframe.end_s
            found += watch.take()
    watch.finish(last_s)
    return found + watch.take()


def texts_in(frames: list[TextFrame]) -> list[Segment]:
    reader, tracker = RapidOcrReader(threads=1), TextTracker("v")
    for frame in frames:
        tracker.see(frame, reader.read(frame.image))
    return tracker.segments()


def moving(*lines: str) -> list[Image]:
    return [np.roll(picture(*lines), 23 * i, axis=0) for i in range(60)]


def test_every_frame_is_passed_on_in_order(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", (2, [picture("a street")]))

    def counted(frames: FrameReader) -> Iterator[Frame]:
        for frame in frames:
            given.append(id(frame))
            yield frame

    given: list[int] = []
    with FrameReader(path) as reader:
        passed = [(id(frame), frame.time_s) for frame in TextWatch("v").watch(counted(reader))]
    assert [number for number, _ in passed] == given
    assert [time_s for _, time_s in passed] == pytest.approx([i / RATE for i in range(2 * RATE)])


def test_no_frame_is_read_where_nothing_is_written(tmp_path: Path) -> None:
    slope = np.repeat(np.linspace(0, 255, 640).astype(np.uint8)[None, :, None], 360, axis=0).repeat(3, axis=2)
    path = clip(tmp_path / "a.mp4", (2, [picture()]), (2, [slope]))
    assert watched(path, TextWatch("v")) == []


def test_a_text_that_stays_is_read_once_and_its_span_is_known(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", (3, [picture()]), (5, [picture("HELLO WORLD")]), (3, [picture()]))
    (frame,) = watched(path, TextWatch("v", looks_per_second=5))
    assert (frame.start_s, frame.end_s) == pytest.approx((3, 8), abs=0.2 + 1e-6)
    assert frame.start_s <= frame.time_s < frame.end_s
    assert np.abs(frame.image.astype(int) - picture("HELLO WORLD")).mean() < 3


@pytest.mark.parametrize(("before", "after"), [("a quiet street", "a quiet market"), ("one", "two hundred")])
def test_a_text_that_changes_is_read_again(tmp_path: Path, before: str, after: str) -> None:
    path = clip(tmp_path / "a.mp4", (3, [picture(before)]), (3, [picture(after)]))
    frames = watched(path, TextWatch("v"))
    assert [(frame.start_s, frame.end_s) for frame in frames] == [
        pytest.approx((0, 3), abs=0.4),
        pytest.approx((3, 6), abs=0.4),
    ]
    assert [segment.text.replace(" ", "") for segment in texts_in(frames)] == [
        before.replace(" ", ""),
        after.replace(" ", ""),
    ]


def test_a_text_at_the_end_lasts_until_the_video_ends(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", (2, [picture()]), (2, [picture("THE END")]))
    watch = TextWatch("v")
    frames = watched(path, watch)
    assert frames[-1].end_s == pytest.approx(4)
    watch.finish(9.0)
    assert watch.take() == []


def test_spans_follow_each_other_and_say_whose_they_are(tmp_path: Path) -> None:
    scenes = [(0.8, [picture(text)]) for text in ("first", "second", "third", "fourth", "fifth")]
    frames = watched(clip(tmp_path / "a.mp4", *scenes), TextWatch("abc"))
    assert {frame.video_id for frame in frames} == {"abc"}
    ends = [frame.end_s for frame in frames]
    assert all(end_s <= frame.start_s for end_s, frame in zip(ends, frames[1:], strict=False))
    assert all(frame.start_s <= frame.time_s <= frame.end_s for frame in frames)


def test_a_distorted_picture_is_passed_over_for_a_clear_one(tmp_path: Path) -> None:
    clear = picture("passion")
    torn = clear.copy()
    torn[100:200:12] = np.roll(torn[100:200:12], 90, axis=1)
    path = clip(tmp_path / "a.mp4", (0.4, [torn]), (1.6, [clear]), (0.4, [torn]))
    frames = watched(path, TextWatch("v"))
    assert any(np.abs(frame.image.astype(int) - clear).mean() < 2 for frame in frames)


def test_what_keeps_moving_is_read_now_and_then(tmp_path: Path) -> None:
    frames = watched(clip(tmp_path / "a.mp4", (12, moving("directed by", "somebody"))), TextWatch("v"))
    assert 2 <= len(frames) <= 6
    assert any("directed" in segment.text for segment in texts_in(frames))


def test_reads_are_bounded_however_much_changes(tmp_path: Path) -> None:
    scenes = [(0.8, [picture(f"number {i * 7919 % 1000}", top=60 + i * 37 % 250)]) for i in range(60)]
    frames = watched(clip(tmp_path / "a.mp4", *scenes), TextWatch("v", reads_per_minute=15))
    saved, income, last = 20, 15 * 48 / 60, 2
    assert 20 <= len(frames) <= saved + income + last


def test_sparse_frames_are_looked_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    pictures = [picture(text) for text in ("morning", "midday", "midday", "evening") for _ in range(20)]
    write_clip(path, pictures, options=ClipOptions(rate=Fraction(RATE), gop=20))
    frames = watched(path, TextWatch("v"), keyframes_only=True)
    assert [segment.text for segment in texts_in(frames)] == ["morning", "midday", "evening"]
    assert [frame.start_s for frame in frames] == pytest.approx([0, 2, 6])


def test_a_watch_that_saw_nothing_has_nothing() -> None:
    watch = TextWatch("v")
    assert list(watch.watch([])) == []
    watch.finish(0.0)
    assert watch.take() == []


def pale(text: str, paper: int = 128) -> Image:
    return page(text, width=640, height=360, size=30, shades=(paper, paper + 32))


@pytest.mark.parametrize(
    "shown", [page("a quiet street", width=1920, height=1080, size=20), pale("a quiet street")], ids=["small", "pale"]
)
def test_letters_too_small_or_too_pale_are_read_in_the_keyframe_of_their_shot(tmp_path: Path, shown: Image) -> None:
    blank = np.zeros_like(shown)
    path = clip(tmp_path / "a.mp4", (2, [blank]), (3, [shown]), (2, [blank]))
    (frame,) = watched_with_keyframes(path, TextWatch("v"))
    assert (frame.start_s, frame.end_s) == pytest.approx((2, 5), abs=1e-6)
    (segment,) = texts_in([frame])
    assert segment.text.replace(" ", "") == "aquietstreet"


def test_a_pale_text_that_stays_over_cuts_is_one_segment(tmp_path: Path) -> None:
    scenes = [(seconds, [pale("a quiet street", paper)]) for seconds, paper in ((8.0, 128), (3.0, 30), (8.0, 190))]
    (segment,) = texts_in(watched_with_keyframes(clip(tmp_path / "a.mp4", *scenes), TextWatch("v")))
    assert (segment.start_s, segment.end_s) == pytest.approx((0, 19), abs=1e-6)


def test_a_pale_text_beside_a_clear_one_is_read_with_it(tmp_path: Path) -> None:
    both = np.maximum(pale("a quiet street"), picture("HELLO", shade=0))
    path = clip(tmp_path / "a.mp4", (8, [pale("a quiet street")]), (3, [both]))
    segments = texts_in(watched_with_keyframes(path, TextWatch("v")))
    (hello,) = (segment for segment in segments if segment.text == "HELLO")
    assert (hello.start_s, hello.end_s) == pytest.approx((8, 11), abs=0.4 + 1e-6)
    quiet = [segment for segment in segments if squeezed(segment.text) == "aquietstreet"]
    assert (quiet[0].start_s, quiet[-1].end_s) == pytest.approx((0, 11), abs=1e-6)


def test_a_keyframe_is_not_read_where_a_text_frame_shows_the_same(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", (2, [picture()]), (3, [picture("HELLO WORLD", shade=150)]), (2, [picture()]))
    assert len(watched_with_keyframes(path, TextWatch("v"))) == len(watched(path, TextWatch("v"))) == 1


def test_pictures_without_text_are_read_seldom_and_hold_none(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (24, 9, 16, 3), dtype=np.uint8)
    soft = [cv2.resize(one, (640, 360), interpolation=cv2.INTER_CUBIC) for one in noise]
    grain = np.random.default_rng(2).integers(-6, 7, (360, 640, 3))
    rough = [np.asarray((one + grain).clip(0, 255), np.uint8) for one in soft]
    path = clip(tmp_path / "a.mp4", *((1, [one]) for one in rough))
    watch = TextWatch("v", keyframe_reads_per_minute=6)
    frames = watched_with_keyframes(path, watch)
    saved, income = 12, 6 * 24 / 60
    assert 0 < len(frames) <= saved + income
    assert texts_in(frames) == []


def test_no_keyframe_is_read_where_nothing_is_sharp(tmp_path: Path) -> None:
    slope = np.repeat(np.linspace(0, 255, 640).astype(np.uint8)[None, :, None], 360, axis=0).repeat(3, axis=2)
    path = clip(tmp_path / "a.mp4", (2, [picture()]), (2, [slope]))
    assert watched_with_keyframes(path, TextWatch("v")) == []


def test_a_text_seen_in_the_keyframes_that_may_be_read_was_there_between_them(tmp_path: Path) -> None:
    papers = np.random.default_rng(3).permutation(np.arange(20, 220, 10))
    path = clip(tmp_path / "a.mp4", *((1, [pale("a quiet street", int(paper))]) for paper in papers))
    frames = watched_with_keyframes(path, TextWatch("v", keyframe_reads_per_minute=10))
    assert len(frames) < len(papers)
    (segment,) = texts_in(frames)
    assert segment.start_s == 0
    assert segment.end_s == pytest.approx(max(frame.end_s for frame in frames))


def truth(name: str, start_s: float, end_s: float) -> list[tuple[str, float, float]]:
    """What is written in a part of a clip: the words, and the window in which they appear."""
    with TRUTH.open(encoding="utf-8", newline="") as stream:
        rows = [
            (row["query"], float(row["start_s"]), float(row["end_s"]))
            for row in csv.DictReader(stream)
            if row["file"] == name
        ]
    return [row for row in rows if start_s <= row[1] and row[2] <= end_s]


def segments_of(name: str, start_s: float, end_s: float) -> list[Segment]:
    path, watch = MEDIA / name, TextWatch("v")
    if not path.is_file():
        pytest.skip(f"the shared media are not here: {name}")
    with FrameReader(path) as reader:
        part = (frame for frame in takewhile(lambda frame: frame.time_s < end_s, reader) if frame.time_s >= start_s)
        deque(watch.watch(part), maxlen=0)
    watch.finish(end_s)
    return texts_in(watch.take())


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "start_s", "end_s"),
    [
        ("big-buck-bunny.mp4", 20.4, 24),
        ("big-buck-bunny.mp4", 25, 30),
        ("typography.webm", 4.8, 10.3),
        ("typography.webm", 20.6, 27),
    ],
)
def test_texts_of_real_clips_are_found_at_their_times(name: str, start_s: float, end_s: float) -> None:
    segments = segments_of(name, start_s, end_s)
    queries = truth(name, start_s, end_s)
    assert queries
    for text, first_s, last_s in queries:
        same = [segment for segment in segments if squeezed(text) in squeezed(segment.text)]
        assert any(first_s - 0.5 <= segment.start_s <= last_s for segment in same), text


@pytest.mark.data
@pytest.mark.parametrize(("name", "end_s"), [("potted-plant.mp4", 2), ("parking-lot-cars.mp4", 12), ("bottles.mp4", 8)])
def test_real_clips_without_text_have_none(name: str, end_s: float) -> None:
    assert segments_of(name, 0, end_s) == []
