"""Reports of evaluations: HTML from templates that the web page and the files share; of actions also files and plots.

Names, labels and queries are untrusted; the templates escape all of them.
"""

from __future__ import annotations

import io
import math
import os
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from indexer.core.types import Video
from search.evaluate import actions, write_csv, write_json, write_whole
from search.evaluate.actions import ActionEvaluation, ClassifiedVideo, Estimate, Figures, Numbers
from search.evaluate.metrics import RANK_METRICS
from search.evaluate.retrieval import MetricValue, RetrievalReport
from search.evaluate.self_test import FEW_QUERIES, FEW_VIDEOS, SelfTestReport
from search.evaluate.significance import RESAMPLES
from search.html import data_address, jpeg_at, printable, rendered
from search.modalities import plain_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FileLink: TypeAlias = Callable[[str], str]  # gives the address of a written file by its name
FindThumbnail: TypeAlias = Callable[[str, float], Path | None]

STYLESHEET = Path(__file__).with_name("templates") / "report.css"
MOST_CLASSES_DRAWN = 60  # The names of more could not be read.
MOST_CARDS = 1000  # A page with more pictures would be slow to open; results.csv has every video.

_MOST_ROWS = 50
_MAIN_METRICS = ("hit@1", "hit@5", "hit@10", "MRR", "MdR", "R@1 IoU=0.5", "R@5 IoU=0.5", "R@10 IoU=0.5")
_MEANINGS: Mapping[str, str] = {
    "MdR": "the rank that half of the queries reach with their right {of}; 1 is best",
    "MnR": "the mean rank of the right {of}; 1 is best",
    "MRR": "1 for a right answer in first place, ½ in second, ⅓ in third …: the mean",
    "mAP": "like MRR, with every right answer of a query counted",
    "nDCG@10": "whether the right ones of the first 10 stand at the top; 1 is best",
}
_GREEN, _RED, _INK = "#1a7f37", "#cf222e", "#24292f"
_TALLEST = 0.85
_TOP = 5  # nearest classes that are listed for each video
_MOST_NAMED = 20
_VIDEO_COLUMNS = (
    *("path", "start_s", "end_s", "label", "best", "right", "rank", "right_cosine", "frames"),
    *(f"{part}_{place}" for place in range(1, _TOP + 1) for part in ("class", "cosine")),
)
_CLASS_COLUMNS = ["class", "videos", "p_at_1", "hit_at_3", "mean_rank", "right_cosine", "most_often_taken_for", "times"]
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


def counted(count: int, one: str) -> str:
    """A number with its noun: ``1 video``, ``1,000 videos``, ``2 queries``."""
    many = f"{one[:-1]}ies" if one.endswith("y") else f"{one}s"
    return f"{count:,} {one if count == 1 else many}"


def render_report(template: str, facts: Mapping[str, Any], files: Iterable[str] = (), link: FileLink = str) -> str:
    """Render a template of this package with ``facts`` and a list of ``files``."""
    shared = {"counted": counted, "meaning": metric_meaning, "rank_metrics": RANK_METRICS, "few_queries": FEW_QUERIES}
    listed = [(name, link(name)) for name in files]
    return printable(rendered("search.evaluate", template, {**shared, "files": listed, **facts}), instead="�")


def render_self_test(report: SelfTestReport, link: FileLink) -> str:
    """What a library can expect of the search, and the figures behind it."""
    everything, *by_source = report.rows
    rows = {"everything": everything, "by_source": by_source}
    facts = {"report": report, "plain_name": plain_name, "few_videos": FEW_VIDEOS, **rows}
    return render_report("self_test.html.j2", facts, (file.name for file in report.files), link)


def render_retrieval(report: RetrievalReport, source: str, link: FileLink) -> str:
    """How well the queries of a file, whose name is ``source``, find their videos and moments."""
    main = [metric for name in _MAIN_METRICS for metric in report.metrics if metric.name == name]
    others = [metric for metric in report.metrics if metric not in main]
    tables = {"tables": _by_level(main), "others": _by_level(others)}
    facts = {"report": report, "source": source, "most_rows": _MOST_ROWS, **tables}
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


