"""The child process that writes the index for the page: what it does, what it reports, and how it is stopped.

Its models and memory are freed when it ends. It stops between two writes: when the page says so, on Ctrl-C, and when
the page's process is gone.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread, get_ident
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeAlias

from indexer.core.errors import SceneseekError
from ui.services.context import Context
from ui.services.indexing import start_notes
from ui.services.job_runner import JobCancelledError, Outcome, Report, outcome_of

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

    from indexer.config import LoadedSettings
    from indexer.progress import IndexReport, Progress
    from indexer.run import RunOptions

__all__ = ["InProcess", "Task", "index_task", "remove_task"]

_INTERVAL_S = 0.2
_NICENESS = 5
_MOST_NOTES = 20
_AFTER_A_CRASH = "Nothing finished is lost. Start again: the next run goes on from there."


Task: TypeAlias = Callable[[Report], object]
"""Does something with an index and returns the result; it is pickled on its way into the process."""


def index_task(loaded: LoadedSettings, paths: Sequence[Path], options: RunOptions, report: Report) -> IndexReport:
    """Bring the index in line with folders and videos; without any, with those it knows.

    Raises:
        SceneseekError: as ``run_indexing`` raises it.
    """
    from indexer.run import run_indexing

    return run_indexing(
        paths,
        loaded,
        options=options,
        on_start=lambda start: report(step="indexing", notes=tuple(start_notes(start)[:_MOST_NOTES])),
        on_progress=lambda progress: report(**_fields(progress)),
    )


def remove_task(loaded: LoadedSettings, video_ids: Sequence[str], root: Path | None, report: Report) -> int:
    """Remove videos, or all of an indexed folder, from the index; returns how many. No file is touched.

    Raises:
        StoreError: there is no index, or another process is writing it.
    """
    from indexer.maintenance import remove
    from indexer.store.lock import writing

    context = Context(loaded)

    def report_progress(done: int, total: int, path: Path) -> None:
        report(step="removing", done=done, total=total, current=path)

    with closing(context.open_store()) as store, writing(context.index_folder):
        if root is None:
            return remove.remove_videos(store, context.thumbnails(), video_ids, report_progress)
        return remove.remove_root(store, context.thumbnails(), root, report_progress)


def _fields(progress: Progress) -> dict[str, Any]:
    return {
        "step": "indexing",
        "done": progress.videos_done,
        "total": progress.videos_total,
        "bytes_done": progress.bytes_done,
        "bytes_total": progress.bytes_total,
        "media_s": progress.media_s,
        "failed": progress.failed,
        "current": progress.current,
    }


@dataclass(frozen=True, slots=True)
class InProcess:
    """Work in a child process; a crash stays there.

    Args:
        task: What to do.
        grace_s: How long a cancelled task may take to end before its process is killed.
    """

    task: Task
    grace_s: float

    def __call__(self, report: Report, cancelled: Event) -> Outcome:
        """See ``Work``."""
        spawning = multiprocessing.get_context("spawn")
        line, far_end = spawning.Pipe()
        # A daemon, so that it does not outlive a page that leaves without closing.
        process = spawning.Process(target=_perform, args=(self.task, far_end), name="indexing", daemon=True)
        with closing(line):
            process.start()
            far_end.close()
            outcome = self._listen(line, process, report, cancelled)
            exit_code = self._end(process)
        if outcome is not None:
            return outcome
        if cancelled.is_set():
            raise JobCancelledError
        raise SceneseekError(_crash_in_words(exit_code), hint=_AFTER_A_CRASH)

    def _listen(self, line: Connection, process: SpawnProcess, report: Report, cancelled: Event) -> Outcome | None:
        """Pass on what the process reports until it says how it ended; None if it is gone without a word."""
        deadline = None
        with suppress(EOFError, OSError):
            while deadline is None or time.monotonic() < deadline:
                if deadline is None and cancelled.is_set():
                    deadline = time.monotonic() + self.grace_s
                    with suppress(OSError):  # it has just ended by itself
                        line.send("stop")
                if line.poll(_INTERVAL_S):
                    message = line.recv()
                    if isinstance(message, Outcome):
                        return message
                    report(**message)
            process.kill()
        return None

    def _end(self, process: SpawnProcess) -> int | None:
        """Wait for the process to leave, and kill it if it stays; its exit code is negative for a signal."""
        process.join(self.grace_s)
        if process.exitcode is None:
            process.kill()
            process.join()
        exit_code = process.exitcode
        process.close()
        return exit_code


def _crash_in_words(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        name = signal.strsignal(-exit_code) or "unknown"
        why = " Perhaps the machine ran out of memory." if exit_code == -signal.SIGKILL else ""
        return f"The process that indexes was ended from outside (signal {-exit_code}, {name}).{why}"
    return f"The process that indexes broke off (exit code {exit_code}); the terminal of the server says more."


# From here on: what runs in the child process.


class _Reporter:
    """Sends changes of the status to the page, a few times a second.

    It sends from a thread of its own, so that an interrupted task never leaves half a message on the line.
    """

    def __init__(self, line: Connection) -> None:
        self._line = line
        self._changes: deque[dict[str, Any]] = deque()
        self._outcome: Outcome | None = None
        self._is_over = Event()
        self._thread = Thread(target=self._send_all, name="reporter", daemon=True)
        self._thread.start()

    def __call__(self, **changes: Any) -> None:
        self._changes.append(changes)

    def end(self, outcome: Outcome) -> None:
        """Send how the task ended, after everything before."""
        self._outcome = outcome
        self._is_over.set()
        self._thread.join()

    def _send_all(self) -> None:
        with suppress(OSError):  # the page is gone
            while not self._is_over.wait(_INTERVAL_S):
                self._send_changes()
            self._send_changes()
            self._line.send(self._outcome)

    def _send_changes(self) -> None:
        merged: dict[str, Any] = {}
        while self._changes:
            merged |= self._changes.popleft()
        if merged:
            self._line.send(merged)


def _perform(task: Task, line: Connection) -> None:
    signal.signal(signal.SIGINT, _interrupt_once)
    signal.signal(signal.SIGTERM, _interrupt_once)
    # Threads that spin while they wait make models several times slower beside a busy decoder; read when PyTorch loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with suppress(OSError, AttributeError):
        os.nice(_NICENESS)  # searches go first
    reporter = _Reporter(line)
    Thread(target=_await_stop, args=(line, get_ident()), name="listener", daemon=True).start()
    outcome = outcome_of(lambda: Outcome("done", task(reporter)))
    _ignore_signals()
    reporter.end(outcome)


def _interrupt_once(_signal: int, _frame: FrameType | None) -> None:
    """Interrupt the task once: Ctrl-C reaches this process and the page's, which then says stop as well."""
    _ignore_signals()
    raise KeyboardInterrupt


def _ignore_signals() -> None:
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)


def _await_stop(line: Connection, working_thread: int) -> None:
    """Wait until the page says stop or is gone, and interrupt the thread that works."""
    with suppress(EOFError, OSError):
        line.recv()
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(working_thread, signal.SIGINT)  # also where it waits for a lock
    else:
        signal.raise_signal(signal.SIGINT)
