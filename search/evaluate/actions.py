"""Zero-shot evaluation of actions: how well the picture vectors of an index tell which class each video shows.

This is the protocol of CLIP on Kinetics (Radford et al., 2021): the cosine of every frame with a text about each
class, frames pooled into one cosine per video and class, classes ranked. Only the class texts are encoded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.core.errors import UsageError
from indexer.core.text import squeezed
from indexer.core.types import Embedding, Record, Video
from indexer.models.base import FrameEncoder
from indexer.store.base import Commit, VectorStore
from search.evaluate.action_figures import Figures, best_class, figures_of, mean_ranks
from search.evaluate.class_vectors import encode_classes
from search.evaluate.pooling import TAU, Pooling, check_pooling, cosines_of, pooled
from search.evaluate.progress import ReportProgress
from search.evaluate.prompts import TEMPLATES, ClassNames, Templates, classes_of_labels, read_classes, read_templates


@dataclass(frozen=True, eq=False)
class ClassifiedVideo:
    """A video and its cosines with the text of every class.

    ``right`` is the place of its own class. ``frames`` is ``(n, c)``, one row for each of ``times_s``; ``pooled`` is
    ``(c,)``.
    """

    video: Video
    right: int
    start_s: float
    end_s: float
    times_s: tuple[float, ...]
    frames: Embedding
    pooled: Embedding

    @cached_property
    def rank(self) -> float:
        """The right class's rank, from 1; ties at their mean."""
        return float(mean_ranks(self.pooled[np.newaxis], np.array([self.right]))[0])

    @cached_property
    def best(self) -> int:
        """The place of the class whose text is nearest."""
        return best_class(self.pooled, self.right)

    @property
    def is_right(self) -> bool:
        """Whether the right text is nearest, alone."""
        return self.best == self.right

    @property
    def time_s(self) -> float:
        """The time of the frame nearest to the best class."""
        return self.times_s[int(self.frames[:, self.best].argmax())]

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
    """How well the classes of an index are told apart: its labelled ``videos`` by path, at least one.

    ``about`` holds names and values of facts about the index, such as its model.
    """

    options: ActionOptions
    classes: ClassNames
    videos: tuple[ClassifiedVideo, ...]
    left_out: LeftOut = field(default_factory=LeftOut)
    about: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def right(self) -> NDArray[np.int64]:
        """``(videos,)``: the place of each video's right class."""
        return np.array([each.right for each in self.videos], dtype=np.int64)

    @cached_property
    def video_cosines(self) -> Embedding:
        """``(videos, c)``."""
        return np.stack([each.pooled for each in self.videos])

    @cached_property
    def frame_counts(self) -> list[int]:
        """How many frames each video has."""
        return [len(each.frames) for each in self.videos]

    @property
    def frame_cosines(self) -> Embedding:
        """``(frames, c)``, the frames of all videos one after the other."""
        return np.concatenate([each.frames for each in self.videos])

    @cached_property
    def by_video(self) -> Figures:
        """The figures of whole videos, frames pooled."""
        return figures_of(self.video_cosines, self.right, np.arange(len(self.videos)))

    @cached_property
    def by_frame(self) -> Figures:
        """The figures of single frames."""
        counts = self.frame_counts
        return figures_of(self.frame_cosines, self.right.repeat(counts), np.arange(len(counts)).repeat(counts))

    @cached_property
    def by_class(self) -> tuple[ClassFigures, ...]:
        """The figures of each class that has videos, in the order of the classes."""
        groups: dict[int, list[ClassifiedVideo]] = {}
        for each in self.videos:
            groups.setdefault(each.right, []).append(each)
        return tuple(_class_figures(self.classes.names, place, groups[place]) for place in sorted(groups))

    @property
    def broken_lines(self) -> list[str]:
        """The lines of the files of classes and templates that could not be used, and why."""
        return [*self.classes.broken, *self.options.templates.broken]

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """``(c, c)``: how many videos of each class (row) are nearest to the text of each class (column)."""
        count = len(self.classes.names)
        pairs = self.right * count + np.array([each.best for each in self.videos])
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
    """Evaluate the labelled videos of an index. Memory grows with frames times classes.

    Args:
        store: The index.
        encoder: Its picture model.
        options: How to evaluate.
        about: Facts about the index for the report.
        cache: The folder for vectors of class texts, so that a stopped run resumes; None keeps none.
        report_progress: Called after every batch of class texts and after every video.

    Raises:
        UsageError: no video has a label, none of the labels is a class, or there are fewer than two classes.
        ModelError: the model cannot encode the texts.
        StoreError: the index cannot be read.
    """
    commits = [commit for commit in store.commits().values() if commit.is_searchable]
    pictured = pictured_videos(commits)
    classes = options.classes or classes_of(pictured)
    places = classes.places()
    labelled = [video for video in pictured if squeezed(video.label) in places]
    texts = encode_classes(encoder, classes, options.templates, cache=cache, report_progress=report_progress)
    videos = []
    for done, video in enumerate(labelled, start=1):
        if frames := read_frames(store, video):
            videos.append(_classified(video, places[squeezed(video.label)], frames, texts, options))
        if report_progress is not None:
            report_progress("videos", done, len(labelled))
    if not videos:
        raise nothing_to_compare(pictured, classes)
    return ActionEvaluation(options, classes, tuple(videos), _left_out(commits, videos), about or {})


