"""Zero-shot evaluation of actions: how well the picture vectors of an index tell which class each video shows.

CLIP's protocol on Kinetics (Radford et al., 2021): the cosine of every frame with a text about each class, frames
pooled into one cosine per video and class, classes ranked. Only the class texts are encoded.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from indexer.core.errors import UsageError
from indexer.core.text import squeezed
from indexer.core.types import Embedding, Record, Video
from indexer.models.base import FrameEncoder
from indexer.models.long_texts import normalised
from indexer.store.base import VectorStore
from search.evaluate import ReportProgress, no_progress, prompts
from search.evaluate.significance import bootstrap_intervals

Numbers: TypeAlias = NDArray[np.float64]
Places: TypeAlias = NDArray[np.int64]
Pooling: TypeAlias = Literal["mean", "max", "query"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
TAU = 0.1  # the temperature of query scoring that Bain et al. found best

_TIE = 1e-6  # Cosines that differ by no more tie: single precision cannot tell them apart.


class CosineTable(NamedTuple):
    """Cosines ``(n, c)`` of frames or videos with classes; ``(n,)``: each row's right class, and its video."""

    cosines: Embedding
    right: Places
    videos: Places


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95% interval. One video gives no interval: ``low`` and ``high`` are None."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of a table of cosines with ``count`` rows.

    ``p_at_1`` is the share of rows whose right class is ranked first, alone; ``hit_at_3`` of those where it is among
    the first three; ``precision_at_3`` is a third of that. ``auc`` and ``overlap`` compare right and wrong cosines.
    """

    count: int
    p_at_1: Estimate
    hit_at_3: Estimate
    precision_at_3: Estimate
    mean_rank: Estimate
    right_cosine: Estimate
    wrong_cosine: Estimate
    auc: float
    overlap: float


@dataclass(frozen=True, slots=True)
class ActionOptions:
    """How to evaluate: ``classes`` are None for those that the labels name; ``tau`` is for the pooling ``query``."""

    templates: prompts.Templates = prompts.TEMPLATES["plain"]
    classes: prompts.ClassNames | None = None
    pooling: Pooling = "mean"
    tau: float = TAU


@dataclass(frozen=True, slots=True, eq=False)
class ClassifiedVideo:
    """A video and its cosines with the text of every class: ``(n, c)`` of frames, and pooled ``(c,)``.

    ``right`` is the place of its own class, of rank ``rank`` from 1, ties at their mean; ``best`` is the place of the
    class whose text is nearest; at ``time_s`` is the frame nearest to it.
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


class LeftOut(NamedTuple):
    """The videos that were not evaluated: without a label, with one that is no class, without a frame."""

    unlabelled: tuple[Video, ...]
    of_no_class: tuple[Video, ...]
    without_frames: tuple[Video, ...]


@dataclass(frozen=True, slots=True)
class LabelledVideos:
    """The videos of an index to be evaluated, by path, at least one; ``right`` has the place of each one's class."""

    classes: prompts.ClassNames
    videos: tuple[Video, ...]
    right: tuple[int, ...]
    left_out: LeftOut


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """The figures of one class's videos, and the wrong class they were most often taken for, if any."""

    name: str
    count: int
    p_at_1: float
    hit_at_3: float
    mean_rank: float
    right_cosine: float
    taken_for: str
    taken_for_count: int


