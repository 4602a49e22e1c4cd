"""Zero-shot figures: expectations written as arithmetic, on a library whose pictures are bags of words."""

from __future__ import annotations

from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from indexer.core.errors import UsageError
from indexer.store.memory import MemoryStore
from search.evaluate.actions import (
    ActionEvaluation,
    ActionOptions,
    area_under_curve,
    best_class,
    estimates,
    evaluate_actions,
    figures_of,
    mean_ranks,
    overlap,
)
from search.evaluate.prompts import TEMPLATES, ClassNames, Templates, encode_classes
from tests.unit.search.library import BagOfWords, bag_of_words, put, shots, video

CLASSES = ClassNames("file", ("diving", "bench press", "fencing"))


def library() -> MemoryStore:
    """Four videos of three classes: first, tied, second, third; three that cannot be evaluated; one unfinished."""
    store = MemoryStore()
    shown = {
        "a": ("Diving", ["diving"]),
        "b": ("diving", ["fencing", "diving diving diving"]),
        "c": ("BenchPress", ["bench diving"]),
        "d": ("fencing", ["diving", "bench press"]),
        "unlabelled": ("", ["diving"]),
        "other": ("knitting", ["diving"]),
    }
    for key, (label, texts) in shown.items():
        put(store, video(key, label=label), shots(key, texts))
    put(store, video("dark", label="diving"), [])
    put(store, video("half", label="diving"), shots("half", ["diving"]), state="pending")
    return store


def evaluated(store: MemoryStore, options: ActionOptions | None = None) -> ActionEvaluation:
    return evaluate_actions(store, BagOfWords(), options or ActionOptions(classes=CLASSES))


def test_ranks_count_what_is_ahead_and_share_ties() -> None:
    cosines = np.array([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1], [0.5, 0.5, 0.5], [0.4, 0.5, 0.5]], np.float32)
    assert mean_ranks(cosines, np.array([0, 2, 1, 1])).tolist() == [1, 3, (1 + 2 + 3) / 3, (1 + 2) / 2]


def test_what_single_precision_cannot_tell_apart_ties() -> None:
    cosines = np.array([[0.5, 0.5 + 2e-7, 0.1]], np.float32)
    assert mean_ranks(cosines, np.array([0])) == mean_ranks(cosines, np.array([1])) == [1.5]
    assert [best_class(cosines[0], right) for right in (0, 1)] == [1, 0]


@given(arrays(np.int64, st.tuples(st.integers(1, 8), st.integers(2, 6)), elements=st.integers(0, 4)), st.randoms())
def test_the_best_class_is_right_exactly_if_the_rank_is_1(steps: np.ndarray, random: object) -> None:
    cosines = (steps / 4).astype(np.float32)
    right = np.array([random.randrange(cosines.shape[1]) for _ in cosines])  # type: ignore[attr-defined]
    is_best = [best_class(row, place) == place for row, place in zip(cosines, right, strict=True)]
    assert is_best == (mean_ranks(cosines, right) <= 1).tolist()


def test_the_area_under_the_curve_is_the_share_of_pairs_in_order() -> None:
    # (0.5, 0.4) and (0.5, 0.1) and (0.2, 0.1) are in order, (0.2, 0.4) is not, and 0.2 ties with 0.2.
    right, wrong = np.array([0.5, 0.2]), np.array([0.4, 0.1, 0.2])
    assert area_under_curve(right, wrong) == pytest.approx((2 + 1 + 1 + 0.5) / 6)


def test_the_overlap_is_the_shared_area_of_the_histograms() -> None:
    low, high = np.zeros(4), np.ones(4)
    assert overlap(low, high) == 0
    assert overlap(low, low) == 1
    assert overlap(np.array([0.0, 0.0, 0.0, 1.0]), high) == pytest.approx(1 / 4)


def test_the_interval_is_that_of_drawing_videos() -> None:
    # Of ten draws from five ones and five noughts, P(at most 1) = 11/1024 and P(at most 2) = 56/1024.
    [estimate] = estimates(np.array([[0.0], [1.0]] * 5), np.arange(10))
    assert (estimate.value, estimate.low, estimate.high) == (0.5, pytest.approx(0.2), pytest.approx(0.8))


