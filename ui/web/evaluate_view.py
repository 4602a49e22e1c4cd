"""Evaluations as HTML: how far one is, and what it found, in tables that say what each figure means.

Labels, queries and names come from files that nobody vouches for; the templates escape all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.evaluate.expectation import FEW_QUERIES, FEW_VIDEOS
from search.evaluate.metrics import RANK_METRICS
from search.html import printable, rendered
from search.modalities import PLAIN_NAMES
from ui.services.job_status import job_facts

if TYPE_CHECKING:
    from search.evaluate.actions import ActionEvaluation
    from search.evaluate.qrels import SkippedRow
    from search.evaluate.retrieval import MetricValue, RetrievalReport
    from search.evaluate.self_test import SelfTestReport, SelfTestRow
    from ui.services.evaluation_jobs import EvaluationProgress, FinishedEvaluation

__all__ = ["metric_meaning", "render_finished", "render_progress", "render_retrieval", "render_self_test"]

_MOST_ROWS = 50
_MOST_CLASSES = 200
# What most people want to know; the rest is folded.
_TELLING = ("hit@1", "hit@5", "hit@10", "MRR", "MdR", "R@1 IoU=0.5", "R@5 IoU=0.5", "R@10 IoU=0.5")
_UNITS = {"choosing queries": "queries", "searching": "searches", "class texts": "names of classes", "videos": "videos"}
_STEPS = {
    "choosing queries": "Choosing texts to search for",
    "searching": "Searching",
    "class texts": "Reading the names of the classes",
    "videos": "Comparing videos with them",
}
_FILE_MEANINGS: Mapping[str, str] = {
    "results.html": "every video with its picture and its nearest classes",
    "results.csv": "the same as a table",
    "results.json": "all of it, for other programs",
    "classes.csv": "a row for each class",
    "confusion.csv": "how often each class was taken for which",
    "similarity_distribution.png": "the picture of right and wrong cosines",
    "confusion.png": "the picture of mistakes",
    "metrics.csv": "the tables above",
    "metrics.json": "all of it, for other programs",
    "self-test.json": "all of it, for other programs",
    "queries.csv": "every query: what was asked, what is right, where it was found",
    "run.trec": "what was found, in TREC's form",
    "run-moments.trec": "the moments found, in TREC's form",
    "run-with-source.trec": "what was found with the text, in TREC's form",
    "run-with-source-moments.trec": "the moments found with the text, in TREC's form",
    "qrels.trec": "which videos are right, in TREC's form",
    "qrels-moments.trec": "which moments are right, in TREC's form",
}
_MEANINGS: Mapping[str, str] = {
    "MdR": "the rank that half of the queries reach with their right {of}; 1 is best",
    "MnR": "the mean rank of the right {of}; 1 is best",
    "MRR": "1 for a right answer in first place, ½ in second, ⅓ in third …: the mean",
    "mAP": "like MRR, with every right answer of a query counted",
    "nDCG@10": "whether the right ones of the first 10 stand at the top; 1 is best",
}


@dataclass(frozen=True, slots=True)
class _Track:
    """A figure between 0 and 1 as a line: where its interval, its value and chance are, in percent."""

    low: float
    width: float
    value: float
    chance: float | None


@dataclass(frozen=True, slots=True)
class _Figure:
    name: str
    meaning: str
    value: str
    interval: str
    track: _Track | None = None
    chance: str = ""
    upper: str = ""


@dataclass(frozen=True, slots=True)
class _Table:
    caption: str
    queries: int
    figures: tuple[_Figure, ...]
    has_chance: bool = False
    has_upper: bool = False


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    address: str
    meaning: str
    is_page: bool


def render_progress(progress: EvaluationProgress, *, is_waiting: bool = False) -> str:
    """The bar of an evaluation that goes on, or how the last one ended; empty if there was none.

    Args:
        progress: How far it is.
        is_waiting: Whether an evaluation of another kind goes on, which has to end first.
    """
    facts = {
        **job_facts(progress),
        "phase": _phase(progress),
        "is_waiting": is_waiting,
    }
    return _render("evaluate_job.html.j2", facts).strip()


def render_finished(finished: FinishedEvaluation) -> str:
    """What an evaluation found."""
    from search.evaluate.actions import ActionEvaluation
    from search.evaluate.self_test import SelfTestReport

    result = finished.result
    if isinstance(result, SelfTestReport):
        return render_self_test(result, finished.number)
    if isinstance(result, ActionEvaluation):
        return render_actions(result, tuple(finished.files.values()), finished.number)
    return render_retrieval(result, finished.source, finished.number)


def render_self_test(report: SelfTestReport, number: int) -> str:
    """What a library can expect of the search, and the figures that say so.

    Args:
        report: What was found.
        number: Which evaluation this is; a part of the addresses, so that no browser shows older files.
    """
    first, *by_source = report.rows
    facts = {
        "expectation": report.expectation,
        "queries": len(report.drawn),
        "videos": report.videos,
        "videos_asked": report.videos_asked,
        "tables": _self_test_tables(first, ""),
        "by_source": [_self_test_tables(row, f", from {_source(row)}") for row in by_source],
        "is_of_few_videos": report.videos_asked < min(FEW_VIDEOS, report.videos),
        "few": [_source(row) for row in by_source if row.queries < FEW_QUERIES],
        "left_out": [(PLAIN_NAMES[one.source], one.reason) for one in report.left_out],
        "files": _files("self-test", report.files, number),
    }
    return _render("evaluate_self_test.html.j2", facts)


def render_retrieval(report: RetrievalReport, source: str, number: int) -> str:
    """How well the queries of a file find their videos and moments, and which rows could not be used.

    Args:
        report: What was found.
        source: The name of the file.
        number: Which evaluation this is.
    """
    found = {metric.name: metric for metric in report.metrics}
    facts = {
        "first": f"{report.value('hit@1'):.0%}",
        "near": f"{report.value('hit@5'):.0%}",
        "count": len(report.texts),
        "videos": report.videos,
        "source": source,
        "form": report.form,
        "tables": _retrieval_tables([found[name] for name in _TELLING if name in found], ""),
        "others": _retrieval_tables(
            [metric for metric in report.metrics if metric.name not in _TELLING], ": further figures"
        ),
        "lists": [
            each
            for each in (
                _rows("could not be used", "row", "rows", report.skipped),
                _rows("not matched with one video of this index", "name", "names", report.unmatched),
            )
            if each
        ],
        "not_found": len(report.not_found),
        "depth": report.depth,
        "files": _files("retrieval", report.files, number),
    }
    return _render("evaluate_retrieval.html.j2", facts)


def render_actions(evaluation: ActionEvaluation, files: Sequence[Path], number: int) -> str:
    """How well the classes of videos are told apart by their pictures.

    Args:
        evaluation: What was found.
        files: What was written.
        number: Which evaluation this is.
    """
    from search.evaluate.action_page import figure_rows, headline, left_out_lines

    names = {file.name for file in files}
    facts = {
        "headline": headline(evaluation),
        "class_count": len(evaluation.classes.names),
        "source": evaluation.classes.source,
        "templates": evaluation.options.templates.name,
        "pooling": _pooling(evaluation),
        "rows": figure_rows(evaluation),
        "count": evaluation.by_video.count,
        "frame_count": evaluation.by_frame.count,
        "classes": evaluation.by_class[:_MOST_CLASSES],
        "more_classes": max(0, len(evaluation.by_class) - _MOST_CLASSES),
        "left_out": left_out_lines(evaluation),
        "distribution": _address("actions", "similarity_distribution.png", number, names),
        "confusion": _address("actions", "confusion.png", number, names),
        "figures": evaluation.by_video,
        "files": _files("actions", files, number),
    }
    return _render("evaluate_actions.html.j2", facts)


def metric_meaning(name: str, of: str = "video") -> str:
    """What a metric says, in a line for people who do not know its name; empty for one that is not known here.

    Args:
        name: As the search's metrics are called.
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