@dataclass(frozen=True, eq=False)
class ActionEvaluation:
    """The labelled ``videos`` of an index by path, at least one, and how well their classes are told apart.

    ``about`` holds names and values of facts about the index, such as its model. ``by_video`` has the figures of whole
    videos, frames pooled; ``by_frame`` those of single frames.
    """

    options: ActionOptions
    classes: prompts.ClassNames
    videos: tuple[ClassifiedVideo, ...]
    left_out: LeftOut
    about: Mapping[str, str]

    @cached_property
    def of_videos(self) -> CosineTable:
        right = np.array([each.right for each in self.videos], dtype=np.int64)
        return CosineTable(np.stack([each.pooled for each in self.videos]), right, np.arange(len(right)))

    @property
    def of_frames(self) -> CosineTable:
        counts = [len(each.frames) for each in self.videos]
        frames = np.concatenate([each.frames for each in self.videos])
        return CosineTable(frames, self.of_videos.right.repeat(counts), self.of_videos.videos.repeat(counts))

    @cached_property
    def by_video(self) -> Figures:
        return figures_of(*self.of_videos)

    @cached_property
    def by_frame(self) -> Figures:
        return figures_of(*self.of_frames)

    @cached_property
    def by_class(self) -> tuple[ClassFigures, ...]:
        """The figures of each class that has videos, in the order of the classes."""
        names, figures = self.classes.names, []
        by_place: dict[int, list[ClassifiedVideo]] = defaultdict(list)
        for each in self.videos:
            by_place[each.right].append(each)
        for place, videos in sorted(by_place.items()):
            ranks = np.array([each.rank for each in videos])
            columns = (ranks <= 1, ranks <= 3, ranks, np.array([each.pooled[place] for each in videos]))
            p_at_1, hit_at_3, mean_rank, right_cosine = (float(column.mean()) for column in columns)
            wrong = Counter(names[each.best] for each in videos if not each.is_right)
            [(taken_for, times)] = wrong.most_common(1) or [("", 0)]
            figures.append(
                ClassFigures(names[place], len(videos), p_at_1, hit_at_3, mean_rank, right_cosine, taken_for, times)
            )
        return tuple(figures)

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


def action_options(classes: str, templates: str, pooling: str, tau: float) -> ActionOptions:
    """The options of these names; a UsageError if one is wrong. Classes and templates may be files.

    No classes stand for the labels of the index.
    """
    known = prompts.read_classes(classes) if classes else None
    return ActionOptions(prompts.read_templates(templates), known, check_pooling(pooling, tau), tau)


def evaluate_actions(
    store: VectorStore,
    encoder: FrameEncoder,
    options: ActionOptions,
    *,
    about: Mapping[str, str] | None = None,
    cache: Path | None = None,
    progress: ReportProgress = no_progress,
) -> ActionEvaluation:
    """Evaluate the labelled videos of an index with its picture model. Memory grows with frames times classes.

    Vectors of class texts are kept in the folder ``cache``, for the next run; ``about`` goes to the report.

    Raises:
        UsageError: no video has a label, none of the labels is a class, or there are fewer than two classes.
        ModelError: the model cannot encode the texts.
        StoreError: the index cannot be read.
    """
    found = labelled_videos(store, options.classes)
    texts = prompts.encode_classes(encoder, found.classes, options.templates, cache=cache, progress=progress)
    videos = []
    for video, right, frames, vectors in read_frames(store, found, progress):
        by_frame, by_video = cosines_of(vectors, texts), pooled(vectors, texts, options.pooling, options.tau)
        rank, best = rank_of(by_video, right), best_class(by_video, right)
        start_s, end_s, time_s = frames[0].start_s, frames[-1].end_s, frames[int(by_frame[:, best].argmax())].time_s
        videos.append(ClassifiedVideo(video, right, start_s, end_s, by_frame, by_video, rank, best, time_s))
    if not videos:
        raise UsageError("The labelled videos were removed from the index.", hint="Index them again.")
    return ActionEvaluation(options, found.classes, tuple(videos), found.left_out, about or {})


