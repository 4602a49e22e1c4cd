"""What the player plays: files, streams made on the fly, thumbnails and clips, under ``/media/VIDEO``."""

from __future__ import annotations

import math
import mimetypes
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias
from urllib.parse import quote

from anyio.to_thread import run_sync
from fastapi import APIRouter, HTTPException, Query, Request, Response

from indexer.core.errors import IndexMissingError, MediaError, SceneseekError, StoreError, UsageError
from ui.web.byte_ranges import SAFE_HEADERS, FileInRanges, Streamed
from ui.web.gradio_limits import visitor_at
from ui.web.media_files import NotServedError, ServedFile, find_file
from ui.web.rate_limits import Slots

if TYPE_CHECKING:
    from indexer.media.deliver.playback import Playback
    from ui.services.library import Library

__all__ = ["MediaFiles", "media_router"]

TRANSCODES = 4
"""How many streams and clips are encoded at a time; half of them for one of several visitors."""

COPIES = 16
"""How many streams and clips are copied into another container at a time."""

_LONGEST_CLIP_S = 600.0
_THUMBNAILS_KEPT = "private, max-age=3600"

Second: TypeAlias = Annotated[float, Query(ge=0, le=10_000_000, allow_inf_nan=False)]
WayAsked: TypeAlias = Annotated[Literal["auto", "transcode"], Query()]


def media_router(library: Library, *, transcodes: int = TRANSCODES, shares: bool = True) -> APIRouter:
    """Everything that can be played of a library.

    ``GET /media/ID`` is the file itself, in ranges; ``/media/ID/info`` says how to play it and from where;
    ``/media/ID/stream.mp4?start=S`` is a stream for what browsers do not play; ``/media/ID/picture.jpg?t=S`` the
    thumbnail nearest to a second; ``/media/ID/clip?start=S&end=S`` a clip to keep.

    Args:
        library: Whose videos; only their exact ids are answered.
        transcodes: How many streams and clips are encoded at a time.
        shares: Whether there may be several visitors, each of whom gets at most half of these.
    """
    files = MediaFiles(library, transcodes, shares=shares)
    router = APIRouter(tags=["media"])
    for path, answer in (
        ("/media/{video_id}", files.file),
        ("/media/{video_id}/stream.mp4", files.stream),
        ("/media/{video_id}/picture.jpg", files.picture),
        ("/media/{video_id}/clip", files.clip),
    ):
        router.get(path, response_class=Response, response_model=None)(answer)
        router.head(path, include_in_schema=False, response_model=None)(answer)
    router.get("/media/{video_id}/info")(files.info)
    return router


class MediaFiles:
    """The answers.

    Args:
        library: Whose videos.
        transcodes: How many streams and clips are encoded at a time.
        shares: Whether there may be several visitors, each of whom gets at most half of these.
    """

    def __init__(self, library: Library, transcodes: int = TRANSCODES, *, shares: bool = True) -> None:
        self._library = library
        self._encoding = Slots(transcodes, None if shares else transcodes)
        self._copying = Slots(COPIES, None if shares else COPIES)
        # By what identifies a content: a file that changes is looked at again.
        self._playbacks = lru_cache(maxsize=1024)(_playback)

    def file(self, video_id: str) -> Response:
        """The file itself."""
        served = self._find(video_id)
        playback = self._how_to_play(served)
        mime = playback.mime if playback.way == "direct" else mimetypes.guess_type(served.name)[0]
        with _as_http(served):
            return FileInRanges(served.path, mime or "application/octet-stream")

    def info(self, request: Request, video_id: str, start: Second = 0.0, way: WayAsked = "auto") -> dict[str, Any]:
        """How to play a video from a second on.

        ``src`` is the address to play; a player's clock shows 0 at the video's second ``stream_start_s``, so that the
        video's time is the player's plus ``stream_start_s``.
        """
        from indexer.media.deliver.playback import stream_start

        served = self._find(video_id)
        playback = self._how_to_play(served, way)
        address = f"{request.scope.get('root_path', '').rstrip('/')}/media/{video_id}"
        stream_start_s = -playback.lead_s
        if playback.way != "direct":
            with _as_http(served):
                stream_start_s = stream_start(served.path, start, playback)
            address += f"/stream.mp4?start={start:.3f}" + ("&way=transcode" if way == "transcode" else "")
        return {
            "duration_s": served.video.duration_s,
            "way": playback.way,
            "mime": playback.mime,
            "src": address,
            "reason": playback.reason,
            "title": _title(served),
            "stream_start_s": stream_start_s,
            "has_picture": playback.picture != "none",
            "has_sound": playback.sound != "none",
            "is_changed": served.is_changed,
        }

    async def stream(self, request: Request, video_id: str, start: Second = 0.0, way: WayAsked = "auto") -> Response:
        """The video from a second on, as MP4 made on the fly; 503 while too many others are being made."""
        served = await run_sync(self._find, video_id)
        playback = await run_sync(self._how_to_play, served, way)
        if start > served.video.duration_s:
            raise HTTPException(400, f"{served.name} has ended before {start:.1f} s.")
        slots = self._encoding if playback.way == "transcode" else self._copying
        visitor = visitor_at(request.client)
        if request.method == "HEAD":
            slots.check(visitor)
            return _described({"content-type": "video/mp4", "accept-ranges": "none"})
        slot = slots.take(visitor)
        try:
            with _as_http(served):
                pieces = _pieces(served, start, playback)
                first = await run_sync(next, pieces, b"")
        except BaseException:
            slots.give_back(slot)
            raise
        slot.stream = Streamed(first, pieces, "video/mp4", on_close=lambda: slots.give_back(slot))
        return slot.stream

    def picture(self, video_id: str, t: Second = 0.0) -> Response:
        """The thumbnail of the keyframe at a second, or the last before it."""
        with _as_http():
            is_known = self._library.video(video_id) is not None
            path = self._library.picture(video_id, t) if is_known else None
            if path is None:
                raise NotServedError(404, "There is no picture of that.")
            return FileInRanges(path.resolve(), "image/jpeg", headers={"cache-control": _THUMBNAILS_KEPT})

    async def clip(self, request: Request, video_id: str, start: Second, end: Second) -> Response:
        """A clip to keep, cut out without encoding it anew where its codecs allow."""
        served = await run_sync(self._find, video_id)
        if not start < end:
            raise HTTPException(400, "A clip's end must come after its start.")
        if start >= served.video.duration_s:
            raise HTTPException(400, f"{served.name} has ended before {start:.1f} s.")
        if end - start > _LONGEST_CLIP_S:
            raise HTTPException(400, f"Clips are at most {_LONGEST_CLIP_S / 60:.0f} minutes long.")
        visitor = visitor_at(request.client)
        if request.method == "HEAD":
            self._encoding.check(visitor)
            with _as_http(served):
                return _described(await run_sync(_headers_of_cut, served, start))
        slot = self._encoding.take(visitor)
        folder = TemporaryDirectory(prefix="sceneseek-clip-")
        try:
            with _as_http(served):
                return await run_sync(_cut, served, (start, end), folder)
        except BaseException:
            folder.cleanup()
            raise
        finally:
            self._encoding.give_back(slot)

    def _find(self, video_id: str) -> ServedFile:
        with _as_http():
            return find_file(self._library.catalogue(), video_id)

    def _how_to_play(self, served: ServedFile, way: str = "auto") -> Playback:
        with _as_http(served):
            playback = self._playbacks(served.path, served.size, served.mtime_ns)
        return playback.transcoded() if way == "transcode" else playback


