"""Zero-shot classes on real pictures. ``python -m benchmarks.actions [--data FOLDER] [--profile embedded]``.

FOLDER is the shared data set. Its six UCF101 clips (of three actions) are told apart among all 101 classes, for every
keyframe strategy and every pooling: far too few videos to say how good a model is, enough to see that the parts work
together, so the interval of each figure is printed too. Clips made of its photographs, a second each, are told apart
among the 200 classes.
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from indexer.config import load_settings
from indexer.core.types import Image
from indexer.manifest import RoleChanges, models_of
from indexer.media.deliver.write import ClipOptions, write_clip
from indexer.modalities.registry import optional_roles
from indexer.models.base import FrameEncoder
from indexer.run import RunOptions, run_indexing
from indexer.shots.sampling import STRATEGIES
from indexer.store import open_store
from search.evaluate.actions import POOLINGS, ActionEvaluation, ActionOptions, Estimate, Figures, evaluate_actions
from search.evaluate.prompts import TEMPLATES, ClassNames, read_classes

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
RATE = 12
SIZE = (360, 480)


def main() -> None:
    """Print both tables."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, default=DATA)
    options.add_argument("--profile", default="embedded")
    given = options.parse_args()
    print_action_tables(given.data, given.profile)


def print_action_tables(data: Path, profile: str) -> None:
    """Both tables; a data set that is not there has none."""
    clips, photographs = data / "media" / "ucf101", data / "imagenet-sample"
    with tempfile.TemporaryDirectory() as folder:
        if clips.is_dir():
            print("\n".join(actions_table(clips, profile, Path(folder))), "\n")
        if photographs.is_dir():
            print("\n".join(photographs_table(photographs, profile, Path(folder))))


def actions_table(clips: Path, profile: str, folder: Path) -> Iterator[str]:
    """One line per keyframe strategy, kind of template and pooling; and the best of them."""
    labels = write_labels(clips, folder / "ucf101.csv")
    classes = read_classes("ucf101")
    best = Estimate(-1.0), ""
    yield f"--- UCF101: {len(list(clips.glob('*.avi')))} clips, {len(classes.names)} classes; [95% interval]"
    yield f"{'strategy':9} {'templates':9} {'pooling':8}{'frames':>7} {FIGURES}   per frame: P@1 hit@3"
    for strategy in STRATEGIES:
        index = folder / f"ucf101-{strategy}"
        make_index(
            [clips], index, profile, {"shots.strategy": strategy, "shots.count": 5, "corpus.labels": str(labels)}
        )
        for name, evaluation in evaluations(index, classes):
            figures, frames = evaluation.by_video, evaluation.by_frame
            line = f"{strategy:9} {name}{frames.count:7} {row(figures)}"
            best = max(best, (figures.hit_at_3, line[:27]), key=lambda pair: pair[0].value)
            yield f"{line}{frames.p_at_1.value:15.2f} {frames.hit_at_3.value:5.2f}"
    yield f"best: hit@3 {interval(best[0])} with {' '.join(best[1].split())}; wanted at least 0.30"


def photographs_table(photographs: Path, profile: str, folder: Path) -> Iterator[str]:
    """One line per kind of template, over clips of one photograph each."""
    labels = write_clips(photographs, folder / "clips")
    index = folder / "photographs"
    make_index([folder / "clips"], index, profile, {"shots.strategy": "shots", "corpus.labels": str(labels)})
    found = [(name, evaluation) for name, evaluation in evaluations(index, None) if "mean" in name]
    _, first = found[0]
    yield f"--- photographs: {len(first.videos)} clips, {len(first.classes.names)} classes; [95% interval]"
    yield f"{'templates':9} {'pooling':8}{'clips':>7} {FIGURES}"
    for name, evaluation in found:
        yield f"{name}{evaluation.by_video.count:7} {row(evaluation.by_video)}"
    yield "wanted: P@1 at least 0.80"


FIGURES = f"{'P@1':18} {'hit@3':18} {'P@3':5} {'rank':>5} {'right':>6} {'wrong':>6} {'AUC':>5} {'overlap':>7}"


def row(figures: Figures) -> str:
    """A table's cells for one set of figures."""
    return (
        f"{interval(figures.p_at_1):18} {interval(figures.hit_at_3):18} {figures.precision_at_3.value:5.2f}"
        f" {figures.mean_rank.value:5.1f} {figures.right_cosine.value:6.3f} {figures.wrong_cosine.value:6.3f}"
        f" {figures.auc:5.2f} {figures.overlap:7.2f}"
    )


def interval(estimate: Estimate) -> str:
    """A figure and how sure it is."""
    if estimate.low is None:
        return f"{estimate.value:.2f}"
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def evaluations(index: Path, classes: ClassNames | None) -> Iterator[tuple[str, ActionEvaluation]]:
    """Every kind of template with every pooling; the class texts of one kind are encoded once."""
    with closing(open_store(index)) as store:
        manifest = store.read_manifest()
        assert manifest is not None
        encoder: FrameEncoder = models_of(manifest, roles=("frames",)).frames
        for templates in TEMPLATES.values():
            for pooling in POOLINGS:
                options = ActionOptions(templates, classes, pooling)
                evaluation = evaluate_actions(store, encoder, options, cache=index.parent / "class-texts")
                yield f"{templates.name:9} {pooling:8}", evaluation


def make_index(paths: Sequence[Path], index: Path, profile: str, flags: Mapping[str, str | int]) -> None:
    """Index pictures only."""
    settings = load_settings(None, os.environ, {"index.path": str(index), "models.profile": profile, **flags})
    report = run_indexing(paths, settings, options=RunOptions(changes=RoleChanges(without=optional_roles())))
    assert not report.failed, report.failed


def write_labels(clips: Path, table: Path) -> Path:
    """The classes that UCF101's file names hold, as ``v_ApplyEyeMakeup_g01_c01.avi``, as a labels file."""
    return write_table(table, ((clip.name, clip.stem.split("_")[1]) for clip in sorted(clips.glob("v_*.avi"))))


def write_clips(photographs: Path, folder: Path) -> Path:
    """A clip for each photograph, on black; and the labels file, by the files' names as ``n01514668_cock.JPEG``."""
    folder.mkdir()
    files = sorted(photographs.glob("*.JPEG"))
    for path in files:
        picture = on_black(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB))
        options = ClipOptions(rate=Fraction(RATE), preset="veryfast")
        write_clip(folder / f"{path.stem}.mp4", [picture] * RATE, options=options)
    return write_table(folder / "labels.csv", ((f"{path.stem}.mp4", path.stem.split("_", 1)[1]) for path in files))


def write_table(path: Path, rows: Iterable[tuple[str, str]]) -> Path:
    """A labels file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["path", "label"])
        table.writerows(rows)
    return path


def on_black(picture: Image) -> Image:
    """A picture scaled into a frame of ``SIZE``, centred."""
    scale = min(SIZE[0] / picture.shape[0], SIZE[1] / picture.shape[1])
    width, height = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
    frame = np.zeros((*SIZE, 3), np.uint8)
    top, left = (SIZE[0] - height) // 2, (SIZE[1] - width) // 2
    frame[top : top + height, left : left + width] = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return frame


if __name__ == "__main__":
    main()
