"""The page of an action evaluation, for people: pictures inline, nothing fetched, readable offline and on a phone.

Texts on it come from files and labels nobody vouches for, so the template escapes all of them, and the page's own
policy forbids scripts and anything from elsewhere.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from indexer.core.types import Video
from search.evaluate.action_figures import Estimate, Figures
from search.evaluate.actions import ActionEvaluation, ComparedFootage
from search.html import data_address, jpeg_at, printable, rendered

__all__ = [
    "MOST_CARDS",
    "TOP",
    "Card",
    "FindThumbnail",
    "Nearness",
    "figure_rows",
    "headline",
    "left_out_lines",
    "render_action_page",
]

FindThumbnail: TypeAlias = Callable[[str, float], Path | None]

MOST_CARDS = 1000
"""A page with more pictures would be slow to open; the tables have every video."""

TOP = 5
"""How many of the nearest classes are shown for each video."""

_MOST_NAMED = 20
_ROWS = (
    ("P@1", "p_at_1", "right class first, alone"),
    ("hit@3", "hit_at_3", "right class among the first three"),
    ("precision@3", "precision_at_3", "right classes among the first three, of three"),
    ("mean rank", "mean_rank", "of the right class; 1 is best"),
    ("right cosine", "right_cosine", "mean with the right class's text"),
    ("wrong cosine", "wrong_cosine", "mean with all other texts"),
)


@dataclass(frozen=True, slots=True)
class Nearness:
    """One class on a card: its cosine, its place among all, and whether it is the right one."""

    name: str
    cosine: float
    rank: str
    is_right: bool

    @property
    def percent(self) -> float:
        """The cosine as the length of a bar."""
        return round(100 * max(0.0, self.cosine), 1)


@dataclass(frozen=True, slots=True)
class Card:
    """One video on the page. ``picture`` is a ``data:`` address, or nothing."""

    name: str
    place: str
    link: str
    clock: str
    label: str
    best: str
    is_right: bool
    picture: str
    top: tuple[Nearness, ...]


def render_action_page(
    evaluation: ActionEvaluation,
    pictures: tuple[bytes, bytes | None],
    about: Mapping[str, str],
    thumbnails: FindThumbnail | None = None,
) -> str:
    """The page, as a complete HTML document with everything in it.

    Args:
        evaluation: What to show.
        pictures: The distribution of cosines and the confusions (None if there are too many classes), as PNG.
        about: What the evaluation itself does not know, such as the index's model and sampling: names and values.
        thumbnails: Finds the picture of a video's instant.
    """
    distribution, confusion = pictures
    facts = {
        "headline": headline(evaluation),
        "facts": _facts(evaluation, about),
        "rows": figure_rows(evaluation),
        "count": evaluation.by_video.count,
        "frame_count": evaluation.by_frame.count,
        "class_count": len(evaluation.classes.names),
        "distribution": data_address(distribution, "image/png"),
        "confusion": data_address(confusion, "image/png") if confusion else "",
        "classes": evaluation.by_class,
        "cards": [_card(each, evaluation.classes.names, thumbnails) for each in evaluation.footage[:MOST_CARDS]],
        "right_count": sum(each.is_right for each in evaluation.footage),
        "left_out": left_out_lines(evaluation),
    }
    return printable(rendered("search.evaluate", "actions.html.j2", facts))


def headline(evaluation: ActionEvaluation) -> str:
    """In one line, how many videos' right class came first, and how many's among the first three."""
    count = len(evaluation.footage)
    first = sum(each.rank <= 1 for each in evaluation.footage)
    near = sum(each.rank <= 3 for each in evaluation.footage)
    return (
        f"Right class first for {first} of {count} {'video' if count == 1 else 'videos'}, in the first three for {near}"
    )


def _facts(evaluation: ActionEvaluation, about: Mapping[str, str]) -> list[str]:
    options = evaluation.options
    pooling = f"{options.pooling}, tau {options.tau:g}" if options.pooling == "query" else options.pooling
    return [
        f"classes: {evaluation.classes.source} ({len(evaluation.classes.names)})",
        f"templates: {options.templates.name} ({len(options.templates.patterns)})",
        f"pooling: {pooling}",
        *(f"{name}: {value}" for name, value in about.items()),
    ]


def figure_rows(evaluation: ActionEvaluation) -> list[tuple[str, str, list[tuple[str, str]], str]]:
    """For each figure its name, what it is, value and interval by video and by frame, and what chance would give."""
    both: tuple[Figures, Figures] = (evaluation.by_video, evaluation.by_frame)
    chance = _chance(len(evaluation.classes.names))
    rows = [
        (name, meaning, [_written(getattr(figures, key), key) for figures in both], chance.get(key, ""))
        for name, key, meaning in _ROWS
    ]
    aucs, overlaps = ([(f"{getattr(figures, key):.3f}", "") for figures in both] for key in ("auc", "overlap"))
    return [
        *rows,
        ("AUC", "how often a right pair's cosine exceeds a wrong pair's", aucs, "0.500"),
        ("overlap", "shared area of both histograms; 0 is best", overlaps, "1.000"),
    ]


def _chance(classes: int) -> dict[str, str]:
    return {
        "p_at_1": f"{1 / classes:.3f}",
        "hit_at_3": f"{min(1.0, 3 / classes):.3f}",
        "precision_at_3": f"{min(1 / 3, 1 / classes):.3f}",
        "mean_rank": f"{(classes + 1) / 2:.1f}",
    }


def _written(estimate: Estimate, key: str) -> tuple[str, str]:
    digits = 1 if key == "mean_rank" else 3
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.{digits}f}", ""
    return f"{estimate.value:.{digits}f}", f"{estimate.low:.{digits}f} – {estimate.high:.{digits}f}"


def left_out_lines(evaluation: ActionEvaluation) -> list[tuple[str, list[str]]]:
    """What was not evaluated: each reason with its count, and the first of them by name."""
    left_out = evaluation.left_out
    groups = (
        ("without a label", [_place(video) for video in left_out.unlabelled]),
        ("of another class", [f"{_place(video)} ({video.label})" for video in left_out.of_no_class]),
        ("without a frame", [_place(video) for video in left_out.without_frames]),
        ("broken lines", [*evaluation.classes.broken, *evaluation.options.templates.broken]),
    )
    return [(f"{len(named)} {reason}", _first_of(named)) for reason, named in groups if named]


def _first_of(names: list[str]) -> list[str]:
    more = len(names) - _MOST_NAMED
    return [*names[:_MOST_NAMED], f"... and {more} more, all in results.json"] if more > 0 else names


def _card(each: ComparedFootage, names: Sequence[str], thumbnails: FindThumbnail | None) -> Card:
    top = [Nearness(names[place], cosine, "", place == each.right) for place, cosine in each.top(TOP)]
    if not any(nearness.is_right for nearness in top):
        top.append(Nearness(names[each.right], float(each.pooled[each.right]), f"rank {each.rank:g}", True))
    return Card(
        name=each.video.title.strip() or each.video.path.name,
        place=_place(each.video),
        link=f"{each.video.path.absolute().as_uri()}#t={each.time_s:.3f}",
        clock=_clock(each.time_s),
        label=names[each.right],
        best=names[each.best],
        is_right=each.is_right,
        picture=_picture(thumbnails(each.video.id, each.time_s)) if thumbnails else "",
        top=tuple(top),
    )


def _place(video: Video) -> str:
    """The path as a person reads it; bytes that are no UTF-8 become replacement characters."""
    return os.fsencode(video.path).decode("utf-8", "replace")


def _clock(seconds: float) -> str:
    minutes, second = divmod(math.floor(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{second:02}"


def _picture(path: Path | None) -> str:
    """A thumbnail as a ``data:`` address; nothing where there is none, or none that a browser could show."""
    content = jpeg_at(path)
    return data_address(content, "image/jpeg") if content else ""