def _by_level(metrics: Sequence[MetricValue]) -> dict[str, list[MetricValue]]:
    levels: dict[str, list[MetricValue]] = {}
    for metric in metrics:  # those of videos come first
        levels.setdefault("moment" if "IoU" in metric.name else "video", []).append(metric)
    return levels


class FigureRow(NamedTuple):
    """A figure as text, with its interval, of all videos and of all frames; what is unknown is empty."""

    name: str
    meaning: str
    by_video: tuple[str, str]
    by_frame: tuple[str, str]
    chance: str


def write_action_report(
    evaluation: ActionEvaluation, folder: Path, thumbnails: FindThumbnail | None = None
) -> tuple[Path, ...]:
    """Write the page, tables, JSON and plots to a folder, each whole or not at all; returns them, the page first.

    ``thumbnails`` finds the picture at a time of a video; without it, the page has no pictures of videos.
    """
    distribution, confusion = distribution_picture(evaluation), confusion_picture(evaluation)
    names, (rows, columns) = evaluation.classes.names, _occurring_classes(evaluation)
    taken_for = ["label \\ nearest text", *(names[column] for column in columns)]
    counts = [[names[row], *evaluation.confusion[row, columns].tolist()] for row in rows]
    written = [
        write_whole(folder / "results.html", render_action_page(evaluation, distribution, confusion, thumbnails)),
        write_csv(folder / "results.csv", _VIDEO_COLUMNS, _video_rows(evaluation)),
        write_json(folder / "results.json", evaluation_as_json(evaluation)),
        write_csv(folder / "classes.csv", _CLASS_COLUMNS, _class_rows(evaluation)),
        write_csv(folder / "confusion.csv", taken_for, counts),
        write_whole(folder / "similarity_distribution.png", distribution),
    ]
    if confusion is None:
        (folder / "confusion.png").unlink(missing_ok=True)  # of an earlier run with fewer classes
    else:
        written.append(write_whole(folder / "confusion.png", confusion))
    return tuple(written)


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
    evaluation: ActionEvaluation, distribution: bytes, confusion: bytes | None, thumbnails: FindThumbnail | None
) -> str:
    """The report as a complete HTML document with the two plots and a card for each video."""
    facts = {
        **_facts(evaluation),
        "is_page": True,
        "distribution": data_address(distribution, "image/png"),
        "confusion": data_address(confusion, "image/png") if confusion else "",
        "cards": [_card(each, evaluation.classes.names, thumbnails) for each in evaluation.videos[:MOST_CARDS]],
        "right_count": sum(each.is_right for each in evaluation.videos),
    }
    return render_report("action_page.html.j2", facts)


def figure_rows(evaluation: ActionEvaluation) -> list[FigureRow]:
    """Each figure by video and by frame, and what chance gives."""
    by_video, by_frame = evaluation.by_video, evaluation.by_frame
    classes = len(evaluation.classes.names)
    chance = {
        "p_at_1": f"{1 / classes:.3f}",
        "hit_at_3": f"{min(1.0, 3 / classes):.3f}",
        "precision_at_3": f"{min(1 / 3, 1 / classes):.3f}",
        "mean_rank": f"{(classes + 1) / 2:.1f}",
        "auc": "0.500",
        "overlap": "1.000",
    }
    return [
        FigureRow(name, meaning, _figure(by_video, key), _figure(by_frame, key), chance.get(key, ""))
        for name, key, meaning in _FIGURES
    ]


def left_out_lines(evaluation: ActionEvaluation) -> list[tuple[str, list[str]]]:
    """What was not evaluated: how many and why, and the first names."""
    left_out = evaluation.left_out
    groups = (
        ("video", " without a label", [_place(video) for video in left_out.unlabelled]),
        ("video", " of another class", [f"{_place(video)} ({video.label})" for video in left_out.of_no_class]),
        ("video", " without a frame", [_place(video) for video in left_out.without_frames]),
        ("broken line", "", evaluation.broken_lines),
    )
    lines = []
    for what, why, names in groups:
        more = [f"... and {len(names) - _MOST_NAMED} more, all in results.json"] if len(names) > _MOST_NAMED else []
        if names:
            lines.append((counted(len(names), what) + why, [*names[:_MOST_NAMED], *more]))
    return lines


