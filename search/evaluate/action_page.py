"""The report of an action evaluation as HTML: a fragment for the web page, and a page of its own with every video.

The page of its own holds its pictures, fetches nothing and runs no script, so it can be read offline.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from indexer.core.types import Video
from search.evaluate.action_figures import Estimate, Figures
from search.evaluate.actions import ActionEvaluation, ClassifiedVideo
from search.evaluate.report import Cell, Column, FileLink, ReportTable, counted, render_report
from search.html import data_address, jpeg_at

FindThumbnail: TypeAlias = Callable[[str, float], Path | None]

TOP = 5
"""How many of the nearest classes are listed for each video."""

# A page with more pictures would be slow to open; results.csv has every video.
_MOST_CARDS = 1000
_MOST_NAMED = 20
_FIGURES = (
    ("P@1", "p_at_1", "right class first, alone"),
    ("hit@3", "hit_at_3", "right class among the first three"),
    ("precision@3", "precision_at_3", "right classes among the first three, of three"),
    ("mean rank", "mean_rank", "of the right class; 1 is best"),
    ("right cosine", "right_cosine", "mean with the right class's text"),
    ("wrong cosine", "wrong_cosine", "mean with all other texts"),
    ("AUC", "auc", "how often a right pair's cosine exceeds a wrong pair's"),
    ("overlap", "overlap", "shared area of both histograms; 0 is best"),
)


def render_actions(evaluation: ActionEvaluation, files: Collection[str], link: FileLink) -> str:
    """The report as a fragment: tables, pictures, and links to its files."""
    facts = {
        **_facts(evaluation),
        "is_page": False,
        "distribution": link("similarity_distribution.png"),
        "confusion": link("confusion.png") if "confusion.png" in files else "",
    }
    return render_report("actions.html.j2", facts, files, link)


def render_action_page(
    evaluation: ActionEvaluation,
    distribution: bytes,
    confusion: bytes | None,
    thumbnails: FindThumbnail | None,
    most_cards: int = _MOST_CARDS,
) -> str:
    """The report as a complete HTML document with the two plots and a card for each video."""
    facts = _facts(evaluation)
    names = evaluation.classes.names
    page = {
        "is_page": True,
        "facts": [*facts["facts"], *(f"{name}: {value}" for name, value in evaluation.about.items())],
        "distribution": data_address(distribution, "image/png"),
        "confusion": data_address(confusion, "image/png") if confusion else "",
        "cards": [_card(each, names, thumbnails) for each in evaluation.videos[:most_cards]],
        "count": len(evaluation.videos),
        "right_count": sum(each.is_right for each in evaluation.videos),
    }
    return render_report("action_page.html.j2", {**facts, **page})


def figure_table(evaluation: ActionEvaluation) -> ReportTable:
    """Each figure by video and by frame with its interval, and what chance gives."""
    by_video, by_frame = evaluation.by_video, evaluation.by_frame
    chance = _chance(len(evaluation.classes.names))
    columns = (
        Column("Figure", kind="words"),
        Column(counted(by_video.count, "video"), "with 95% interval"),
        Column(counted(by_frame.count, "frame"), "with 95% interval"),
        Column("By chance"),
    )
    rows = [
        (Cell(name, meaning), _figure(by_video, key), _figure(by_frame, key), Cell(chance.get(key, "")))
        for name, key, meaning in _FIGURES
    ]
    return ReportTable("How well the classes are told apart", columns, tuple(rows))


def _chance(classes: int) -> dict[str, str]:
    return {
        "p_at_1": f"{1 / classes:.3f}",
        "hit_at_3": f"{min(1.0, 3 / classes):.3f}",
        "precision_at_3": f"{min(1 / 3, 1 / classes):.3f}",
        "mean_rank": f"{(classes + 1) / 2:.1f}",
        "auc": "0.500",
        "overlap": "1.000",
    }


def _figure(figures: Figures, key: str) -> Cell:
    figure, digits = getattr(figures, key), 1 if key == "mean_rank" else 3
    if not isinstance(figure, Estimate):
        return Cell(f"{figure:.3f}")
    interval = "" if figure.low is None else f"{figure.low:.{digits}f} – {figure.high:.{digits}f}"
    return Cell(f"{figure.value:.{digits}f}", interval)


def left_out_lines(evaluation: ActionEvaluation) -> list[tuple[str, list[str]]]:
    """What was not evaluated: how many and why, and the first names."""
    left_out = evaluation.left_out
    groups = (
        ("video", " without a label", [_place(video) for video in left_out.unlabelled]),
        ("video", " of another class", [f"{_place(video)} ({video.label})" for video in left_out.of_no_class]),
        ("video", " without a frame", [_place(video) for video in left_out.without_frames]),
        ("broken line", "", evaluation.broken_lines),
    )
    return [(counted(len(names), what) + why, _first_of(names)) for what, why, names in groups if names]


def _first_of(names: list[str]) -> list[str]:
    more = len(names) - _MOST_NAMED
    return [*names[:_MOST_NAMED], f"... and {more} more, all in results.json"] if more > 0 else names


def _facts(evaluation: ActionEvaluation) -> dict[str, Any]:
    """What both forms of the report show."""
    options, classes, videos = evaluation.options, evaluation.classes, evaluation.videos
    first, near = (sum(each.rank <= place for each in videos) for place in (1, 3))
    pooling = f"{options.pooling}, τ {options.tau:g}" if options.pooling == "query" else options.pooling
    return {
        "headline": f"Right class first for {first} of {counted(len(videos), 'video')}, in the first three for {near}",
        "facts": [
            f"{len(classes.names):,} classes ({classes.source})",
            f"sentences: {options.templates.name} ({len(options.templates.patterns)})",
            f"from frames to a video: {pooling}",
        ],
        "figures": figure_table(evaluation),
        "overlap": f"{evaluation.by_video.overlap:.0%}",
        "classes": _class_table(evaluation),
        "left_out": left_out_lines(evaluation),
    }


def _class_table(evaluation: ActionEvaluation) -> ReportTable:
    numbers = [Column(title) for title in ("Videos", "P@1", "hit@3", "Mean rank", "Right cosine")]
    columns = (Column("Class", kind="words"), *numbers, Column("Most often taken for", kind="words"))
    rows = []
    for each in evaluation.by_class:
        figures = f"{each.count:,}", f"{each.p_at_1:.2f}", f"{each.hit_at_3:.2f}", f"{each.mean_rank:.1f}"
        taken_for = Cell(each.taken_for, f"({each.taken_for_count})" if each.taken_for else "")
        rows.append((Cell(each.name), *map(Cell, figures), Cell(f"{each.right_cosine:.3f}"), taken_for))
    return ReportTable("Class by class", columns, tuple(rows))


def _card(each: ClassifiedVideo, names: Sequence[str], thumbnails: FindThumbnail | None) -> dict[str, Any]:
    """What the page shows of a video; its own class follows with its rank if it is not among the nearest."""
    scores = [(names[place], cosine, place == each.right, "") for place, cosine in each.top(TOP)]
    if not any(is_right for _, _, is_right, _ in scores):
        scores.append((names[each.right], float(each.pooled[each.right]), True, f"rank {each.rank:g}"))
    minutes, second = divmod(math.floor(each.time_s), 60)
    picture = jpeg_at(thumbnails(each.video.id, each.time_s)) if thumbnails else None
    return {
        "name": each.video.title.strip() or each.video.path.name,
        "place": _place(each.video),
        "link": f"{each.video.path.absolute().as_uri()}#t={each.time_s:.3f}",
        "clock": f"{minutes // 60}:{minutes % 60:02}:{second:02}",
        "label": names[each.right],
        "best": names[each.best],
        "is_right": each.is_right,
        "picture": data_address(picture, "image/jpeg") if picture else "",
        "scores": scores,
    }


def _place(video: Video) -> str:
    """The path to read; bytes that are no UTF-8 become replacement characters."""
    return os.fsencode(video.path).decode("utf-8", "replace")
