"""The first stage of indexing: opens each file once and turns it into keyframes and segments."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from indexer.corpus.find import content_id
from indexer.errors import MediaError
from indexer.media.decode import FrameReader
from indexer.media.probe import MediaFacts, probe
from indexer.plan import UNREAD_PREFIX, Job, stale_modalities
from indexer.shots.select import Sampling, make_sampler
from indexer.store.base import Commit
from indexer.texts import VideoTexts, read_video_texts
from indexer.types import Keyframe, Modality, Segment, Shot, Video

__all__ = ["Began", "Failed", "Finished", "KeyframeBatch", "ReadEvent", "Reading", "SameContent", "read_jobs"]


@dataclass(frozen=True, slots=True)
class Reading:
    """How files are read: which frames, how large, how many at a time, and what every modality must be made with."""

    sampling: Sampling
    wanted: Mapping[Modality, str]
    max_side: int = 1280
    batch_size: int = 4


@dataclass(frozen=True, slots=True)
class Began:
    """A video's ``modalities`` are about to follow; what the index holds of them is out of date."""

    job: Job
    video: Video
    modalities: tuple[Modality, ...]


@dataclass(frozen=True, slots=True)
class KeyframeBatch:
    """Some keyframes of the video that began last, in time order."""

    video: Video
    keyframes: Sequence[Keyframe]


@dataclass(frozen=True, slots=True)
class Finished:
    """The video that began last has been read to its end. ``shots`` is empty where no frames were asked for."""

    job: Job
    video: Video
    segments: Sequence[Segment]
    shots: Sequence[Shot]
    corrupt_packets: int
    warnings: tuple[str, ...]


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


ReadEvent: TypeAlias = Began | KeyframeBatch | Finished | SameContent | Failed


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
    stale = stale_modalities(known, job, reading.wanted) if known and is_known else tuple(reading.wanted)
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
        logging.getLogger(__name__).exception("Unexpected fault in %s", job.found.path)
        yield Failed(job, blank, f"made the program stumble ({type(error).__name__}: {error})")


def _read_modalities(
    job: Job, blank: Video, stale: tuple[Modality, ...], known: Commit | None, reading: Reading
) -> Iterator[ReadEvent]:
    media = probe(job.found.path)
    texts = read_video_texts(job, media)
    video = _described(blank, media, texts)
    if known is not None and "frames" not in stale:
        video = replace(video, duration_s=known.video.duration_s)
    yield Began(job, video, stale)
    if "frames" not in stale or not media.has_picture:
        yield _finished(job, video, texts, (), known.corrupt_packets if known else 0)
        return
    yield from _read_frames(job, video, texts, reading)


def _read_frames(job: Job, video: Video, texts: VideoTexts, reading: Reading) -> Iterator[ReadEvent]:
    sampler = make_sampler(reading.sampling, video.id, video.duration_s)
    only = reading.sampling.wants_codec_keyframes_only
    with FrameReader(job.found.path, keyframes_only=only, max_side=reading.max_side) as reader:
        keyframes = sampler.keyframes(reader)
        while batch := list(islice(keyframes, reading.batch_size)):
            yield KeyframeBatch(video, batch)
        corrupt = reader.corrupt_packets
    shots = sampler.shots
    if shots and shots[-1].end_s > video.duration_s:
        video = replace(video, duration_s=shots[-1].end_s)
    yield _finished(job, video, texts, shots, corrupt)


def _finished(job: Job, video: Video, texts: VideoTexts, shots: Sequence[Shot], corrupt: int) -> Finished:
    warnings = [*texts.warnings]
    if corrupt:
        warnings.append(f"{corrupt} damaged packets were skipped.")
    segments = texts.segments(video.id, video.duration_s)
    if not video.has_picture and not segments:
        warnings.append("It has no picture and no text, so only its facts can be found.")
    return Finished(job, video, segments, shots, corrupt, tuple(warnings))


def _described(blank: Video, media: MediaFacts, texts: VideoTexts) -> Video:
    return replace(
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
