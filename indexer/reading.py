"""The first stage of indexing: decodes each file's pictures once, and says what is to be read and heard in it."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from indexer.core.errors import MediaError
from indexer.core.types import Facet, Keyframe, ModalityName, Segment, Shot, Video
from indexer.corpus.find import content_id
from indexer.corpus.plan import UNREAD_PREFIX, Job, stale_modalities
from indexer.media.read.decode import Frame, FrameReader
from indexer.media.read.probe import MediaFacts, probe
from indexer.modalities.ocr.frame_selection import TextFrame, TextWatch
from indexer.modalities.subtitles.video_texts import VideoTexts, read_video_texts
from indexer.modalities.video_facts import describe_picture, describe_shots, describe_subtitles, with_descriptors
from indexer.shots.select import Sampling, make_sampler
from indexer.store.base import Commit

__all__ = [
    "OF_KEYFRAMES",
    "Audible",
    "Began",
    "Failed",
    "Finished",
    "KeyframeBatch",
    "ReadEvent",
    "Reading",
    "SameContent",
    "TextFrames",
    "read_jobs",
    "text_sampling",
]

OF_KEYFRAMES: frozenset[ModalityName] = frozenset({"frames", "objects", "captions"})
_OF_PICTURES: frozenset[ModalityName] = OF_KEYFRAMES | {"ocr"}
_OF_SOUND: frozenset[ModalityName] = frozenset({"speech", "sounds"})
# They tell their keyframes as they go. Others look at the whole video first, and the frames with text would pile up in
# memory meanwhile; so these get a pass of their own.
_PROMPT_STRATEGIES = ("shots", "codec")


def text_sampling(sampling: Sampling) -> Sampling:
    """How the keyframes are chosen that are read for text: as the index's are, if these are known in time."""
    return sampling if sampling.strategy in _PROMPT_STRATEGIES else replace(sampling, strategy="shots")


@dataclass(frozen=True, slots=True)
class Reading:
    """How files are read: which frames, how large, how many at a time, and what every modality must be made with.

    ``speech_always`` asks to listen also to videos that have subtitles.
    """

    sampling: Sampling
    wanted: Mapping[ModalityName, str]
    max_side: int = 1280
    batch_size: int = 4
    speech_always: bool = False


@dataclass(frozen=True, slots=True)
class Began:
    """A video's ``modalities`` are about to follow; what the index holds of them is out of date.

    ``passes`` says how often the video is gone through from start to end, for its pictures and for its sound, and
    ``sound_passes`` how many of these are for its sound; 0 if only what is written about it is read.
    ``subtitled`` says that speech is not listened to, because subtitles say it.
    """

    job: Job
    video: Video
    modalities: tuple[ModalityName, ...]
    passes: int = 0
    sound_passes: int = 0
    subtitled: bool = False


@dataclass(frozen=True, slots=True)
class KeyframeBatch:
    """Some keyframes of the video that began last, in time order."""

    video: Video
    keyframes: Sequence[Keyframe]


@dataclass(frozen=True, slots=True)
class TextFrames:
    """Some frames of the video that began last in which there may be text to read."""

    video: Video
    frames: Sequence[TextFrame]


@dataclass(frozen=True, slots=True)
class Audible:
    """The video that began last has sound, and this is what is to be heard in it; loudness in any case."""

    video: Video
    modalities: frozenset[ModalityName]


