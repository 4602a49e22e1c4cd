"""Which of several ways tells actions better, and how sure that is: the labelled videos of an index, no captions.

Every video counts once, with the figures of ``search.evaluate.actions``: ``P@1`` and ``hit@3`` are 1 if the right
class is ranked first alone, or among the first three; ``MRR`` is 1 / its rank. Classes that tie share their mean rank.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from indexer.core.errors import UsageError
from indexer.core.text import squeezed
from indexer.core.types import Embedding, Video
from indexer.models.base import FrameEncoder
from indexer.store.base import VectorStore
from search.evaluate.action_figures import mean_ranks
from search.evaluate.actions import classes_of, nothing_to_compare, pictured_videos, read_frames
from search.evaluate.class_vectors import encode_classes
from search.evaluate.compare import (
    ComparisonTable,
    by_place,
    check_setups,
    compared,
    failures,
    indexing_progress,
    write_table,
)
from search.evaluate.files import write_csv
from search.evaluate.metrics import QueryValues
from search.evaluate.pooling import check_pooling, pooled
from search.evaluate.progress import ReportProgress
from search.evaluate.prompts import ClassNames, Templates, read_templates
from search.evaluate.qrels import SkippedRow
from search.evaluate.setups import OF_SEARCHES, Setup
from search.evaluate.variants import IndexVariants

__all__ = [
    "ACTION_METRICS",
    "Labelled",
    "action_setups",
    "compare_actions",
    "figures_by_video",
    "labelled_videos",
    "ranks_by_setup",
]

ACTION_METRICS = ("P@1", "hit@3", "MRR")
_USUAL_TEMPLATES, _USUAL_POOLING = "clip", "mean"
_NOT_OF_ACTIONS = "Pictures alone are looked at; name a file of captions before it to compare searches."


@dataclass(frozen=True, slots=True)
class Labelled:
    """The videos to be judged and the place of each one's right class; ``of_no_class`` have another label."""

    classes: ClassNames
    videos: tuple[Video, ...]
    of_no_class: tuple[Video, ...] = ()

    @property
    def right(self) -> tuple[int, ...]:
        """The place of each video's class."""
        places = self.classes.places()
        return tuple(places[squeezed(video.label)] for video in self.videos)


def compare_actions(
    setups: Sequence[Setup],
    variants: IndexVariants,
    *,
    out: Path,
    classes: ClassNames | None = None,
    progress: ReportProgress | None = None,
) -> ComparisonTable:
    """Rank the classes in every way, compare, and write ``comparison.csv``, ``.json`` and ``videos.csv`` to a folder.

    Labels and classes are those of the index there is. Only videos with frames in every index are compared. Frames are
    read once for each index, and texts encoded once for each model and set of templates, and kept.

    Args:
        setups: The ways, the one to compare with first; of ``action_setups``.
        variants: The index there is, and where others are kept.
        out: Where the files go.
        classes: What to tell apart; None for what the labels name.
        progress: Told of indexing, of the texts and of the videos.

    Raises:
        UsageError: a setup is none for actions, no video has a label of these classes, no video is in every index, or
            the folder cannot be written.
        SceneseekError: as indexing and reading raise it.
    """
    check_setups(setups, OF_SEARCHES, _NOT_OF_ACTIONS)
    templates = {name: read_templates(name) for name in dict.fromkeys(_templates(setup) for setup in setups)}
    with closing(variants.open_store(Setup())) as store:
        labelled = labelled_videos(store, classes)
    comparison = _Comparison(variants, labelled, templates, out, progress)
    for alike_indexed in by_place(setups, variants):
        comparison.run(alike_indexed)
    ranks = {setup.name: comparison.ranks[setup.name] for setup in setups}
    shared = [video for video in labelled.videos if all(video.id in found for found in ranks.values())]
    if not shared:
        raise UsageError("No labelled video has frames in every index that is compared.", hint="Compare fewer ways.")
    rows = compared(
        [(name, figures_by_video(found)) for name, found in ranks.items()], [len(found) for found in ranks.values()]
    )
    left_out = tuple(_left_out(labelled, shared))
    broken = tuple(_broken(labelled.classes, *templates.values()))
    table = ComparisonTable(rows, len(shared), broken, left_out, tuple(comparison.failed))
    return write_table(out, table, [_write_videos(out, labelled, ranks)])


def action_setups(setups: Sequence[Setup]) -> tuple[Setup, ...]:
    """The setups without what makes no difference in them: ``tau`` belongs to the pooling ``query`` alone.

    Raises:
        UsageError: ``tau`` is varied where it never makes a difference.
    """
    if any(setup.value("tau") for setup in setups) and not any(setup.value("pooling") == "query" for setup in setups):
        raise UsageError("Tau makes a difference to the pooling 'query' alone.", hint="Add pooling=query.")
    kept = [setup if setup.value("pooling") == "query" else _without_tau(setup) for setup in setups]
    return tuple({setup.name: setup for setup in kept}.values())


