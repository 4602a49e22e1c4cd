from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.core.types import ModalityName
from indexer.modalities.registry import modality_names
from search.match.calibration import Calibration
from search.moments import Hit, Moment, overlap_s
from search.rank.fusion import Fusion
from search.rank.listing import Listing
from search.rank.merging import TOLERANCE, form_groups, merge_groups, rank_groups
from tests.unit.search.library import video

VIDEOS = {key: video(key, 60.0) for key in "ab"}
FUSION = Fusion(dict.fromkeys(modality_names(), 1.0), dict.fromkeys(modality_names(), Calibration(0.0, 1.0)))


def hit(
    start_s: float, end_s: float, score: float, modality: ModalityName = "frames", *, shot: int = -1, key: str = "a"
) -> Hit:
    name = f"{key}/{modality}/{start_s}-{end_s}-{score}"
    return Hit(name, key, modality, start_s, end_s, start_s, score, shot=shot)


def merge(hits: Sequence[Hit]) -> list[Moment]:
    return merge_groups(rank_groups(form_groups(hits, VIDEOS), FUSION, {}), VIDEOS)


def spans(moments: Sequence[Moment]) -> list[tuple[float, float]]:
    return [(moment.start_s, moment.end_s) for moment in moments]


def test_a_static_shot_of_thirty_frames_is_one_moment_that_takes_one_rank() -> None:
    static = [hit(2 * n, 2 * n + 2, 0.5 + 0.01 * (n % 2), shot=0) for n in range(30)]
    first, second = merge([*static, hit(0, 5, 0.4, key="b")])
    assert (first.start_s, first.end_s, len(first.hits)) == (0, 60, 30)
    assert first.score == pytest.approx(0.51 / (60 + 1))
    assert second.score == pytest.approx(0.4 / (60 + 2))
    assert second.hits[0].rank == 2


def test_a_change_within_a_long_shot_begins_its_own_moment() -> None:
    frames = [hit(10 * n, 10 * n + 10, 0.6 if n in (3, 4) else 0.2, shot=0) for n in range(6)]
    assert spans(merge(frames)) == [(30, 50), (0, 30), (50, 60)]


def test_touching_frames_of_two_shots_stay_apart_however_alike() -> None:
    assert len(merge([hit(0, 10, 0.5, shot=0), hit(10, 20, 0.5, shot=1)])) == 2
    assert len(merge([hit(0, 10, 0.5), hit(10, 20, 0.5)])) == 2
    assert len(merge([hit(0, 10, 0.5, shot=0), hit(11, 20, 0.5, shot=0)])) == 2


def test_captions_that_roll_into_each_other_do_not_glue_a_video_together() -> None:
    rolling = [hit(2 * n, 2 * n + 4, 0.9 if n == 10 else 0.3 + 0.001 * n, "subtitle") for n in range(28)]
    best = merge(rolling)[0]
    assert (best.start_s, best.end_s) == (20, 24)


def test_a_phrase_spoken_within_a_long_shot_begins_where_it_is_spoken() -> None:
    [moment] = merge([hit(0, 10, 0.3, shot=0), hit(4, 7, 0.9, "subtitle")])
    assert (moment.start_s, moment.end_s, moment.time_s) == (4, 7, 4)
    assert moment.modalities == ("subtitle", "frames")
    assert moment.score == pytest.approx(0.9 / (60 + 1) + 0.3 / (60 + 1))
    assert moment.best_hit("frames").score == 0.3
    assert moment.best_hit("ocr") is None


def test_a_subtitle_over_a_cut_belongs_to_the_shot_it_is_mostly_in() -> None:
    first, second = merge([hit(0, 10, 0.8, shot=0), hit(10, 20, 0.7, shot=1), hit(9, 12, 0.5, "subtitle")])
    assert spans([first, second]) == [(10, 20), (0, 10)]
    assert first.modalities == ("frames", "subtitle")
    assert first.score == pytest.approx(0.7 / (60 + 2) + 0.5 / (60 + 1))
    assert second.modalities == ("frames",)


def test_a_cue_without_duration_belongs_to_the_shot_around_it() -> None:
    [moment] = merge([hit(0, 10, 0.8), hit(5, 5, 0.4, "subtitle")])
    assert moment.modalities == ("frames", "subtitle")


