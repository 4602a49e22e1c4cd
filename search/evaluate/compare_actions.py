"""Which of several ways recognises actions better, and how sure that is: the labelled videos of an index, no captions.

Every video counts once, with the figures of ``search.evaluate.actions``: ``P@1`` and ``hit@3`` are 1 if the right
class is ranked first alone, or among the first three; ``MRR`` is 1 / its rank. Classes that tie share their mean rank.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from indexer.core.errors import UsageError
from indexer.core.types import Embedding
from indexer.store.base import VectorStore
from search.evaluate.action_figures import check_pooling, mean_ranks, pooled
from search.evaluate.actions import LabelledVideos, labelled_videos, read_frames
from search.evaluate.compare import (
    OF_SEARCHES,
    ComparisonTable,
    IndexVariants,
    Setup,
    check_setups,
    compared,
    prepare_index,
    write_table,
)
from search.evaluate.files import write_csv
from search.evaluate.metrics import QueryValues
from search.evaluate.progress import ReportProgress
from search.evaluate.prompts import ClassNames, encode_classes, read_templates
from search.evaluate.qrels import SkippedRow

ACTION_METRICS = ("P@1", "hit@3", "MRR")
_NOT_OF_ACTIONS = "Pictures alone are looked at; name a file of captions before it to compare searches."


def compare_actions(
    setups: Sequence[Setup],
    variants: IndexVariants,
    *,
    out: Path,
    classes: ClassNames | None = None,
    progress: ReportProgress | None = None,
) -> ComparisonTable:
    """Rank the classes in every way, compare with the first, and write ``comparison.csv``, ``.json``, ``videos.csv``.

    Labels are those of the existing index. Only videos with frames in every index are compared. Frames are read once
    for each index; vectors of texts are kept in ``out``.

    Raises:
        UsageError: a setup makes no difference to actions, no video has a label of these classes, no video is in every
            index, or the folder cannot be written.
        SceneseekError: as indexing and reading raise it.
    """
    check_setups(setups, OF_SEARCHES, _NOT_OF_ACTIONS)
    names = dict.fromkeys(setup.value("templates", "clip") for setup in setups)
    templates = {name: read_templates(name) for name in names}
    with closing(variants.open_store(Setup())) as store:
        labelled = labelled_videos(store, classes, otherwise="; or name a file of captions before the axes")
    failed: list[SkippedRow] = []
    found: dict[str, dict[str, float]] = {}
    for group in variants.grouped(setups):
        failed += prepare_index(group[0], variants, progress)
        with closing(variants.open_store(group[0])) as store:
            encoder, cache = variants.frame_encoder(store), out / "class-texts"
            texts = {
                name: encode_classes(encoder, labelled.classes, chosen, cache=cache, report_progress=progress)
                for name, chosen in templates.items()
            }
            found.update(ranks_by_setup(store, labelled, group, texts, progress))
    ranks = {setup.name: found[setup.name] for setup in setups}
    shared = {video.id for video in labelled.videos if all(video.id in of_video for of_video in ranks.values())}
    if not shared:
        raise UsageError("No labelled video has frames in every index that is compared.", hint="Compare fewer ways.")
    figures = [(name, figures_by_video(of_video)) for name, of_video in ranks.items()]
    rows = compared(figures, [len(of_video) for of_video in ranks.values()])
    lines = [*labelled.classes.broken, *(line for file in templates.values() for line in file.broken)]
    broken = tuple(SkippedRow(place, reason) for place, _, reason in (line.partition(": ") for line in lines))
    table = ComparisonTable(rows, len(shared), broken, tuple(_left_out(labelled, shared)), tuple(failed))
    videos = (
        (video.path.as_posix(), video.label, *(of_video.get(video.id, "") for of_video in ranks.values()))
        for video in labelled.videos
    )
    return write_table(out, table, [write_csv(out / "videos.csv", ("path", "label", *ranks), videos)])


def action_setups(setups: Sequence[Setup]) -> tuple[Setup, ...]:
    """The setups, with ``tau`` in those of the pooling ``query`` alone.

    Raises:
        UsageError: ``tau`` is varied where it never makes a difference.
    """
    if any(setup.value("tau") for setup in setups) and not any(map(_uses_tau, setups)):
        raise UsageError("Tau makes a difference to the pooling 'query' alone.", hint="Add pooling=query.")
    kept = [
        Setup({axis: value for axis, value in setup.chosen.items() if axis != "tau" or _uses_tau(setup)})
        for setup in setups
    ]
    return tuple({setup.name: setup for setup in kept}.values())


def ranks_by_setup(
    store: VectorStore,
    labelled: LabelledVideos,
    setups: Sequence[Setup],
    texts: Mapping[str, Embedding],
    progress: ReportProgress | None = None,
) -> dict[str, dict[str, float]]:
    """The rank of each video's right class, by the setup's name and the video's id; of videos with frames alone.

    ``texts`` has the vectors of the classes, ``(classes, dim)``, by the name of the templates.
    """
    ranks: dict[str, dict[str, float]] = {setup.name: {} for setup in setups}
    for done, (video, right) in enumerate(zip(labelled.videos, labelled.right, strict=True), start=1):
        if frames := read_frames(store, video):
            vectors = np.stack([frame.vector for frame in frames])
            for setup in setups:
                pooling = check_pooling(setup.value("pooling", "mean"), setup.tau)
                cosines = pooled(vectors, texts[setup.value("templates", "clip")], pooling, setup.tau)
                ranks[setup.name][video.id] = float(mean_ranks(cosines[np.newaxis], np.array([right]))[0])
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


def _uses_tau(setup: Setup) -> bool:
    return setup.value("pooling") == "query"


def _left_out(labelled: LabelledVideos, shared: set[str]) -> Iterator[SkippedRow]:
    for video in labelled.videos:
        if video.id not in shared:
            yield SkippedRow(str(video.path), "it has no frames in one of the indexes")
    for video in labelled.left_out.of_no_class:
        yield SkippedRow(str(video.path), f"its label '{video.label}' is none of the classes")
