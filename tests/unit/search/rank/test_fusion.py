from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.models.base import Fingerprint
from search.rank.calibration import DEFAULTS, calibration_of, shown_from
from search.rank.fusion import Calibration, Fusion, mean_ranks, reciprocal_rank_fusion

SCORES = st.lists(st.sampled_from([-0.5, 0.0, 0.1, 0.25, 0.9]), max_size=12)


def test_fusion_adds_weighted_reciprocal_ranks() -> None:
    assert reciprocal_rank_fusion({"frames": 1, "text": 3}, {"text": 2.0}) == pytest.approx(1 / (60 + 1) + 2 / (60 + 3))
    assert reciprocal_rank_fusion({"frames": 2.5}, {}, k=0) == pytest.approx(1 / 2.5)
    assert reciprocal_rank_fusion({}, {}) == 0


@given(st.dictionaries(st.sampled_from("abcd"), st.floats(1, 1000), min_size=1), st.floats(0, 10))
def test_more_and_better_ranks_are_worth_more(ranks: dict[str, float], weight: float) -> None:
    weights = dict.fromkeys("abcde", weight)
    score = reciprocal_rank_fusion(ranks, weights)
    assert reciprocal_rank_fusion({**ranks, "e": 5.0}, weights) >= score
    assert reciprocal_rank_fusion({name: rank + 1 for name, rank in ranks.items()}, weights) <= score


def test_equal_scores_share_the_mean_of_their_ranks() -> None:
    assert mean_ranks([0.9, 0.5, 0.5, 0.1]) == [1, (2 + 3) / 2, (2 + 3) / 2, 4]
    assert mean_ranks([0.1, 0.9, 0.1, 0.1]) == [(2 + 3 + 4) / 3, 1, (2 + 3 + 4) / 3, (2 + 3 + 4) / 3]
    assert mean_ranks([]) == []


@given(SCORES)
def test_a_rank_is_one_more_than_the_better_ones_plus_half_of_the_equal_others(scores: list[float]) -> None:
    expected = [1 + sum(o > s for o in scores) + (sum(o == s for o in scores) - 1) / 2 for s in scores]
    assert mean_ranks(scores) == expected


def test_strength_runs_from_the_floor_to_the_ceiling() -> None:
    calibration = Calibration(0.25, 0.75)
    assert [calibration.strength(cosine) for cosine in (-1, 0.25, 0.5, 0.75, 1)] == [0, 0, 0.5, 1, 1]


def test_the_floor_is_higher_between_short_texts() -> None:
    calibration = Calibration(0.2, 0.7, brevity=0.25)
    assert calibration.between("car", "work") == Calibration(0.2 + 0.25, 0.7)
    assert calibration.between("car", "we go on") == Calibration(0.2 + 0.25 / 3**0.7, 0.7)
    assert calibration.between("a red car", "he goes on").floor == pytest.approx(0.2 + 0.25 / 9**0.7)
    assert calibration.between("car", "\u732b" * 6).floor == pytest.approx(0.2 + 0.25 / 3**0.7)
    assert calibration.between("car", "") == calibration
    assert Calibration(0.2, 0.7).between("car", "work") == Calibration(0.2, 0.7)
    fusion = Fusion({"ocr": 1.0}, {"ocr": calibration}, wording="car")
    assert fusion.weight("ocr", 0.45, "work") == 0
    assert fusion.evidence("ocr", 0.575, 2, "work") == pytest.approx(0.5 / (60 + 2))
    with pytest.raises(ValueError, match="above it"):
        Calibration(0.2, 0.4, brevity=0.2)


@pytest.mark.parametrize("floor", [0.5, 0.6, float("nan")])
def test_a_floor_lies_below_its_ceiling(floor: float) -> None:
    with pytest.raises(ValueError, match="floor"):
        Calibration(floor, 0.5)


def test_evidence_is_the_reciprocal_rank_times_weight_and_strength() -> None:
    fusion = Fusion({"frames": 2.0, "subtitle": 1.0}, {"frames": Calibration(0, 1), "subtitle": Calibration(0.2, 0.6)})
    assert fusion.evidence("frames", 0.5, 1) == pytest.approx(2 * 0.5 / (60 + 1))
    assert fusion.evidence("subtitle", 0.3, 2.5) == pytest.approx(0.25 / (60 + 2.5))
    assert fusion.evidence("subtitle", 0.2, 1) == 0


def test_words_are_worth_their_square_and_the_wordings_distinctness() -> None:
    fusion = Fusion({"ocr": 2.0}, {"ocr": Calibration(0, 1)}, distinctness=0.25)
    assert fusion.lexical_evidence("ocr", 0.5, 3) == pytest.approx(2 * 0.5**2 * 0.25 / (60 + 3))
    assert fusion.lexical_evidence("ocr", 0.0, 1) == 0


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_strength_never_falls_with_the_cosine(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert Calibration(0.1, 0.4).strength(low) <= Calibration(0.1, 0.4).strength(high)


def test_calibrations_are_found_by_family_with_a_default() -> None:
    def fingerprint(family: str) -> Fingerprint:
        return Fingerprint(family, "some", "w", "p", 4)

    assert calibration_of(fingerprint("unheard-of"), "text-text") == DEFAULTS["text-text"]
    assert calibration_of(None, "image-frames") == DEFAULTS["image-frames"]
    assert calibration_of(fingerprint("open_clip"), "text-frames") != DEFAULTS["text-frames"]
    assert calibration_of(fingerprint("yamnet"), "text-audio") == Calibration(0.45, 0.75)
    assert calibration_of(fingerprint("clap"), "text-audio") == Calibration(0.1, 0.5)


def test_a_frame_shows_what_its_family_is_known_to_reach_or_else_a_good_match() -> None:
    assert shown_from(Fingerprint("concepts", "some", "w", "p", 4)) == 0.5
    assert shown_from(Fingerprint("unheard-of", "some", "w", "p", 4)) == DEFAULTS["text-frames"].ceiling
    assert shown_from(None) == DEFAULTS["text-frames"].ceiling
