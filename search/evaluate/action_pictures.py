"""Pictures of an evaluation, as PNG: where right and wrong cosines lie, and which classes are taken for which."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from indexer.core.types import Embedding
from search.evaluate.action_figures import Numbers, Places, area_under_curve, histogram_edges, overlap, right_and_wrong
from search.evaluate.actions import ActionEvaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["MOST_CLASSES_DRAWN", "confusion_picture", "distribution_picture", "occurring_classes"]

MOST_CLASSES_DRAWN = 60
"""With more classes the names in the picture of the confusions could not be read."""

_GREEN, _RED, _INK = "#1a7f37", "#cf222e", "#24292f"
_DPI = 130
_LONGEST_NAME = 32
_TALLEST = 0.85
_MOST_NUMBERED = 30


def distribution_picture(evaluation: ActionEvaluation) -> bytes:
    """Histograms of right and wrong cosines, with their means, overlap and area under the ROC curve.

    Videos are above and single frames below; a corpus with one frame to a video has one panel.
    """
    from matplotlib.figure import Figure

    panels = _panels(evaluation)
    figure = Figure(figsize=(8, 1.0 + 3.1 * len(panels)), dpi=_DPI, layout="constrained", facecolor="white")
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for panel, (title, cosines, right) in zip(axes, panels, strict=True):
        _draw_distribution(panel, title, *right_and_wrong(cosines, right))
    axes[-1].set_xlabel("cosine of picture and class text")
    return _png(figure)


def confusion_picture(evaluation: ActionEvaluation) -> bytes | None:
    """The counts of the confusion matrix as colours, each row by its share; None if over 60 classes occur in it."""
    from matplotlib.figure import Figure

    rows, columns = occurring_classes(evaluation)
    if len(columns) > MOST_CLASSES_DRAWN:
        return None
    counts = evaluation.confusion[np.ix_(rows, columns)]
    size = 3.6 + 0.24 * len(columns), 2.4 + 0.24 * len(rows)
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained", facecolor="white")
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shown = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [_shortened(name) for name in evaluation.classes.names]
    _name_axes(axes, [names[row] for row in rows], [names[column] for column in columns])
    if len(columns) <= _MOST_NUMBERED:
        _number_cells(axes, counts.tolist(), shares)
    scale = figure.colorbar(shown, ax=axes, shrink=0.8, ticks=[0, 0.5, 1])
    scale.ax.tick_params(labelsize=8)
    return _png(figure)


def occurring_classes(evaluation: ActionEvaluation) -> tuple[list[int], list[int]]:
    """The places of the classes that some video is of; and of those that it is of or was taken for."""
    counts = evaluation.confusion
    rows = np.flatnonzero(counts.sum(axis=1))
    return rows.tolist(), np.union1d(rows, np.flatnonzero(counts.sum(axis=0))).tolist()


def _panels(evaluation: ActionEvaluation) -> list[tuple[str, Embedding, Places]]:
    footage = evaluation.footage
    pooling = evaluation.options.pooling
    videos = (f"videos (pooling: {pooling})", np.stack([each.pooled for each in footage]), evaluation.right)
    counts = [len(each.frames) for each in footage]
    if max(counts) == 1:
        return [("videos, one frame each", videos[1], videos[2])]
    frames = ("single frames", np.concatenate([each.frames for each in footage]), evaluation.right.repeat(counts))
    return [videos, frames]


def _draw_distribution(axes: Axes, title: str, right: Numbers, wrong: Numbers) -> None:
    edges = histogram_edges(right, wrong)
    for values, colour, name in ((right, _GREEN, "right"), (wrong, _RED, "wrong")):
        label = f"{name} class: {len(values):,} pairs, mean {round(values.mean(), 3) + 0.0:.3f}"
        axes.hist(values, bins=list(edges), density=True, color=colour, alpha=0.45, label=label)
        axes.hist(values, bins=list(edges), density=True, color=colour, histtype="step", linewidth=1.2)
        axes.axvline(float(values.mean()), ymax=_TALLEST, color=colour, linestyle="--", linewidth=1.4)
    figures = f"overlap {overlap(right, wrong):.2f}, AUC {area_under_curve(right, wrong):.3f}"
    axes.set_title(f"{title}: {figures}", loc="left", fontsize=11, fontweight="bold", color=_INK)
    axes.set_ylabel("density")
    axes.margins(x=0.02)
    axes.set_ylim(top=axes.get_ylim()[1] / _TALLEST)  # room for the legend
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper right", fontsize=9, ncols=2)


def _name_axes(axes: Axes, rows: Sequence[str], columns: Sequence[str]) -> None:
    # A class may be called "$5 bill", which is no formula.
    axes.set_xticks(range(len(columns)), columns, rotation=90, fontsize=8, parse_math=False)
    axes.set_yticks(range(len(rows)), rows, fontsize=8, parse_math=False)
    axes.set_xlabel("nearest text", fontsize=9)
    axes.set_ylabel("label; colours: share of its videos", fontsize=9)


def _number_cells(axes: Axes, counts: Sequence[Sequence[int]], shares: Numbers) -> None:
    for row, cells in enumerate(counts):
        for column, count in enumerate(cells):
            if count:
                ink = "white" if shares[row, column] > 0.5 else _INK
                axes.text(column, row, f"{count}", ha="center", va="center", fontsize=8, color=ink)


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _png(figure: Figure) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    picture = io.BytesIO()
    with warnings.catch_warnings():
        # A script that the font lacks is drawn as boxes; the tables beside the picture have the names.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()
