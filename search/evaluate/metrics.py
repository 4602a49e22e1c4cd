"""Retrieval metrics as trec_eval defines them, with ties counted at what they are worth on average.

Documents with the same score have no order; trec_eval puts them in the order of their ids, and published code often
lets the right one come first. Here a query's value is **the mean over all orders of the tied documents**, in closed
form (McSherry and Najork, "Computing Information Retrieval Performance Measures Efficiently in the Presence of Tied
Scores", ECIR 2008). For the rank of a single answer that is the mean rank of its tie. Without ties that matter (those
between documents of equal relevance do not), values come from ir-measures.

Per query, with ``R`` relevant documents (judged 1 or more) in all; a query that found nothing counts 0, and one without
a relevant document is left out:

- ``R@k``: the share of the ``R`` among the first k. ``P@k``: the share of relevant ones among the first k, always
  divided by k; with one relevant document it cannot exceed 1/k. ``hit@k`` (trec_eval's success): 1 if one is there.
- ``MRR``: 1 / the first relevant one's rank. ``mAP``: the mean over the R of the precision at each one's rank, 0 for
  those not found. ``nDCG@10``: gains are the relevances, discounts log2(rank + 1).
- ``MdR`` and ``MnR``: median and mean of the first relevant one's rank. What a search did not return is tied behind
  all that it did: a single answer that was not found among n of N documents stands at n + (N - n + 1) / 2.
- ``R@k IoU=t``, for moments: 1 if one of the first k overlaps an answer with an intersection over union of t or more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean, median
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from search.evaluate.qrels import Qrels, Span, span_of
from search.evaluate.runs import Run

if TYPE_CHECKING:
    from ir_measures import Measure

__all__ = [
    "MOMENT_METRICS",
    "RANK_METRICS",
    "VIDEO_METRICS",
    "QueryValues",
    "TiedGroup",
    "aggregate",
    "by_moment",
    "first_ranks",
    "per_query",
    "tied_groups",
]

QueryValues: TypeAlias = Mapping[str, Mapping[str, float]]
"""Metric name to query id to value."""

VIDEO_METRICS = (
    *("R@1", "R@5", "R@10", "MdR", "MnR", "MRR", "mAP", "nDCG@10"),
    *("P@1", "P@3", "P@5", "P@10", "hit@1", "hit@3", "hit@5", "hit@10"),
)
IOUS = (0.3, 0.5, 0.7)
MOMENT_METRICS = tuple(f"R@{k} IoU={iou}" for iou in IOUS for k in (1, 5, 10))
RANK_METRICS = frozenset({"MdR", "MnR"})
"""Those where less is better."""


@dataclass(frozen=True, slots=True)
class TiedGroup:
    """Documents of equal score: ``before`` are ranked above; ``gains`` are their relevances, 0 for what is not."""

    before: int
    gains: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many share the score."""
        return len(self.gains)

    @property
    def relevant(self) -> int:
        """How many of them are relevant."""
        return sum(gain > 0 for gain in self.gains)

    @property
    def order_matters(self) -> bool:
        """Whether another order of the tied could change a metric."""
        return len(set(self.gains)) > 1

    def among_first(self, cutoff: int) -> int:
        """How many places of the group are among the first ``cutoff``."""
        return min(self.size, max(0, cutoff - self.before))


def per_query(run: Run, qrels: Qrels, names: Sequence[str], *, corpus_size: int) -> QueryValues:
    """Every query's value of each metric, ties at their mean.

    Args:
        run: What was answered.
        qrels: What is right; queries without a relevant document are left out.
        names: Metrics as in ``VIDEO_METRICS``, with any cutoff.
        corpus_size: How many documents there are to find; for ``MdR`` and ``MnR``.

    Raises:
        ValueError: there is no such metric.
    """
    asked = qrels.answerable
    groups = {query: tied_groups(run, asked, query) for query in asked}
    ranks = first_ranks(run, asked, corpus_size=corpus_size) if RANK_METRICS & set(names) else {}
    others = [name for name in names if name not in RANK_METRICS]
    plain = {query for query, tied in groups.items() if not any(group.order_matters for group in tied)}
    values = _from_library(run, asked, others, plain)
    for name in others:
        formula = _formula(name)
        for query in groups.keys() - plain:
            values[name][query] = formula(groups[query], tuple(asked[query].values()))
    return {name: ranks if name in RANK_METRICS else {query: values[name][query] for query in asked} for name in names}


