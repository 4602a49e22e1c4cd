"""Zero-shot action evaluation: how well the vectors in an index tell which class a video, or a stretch of it, shows.

Nothing is decoded or encoded again but the texts of the classes. This is the protocol of CLIP on Kinetics (Radford et
al., 2021): every frame's cosine with a text for each class, frames pooled into one cosine per video, the class ranked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from indexer.core.errors import UsageError
from indexer.core.text import squeezed
from indexer.core.types import Embedding, Record, Video
from indexer.models.base import FrameEncoder
from indexer.store.base import Commit, VectorStore
from search.evaluate.action_figures import Figures, Resampling, best_class, figures_of, mean_ranks
from search.evaluate.class_vectors import KeptVectors, encode_classes
from search.evaluate.pooling import TAU, Pooling, cosines_of, pooled
from search.evaluate.progress import ReportProgress
from search.evaluate.prompts import TEMPLATES, ClassNames, Templates, classes_of_labels

__all__ = [
    "ActionEvaluation",
    "ActionOptions",
    "ClassFigures",
    "ComparedFootage",
    "Footage",
    "LabelOf",
    "LeftOut",
    "classes_of",
    "evaluate_actions",
    "nothing_to_compare",
    "pictured_videos",
    "read_footage",
]

LabelOf: TypeAlias = Callable[[Video, Record], str]
"""The class that one frame of a video shows; empty if nobody says."""


@dataclass(frozen=True, slots=True, eq=False)
class Footage:
    """A stretch of a video with one label, mostly the whole video.

    ``times_s`` are its frames' times in seconds, in order; ``vectors`` is ``(n, dim)``, L2-normalised, n at least 1.
    """

    video: Video
    label: str
    start_s: float
    end_s: float
    times_s: tuple[float, ...]
    vectors: Embedding


@dataclass(frozen=True, eq=False)
class ComparedFootage:
    """Footage and its cosines with the text of every class.

    ``right`` is its class's place; ``frames`` is ``(n, c)``, one row per frame; ``pooled`` is ``(c,)``.
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
        """Whether the nearest text is the right one, and no other is as near."""
        return self.best == self.right

    @property
    def time_s(self) -> float:
        """The instant that speaks most for the best class."""
        return self.times_s[int(self.frames[:, self.best].argmax())]

    def top(self, count: int) -> list[tuple[int, float]]:
        """The ``count`` nearest classes and their cosines, best first; of those that tie, not the right one."""
        order = sorted(range(len(self.pooled)), key=lambda place: (place != self.best, -self.pooled[place], place))
        return [(place, float(self.pooled[place])) for place in order[:count]]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The videos that could not be evaluated: without a label, with one that is no class, without a frame."""

    unlabelled: tuple[Video, ...] = ()
    of_no_class: tuple[Video, ...] = ()
    without_frames: tuple[Video, ...] = ()


@dataclass(frozen=True, slots=True)
class ActionOptions:
    """How to evaluate.

    Args:
        templates: The sentences about each class.
        classes: The classes to tell apart; None for those that the videos' labels name.
        pooling: How the frames of a video become one.
        tau: The temperature of the pooling ``query``, above 0.
        resampling: How intervals are found.
    """

    templates: Templates = TEMPLATES["plain"]
    classes: ClassNames | None = None
    pooling: Pooling = "mean"
    tau: float = TAU
    resampling: Resampling = field(default_factory=Resampling)


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """One class's row: its videos, how they fared, and the wrong class they were most often taken for, if any."""

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
    """How the classes of an index are told apart.

    Args:
        options: How it was evaluated.
        classes: The classes.
        footage: Everything with a label, compared; at least one.
        left_out: What was not evaluated.
    """

    options: ActionOptions
    classes: ClassNames
    footage: tuple[ComparedFootage, ...]
    left_out: LeftOut = field(default_factory=LeftOut)

    @cached_property
    def right(self) -> NDArray[np.int64]:
        """``(videos,)``: the place of each one's right class."""
        return np.array([each.right for each in self.footage], dtype=np.int64)

    @cached_property
    def by_video(self) -> Figures:
        """The figures of whole videos, frames pooled."""
        return figures_of(
            np.stack([each.pooled for each in self.footage]), self.right, self._videos, self.options.resampling
        )

    @cached_property
    def by_frame(self) -> Figures:
        """The figures of single frames."""
        counts = [len(each.frames) for each in self.footage]
        return figures_of(
            np.concatenate([each.frames for each in self.footage]),
            self.right.repeat(counts),
            self._videos.repeat(counts),
            self.options.resampling,
        )

    @cached_property
    def by_class(self) -> tuple[ClassFigures, ...]:
        """The figures of each class that has videos, in the order of the classes."""
        groups: dict[int, list[ComparedFootage]] = {}
        for each in self.footage:
            groups.setdefault(each.right, []).append(each)
        return tuple(_class_figures(self.classes.names, place, groups[place]) for place in sorted(groups))

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """``(c, c)``: how many videos of each class (row) are nearest to the text of each (column)."""
        counts = np.zeros((len(self.classes.names),) * 2, dtype=np.int64)
        np.add.at(counts, (self.right, np.array([each.best for each in self.footage])), 1)
        return counts

    @cached_property
    def _videos(self) -> NDArray[np.int64]:
        numbers = {key: place for place, key in enumerate(dict.fromkeys(each.video.id for each in self.footage))}
        return np.array([numbers[each.video.id] for each in self.footage], dtype=np.int64)


