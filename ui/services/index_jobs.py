"""Indexing from the page: one job at a time, in a process of its own, seen alike by every browser."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import unquote

from indexer.core.errors import IndexBusyError, UsageError
from ui.services.context import Context
from ui.services.index_process import (
    Began,
    Broke,
    Finished,
    IndexTask,
    Message,
    Outcome,
    RemoveTask,
    Stopped,
    Task,
    Told,
    perform,
)
from ui.services.job_status import CLOSED, EARLIEST_GUESS_S, JobStatus
from ui.services.wording import MODALITY_NAMES

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

    from indexer.models.base import OptionalRole
    from indexer.progress import IndexReport, Progress
    from indexer.run import RunOptions

__all__ = ["JobProgress", "Jobs"]

_Hear: TypeAlias = Callable[[Message], None]

_LISTENING_S = 0.2
_STOPPED = "Nothing is lost: what was finished is kept, and the next run goes on from there."
_AFTER_A_CRASH = "Nothing finished is lost. Start again: the next run goes on from there."
_NOT_FROM_HERE = "That may not be indexed from this page."
_WHOLE_PATH = "Type the whole path, such as /home/me/Videos or ~/Videos."


@dataclass(frozen=True, slots=True)
class JobProgress(JobStatus):
    """How far the job is, or how the last one ended: what every ``JobStatus`` tells, and its videos.

    Args:
        videos_done: How many files have been dealt with.
        videos_total: How many there are to deal with; 0 until that is known.
        bytes_done: The size of those, and the part of the current one that has been read.
        bytes_total: The size of all of them.
        media_s: Seconds of video indexed.
        failed: How many files have failed.
        current: The file being read.
        speed: Seconds of video indexed in a second; None until there is something to say.
        notes: What is worth knowing about the job, in sentences.
        report: What a finished indexing job did.
        removed: How many videos a finished removal took out.
    """

    videos_done: int = 0
    videos_total: int = 0
    bytes_done: int = 0
    bytes_total: int = 0
    media_s: float = 0.0
    failed: int = 0
    current: Path | None = None
    speed: float | None = None
    notes: tuple[str, ...] = ()
    report: IndexReport | None = None
    removed: int = 0

    @property
    def is_ready(self) -> bool:
        """Whether it is known what there is to do: models are loaded and files found."""
        return self.videos_total > 0

    @property
    def _share_so_far(self) -> float:
        if self.bytes_total:
            return min(1.0, self.bytes_done / self.bytes_total)
        return self.videos_done / self.videos_total if self.videos_total else 0.0


class Jobs:
    """Starts, watches and stops jobs; any thread may call any method.

    Args:
        context: The settings of the index.
        allowed_roots: Below which folders videos may be added; None allows all that this process can read. To be given
            where the page is reached over the network: then no path is told either.
        grace_s: How long a job may take to stop before its process is killed.
    """

    def __init__(self, context: Context, *, allowed_roots: Sequence[Path] | None = None, grace_s: float = 20.0) -> None:
        self.context = context
        self.allowed_roots = None if allowed_roots is None else tuple(Path(os.path.realpath(r)) for r in allowed_roots)
        self._grace_s = grace_s
        self._lock = Lock()
        self._progress = JobProgress()
        self._running: _Running | None = None
        self._closed = False

    def start(
        self,
        paths: Sequence[Path | str] = (),
        *,
        retry_failed: bool = False,
        add: Sequence[str] = (),
        without: Sequence[str] = (),
        prune: bool = False,
    ) -> None:
        """Begin to index ``paths``, or whatever has changed in what was indexed before if there are none.

        Args:
            paths: Folders and videos, as ``check_path`` takes them.
            retry_failed: Whether to try again what failed before and has not changed.
            add: The kinds of evidence to find from now on, in all videos: ``speech``, ``ocr`` and so on.
            without: The kinds to do without.
            prune: Whether to believe an empty folder and take its videos out.

        Raises:
            IndexBusyError: a job of this page has not ended yet.
            UsageError: a path may not or cannot be indexed; there is no such kind.
        """
        from indexer.manifest import RoleChanges
        from indexer.run import RunOptions

        changes = RoleChanges(_roles(add), _roles(without))
        options = RunOptions(retry_failed, prune, changes)
        checked = tuple(self.check_path(path) for path in paths)
        named = [self._named(path) for path in checked]
        self._begin(IndexTask(self.context.loaded, checked, options), _purpose(named, options))

    def remove(self, *, video_ids: Sequence[str] = (), root: Path | None = None) -> None:
        """Begin to take videos, or all of a folder that was indexed, out of the index; files are left alone.

        Raises:
            IndexBusyError: a job of this page has not ended yet.
        """
        what = f"Removing {self._named(root)} from the index" if root else "Removing from the index"
        self._begin(RemoveTask(self.context.loaded, tuple(video_ids), root), what)

    def progress(self) -> JobProgress:
        """How far the job is now, or how the last one ended."""
        with self._lock:
            running, progress = self._running, self._progress
        return running.timed(progress) if running is not None else progress

    def cancel(self) -> None:
        """Ask the job to stop between two writes: what is finished is kept. Does nothing without a job."""
        with self._lock:
            if self._running is not None and self._progress.state == "running":
                self._progress = replace(self._progress, state="stopping")
                self._running.stop(self._grace_s)

    def wait(self, timeout_s: float | None = None) -> JobProgress:
        """Wait until the job has ended, at most so long; how far it is then."""
        with self._lock:
            running = self._running
        if running is not None and running.follower is not None:
            running.follower.join(timeout_s)
        return self.progress()

    def close(self) -> None:
        """Stop the job, wait for its end, and take no other."""
        with self._lock:
            self._closed = True
        self.cancel()
        self.wait(2 * self._grace_s)

    def check_path(self, typed: Path | str) -> Path:
        """A folder or video as a person names it: a path, perhaps with ``~``, quotes or ``file://`` about it.

        Raises:
            UsageError: it is not there, is neither folder nor video, or is not among what may be indexed from here.
        """
        text = _typed_path(str(typed))
        if self.allowed_roots is not None and text.startswith("~"):
            raise UsageError(_NOT_FROM_HERE)  # the home folder, or that there is none, would be told
        path = _read_path(text)
        if self.allowed_roots is not None and not _is_below(path, self.allowed_roots):
            raise UsageError(_NOT_FROM_HERE)
        _check_is_video_or_folder(path)
        return path

    def _named(self, path: Path) -> str:
        return str(path) if self.allowed_roots is None else path.name

    def _begin(self, task: Task, what: str) -> None:
        with self._lock:
            if self._closed:
                raise UsageError(CLOSED)
            if self._running is not None:
                raise IndexBusyError("Another job is running.", hint="Wait until it has finished, or cancel it.")
            self._running = _Running(task)
            self._progress = JobProgress("running", self._progress.number + 1, what)
            self._running.follower = Thread(target=self._follow, args=(self._running,), name="job", daemon=True)
            self._running.follower.start()

    def _follow(self, running: _Running) -> None:
        """Listen to the process to its end; runs in a thread of its own."""
        outcome = running.listen(self._hear)
        exit_code = running.finish(self._grace_s)
        with self._lock:
            self._progress = _ended(running.timed(self._progress), outcome, exit_code)
            self._running = None

    def _hear(self, message: Message) -> None:
        with self._lock:
            if isinstance(message, Told):
                self._progress = _advanced(self._progress, message.progress)
            elif isinstance(message, Began):
                self._progress = replace(self._progress, notes=message.notes)


class _Running:
    """The process of one job, the line to it, and its clock."""

    def __init__(self, task: Task) -> None:
        self.follower: Thread | None = None
        self._began = time.monotonic()
        self._working_since: float | None = None
        self._deadline: float | None = None
        spawning = multiprocessing.get_context("spawn")
        self._line, far_end = spawning.Pipe()
        self._process: SpawnProcess = spawning.Process(target=perform, args=(task, far_end), name="indexing")
        self._process.daemon = True  # multiprocessing ends it should the page's process leave without closing
        self._process.start()
        far_end.close()

    def stop(self, grace_s: float) -> None:
        """Ask it to stop within so many seconds."""
        self._deadline = time.monotonic() + grace_s
        _send(self._line, "stop")

    def listen(self, hear: _Hear) -> Outcome | None:
        """Pass on what it tells until it says how it ended; None if it is gone without a word."""
        try:
            while True:
                if self._line.poll(_LISTENING_S):
                    message: Message = self._line.recv()
                    if not isinstance(message, Told | Began):
                        return message
                    self._working_since = self._working_since or time.monotonic()
                    hear(message)
                if self._deadline is not None and time.monotonic() > self._deadline:
                    self._process.kill()
                    return None
        except (EOFError, OSError):
            return None

    def finish(self, grace_s: float) -> int | None:
        """Wait for the process to leave, in the end without asking; its exit code, negative for a signal."""
        self._process.join(grace_s)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
        self._line.close()
        exit_code = self._process.exitcode
        self._process.close()
        return exit_code

    def timed(self, progress: JobProgress) -> JobProgress:
        """The progress with the times of this instant."""
        now = time.monotonic()
        timed = replace(progress, elapsed_s=now - self._began)
        working_s = now - self._working_since if self._working_since is not None else 0.0
        if working_s < EARLIEST_GUESS_S:
            return timed
        speed = timed.media_s / working_s if timed.media_s else None
        # What fails or is known already goes by in no time, and says nothing about the rest.
        share = timed.share if timed.media_s or not timed.bytes_total else 0.0
        return replace(timed, speed=speed, eta_s=working_s * (1 - share) / share if share else None)


def _send(line: Connection, word: str) -> None:
    with suppress(OSError):  # it has just ended by itself
        line.send(word)


def _advanced(before: JobProgress, now: Progress) -> JobProgress:
    return replace(
        before,
        videos_done=now.videos_done,
        videos_total=now.videos_total,
        bytes_done=now.bytes_done,
        bytes_total=now.bytes_total,
        media_s=now.media_s,
        failed=now.failed,
        current=now.current,
    )


def _ended(progress: JobProgress, outcome: Outcome | None, exit_code: int | None) -> JobProgress:
    ended = replace(progress, current=None, eta_s=None, ended_at=time.time())
    if isinstance(outcome, Finished):
        return replace(ended, state="done", report=outcome.report, removed=outcome.removed)
    if isinstance(outcome, Broke):
        return replace(ended, state="failed", message=outcome.message, hint=outcome.hint)
    if isinstance(outcome, Stopped) or progress.state == "stopping":
        return replace(ended, state="stopped", message=_STOPPED)
    return replace(ended, state="failed", message=_end_in_words(exit_code), hint=_AFTER_A_CRASH)


def _end_in_words(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        name = signal.strsignal(-exit_code) or "unknown"
        why = " Perhaps the machine ran out of memory." if exit_code == -signal.SIGKILL else ""
        return f"The process that indexes was ended from outside (signal {-exit_code}, {name}).{why}"
    return f"The process that indexes broke off (exit code {exit_code}); the terminal of the server says more."


def _purpose(named: Sequence[str], options: RunOptions) -> str:
    """What the job does, for a person; ``named`` are the folders and videos it adds."""
    if named:
        return f"Adding {', '.join(named)}"
    if options.changes.add:
        return f"Finding {' and '.join(MODALITY_NAMES[role].lower() for role in options.changes.add)} in all videos"
    if options.changes.without:
        return f"Dropping {' and '.join(MODALITY_NAMES[role].lower() for role in options.changes.without)}"
    return "Trying again what failed" if options.retry_failed else "Bringing the index up to date"


def _roles(names: Sequence[str]) -> tuple[OptionalRole, ...]:
    from indexer.models.base import OPTIONAL_ROLES

    for name in names:
        if name not in OPTIONAL_ROLES:
            raise UsageError(f"There is no kind of evidence '{name}'.", hint=f"There are: {', '.join(OPTIONAL_ROLES)}.")
    return tuple(role for role in OPTIONAL_ROLES if role in names)


def _typed_path(typed: str) -> str:
    """The path without what file managers put about it."""
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
    """Whether the path, all links followed, lies below one of the roots; says nothing of what is elsewhere."""
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
