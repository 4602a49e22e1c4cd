"""How a browser plays a file: as it is, in another container, or encoded again.

``how_to_play`` chooses by what Chromium and Firefox both play. ``stream_mp4`` makes a fragmented MP4 from a given
second on while it is watched; ``stream_start`` tells where that stream begins.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import av

from indexer.core.errors import UnreadableMediaError, UsageError
from indexer.media.deliver.seeking import says_when_shown
from indexer.media.deliver.tracks import COPY, ENCODE, Encoding, Handling, Source, interleaved, open_tracks
from indexer.media.read.container import first_frame_s, main_streams, open_media

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream

Way: TypeAlias = Literal["direct", "remux", "transcode"]

_STREAM_MIME = "video/mp4"
_LIVE = Encoding(preset="ultrafast", crf=24, largest=(1280, 720), sound_bitrate=160_000)
# Fragments end at codec keyframes and after at most a second, so that delay and memory do not grow with the distance
# between keyframes. The table of contents is delayed because it needs facts from the first packets.
_STREAMED = {"movflags": "frag_keyframe+delay_moov+default_base_moof", "frag_duration": "1000000"}

_MP4, _WEBM = "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"
_PLAIN_PIXELS = frozenset({"yuv420p", "yuvj420p"})
_PIXELS = {
    "h264": _PLAIN_PIXELS,
    "vp8": _PLAIN_PIXELS,
    "vp9": _PLAIN_PIXELS,
    "av1": _PLAIN_PIXELS | {"yuv420p10le"},
}
_ODD_PROFILES = frozenset({"Extended", "SSR", "LTP", "xHE-AAC"})
_IN_MP4 = frozenset({"h264", "vp9", "av1", "aac", "mp3", "opus", "flac"})
_PCM = frozenset({"pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_f32le", "pcm_alaw", "pcm_mulaw"})
# For each container: codecs that browsers play in it, and its media types with and without a picture.
_DIRECT: dict[str, tuple[frozenset[str], str, str]] = {
    _MP4: (_IN_MP4, "video/mp4", "audio/mp4"),
    "webm": (frozenset({"vp8", "vp9", "av1", "vorbis", "opus"}), "video/webm", "audio/webm"),
    "ogg": (frozenset({"vorbis", "opus", "flac"}), "", "audio/ogg"),
    "mp3": (frozenset({"mp3"}), "", "audio/mpeg"),
    "aac": (frozenset({"aac"}), "", "audio/aac"),
    "flac": (frozenset({"flac"}), "", "audio/flac"),
    "wav": (_PCM, "", "audio/wav"),
}
_CLEARLY_LATE_S = Fraction(1, 20)
_FORMAT_NAMES = {
    "avi": "AVI files",
    "flv": "Flash video",
    "matroska,webm": "Matroska files",
    "mpeg": "MPEG program streams",
    "mpegts": "MPEG transport streams",
    "asf": "Windows Media",
    "aiff": "AIFF",
    "ogg": "Ogg video",
}


@dataclass(frozen=True, slots=True)
class Playback:
    """How one file is played.

    Attributes:
        way: ``direct``: the file as it is. ``remux``: in another container, pictures and sound unchanged.
            ``transcode``: pictures, sound or both encoded again.
        mime: The media type of what is sent.
        reason: Why the file is not sent as it is, in a sentence; "" for ``direct``.
        picture: What ``stream_mp4`` does with the pictures: ``copy``, ``encode``, or ``none`` without pictures.
        sound: Likewise with the sound.
        lead_s: For ``direct``, seconds that a browser plays before the video's first frame: its clock begins with the
            first packet, ours with the first frame.
    """

    way: Way
    mime: str
    reason: str
    picture: Handling
    sound: Handling
    lead_s: float = 0.0

    def transcoded(self) -> Playback:
        """The same file encoded again, for a browser that could not play it otherwise."""
        return replace(
            self,
            way="transcode",
            mime=_STREAM_MIME,
            reason=self.reason or "The browser could not play it as it is.",
            picture="none" if self.picture == "none" else ENCODE,
            sound="none" if self.sound == "none" else ENCODE,
        )


def how_to_play(path: Path) -> Playback:
    """Decide by the file's header; nothing is decoded.

    Raises:
        UnreadableMediaError: there is no such media file, or nothing in it can be decoded here.
    """
    with open_media(path) as container:
        return _decide(container, _kind(path, container), *main_streams(path, container))


def _decide(container: InputContainer, kind: str, picture: VideoStream | None, sound: AudioStream | None) -> Playback:
    """Encode streams that browsers do not decode; put those that they do not demux into MP4."""
    foreign = [stream for stream in (picture, sound) if stream is not None and not _is_decoded_by_browsers(stream)]
    held, with_picture, without = _DIRECT.get(kind, (frozenset(), "", ""))
    mime = with_picture if picture is not None else without
    fits = all(_codec(stream) in held for stream in (picture, sound) if stream is not None)
    handling = _handling(container, picture), _handling(container, sound)
    same = _shows_the_same(container, picture, sound)
    if mime and fits and not foreign and same and _is_clock_clear(picture, sound):
        return Playback("direct", mime, "", *handling, lead_s=float(max(Fraction(0), first_frame_s(container))))
    way: Way = "transcode" if ENCODE in handling else "remux"
    return Playback(way, _STREAM_MIME, _why(kind, foreign, bool(mime), fits, same), *handling)


def _kind(path: Path, container: InputContainer) -> str:
    """The container's name; WebM and Matroska share one in FFmpeg and are told apart here."""
    if container.format.name != _WEBM:
        return container.format.name
    with path.open("rb") as file:
        return "webm" if b"webm" in file.read(64) else _WEBM