def labelled_videos(
    store: VectorStore, classes: prompts.ClassNames | None = None, *, otherwise: str = ""
) -> LabelledVideos:
    """The videos with frames and a label of these classes, by default of those that the labels name.

    ``otherwise`` ends the hint of the error.

    Raises:
        UsageError: no video has such a label, or the labels name fewer than two classes.
        StoreError: the index cannot be read.
    """
    pictured: list[Video] = []
    without_frames: list[Video] = []
    for commit in sorted(store.commits().values(), key=lambda commit: (commit.video.path.as_posix(), commit.video.id)):
        if commit.is_searchable:
            frames = commit.modalities.get("frames")
            (pictured if frames is not None and frames.count else without_frames).append(commit.video)
    labels = sorted({video.label for video in pictured if video.label})
    if classes is None and not labels:
        raise UsageError(
            "No video with a picture in this index has a label.",
            hint=f"Index with --labels FILE, or from folders named after what their videos show{otherwise}.",
        )
    known = classes or prompts.classes_of_labels(labels)
    places = known.places()
    videos = tuple(video for video in pictured if squeezed(video.label) in places)
    if not videos:
        named = ", ".join(labels[:3]) + (" ..." if len(labels) > 3 else "")
        there = f"the labels are {named}" if labels else "none has a label"
        raise UsageError(
            f"No video in this index is of one of the {len(known.names)} classes in {known.source}; {there}.",
            hint="Index with --labels, or name other classes with --classes.",
        )
    left_out = LeftOut(
        unlabelled=tuple(video for video in pictured if not video.label),
        of_no_class=tuple(video for video in pictured if video.label and squeezed(video.label) not in places),
        without_frames=tuple(without_frames),
    )
    return LabelledVideos(known, videos, tuple(places[squeezed(video.label)] for video in videos), left_out)


def read_frames(
    store: VectorStore, labelled: LabelledVideos, progress: ReportProgress = no_progress
) -> Iterator[tuple[Video, int, list[Record], Embedding]]:
    """Each video that has frames, the place of its class, its frames by time, and their vectors ``(n, dim)``."""
    for done, (video, right) in enumerate(zip(labelled.videos, labelled.right, strict=True), start=1):
        read = store.records("frames", video_id=video.id, vectors=True)
        frames = sorted(read, key=lambda frame: (frame.time_s, frame.id))
        if frames:  # none if the video was removed meanwhile
            yield video, right, frames, np.stack([frame.vector for frame in frames])
        progress("videos", done, len(labelled.videos))


def check_pooling(name: str, tau: float = TAU) -> Pooling:
    """The pooling of this name. Raises a UsageError if there is none, or if ``tau`` is not above 0."""
    if not 0 < tau < float("inf"):
        raise UsageError(f"tau is {tau}.", hint="Use a number above 0; 0.1 is usual.")
    for pooling in POOLINGS:
        if pooling == name:
            return pooling
    raise UsageError(f"There is no pooling '{name}'.", hint=f"There are: {', '.join(POOLINGS)}.")


def cosines_of(frames: Embedding, texts: Embedding) -> Embedding:
    """``(n, c)``: every frame's cosine with every text, both L2-normalised."""
    return _in_range(frames @ texts.T)


def pooled(frames: Embedding, texts: Embedding, pooling: Pooling, tau: float = TAU) -> Embedding:
    """``(c,)``: the cosine of a whole video, which has at least one frame, with each text.

    ``frames`` are ``(n, dim)`` and ``texts`` ``(c, dim)``, L2-normalised. The pooling ``mean`` takes the frames' mean,
    normalised again; ``max`` the frame nearest to the text; ``query`` the frames' mean weighted for each text by the
    softmax of their cosines over ``tau``, normalised again (Bain et al., 2022, "A CLIP-Hitchhiker's Guide to Long Video
    Retrieval"). With a ``tau`` near 0 only the nearest frame counts; far above 1 all count alike.
    """
    if pooling == "max":
        return np.asarray(cosines_of(frames, texts).max(axis=0))
    if pooling == "mean":
        return _in_range(texts @ normalised(frames.mean(axis=0, keepdims=True))[0])
    from scipy.special import softmax

    weights = softmax((texts @ frames.T).astype(np.float64) / tau, axis=1)
    return _in_range(np.einsum("cd,cd->c", normalised((weights @ frames).astype(np.float32)), texts))


