"""Retrieval metrics as trec_eval defines them, with ties counted at what they are worth on average.

A query's value is **the mean over all orders of documents with the same score**, in closed form (McSherry and Najork,
"Computing Information Retrieval Performance Measures Efficiently in the Presence of Tied Scores", ECIR 2008), where
trec_eval orders them by their ids.

Per query, with ``R`` relevant documents (judged 1 or more) in all; a query that found nothing counts 0:

- ``R@k``: the share of the ``R`` among the first k. ``P@k``: the share of relevant ones among the first k, always
  divided by k. ``hit@k`` (trec_eval's success): 1 if one is there.
- ``MRR``: 1 / the first relevant one's rank. ``mAP``: the mean over the R of the precision at each one's rank, 0 for
  those not found. ``nDCG@10``: gains are the relevances, discounts log2(rank + 1).
- ``MdR`` and ``MnR``: median and mean of the first relevant one's rank. What a search did not return is tied behind
  all that it did: a single answer that was not found among n of N documents stands at n + (N - n + 1) / 2.
- ``R@k IoU=t``, for moments: 1 if one of the first k overlaps an answer with an intersection over union of t or more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from search.evaluate.qrels import Qrels, answerable, span_of
from search.evaluate.runs import Run, Scored

QueryValues: TypeAlias = Mapping[str, Mapping[str, float]]  # metric name to query id to value

VIDEO_METRICS = (
    *("R@1", "R@5", "R@10", "MdR", "MnR", "MRR", "mAP", "nDCG@10"),
    *("P@1", "P@3", "P@5", "P@10", "hit@1", "hit@3", "hit@5", "hit@10"),
)
IOUS = (0.3, 0.5, 0.7)
_MOMENT_CUTOFFS = (1, 5, 10)
MOMENT_METRICS = tuple(f"R@{cutoff} IoU={iou}" for iou in IOUS for cutoff in _MOMENT_CUTOFFS)
RANK_METRICS = frozenset({"MdR", "MnR"})  # those where less is better

_NAME = re.compile(r"(?P<family>R|P|hit|nDCG)@(?P<cutoff>[1-9]\d*)|MRR|mAP|MdR|MnR")


def per_query(run: Run, qrels: Qrels, names: Sequence[str], *, corpus_size: int) -> QueryValues:
    """The value of each metric for every query with a relevant document: those of ``VIDEO_METRICS``, with any cutoff.

    ``MdR`` and ``MnR`` depend on ``corpus_size``, the number of documents to find. A ValueError for an unknown metric.
    """
    rankings = {query: _Ranking(run[query], judged) for query, judged in answerable(qrels).items()}
    return {name: {query: each.value(name, corpus_size) for query, each in rankings.items()} for name in names}


def by_moment(run: Run, windows: Qrels) -> QueryValues:
    """Every query's values of ``MOMENT_METRICS``; what is no ``moment_id`` in the run is not an answer."""
    values: dict[str, dict[str, float]] = {name: {} for name in MOMENT_METRICS}
    for query, judged in answerable(windows).items():
        right = [span for document, relevance in judged.items() if relevance > 0 and (span := span_of(document))]
        found = {document: span_of(document) for document, _ in run[query]}
        overlaps = {
            name: max((one.iou(span) for one in right), default=0) if span else 0 for name, span in found.items()
        }
        for iou in IOUS:
            ranking = _Ranking(run[query], {document: int(overlap >= iou) for document, overlap in overlaps.items()})
            for cutoff in _MOMENT_CUTOFFS:
                values[f"R@{cutoff} IoU={iou}"][query] = ranking.value(f"hit@{cutoff}")
    return values


class _Ranking:
    """One query's answers, best first: arrays of one value per place; tied documents share places evenly."""

    def __init__(self, answers: Sequence[Scored], judged: Mapping[str, int]) -> None:
        self._ideal = np.array(sorted((gain for gain in judged.values() if gain > 0), reverse=True))
        gains = np.array([max(0, judged.get(document, 0)) for document, _ in answers], dtype=float)
        scores = np.array([score for _, score in answers], dtype=float)
        _, tie, sizes = np.unique(-scores, return_inverse=True, return_counts=True)
        relevant = np.bincount(tie, gains > 0, len(sizes))
        self._size, self._relevant = sizes[tie], relevant[tie]
        self._gain = np.bincount(tie, gains, len(sizes))[tie] / self._size
        self._passed = (np.cumsum(sizes) - sizes)[tie]  # documents before the tie
        self._found = (np.cumsum(relevant) - relevant)[tie]  # relevant ones before it
        self._rank = np.arange(1, len(answers) + 1)
        within = self._rank - 1 - self._passed
        left = np.maximum(0, self._size - self._relevant - within) / (self._size - within)
        # The chance that no document is relevant among the first 0, 1, 2 ...
        self._miss = np.concatenate([[1.0], np.cumprod(left)])

    def value(self, name: str, corpus_size: int = 0) -> float:
        metric = _NAME.fullmatch(name)
        if metric is None:
            raise ValueError(f"there is no metric {name}")
        cutoff = int(metric["cutoff"] or 0)
        found = float((self._relevant / self._size)[:cutoff].sum())
        match metric["family"] or name:
            case "R":
                return found / len(self._ideal)
            case "P":
                return found / cutoff
            case "hit":
                return float(1 - self._miss[: cutoff + 1][-1])
            case "nDCG":
                return _discounted(self._gain[:cutoff]) / _discounted(self._ideal[:cutoff])
            case "MRR":
                return float((-np.diff(self._miss) / self._rank).sum())
            case "mAP":
                return self._precisions() / len(self._ideal)
        return self._first_rank(corpus_size)

    def _precisions(self) -> float:
        """The sum of the precisions at each relevant document."""
        # Given a relevant one at a place, each place before it in the tie is relevant with this chance.
        others = (self._relevant - 1) / np.maximum(1, self._size - 1)
        before = self._found + (self._rank - 1 - self._passed) * others
        return float((self._relevant / self._size * (before + 1) / self._rank).sum())

    def _first_rank(self, corpus_size: int) -> float:
        """A tie of n places with r relevant documents has the first of them at (n + 1) / (r + 1)."""
        ties = np.flatnonzero(self._relevant)
        if len(ties):
            size, relevant, passed = (each[ties[0]] for each in (self._size, self._relevant, self._passed))
        else:
            passed, relevant = len(self._rank), len(self._ideal)
            size = max(corpus_size - passed, relevant)
        return float(passed + (size + 1) / (relevant + 1))


def _discounted(gains: np.ndarray) -> float:
    return float((gains / np.log2(np.arange(2, len(gains) + 2))).sum())