@dataclass(frozen=True, slots=True)
class Finished:
    """The video that began last has been read to its end. ``shots`` is empty where no frames were asked for.

    ``told`` is what the subtitles say of the speech. ``object_maximum`` and ``object_mean`` are as in ``Commit``; the
    second stage adds them.
    """

    job: Job
    video: Video
    segments: Sequence[Segment]
    shots: Sequence[Shot]
    corrupt_packets: int
    warnings: tuple[str, ...]
    told: Mapping[str, Facet] = field(default_factory=dict)
    object_maximum: tuple[float, ...] = ()
    object_mean: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class SameContent:
    """The file holds what the index knows already under ``video_id``: it was moved, touched or copied."""

    job: Job
    video_id: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The file cannot be indexed."""

    job: Job
    video: Video
    reason: str


ReadEvent: TypeAlias = Began | KeyframeBatch | TextFrames | Audible | Finished | SameContent | Failed


def read_jobs(jobs: Sequence[Job], commits: Mapping[str, Commit], reading: Reading) -> Iterator[ReadEvent]:
    """Read every file of the jobs; one that fails gives ``Failed`` and the next one follows.

    A file gives ``SameContent``, or ``Failed``, or ``Began``, its batches and ``Finished`` (or ``Failed`` half-way).

    Args:
        commits: What the index held before, by video id.
    """
    read: set[str] = set()
    for job in jobs:
        try:
            video_id = job.known.video.id if job.known else content_id(job.found.path)
        except OSError as error:
            yield Failed(job, _unread(job, _path_id(job.found.path)), f"cannot be read: {error.strerror or error}")
            continue
        if video_id in read:
            yield SameContent(job, video_id)
            continue
        for event in _read(job, video_id, commits.get(video_id), reading):
            if isinstance(event, Finished):
                read.add(video_id)
            yield event


def _read(job: Job, video_id: str, known: Commit | None, reading: Reading) -> Iterator[ReadEvent]:
    is_known = known is not None and known.state == "committed"
    stale = _stale(known, job, reading) if known and is_known else tuple(reading.wanted)
    if not stale:
        yield SameContent(job, video_id)
        return
    blank = _unread(job, video_id)
    try:
        yield from _read_modalities(job, blank, stale, known if is_known else None, reading)
    except MediaError as error:
        yield Failed(job, blank, str(error))
    except OSError as error:
        yield Failed(job, blank, f"cannot be read: {error.strerror or error}")
    except Exception as error:  # no file, however odd, may stop the run
        logging.getLogger(__name__).debug("Unexpected fault in %s", job.found.path, exc_info=True)
        yield Failed(job, blank, f"made the program stumble ({type(error).__name__}: {error})")


def _stale(known: Commit, job: Job, reading: Reading) -> tuple[ModalityName, ...]:
    return stale_modalities(known, job, reading.wanted, speech_always=reading.speech_always)


def _read_modalities(
    job: Job, blank: Video, stale: tuple[ModalityName, ...], known: Commit | None, reading: Reading
) -> Iterator[ReadEvent]:
    media = probe(job.found.path)
    texts = read_video_texts(job, media)
    video = _described(blank, media, texts)
    if known is not None and "frames" not in stale:
        video = replace(video, duration_s=known.video.duration_s)
    seen = {name for name in stale if media.has_picture and name in _OF_PICTURES}
    subtitled = "speech" in stale and bool(texts.cues) and not reading.speech_always
    heard = frozenset(name for name in stale if name in _OF_SOUND and not (subtitled and name == "speech"))
    listens = media.has_audio and bool(heard or "frames" in stale)
    sound_passes = listens + (listens and "sounds" in heard)
    yield Began(job, video, stale, bool(seen) + sound_passes, sound_passes, subtitled)
    shots: tuple[Shot, ...] = ()
    corrupt = known.corrupt_packets if known else 0
    if seen:
        looking = _Look(job.found.path, video, seen, reading)
        yield from looking.events()
        video, corrupt = looking.video, looking.corrupt_packets
        shots = looking.shots if "frames" in seen else ()
    if listens:
        yield Audible(video, heard)
    yield _finished(job, video, texts, shots, corrupt)


class _Look:
    """One pass over a video's pictures; afterwards it knows the shots, the true duration and the damage."""

    def __init__(self, path: Path, video: Video, seen: Collection[ModalityName], reading: Reading) -> None:
        self.video = video
        self.shots: tuple[Shot, ...] = ()
        self.corrupt_packets = 0
        self._path = path
        self._reading = reading
        self._wants_keyframes = not OF_KEYFRAMES.isdisjoint(seen)
        self._watch = TextWatch(video.id) if "ocr" in seen else None

    def events(self) -> Iterator[KeyframeBatch | TextFrames]:
        """Keyframes and frames with text, as soon as they are known."""
        if self._is_prompt:
            yield from self._pass(self._watch, self._keyframes)
        else:
            if self._wants_keyframes:
                yield from self._pass(None, self._keyframes)
            if self._watch:
                yield from self._pass(self._watch, self._texts_by_shot)
        if self._watch:
            self._watch.finish(self.video.duration_s)
            yield from self._texts()

    @property
    def _is_prompt(self) -> bool:
        return self._reading.sampling.strategy in _PROMPT_STRATEGIES

    def _pass(
        self,
        watch: TextWatch | None,
        events_of: Callable[[Iterable[Frame]], Iterator[KeyframeBatch | TextFrames]],
    ) -> Iterator[KeyframeBatch | TextFrames]:
        only = self._reading.sampling.wants_codec_keyframes_only
        with FrameReader(self._path, keyframes_only=only, max_side=self._reading.max_side) as reader:
            yield from events_of(watch.watch(reader) if watch else reader)
            self.corrupt_packets = reader.corrupt_packets

    def _keyframes(self, frames: Iterable[Frame]) -> Iterator[KeyframeBatch | TextFrames]:
        sampler = make_sampler(self._reading.sampling, self.video.id, self.video.duration_s)
        keyframes = sampler.keyframes(frames)
        if self._watch and self._is_prompt:
            keyframes = self._watch.noting(keyframes)
        while batch := list(islice(keyframes, self._reading.batch_size)):
            if self._wants_keyframes:
                yield KeyframeBatch(self.video, batch)
            yield from self._texts()
        self._learn(sampler.shots)

    def _learn(self, shots: tuple[Shot, ...]) -> None:
        """Videos may last longer than their container says."""
        self.shots = shots
        if shots and shots[-1].end_s > self.video.duration_s:
            self.video = replace(self.video, duration_s=shots[-1].end_s)
        if self._reading.sampling.strategy == "shots":
            self.video = with_descriptors(self.video, describe_shots(len(shots), self.video.duration_s))

    def _texts_by_shot(self, frames: Iterable[Frame]) -> Iterator[TextFrames]:
        """Text alone, with keyframes of its own: the index's may be few, and are not known in time."""
        sampler = make_sampler(text_sampling(self._reading.sampling), self.video.id, self.video.duration_s)
        keyframes = sampler.keyframes(frames)
        for _ in self._watch.noting(keyframes) if self._watch else keyframes:
            yield from self._texts()

    def _texts(self) -> Iterator[TextFrames]:
        if self._watch and (found := self._watch.take()):
            yield TextFrames(self.video, found)


