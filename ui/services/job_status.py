"""What all jobs of the page have in common, whatever they do: how they are, and how that is put into words."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

__all__ = ["CLOSED", "EARLIEST_GUESS_S", "JobState", "JobStatus", "job_facts", "length_in_words"]

JobState: TypeAlias = Literal["idle", "running", "stopping", "done", "stopped", "failed"]

EARLIEST_GUESS_S = 2.0
"""So early a guess of the speed is worth nothing."""

CLOSED = "The page is being closed."


@dataclass(frozen=True, slots=True)
class JobStatus(ABC):
    """How far a job is, or how the last one ended.

    Args:
        state: ``idle`` as long as there was none; ``stopping`` until a cancelled one has ended as ``stopped``.
        number: Counts the jobs from 1; 0 while idle.
        what: What the job does, in words for a person.
        elapsed_s: Seconds since it began.
        eta_s: Seconds left at the pace so far; None until there is something to say.
        message: Why it failed, or what came of one that was stopped.
        hint: What to do about it.
        ended_at: When it ended, in seconds since 1970; 0 before.
    """

    state: JobState = "idle"
    number: int = 0
    what: str = ""
    _: KW_ONLY
    elapsed_s: float = 0.0
    eta_s: float | None = None
    message: str = ""
    hint: str = ""
    ended_at: float = 0.0

    @property
    def is_active(self) -> bool:
        """Whether it goes on."""
        return self.state in ("running", "stopping")

    @property
    def share(self) -> float:
        """How much is done, in [0, 1]."""
        return 1.0 if self.state == "done" else self._share_so_far

    @property
    @abstractmethod
    def _share_so_far(self) -> float:
        """The share of a job that is not done."""


def job_facts(job: JobStatus) -> dict[str, Any]:
    """What the templates of all jobs are given: the job, and its figures in words."""
    return {
        "job": job,
        "percent": int(100 * job.share),
        "left": f"about {length_in_words(job.eta_s)} left" if job.eta_s is not None and job.share < 1 else "",
        "elapsed": length_in_words(job.elapsed_s),
        "ended": datetime.fromtimestamp(job.ended_at).astimezone().strftime("%H:%M") if job.ended_at else "",
    }


def length_in_words(seconds: float) -> str:
    """A length of time in the coarsest words that serve."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
