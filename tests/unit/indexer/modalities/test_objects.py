"""What is made of the objects that a detector sees: segments, counts, vectors."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.core.types import Sighting
from indexer.modalities.objects.segments import SeenFrame, object_counts, object_segments, object_vectors, objects_text
from indexer.models.base import Detection

LABELS = ("person", "bus", "wine glass", "sheep")
BOX = (0.1, 0.2, 0.3, 0.4)


def seen(number: int, confidence: float = 0.5) -> Detection:
    return Detection(LABELS[number], number, confidence, BOX)


def sighting(time_s: float, number: int, confidence: float = 0.5) -> Sighting:
    return Sighting(time_s, LABELS[number], number, confidence, BOX)


detections = st.builds(seen, st.integers(0, 3), st.floats(0, 1))
frames = st.lists(
    st.builds(
        lambda shot, second, found: SeenFrame(
            shot, shot * 100 + second, shot * 100 + second + 1, shot * 100 + second, found
        ),
        st.integers(0, 3),
        st.integers(0, 20),
        st.lists(detections, max_size=6).map(tuple),
    ),
    max_size=12,
    unique_by=lambda frame: frame.time_s,
)
sightings = st.lists(st.builds(sighting, st.sampled_from([0.0, 0.5, 1.0, 2.5]), st.integers(0, 3), st.floats(0, 1)))


def test_a_shot_is_one_segment_of_the_most_seen_at_once() -> None:
    shot = [
        SeenFrame(0, 0.0, 2.0, 1.0, (seen(0, 0.9), seen(1, 0.8))),
        SeenFrame(0, 2.0, 5.0, 3.0, (seen(0, 0.7), seen(0, 0.6))),
        SeenFrame(1, 5.0, 6.0, 5.5, (seen(3),)),
    ]
    first, second = object_segments("v", shot)
    assert (first.video_id, first.start_s, first.end_s, first.text) == ("v", 0.0, 5.0, "2 persons, 1 bus")
    assert (first.kind, second.kind) == ("objects", "objects")
    assert [(one.time_s, one.label, one.confidence) for one in first.sightings] == [
        (1.0, "person", 0.9),
        (1.0, "bus", 0.8),
        (3.0, "person", 0.7),
        (3.0, "person", 0.6),
    ]
    assert all(one.box == BOX for one in first.sightings)
    assert (second.start_s, second.end_s, second.text) == (5.0, 6.0, "1 sheep")


def test_a_shot_without_objects_is_no_segment() -> None:
    assert object_segments("v", []) == []
    assert object_segments("v", [SeenFrame(0, 0.0, 1.0, 0.5, ()), SeenFrame(1, 1.0, 2.0, 1.5, ())]) == []


def test_a_keyframe_without_objects_still_belongs_to_its_shot() -> None:
    (segment,) = object_segments("v", [SeenFrame(0, 0.0, 4.0, 2.0, ()), SeenFrame(0, 4.0, 7.0, 5.0, (seen(1),))])
    assert (segment.start_s, segment.end_s, segment.text) == (0.0, 7.0, "1 bus")


@given(frames)
def test_segments_hold_every_detection_once_in_order(shots: list[SeenFrame]) -> None:
    segments = object_segments("v", shots)
    assert len(segments) == len({frame.shot for frame in shots if frame.detections})
    assert sum(len(segment.sightings) for segment in segments) == sum(len(frame.detections) for frame in shots)
    assert all(one.end_s <= other.start_s for one, other in pairwise(segments))
    for segment in segments:
        times = [one.time_s for one in segment.sightings]
        assert times == sorted(times)
        assert all(segment.start_s <= time_s < segment.end_s for time_s in times)
        assert segment.text == objects_text(segment.sightings)


@given(frames, st.randoms(use_true_random=False))
def test_segments_do_not_depend_on_the_order_of_frames(shots: list[SeenFrame], order: random.Random) -> None:
    shuffled = list(shots)
    order.shuffle(shuffled)
    assert object_segments("v", shuffled) == object_segments("v", shots)


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ({"person": 2, "bus": 1}, "2 persons, 1 bus"),
        ({"bus": 2}, "2 buses"),
        ({"wine glass": 3}, "3 wine glasses"),
        ({"wine glass": 1}, "1 wine glass"),
        ({"knife": 2}, "2 knives"),
        ({"sheep": 9}, "9 sheep"),
        ({"mouse": 2}, "2 mice"),
        ({"scissors": 2}, "2 scissors"),
        ({"skis": 4}, "4 skis"),
        ({"bench": 2}, "2 benches"),
        ({"toothbrush": 2}, "2 toothbrushes"),
        ({"box": 2}, "2 boxes"),
        ({"cherry": 2}, "2 cherries"),
        ({"key": 2}, "2 keys"),
        ({"teddy bear": 2}, "2 teddy bears"),
        ({"horse": 2}, "2 horses"),
        ({"glasses": 2}, "2 glasses"),
        ({}, ""),
    ],
)
def test_numbers_are_said_in_english(counts: dict[str, int], text: str) -> None:
    assert objects_text([Sighting(0.0, label, 0, 0.5, BOX) for label, n in counts.items() for _ in range(n)]) == text


def test_of_equally_many_the_surest_is_named_first() -> None:
    assert objects_text([sighting(0, 0, 0.4), sighting(0, 1, 0.9), sighting(1, 0, 0.6)]) == "1 bus, 1 person"


def test_counts_are_the_most_at_one_time() -> None:
    assert object_counts([sighting(0, 0), sighting(0, 0), sighting(1, 0), sighting(2, 1)]) == {"person": 2, "bus": 1}
    assert object_counts([]) == {}


@given(sightings)
def test_no_count_is_below_any_keyframes(many: list[Sighting]) -> None:
    counts = object_counts(many)
    assert set(counts) == {one.label for one in many}
    for label, count in counts.items():
        per_time = [sum(one.time_s == time_s and one.label == label for one in many) for time_s in (0.0, 0.5, 1.0, 2.5)]
        assert count == max(per_time)


def test_vectors_are_the_best_and_the_average() -> None:
    many = [sighting(0, 0, 0.5), sighting(0, 0, 0.75), sighting(1, 0, 0.25), sighting(1, 2, 1.0)]
    maximum, mean = object_vectors(many, 4, 4)
    assert maximum == pytest.approx([0.75, 0, 1.0, 0])
    assert mean == pytest.approx([(0.75 + 0.25) / 4, 0, 1.0 / 4, 0])


def test_vectors_of_nothing_are_zero() -> None:
    for keyframes in (0, 3):
        maximum, mean = object_vectors([], keyframes, 80)
        assert maximum.shape == mean.shape == (80,)
        assert maximum.dtype == mean.dtype == np.float32
        assert not maximum.any()
        assert not mean.any()


@given(sightings, st.integers(4, 9), st.randoms(use_true_random=False))
def test_vectors_obey_their_meaning(many: list[Sighting], keyframes: int, order: random.Random) -> None:
    maximum, mean = object_vectors(many, keyframes, 4)
    assert (mean <= maximum).all()
    assert ((mean >= 0) & (maximum <= 1)).all()
    assert {number for number in range(4) if maximum[number]} <= {one.class_index for one in many}
    # Looking at more keyframes with nothing in them thins the average out and leaves the best alone.
    more, thinner = object_vectors(many, keyframes * 2, 4)
    assert np.array_equal(more, maximum)
    assert thinner == pytest.approx(mean / 2, abs=1e-7)
    shuffled = list(many)
    order.shuffle(shuffled)
    assert all(map(np.array_equal, object_vectors(shuffled, keyframes, 4), (maximum, mean)))


@given(st.lists(st.builds(sighting, st.sampled_from([0.0, 1.0]), st.integers(0, 3), st.floats(0, 1))))
def test_doubled_boxes_change_no_vector(many: list[Sighting]) -> None:
    assert all(map(np.array_equal, object_vectors(many, 2, 4), object_vectors(many * 2, 2, 4)))


def test_vectors_refuse_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="class 3; there are 3"):
        object_vectors([sighting(0, 3)], 1, 3)
    with pytest.raises(ValueError, match="2 keyframes; there are 1"):
        object_vectors([sighting(0, 0), sighting(1, 0)], 1, 4)
