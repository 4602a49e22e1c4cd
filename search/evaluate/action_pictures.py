"""Plots of an action evaluation as PNG: right and wrong cosines, and which classes are taken for which."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

import numpy as np

from search.evaluate.action_figures import Numbers, histogram_edges, right_and_wrong
from search.evaluate.actions import ActionEvaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_CLASSES_DRAWN = 60  # The names of more could not be read.

_GREEN, _RED, _INK = "#1a7f37", "#cf222e", "#24292f"
_LONGEST_NAME = 32
_TALLEST = 0.85
_MOST_NUMBERED = 30


def distribution_picture(evaluation: ActionEvaluation) -> bytes:
    """Histograms of right and wrong cosines: of videos, and below of frames unless each video has one frame."""
    has_more_frames = evaluation.by_frame.count > evaluation.by_video.count
    title = f"videos (pooling: {evaluation.options.pooling})" if has_more_frames else "videos, one frame each"
    panels = [(title, evaluation.of_videos, evaluation.by_video)]
    if has_more_frames:
        panels.append(("single frames", evaluation.of_frames, evaluation.by_frame))
    figure = _figure(8, 1.0 + 3.1 * len(panels))
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for panel, (title, table, figures) in zip(axes, panels, strict=True):
        heading = f"{title}: overlap {figures.overlap:.2f}, AUC {figures.auc:.3f}"
        panel.set_title(heading, loc="left", fontsize=11, fontweight="bold", color=_INK)
        _draw_distribution(panel, *right_and_wrong(table.cosines, table.right))
    axes[-1].set_xlabel("cosine of picture and class text")
    return _png(figure)


def confusion_picture(evaluation: ActionEvaluation) -> bytes | None:
    """The confusion matrix; colours are shares of each row. None if more than 60 classes occur."""
    rows, columns = occurring_classes(evaluation)
    if len(columns) > MOST_CLASSES_DRAWN:
        return None
    counts = evaluation.confusion[np.ix_(rows, columns)]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = _figure(3.6 + 0.24 * len(columns), 2.4 + 0.24 * len(rows))
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [
        name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…" for name in evaluation.classes.names
    ]
    # A class may be called "$5 bill", which is no formula.
    axes.set_xticks(range(len(columns)), [names[place] for place in columns], rotation=90, fontsize=8, parse_math=False)
    axes.set_yticks(range(len(rows)), [names[place] for place in rows], fontsize=8, parse_math=False)
    axes.set_xlabel("nearest text", fontsize=9)
    axes.set_ylabel("label; colours: share of its videos", fontsize=9)
    if len(columns) <= _MOST_NUMBERED:
        for (row, column), count in np.ndenumerate(counts):
            ink = "white" if shares[row, column] > 0.5 else _INK
            axes.text(column, row, f"{count or ''}", ha="center", va="center", fontsize=8, color=ink)
    figure.colorbar(image, ax=axes, shrink=0.8, ticks=[0, 0.5, 1]).ax.tick_params(labelsize=8)
    return _png(figure)


def occurring_classes(evaluation: ActionEvaluation) -> tuple[list[int], list[int]]:
    """The places of the classes that have videos; and of those that have videos or were taken for another."""
    counts = evaluation.confusion
    rows = np.flatnonzero(counts.sum(axis=1))
    return rows.tolist(), np.union1d(rows, np.flatnonzero(counts.sum(axis=0))).tolist()


def _draw_distribution(axes: Axes, right: Numbers, wrong: Numbers) -> None:
    edges = list(histogram_edges(right, wrong))
    for values, colour, name in ((right, _GREEN, "right"), (wrong, _RED, "wrong")):
        label = f"{name} class: {len(values):,} pairs, mean {round(values.mean(), 3) + 0.0:.3f}"
        axes.hist(values, bins=edges, density=True, color=colour, alpha=0.45, label=label)
        axes.hist(values, bins=edges, density=True, color=colour, histtype="step", linewidth=1.2)
        axes.axvline(float(values.mean()), ymax=_TALLEST, color=colour, linestyle="--", linewidth=1.4)
    axes.set_ylabel("density")
    axes.margins(x=0.02)
    axes.set_ylim(top=axes.get_ylim()[1] / _TALLEST)  # room for the legend
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper right", fontsize=9, ncols=2)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=130, layout="constrained", facecolor="white")


def _png(figure: Figure) -> bytes:
    picture = io.BytesIO()
    with warnings.catch_warnings():
        # A script that the font lacks is drawn as boxes; the tables beside the picture have the names.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()