def evaluation_as_json(evaluation: ActionEvaluation) -> dict[str, Any]:
    """The whole evaluation as JSON values; cosines in [-1, 1], times in seconds."""
    options, left_out, classes = evaluation.options, evaluation.left_out, evaluation.classes
    return {
        "index": dict(evaluation.about),
        "options": {
            "templates": {"name": options.templates.name, "patterns": options.templates.patterns},
            "classes": {"source": classes.source, "names": classes.names},
            "pooling": options.pooling,
            "tau": options.tau if options.pooling == "query" else None,
            "bootstrap": {"draws": RESAMPLES, "seed": 0},
        },
        "by_video": asdict(evaluation.by_video),
        "by_frame": asdict(evaluation.by_frame),
        "by_class": [asdict(each) for each in evaluation.by_class],
        "left_out": {
            "unlabelled": [str(video.path) for video in left_out.unlabelled],
            "of_no_class": [{"path": str(video.path), "label": video.label} for video in left_out.of_no_class],
            "without_frames": [str(video.path) for video in left_out.without_frames],
            "broken_lines": evaluation.broken_lines,
        },
        "videos": [_video_as_json(each, classes.names) for each in evaluation.videos],
    }


def _facts(evaluation: ActionEvaluation) -> dict[str, Any]:
    first, near = (sum(each.rank <= place for each in evaluation.videos) for place in (1, 3))
    count = counted(len(evaluation.videos), "video")
    return {
        "evaluation": evaluation,
        "names": evaluation.classes.names,
        "headline": f"Right class first for {first} of {count}, in the first three for {near}",
        "figures": figure_rows(evaluation),
        "left_out": left_out_lines(evaluation),
    }


def _card(each: ClassifiedVideo, names: Sequence[str], thumbnails: FindThumbnail | None) -> dict[str, Any]:
    scores = [(names[place], cosine, place == each.right, "") for place, cosine in each.top(_TOP)]
    if not any(is_right for _, _, is_right, _ in scores):  # It is not among the nearest.
        scores.append((names[each.right], float(each.pooled[each.right]), True, f"rank {each.rank:g}"))
    minutes, second = divmod(math.floor(each.time_s), 60)
    picture = jpeg_at(thumbnails(each.video.id, each.time_s)) if thumbnails else None
    return {
        "video": each,
        "name": each.video.title.strip() or each.video.path.name,
        "place": _place(each.video),
        "link": f"{each.video.path.absolute().as_uri()}#t={each.time_s:.3f}",
        "clock": f"{minutes // 60}:{minutes % 60:02}:{second:02}",
        "picture": data_address(picture, "image/jpeg") if picture else "",
        "scores": scores,
    }


def _figure(figures: Figures, key: str) -> tuple[str, str]:
    figure, digits = getattr(figures, key), 1 if key == "mean_rank" else 3
    if not isinstance(figure, Estimate):
        return f"{figure:.3f}", ""
    interval = "" if figure.low is None else f"{figure.low:.{digits}f} – {figure.high:.{digits}f}"
    return f"{figure.value:.{digits}f}", interval


def _place(video: Video) -> str:
    """The path to read; bytes that are no UTF-8 become replacement characters."""
    return os.fsencode(video.path).decode("utf-8", "replace")


def _video_as_json(each: ClassifiedVideo, names: Sequence[str]) -> dict[str, Any]:
    return {
        "video_id": each.video.id,
        "path": str(each.video.path),
        "start_s": round(each.start_s, 3),
        "end_s": round(each.end_s, 3),
        "frames": len(each.frames),
        "label": names[each.right],
        "best": names[each.best],
        "is_right": each.is_right,
        "rank": each.rank,
        "right_cosine": round(float(each.pooled[each.right]), 6),
        "top": [{"class": names[place], "cosine": round(cosine, 6)} for place, cosine in each.top(_TOP)],
    }


