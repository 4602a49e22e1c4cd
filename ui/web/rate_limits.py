"""Places for work that a computer can do only so much of at a time, shared out fairly among visitors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
from fastapi import HTTPException

if TYPE_CHECKING:
    from ui.web.byte_ranges import Streamed

__all__ = ["Slot", "Slots"]

_STALLED_S = 30.0
_RETRY_AFTER_S, _RETRY_OWN_AFTER_S = 10, 2
_ALL_TAKEN = "Too many videos are being converted at the moment. Try again in a few seconds."
_OWN_TAKEN = "Other videos are being converted for you already, as many as one visitor gets. Close one of them."


@dataclass(eq=False, slots=True)
class Slot:
    """One place that is taken: by whom, and what is sent from there."""

    visitor: str
    stream: Streamed | None = None

    @property
    def is_stalled(self) -> bool:
        """Whether the visitor has not taken anything for half a minute."""
        return self.stream is not None and self.stream.sent_at < anyio.current_time() - _STALLED_S


@dataclass(frozen=True, slots=True)
class _Crowd:
    """Those that leave no room for one more, and what a visitor is told who comes then."""

    slots: list[Slot]
    message: str
    retry_after_s: int


class Slots:
    """So many at a time, of which one visitor gets only some. Who has stalled makes room for those who wait.

    Only touched in the event loop's thread.

    Args:
        count: How many there are.
        for_one: How many of them one visitor gets at most; half of them if None.
    """

    def __init__(self, count: int, for_one: int | None = None) -> None:
        self._count = count
        self._for_one = max(1, count // 2) if for_one is None else for_one
        self._busy: list[Slot] = []

    def check(self, visitor: str) -> None:
        """See whether the visitor could take one.

        Raises:
            HTTPException: 503, all are taken, or as many as one visitor gets.
        """
        for crowd in self._crowds(visitor):
            if not any(slot.is_stalled for slot in crowd.slots):
                raise HTTPException(503, crowd.message, {"Retry-After": str(crowd.retry_after_s)})

    def take(self, visitor: str) -> Slot:
        """A place.

        Raises:
            HTTPException: as ``check`` does.
        """
        self.check(visitor)
        for crowd in self._crowds(visitor):
            self._stop(next(slot for slot in crowd.slots if slot.is_stalled))
        slot = Slot(visitor)
        self._busy.append(slot)
        return slot

    def give_back(self, slot: Slot) -> None:
        """The place is free again; does nothing the second time."""
        if slot in self._busy:
            self._busy.remove(slot)

    def _crowds(self, visitor: str) -> Iterator[_Crowd]:
        own = [slot for slot in self._busy if slot.visitor == visitor]
        if len(own) >= self._for_one:
            yield _Crowd(own, _OWN_TAKEN, _RETRY_OWN_AFTER_S)
        if len(self._busy) >= self._count:
            yield _Crowd(self._busy, _ALL_TAKEN, _RETRY_AFTER_S)

    def _stop(self, slot: Slot) -> None:
        if slot.stream is not None:
            slot.stream.stop()
        self.give_back(slot)
