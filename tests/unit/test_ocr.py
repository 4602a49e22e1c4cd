"""Which frames are handed over to be read, in clips made on the spot; and what comes of it on real ones."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from itertools import takewhile
from pathlib import Path

import numpy as np
import pytest

from indexer.folding import squeezed
from indexer.media.decode import Frame, FrameReader
from indexer.media.write import ClipOptions, write_clip
from indexer.models.ocr import RapidOcrReader
from indexer.ocr import TextFrame, TextTracker, TextWatch
from indexer.types import Image, Segment
from tests.unit.written import picture

ROOT = Path(__file__).resolve().parents[2]
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
