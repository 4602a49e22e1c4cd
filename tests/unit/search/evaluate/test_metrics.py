"""Metrics: trec_eval's definitions as arithmetic, ties as the mean over all orders, and ir-measures as the oracle."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations, groupby, permutations, product
from statistics import fmean

import ir_measures
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.evaluate.metrics import MOMENT_METRICS, by_moment, per_query
from search.evaluate.qrels import RelevantSpan, moment_id
from search.evaluate.runs import Run

MEASURES = {
    **{
        f"{ours}@{k}": theirs @ k
        for k in (1, 3, 5, 10)
        for ours, theirs in (("R", ir_measures.R), ("P", ir_measures.P))
    },
    **{f"hit@{k}": ir_measures.Success @ k for k in (1, 3, 5, 10)},
    "MRR": ir_measures.RR,
    "mAP": ir_measures.AP,
    "nDCG@10": ir_measures.nDCG @ 10,
}
NAMES = tuple(MEASURES)


def untied(documents: Sequence[str]) -> list[tuple[str, float]]:
    """Documents in this order."""
    return [(document, 1 / (place + 1)) for place, document in enumerate(documents)]


def moment(video: str, start_s: float, end_s: float) -> str:
    return moment_id(RelevantSpan(video, start_s, end_s))


def value(name: str, answers: Sequence[tuple[str, float]], judged: dict[str, int], corpus_size: int = 100) -> float:
    return per_query(Run({"q": answers}), {"q": judged}, [name], corpus_size=corpus_size)[name]["q"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # Ranked a, b, c, d, e; right are b, d and x, which was not found.
        ("R@1", 0 / 3),
        ("R@5", 2 / 3),
        ("R@10", 2 / 3),
        ("P@1", 0 / 1),
        ("P@3", 1 / 3),
        ("P@5", 2 / 5),
        ("P@10", 2 / 10),
        ("hit@1", 0),
        ("hit@3", 1),
        ("MRR", 1 / 2),
        ("mAP", (1 / 2 + 2 / 4) / 3),
        ("nDCG@10", (1 / math.log2(3) + 1 / math.log2(5)) / (1 / math.log2(2) + 1 / math.log2(3) + 1 / math.log2(4))),
        ("MdR", 2),
        ("MnR", 2),
    ],
)
def test_metrics_are_trec_evals(name: str, expected: float) -> None:
    assert value(name, untied("abcde"), {"b": 1, "d": 1, "x": 1}) == pytest.approx(expected)


def test_gains_are_the_relevances_and_what_is_judged_wrong_gains_nothing() -> None:
    judged = {"a": -1, "b": 3, "c": 0, "d": 1}
    ideal = 3 / math.log2(2) + 1 / math.log2(3)
    assert value("nDCG@10", untied("abcd"), judged) == pytest.approx((3 / math.log2(3) + 1 / math.log2(5)) / ideal)
    assert value("R@5", untied("abcd"), judged) == 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # a is first, then b, c, d, e share a score; c alone is right: its rank is 2, 3, 4 or 5.
        ("MnR", (2 + 3 + 4 + 5) / 4),
        ("hit@1", 0),
        ("hit@3", 2 / 4),
        ("R@3", 2 / 4),
        ("P@3", 2 / 4 / 3),
        ("R@5", 1),
        ("MRR", (1 / 2 + 1 / 3 + 1 / 4 + 1 / 5) / 4),
        ("mAP", (1 / 2 + 1 / 3 + 1 / 4 + 1 / 5) / 4),
        ("nDCG@10", sum(1 / math.log2(rank + 1) for rank in (2, 3, 4, 5)) / 4),
    ],
)
def test_a_tie_counts_at_its_mean(name: str, expected: float) -> None:
    answers = [("a", 0.9), ("b", 0.5), ("c", 0.5), ("d", 0.5), ("e", 0.5)]
    assert value(name, answers, {"c": 1}) == pytest.approx(expected)


def test_neither_the_order_of_a_tie_nor_the_ids_in_it_matter() -> None:
    for order in permutations("bcd"):
        answers = [("a", 0.9), *((document, 0.5) for document in order), ("e", 0.1)]
        for right in "bcd":
            assert value("hit@3", answers, {right: 1}) == pytest.approx(2 / 3)
            assert value("MnR", answers, {right: 1}) == pytest.approx(3)


def test_two_right_ones_in_a_tie_have_the_mean_first_rank_of_all_orders() -> None:
    answers = [(document, 1.0) for document in "abcde"]
    expected = fmean(min(order.index("a"), order.index("b")) + 1 for order in permutations("abcde"))
    assert value("MnR", answers, {"a": 1, "b": 1}) == pytest.approx(expected)


def test_what_was_not_found_is_tied_behind_all_that_was() -> None:
    # 3 of 10 were returned: the right one is one of the 7 at 4 to 10.
    assert value("MnR", untied("abc"), {"x": 1}, corpus_size=10) == pytest.approx(fmean(range(4, 11)))
    assert value("MnR", [], {"x": 1}, corpus_size=10) == pytest.approx(fmean(range(1, 11)))
    assert value("MRR", untied("abc"), {"x": 1}, corpus_size=10) == 0


def test_a_query_that_was_not_asked_counts_as_nothing_found_and_one_without_answer_not_at_all() -> None:
    qrels = {"q": {"a": 1}, "silent": {"a": 1}, "unanswerable": {"a": 0}}
    values = per_query(Run({"q": untied("a"), "unanswerable": untied("a")}), qrels, ["MRR", "hit@1"], corpus_size=1)
    assert values == {"MRR": {"q": 1.0, "silent": 0.0}, "hit@1": {"q": 1.0, "silent": 0.0}}


def test_scores_that_differ_in_the_last_digit_are_no_tie() -> None:
    # In single precision, as trec_eval keeps scores, these two are equal.
    assert value("MRR", [("b", 1.0 + 1e-12), ("a", 1.0)], {"b": 1}) == 1
    assert value("MRR", [("b", 1.0 + 1e-12), ("a", 1.0)], {"a": 1}) == 0.5


@pytest.mark.parametrize("name", ["R", "R@0", "R@x", "F@1", "mrr", ""])
def test_an_unknown_metric_is_an_error(name: str) -> None:
    for judged in ({"a": 1}, {"b": 1}):
        with pytest.raises(ValueError, match="no metric"):
            value(name, [("a", 1.0), ("b", 1.0)], judged)


documents = st.sampled_from("abcdefgh")
judgements = st.dictionaries(documents, st.integers(-1, 3), min_size=1).filter(lambda judged: max(judged.values()) > 0)


def from_ir_measures(
    runs: dict[str, dict[str, float]], judged: dict[str, dict[str, int]]
) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {name: {} for name in NAMES}
    names = {str(measure): name for name, measure in MEASURES.items()}
    for metric in ir_measures.iter_calc(list(MEASURES.values()), judged, runs):
        found[names[str(metric.measure)]][metric.query_id] = metric.value
    return found


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.lists(documents, unique=True), judgements), min_size=1, max_size=5))
def test_without_ties_every_metric_is_that_of_ir_measures(cases: list[tuple[list[str], dict[str, int]]]) -> None:
    run = Run({str(number): untied(ranking) for number, (ranking, _) in enumerate(cases)})
    qrels = {str(number): judged for number, (_, judged) in enumerate(cases)}
    judged = {query: {key: max(0, gain) for key, gain in found.items()} for query, found in qrels.items()}
    expected = from_ir_measures({query: dict(answers) for query, answers in run.by_query.items()}, judged)
    found = per_query(run, qrels, NAMES, corpus_size=8)
    for name in NAMES:
        assert found[name] == pytest.approx(expected[name], abs=1e-9)


def orders(answers: Sequence[tuple[str, float]]) -> Iterator[list[str]]:
    """Every order of the documents that the scores allow."""
    groups = [[key for key, _ in tied] for _, tied in groupby(answers, key=lambda answer: answer[1])]
    for chosen in product(*(permutations(group) for group in groups)):
        yield [key for group in chosen for key in group]


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.sampled_from("abcdef"), st.sampled_from([0.1, 0.5, 0.9]), max_size=6), judgements)
def test_with_ties_every_metric_is_the_mean_of_ir_measures_over_all_orders(
    scores: dict[str, float], judged: dict[str, int]
) -> None:
    run, qrels = Run({"q": list(scores.items())}), {"q": judged}
    every = {str(number): dict(untied(order)) for number, order in enumerate(orders(run["q"]))}
    gains = {key: max(0, gain) for key, gain in judged.items()}
    expected = from_ir_measures(every, dict.fromkeys(every, gains))
    found = per_query(run, qrels, NAMES, corpus_size=8)
    for name in NAMES:
        assert found[name]["q"] == pytest.approx(fmean(expected[name].values()), abs=1e-9), name


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from("abcdef"), st.sampled_from([0.1, 0.5]), max_size=6), judgements)
def test_the_first_rank_is_the_mean_over_all_orders_of_the_whole_library(
    scores: dict[str, float], judged: dict[str, int]
) -> None:
    everything = {**dict.fromkeys("abcdefgh", 0.0), **scores}
    ranked = sorted(everything, key=lambda key: -everything[key])
    ties = [list(tied) for _, tied in groupby(ranked, key=lambda key: everything[key])]
    tie = next(tied for tied in ties if any(judged.get(key, 0) > 0 for key in tied))
    relevant = sum(judged.get(key, 0) > 0 for key in tie)
    # The places that the right ones of a tie can have.
    firsts = [ranked.index(tie[0]) + min(places) + 1 for places in combinations(range(len(tie)), relevant)]
    found = value("MnR", list(scores.items()), judged, corpus_size=len(everything))
    assert found == pytest.approx(fmean(firsts))


def test_moments_count_by_their_overlap() -> None:
    # [2, 6) and [4, 10) share 2 of 8 seconds: 0.25; [4, 9) and [4, 10): 5/6.
    windows = {"q": {moment("v", 4, 10): 1}}
    run = Run(
        {
            "q": untied(
                [
                    moment("v", 2, 6),
                    moment("w", 4, 10),
                    moment("v", 4, 9),
                ]
            )
        }
    )
    values = by_moment(run, windows)
    assert tuple(values) == MOMENT_METRICS
    assert {name for name, of_query in values.items() if of_query["q"] == 1} == {
        name for name in MOMENT_METRICS if not name.startswith("R@1 ")
    }


@pytest.mark.parametrize(("end_s", "reached"), [(3.0, 0.3), (5.0, 0.5), (7.0, 0.7), (2.99, 0), (6.999, 0.5)])
def test_an_overlap_of_just_as_much_counts(end_s: float, reached: float) -> None:
    values = by_moment(Run({"q": [(moment("v", 0, end_s), 1.0)]}), {"q": {moment("v", 0, 10): 1}})
    hits = [iou for iou in (0.3, 0.5, 0.7) if values[f"R@1 IoU={iou}"]["q"] == 1]
    assert max(hits, default=0) == reached


def test_one_of_several_windows_is_enough_and_tied_moments_share_their_places() -> None:
    windows = {"q": {moment("v", 0, 2): 1, moment("v", 8, 10): 1}}
    right, wrong = (
        moment("v", 8, 10),
        [moment("v", start, start + 2) for start in (2, 4, 6)],
    )
    run = Run({"q": [(document, 0.5) for document in (*wrong, right)]})
    assert by_moment(run, windows)["R@1 IoU=0.5"]["q"] == pytest.approx(1 / 4)
    assert by_moment(run, windows)["R@5 IoU=0.5"]["q"] == pytest.approx(1)
