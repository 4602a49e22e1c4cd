"""Whether the library is being written just now, by a job of this page or by another program, and how far that is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from indexer.store.lock import is_being_written
from ui.services.job_status import length_in_words

if TYPE_CHECKING:
    from pathlib import Path

    from ui.services.index_jobs import JobProgress, Jobs

__all__ = ["Growing", "Growth", "growth_of", "never_growing"]

_BY_ANOTHER = "Another program is writing the library"
# However many browsers ask, the lock is looked at so often at most.
_KNOWN_FOR_S = 1.0


@dataclass(frozen=True, slots=True)
class Growth:
    """What is being done to the library, and how far that is as far as it is known.

    Args:
        what: What is done, in words.
        done: How many videos have been dealt with.
        total: Of how many; 0 as long as that is not known.
        share: How much is done, in [0, 1].
        left_s: Seconds left at the pace so far; None where there is nothing to say.
        is_ours: Whether a job of this page does it.
    """

    what: str
    done: int = 0
    total: int = 0
    share: float = 0.0
    left_s: float | None = None
    is_ours: bool = True

    @property
    def percent(self) -> int:
        """How much is done, in [0, 100]."""
        return int(100 * self.share)

    @property
    def counted(self) -> str:
        """How many videos are done of all; empty as long as that is not known."""
        return f"{self.done:,} of {self.total:,} {'video' if self.total == 1 else 'videos'}" if self.total else ""

    @property
    def line(self) -> str:
        """All of it in two sentences."""
        figures = (self.counted, f"{self.percent} %" if self.total else "", self.left)
        told = ", ".join(figure for figure in figures if figure)
        return f"{self.what}{f': {told}' if told else ''}. What is finished can be found already."

    @property
    def left(self) -> str:
        """How long it will take; empty where that is not known."""
        return "" if self.left_s is None or self.share >= 1 else f"about {length_in_words(self.left_s)} left"


def never_growing() -> Growth | None:
    """Nobody writes the library."""
    return None


class Growing:
    """Tells what is being done to the library; any thread may ask.

    Args:
        jobs: The jobs of this page.
        index: The folder of the index, which may not exist yet.
        clock: Seconds that only go forward.
    """

    def __init__(self, jobs: Jobs, index: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._jobs = jobs
        self._index = index
        self._clock = clock
        self._asking = Lock()
        self._is_written = False
        self._asked_at: float | None = None

    def __call__(self) -> Growth | None:
        """What is being done now; None if nothing is."""
        job = self._jobs.progress()
        if job.is_active:
            return growth_of(job)
        return Growth(_BY_ANOTHER, is_ours=False) if self._is_written_by_another() else None

    def _is_written_by_another(self) -> bool:
        with self._asking:
            now = self._clock()
            if self._asked_at is None or now - self._asked_at >= _KNOWN_FOR_S:
                self._is_written, self._asked_at = is_being_written(self._index), now
            return self._is_written


def growth_of(job: JobProgress) -> Growth:
    """What a running job does."""
    return Growth(job.what, job.videos_done, job.videos_total, job.share, job.eta_s)