def test_only_the_best_of_a_modality_counts() -> None:
    [moment] = merge([hit(0, 10, 0.8), hit(1, 2, 0.5, "subtitle"), hit(3, 4, 0.4, "subtitle")])
    assert moment.score == pytest.approx(0.8 / (60 + 1) + 0.5 / (60 + 1))
    assert [one.rank for one in moment.hits] == [1, 1, 2]


def test_a_description_raises_the_best_moment_of_its_video_and_widens_none() -> None:
    about = hit(0, 60, 0.9, "description")
    best, other = merge([about, hit(10, 20, 0.5, shot=1), hit(30, 40, 0.4, shot=2)])
    assert spans([best, other]) == [(10, 20), (30, 40)]
    assert best.score == pytest.approx(0.9 / (60 + 1) + 0.5 / (60 + 1))
    assert best.time_s == 10
    assert other.score == pytest.approx(0.4 / (60 + 2))


def test_a_description_alone_is_a_moment_at_the_start() -> None:
    [moment] = merge([hit(0, 60, 0.9, "description"), hit(0, 59, 0.4, "ocr")])
    assert (moment.start_s, moment.end_s, moment.time_s) == (0, 60, 0)
    assert moment.modalities == ("description", "ocr")


def test_a_frame_of_a_single_shot_video_leads_its_own_moment() -> None:
    best, other = merge([hit(0, 60, 0.9, shot=0), hit(5, 8, 0.3, "subtitle", key="b")])
    assert (best.start_s, best.end_s, other.video.id) == (0, 60, "b")


def test_equal_moments_are_ordered_by_cosine_and_then_by_id() -> None:
    twins = [hit(0, 5, 0.5, key="b"), hit(0, 5, 0.5, key="a")]
    assert [moment.video.id for moment in merge(twins)] == ["a", "b"]
    assert [moment.hits[0].rank for moment in merge(twins)] == [1.5, 1.5]


def test_the_line_that_holds_the_words_leads_its_group_and_the_words_have_ranks_of_their_own() -> None:
    near = hit(0, 4, 0.6, "subtitle")
    phrase = replace(hit(2, 6, 0.5, "subtitle"), lexical=1.0)
    elsewhere = replace(hit(0, 5, 0.3, "subtitle", key="b"), lexical=0.5)
    best, other = merge([near, phrase, elsewhere])
    assert (best.start_s, best.end_s) == (2, 6)
    assert best.hits[0].record_id == phrase.record_id
    assert best.score == pytest.approx(0.5 / (60 + 1) + 1.0**2 / (60 + 1))
    assert other.score == pytest.approx(0.3 / (60 + 2) + 0.5**2 / (60 + 2))


def test_what_is_found_by_words_below_the_floor_takes_no_rank_from_deeper_levels() -> None:
    listing = Listing(VIDEOS, FUSION)
    listing.add([hit(0, 5, 0.5, "ocr"), replace(hit(10, 15, -0.1, "ocr"), lexical=1.0)])
    listing.add([hit(20, 25, 0.2, "ocr")])
    assert [moment.score for moment in listing.moments] == pytest.approx([1 / (60 + 1), 0.5 / (60 + 1), 0.2 / (60 + 2)])


HITS = st.lists(
    st.builds(
        lambda key, modality, start, length, score, shot: hit(
            start / 2, min(60.0, (start + length) / 2), score / 50, modality, shot=shot, key=key
        ),
        st.sampled_from("ab"),
        st.sampled_from(["frames", "subtitle", "description"]),
        st.integers(0, 100),
        st.one_of(st.integers(0, 20), st.just(120)),
        st.integers(1, 50),
        st.integers(-1, 2),
    ),
    max_size=25,
    unique_by=lambda one: one.record_id,
)


def is_whole(one: Hit) -> bool:
    return one.end_s - one.start_s >= 0.95 * 60 and one.modality != "frames"


@given(HITS)
def test_every_hit_is_in_exactly_one_moment(hits: list[Hit]) -> None:
    merged = [one.record_id for moment in merge(hits) for one in moment.hits]
    assert sorted(merged) == sorted(one.record_id for one in hits)


