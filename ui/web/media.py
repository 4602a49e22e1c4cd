"""What the player plays: files, streams made on the fly, thumbnails and clips, under ``/media/VIDEO``."""

from __future__ import annotations

import math
import mimetypes
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias
from urllib.parse import quote

from anyio.to_thread import run_sync
from fastapi import APIRouter, HTTPException, Query, Request, Response

from indexer.core.errors import IndexMissingError, MediaError, SceneseekError, StoreError, UsageError
from indexer.media.deliver.cutting import Cut, cut_clip, suffix_of_cut
from indexer.media.deliver.playback import Playback, how_to_play, stream_mp4, stream_start
from ui.web.arguments import valid_text
from ui.web.byte_ranges import SAFE_HEADERS, StreamedResponse, file_response
from ui.web.media_files import ServedFile, find_file
from ui.web.rate_limits import ConversionLimit, visitor_of

if TYPE_CHECKING:
    from ui.services.library import Library

_LONGEST_CLIP_S = 600.0
_STATUS_OF_ERROR: dict[type[SceneseekError], int] = {
    IndexMissingError: 404,
    StoreError: 503,
    UsageError: 400,
    MediaError: 415,
}

Second: TypeAlias = Annotated[float, Query(ge=0, le=10_000_000, allow_inf_nan=False)]
WayAsked: TypeAlias = Annotated[Literal["auto", "transcode"], Query()]


class Media:
    """Everything that can be played of a library; only the exact ids of its videos are answered.

    Args:
        library: Whose videos.
        transcodes: How many streams and clips are encoded at a time.
        copies: How many streams are copied into another container at a time.
        is_shared: Whether there may be several visitors, each of whom gets at most half of these.
        stalled_s: How long a visitor may take nothing of a stream before it makes room for another, in seconds.
        stream: Makes a stream of a file.
        cut: Cuts a clip out of a file.
    """

    def __init__(
        self,
        library: Library,
        *,
        transcodes: int = 4,
        copies: int = 16,
        is_shared: bool = True,
        stalled_s: float = 30.0,
        stream: Callable[..., Generator[bytes]] = stream_mp4,
        cut: Callable[[Path, float, float, Path], Cut] = cut_clip,
    ) -> None:
        self._library = library
        self._encoding = ConversionLimit(transcodes, is_shared=is_shared, stalled_s=stalled_s)
        self._copying = ConversionLimit(copies, is_shared=is_shared, stalled_s=stalled_s)
        self._stream, self._cut = stream, cut
        # By size and time of change too, so that a file that changes is looked at again.
        self._playbacks = lru_cache(maxsize=1024)(lambda path, _size, _mtime_ns: how_to_play(path))

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter()
        router.get("/media/{video_id}/info")(self.info)
        for path, answer in (
            ("/media/{video_id}", self.file),
            ("/media/{video_id}/stream.mp4", self.stream),
            ("/media/{video_id}/picture.jpg", self.picture),
            ("/media/{video_id}/clip", self.clip),
        ):
            router.api_route(path, methods=["GET", "HEAD"], response_model=None)(answer)
        return router

    def file(self, request: Request, video_id: str) -> Response:
        """The file itself, or a byte range of it."""
        served = self._find(video_id)
        playback = self._how_to_play(served)
        mime = playback.mime if playback.way == "direct" else mimetypes.guess_type(served.name)[0]
        return file_response(request, served.path, mime or "application/octet-stream")

    def info(self, request: Request, video_id: str, start: Second = 0.0, way: WayAsked = "auto") -> dict[str, Any]:
        """How to play a video from a second on.

        ``src`` is the address to play. A player's clock shows 0 at the video's second ``stream_start_s``.
        """
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
        limit = self._encoding if playback.way == "transcode" else self._copying
        visitor = visitor_of(request.client)
        headers = {**SAFE_HEADERS, "accept-ranges": "none"}
        if request.method == "HEAD":
            limit.check(visitor)
            return _without_size(headers, "video/mp4")
        slot = limit.start(visitor)
        try:
            with _as_http(served):
                pieces = self._stream(served.path, start, playback=playback)
                first = await run_sync(next, pieces, b"")
        except BaseException:
            limit.end(slot)
            raise
        slot.response = StreamedResponse(
            pieces, first=first, on_close=lambda: limit.end(slot), headers=headers, media_type="video/mp4"
        )
        return slot.response

    def picture(self, request: Request, video_id: str, t: Second = 0.0) -> Response:
        """The thumbnail of the keyframe at a second, or the last before it."""
        with _as_http():
            is_known = self._library.video(video_id) is not None
            path = self._library.picture(video_id, t) if is_known else None
        if path is None:
            raise HTTPException(404, "There is no picture of that.")
        return file_response(request, path.resolve(), "image/jpeg", headers={"cache-control": "private, max-age=3600"})

    async def clip(self, request: Request, video_id: str, start: Second, end: Second) -> Response:
        """A clip to keep, cut out without encoding it anew where its codecs allow."""
        served = await run_sync(self._find, video_id)
        if not start < end:
            raise HTTPException(400, "A clip's end must come after its start.")
        if start >= served.video.duration_s:
            raise HTTPException(400, f"{served.name} has ended before {start:.1f} s.")
        if end - start > _LONGEST_CLIP_S:
            raise HTTPException(400, f"Clips are at most {_LONGEST_CLIP_S / 60:.0f} minutes long.")
        visitor = visitor_of(request.client)
        if request.method == "HEAD":
            self._encoding.check(visitor)
            suffix = await run_sync(self._suffix_of_cut, served)
            return _without_size(*_clip_headers(served, start, suffix))
        slot = self._encoding.start(visitor)
        try:
            return await run_sync(self._cut_clip, request, served, start, end)
        finally:
            self._encoding.end(slot)

    def _cut_clip(self, request: Request, served: ServedFile, start: float, end: float) -> Response:
        folder = TemporaryDirectory(prefix="sceneseek-clip-")
        try:
            suffix = self._suffix_of_cut(served)
            with _as_http(served):
                cut = self._cut(served.path, start, end, Path(folder.name) / f"clip{suffix}")
            headers, mime = _clip_headers(served, start, suffix)
            headers |= {"x-clip-start": f"{cut.start_s:.3f}", "x-clip-end": f"{cut.end_s:.3f}"}
            return file_response(request, cut.path.resolve(), mime, headers=headers, on_close=folder.cleanup)
        except BaseException:
            folder.cleanup()
            raise

    def _suffix_of_cut(self, served: ServedFile) -> str:
        with _as_http(served):
            return suffix_of_cut(served.path)

    def _find(self, video_id: str) -> ServedFile:
        with _as_http():
            return find_file(self._library.catalogue(), video_id)

    def _how_to_play(self, served: ServedFile, way: str = "auto") -> Playback:
        with _as_http(served):
            playback = self._playbacks(served.path, served.facts.st_size, served.facts.st_mtime_ns)
        return playback.transcoded() if way == "transcode" else playback


