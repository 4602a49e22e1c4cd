"""How likely a score is found by chance: the rates, the confidence, and what is learnt from an index."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from indexer.core.errors import QueryError
from search.catalogue import Catalogue
from search.confidence.background import Background, Channel, NullDistribution, confidence_of, local_scale
from search.confidence.background_cache import HasVocabulary
from search.confidence.bank import BankScorer, EncodedBank, bank_queries
from search.match.calibration import Calibration
from search.query.query import Query
from tests.unit.search.letters import LetterEncoder, engine_of, library

FRAMES, SPEECH = Channel("frames", "meaning"), Channel("speech", "meaning")
SPOKEN = Channel("speech", "words")


def normal(count: int = 1000, middle: float = 0.2, spread: float = 0.1) -> np.ndarray:
    return np.random.default_rng(0).normal(middle, spread, count)


def test_a_rate_is_the_share_of_unrelated_queries_that_score_as_high() -> None:
    null = NullDistribution(FRAMES, normal(), 0.01)
    for share in (0.5, 0.75, 0.9):
        assert null.rated(float(np.quantile(null.scores, share))).rate == pytest.approx(1 - share, abs=0.02)
    assert null.rated(0.2 + 2 * 0.1).z_score == pytest.approx(2, abs=0.2)
    assert 0.01 < null.rated(0.2 + 2 * 0.1).rate < 0.06


def test_true_answers_among_the_bank_move_the_rates_little() -> None:
    clean = normal()
    answered = np.where(np.arange(1000) % 20 == 0, 0.9, clean)  # one in twenty is answered
    score = 0.2 + 3 * 0.1
    assert (
        NullDistribution(FRAMES, answered, 0.01).rated(score).rate
        < 2.5 * NullDistribution(FRAMES, clean, 0.01).rated(score).rate
    )
    assert NullDistribution(FRAMES, answered, 0.01).rated(0.9).rate < 0.001


def test_words_are_counted_and_smoothed() -> None:
    null = NullDistribution(SPOKEN, np.array([0.0] * 97 + [0.4, 0.4, 1.0]))
    assert null.rated(0.4).rate == pytest.approx((1 + 3 + 20 * 0.6) / (1 + 100 + 20))
    assert null.rated(0.5).rate == pytest.approx((1 + 1 + 20 * 0.5) / (1 + 100 + 20))
    assert null.rated(1.0).rate == pytest.approx((1 + 1) / (1 + 100 + 20))


@given(
    arrays(float, st.integers(1, 50), elements=st.floats(-1, 1)),
    st.lists(st.floats(-1, 1), min_size=2, max_size=9),
    st.sampled_from([FRAMES, SPOKEN]),
)
def test_a_better_score_is_never_likelier_by_chance(scores: np.ndarray, asked: list[float], channel: Channel) -> None:
    null = NullDistribution(channel, scores, 0.02)
    rates = [null.rated(score).rate for score in sorted(asked)]
    assert rates == sorted(rates, reverse=True)
    assert all(0 < rate <= 1 for rate in rates)


def test_a_confidence_takes_the_best_of_several_tests_into_account() -> None:
    assert confidence_of([(SPEECH, 0.3), (SPOKEN, 0.1)], 2.0) == pytest.approx((1 - 0.1) ** 2)
    assert confidence_of([], 2.0) is None
    pictures, speech = confidence_of([(FRAMES, 0.1)], 2.0), confidence_of([(SPEECH, 0.1)], 2.0)
    assert pictures == pytest.approx((1 - 0.1 / 4) ** 2)
    assert speech is not None
    assert pictures is not None
    assert pictures > speech


def test_channels_that_agree_count_as_one_test() -> None:
    rng = np.random.default_rng(1)
    one, other = rng.normal(size=2000), rng.normal(size=2000)
    subtitle = Channel("subtitle", "meaning")
    alike = Background({SPEECH: NullDistribution(SPEECH, one, 0.01), subtitle: NullDistribution(subtitle, one, 0.01)})
    apart = Background({SPEECH: NullDistribution(SPEECH, one, 0.01), subtitle: NullDistribution(subtitle, other, 0.01)})
    assert alike.effective_tests(alike.modalities) == pytest.approx(1, abs=0.05)
    assert apart.effective_tests(apart.modalities) == pytest.approx(2, abs=0.15)
    assert apart.effective_tests(["speech"]) == pytest.approx(1, abs=0.05)
    assert apart.effective_tests([]) == 1.0


def test_half_of_the_bank_has_a_confidence_of_at_least_one_half() -> None:
    rng = np.random.default_rng(2)
    nulls = [NullDistribution(FRAMES, rng.normal(size=999), 0.01), NullDistribution(SPEECH, rng.gumbel(size=999), 0.01)]
    tests = Background({null.channel: null for null in nulls}).effective_tests(["frames", "speech"])
    confidences = [
        confidence_of([(null.channel, null.rates[place]) for null in nulls], tests) or 0.0 for place in range(999)
    ]
    assert float(np.median(confidences)) == pytest.approx(0.5)


def test_the_local_scale_is_the_mean_cosine_with_the_nearest_tenth() -> None:
    vocabulary = np.eye(20, dtype=np.float32)
    query = np.zeros((1, 20), np.float32)
    query[0, :3] = 0.8, 0.6, 0.1
    assert local_scale(query, vocabulary) == pytest.approx([(0.8 + 0.6) / 2])
    assert local_scale(query, None).tolist() == [0.0]


def test_the_bank_is_diverse_and_has_nothing_twice() -> None:
    bank = bank_queries()
    assert len(bank) >= 300
    assert len({query.casefold() for query in bank}) == len(bank)
    assert min(len(query.split()) for query in bank) == 1 < max(len(query.split()) for query in bank)


def test_what_is_there_is_found_and_what_is_not_is_not() -> None:
    engine, _ = engine_of(library(["grey owl perched quietly", "blue tram stopping", "pots drying"], ["mind the gap"]))
    found = engine.search(Query(text="grey owl perched quietly", min_confidence=0.9))
    assert [moment.video.id for moment in found.moments] == ["video0"]
    assert found.moments[0].confidence is not None
    assert found.moments[0].confidence >= 0.9
    best = found.moments[0].hits[0]
    assert best.false_alarm_rate is not None
    assert best.false_alarm_rate < 0.01
    assert best.z_score is not None
    assert best.z_score > 3
    absent = engine.search(Query(text="violet zeppelin yawning", min_confidence=0.9))
    assert absent.moments == ()
    assert absent.total == 0
    assert not absent.has_more


def test_moments_left_out_are_told_best_first() -> None:
    engine, _ = engine_of(library(["grey owl", "grey tram", "grey pots", "grey sky"]))
    everything = engine.search(Query(text="grey heron", min_confidence=1e-12))
    strict = engine.search(Query(text="grey heron", min_confidence=1.0))
    assert strict.moments == ()
    assert [one.video.id for one in strict.unlikely] == [one.video.id for one in everything.moments]
    assert len(engine.search(Query(text="grey heron", min_confidence=1.0, top_k=2)).unlikely) == 2
    grouped = engine.search(Query(text="grey heron", min_confidence=1.0, group_by_video=True))
    assert grouped.moments == ()
    assert len({one.video.id for one in grouped.unlikely}) == len(grouped.unlikely)


def test_without_a_least_confidence_nothing_is_measured_or_left_out() -> None:
    engine, encoder = engine_of(library(["grey owl", "blue tram"]))
    ranking = engine.search(Query(text="grey owl"))
    assert ranking.moments
    assert ranking.unlikely == ()
    assert {moment.confidence for moment in ranking.moments} == {None}
    assert max(encoder.asked) == 1
    engine.search(Query(text="grey owl", min_confidence=0.5))
    assert engine.search(Query(text="grey owl")).moments[0].confidence is not None


def test_pictures_like_moments_and_phrases_are_not_judged() -> None:
    engine, _ = engine_of(library(["grey owl", "grey tram"], ["mind the gap", "stand clear"]))
    engine.search(Query(text="grey", min_confidence=0.5))
    like = engine.search(Query(like=("video0", 2.0), min_confidence=1.0))
    assert [moment.confidence for moment in like.moments] == [None] * len(like.moments)
    phrase = engine.search(Query(phrases=("mind the gap",), min_confidence=1.0))
    assert [moment.confidence for moment in phrase.moments] == [None]
    assert phrase.unlikely == ()


def test_the_bank_is_asked_once_by_models_that_are_one_and_kept_beside_the_index(tmp_path: Path) -> None:
    store = library(["grey owl", "blue tram"], ["mind the gap"])
    first, encoder = engine_of(store, tmp_path / "kept")
    expected = first.search(Query(text="grey owl", min_confidence=0.1)).moments[0]
    assert encoder.asked.count(len(bank_queries())) == 1
    second, encoder = engine_of(store, tmp_path / "kept")
    moment = second.search(Query(text="grey owl", min_confidence=0.1)).moments[0]
    assert max(encoder.asked) == 1
    assert moment.confidence == pytest.approx(expected.confidence, abs=0.001)
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["scores.json", "vectors.json"]


def test_a_changed_index_is_measured_anew_without_encoding_the_bank_again(tmp_path: Path) -> None:
    engine_of(library(["grey owl"]), tmp_path)[0].search(Query(text="owl", min_confidence=0.1))
    before = json.loads((tmp_path / "scores.json").read_text())
    engine, encoder = engine_of(library(["grey owl", "blue tram"]), tmp_path)
    engine.search(Query(text="owl", min_confidence=0.1))
    after = json.loads((tmp_path / "scores.json").read_text())
    assert before["signature"] != after["signature"]
    assert before["channels"] != after["channels"]
    assert max(encoder.asked) == 1


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"signature": 3}', "null", "\0"])
def test_files_that_are_not_ours_are_made_anew(tmp_path: Path, content: str) -> None:
    for name in ("scores.json", "vectors.json"):
        (tmp_path / name).write_text(content)
    engine, _ = engine_of(library(["grey owl"]), tmp_path)
    assert engine.search(Query(text="grey owl", min_confidence=0.5)).moments
    assert json.loads((tmp_path / "scores.json").read_text())["channels"]


def test_a_folder_that_cannot_be_written_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    engine, encoder = engine_of(library(["grey owl"]), tmp_path / "file" / "kept")
    for _ in range(2):
        assert engine.search(Query(text="grey owl", min_confidence=0.5)).moments
    assert encoder.asked.count(len(bank_queries())) == 1


def test_a_tiny_library_is_answered_too() -> None:
    engine, _ = engine_of(library(["owl"], ["owl"]))
    assert engine.search(Query(text="owl", min_confidence=0.9)).moments
    assert not engine.search(Query(text="zeppelin", min_confidence=0.9)).moments


def test_a_large_library_is_asked_query_by_query() -> None:
    store = library([f"picture {number}" for number in range(12)], ["mind the gap", "stand clear"])
    vectors = LetterEncoder().encode_queries(bank_queries())
    bank = EncodedBank(vectors, None, Calibration(0.0, 0.5, brevity=0.25), vectors)
    read, asked = (
        BankScorer(store, Catalogue.read(store), most_read=most).background({"frames": bank, "text": bank})
        for most in (10_000, 1)
    )
    assert read.distributions.keys() == asked.distributions.keys() == {FRAMES, SPEECH, SPOKEN}
    for channel, null in read.distributions.items():
        assert np.allclose(null.scores, asked.distributions[channel].scores, atol=1e-5), channel


@pytest.mark.parametrize("least", [-0.1, 1.1, float("nan")])
def test_a_least_confidence_is_a_probability(least: float) -> None:
    with pytest.raises(QueryError):
        Query(text="owl", min_confidence=least)


def test_encoders_of_named_classes_say_which() -> None:
    from indexer.models.concepts import ConceptsEncoder
    from indexer.models.yamnet import YamnetEncoder

    assert isinstance(ConceptsEncoder(LetterEncoder()).__class__.__dict__["vocabulary"], property)
    assert isinstance(YamnetEncoder.__dict__["vocabulary"], property)
    assert not isinstance(LetterEncoder(), HasVocabulary)
