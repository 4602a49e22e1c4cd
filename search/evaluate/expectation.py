"""A measured share of searches in plain words: so many of ten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from indexer.core.types import ModalityName
from search.evaluate.retrieval import MetricValue

__all__ = ["FEW_QUERIES", "FEW_VIDEOS", "expectation_of"]

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
    first one elsewhere. Of fewer than 10 queries it gives no interval.

    Args:
        sources: The kinds of text that queries were drawn from.
        found: The metrics of the search without the source; those of moments where there is one video only.
        upper: The same with the source.
        chance: The metrics of searches for something else; empty where all queries are of one video.
        of_moments: Whether the metrics are those of moments.
    """
    if not found:
        return "There is only one video, so that nothing can be said of finding it."
    metric = "hit@5" if chance.get("hit@5", 0.0) <= 0.5 else "hit@1"
    value, likely = found[metric], chance.get(metric)
    of = 10 if _tells_of_ten(value.value) and (likely is None or _tells_of_ten(likely)) else 100
    by_chance = "" if likely is None else f"; by chance it would be {_of(likely, of)}"
    return (
        f"Type some of what is {_what(sources)}: even without that text, the other evidence puts the right "
        f"{'moment' if of_moments else 'video'} {'among the first 5' if metric == 'hit@5' else 'first'} in about "
        f"{round(of * value.value)} of {of} searches{_between(value, of)}{by_chance}.{_no_better(value, likely)} "
        f"With that text: {round(of * upper[metric])} of {of}."
    )


def _between(value: MetricValue, of: int) -> str:
    if value.queries < FEW_QUERIES:
        return ""
    return f" (between {round(of * value.interval.low)} and {round(of * value.interval.high)})"


def _no_better(value: MetricValue, chance: float | None) -> str:
    is_sure = value.queries >= FEW_QUERIES and (chance is None or value.interval.low > chance)
    if is_sure:
        return ""
    return (
        " These are too few searches to be sure of it." if chance is None else " That is not surely better than chance."
    )


def _what(sources: Sequence[ModalityName]) -> str:
    told = list(dict.fromkeys(_REMEMBERED[name] for name in sources))
    return " or ".join([", ".join(told[:-1]), told[-1]]) if len(told) > 1 else told[0]


def _tells_of_ten(share: float) -> bool:
    """Whether a share is nothing, everything, or at least one half of a tenth away from both."""
    return share in (0.0, 1.0) or _SMALLEST_OF_TEN <= share <= 1 - _SMALLEST_OF_TEN


def _of(share: float, of: int) -> str:
    return f"{round(of * share)} of {of}" if share >= _HARDLY else "hardly ever"