def first_ranks(run: Run, qrels: Qrels, *, corpus_size: int) -> dict[str, float]:
    """The rank of each query's first relevant document, as on average over the orders of the tied.

    A tie of n places with r relevant documents has the first of them at (n + 1) / (r + 1). What was not returned is one
    such tie behind all that was.
    """
    return {query: _first_rank(tied_groups(run, qrels, query), qrels[query], corpus_size) for query in qrels}


def by_moment(run: Run, windows: Qrels) -> QueryValues:
    """For moments, every query's recall at 1, 5 and 10 for an intersection over union of 0.3, 0.5 and 0.7.

    Args:
        run: Moments, by the ids of ``moment_id``; anything else in it is no answer.
        windows: The spans that are right, by such ids.
    """
    asked = windows.answerable
    values: dict[str, dict[str, float]] = {}
    for iou in IOUS:
        judged = Qrels({query: _overlapping(run, asked, query, iou) for query in asked})
        for cutoff in (1, 5, 10):
            hits = _formula(f"hit@{cutoff}")
            values[f"R@{cutoff} IoU={iou}"] = {query: hits(tied_groups(run, judged, query), ()) for query in asked}
    return values


def aggregate(name: str, values: Sequence[float]) -> float:
    """The metric over all queries: the median for ``MdR``, else the mean.

    Raises:
        ValueError: there is no query.
    """
    if not values:
        raise ValueError("there is no query to take a mean of")
    return median(values) if name == "MdR" else fmean(values)


def tied_groups(run: Run, qrels: Qrels, query: str) -> list[TiedGroup]:
    """A query's answers by score, best first, with their relevances."""
    judged, groups = qrels[query], []
    passed = 0
    for _, tied in groupby(run[query], key=lambda answer: answer[1]):
        gains = tuple(max(0, judged.get(document, 0)) for document, _ in tied)
        groups.append(TiedGroup(passed, gains))
        passed += len(gains)
    return groups


Formula: TypeAlias = Callable[[Sequence[TiedGroup], Sequence[int]], float]


def _formula(name: str) -> Formula:
    """The expected value of a metric from a query's tied groups and all relevances judged for it."""
    family, _, cutoff = name.partition("@")
    with_cutoff: Mapping[str, Callable[[Sequence[TiedGroup], Sequence[int], int], float]] = MappingProxyType(
        {"R": _recall, "P": _precision, "hit": _hit, "nDCG": _ndcg}
    )
    if family in with_cutoff and cutoff.isdecimal() and int(cutoff) > 0:
        measured = with_cutoff[family]
        return lambda groups, judged: measured(groups, judged, int(cutoff))
    without: Mapping[str, Formula] = MappingProxyType({"MRR": _reciprocal_rank, "mAP": _average_precision})
    if name not in without:
        raise ValueError(f"there is no metric {name}")
    return without[name]


def _found(groups: Sequence[TiedGroup], cutoff: int) -> float:
    return sum(group.relevant * group.among_first(cutoff) / group.size for group in groups)


def _recall(groups: Sequence[TiedGroup], judged: Sequence[int], cutoff: int) -> float:
    return _found(groups, cutoff) / sum(relevance > 0 for relevance in judged)


def _precision(groups: Sequence[TiedGroup], _: Sequence[int], cutoff: int) -> float:
    return _found(groups, cutoff) / cutoff


def _hit(groups: Sequence[TiedGroup], _: Sequence[int], cutoff: int) -> float:
    """1 less the chance that none of the relevant ones comes to lie in the places that count."""
    miss = 1.0
    for group in groups:
        places = group.among_first(cutoff)
        miss *= math.comb(group.size - group.relevant, places) / math.comb(group.size, places)
    return 1.0 - miss


