"""A measured share of searches in plain words: so many of ten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from indexer.core.types import ModalityName
from search.evaluate.retrieval import MetricValue

FEW_QUERIES = 10
"""Fewer say too little for an interval."""

FEW_VIDEOS = 10
"""Queries from fewer are so alike that intervals may miss the truth."""

_REMEMBERED: Mapping[ModalityName, str] = {
    "speech": "said",
    "subtitle": "said",
    "ocr": "written in the picture",
    "description": "described",
    "captions": "described",
}
_SMALLEST_OF_TEN = 0.05
_HARDLY = 0.005


def expectation_of(
    sources: Sequence[ModalityName],
    found: Mapping[str, MetricValue],
    upper: Mapping[str, float],
    chance: Mapping[str, float],
    *,
    of_moments: bool = False,
) -> str:
    """What a search can be expected to find, with the interval, what chance would find, and the upper line.

    It speaks of the first 5 where chance finds the right video among them in at most half of the searches, and of the
    first one elsewhere. For fewer than 10 queries it gives no interval. ``found`` has the metrics of searches without
    the ``sources`` of the queries, ``upper`` of those with them, ``chance`` of searches for something else; it is empty
    where all queries are of one video.
    """
    if not found:
        return "There is only one video, so that nothing can be said of finding it."
    metric = "hit@5" if chance.get("hit@5", 0.0) <= 0.5 else "hit@1"
    value, likely = found[metric], chance.get(metric)
    of = 10 if _in_tenths(value.value) and (likely is None or _in_tenths(likely)) else 100
    low, high = round(of * value.interval.low), round(of * value.interval.high)
    between = f" (between {low} and {high})" if value.queries >= FEW_QUERIES else ""
    by_chance = "" if likely is None else f"; by chance it would be {_share(likely, of)}"
    return (
        f"Type some of what is {_remembered(sources)}: even without that text, the other evidence puts the right "
        f"{'moment' if of_moments else 'video'} {'among the first 5' if metric == 'hit@5' else 'first'} in about "
        f"{round(of * value.value)} of {of} searches{between}{by_chance}.{_caution(value, likely)} "
        f"With that text: {round(of * upper[metric])} of {of}."
    )


def _caution(value: MetricValue, chance: float | None) -> str:
    if chance is None:
        return " These are too few searches to be sure of it." if value.queries < FEW_QUERIES else ""
    is_sure = value.queries >= FEW_QUERIES and value.interval.low > chance
    return "" if is_sure else " That is not surely better than chance."


def _remembered(sources: Sequence[ModalityName]) -> str:
    *others, last = dict.fromkeys(_REMEMBERED[name] for name in sources)
    return f"{', '.join(others)} or {last}" if others else last


def _in_tenths(share: float) -> bool:
    """Whether a share is nothing, everything, or at least one half of a tenth away from both."""
    return share in (0.0, 1.0) or _SMALLEST_OF_TEN <= share <= 1 - _SMALLEST_OF_TEN


def _share(share: float, of: int) -> str:
    return f"{round(of * share)} of {of}" if share >= _HARDLY else "hardly ever"
