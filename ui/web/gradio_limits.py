"""Ways in that Gradio leaves open, and this page does not need or not so wide.

``CloseDoors`` and ``LimitUploads`` are ASGI middlewares; ``guard_files`` changes a page before it is mounted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

import gradio as gr
from gradio.utils import get_upload_folder
from gradio_client.utils import is_file_obj_with_meta, traverse

from ui.web.access import Guard, refusal, too_often
from ui.web.rate_limits import RateLimit, visitor_of

if TYPE_CHECKING:
    from starlette.datastructures import Headers
    from starlette.requests import HTTPConnection
    from starlette.responses import Response
    from starlette.types import ASGIApp

# A list of every inner address, and a way to have recordings converted: there is no use for either here.
_CLOSED = ("/openapi.json", "/gradio_api/process_recording")
_UPLOAD = "/gradio_api/upload"
_NO_ADDRESS = "Pictures are not fetched from addresses: upload the file here first."
_NO_UPLOAD = "The file was not uploaded by a user of this page. Upload it first."


class CloseDoors(Guard):
    """Refuses addresses of Gradio that no part of the page uses."""

    async def check(self, connection: HTTPConnection) -> Response | None:
        """Say that there is nothing."""
        return refusal(404, "There is nothing here.") if _path(connection) in _CLOSED else None


class LimitUploads(Guard):
    """Limits how often one visitor uploads, and how much all upload together, before anything of it is read.

    Args:
        app: What is guarded.
        per_minute: How many uploads a visitor may begin at once, and again over a minute.
        bytes_per_hour: How much all may upload at once, and again over an hour.
        largest_bytes: How large one upload may be.
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
        super().__init__(app)
        self._largest_bytes = largest_bytes
        self._uploads = RateLimit(per_minute, 60.0, clock)
        self._bytes = RateLimit(bytes_per_hour, 3600.0, clock)

    async def check(self, connection: HTTPConnection) -> Response | None:
        """Refuse an upload, or count it."""
        if connection.scope.get("method") != "POST" or _path(connection) != _UPLOAD:
            return None
        size, visitor = _length(connection.headers), visitor_of(connection.client)
        if size is None:
            return refusal(411, "An upload has to say how large it is.")
        if size > self._largest_bytes:
            return refusal(413, f"At most {self._largest_bytes // 1_000_000} MB are taken at once.")
        if (wait_s := max(self._uploads.wait_s(visitor), self._bytes.wait_s("all", size))) > 0:
            return too_often("Too much has been uploaded just now. Try again later.", wait_s)
        self._uploads.count(visitor)
        self._bytes.count("all", size)
        return None


def _path(connection: HTTPConnection) -> str:
    """The path without slashes doubled or at its end, which lead to the same place."""
    return "/" + "/".join(part for part in str(connection.scope["path"]).split("/") if part)


def _length(headers: Headers) -> int | None:
    """The size the request's body will have; None if the request does not say."""
    text = headers.get("content-length", "")
    if "transfer-encoding" in headers or not (text.isascii() and text.isdecimal()) or len(text) > 15:
        return None
    return int(text)


def guard_files(blocks: gr.Blocks) -> gr.Blocks:
    """Let a page that is to be mounted take only files that were uploaded to it; returns the page.

    Gradio refuses the names of other files on this machine once ``launch`` has been called, which it never is for a
    mounted page: without this, any visitor could have any file copied to where uploads are served from. Gradio also
    fetches any address a visitor names, of any size, and says where it looked for a file: here neither happens.
    """
    blocks.has_launched = True
    preprocess: Any = blocks.preprocess_data

    async def preprocess_uploads(block_fn: Any, inputs: list[Any], *further: Any, **named: Any) -> Any:
        uploads = cast("list[Any]", traverse(inputs, _checked, is_file_obj_with_meta))
        return await preprocess(block_fn, uploads, *further, **named)

    blocks.preprocess_data = preprocess_uploads  # type: ignore[method-assign]
    return blocks


def _checked(file: dict[str, Any]) -> dict[str, Any]:
    """The same file if it was uploaded to this page; the page's own address of it becomes its path.

    Raises:
        gr.Error: it is elsewhere.
    """
    path = str(file["path"])
    is_address = path.casefold().startswith(("http:", "https:"))
    if is_address:
        # Assistants name what they have uploaded by its address on this page; nothing is fetched from there.
        path = unquote(path.partition("/gradio_api/file=")[2]) or path
        is_address = path.casefold().startswith(("http:", "https:"))
    if not is_upload(path):
        raise gr.Error(_NO_ADDRESS if is_address else _NO_UPLOAD, title="sceneseek", print_exception=False)
    return file | {"path": path, "url": None}


def is_upload(path: str) -> bool:
    """Whether a path, with all links followed, lies where Gradio keeps uploads."""
    try:
        return Path(path).is_absolute() and Path(path).resolve().is_relative_to(Path(get_upload_folder()).resolve())
    except (OSError, ValueError, RuntimeError):  # no name of a file at all
        return False
