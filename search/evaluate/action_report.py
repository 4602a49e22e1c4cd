"""The files of an action evaluation: a page to read, tables and JSON for other programs, and two plots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from search.evaluate.action_page import TOP, FindThumbnail, render_action_page
from search.evaluate.action_pictures import confusion_picture, distribution_picture, occurring_classes
from search.evaluate.actions import ActionEvaluation, ClassifiedVideo
from search.evaluate.files import write_bytes_whole, write_csv, write_json, write_whole
from search.evaluate.significance import RESAMPLES

_VIDEO_COLUMNS = (
    *("path", "start_s", "end_s", "label", "best", "right", "rank", "right_cosine", "frames"),
    *(f"{part}_{place}" for place in range(1, TOP + 1) for part in ("class", "cosine")),
)
_CLASS_COLUMNS = (
    *("class", "videos", "p_at_1", "hit_at_3", "mean_rank", "right_cosine"),
    *("most_often_taken_for", "times"),
)


def write_action_report(
    evaluation: ActionEvaluation, folder: Path, thumbnails: FindThumbnail | None = None
) -> tuple[Path, ...]:
    """Write ``results.html``, ``.csv`` and ``.json``, ``classes.csv``, ``confusion.csv`` and the plots.

    The plot of an earlier run is deleted if there are now too many classes for one.

    Args:
        evaluation: What to report.
        folder: Where to; made if need be. Each file is written whole or not at all.
        thumbnails: Finds the picture at a time of a video; None for a page without pictures.

    Returns:
        The files, ``results.html`` first.

    Raises:
        UsageError: a file cannot be written there.
    """
    distribution, confusion = distribution_picture(evaluation), confusion_picture(evaluation)
    written = [
        write_whole(folder / "results.html", render_action_page(evaluation, distribution, confusion, thumbnails)),
        write_csv(folder / "results.csv", _VIDEO_COLUMNS, _video_rows(evaluation)),
        write_json(folder / "results.json", evaluation_as_json(evaluation)),
        write_csv(folder / "classes.csv", _CLASS_COLUMNS, _class_rows(evaluation)),
        write_csv(folder / "confusion.csv", *_confusion_table(evaluation)),
        write_bytes_whole(folder / "similarity_distribution.png", distribution),
    ]
    if confusion is None:
        (folder / "confusion.png").unlink(missing_ok=True)
    else:
        written.append(write_bytes_whole(folder / "confusion.png", confusion))
    return tuple(written)


def evaluation_as_json(evaluation: ActionEvaluation) -> dict[str, Any]:
    """The whole evaluation as JSON values; cosines in [-1, 1], times in seconds."""
    options, left_out = evaluation.options, evaluation.left_out
    return {
        "index": dict(evaluation.about),
        "options": {
            "templates": {"name": options.templates.name, "patterns": options.templates.patterns},
            "classes": {"source": evaluation.classes.source, "names": evaluation.classes.names},
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
        "videos": [_video_as_json(each, evaluation.classes.names) for each in evaluation.videos],
    }


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
        "top": [{"class": names[place], "cosine": round(cosine, 6)} for place, cosine in each.top(TOP)],
    }


def _video_rows(evaluation: ActionEvaluation) -> Iterator[Sequence[object]]:
    names = evaluation.classes.names
    for each in evaluation.videos:
        yield (
            *(each.video.path, f"{each.start_s:.3f}", f"{each.end_s:.3f}", names[each.right], names[each.best]),
            *(int(each.is_right), f"{each.rank:g}", f"{each.pooled[each.right]:.6f}", len(each.frames)),
            *(cell for place, cosine in each.top(TOP) for cell in (names[place], f"{cosine:.6f}")),
        )


def _class_rows(evaluation: ActionEvaluation) -> Iterator[Sequence[object]]:
    for each in evaluation.by_class:
        figures = (f"{each.p_at_1:.4f}", f"{each.hit_at_3:.4f}", f"{each.mean_rank:.2f}", f"{each.right_cosine:.6f}")
        yield each.name, each.count, *figures, each.taken_for, each.taken_for_count


def _confusion_table(evaluation: ActionEvaluation) -> tuple[Sequence[str], list[Sequence[object]]]:
    """A row for each class that has videos, a column for each class that occurs, and the counts."""
    rows, columns = occurring_classes(evaluation)
    names = evaluation.classes.names
    heading = ["label \\ nearest text", *(names[column] for column in columns)]
    return heading, [[names[row], *evaluation.confusion[row, columns].tolist()] for row in rows]
