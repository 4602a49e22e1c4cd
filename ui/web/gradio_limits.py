"""Ways in that Gradio leaves open, and this page does not need or not so wide.

Two ASGI middlewares:

- ``CloseDoors`` refuses what is served beside the page, its API and its media;
- ``LimitUploads`` keeps visitors from filling the disk with what they upload.
"""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from ui.web.access import refuse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["CloseDoors", "LimitUploads", "visitor_at"]

_UPLOAD = "/gradio_api/upload"
# A list of every inner address, and a way to have recordings converted: there is no use for either here.
_CLOSED = ("/openapi.json", "/gradio_api/process_recording")
_MINUTE_S, _HOUR_S = 60.0, 3600.0
_ADDRESSES = 4096


class CloseDoors:
    """Refuses addresses of Gradio that no part of the page uses.

    Args:
        app: What is guarded.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, or say that there is nothing."""
        if scope["type"] == "http" and _path(scope) in _CLOSED:
            await refuse(scope, send, 404, "There is nothing here.")
        else:
            await self._app(scope, receive, send)


class LimitUploads:
    """Takes so many uploads from one address, and so many bytes from all together, and no more.

    Args:
        app: What is guarded.
        per_minute: How many uploads one address may begin in a minute. The addresses of one IPv6 network count as one.
        bytes_per_hour: How much all may upload together in an hour.
        largest_bytes: How much may come at once.
        clock: Seconds that only go forward.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        per_minute: int = 20,
        bytes_per_hour: int = 1_000_000_000,
        largest_bytes: int = 27_000_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._per_minute, self._bytes_per_hour, self._largest = per_minute, bytes_per_hour, largest_bytes
        self._clock = clock
        self._begun: OrderedDict[str, deque[float]] = OrderedDict()
        self._taken: deque[tuple[float, int]] = deque()
        self._taken_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, or refuse it before anything of it is read."""
        if scope["type"] != "http" or scope["method"] != "POST" or _path(scope) != _UPLOAD:
            await self._app(scope, receive, send)
            return
        size, address = _length(scope), visitor_at(scope.get("client"))
        if size is None:
            await refuse(scope, send, 411, "An upload has to say how large it is.")
        elif size > self._largest:
            await refuse(scope, send, 413, f"At most {self._largest // 1_000_000} MB are taken at once.")
        elif (wait_s := max(self._wait_of_address(address), self._wait_of_all(size))) > 0:
            after = {"retry-after": str(max(1, round(wait_s)))}
            await refuse(scope, send, 429, "Too much has been uploaded just now. Try again later.", after)
        else:
            self._count(address, size)
            await self._app(scope, receive, send)

    def _wait_of_address(self, address: str) -> float:
        """How long until this address may upload again, in seconds; 0 or less: now."""
        begun = self._begun.get(address, deque())
        while begun and begun[0] <= self._clock() - _MINUTE_S:
            begun.popleft()
        return begun[0] + _MINUTE_S - self._clock() if len(begun) >= self._per_minute else 0.0

    def _wait_of_all(self, size: int) -> float:
        """How long until there is room for anything more, in seconds; 0 or less: there is room for so many bytes."""
        while self._taken and self._taken[0][0] <= self._clock() - _HOUR_S:
            self._taken_bytes -= self._taken.popleft()[1]
        if not self._taken or self._taken_bytes + size <= self._bytes_per_hour:
            return 0.0
        return self._taken[0][0] + _HOUR_S - self._clock()

    def _count(self, address: str, size: int) -> None:
        now = self._clock()
        self._begun.setdefault(address, deque()).append(now)
        self._begun.move_to_end(address)
        while len(self._begun) > _ADDRESSES:
            self._begun.popitem(last=False)
        self._taken.append((now, size))
        self._taken_bytes += size


def _path(scope: Scope) -> str:
    """The path without slashes doubled or at its end, which lead to the same place."""
    return "/" + "/".join(part for part in str(scope["path"]).split("/") if part)


def _length(scope: Scope) -> int | None:
    """The size the request's body will have; None if it is not told."""
    headers = dict(scope["headers"])
    text = headers.get(b"content-length", b"").decode("latin-1")
    if b"transfer-encoding" in headers or not (text.isascii() and text.isdecimal()) or len(text) > 15:
        return None
    return int(text)


def visitor_at(client: tuple[str, int] | None) -> str:
    """Who asks, by the address a request comes from.

    Of an IPv6 address the half that names a home: everyone in it has millions of the other.
    """
    address = client[0] if client else "unknown"
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network(f"{address.partition('%')[0]}/64", strict=False)) if known.version == 6 else address