def test_more_frames_of_the_same_videos_make_nothing_surer() -> None:
    values, videos = np.array([[1.0], [0.0], [1.0], [1.0]]), np.arange(4)
    [few], [many] = estimates(values, videos), estimates(values.repeat(50, axis=0), videos.repeat(50))
    assert (many.value, many.low, many.high) == pytest.approx((few.value, few.low, few.high))


def test_one_video_has_no_interval() -> None:
    [estimate] = estimates(np.array([[1.0], [0.0]]), np.zeros(2, np.int64))
    assert (estimate.value, estimate.low, estimate.high) == (0.5, None, None)


def test_figures_by_hand() -> None:
    cosines = np.array([[0.8, 0.2, 0.1, 0.0], [0.3, 0.6, 0.5, 0.4]], np.float32)
    figures = figures_of(cosines, np.array([0, 0]), np.array([0, 1]))
    assert figures.count == 2
    assert figures.p_at_1.value == 1 / 2
    assert figures.hit_at_3.value == 1 / 2
    assert figures.precision_at_3.value == pytest.approx((1 / 3 + 0 / 3) / 2)
    assert figures.mean_rank.value == (1 + 4) / 2
    assert figures.right_cosine.value == pytest.approx((0.8 + 0.3) / 2)
    assert figures.wrong_cosine.value == pytest.approx((0.2 + 0.1 + 0.0 + 0.6 + 0.5 + 0.4) / 6)
    assert figures.auc == pytest.approx((6 + 3) / 12)


def test_videos_are_ranked_by_their_pooled_frames() -> None:
    evaluation = evaluated(library())
    assert [each.video.id for each in evaluation.videos] == ["c", "a", "b", "d"]
    ranks = {each.video.id: each.rank for each in evaluation.videos}
    # "c" shows half of "bench press", 1/sqrt(2) * 1/sqrt(2), and all of "diving", 1/sqrt(2).
    # "d" shows nothing of fencing, and both others.
    assert ranks == {"a": 1, "b": 1.5, "c": 2, "d": 3}
    assert evaluation.by_video.p_at_1.value == 1 / 4
    assert evaluation.by_video.hit_at_3.value == 1
    assert evaluation.by_video.precision_at_3.value == pytest.approx(1 / 3)
    bench = next(each for each in evaluation.videos if each.video.id == "c")
    assert bench.pooled.tolist() == pytest.approx([1 / sqrt(2), 1 / 2, 0], abs=1e-6)


def test_frames_are_ranked_one_by_one() -> None:
    evaluation = evaluated(library())
    assert evaluation.by_frame.count == 1 + 1 + 2 + 2
    # Right alone: the frame of "a" and the second of "b". In "b" first, diving ties for the second place: 2.5.
    # In "d", fencing ties with bench press for the second place, then with diving: 2.5 and 2.5.
    assert evaluation.by_frame.p_at_1.value == 2 / 6
    assert evaluation.by_frame.mean_rank.value == pytest.approx((2 + 1 + 2.5 + 1 + 2.5 + 2.5) / 6)


def test_each_class_has_a_row_and_the_confusions_add_up() -> None:
    evaluation = evaluated(library())
    rows = {row.name: row for row in evaluation.by_class}
    assert (rows["diving"].count, rows["diving"].p_at_1, rows["diving"].mean_rank) == (2, 1 / 2, (1 + 1.5) / 2)
    assert (rows["bench press"].taken_for, rows["bench press"].taken_for_count) == ("diving", 1)
    assert evaluation.confusion.sum() == 4
    assert np.trace(evaluation.confusion) == evaluation.by_video.p_at_1.value * 4
    assert evaluation.confusion[1].tolist() == [1, 0, 0]


def test_a_tie_for_the_first_place_is_no_success() -> None:
    tied = next(each for each in evaluated(library()).videos if each.video.id == "b")
    assert not tied.is_right
    assert CLASSES.names[tied.best] == "fencing"
    assert [CLASSES.names[place] for place, _ in tied.top(2)] == ["fencing", "diving"]


