"""The reports of the evaluations that search: a retrieval evaluation and a self-test, as HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from search.evaluate.expectation import FEW_QUERIES, FEW_VIDEOS
from search.evaluate.metrics import RANK_METRICS
from search.evaluate.qrels import SkippedRow
from search.evaluate.report import Cell, Column, FileLink, ReportTable, Track, counted, render_report
from search.evaluate.retrieval import MetricValue, RetrievalReport
from search.evaluate.self_test import SelfTestReport, SelfTestRow
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
    first, *by_source = report.rows
    facts = {
        "expectation": report.expectation,
        "queries": counted(len(report.drawn), "query"),
        "videos": report.videos,
        "videos_asked": report.videos_asked,
        "tables": _self_test_tables(first, ""),
        "has_chance": bool(first.chance.by_video),
        "by_source": [table for row in by_source for table in _self_test_tables(row, f", from {_source(row)}")],
        "is_of_few_videos": report.videos_asked < min(FEW_VIDEOS, report.videos),
        "few": [_source(row) for row in by_source if row.queries < FEW_QUERIES],
        "left_out": [(plain_name(each.source), each.reason) for each in report.left_out],
    }
    return render_report("self_test.html.j2", facts, (file.name for file in report.files), link)


def render_retrieval(report: RetrievalReport, source: str, link: FileLink) -> str:
    """How well the queries of a file find their videos and moments.

    Args:
        report: What was found.
        source: The name of the file.
        link: Gives the addresses of the report's files.
    """
    main = [metric for metric in report.metrics if metric.name in _MAIN_METRICS]
    others = [metric for metric in report.metrics if metric.name not in _MAIN_METRICS]
    facts = {
        "first": f"{report.value('hit@1'):.0%}",
        "near": f"{report.value('hit@5'):.0%}",
        "about": f"{counted(len(report.texts), 'query')} of {source} (read as {report.form}), "
        f"{counted(report.videos, 'video')} to find",
        "tables": _retrieval_tables(sorted(main, key=lambda metric: _MAIN_METRICS.index(metric.name)), ""),
        "others": _retrieval_tables(others, ": further figures"),
        "skipped": [
            *_skipped("row", "could not be used", report.skipped),
            *_skipped("name", "not matched with one video of this index", report.unmatched),
        ],
        "not_found": len(report.not_found),
        "depth": report.depth,
    }
    return render_report("retrieval.html.j2", facts, (file.name for file in report.files), link)


def metric_meaning(name: str, of: str = "video") -> str:
    """What a metric means, in a line; empty for an unknown one.

    Args:
        name: The metric.
        of: What is to be found: ``video`` or ``moment``.
    """
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


def _self_test_tables(row: SelfTestRow, ending: str) -> list[ReportTable]:
    """Of videos, and of moments where there are any."""
    without, upper, chance = row.without_source, row.with_source, row.chance
    tables = [_metric_table("video", ending, without.by_video, chance.by_video, upper.by_video)]
    if without.by_moment:
        tables.append(_metric_table("moment", ending, without.by_moment, chance.by_moment, upper.by_moment))
    return tables


def _retrieval_tables(metrics: Sequence[MetricValue], ending: str) -> list[ReportTable]:
    """Of videos, and of moments where any query asks for one."""
    videos = [metric for metric in metrics if "IoU" not in metric.name]
    moments = [metric for metric in metrics if "IoU" in metric.name]
    return [_metric_table(of, ending, found) for of, found in (("video", videos), ("moment", moments)) if found]


def _metric_table(
    of: str,
    ending: str,
    metrics: Sequence[MetricValue],
    chance: Mapping[str, float] = MappingProxyType({}),
    upper: Sequence[MetricValue] = (),
) -> ReportTable:
    """A row for each metric: its value and interval, a line, and by chance and at best if these are given.

    Intervals are left out of a self-test, which gives an ``upper`` value, with too few queries.
    """
    queries = metrics[0].queries
    is_sure = not upper or queries >= FEW_QUERIES
    best = {metric.name: metric.value for metric in upper}
    others = [(title, values) for title, values in (("By chance", chance), ("With that text", best)) if values]
    rows = []
    for metric in metrics:
        name, low, high = metric.name, metric.interval.low, metric.interval.high
        value = Cell(_figure(name, metric.value), f"{_figure(name, low)} – {_figure(name, high)}" if is_sure else "")
        others_cells = [Cell(_figure(name, values[name]) if name in values else "") for _, values in others]
        line = Cell(track=_track(metric, chance.get(name), is_sure))
        rows.append((Cell(name, metric_meaning(name, of)), value, line, *others_cells))
    columns = (
        Column("Figure", kind="words"),
        Column("Value", "with 95% interval"),
        Column("As a line from 0 to 1", kind="chart"),
        *(Column(title) for title, _ in others),
    )
    return ReportTable(f"Finding the right {of}{ending}", columns, tuple(rows), counted(queries, "query"))


def _track(metric: MetricValue, chance: float | None, is_sure: bool) -> Track | None:
    if metric.name in RANK_METRICS:
        return None
    low, high = (metric.interval.low, metric.interval.high) if is_sure else (metric.value, metric.value)
    value, start, width = (round(100 * share, 1) for share in (metric.value, low, high - low))
    return Track(value, start, width, None if chance is None else round(100 * chance, 1))


def _figure(name: str, value: float) -> str:
    return f"{value:.1f}" if name in RANK_METRICS else f"{value:.3f}"


def _source(row: SelfTestRow) -> str:
    return plain_name(row.sources[0])


def _skipped(one: str, what: str, rows: Sequence[SkippedRow]) -> list[tuple[str, Sequence[SkippedRow], int]]:
    """A heading, the first rows that were left out, and how many more there are; nothing where there are none."""
    return [(f"{counted(len(rows), one)} {what}", rows[:_MOST_ROWS], max(0, len(rows) - _MOST_ROWS))] if rows else []
