"""Lines read in one frame after the other become texts with a start and an end."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.core.text import squeezed
from indexer.core.types import Segment
from indexer.modalities.ocr.text_tracking import BRIDGE_S, TextFrame, TextTracker, is_text
from indexer.models.base import Line

IMAGE = np.zeros((9, 16, 3), np.uint8)


def frame(start_s: float, end_s: float) -> TextFrame:
    return TextFrame("v", start_s, end_s, start_s, IMAGE)


def line(text: str, *, row: int = 4, left: float = 0.1, confidence: float = 0.97) -> Line:
    """One of ten rows of letters; a letter is 2% of the picture wide."""
    return Line(text, (left, row / 10, left + 0.02 * len(text), (row + 0.8) / 10), confidence)


def track(*reads: tuple[float, float, list[Line]]) -> list[tuple[float, float, str]]:
    tracker = TextTracker("v")
    for start_s, end_s, lines in reads:
        tracker.see(frame(start_s, end_s), lines)
    return [(segment.start_s, segment.end_s, segment.text) for segment in tracker.segments()]


def test_segments_say_whose_and_what_they_are() -> None:
    tracker = TextTracker("abc")
    tracker.see(frame(1, 2), [line("a sign")])
    assert tracker.segments() == [Segment("abc", 1, 2, "a sign", "ocr")]


@pytest.mark.parametrize(
    ("text", "confidence", "kept"),
    [
        ("exit", 0.8, True),
        ("to", 0.9, True),
        ("to", 0.7, False),
        ("exit", 0.7, False),
        ("日", 0.99, False),
        ("8", 0.99, False),
        ("|", 0.99, False),
        ("--- . ---", 0.99, False),
        ("a ~~~~~~", 0.99, False),
        ("oooo", 0.99, False),
        ("10:45", 0.9, True),
        ("日本", 0.9, True),
        ("Ω1", 0.9, True),
    ],
)
def test_junk_is_left_out_and_short_words_are_kept(text: str, confidence: float, kept: bool) -> None:
    assert is_text(line(text, confidence=confidence)) is kept
    assert bool(track((0, 1, [line(text, confidence=confidence)]))) is kept


def test_the_same_line_in_neighbouring_reads_is_one_segment() -> None:
    assert track((0, 1, [line("hello")]), (1, 2.5, [line("Hello")]), (2.5, 4, [line("HELLO")])) == [(0, 4, "hello")]


def test_the_most_confident_reading_wins() -> None:
    reads = [line("a qulet street", confidence=0.8), line("a quiet street"), line("aquiet stneet", confidence=0.76)]
    assert track(*((i, i + 1, [read]) for i, read in enumerate(reads))) == [(0, 3, "a quiet street")]


def test_two_texts_read_for_sure_are_two_even_if_they_differ_by_a_letter() -> None:
    assert track((0, 1, [line("lesson 3")]), (1, 2, [line("lesson 4")])) == [(0, 1, "lesson 3"), (1, 2, "lesson 4")]


def test_lines_of_a_title_are_one_text_in_reading_order() -> None:
    title = [line("PRESENTS", row=5, left=0.2), line("THE PEACH PROJECT", row=4)]
    assert track((21, 24, title)) == [(21, 24, "THE PEACH PROJECT PRESENTS")]


def test_words_beside_each_other_are_one_text() -> None:
    assert track((0, 1, [line("world", left=0.24), line("hello", left=0.1)])) == [(0, 1, "hello world")]


def test_texts_far_apart_are_two() -> None:
    corners = [line("channel five", row=0), line("good evening", row=8, left=0.6)]
    assert track((0, 1, corners)) == [(0, 1, "channel five"), (0, 1, "good evening")]


def test_a_text_that_builds_up_is_one_with_its_longest_form() -> None:
    steps = ["with", "with our", "with our pass", "with our passion"]
    assert track(*((i, i + 1, [line(step)]) for i, step in enumerate(steps))) == [(0, 4, "with our passion")]


def test_a_block_that_builds_up_line_by_line_is_one() -> None:
    lines = [line("with the", row=2), line("WORK", row=3), line("of our hands", row=4)]
    reads = [(float(i), i + 1.0, lines[: i + 1]) for i in range(3)]
    assert track(*reads) == [(0, 3, "with the WORK of our hands")]


def test_a_replaced_line_begins_another_text() -> None:
    verses = ["the way", "the truth", "the life"]
    reads = [(float(i), i + 1.0, [line("echo", row=3), line(verse, row=4)]) for i, verse in enumerate(verses)]
    assert track(*reads) == [(0, 1, "echo the way"), (1, 2, "echo the truth"), (2, 3, "echo the life")]


def test_a_line_that_was_missed_once_stays_in_the_text() -> None:
    whole = [line("who is", row=3), line("coming", row=4), line("again", row=5)]
    assert track((0, 1, whole), (1, 2, [whole[0], whole[2]]), (2, 3, whole)) == [(0, 3, "who is coming again")]


def test_one_missed_read_is_bridged_and_a_long_absence_is_not() -> None:
    sign = [line("open all night")]
    assert track((0, 1, sign), (1, 2, []), (2, 3, sign)) == [(0, 3, "open all night")]
    later = 1 + BRIDGE_S + 0.5
    assert track((0, 1, sign), (later, 9, sign)) == [(0, 1, "open all night"), (later, 9, "open all night")]


def test_scrolling_credits_do_not_grow_into_one_endless_text() -> None:
    names = [f"{first} {last}" for first in ("Ada", "Bea", "Cleo", "Dora") for last in ("Stone", "Miller", "Fischer")]
    reads = [
        (float(i), i + 1.0, [line(name, row=9 - (i - j)) for j, name in enumerate(names) if 0 <= i - j <= 5])
        for i in range(len(names))
    ]
    found = track(*reads)
    assert all(any(name in text for _, _, text in found) for name in names)
    assert max(len(text.split()) for _, _, text in found) < 2 * len(names)


def test_a_part_of_a_text_over_the_same_time_is_left_out() -> None:
    title = [line("THE PEACH", row=2), line("PRESENTS", row=3)]
    assert track((0, 1, title), (1, 2, [line("PRESENTS", row=8, left=0.7), *title])) == [(0, 2, "THE PEACH PRESENTS")]


def test_a_frame_needs_an_interval() -> None:
    with pytest.raises(ValueError, match="not an interval"):
        frame(2, 1)


def test_frames_may_come_in_any_order() -> None:
    reads = [
        (0.0, 1.0, [line("who is")]),
        (1.0, 2.0, [line("who is"), line("coming", row=5)]),
        (9.0, 10.0, [line("x1")]),
    ]
    assert track(*reversed(reads)) == track(*reads) == [(0, 2, "who is coming"), (9, 10, "x1")]


@pytest.mark.parametrize(
    ("since_s", "spans"), [(None, [(0, 5), (20, 25)]), (5.0, [(0, 25)]), (12.0, [(0, 5), (20, 25)])]
)
def test_a_text_was_there_while_nobody_read_anything(since_s: float | None, spans: list[tuple[float, float]]) -> None:
    tracker = TextTracker("v")
    tracker.see(frame(0, 5), [line("a sign")])
    tracker.see(replace(frame(20, 25), since_s=since_s), [line("a sign")])
    assert [(segment.start_s, segment.end_s) for segment in tracker.segments()] == spans


words = st.sampled_from(["we", "are", "here", "hear", "echo", "the way", "the waste", "WERE", "x", "1998", "a b"])
some_lines = st.lists(
    st.builds(
        lambda text, row, left, confidence: line(text, row=row, left=left, confidence=confidence),
        words,
        st.integers(0, 8),
        st.floats(0, 0.7),
        st.floats(0.5, 1.0),
    ),
    max_size=4,
)


@st.composite
def readings(draw: st.DrawFn) -> list[tuple[float, float, list[Line]]]:
    start_s, made = 0.0, []
    for _ in range(draw(st.integers(0, 8))):
        end_s = start_s + draw(st.floats(0, 4))
        made.append((start_s, end_s, draw(some_lines)))
        start_s = end_s + draw(st.floats(0, 3))
    return made


@given(readings())
def test_segments_are_ordered_and_lie_in_what_was_seen(reads: list[tuple[float, float, list[Line]]]) -> None:
    found = track(*reads)
    starts, ends = {start_s for start_s, _, _ in reads}, {end_s for _, end_s, _ in reads}
    assert [start_s for start_s, _, _ in found] == sorted(start_s for start_s, _, _ in found)
    assert all(start_s in starts and end_s in ends and start_s <= end_s for start_s, end_s, _ in found)


@given(readings())
def test_nothing_is_said_that_was_not_read(reads: list[tuple[float, float, list[Line]]]) -> None:
    read = {squeezed(line.text) for _, _, lines in reads for line in lines if is_text(line)}
    for _, _, text in track(*reads):
        rest = squeezed(text)
        for word in sorted(read, key=len, reverse=True):
            rest = rest.replace(word, "")
        assert rest == ""


@given(readings())
def test_no_text_is_there_twice_at_once(reads: list[tuple[float, float, list[Line]]]) -> None:
    spans: dict[str, list[tuple[float, float]]] = {}
    for start_s, end_s, text in track(*reads):
        spans.setdefault(squeezed(text), []).append((start_s, end_s))
    for same in spans.values():
        assert all(earlier[1] < later[0] for earlier, later in pairwise(sorted(same)))


@given(readings())
def test_every_sure_line_is_found_at_its_time(reads: list[tuple[float, float, list[Line]]]) -> None:
    found = track(*reads)
    for start_s, end_s, lines in reads:
        if any(is_text(line) for line in lines):
            assert any(start <= start_s and end_s <= end for start, end, _ in found)
