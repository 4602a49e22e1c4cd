"""Responses with a file or one byte range of it, and with a stream of unknown length (RFC 9110, sections 13 to 15).

Starlette's ``FileResponse`` does not fit: it opens a file by its name again after the checks, answers 400 to ranges
that are to be ignored, and does not know ``If-None-Match``.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack
from email.utils import formatdate
from io import FileIO
from itertools import chain
from pathlib import Path
from typing import Any

import anyio
from anyio.to_thread import run_sync
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from ui.web.media_files import open_plain_file

SAFE_HEADERS: Mapping[str, str] = {
    "cache-control": "private, no-cache",
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
}
"""No cache keeps the answer for others, no other page shows it, and no browser guesses its type."""

_CHUNK_BYTES = 256 * 1024
_ONE_RANGE = re.compile(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*", re.IGNORECASE)


def requested_range(header: str, size: int) -> range | None:
    """The positions of the bytes that ``bytes=0-499``, ``bytes=500-`` or ``bytes=-500`` (the last 500) asks for.

    The range is empty if it begins after the end. None means to ignore the header, as RFC 9110 allows for several
    ranges at once.
    """
    match = _ONE_RANGE.fullmatch(header)
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        return range(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None
    return range(size)[int(first) : int(last) + 1 if last else None]


def file_response(
    request: Request,
    path: Path,
    media_type: str,
    *,
    headers: Mapping[str, str] | None = None,
    on_close: Callable[[], object] = lambda: None,
) -> Response:
    """The file, or the range of it that a GET or HEAD request asks for.

    The file is opened at once, so that it is the one that was checked; its path must hold no links. ``on_close`` is
    called when the answer has been given or the browser has left.

    Raises:
        HTTPException: the file cannot be opened, or is no plain file.
    """
    closing = ExitStack()
    closing.callback(on_close)
    file, facts = open_plain_file(path)
    closing.enter_context(file)
    described = {
        **SAFE_HEADERS,
        "accept-ranges": "bytes",
        "etag": f'"{facts.st_ino:x}-{facts.st_size:x}-{facts.st_mtime_ns:x}"',
        "last-modified": formatdate(facts.st_mtime, usegmt=True),
        **(headers or {}),
    }
    status, part = _part_to_send(request.headers, described, facts.st_size)
    if status in (206, 416):
        described["content-range"] = f"bytes {f'{part[0]}-{part[-1]}' if part else '*'}/{facts.st_size}"
    if status != 304:
        described["content-length"] = str(len(part))
    options: dict[str, Any] = {"status_code": status, "headers": described, "media_type": media_type}
    if part and request.method != "HEAD":
        return StreamedResponse(_read(file, part), on_close=closing.close, **options)
    closing.close()
    return Response(**options)


def _part_to_send(requested: Headers, described: Mapping[str, str], size: int) -> tuple[int, range]:
    """The status, and the positions of the bytes to send."""
    known = [tag.strip().removeprefix("W/") for tag in requested.get("if-none-match", "").split(",")]
    if described["etag"] in known:
        return 304, range(0)
    is_same = requested.get("if-range") in (None, described["etag"], described["last-modified"])
    part = requested_range(requested.get("range", ""), size) if is_same else None
    if part is None:
        return 200, range(size)
    return (206 if part else 416), part


def _read(file: FileIO, part: range) -> Generator[bytes]:
    """The bytes at these positions. A file that was cut short ends early, and the server breaks the connection off."""
    file.seek(part.start)
    left = len(part)
    while left and (content := file.read(min(_CHUNK_BYTES, left))):
        left -= len(content)
        yield content


class StreamedResponse(StreamingResponse):
    """Sends ``first``, then each further piece, which is made when the browser has taken the last.

    When all are sent, the browser has left, or ``stop`` is called, it closes ``pieces`` and calls ``on_close``.

    Attributes:
        sent_at: When the browser last took a piece, by ``time.monotonic``.
    """

    def __init__(
        self, pieces: Generator[bytes], *, first: bytes = b"", on_close: Callable[[], object], **options: Any
    ) -> None:
        super().__init__(self._timed(chain([first], pieces)), **options)
        self._pieces, self._on_close = pieces, on_close
        self._sending: anyio.CancelScope | None = None
        self.sent_at = time.monotonic()

    def stop(self) -> None:
        """Break off: the browser takes nothing, and others wait."""
        if self._sending is not None:
            self._sending.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            with anyio.CancelScope() as self._sending:
                await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await run_sync(self._pieces.close)
            self._on_close()

    def _timed(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            yield piece
            self.sent_at = time.monotonic()
