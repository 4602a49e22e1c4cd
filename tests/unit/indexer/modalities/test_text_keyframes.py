"""Which keyframes are read for text, and for which time they speak."""

from __future__ import annotations

import math

import numpy as np
import pytest

from indexer.core.types import Keyframe
from indexer.modalities.ocr.text_keyframes import ReadBudget, TextKeyframes
from indexer.modalities.ocr.text_tracking import TextFrame
from tests.unit.written import picture

IMAGE = picture("a street")


def keyframe(start_s: float, time_s: float, end_s: float) -> Keyframe:
    return Keyframe("v", 0, start_s, end_s, time_s, IMAGE)


def text(start_s: float, time_s: float, end_s: float) -> TextFrame:
    return TextFrame("v", start_s, end_s, time_s, IMAGE)


def to_read(*offered: Keyframe, noted: tuple[TextFrame, ...] = (), savings: float = 9) -> list[TextFrame]:
    keyframes = TextKeyframes("v", ReadBudget(6, savings))
    for frame in noted:
        keyframes.note(frame)
    for one in offered:
        keyframes.offer(one)
    return keyframes.settle(math.inf)


def test_a_keyframe_alone_speaks_for_its_span() -> None:
    (frame,) = to_read(keyframe(5, 7, 10))
    assert (frame.video_id, frame.start_s, frame.time_s, frame.end_s, frame.since_s) == ("v", 5, 7, 10, 5)


@pytest.mark.parametrize(
    ("noted", "span"),
    [
        (text(11, 12, 13), (5, 10)),  # elsewhere
        (text(6, 7.5, 8), None),  # the same strokes, seen in the same part of the shot
        (text(4, 4.5, 12), (5, 10)),  # the same strokes, seen in another shot
        (text(7.4, 8.5, 9), None),  # the same strokes, only a little later
        (text(8, 8.5, 9), (7, 8)),  # a text that fades in may be in both
        (text(5, 5.5, 6), (6, 7)),  # a text that fades out, too
    ],
)
def test_text_frames_bound_what_a_keyframe_speaks_for(noted: TextFrame, span: tuple[float, float] | None) -> None:
    found = to_read(keyframe(5, 7, 10), noted=(noted,))
    assert [(frame.start_s, frame.end_s) for frame in found] == ([span] if span else [])


def test_between_two_texts_it_speaks_for_the_time_between() -> None:
    (frame,) = to_read(keyframe(5, 7, 10), noted=(text(5, 5.5, 6), text(8, 8.5, 9)))
    assert (frame.start_s, frame.end_s) == (6, 8)


def test_what_lies_between_a_keyframe_and_its_neighbours_is_unknown() -> None:
    found = to_read(keyframe(0, 3, 5), keyframe(5, 7, 10), noted=(text(0, 1, 2),))
    assert [(frame.start_s, frame.end_s, frame.since_s) for frame in found] == [(2, 3, 2), (5, 10, 3)]
    found = to_read(keyframe(0, 2, 5), keyframe(5, 7, 10), noted=(text(8, 9, 10),))
    assert [(frame.start_s, frame.end_s, frame.since_s) for frame in found] == [(0, 5, 0), (7, 8, 5)]


def test_the_first_is_always_read_and_then_so_many_a_minute() -> None:
    found = to_read(*(keyframe(5 * i, 5 * i + 2, 5 * i + 5) for i in range(8)), savings=1)
    assert [frame.time_s for frame in found] == [2, 12, 22, 32]
    assert [frame.since_s for frame in found] == [0, 5, 15, 25]


def test_what_a_text_frame_has_read_meanwhile_is_known() -> None:
    offered = (keyframe(0, 2, 5), keyframe(5, 6, 10), keyframe(15, 17, 20))
    found = to_read(*offered, noted=(text(11, 12, 13),), savings=1)
    assert [(frame.time_s, frame.since_s) for frame in found] == [(2, 0), (17, 13)]


def test_flat_pictures_are_not_read_and_cost_nothing() -> None:
    flat = Keyframe("v", 0, 0, 5, 2, np.zeros_like(IMAGE))
    assert [frame.time_s for frame in to_read(flat, keyframe(5, 7, 10), savings=1)] == [7]


def test_a_keyframe_waits_until_it_is_known_whether_a_text_frame_stands_for_it() -> None:
    keyframes = TextKeyframes("v", ReadBudget(6, 9))
    keyframes.offer(keyframe(0, 2, 5))
    keyframes.offer(keyframe(5, 7, 10))
    assert [frame.time_s for frame in keyframes.settle(6)] == [2]
    keyframes.note(text(6, 7.5, 8))
    assert keyframes.settle(8) == []


def test_few_keyframes_wait_at_once_those_that_stand_for_most() -> None:
    found = to_read(*(keyframe(i, i + 0.2, i + (0.5 if i == 3 else 1)) for i in range(9)))
    assert [math.floor(frame.time_s) for frame in found] == [0, 1, 2, 4, 5, 6, 7, 8]