def _without_size(headers: dict[str, str], media_type: str) -> Response:
    """What HEAD answers where GET would have to make something first: its size is unknown."""
    response = Response(headers={**SAFE_HEADERS, **headers}, media_type=media_type)
    del response.headers["content-length"]
    return response


def _clip_headers(served: ServedFile, start_s: float, suffix: str) -> tuple[dict[str, str], str]:
    """What is known of a clip before it is cut, and its media type."""
    name = f"{_title(served)} {_clock(start_s)}{suffix}"
    headers = {"content-disposition": _disposition(name), "cache-control": "private, no-store"}
    return headers, mimetypes.guess_type(f"clip{suffix}")[0] or "application/octet-stream"


def _title(served: ServedFile) -> str:
    return valid_text(served.video.title or Path(served.name).stem)


def _clock(time_s: float) -> str:
    """As ``1.02.03``, because some file systems allow no colons in names."""
    seconds = math.floor(time_s)
    return f"{seconds // 3600}.{seconds // 60 % 60:02}.{seconds % 60:02}"


def _disposition(name: str) -> str:
    """A download under this name, safe on any file system; also in ASCII for old browsers."""
    safe = "".join("_" if letter in '\\/:*?"<>|' or not letter.isprintable() else letter for letter in name)
    safe = safe.strip(" .")[-120:].strip(" .") or "clip"
    plain = safe.encode("ascii", "replace").decode().replace("?", "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(safe, safe='')}"


@contextmanager
def _as_http(served: ServedFile | None = None) -> Iterator[None]:
    """Turns our errors into answers that name no folder."""
    try:
        yield
    except SceneseekError as error:
        status = next((status for kind, status in _STATUS_OF_ERROR.items() if isinstance(error, kind)), 500)
        if served is None or isinstance(error, StoreError):
            raise HTTPException(status, "The index cannot be read at the moment.") from error
        raise HTTPException(status, str(error).replace(str(served.path), served.name)) from error
