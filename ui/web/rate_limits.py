"""What one visitor may ask for, so that others get their share: how often, and how many conversions at a time."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import HTTPException

if TYPE_CHECKING:
    from ui.web.byte_ranges import StreamedResponse

_ALL_TAKEN = "Too many videos are being converted at the moment. Try again in a few seconds."
_OWN_TAKEN = "Other videos are being converted for you already, as many as one visitor gets. Close one of them."


def visitor_of(client: tuple[str, int] | None) -> str:
    """The key of a visitor: the address, or of an IPv6 address the /64 network, which is one home."""
    address = client[0] if client else "unknown"
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network(f"{address.partition('%')[0]}/64", strict=False)) if known.version == 6 else address


class RateLimit:
    """A leaky bucket for each key: ``burst`` units at once, and as many again over ``refill_s`` seconds.

    Only ``max_keys`` keys are remembered; the one counted longest ago is forgotten first.
    """

    def __init__(
        self, burst: float, refill_s: float, clock: Callable[[], float] = time.monotonic, *, max_keys: int = 4096
    ) -> None:
        self._refill_s, self._s_per_unit = refill_s, refill_s / burst
        self._clock = clock
        self._max_keys = max_keys
        self._unused_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        """How many keys are remembered."""
        return len(self._unused_at)

    def wait_s(self, key: str, units: float = 1) -> float:
        """How long until so many more units fit, in seconds; 0 or less: now."""
        used_s = max(0.0, self._unused_at.get(key, 0.0) - self._clock())
        return used_s + units * self._s_per_unit - self._refill_s

    def count(self, key: str, units: float = 1) -> None:
        """Use up so many units."""
        now = self._clock()
        self._unused_at[key] = max(now, self._unused_at.pop(key, now)) + units * self._s_per_unit
        while len(self._unused_at) > self._max_keys:
            self._unused_at.popitem(last=False)


@dataclass(eq=False, slots=True)
class Slot:
    """One running conversion: who asked for it, and the response that sends it, if it is a stream."""

    visitor: str
    response: StreamedResponse | None = None


class ConversionLimit:
    """Lets ``count`` conversions run at a time, at most half of them for one visitor if ``is_shared``.

    A stream whose visitor has taken nothing for ``stalled_s`` seconds makes room for a new one. All calls must come
    from the event loop's thread.
    """

    def __init__(self, count: int, *, is_shared: bool = True, stalled_s: float = 30.0) -> None:
        self._count = count
        self._for_one = max(1, count // 2) if is_shared else count
        self._stalled_s = stalled_s
        self._running: list[Slot] = []

    def check(self, visitor: str) -> None:
        """See whether the visitor could start a conversion.

        Raises:
            HTTPException: 503, as many run as may, in all or for this visitor.
        """
        self._to_stop(visitor)

    def start(self, visitor: str) -> Slot:
        """Take a slot, and stop what has stalled in its place.

        Raises:
            HTTPException: as ``check`` does.
        """
        for stalled in self._to_stop(visitor):
            if stalled.response is not None:
                stalled.response.stop()
            self.end(stalled)
        slot = Slot(visitor)
        self._running.append(slot)
        return slot

    def end(self, slot: Slot) -> None:
        """Free a slot; does nothing the second time."""
        if slot in self._running:
            self._running.remove(slot)

    def _to_stop(self, visitor: str) -> list[Slot]:
        """The stalled conversions that have to end before the visitor can start one."""
        own = [slot for slot in self._running if slot.visitor == visitor]
        stopped = [self._stalled(own, _OWN_TAKEN, retry_after_s=2)] if len(own) >= self._for_one else []
        if len(self._running) - len(stopped) >= self._count:
            stopped.append(self._stalled(self._running, _ALL_TAKEN, retry_after_s=10))
        return stopped

    def _stalled(self, slots: list[Slot], message: str, retry_after_s: int) -> Slot:
        for slot in slots:
            if slot.response is not None and time.monotonic() - slot.response.sent_at > self._stalled_s:
                return slot
        raise HTTPException(503, message, {"Retry-After": str(retry_after_s)})
