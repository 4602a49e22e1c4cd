from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.core.types import ModalityName
from search.match.calibration import Calibration
from search.moments import Hit, fused_score
from search.rank.fusion import Fusion, mean_ranks

SCORES = st.lists(st.sampled_from([-0.5, 0.0, 0.1, 0.25, 0.9]), max_size=12)


def hit(modality: ModalityName, cosine: float, text: str = "", lexical: float = 0.0) -> Hit:
    return Hit("h", "v", modality, 0, 5, 0, cosine, text=text, lexical=lexical)


def test_fusion_adds_weighted_reciprocal_ranks() -> None:
    fusion = Fusion({"subtitle": 2.0}, {"subtitle": Calibration(0, 1)})
    both = hit("subtitle", 1.0, lexical=1.0)
    assert fusion.evidence(both, 1, 3) == pytest.approx(2 / (60 + 1) + 2 / (60 + 3))
    moment = [replace(hit("frames", 1.0), evidence=1 / 61), replace(both, evidence=2 / 63)]
    assert fused_score(moment) == pytest.approx(1 / 61 + 2 / 63)
    assert fused_score([]) == 0


@given(st.floats(1, 1000), st.floats(1, 1000), st.floats(0, 10), st.floats(0, 1))
def test_more_and_better_ranks_are_worth_more(rank: float, by_words: float, weight: float, lexical: float) -> None:
    fusion = Fusion({"ocr": weight}, {"ocr": Calibration(0, 1)})
    score = fusion.evidence(hit("ocr", 0.5, lexical=lexical), rank, by_words)
    assert fusion.evidence(hit("ocr", 0.5, lexical=1.0), rank, by_words) >= score
    assert fusion.evidence(hit("ocr", 0.5, lexical=lexical), rank + 1, by_words + 1) <= score


def test_equal_scores_share_the_mean_of_their_ranks() -> None:
    assert mean_ranks([0.9, 0.5, 0.5, 0.1]) == [1, (2 + 3) / 2, (2 + 3) / 2, 4]
    assert mean_ranks([0.1, 0.9, 0.1, 0.1]) == [(2 + 3 + 4) / 3, 1, (2 + 3 + 4) / 3, (2 + 3 + 4) / 3]
    assert mean_ranks([]) == []


@given(SCORES)
def test_a_rank_is_one_more_than_the_better_ones_plus_half_of_the_equal_others(scores: list[float]) -> None:
    expected = [1 + sum(o > s for o in scores) + (sum(o == s for o in scores) - 1) / 2 for s in scores]
    assert mean_ranks(scores) == expected


def test_evidence_is_the_reciprocal_rank_times_weight_and_strength() -> None:
    fusion = Fusion({"frames": 2.0, "subtitle": 1.0}, {"frames": Calibration(0, 1), "subtitle": Calibration(0.2, 0.6)})
    assert fusion.evidence(hit("frames", 0.5), 1, 1) == pytest.approx(2 * 0.5 / (60 + 1))
    assert fusion.evidence(hit("subtitle", 0.3), 2.5, 1) == pytest.approx(0.25 / (60 + 2.5))
    assert fusion.evidence(hit("subtitle", 0.2), 1, 1) == 0


def test_evidence_takes_brevity_into_account() -> None:
    fusion = Fusion({"ocr": 1.0}, {"ocr": Calibration(0.2, 0.7, brevity=0.25)}, wording="car")
    assert fusion.weight("ocr", 0.45, "work") == pytest.approx(0)
    assert fusion.evidence(hit("ocr", 0.575, "work"), 2, 1) == pytest.approx(0.5 / (60 + 2))


def test_words_are_worth_their_square_and_the_wordings_distinctness() -> None:
    fusion = Fusion({"ocr": 2.0}, {"ocr": Calibration(0, 1)}, distinctness=0.25)
    assert fusion.evidence(hit("ocr", 0.0, lexical=0.5), 1, 3) == pytest.approx(2 * 0.5**2 * 0.25 / (60 + 3))
    assert fusion.evidence(hit("ocr", 0.0), 1, 1) == 0