def _in_range(cosines: Embedding) -> Embedding:
    return np.asarray(np.clip(cosines, -1, 1), dtype=np.float32)


def figures_of(cosines: Embedding, right: Places, videos: Places) -> Figures:
    """All figures of a ``CosineTable`` with at least one row and two classes."""
    ranks = mean_ranks(cosines, right)
    of_right, of_wrong = right_and_wrong(cosines, right)
    columns = {
        "p_at_1": ranks <= 1,
        "hit_at_3": ranks <= 3,
        "precision_at_3": (ranks <= 3) / 3,
        "mean_rank": ranks,
        "right_cosine": of_right,
        "wrong_cosine": of_wrong.reshape(len(cosines), -1).mean(axis=1),
    }
    found = dict(zip(columns, estimates(np.column_stack(list(columns.values())), videos), strict=True))
    return Figures(len(cosines), **found, auc=area_under_curve(of_right, of_wrong), overlap=overlap(of_right, of_wrong))


def estimates(values: Numbers, videos: Places) -> list[Estimate]:
    """The mean of each column of ``(n, m)`` with its bootstrap interval.

    The bootstrap draws whole videos, because the frames of one video are not independent.
    """
    means = values.mean(axis=0).tolist()
    if len(np.unique(videos)) < 2:
        return [Estimate(mean) for mean in means]
    intervals = bootstrap_intervals(values, groups=videos.tolist())
    return [Estimate(mean, each.low, each.high) for mean, each in zip(means, intervals, strict=True)]


def mean_ranks(cosines: Embedding, right: Places) -> Numbers:
    """``(n,)``: the rank of each row's right class, from 1; classes that tie share the mean of their ranks."""
    ahead = cosines - np.take_along_axis(cosines, right[:, np.newaxis], axis=1)
    ties = (np.abs(ahead) <= _TIE).sum(axis=1)
    return np.asarray((ahead > _TIE).sum(axis=1) + (ties + 1) / 2, dtype=np.float64)


def rank_of(cosines: Embedding, right: int) -> float:
    """The rank of the right class by ``(c,)`` cosines, as in ``mean_ranks``."""
    return float(mean_ranks(cosines[np.newaxis], np.array([right]))[0])


def best_class(cosines: Embedding, right: int) -> int:
    """The class with the highest cosine in ``(c,)``; the right one only if no other class ties with it."""
    best = np.flatnonzero(cosines >= cosines.max() - _TIE)
    others = best[best != right]
    return int(others[0]) if len(others) else right


def right_and_wrong(cosines: Embedding, right: Places) -> tuple[Numbers, Numbers]:
    """The cosines of right pairs ``(n,)`` and of wrong pairs ``(n * (c - 1),)``, row by row."""
    is_right = right[:, np.newaxis] == np.arange(cosines.shape[1])
    return cosines[is_right].astype(np.float64), cosines[~is_right].astype(np.float64)


def area_under_curve(right: Numbers, wrong: Numbers) -> float:
    """The area under the ROC curve: how often a right pair's cosine exceeds a wrong pair's."""
    from sklearn.metrics import roc_auc_score

    is_right = np.repeat([1, 0], [len(right), len(wrong)])
    return float(roc_auc_score(is_right, np.concatenate([right, wrong])))


def histogram_edges(right: Numbers, wrong: Numbers) -> Numbers:
    """Common bins: the square root of the smaller group's size, between 6 and 60."""
    bins = int(np.clip(round(min(len(right), len(wrong)) ** 0.5), 6, 60))
    return np.histogram_bin_edges(np.concatenate([right, wrong]), bins=bins)


def overlap(right: Numbers, wrong: Numbers) -> float:
    """The area that the two histograms share, each of area 1: 0 if they share no bin, 1 if they are equal."""
    edges = histogram_edges(right, wrong)
    shares = [np.histogram(values, bins=edges)[0] / len(values) for values in (right, wrong)]
    return float(np.minimum(*shares).sum())
