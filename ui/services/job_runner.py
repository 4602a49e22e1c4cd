"""Runs the jobs of the page: one at a time, and every browser sees the same one.

A job works in a thread (``in_thread``) or in a child process (``ui.services.index_process.InProcess``).
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import Event, RLock, Thread
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from indexer.core.errors import IndexBusyError, SceneseekError, UsageError
from ui.services.job_status import JobState, JobStatus

if TYPE_CHECKING:
    from search.evaluate import ReportProgress

__all__ = ["JobCancelledError", "JobRunner", "Outcome", "Report", "Work", "in_thread", "outcome_of"]

_STOPPED = "Nothing is lost: what was finished is kept, and the next run goes on from there."
_AFTER_A_FAULT = "What was finished is kept. Start it again; the terminal of the server says more."

StatusT = TypeVar("StatusT", bound=JobStatus)


class JobCancelledError(Exception):
    """The job was cancelled."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended: fields of its last status."""

    state: JobState
    result: object = None
    message: str = ""
    hint: str = ""


Report: TypeAlias = Callable[..., None]
"""Sets fields of the status of the running job, given by name."""

Work: TypeAlias = Callable[[Report, Event], Outcome]
"""Does the work of a job in the calling thread, and ends soon once the event is set.

Raises:
    JobCancelledError: it was cancelled.
    SceneseekError: it cannot be done.
"""


def in_thread(run: Callable[[ReportProgress], object]) -> Work:
    """Work in a thread of the runner; a cancelled one ends the next time it reports its progress.

    Args:
        run: Does the work. It is given ``report(step, done, total)`` and returns the result.
    """

    def work(report: Report, cancelled: Event) -> Outcome:
        def report_progress(step: str, done: int, total: int) -> None:
            _stop_if(cancelled)
            report(step=step, done=done, total=total)

        return Outcome("done", run(report_progress))

    return work


def _stop_if(cancelled: Event) -> None:
    if cancelled.is_set():
        raise JobCancelledError


@dataclass(slots=True)
class _RunningJob:
    kind: str
    cancelled: Event = field(default_factory=Event)
    began: float = field(default_factory=time.monotonic)
    step_began: float = field(default_factory=time.monotonic)
    thread: Thread | None = None


class JobRunner(Generic[StatusT]):
    """Runs one job at a time and keeps the last status of each kind of job. Any thread may call any method.

    Args:
        name: What a job is called in messages.
        closing_s: How long ``close`` waits for a job to end.
    """

    def __init__(self, name: str = "job", *, closing_s: float = 10.0) -> None:
        self._name = name
        self._closing_s = closing_s
        self._lock = RLock()
        self._statuses: dict[str, StatusT] = {}
        self._running: _RunningJob | None = None
        self._count = 0
        self._is_closed = False

    def check_free(self) -> None:
        """Check that a job can start.

        Raises:
            IndexBusyError: another job is running.
            UsageError: the runner is closed.
        """
        with self._lock:
            if self._is_closed:
                raise UsageError("The page is being closed.")
            if self._running is not None:
                raise IndexBusyError(
                    f"Another {self._name} is running.", hint="Wait until it has finished, or cancel it."
                )

    def start_job(self, status: StatusT, work: Work) -> None:
        """Start a job; returns at once. ``status`` says what it does.

        Raises:
            IndexBusyError: another job is running.
            UsageError: the runner is closed.
        """
        with self._lock:
            self.check_free()
            self._count += 1
            self._statuses[status.kind] = replace(status, state="running", number=self._count)
            job = self._running = _RunningJob(status.kind)
            job.thread = Thread(target=self._follow, args=(job, work), name=self._name, daemon=True)
            job.thread.start()

    def status_of(self, kind: str, default: StatusT) -> StatusT:
        """How far the job of this kind is, or how the last one ended; ``default`` if there was none."""
        with self._lock:
            status, job = self._statuses.get(kind, default), self._running
            return _timed(status, job) if job is not None and job.kind == kind else status

    @property
    def running(self) -> str | None:
        """The kind of the running job; None if no job is running."""
        with self._lock:
            return None if self._running is None else self._running.kind

    def cancel(self) -> None:
        """Ask the running job to stop; what is finished is kept. Does nothing if no job is running."""
        with self._lock:
            job = self._running
            if job is not None and self._statuses[job.kind].state == "running":
                self._statuses[job.kind] = replace(self._statuses[job.kind], state="stopping")
                job.cancelled.set()

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait until the running job has ended, at most ``timeout_s``."""
        with self._lock:
            job = self._running
        if job is not None and job.thread is not None:
            job.thread.join(timeout_s)

    def close(self) -> None:
        """Stop the running job, wait for its end, and start no other."""
        with self._lock:
            self._is_closed = True
        self.cancel()
        self.wait(self._closing_s)

    def _follow(self, job: _RunningJob, work: Work) -> None:
        def report(**changes: Any) -> None:
            with self._lock:
                status = self._statuses[job.kind]
                if changes.get("step", status.step) != status.step:
                    job.step_began = time.monotonic()
                self._statuses[job.kind] = replace(status, **changes)

        ending = outcome_of(lambda: work(report, job.cancelled))
        with self._lock:
            self._statuses[job.kind] = replace(
                _timed(self._statuses[job.kind], job),
                state=ending.state,
                result=ending.result,
                message=ending.message,
                hint=ending.hint,
                ended_at=time.time(),
            )
            self._running = None


def outcome_of(work: Callable[[], Outcome]) -> Outcome:
    """Do the work, and say how it ended if it raises."""
    try:
        return work()
    except (JobCancelledError, KeyboardInterrupt):
        return Outcome("stopped", message=_STOPPED)
    except SceneseekError as error:
        return Outcome("failed", message=error.message, hint=error.hint)
    except Exception as error:  # noqa: BLE001 - it ends a thread, and the page would wait forever
        traceback.print_exc()
        return Outcome("failed", message=f"It broke off unexpectedly ({type(error).__name__}).", hint=_AFTER_A_FAULT)


def _timed(status: StatusT, job: _RunningJob) -> StatusT:
    now = time.monotonic()
    return replace(status, elapsed_s=now - job.began, step_s=now - job.step_began)
