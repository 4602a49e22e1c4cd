"""Zero-shot evaluation of actions: how well the picture vectors of an index tell which class each video shows.

This is the protocol of CLIP on Kinetics (Radford et al., 2021): the cosine of every frame with a text about each
class, frames pooled into one cosine per video and class, classes ranked. Only the class texts are encoded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from operator import attrgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.core.errors import UsageError
from indexer.core.text import squeezed
from indexer.core.types import Embedding, Record, Video
from indexer.models.base import FrameEncoder
from indexer.store.base import Commit, VectorStore
from search.evaluate.action_figures import CosineTable, Figures, best_class, figures_of, mean_ranks
from search.evaluate.class_vectors import encode_classes
from search.evaluate.pooling import TAU, Pooling, check_pooling, cosines_of, pooled
from search.evaluate.progress import ReportProgress
from search.evaluate.prompts import TEMPLATES, ClassNames, Templates, classes_of_labels, read_classes, read_templates

_right = attrgetter("right")


@dataclass(frozen=True, slots=True, eq=False)
class ClassifiedVideo:
    """A video and its cosines with the text of every class: ``(n, c)`` of frames, and pooled ``(c,)``.

    ``right`` is the place of its own class, and ``rank`` its rank from 1, ties at their mean. ``best`` is the place of
    the class whose text is nearest; at ``time_s`` is the frame nearest to it.
    """

    video: Video
    right: int
    start_s: float
    end_s: float
    frames: Embedding
    pooled: Embedding
    rank: float
    best: int
    time_s: float

    @property
    def is_right(self) -> bool:
        """Whether the right text is nearest, alone."""
        return self.best == self.right

    def top(self, count: int) -> list[tuple[int, float]]:
        """The ``count`` nearest classes and their cosines; the right class comes last among those that tie."""
        order = sorted(range(len(self.pooled)), key=lambda place: (place != self.best, -self.pooled[place], place))
        return [(place, float(self.pooled[place])) for place in order[:count]]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The videos that were not evaluated: without a label, with one that is no class, without a frame."""

    unlabelled: tuple[Video, ...] = ()
    of_no_class: tuple[Video, ...] = ()
    without_frames: tuple[Video, ...] = ()


@dataclass(frozen=True, slots=True)
class LabelledVideos:
    """The videos of an index to be evaluated, by path, at least one; ``right`` has the place of each one's class."""

    classes: ClassNames
    videos: tuple[Video, ...]
    right: tuple[int, ...]
    left_out: LeftOut


@dataclass(frozen=True, slots=True)
class ActionOptions:
    """How to evaluate: ``classes`` are None for those that the labels name; ``tau`` is for the pooling ``query``."""

    templates: Templates = TEMPLATES["plain"]
    classes: ClassNames | None = None
    pooling: Pooling = "mean"
    tau: float = TAU


def action_options(
    classes: str = "", templates: str = "clip", pooling: str = "mean", tau: float = TAU
) -> ActionOptions:
    """The options of these names. Classes and templates may be files; no classes stand for the labels of the index.

    Raises:
        UsageError: a file, a template or the pooling is wrong.
    """
    known = read_classes(classes) if classes else None
    return ActionOptions(read_templates(templates), known, check_pooling(pooling, tau), tau)


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """The figures of one class's videos, and the wrong class they were most often taken for, if any."""

    name: str
    count: int
    p_at_1: float
    hit_at_3: float
    mean_rank: float
    right_cosine: float
    taken_for: str = ""
    taken_for_count: int = 0


@dataclass(frozen=True, eq=False)
class ActionEvaluation:
    """The labelled ``videos`` of an index by path, at least one, and how well their classes are told apart.

    ``about`` holds names and values of facts about the index, such as its model.
    """

    options: ActionOptions
    classes: ClassNames
    videos: tuple[ClassifiedVideo, ...]
    left_out: LeftOut = field(default_factory=LeftOut)
    about: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def of_videos(self) -> CosineTable:
        """The cosines of whole videos, frames pooled."""
        right = np.array([each.right for each in self.videos], dtype=np.int64)
        return CosineTable(np.stack([each.pooled for each in self.videos]), right, np.arange(len(right)))

    @property
    def of_frames(self) -> CosineTable:
        """The cosines of single frames, those of all videos one after the other."""
        counts = [len(each.frames) for each in self.videos]
        frames = np.concatenate([each.frames for each in self.videos])
        return CosineTable(frames, self.of_videos.right.repeat(counts), self.of_videos.videos.repeat(counts))

    @cached_property
    def by_video(self) -> Figures:
        """The figures of whole videos."""
        return figures_of(*self.of_videos)

    @cached_property
    def by_frame(self) -> Figures:
        """The figures of single frames."""
        return figures_of(*self.of_frames)

    @cached_property
    def by_class(self) -> tuple[ClassFigures, ...]:
        """The figures of each class that has videos, in the order of the classes."""
        by_place = groupby(sorted(self.videos, key=_right), key=_right)
        return tuple(_class_figures(self.classes.names, place, list(videos)) for place, videos in by_place)

    @property
    def broken_lines(self) -> list[str]:
        """The lines of the files of classes and templates that could not be used, and why."""
        return [*self.classes.broken, *self.options.templates.broken]

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """``(c, c)``: how many videos of each class (row) are nearest to the text of each class (column)."""
        count = len(self.classes.names)
        pairs = self.of_videos.right * count + np.array([each.best for each in self.videos])
        return np.bincount(pairs, minlength=count**2).reshape(count, count)


