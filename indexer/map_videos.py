"""The middle of a run: ``index_video`` mapped over the jobs of a plan, while the next video is decoded ahead.

Results carry their video, so a caller may hold several videos at once.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import TypeAlias

from indexer.core.prefetch import Prefetch, prefetch
from indexer.core.types import ModalityName, Video
from indexer.corpus.find import content_id
from indexer.models.base import Models
from indexer.plan import UNREAD_PREFIX, Job, stale_modalities
from indexer.store.base import Commit, VectorStore
from indexer.store.thumbnails import ThumbnailFolder
from indexer.video import Failed, Indexed, Piece, VideoEvent, VideoJob, VideoSettings, encode_video, start_reading

__all__ = ["Indexer", "Result", "SameContent", "VideoMap", "unopened_video"]


def _do_nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Indexer:
    """What an indexing run works with.

    Args:
        store: The index.
        models: Its models.
        thumbnails: Where thumbnails are written; None writes none.
        settings: How videos are read.
        wanted: The fingerprint that every modality must be made with.
        before_encoding: Called once, in the thread that encodes.
    """

    store: VectorStore
    models: Models
    thumbnails: ThumbnailFolder | None
    settings: VideoSettings
    wanted: Mapping[ModalityName, str]
    before_encoding: Callable[[], None] = _do_nothing


@dataclass(frozen=True, slots=True)
class SameContent:
    """The file holds what the index knows already: it was moved, touched or copied."""


@dataclass(frozen=True, slots=True)
class Result:
    """An event of one video of the plan."""

    job: Job
    video_id: str
    event: VideoEvent | SameContent


@dataclass(frozen=True, slots=True)
class _Reading:
    """A video whose decoding has begun."""

    job: Job
    video_job: VideoJob
    pieces: Prefetch[Piece]

    @property
    def video_id(self) -> str:
        return self.video_job.video.id


PassedReport: TypeAlias = Callable[[str, float], None]


class VideoMap:
    """Goes through the jobs of a plan.

    Args:
        indexer: What to work with.
        jobs: The files to look at.
        known: What the index held before, by video id.
        report: Called with a video's id and the passes over it that are done, in the thread that reads the results.
    """

    def __init__(
        self, indexer: Indexer, jobs: Sequence[Job], known: Mapping[str, Commit], report: PassedReport
    ) -> None:
        self._indexer = indexer
        self._jobs = jobs
        self._known = known
        self._report = report
        self._indexed: set[str] = set()
        self._ahead: _Reading | None = None
        self._open: list[Prefetch[Piece]] = []
        self._closed = Event()

    def results(self) -> Iterator[Result]:
        """For each job the events of ``index_video``, or ``SameContent`` alone. One that fails stops no other.

        Raises:
            ModelError: a model cannot be loaded.
        """
        self._indexer.before_encoding()
        try:
            with closing(prefetch(map(_identify, self._jobs), 1)) as identified:
                for job, content in identified:
                    if self._closed.is_set():
                        return
                    yield from self._results_of(job, content)
            yield from self._encode_ahead()
        finally:
            self.close()

    def _results_of(self, job: Job, content: str | OSError) -> Iterator[Result]:
        """What the video ahead gives, while this one begins to be decoded."""
        if isinstance(content, OSError):
            yield Result(job, _path_id(job.found.path), Failed(f"cannot be read: {content.strerror or content}"))
            return
        video_id = content
        # Whether the video ahead succeeds decides about its copy.
        if self._ahead is not None and self._ahead.video_id == video_id:
            yield from self._encode_ahead()
        following = self._start(job, video_id)
        yield from self._encode_ahead()
        self._ahead = following
        if following is None and not self._closed.is_set():
            yield Result(job, video_id, SameContent())

    def close(self) -> None:
        """Stop decoding; may be called from any thread."""
        self._closed.set()
        for pieces in tuple(self._open):
            pieces.stop()
        for pieces in tuple(self._open):
            pieces.close()

    def _start(self, job: Job, video_id: str) -> _Reading | None:
        """Begin to decode a video; None if the index holds all that is wanted of it."""
        if video_id in self._indexed or self._closed.is_set():
            return None
        known = self._known.get(video_id)
        known = known if known is not None and known.state == "committed" else None
        settings, stale = self._indexer.settings, tuple(self._indexer.wanted)
        if known is not None:
            stale = stale_modalities(known, job, self._indexer.wanted, speech_always=settings.speech_always)
        if not stale:
            return None
        video_job = VideoJob(
            video=unopened_video(job, video_id),
            modalities=stale,
            sidecars=job.found.sidecars,
            annotation=job.annotation,
            settings=settings,
            known_duration_s=known.video.duration_s if known is not None and "frames" not in stale else None,
            corrupt_packets=known.corrupt_packets if known is not None else 0,
        )
        reading = _Reading(job, video_job, start_reading(video_job))
        self._open.append(reading.pieces)
        return reading

    def _encode_ahead(self) -> Iterator[Result]:
        """Encode the video that is being decoded, if there is one."""
        reading, self._ahead = self._ahead, None
        if reading is None:
            return
        report = partial(self._report, reading.video_id)
        with closing(reading.pieces):
            for event in encode_video(reading.video_job, reading.pieces, self._indexer.models, report):
                if isinstance(event, Indexed):
                    self._indexed.add(reading.video_id)
                yield Result(reading.job, reading.video_id, event)
        self._open.remove(reading.pieces)


def _identify(job: Job) -> tuple[Job, str | OSError]:
    """The id of a file's content, which reads the whole file; or why it cannot be read."""
    try:
        return job, job.known.video.id if job.known else content_id(job.found.path)
    except OSError as error:
        return job, error


def unopened_video(job: Job, video_id: str) -> Video:
    """What is known of a file without opening it."""
    return Video(
        id=video_id,
        path=job.found.path,
        size=job.found.size,
        mtime_ns=job.found.mtime_ns,
        duration_s=0.0,
        frame_rate=None,
        width=0,
        height=0,
        has_audio=False,
        label=job.annotation.label,
    )


def _path_id(path: Path) -> str:
    return UNREAD_PREFIX + hashlib.blake2b(os.fsencode(path), digest_size=16).hexdigest()