def _self_test_tables(row: SelfTestRow, ending: str) -> list[_Table]:
    """Of videos, and of moments where there are any."""
    without, upper, chance = row.without_source, row.with_source, row.chance
    tables = [_table("video", ending, without.by_video, chance.by_video, _values(upper.by_video))]
    if without.by_moment:
        tables.append(_table("moment", ending, without.by_moment, chance.by_moment, _values(upper.by_moment)))
    return [_without_intervals(each) if each.queries < FEW_QUERIES else each for each in tables]


def _without_intervals(table: _Table) -> _Table:
    """The same figures where there are too few queries to say how sure they are."""
    figures = (
        replace(each, interval="", track=replace(each.track, low=each.track.value, width=0.0) if each.track else None)
        for each in table.figures
    )
    return replace(table, figures=tuple(figures))


def _retrieval_tables(metrics: Sequence[MetricValue], ending: str) -> list[_Table]:
    """A table of videos, and one of moments where any query asks for one."""
    videos = [metric for metric in metrics if "IoU" not in metric.name]
    moments = [metric for metric in metrics if "IoU" in metric.name]
    return [_table(of, ending, found) for of, found in (("video", videos), ("moment", moments)) if found]


def _source(row: SelfTestRow) -> str:
    return PLAIN_NAMES[row.sources[0]]