def evaluate_actions(
    store: VectorStore,
    encoder: FrameEncoder,
    options: ActionOptions = ActionOptions(),
    *,
    about: Mapping[str, str] | None = None,
    cache: Path | None = None,
    report_progress: ReportProgress | None = None,
) -> ActionEvaluation:
    """Evaluate the labelled videos of an index with its picture model. Memory grows with frames times classes.

    Vectors of class texts are kept in the folder ``cache``, so that a stopped run resumes. ``report_progress`` is
    called after every batch of class texts and after every video. ``about`` goes to the report.

    Raises:
        UsageError: no video has a label, none of the labels is a class, or there are fewer than two classes.
        ModelError: the model cannot encode the texts.
        StoreError: the index cannot be read.
    """
    found = labelled_videos(store, options.classes)
    texts = encode_classes(encoder, found.classes, options.templates, cache=cache, report_progress=report_progress)
    videos = []
    for done, (video, right) in enumerate(zip(found.videos, found.right, strict=True), start=1):
        if frames := read_frames(store, video):  # none if it was removed meanwhile
            videos.append(_classified(video, right, frames, texts, options))
        if report_progress is not None:
            report_progress("videos", done, len(found.videos))
    if not videos:
        raise UsageError("The labelled videos were removed from the index.", hint="Index them again.")
    return ActionEvaluation(options, found.classes, tuple(videos), found.left_out, about or {})


def labelled_videos(store: VectorStore, classes: ClassNames | None = None, *, otherwise: str = "") -> LabelledVideos:
    """The videos with frames and a label of these classes, by default of those that the labels name.

    ``otherwise`` ends the hint of the error.

    Raises:
        UsageError: no video has such a label, or the labels name fewer than two classes.
        StoreError: the index cannot be read.
    """
    commits = [commit for commit in store.commits().values() if commit.is_searchable]
    commits.sort(key=lambda commit: (commit.video.path.as_posix(), commit.video.id))
    pictured = [commit.video for commit in commits if _has_frames(commit)]
    known = classes or _classes_of(pictured, otherwise)
    places = known.places()
    videos = tuple(video for video in pictured if squeezed(video.label) in places)
    if not videos:
        raise _of_no_class(pictured, known)
    left_out = LeftOut(
        unlabelled=tuple(video for video in pictured if not video.label),
        of_no_class=tuple(video for video in pictured if video.label and squeezed(video.label) not in places),
        without_frames=tuple(commit.video for commit in commits if not _has_frames(commit)),
    )
    return LabelledVideos(known, videos, tuple(places[squeezed(video.label)] for video in videos), left_out)


def read_frames(store: VectorStore, video: Video) -> list[Record]:
    """The frames of a video with their vectors, by time."""
    frames = store.records("frames", video_id=video.id, vectors=True)
    return sorted(frames, key=lambda frame: (frame.time_s, frame.id))


def _classified(
    video: Video, right: int, frames: Sequence[Record], texts: Embedding, options: ActionOptions
) -> ClassifiedVideo:
    vectors = np.stack([frame.vector for frame in frames])
    by_frame, by_video = cosines_of(vectors, texts), pooled(vectors, texts, options.pooling, options.tau)
    best = best_class(by_video, right)
    return ClassifiedVideo(
        video=video,
        right=right,
        start_s=frames[0].start_s,
        end_s=frames[-1].end_s,
        frames=by_frame,
        pooled=by_video,
        rank=float(mean_ranks(by_video[np.newaxis], np.array([right]))[0]),
        best=best,
        time_s=frames[int(by_frame[:, best].argmax())].time_s,
    )


def _has_frames(commit: Commit) -> bool:
    return "frames" in commit.modalities and commit.modalities["frames"].count > 0


def _classes_of(videos: Sequence[Video], otherwise: str) -> ClassNames:
    if not any(video.label for video in videos):
        raise UsageError(
            "No video with a picture in this index has a label.",
            hint=f"Index with --labels FILE, or from folders named after what their videos show{otherwise}.",
        )
    return classes_of_labels(video.label for video in videos)


def _of_no_class(videos: Sequence[Video], classes: ClassNames) -> UsageError:
    labels = sorted({video.label for video in videos if video.label})
    named = ", ".join(labels[:3]) + (" ..." if len(labels) > 3 else "")
    known = f"the labels are {named}" if labels else "none has a label"
    return UsageError(
        f"No video in this index is of one of the {len(classes.names)} classes in {classes.source}; {known}.",
        hint="Index with --labels, or name other classes with --classes.",
    )


def _class_figures(names: Sequence[str], place: int, videos: Sequence[ClassifiedVideo]) -> ClassFigures:
    ranks = np.array([each.rank for each in videos])
    wrong = Counter(names[each.best] for each in videos if not each.is_right).most_common(1)
    taken_for, times = wrong[0] if wrong else ("", 0)
    return ClassFigures(
        name=names[place],
        count=len(videos),
        p_at_1=float((ranks <= 1).mean()),
        hit_at_3=float((ranks <= 3).mean()),
        mean_rank=float(ranks.mean()),
        right_cosine=float(np.mean([each.pooled[place] for each in videos])),
        taken_for=taken_for,
        taken_for_count=times,
    )
