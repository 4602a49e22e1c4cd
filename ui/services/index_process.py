"""The process that writes the index for the page: one task, what it tells meanwhile, and how it is stopped.

It holds models and memory that the page gets back when it ends. It stops between two writes, on a word from the page,
on Ctrl-C, and also when the page's process is gone.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event, Thread, get_ident
from types import FrameType
from typing import TYPE_CHECKING, Protocol, TypeAlias

from indexer.core.errors import SceneseekError
from ui.services.context import Context

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from indexer.core.config import LoadedSettings
    from indexer.progress import IndexReport, Progress
    from indexer.run import RunOptions, RunStart
    from indexer.store.base import Commit, Location, VectorStore
    from indexer.store.thumbnails import ThumbnailFolder

__all__ = [
    "Began",
    "Broke",
    "Finished",
    "IndexTask",
    "Message",
    "Outcome",
    "RemoveTask",
    "Stopped",
    "Task",
    "Told",
    "perform",
]

_TELLING_S = 0.2
_NICENESS = 5
_MOST_NOTES = 20


@dataclass(frozen=True, slots=True)
class Told:
    """How far the task is."""

    progress: Progress


@dataclass(frozen=True, slots=True)
class Began:
    """What is worth knowing before the first video is opened, in sentences."""

    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """The task is done; a removal has no report."""

    report: IndexReport | None
    removed: int = 0


@dataclass(frozen=True, slots=True)
class Stopped:
    """The task was asked to stop and did."""


@dataclass(frozen=True, slots=True)
class Broke:
    """The task could not be done, for a reason that people can do something about."""

    message: str
    hint: str


Outcome: TypeAlias = Finished | Stopped | Broke
Message: TypeAlias = Told | Began | Outcome


class Task(Protocol):
    """Something to do with an index; pickled on its way into the process."""

    def run(self, teller: Teller) -> Finished:
        """Do it.

        Raises:
            SceneseekError: it cannot be done.
        """


class Teller:
    """Sends to the page, from a thread of its own: an interrupted task never leaves half a message on the line.

    Args:
        line: The connection to the page.
    """

    def __init__(self, line: Connection) -> None:
        self._line = line
        self._latest: Progress | None = None
        self._sent: Progress | None = None
        self._notes: tuple[str, ...] | None = None
        self._outcome: Outcome | None = None
        self._over = Event()
        self._thread = Thread(target=self._send_all, name="teller", daemon=True)
        self._thread.start()

    def began(self, notes: Sequence[str]) -> None:
        """Tell what is known at the beginning."""
        self._notes = tuple(notes[:_MOST_NOTES])

    def progress(self, progress: Progress) -> None:
        """Tell how far the task is; only the latest is sent, a few times a second."""
        self._latest = progress

    def end(self, outcome: Outcome) -> None:
        """Tell how it ended, after everything before."""
        self._outcome = outcome
        self._over.set()
        self._thread.join()

    def _send_all(self) -> None:
        with suppress(OSError):  # the page is gone: nobody listens
            while not self._over.wait(_TELLING_S):
                self._send_news()
            self._send_news()
            self._line.send(self._outcome)

    def _send_news(self) -> None:
        if self._notes is not None:
            self._line.send(Began(self._notes))
            self._notes = None
        latest = self._latest
        if latest is not None and latest is not self._sent:
            self._line.send(Told(latest))
            self._sent = latest


@dataclass(frozen=True, slots=True)
class IndexTask:
    """Bring the index in line with folders and videos; without any, with those it knows."""

    loaded: LoadedSettings
    paths: tuple[Path, ...] = ()
    options: RunOptions | None = None

    def run(self, teller: Teller) -> Finished:
        """See ``Task``."""
        from indexer.run import RunOptions, run_indexing

        report = run_indexing(
            self.paths,
            self.loaded,
            options=self.options or RunOptions(),
            on_start=lambda start: teller.began(_notes(start)),
            on_progress=teller.progress,
        )
        return Finished(report)


@dataclass(frozen=True, slots=True)
class RemoveTask:
    """Take videos, or all of a folder that was indexed, out of the index; no file is touched.

    A folder is forgotten with its videos; of a video that has a copy elsewhere, the copy stays.
    """

    loaded: LoadedSettings
    video_ids: tuple[str, ...] = ()
    root: Path | None = field(default=None)

    def run(self, teller: Teller) -> Finished:
        """See ``Task``."""
        from indexer.store.lock import writing

        context = Context(self.loaded)
        with closing(context.open_store()) as store, writing(context.index_folder):
            removal = _Removal(store, context.thumbnails(), teller)
            if self.root is None:
                return Finished(None, removal.of_videos(self.video_ids))
            return Finished(None, removal.of_root(self.root))


@dataclass(frozen=True, slots=True)
class _Removal:
    store: VectorStore
    thumbnails: ThumbnailFolder
    teller: Teller

    def of_videos(self, video_ids: Sequence[str]) -> int:
        known = self.store.commits()
        return self._delete([known[key] for key in video_ids if key in known])

    def of_root(self, root: Path) -> int:
        gone, shared = [], []
        for commit in self.store.commits().values():
            elsewhere = tuple(place for place in commit.locations if not place.path.is_relative_to(root))
            if not elsewhere:
                gone.append(commit)
            elif len(elsewhere) < len(commit.locations):
                shared.append(_at(commit, elsewhere))
        for commit in shared:
            self.store.write_commit(commit)
        removed = self._delete(gone)
        # Last: a removal that was cut off half-way still shows the folder, to be removed once more.
        manifest = self.store.read_manifest()
        if manifest is not None:
            kept = tuple(other for other in manifest.roots if other != root)
            self.store.write_manifest(replace(manifest, roots=kept))
        return removed

    def _delete(self, commits: Sequence[Commit]) -> int:
        from indexer.progress import Progress

        for done, commit in enumerate(commits):
            self.teller.progress(Progress(done, len(commits), 0, 0, 0.0, 0, 0, commit.video.path))
            # As ``remove`` does for a few: pending first, so that a cut half-way is known to be one.
            self.store.write_commit(replace(commit, state="pending"))
            self.store.delete_records(commit.video.id)
            self.thumbnails.delete(commit.video.id)
            self.store.delete_commit(commit.video.id)
        return len(commits)


def perform(task: Task, line: Connection) -> None:
    """Do a task and tell of it; the entry of the process."""
    signal.signal(signal.SIGINT, _stop_once)
    signal.signal(signal.SIGTERM, _stop_once)
    # Threads that spin while they wait make models several times slower beside a busy decoder; read when PyTorch loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with suppress(OSError, AttributeError):
        os.nice(_NICENESS)  # whoever searches meanwhile goes first
    teller = Teller(line)
    Thread(target=_listen, args=(line, get_ident()), name="listener", daemon=True).start()
    outcome = _outcome(task, teller)
    _ignore_stops()
    teller.end(outcome)


def _outcome(task: Task, teller: Teller) -> Outcome:
    try:
        return task.run(teller)
    except KeyboardInterrupt:
        return Stopped()
    except SceneseekError as error:
        return Broke(error.message, error.hint)


def _stop_once(_signal: int, _frame: FrameType | None) -> None:
    """Interrupt the task, and let nothing interrupt its clearing up: Ctrl-C reaches this process and the page's."""
    _ignore_stops()
    raise KeyboardInterrupt


def _ignore_stops() -> None:
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)


def _listen(line: Connection, working_thread: int) -> None:
    """Wait for the word to stop, or for the page to be gone, and interrupt the thread that works."""
    with suppress(EOFError, OSError):
        line.recv()
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(working_thread, signal.SIGINT)  # also where it waits for a lock
    else:
        signal.raise_signal(signal.SIGINT)


def _notes(start: RunStart) -> list[str]:
    empty = [] if start.corpus.files else ["No videos were found there."]
    chosen = [f"Models: the profile “{start.manifest.profile}”. {start.reason}"] if start.reason else []
    unreadable = [f"{folder} cannot be read; nothing below it is touched." for folder in start.corpus.unreadable]
    broken = [f"A label was skipped: {row} names no video or no label." for row in start.labels.broken]
    return [*empty, *unreadable, *chosen, *start.notes, *broken]


def _at(commit: Commit, places: tuple[Location, ...]) -> Commit:
    first = places[0]
    video = replace(commit.video, path=first.path, size=first.size, mtime_ns=first.mtime_ns)
    return replace(commit, locations=places, video=video)