def _values(metrics: Sequence[MetricValue]) -> dict[str, float]:
    return {metric.name: metric.value for metric in metrics}


def _table(
    of: str,
    ending: str,
    metrics: Sequence[MetricValue],
    chance: Mapping[str, float] | None = None,
    upper: Mapping[str, float] | None = None,
) -> _Table:
    chance, upper = chance or {}, upper or {}
    figures = tuple(_figure(metric, of, chance.get(metric.name), upper.get(metric.name)) for metric in metrics)
    return _Table(f"Finding the right {of}{ending}", metrics[0].queries, figures, bool(chance), bool(upper))


def _figure(metric: MetricValue, of: str, chance: float | None, upper: float | None) -> _Figure:
    name, interval = metric.name, metric.interval
    low, high = (_written(name, value) for value in (interval.low, interval.high))
    is_share = name not in RANK_METRICS
    return _Figure(
        name=name,
        meaning=metric_meaning(name, of),
        value=_written(name, metric.value),
        interval=f"{low} – {high}",
        track=_track(metric, chance) if is_share else None,
        chance="" if chance is None else _written(name, chance),
        upper="" if upper is None else _written(name, upper),
    )


def _track(metric: MetricValue, chance: float | None) -> _Track:
    low, high = metric.interval.low, metric.interval.high
    return _Track(
        low=round(100 * low, 1),
        width=round(100 * (high - low), 1),
        value=round(100 * metric.value, 1),
        chance=None if chance is None else round(100 * chance, 1),
    )


def _written(name: str, value: float) -> str:
    return f"{value:.1f}" if name in RANK_METRICS else f"{value:.3f}"


def _rows(what: str, one: str, many: str, rows: Sequence[SkippedRow]) -> tuple[str, list[tuple[str, str]], int] | None:
    """What was left out: a heading, the first of them by place and reason, and how many more there are."""
    if not rows:
        return None
    heading = f"{len(rows):,} {one if len(rows) == 1 else many} {what}"
    return heading, [(row.place, row.reason) for row in rows[:_MOST_ROWS]], max(0, len(rows) - _MOST_ROWS)


def _pooling(evaluation: ActionEvaluation) -> str:
    options = evaluation.options
    return f"{options.pooling}, τ {options.tau:g}" if options.pooling == "query" else options.pooling


def _files(kind: str, files: Sequence[Path], number: int) -> list[_File]:
    names = dict.fromkeys(file.name for file in files)
    return [
        _File(name, _address(kind, name, number, names), _FILE_MEANINGS.get(name, ""), name.endswith(".html"))
        for name in names
    ]


def _address(kind: str, name: str, number: int, written: Collection[str]) -> str:
    """Where a file is served; empty if there is none of this name."""
    return f"/evaluation/{kind}/{name}?n={number}" if name in written else ""


def _phase(progress: EvaluationProgress) -> str:
    if progress.state == "stopping":
        return "Stopping after what is being done"
    if not progress.is_ready:
        return "Loading models and reading the index"
    unit = _UNITS.get(progress.step, "")
    return f"{_STEPS.get(progress.step, progress.step)}: {progress.done:,} of {progress.total:,} {unit}".strip()


def _render(name: str, facts: Mapping[str, Any]) -> str:
    return printable(rendered("ui.web", name, facts), instead="�")