def _ndcg(groups: Sequence[TiedGroup], judged: Sequence[int], cutoff: int) -> float:
    expected = sum(
        fmean(group.gains) * _discounts(group.before, group.before + group.among_first(cutoff)) for group in groups
    )
    ideal = sorted((max(0, relevance) for relevance in judged), reverse=True)[:cutoff]
    return expected / sum(gain * _discounts(place, place + 1) for place, gain in enumerate(ideal))


def _discounts(start: int, end: int) -> float:
    """The sum of 1 / log2(rank + 1) over the places from ``start`` on, counted from 0."""
    return sum(1 / math.log2(place + 2) for place in range(start, end))


def _reciprocal_rank(groups: Sequence[TiedGroup], _: Sequence[int]) -> float:
    group = next((group for group in groups if group.relevant), None)
    if group is None:
        return 0.0
    return sum(chance / (group.before + place) for place, chance in _first_places(group.size, group.relevant))


def _first_places(size: int, relevant: int) -> Iterator[tuple[int, float]]:
    """How likely the first relevant one of a tie is at each place, from 1."""
    orders = math.comb(size, relevant)
    for place in range(1, size - relevant + 2):
        yield place, math.comb(size - place, relevant - 1) / orders


def _average_precision(groups: Sequence[TiedGroup], judged: Sequence[int]) -> float:
    total, found = 0.0, 0
    for group in groups:
        share = group.relevant / group.size
        # Given a relevant one at this place, each place before it in the tie is relevant with this chance.
        others = (group.relevant - 1) / (group.size - 1) if group.size > 1 else 0.0
        for place in range(group.size):
            total += share * (found + 1 + place * others) / (group.before + place + 1)
        found += group.relevant
    return total / sum(relevance > 0 for relevance in judged)


def _first_rank(groups: Sequence[TiedGroup], judged: Mapping[str, int], corpus_size: int) -> float:
    group = next((group for group in groups if group.relevant), None)
    if group is not None:
        return group.before + (group.size + 1) / (group.relevant + 1)
    returned = sum(group.size for group in groups)
    relevant = sum(relevance > 0 for relevance in judged.values())
    behind = max(corpus_size - returned, relevant)
    return returned + (behind + 1) / (relevant + 1)


def _overlapping(run: Run, windows: Qrels, query: str, iou: float) -> dict[str, int]:
    """The moments of a run that are right for a query."""
    right = [span for document, relevance in windows[query].items() if relevance > 0 and (span := span_of(document))]
    return {document: 1 for document, _ in run[query] if _is_right(span_of(document), right, iou)}


def _is_right(span: Span | None, right: Sequence[Span], iou: float) -> bool:
    return span is not None and any(span.iou(window) >= iou for window in right)


def _from_library(run: Run, qrels: Qrels, names: Sequence[str], queries: set[str]) -> dict[str, dict[str, float]]:
    """What ir-measures says of queries without ties that matter.

    It is given places instead of scores, because trec_eval keeps scores in single precision, which ties what differs by
    less, and orders equal scores by their ids.
    """
    values: dict[str, dict[str, float]] = {name: {} for name in names}
    if not (queries and names):
        for name in names:
            _formula(name)
        return values
    import ir_measures

    measures = {_measure(name): name for name in names}
    judged = {query: {document: max(0, gain) for document, gain in qrels[query].items()} for query in queries}
    placed = {query: {document: -place for place, (document, _) in enumerate(run[query])} for query in queries}
    for metric in ir_measures.pytrec_eval.evaluator(list(measures), judged).iter_calc(placed):
        values[measures[metric.measure]][metric.query_id] = float(metric.value)
    return values


def _measure(name: str) -> Measure:
    """The measure of ir-measures by the name it has here."""
    import ir_measures

    _formula(name)  # raises for a name that is none
    family, _, cutoff = name.partition("@")
    plain = {"MRR": ir_measures.RR, "mAP": ir_measures.AP}
    cut = {"R": ir_measures.R, "P": ir_measures.P, "hit": ir_measures.Success, "nDCG": ir_measures.nDCG}
    return plain[name] if name in plain else cut[family] @ int(cutoff)
