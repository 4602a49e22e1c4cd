"""Sending a file, or the part of it that a browser asks for, and streams of unknown length (RFC 9110, 13 to 15)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from email.utils import formatdate
from io import FileIO
from pathlib import Path

import anyio
from anyio.to_thread import run_sync
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ui.web.media_files import open_plain_file

__all__ = ["SAFE_HEADERS", "FileInRanges", "Streamed", "UnsatisfiableError", "asked_range"]

SAFE_HEADERS: Mapping[str, str] = {
    "cache-control": "private, no-cache",
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
}
"""Not kept by anyone else, not shown by other pages, not taken for anything but what it is."""

_AT_ONCE = 256 * 1024
_ONE_RANGE = re.compile(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*", re.IGNORECASE)


class UnsatisfiableError(Exception):
    """None of the bytes asked for exist."""


def asked_range(header: str, size: int) -> tuple[int, int] | None:
    """The first byte asked for and the one after the last; None where the header is to be ignored.

    Several ranges at once may be answered with the whole, and are.

    Args:
        header: As ``bytes=0-499``, ``bytes=500-`` or ``bytes=-500`` (the last 500).
        size: Of the file, in bytes.

    Raises:
        UnsatisfiableError: the range lies behind the end.
    """
    match = _ONE_RANGE.fullmatch(header)
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
    if first and last and int(last) < int(first):
        return None
    if start >= size:
        raise UnsatisfiableError
    return start, end


class FileInRanges(Response):
    """A file, whole or in part. It is opened at once, so that what is sent is the file that was checked.

    Args:
        path: A path without links.
        media_type: As ``video/mp4``.
        headers: Besides those that every answer gets.
        on_close: Called when the answer has been given or the browser has left.

    Raises:
        NotServedError: it cannot be opened, or is no plain file.
    """

    def __init__(
        self,
        path: Path,
        media_type: str,
        *,
        headers: Mapping[str, str] | None = None,
        on_close: Callable[[], object] | None = None,
    ) -> None:
        self._file, facts = open_plain_file(path)
        self._size = facts.st_size
        self._on_close = on_close
        self.status_code = 200
        self.media_type = media_type
        self.background = None
        described = {
            "accept-ranges": "bytes",
            "content-length": str(facts.st_size),
            "etag": f'"{facts.st_ino:x}-{facts.st_size:x}-{facts.st_mtime_ns:x}"',
            "last-modified": formatdate(facts.st_mtime, usegmt=True),
        }
        self.init_headers({**SAFE_HEADERS, **described, **(headers or {})})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            start, end = self._choose(Headers(scope=scope))
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if scope["method"] == "HEAD":
                start = end
            await _unless_left(receive, lambda: _send_part(self._file, start, end, send))
        finally:
            self._file.close()
            if self._on_close is not None:
                self._on_close()

    def _choose(self, asked: Headers) -> tuple[int, int]:
        """What to send, as first byte and the one after the last; sets the status and the headers that say so."""
        if self.headers["etag"] in [
            tag.strip().removeprefix("W/") for tag in asked.get("if-none-match", "").split(",")
        ]:
            return self._without_content(304)
        condition = asked.get("if-range")
        if "range" not in asked or condition not in (None, self.headers["etag"], self.headers["last-modified"]):
            return 0, self._size
        try:
            part = asked_range(asked["range"], self._size)
        except UnsatisfiableError:
            self.headers["content-range"] = f"bytes */{self._size}"
            return self._without_content(416)
        if part is None:
            return 0, self._size
        self.status_code = 206
        self.headers["content-range"] = f"bytes {part[0]}-{part[1] - 1}/{self._size}"
        self.headers["content-length"] = str(part[1] - part[0])
        return part

    def _without_content(self, status: int) -> tuple[int, int]:
        self.status_code = status
        if status == 304:
            del self.headers["content-length"]
        else:
            self.headers["content-length"] = "0"
        return 0, 0


async def _send_part(file: FileIO, start: int, end: int, send: Send) -> None:
    await run_sync(file.seek, start)
    while start < end:
        content = await run_sync(file.read, min(_AT_ONCE, end - start))
        if not content:
            # The file was cut short meanwhile; the server breaks the connection off, as it should.
            break
        start += len(content)
        await send({"type": "http.response.body", "body": content, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


class Streamed(Response):
    """What an iterator yields, made while it is sent; the iterator is closed whatever happens.

    Args:
        first: What it has yielded already.
        rest: What is still to come; only asked for more when the browser has taken what came before.
        media_type: As ``video/mp4``.
        on_close: Called when all is sent or the browser has left.
    """

    def __init__(self, first: bytes, rest: Iterator[bytes], media_type: str, *, on_close: Callable[[], object]) -> None:
        self._first, self._rest, self._on_close = first, rest, on_close
        self._scope = anyio.CancelScope()
        self.sent_at = anyio.current_time()
        self.status_code = 200
        self.media_type = media_type
        self.background = None
        self.init_headers({**SAFE_HEADERS, "accept-ranges": "none"})
        del self.headers["content-length"]

    def stop(self) -> None:
        """Break off: the browser is not taking what it asked for, and others wait."""
        self._scope.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if scope["method"] != "HEAD":
                with self._scope:
                    await _unless_left(receive, lambda: self._send_all(send))
        finally:
            with anyio.CancelScope(shield=True):
                await run_sync(_close, self._rest)
            self._on_close()

    async def _send_all(self, send: Send) -> None:
        content: bytes | None = self._first
        while content is not None:
            await send({"type": "http.response.body", "body": content, "more_body": True})
            self.sent_at = anyio.current_time()
            content = await run_sync(next, self._rest, None)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _close(iterator: Iterator[bytes]) -> None:
    close = getattr(iterator, "close", None)
    if close is not None:
        close()


async def _unless_left(receive: Receive, sending: Callable[[], Awaitable[None]]) -> None:
    """Send until all is sent or the browser leaves."""
    async with anyio.create_task_group() as group:

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            group.cancel_scope.cancel()

        group.start_soon(watch)
        await sending()
        group.cancel_scope.cancel()