def test_pooling_decides_what_a_video_shows() -> None:
    store = MemoryStore()
    put(store, video("v", label="diving"), shots("v", ["diving", "diving fencing", "fencing", "fencing"]))
    put(store, video("w", label="fencing"), shots("w", ["fencing"]))
    by_pooling = {
        name: evaluated(store, ActionOptions(classes=CLASSES, pooling=name)).videos[0].pooled[0]
        for name in ("mean", "query", "max")
    }
    assert by_pooling["max"] == pytest.approx(1, abs=1e-6)
    diving, fencing = 1 + 1 / sqrt(2), 1 / sqrt(2) + 2
    assert by_pooling["mean"] == pytest.approx(diving / sqrt(diving**2 + fencing**2), abs=1e-6)
    assert by_pooling["mean"] < by_pooling["query"] < by_pooling["max"]


def test_what_was_left_out_is_said() -> None:
    left_out = evaluated(library()).left_out
    assert [each.id for each in left_out.unlabelled] == ["unlabelled"]
    assert [each.id for each in left_out.of_no_class] == ["other"]
    assert [each.id for each in left_out.without_frames] == ["dark"]


def test_classes_come_from_the_labels_without_a_list() -> None:
    evaluation = evaluated(library(), ActionOptions())
    assert evaluation.classes.names == ("bench press", "diving", "fencing", "knitting")
    assert len(evaluation.videos) == 5


def test_a_library_without_labels_says_how_to_get_them() -> None:
    store = MemoryStore()
    put(store, video("v"), shots("v", ["diving"]))
    with pytest.raises(UsageError, match="has a label") as refused:
        evaluated(store, ActionOptions())
    assert "--labels" in refused.value.hint


def test_labels_that_are_no_class_are_named() -> None:
    store = MemoryStore()
    put(store, video("v", label="knitting"), shots("v", ["diving"]))
    with pytest.raises(UsageError, match="3 classes in file; the labels are knitting"):
        evaluated(store)


def test_the_vector_of_a_class_is_the_mean_of_its_sentences_normalised_again() -> None:
    templates = Templates("own", ("{}", "{} video"))
    vectors = encode_classes(BagOfWords(), CLASSES, templates)
    expected = bag_of_words("diving") + bag_of_words("diving video")
    assert vectors[0] == pytest.approx(expected / np.linalg.norm(expected), abs=1e-6)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3))


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path) -> None:
    classes = ClassNames("file", tuple(f"class {number}" for number in range(12)))
    cache, clip = tmp_path / "out" / "class-texts", TEMPLATES["clip"]

    def stop(what: str, done: int, total: int) -> None:
        assert (what, done, total) == ("class texts", 256 // 28, 12)
        raise KeyboardInterrupt

    first, second, third = BagOfWords(), BagOfWords(), BagOfWords()
    with pytest.raises(KeyboardInterrupt):
        encode_classes(first, classes, clip, cache=cache, progress=stop)
    vectors = encode_classes(second, classes, clip, cache=cache)
    assert (first.encoded, second.encoded) == (28 * 9, 28 * 3)
    assert vectors == pytest.approx(encode_classes(BagOfWords(), classes, clip))
    encode_classes(third, classes, clip, cache=cache)
    assert third.encoded == 0


def test_vectors_of_other_sentences_classes_or_models_do_not_count(tmp_path: Path) -> None:
    for classes, templates in (
        (CLASSES, TEMPLATES["plain"]),
        (CLASSES, TEMPLATES["french"]),
        (ClassNames("file", CLASSES.names[::-1]), TEMPLATES["french"]),
    ):
        encoder = BagOfWords()
        vectors = encode_classes(encoder, classes, templates, cache=tmp_path)
        assert encoder.encoded == 3
        assert vectors == pytest.approx(encode_classes(BagOfWords(), classes, templates))


def test_progress_is_reported_of_texts_and_videos() -> None:
    reported: list[tuple[str, int, int]] = []
    evaluate_actions(
        library(), BagOfWords(), ActionOptions(classes=CLASSES), progress=lambda *each: reported.append(each)
    )
    assert reported == [("class texts", 3, 3), *(("videos", done, 4) for done in (1, 2, 3, 4))]