def labelled_videos(store: VectorStore, classes: ClassNames | None = None) -> Labelled:
    """The videos of an index that have frames and a label, by path.

    Args:
        store: The index.
        classes: What to tell apart; None for what the labels name.

    Raises:
        UsageError: none has a label of these classes, or the labels name fewer than two.
        StoreError: the index cannot be read.
    """
    pictured = pictured_videos(commit for commit in store.commits().values() if commit.is_searchable)
    known = classes or classes_of(pictured, otherwise="; or name a file of captions before the axes")
    places = known.places()
    judged = tuple(video for video in pictured if squeezed(video.label) in places)
    if not judged:
        raise nothing_to_compare(pictured, known)
    others = tuple(video for video in pictured if video.label and squeezed(video.label) not in places)
    return Labelled(known, judged, others)


def ranks_by_setup(
    store: VectorStore,
    labelled: Labelled,
    setups: Sequence[Setup],
    texts: Mapping[str, Embedding],
    progress: ReportProgress | None = None,
) -> dict[str, dict[str, float]]:
    """The rank of each video's right class in each setup, by the setup's name and the video's id.

    Args:
        store: The index; every video's frames are read once. A video without frames is left out.
        labelled: What to judge.
        setups: The ways, which differ in pooling, tau and templates.
        texts: By the name of the templates, ``(classes, dim)``: the vectors of the classes.
        progress: Told of every video.

    Raises:
        StoreError: the index cannot be read.
    """
    ranks: dict[str, dict[str, float]] = {setup.name: {} for setup in setups}
    for done, (video, right) in enumerate(zip(labelled.videos, labelled.right, strict=True), start=1):
        if frames := read_frames(store, video):
            vectors = np.stack([frame.vector for frame in frames])
            for setup in setups:
                ranks[setup.name][video.id] = _rank(vectors, texts[_templates(setup)], setup, right)
        if progress is not None:
            progress("videos", done, len(labelled.videos))
    return ranks


def figures_by_video(ranks: Mapping[str, float]) -> QueryValues:
    """``P@1``, ``hit@3`` and ``MRR`` of each video, by the rank of its right class."""
    return {
        "P@1": {video: float(rank <= 1) for video, rank in ranks.items()},
        "hit@3": {video: float(rank <= 3) for video, rank in ranks.items()},
        "MRR": {video: 1 / rank for video, rank in ranks.items()},
    }


class _Comparison:
    """Ranks the classes in one index after the other."""

    def __init__(
        self,
        variants: IndexVariants,
        labelled: Labelled,
        templates: Mapping[str, Templates],
        out: Path,
        progress: ReportProgress | None,
    ) -> None:
        self.ranks: dict[str, dict[str, float]] = {}
        self.failed: list[SkippedRow] = []
        self._variants = variants
        self._labelled = labelled
        self._templates = templates
        self._out = out
        self._progress = progress

    def run(self, setups: Sequence[Setup]) -> None:
        """Index if need be, and rank in every way that shares this index."""
        report = self._variants.prepare(setups[0], indexing_progress(setups[0], self._progress))
        self.failed += failures(setups[0], report)
        with closing(self._variants.open_store(setups[0])) as store:
            encoder = self._variants.frame_encoder(store)
            texts = {name: self._texts(encoder, templates) for name, templates in self._templates.items()}
            self.ranks.update(ranks_by_setup(store, self._labelled, setups, texts, self._progress))

    def _texts(self, encoder: FrameEncoder, templates: Templates) -> Embedding:
        """The vectors of the classes, kept for other indexes with the same model."""
        classes, cache = self._labelled.classes, self._out / "class-texts"
        return encode_classes(encoder, classes, templates, cache=cache, report_progress=self._progress)


def _rank(frames: Embedding, texts: Embedding, setup: Setup, right: int) -> float:
    pooling = check_pooling(setup.value("pooling") or _USUAL_POOLING, setup.tau)
    cosines = pooled(frames, texts, pooling, setup.tau)
    return float(mean_ranks(cosines[np.newaxis], np.array([right]))[0])


def _templates(setup: Setup) -> str:
    return setup.value("templates") or _USUAL_TEMPLATES


def _without_tau(setup: Setup) -> Setup:
    return Setup({axis: value for axis, value in setup.chosen.items() if axis != "tau"})


def _left_out(labelled: Labelled, shared: Sequence[Video]) -> Iterator[SkippedRow]:
    compared_ids = {video.id for video in shared}
    for video in labelled.videos:
        if video.id not in compared_ids:
            yield SkippedRow(str(video.path), "it has no frames in one of the indexes")
    for video in labelled.of_no_class:
        yield SkippedRow(str(video.path), f"its label '{video.label}' is none of the classes")


def _broken(*files: ClassNames | Templates) -> Iterator[SkippedRow]:
    for line in (line for file in files for line in file.broken):
        place, _, reason = line.partition(": ")
        yield SkippedRow(place, reason)


def _write_videos(out: Path, labelled: Labelled, ranks: Mapping[str, Mapping[str, float]]) -> Path:
    """One row per video: what it is, and the rank of its class in every way; empty where it has no frames."""
    rows = (
        (video.path.as_posix(), video.label, *(found.get(video.id, "") for found in ranks.values()))
        for video in labelled.videos
    )
    return write_csv(out / "videos.csv", ("path", "label", *ranks), rows)