def _video_rows(evaluation: ActionEvaluation) -> Iterator[Sequence[object]]:
    names = evaluation.classes.names
    for each in evaluation.videos:
        yield (
            *(each.video.path, f"{each.start_s:.3f}", f"{each.end_s:.3f}", names[each.right], names[each.best]),
            *(int(each.is_right), f"{each.rank:g}", f"{each.pooled[each.right]:.6f}", len(each.frames)),
            *(cell for place, cosine in each.top(_TOP) for cell in (names[place], f"{cosine:.6f}")),
        )


def _class_rows(evaluation: ActionEvaluation) -> Iterator[Sequence[object]]:
    for each in evaluation.by_class:
        figures = (f"{each.p_at_1:.4f}", f"{each.hit_at_3:.4f}", f"{each.mean_rank:.2f}", f"{each.right_cosine:.6f}")
        yield each.name, each.count, *figures, each.taken_for, each.taken_for_count


def distribution_picture(evaluation: ActionEvaluation) -> bytes:
    """Histograms of right and wrong cosines: of videos, and below of frames unless each video has one frame."""
    has_more_frames = evaluation.by_frame.count > evaluation.by_video.count
    title = f"videos (pooling: {evaluation.options.pooling})" if has_more_frames else "videos, one frame each"
    panels = [(title, evaluation.of_videos, evaluation.by_video)]
    if has_more_frames:
        panels.append(("single frames", evaluation.of_frames, evaluation.by_frame))
    figure = _empty_plot(8, 1.0 + 3.1 * len(panels))
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for panel, (title, table, figures) in zip(axes, panels, strict=True):
        heading = f"{title}: overlap {figures.overlap:.2f}, AUC {figures.auc:.3f}"
        panel.set_title(heading, loc="left", fontsize=11, fontweight="bold", color=_INK)
        _draw_distribution(panel, *actions.right_and_wrong(table.cosines, table.right))
    axes[-1].set_xlabel("cosine of picture and class text")
    return _png(figure)


def confusion_picture(evaluation: ActionEvaluation) -> bytes | None:
    """The confusion matrix; colours are shares of each row. None if more than 60 classes occur."""
    rows, columns = _occurring_classes(evaluation)
    if len(columns) > MOST_CLASSES_DRAWN:
        return None
    counts = evaluation.confusion[np.ix_(rows, columns)]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = _empty_plot(3.6 + 0.24 * len(columns), 2.4 + 0.24 * len(rows))
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [name if len(name) <= 32 else f"{name[:31]}…" for name in evaluation.classes.names]
    # A class may be called "$5 bill", which is no formula.
    axes.set_xticks(range(len(columns)), [names[place] for place in columns], rotation=90, fontsize=8, parse_math=False)
    axes.set_yticks(range(len(rows)), [names[place] for place in rows], fontsize=8, parse_math=False)
    axes.set_xlabel("nearest text", fontsize=9)
    axes.set_ylabel("label; colours: share of its videos", fontsize=9)
    if len(columns) <= 30:  # Numbers in more columns would touch.
        for (row, column), count in np.ndenumerate(counts):
            ink = "white" if shares[row, column] > 0.5 else _INK
            axes.text(column, row, f"{count or ''}", ha="center", va="center", fontsize=8, color=ink)
    figure.colorbar(image, ax=axes, shrink=0.8, ticks=[0, 0.5, 1]).ax.tick_params(labelsize=8)
    return _png(figure)


def _occurring_classes(evaluation: ActionEvaluation) -> tuple[list[int], list[int]]:
    """The places of the classes that have videos; and of those that have videos or were taken for another."""
    counts = evaluation.confusion
    rows = np.flatnonzero(counts.sum(axis=1))
    return rows.tolist(), np.union1d(rows, np.flatnonzero(counts.sum(axis=0))).tolist()


def _draw_distribution(axes: Axes, right: Numbers, wrong: Numbers) -> None:
    edges = list(actions.histogram_edges(right, wrong))
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


def _empty_plot(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=130, layout="constrained", facecolor="white")


def _png(figure: Figure) -> bytes:
    picture = io.BytesIO()
    with warnings.catch_warnings():
        # A script that the font lacks is drawn as boxes; the tables beside the picture have the names.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()