def evaluate_actions(
    store: VectorStore,
    encoder: FrameEncoder,
    options: ActionOptions = ActionOptions(),
    *,
    label_of: LabelOf | None = None,
    kept: KeptVectors | None = None,
    report_progress: ReportProgress | None = None,
) -> ActionEvaluation:
    """Evaluate the labelled videos of an index. Memory grows with frames times classes, four bytes for each pair.

    Args:
        store: The index.
        encoder: Its picture model.
        options: How.
        label_of: Says what each frame shows, where that is not its video's label; frames in a row with one label are
            evaluated as one.
        kept: Where finished class vectors are kept, so that a stopped run resumes.
        report_progress: Told of every batch of class texts and of every video.

    Raises:
        UsageError: no video has a label, none of the labels is a class, or there are fewer than two classes.
        ModelError: the model cannot encode the texts.
        StoreError: the index cannot be read.
    """
    commits = [commit for commit in store.commits().values() if commit.is_searchable]
    pictured = pictured_videos(commits)
    classes = options.classes or classes_of(pictured)
    places = classes.places()
    worth = pictured if label_of else [video for video in pictured if squeezed(video.label) in places]
    texts = encode_classes(encoder, classes, options.templates, kept=kept, report_progress=report_progress)
    compared: list[ComparedFootage] = []
    for done, video in enumerate(worth, start=1):
        footage = [each for each in read_footage(store, video, label_of) if squeezed(each.label) in places]
        compared.extend(_compare(each, places[squeezed(each.label)], texts, options) for each in footage)
        if report_progress is not None:
            report_progress("videos", done, len(worth))
    if not compared:
        raise nothing_to_compare(pictured, classes)
    return ActionEvaluation(options, classes, tuple(compared), _left_out(commits, compared))


def read_footage(store: VectorStore, video: Video, label_of: LabelOf | None = None) -> Iterator[Footage]:
    """A video's frames in order of time, as one stretch for each run of frames with one label; none where it is empty.

    Raises:
        StoreError: the index cannot be read.
    """
    found = store.records("frames", video_id=video.id, vectors=True)
    records = sorted(found, key=lambda record: (record.time_s, record.id))
    for label, group in groupby(records, key=lambda record: label_of(video, record) if label_of else video.label):
        if label:
            run = list(group)
            times_s = tuple(record.time_s for record in run)
            vectors = np.stack([record.vector for record in run])
            yield Footage(video, label, run[0].start_s, run[-1].end_s, times_s, vectors)


def _compare(footage: Footage, right: int, texts: Embedding, options: ActionOptions) -> ComparedFootage:
    return ComparedFootage(
        video=footage.video,
        right=right,
        start_s=footage.start_s,
        end_s=footage.end_s,
        times_s=footage.times_s,
        frames=cosines_of(footage.vectors, texts),
        pooled=pooled(footage.vectors, texts, options.pooling, options.tau),
    )


def pictured_videos(commits: Iterable[Commit]) -> list[Video]:
    """The videos that the index has pictures of, by path."""
    return sorted((commit.video for commit in commits if _has_frames(commit)), key=_by_path)


def _has_frames(commit: Commit) -> bool:
    return "frames" in commit.modalities and commit.modalities["frames"].count > 0


def _by_path(video: Video) -> tuple[str, str]:
    return video.path.as_posix(), video.id


def classes_of(videos: Sequence[Video], *, otherwise: str = "") -> ClassNames:
    """The classes that the labels of videos with pictures name; ``otherwise`` ends the hint where none has a label.

    Raises:
        UsageError: none has a label, or there are fewer than two classes.
    """
    if not any(video.label for video in videos):
        raise UsageError(
            "No video with a picture in this index has a label.",
            hint=f"Index with --labels FILE, or from folders named after what their videos show{otherwise}.",
        )
    return classes_of_labels(video.label for video in videos)


def nothing_to_compare(videos: Sequence[Video], classes: ClassNames) -> UsageError:
    """That no video with pictures is of one of the classes, and what their labels are."""
    labels = sorted({video.label for video in videos if video.label})
    known = (
        f"the labels are {', '.join(labels[:3])}{' ...' if len(labels) > 3 else ''}" if labels else "none has a label"
    )
    return UsageError(
        f"No video in this index is of one of the {len(classes.names)} classes in {classes.source}; {known}.",
        hint="Index with --labels, or name other classes with --classes.",
    )


def _left_out(commits: Sequence[Commit], compared: Sequence[ComparedFootage]) -> LeftOut:
    seen = {each.video.id for each in compared}
    others = [commit for commit in commits if commit.video.id not in seen]
    pictured = pictured_videos(others)
    return LeftOut(
        unlabelled=tuple(video for video in pictured if not video.label),
        of_no_class=tuple(video for video in pictured if video.label),
        without_frames=tuple(sorted((each.video for each in others if not _has_frames(each)), key=_by_path)),
    )


def _class_figures(names: Sequence[str], place: int, footage: Sequence[ComparedFootage]) -> ClassFigures:
    ranks = np.array([each.rank for each in footage])
    mistaken = Counter(each.best for each in footage if not each.is_right).most_common(1)
    return ClassFigures(
        name=names[place],
        count=len(footage),
        p_at_1=float((ranks <= 1).mean()),
        hit_at_3=float((ranks <= 3).mean()),
        mean_rank=float(ranks.mean()),
        right_cosine=float(np.mean([each.pooled[place] for each in footage])),
        taken_for=names[mistaken[0][0]] if mistaken else "",
        taken_for_count=mistaken[0][1] if mistaken else 0,
    )