def _finished(job: Job, video: Video, texts: VideoTexts, shots: Sequence[Shot], corrupt: int) -> Finished:
    warnings = [*texts.warnings]
    if corrupt:
        warnings.append(f"{corrupt} damaged packets were skipped.")
    told = describe_subtitles(texts.cues, language=texts.language, duration_s=video.duration_s)
    return Finished(job, video, texts.segments(video.id, video.duration_s), shots, corrupt, tuple(warnings), told)


def _described(blank: Video, media: MediaFacts, texts: VideoTexts) -> Video:
    video = replace(
        blank,
        duration_s=media.duration_s,
        frame_rate=media.frame_rate,
        width=media.width if media.has_picture else 0,
        height=media.height if media.has_picture else 0,
        has_audio=media.has_audio,
        title=texts.title,
        description=texts.description,
        label=texts.label,
        facets=texts.facets,
    )
    return with_descriptors(video, describe_picture(video))


def _unread(job: Job, video_id: str) -> Video:
    """What is known of a file without opening it."""
    found = job.found
    return Video(
        id=video_id,
        path=found.path,
        size=found.size,
        mtime_ns=found.mtime_ns,
        duration_s=0.0,
        frame_rate=None,
        width=0,
        height=0,
        has_audio=False,
        label=job.annotation.label,
    )


def _path_id(path: Path) -> str:
    return UNREAD_PREFIX + hashlib.blake2b(os.fsencode(path), digest_size=16).hexdigest()