def _codec(stream: Stream) -> str:
    return stream.codec_context.codec.canonical_name


def _is_decoded_by_browsers(stream: Stream) -> bool:
    codec, context = _codec(stream), stream.codec_context
    if str(context.profile) in _ODD_PROFILES or (codec == "aac" and str(context.profile) == "Main"):
        return False
    if codec in _PIXELS:
        return str(getattr(context, "pix_fmt", "")) in _PIXELS[codec]
    return codec in _IN_MP4 | _PCM | {"vorbis"}


def _handling(container: InputContainer, stream: Stream | None) -> Handling:
    """Whether a stream can be copied into an MP4 that browsers play."""
    if stream is None:
        return "none"
    is_fit = _codec(stream) in _IN_MP4 and _is_decoded_by_browsers(stream)
    return COPY if is_fit and says_when_shown(container, stream) else ENCODE


def _shows_the_same(container: InputContainer, picture: VideoStream | None, sound: AudioStream | None) -> bool:
    """Whether a browser, which plays the first streams, plays the indexed ones."""
    pictures, sounds = container.streams.video, container.streams.audio
    return (picture is None or picture is pictures[0]) and (sound is None or sound is sounds[0])


def _is_clock_clear(*streams: Stream | None) -> bool:
    """Whether a stream begins at zero: some browsers shift a file that begins later to zero."""
    starts = [
        stream.start_time * stream.time_base
        for stream in streams
        if stream is not None and stream.start_time is not None and stream.time_base is not None
    ]
    return min(starts, default=Fraction(0)) <= _CLEARLY_LATE_S


def _why(kind: str, foreign: list[VideoStream | AudioStream], is_known: bool, fits: bool, same: bool) -> str:
    if foreign:
        return f"Browsers do not play {' and '.join(_described(stream) for stream in foreign)}."
    if not is_known:
        return f"Browsers do not play {_FORMAT_NAMES.get(kind, kind)}."
    if not fits:
        return "Browsers do not play these codecs in this kind of file."
    if not same:
        return "The file holds several pictures or sounds, and browsers would play another one."
    return "The file's clock does not begin at zero, and browsers do not agree on what that means."


def _described(stream: VideoStream | AudioStream) -> str:
    """As ``hevc pictures`` or ``h264 pictures stored as yuv422p10le``."""
    codec = _codec(stream)
    if stream.type != "video":
        return f"{codec} sound"
    return f"{codec} pictures" + (f" stored as {stream.codec_context.pix_fmt}" if codec in _PIXELS else "")


def stream_start(path: Path, start_s: float, playback: Playback) -> float:
    """The second of the video at which ``stream_mp4`` begins: at most ``start_s``, at a codec keyframe if copied.

    Raises:
        UnreadableMediaError: the file cannot be opened.
    """
    source = Source(path, playback.picture, playback.sound)
    return float(source.start_s(Fraction(max(0.0, start_s))))


def stream_mp4(path: Path, start_s: float, *, playback: Playback) -> Generator[bytes]:
    """The file from ``start_s`` on as a fragmented MP4 whose clock begins with 0 at ``stream_start``.

    Yields pieces of about a second; memory does not grow with the length. Damaged packets are left out. Closing the
    iterator closes the file.

    Raises:
        UsageError: there is nothing at that time.
        UnreadableMediaError: the file cannot be opened or decoded.
    """
    source = Source(path, playback.picture, playback.sound)
    begin_s = source.start_s(Fraction(max(0.0, start_s)))
    try:
        is_empty = True
        for piece in _streamed(source, begin_s):
            is_empty = False
            yield piece
    except av.FFmpegError as error:
        raise UnreadableMediaError(f"{path} cannot be made into a stream: {error.strerror}.") from error
    if is_empty:
        raise UsageError(f"There is nothing to play at {start_s:.1f} s.", hint="Ask for an earlier second.")


def _streamed(source: Source, start_s: Fraction) -> Iterator[bytes]:
    """The pieces of an MP4; none if it would be empty."""
    buffer = _Buffer()
    with ExitStack() as opened:
        out = opened.enter_context(av.open(buffer, "w", format="mp4", container_options=_STREAMED))
        is_empty = True
        for _ in interleaved(open_tracks(source, (start_s, None), out, _LIVE, opened), out):
            is_empty = False
            if buffer.pieces:
                yield buffer.take()
        if is_empty:
            return
        out.close()
    yield buffer.take()


class _Buffer:
    """The file that PyAV writes to: it keeps the bytes until they are taken."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, content: bytes) -> int:
        self.pieces.append(bytes(content))
        return len(content)

    def take(self) -> bytes:
        """Everything written since the last call."""
        pieces, self.pieces = self.pieces, []
        return b"".join(pieces)
