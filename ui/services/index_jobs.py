"""Indexing from the page: one job at a time, in a child process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from indexer.core.errors import UsageError
from indexer.store.lock import is_being_written
from search.modalities import heading
from ui.services.context import Context
from ui.services.index_process import InProcess, Task, index_task, remove_task
from ui.services.indexing import run_options, videos_in_words
from ui.services.job_runner import JobRunner
from ui.services.job_status import EARLIEST_GUESS_S, JobStatus

if TYPE_CHECKING:
    from indexer.progress import IndexReport
    from indexer.run import RunOptions

__all__ = ["BY_ANOTHER_PROGRAM", "IndexProgress", "Jobs"]

_NOT_FROM_HERE = "That may not be indexed from this page."
_WHOLE_PATH = "Type the whole path, such as /home/me/Videos or ~/Videos."


@dataclass(frozen=True, slots=True)
class IndexProgress(JobStatus):
    """How far an indexing job is, or how the last one ended; ``done`` and ``total`` count videos.

    Args:
        bytes_done: The size of the videos that are done, and of the part of the current one that has been read.
        bytes_total: The size of all of them.
        media_s: Seconds of video indexed.
        failed: How many videos have failed.
        current: The file being read.
        notes: What is worth knowing about the job, in sentences.
        result: What a finished run did, or how many videos a finished removal removed.
    """

    bytes_done: int = 0
    bytes_total: int = 0
    media_s: float = 0.0
    failed: int = 0
    current: Path | None = None
    notes: tuple[str, ...] = ()
    result: IndexReport | int | None = None

    @property
    def step_share(self) -> float:
        """The share of the bytes that are read, or of the videos where sizes are unknown, in [0, 1]."""
        done, total = (self.bytes_done, self.bytes_total) if self.bytes_total else (self.done, self.total)
        return min(1.0, done / total) if total else 0.0

    @property
    def has_pace(self) -> bool:
        """Whether a video has been indexed: videos that fail or are known take no time, and say nothing."""
        return bool(self.media_s or not self.bytes_total)

    @property
    def speed(self) -> float | None:
        """Seconds of video indexed in a second; None while that is unknown."""
        return self.media_s / self.step_s if self.media_s and self.step_s >= EARLIEST_GUESS_S else None

    @property
    def videos(self) -> str:
        """How many videos are done, in words; empty while the total is unknown."""
        return videos_in_words(self.done, self.total)

    @property
    def line(self) -> str:
        """What is done to the library and how far it is, in two sentences."""
        figures = ", ".join(filter(None, (self.videos, f"{self.percent} %" if self.is_ready else "", self.time_left)))
        return f"{self.what}{f': {figures}' if figures else ''}. What is finished can be found already."


BY_ANOTHER_PROGRAM = IndexProgress("running", what="Another program is writing the library")


class Jobs(JobRunner[IndexProgress]):
    """Starts, watches and stops indexing jobs. Any thread may call any method.

    Args:
        context: The settings of the index.
        allowed_roots: The folders below which videos may be added; None allows all that this process can read. It is
            given where the page is reached over the network; then messages name no path either.
        grace_s: How long a cancelled job may take to stop before its process is killed.
        clock: Seconds that only go forward.
    """

    def __init__(
        self,
        context: Context,
        *,
        allowed_roots: Sequence[Path] | None = None,
        grace_s: float = 20.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(closing_s=2 * grace_s)
        self.context = context
        self.allowed_roots = None if allowed_roots is None else tuple(Path(os.path.realpath(r)) for r in allowed_roots)
        self._grace_s = grace_s
        self._clock = clock

    def start(self, paths: Sequence[Path | str] = (), *, retry_failed: bool = False, add: Sequence[str] = ()) -> None:
        """Start to index ``paths``, or what has changed in the indexed folders if there are none.

        Args:
            paths: Folders and videos, as ``check_path`` takes them.
            retry_failed: Whether to try again what failed before and has not changed.
            add: The kinds of evidence to find from now on, in all videos: ``speech``, ``ocr`` and so on.

        Raises:
            IndexBusyError: another job is running.
            UsageError: a path may not or cannot be indexed, or there is no such kind.
        """
        options = run_options(add=add, retry_failed=retry_failed)
        checked = tuple(self.check_path(path) for path in paths)
        what = _purpose([self._shown(path) for path in checked], options)
        self._start_task(partial(index_task, self.context.loaded, checked, options), what)

    def remove(self, *, video_ids: Sequence[str] = (), root: Path | None = None) -> None:
        """Start to remove videos, or all of an indexed folder, from the index; no file is touched.

        Raises:
            IndexBusyError: another job is running.
        """
        what = f"Removing {self._shown(root)} from the index" if root else "Removing from the index"
        self._start_task(partial(remove_task, self.context.loaded, tuple(video_ids), root), what)

    def progress(self) -> IndexProgress:
        """How far the job is, or how the last one ended."""
        return self.status_of("", IndexProgress())

    def activity(self) -> IndexProgress | None:
        """The running job, or ``BY_ANOTHER_PROGRAM``; None if the library is not being written."""
        job = self.progress()
        if job.is_active:
            return job
        with self._lock:  # one check at a time, and one a second: two would take each other for a writer
            is_written = _is_written_in(int(self._clock()), self.context.index_folder)
        return BY_ANOTHER_PROGRAM if is_written else None

    def check_path(self, typed: Path | str) -> Path:
        """The folder or video that a person names by a path, perhaps with ``~``, quotes or ``file://``.

        Raises:
            UsageError: it is not there, is neither folder nor video, or may not be indexed from here.
        """
        text = _typed_path(str(typed))
        if self.allowed_roots is not None and text.startswith("~"):
            raise UsageError(_NOT_FROM_HERE)  # other messages would tell of home folders
        path = _read_path(text)
        if self.allowed_roots is not None and not _is_below(path, self.allowed_roots):
            raise UsageError(_NOT_FROM_HERE)
        _check_is_video_or_folder(path)
        return path

    def _shown(self, path: Path) -> str:
        return str(path) if self.allowed_roots is None else path.name

    def _start_task(self, task: Task, what: str) -> None:
        self.start_job(IndexProgress(what=what), InProcess(task, self._grace_s))


@lru_cache(maxsize=1)
def _is_written_in(_second: int, index: Path) -> bool:
    return is_being_written(index)


def _purpose(paths: Sequence[str], options: RunOptions) -> str:
    """What the job does, in words; ``paths`` are the folders and videos it adds."""
    if paths:
        return f"Adding {', '.join(paths)}"
    if options.changes.add:
        return f"Finding {' and '.join(heading(role).lower() for role in options.changes.add)} in all videos"
    return "Trying again what failed" if options.retry_failed else "Bringing the index up to date"


def _typed_path(typed: str) -> str:
    """The path without the quotes and ``file://`` that file managers add."""
    text = typed.strip().strip("\"'").strip()
    if text.startswith("file://"):
        path = text.removeprefix("file://").partition("?")[0].partition("#")[0].partition("/")[2]
        text = unquote(f"/{path}") if path else ""
    if not text or "\0" in text:
        raise UsageError("No folder is named.", hint="Type the whole path of a folder or a video on this computer.")
    return text


def _read_path(text: str) -> Path:
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{text} names a home folder that is not known.", hint=_WHOLE_PATH) from error
    if not path.is_absolute():
        raise UsageError(f"{text} is not a whole path.", hint=_WHOLE_PATH)
    return Path(os.path.normpath(path))


def _is_below(path: Path, roots: Sequence[Path]) -> bool:
    """Whether the path, all links followed, lies below one of the roots."""
    real = Path(os.path.realpath(path))
    return any(real.is_relative_to(root) for root in roots)


def _check_is_video_or_folder(path: Path) -> None:
    from indexer.media.read.probe import looks_like_media

    try:
        if path.is_dir():
            with os.scandir(path):
                return
        with path.open("rb"):
            pass
    except FileNotFoundError as error:
        raise UsageError(f"There is no {path}.", hint="Check the spelling, and that its disk is connected.") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.", hint="Check its permissions.") from error
    if not looks_like_media(path):
        raise UsageError(f"{path} is neither a folder nor a video.", hint="Name a folder of videos, or a video.")
