"""How far a job of the page is, and how that is put into words."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from typing import Literal, TypeAlias

__all__ = ["EARLIEST_GUESS_S", "JobState", "JobStatus", "length_in_words"]

JobState: TypeAlias = Literal["idle", "running", "stopping", "done", "stopped", "failed"]

EARLIEST_GUESS_S = 2.0
"""Before this, the pace of a step says nothing."""


@dataclass(frozen=True, slots=True)
class JobStatus:
    """How far a job is, or how the last one ended.

    Args:
        state: ``idle`` before the first job; ``stopping`` from the cancellation until the job has ended as ``stopped``.
        number: Counts the jobs from 1; 0 while idle.
        what: What the job does, in words for a person.
        step: What it does now; ``done`` of ``total`` of this step are done. The total is 0 until it is known.
        kind: What kind of job it is, where a runner has several.
        elapsed_s: Seconds since the job began.
        step_s: Seconds since the step began.
        message: Why the job failed, or what remains of a stopped one.
        hint: What to do about it.
        ended_at: When it ended, in seconds since 1970; 0 before.
        result: What a finished job found or did.
    """

    state: JobState = "idle"
    number: int = 0
    what: str = ""
    step: str = ""
    done: int = 0
    total: int = 0
    _: KW_ONLY
    kind: str = ""
    elapsed_s: float = 0.0
    step_s: float = 0.0
    message: str = ""
    hint: str = ""
    ended_at: float = 0.0
    result: object = None

    @property
    def is_active(self) -> bool:
        """Whether the job still runs."""
        return self.state in ("running", "stopping")

    @property
    def is_ready(self) -> bool:
        """Whether it is known how much there is to do."""
        return self.total > 0

    @property
    def step_share(self) -> float:
        """The share of the step that is done, in [0, 1]."""
        return min(1.0, self.done / self.total) if self.total else 0.0

    @property
    def span(self) -> tuple[float, float]:
        """The part of the bar that the step takes, in [0, 1]."""
        return 0.0, 1.0

    @property
    def share(self) -> float:
        """The share of the job that is done, in [0, 1]."""
        begin, end = self.span
        return 1.0 if self.state == "done" else begin + (end - begin) * self.step_share

    @property
    def has_pace(self) -> bool:
        """Whether the pace of the step tells how long the rest takes."""
        return self.span[1] == 1.0

    @property
    def eta_s(self) -> float | None:
        """Seconds left at the pace of this step; None while that is unknown."""
        share = self.step_share
        if not self.is_active or not self.has_pace or self.step_s < EARLIEST_GUESS_S or not share:
            return None
        return self.step_s * (1 - share) / share

    @property
    def percent(self) -> int:
        """The share in whole percent."""
        return int(100 * self.share)

    @property
    def time_left(self) -> str:
        """The time left in words; empty while it is unknown."""
        return f"about {length_in_words(self.eta_s)} left" if self.eta_s is not None and self.share < 1 else ""

    @property
    def elapsed(self) -> str:
        """The time since the job began, in words."""
        return length_in_words(self.elapsed_s)

    @property
    def ended(self) -> str:
        """The time of day when the job ended; empty before."""
        return datetime.fromtimestamp(self.ended_at).astimezone().strftime("%H:%M") if self.ended_at else ""


def length_in_words(seconds: float) -> str:
    """A length of time in seconds, minutes, or hours and minutes."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
