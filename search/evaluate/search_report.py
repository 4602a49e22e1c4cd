"""The reports of a retrieval evaluation and of a self-test, as HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from search.evaluate.metrics import RANK_METRICS
from search.evaluate.report import FileLink, render_report
from search.evaluate.retrieval import MetricValue, RetrievalReport
from search.evaluate.self_test import FEW_QUERIES, FEW_VIDEOS, SelfTestReport
from search.modalities import plain_name

_MOST_ROWS = 50
_MAIN_METRICS = ("hit@1", "hit@5", "hit@10", "MRR", "MdR", "R@1 IoU=0.5", "R@5 IoU=0.5", "R@10 IoU=0.5")
_MEANINGS: Mapping[str, str] = {
    "MdR": "the rank that half of the queries reach with their right {of}; 1 is best",
    "MnR": "the mean rank of the right {of}; 1 is best",
    "MRR": "1 for a right answer in first place, ½ in second, ⅓ in third …: the mean",
    "mAP": "like MRR, with every right answer of a query counted",
    "nDCG@10": "whether the right ones of the first 10 stand at the top; 1 is best",
}


def render_self_test(report: SelfTestReport, link: FileLink) -> str:
    """What a library can expect of the search, and the figures behind it."""
    everything, *by_source = report.rows
    facts = {**_shared(), "report": report, "plain_name": plain_name, "few_videos": FEW_VIDEOS}
    rows = {"everything": everything, "by_source": by_source}
    return render_report("self_test.html.j2", {**facts, **rows}, (file.name for file in report.files), link)


def render_retrieval(report: RetrievalReport, source: str, link: FileLink) -> str:
    """How well the queries of a file, whose name is ``source``, find their videos and moments."""
    main = [metric for name in _MAIN_METRICS for metric in report.metrics if metric.name == name]
    facts = {
        **_shared(),
        "report": report,
        "source": source,
        "tables": _by_level(main),
        "others": _by_level([metric for metric in report.metrics if metric not in main]),
        "most_rows": _MOST_ROWS,
    }
    return render_report("retrieval.html.j2", facts, (file.name for file in report.files), link)


def metric_meaning(name: str, of: str = "video") -> str:
    """What a metric means, in a line; empty for an unknown one. ``of`` is what is to be found: a video or a moment."""
    kind, _, rest = name.partition("@")
    cutoff, _, overlap = rest.partition(" IoU=")
    if overlap:
        found = "the first" if cutoff == "1" else f"one of the first {cutoff}"
        return f"share of searches where {found} shares {float(overlap):.0%} or more with the right moment"
    if name in _MEANINGS:
        return _MEANINGS[name].format(of=of)
    among = "in first place" if cutoff == "1" else f"among the first {cutoff}"
    return {
        "hit": f"share of searches with a right {of} {among}",
        "R": f"share of a query's right {of}s that are {among}",
        "P": f"share of right {of}s {among}",
    }.get(kind, "")


def _shared() -> dict[str, Any]:
    """What ``metric_table`` of the templates needs."""
    return {"meaning": metric_meaning, "rank_metrics": RANK_METRICS, "few_queries": FEW_QUERIES}


def _by_level(metrics: Sequence[MetricValue]) -> dict[str, list[MetricValue]]:
    """Those of videos, and those of moments; levels without any are left out."""
    levels = {
        "video": [metric for metric in metrics if "IoU" not in metric.name],
        "moment": [metric for metric in metrics if "IoU" in metric.name],
    }
    return {of: found for of, found in levels.items() if found}