def read_frames(store: VectorStore, video: Video) -> list[Record]:
    """The frames of a video with their vectors, by time.

    Raises:
        StoreError: the index cannot be read.
    """
    frames = store.records("frames", video_id=video.id, vectors=True)
    return sorted(frames, key=lambda frame: (frame.time_s, frame.id))


def _classified(
    video: Video, right: int, frames: Sequence[Record], texts: Embedding, options: ActionOptions
) -> ClassifiedVideo:
    vectors = np.stack([frame.vector for frame in frames])
    return ClassifiedVideo(
        video=video,
        right=right,
        start_s=frames[0].start_s,
        end_s=frames[-1].end_s,
        times_s=tuple(frame.time_s for frame in frames),
        frames=cosines_of(vectors, texts),
        pooled=pooled(vectors, texts, options.pooling, options.tau),
    )


def pictured_videos(commits: Iterable[Commit]) -> list[Video]:
    """The videos with frames in the index, by path."""
    return _by_path(commit.video for commit in commits if _has_frames(commit))


def _by_path(videos: Iterable[Video]) -> list[Video]:
    return sorted(videos, key=lambda video: (video.path.as_posix(), video.id))


def _has_frames(commit: Commit) -> bool:
    return "frames" in commit.modalities and commit.modalities["frames"].count > 0


def classes_of(videos: Sequence[Video], *, otherwise: str = "") -> ClassNames:
    """The classes that the labels of videos name; ``otherwise`` ends the hint of the error.

    Raises:
        UsageError: no video has a label, or the labels name fewer than two classes.
    """
    if not any(video.label for video in videos):
        raise UsageError(
            "No video with a picture in this index has a label.",
            hint=f"Index with --labels FILE, or from folders named after what their videos show{otherwise}.",
        )
    return classes_of_labels(video.label for video in videos)


def nothing_to_compare(videos: Sequence[Video], classes: ClassNames) -> UsageError:
    """The error that no video is of one of the classes; it names some of the labels."""
    labels = sorted({video.label for video in videos if video.label})
    named = ", ".join(labels[:3]) + (" ..." if len(labels) > 3 else "")
    known = f"the labels are {named}" if labels else "none has a label"
    return UsageError(
        f"No video in this index is of one of the {len(classes.names)} classes in {classes.source}; {known}.",
        hint="Index with --labels, or name other classes with --classes.",
    )


def _left_out(commits: Sequence[Commit], videos: Sequence[ClassifiedVideo]) -> LeftOut:
    evaluated = {each.video.id for each in videos}
    others = [commit for commit in commits if commit.video.id not in evaluated]
    pictured = pictured_videos(others)
    return LeftOut(
        unlabelled=tuple(video for video in pictured if not video.label),
        of_no_class=tuple(video for video in pictured if video.label),
        without_frames=tuple(_by_path(each.video for each in others if not _has_frames(each))),
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