def _playback(path: Path, size: int, mtime_ns: int) -> Playback:  # noqa: ARG001
    from indexer.media.deliver.playback import how_to_play

    return how_to_play(path)


def _pieces(served: ServedFile, start_s: float, playback: Playback) -> Iterator[bytes]:
    from indexer.media.deliver.playback import stream_mp4

    return stream_mp4(served.path, start_s, playback=playback)


def _cut(served: ServedFile, span: tuple[float, float], folder: TemporaryDirectory[str]) -> Response:
    from indexer.media.deliver.cutting import cut_clip, suffix_of_cut

    suffix = suffix_of_cut(served.path)
    cut = cut_clip(served.path, *span, Path(folder.name) / f"clip{suffix}")
    headers = _headers_of_cut(served, span[0], suffix)
    mime = headers.pop("content-type")
    headers |= {"x-clip-start": f"{cut.start_s:.3f}", "x-clip-end": f"{cut.end_s:.3f}"}
    return FileInRanges(cut.path.resolve(), mime, headers=headers, on_close=folder.cleanup)


def _headers_of_cut(served: ServedFile, start_s: float, suffix: str = "") -> dict[str, str]:
    """What is known of a clip before it is cut."""
    from indexer.media.deliver.cutting import suffix_of_cut

    name = f"{_title(served)} {_clock(start_s)}{suffix or suffix_of_cut(served.path)}"
    return {
        "content-type": mimetypes.guess_type(f"clip{Path(name).suffix}")[0] or "application/octet-stream",
        "content-disposition": _disposition(name),
        "cache-control": "private, no-store",
    }


def _described(headers: Mapping[str, str]) -> Response:
    """What HEAD says of something that GET would have to make first: no size, as nobody knows it."""
    response = Response(headers={**SAFE_HEADERS, **headers})
    del response.headers["content-length"]
    return response


def _title(served: ServedFile) -> str:
    return _valid(served.video.title or Path(served.name).stem)


def _valid(text: str) -> str:
    """Without the bytes of file names that are no text."""
    return text.encode("utf-8", "replace").decode()


def _clock(time_s: float) -> str:
    """As ``1.02.03``: colons are not allowed in file names everywhere."""
    seconds = math.floor(time_s)
    return f"{seconds // 3600}.{seconds // 60 % 60:02}.{seconds % 60:02}"


def _disposition(name: str) -> str:
    """A download under this name, safe on any file system; for old browsers with what ASCII has of it."""
    safe = "".join("_" if letter in '\\/:*?"<>|' or not letter.isprintable() else letter for letter in name)
    safe = safe.strip(" .")[-120:].strip(" .") or "clip"
    plain = safe.encode("ascii", "replace").decode().replace("?", "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(safe, safe='')}"


@contextmanager
def _as_http(served: ServedFile | None = None) -> Iterator[None]:
    """Turns our errors into answers that name no folder."""
    try:
        yield
    except NotServedError as error:
        raise HTTPException(error.status, error.message) from error
    except SceneseekError as error:
        raise HTTPException(_status(error), _without_folders(error, served)) from error


def _without_folders(error: SceneseekError, served: ServedFile | None) -> str:
    if served is None or isinstance(error, StoreError):
        return "The index cannot be read at the moment."
    return str(error).replace(str(served.path), served.name)


def _status(error: SceneseekError) -> int:
    kinds: tuple[tuple[type[SceneseekError], int], ...] = (
        (IndexMissingError, 404),
        (StoreError, 503),
        (UsageError, 400),
        (MediaError, 415),
    )
    return next((status for kind, status in kinds if isinstance(error, kind)), 500)