@given(HITS)
def test_groups_of_a_modality_never_overlap(hits: list[Hit]) -> None:
    local = [group for group in form_groups(hits, VIDEOS) if not group.whole]
    for one, other in combinations(local, 2):
        if one.key == other.key:
            assert min(one.end_s, other.end_s) - max(one.start_s, other.start_s) <= 0.001


@given(HITS)
def test_a_group_is_the_hull_of_hits_nearly_as_good_as_its_best(hits: list[Hit]) -> None:
    for group in form_groups(hits, VIDEOS):
        best = max(one.score for one in group.hits)
        near = [one for one in group.hits if one.score >= best - TOLERANCE and group.start_s <= one.start_s]
        inside = [one for one in near if one.end_s <= group.end_s]
        assert group.best.score == best
        assert group.start_s == min(one.start_s for one in inside)
        assert group.end_s == max(one.end_s for one in inside)


@given(HITS)
def test_a_moment_has_the_span_of_one_modality_and_all_its_hits_meet_it(hits: list[Hit]) -> None:
    for moment in merge(hits):
        local = [one for one in moment.hits if not is_whole(one)] or moment.hits
        assert moment.start_s in {one.start_s for one in local}
        assert moment.end_s in {one.end_s for one in local}
        assert moment.start_s <= moment.time_s <= moment.end_s
        for modality in {one.modality for one in local}:
            assert any(overlap_s(one, moment) > 0 for one in local if one.modality == modality)


@given(HITS, st.randoms(use_true_random=False))
def test_the_order_of_the_hits_does_not_matter(hits: list[Hit], chance: random.Random) -> None:
    shuffled = list(hits)
    chance.shuffle(shuffled)
    assert merge(shuffled) == merge(hits)


@given(HITS)
def test_moments_are_ordered_and_score_what_their_best_hits_are_worth(hits: list[Hit]) -> None:
    moments = merge(hits)
    assert [m.score for m in moments] == sorted((m.score for m in moments), reverse=True)
    for moment in moments:
        worth = [max(one.evidence for one in moment.hits if one.modality == name) for name in moment.modalities]
        assert moment.score == pytest.approx(sum(worth))


@given(HITS.filter(bool), st.floats(0.01, 1))
def test_more_evidence_for_the_best_moment_never_lowers_the_best_score(hits: list[Hit], score: float) -> None:
    before = merge(hits)[0]
    spoken = Hit("more", before.video.id, "speech", before.start_s, before.end_s, before.start_s, score)
    after = merge([*hits, spoken])
    heard = next(m for m in after if m.best_hit("speech"))
    assert after[0].score >= before.score
    assert heard.score >= score / (60 + 1)


@given(HITS, st.integers(1, 8))
def test_a_listing_in_levels_keeps_what_is_listed_and_repeats_nothing(hits: list[Hit], size: int) -> None:
    listing = Listing(VIDEOS, FUSION)
    best_first = sorted(hits, key=lambda one: (-one.score, one.record_id))
    for start in range(0, len(hits), size):
        listed = list(listing.moments)
        listing.add(best_first[start : start + size])
        assert listing.moments[: len(listed)] == listed
    shown = [one.record_id for moment in listing.moments for one in moment.hits]
    assert len(shown) == len(set(shown))
    assert set(shown) <= {one.record_id for one in hits}
    assert {moment.video.id for moment in listing.moments} == {one.video_id for one in hits}


def test_a_deeper_hit_of_a_listed_moment_is_not_listed_again() -> None:
    listing = Listing(VIDEOS, FUSION)
    listing.add([hit(0, 10, 0.5, shot=0)])
    listing.add([hit(10, 20, 0.49, shot=0), hit(2, 5, 0.3, "subtitle"), hit(0, 60, 0.2, "description")])
    assert spans(listing.moments) == [(0, 10)]
    listing.add([hit(20, 30, 0.4, shot=0), hit(30, 33, 0.3, "subtitle")])
    assert spans(listing.moments) == [(0, 10), (20, 30), (30, 33)]
    assert [moment.hits[0].rank for moment in listing.moments] == [1, 2, 2]


def test_hits_keep_their_facts_through_ranking() -> None:
    one = replace(hit(0, 10, 0.5, "subtitle", shot=3), text="hello")
    [moment] = merge([one])
    assert replace(moment.hits[0], rank=0.0, evidence=0.0) == one
