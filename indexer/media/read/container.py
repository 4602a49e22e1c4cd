"""Opens media files safely, and reads and decodes their packets past damage.

A file's name and content are untrusted. Only the ``file`` protocol is allowed. Playlists and scripts, which would open
other files, are refused before they are read, and so are formats that match almost any file.
"""

from __future__ import annotations

import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from indexer.core.errors import UnreadableMediaError

StreamT = TypeVar("StreamT", VideoStream, AudioStream)

# Formats whose header proves that a file of any name is a video or a recording.
_PROVEN = (
    "aiff asf au avi caf dv flac flv gif gxf ivf matroska,webm mov,mp4,m4a,3gp,3g2,mj2 mp3 mpeg mpegts mxf nut ogg rm "
    "swf tta w64 wav wtv wv yuv4mpegpipe"
)
_STILL_PICTURES = "alias_pix brender_pix fits ico msp txd"
_TEXTS = (
    "adf aqtitle ass bin dvbsub dvbtxt ffmetadata idf jacosub lrc mcc microdvd mpl2 mpsub pjs rcwt realtext sami sbg "
    "scc srt stl subviewer subviewer1 sup tedcaptions tty vobsub vplayer webvtt xbin"
)
_PLAYLISTS = "concat dash hls rtp rtsp sap sdp webm_dash_manifest"
# Headerless samples: any file could be read as one of these.
_HEADERLESS = (
    "alaw bitpacked cdg codec2raw data dfpwm f32be f32le f64be f64le g722 g726 g726le g728 gsm mulaw rawvideo s16be "
    "s16le s24be s24le s32be s32le s337m s8 sln u16be u16le u24be u24le u32be u32le u8 v210 v210x vidc"
)
CONTAINERS = frozenset(_PROVEN.split())
_REFUSED = frozenset(" ".join((_STILL_PICTURES, _TEXTS, _PLAYLISTS, _HEADERLESS)).split())
_MP4_BOXES = (b"ftyp", b"mdat", b"moov", b"wide", b"free", b"skip")
# Reading stops after this many errors in a row.
_MOST_ERRORS = 100


@cache
def _every_format() -> frozenset[str]:
    formats = map(av.ContainerFormat, av.formats_available)
    return frozenset(one.name for one in formats if one.is_input and not one.no_file and not _is_refused(one.name))


def _is_refused(name: str) -> bool:
    return name in _REFUSED or (name.endswith("pipe") and name != "yuv4mpegpipe")


@contextmanager
def open_media(path: Path, formats: frozenset[str] | None = None) -> Iterator[InputContainer]:
    """Open a file for reading.

    Args:
        path: Any path; it is never read as an address or a pattern.
        formats: Names of the allowed formats; None allows every one that holds video or sound.

    Raises:
        UnreadableMediaError: the file is missing, unreadable, empty, or no video or audio file.
    """
    start = _first_bytes(path)
    options = {"format_whitelist": ",".join(sorted(formats or _every_format())), "protocol_whitelist": "file"}
    try:
        container = av.open(str(path.absolute()), container_options=options, metadata_errors="replace")
    except av.FFmpegError as error:
        raise _not_media(path, start) from error
    try:
        yield container
    finally:
        container.close()


def _first_bytes(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UnreadableMediaError(f"{path} is not a file.")
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise UnreadableMediaError(
            f"{path} cannot be read: {error.strerror or error}.", hint="Check that it exists and that you may read it."
        ) from error
    if not start:
        raise UnreadableMediaError(f"{path} is empty.", hint="Copy or download it again.")
    return start


def _not_media(path: Path, start: bytes) -> UnreadableMediaError:
    if start[4:8] in _MP4_BOXES:
        return UnreadableMediaError(
            f"{path} is an incomplete MP4 or QuickTime file: its table of contents is missing or damaged.",
            hint="The recording or the copy was cut short; copy or download it again.",
        )
    return UnreadableMediaError(
        f"{path} is not a video or audio file, or is damaged beyond reading.",
        hint="Check that it plays in a video player.",
    )


def best_picture_stream(container: InputContainer) -> VideoStream | None:
    """The main video stream, or None. Cover art does not count, nor do streams without a decoder here."""
    streams = [one for one in container.streams.video if not one.disposition & Disposition.attached_pic]
    return _best(streams, container.streams.best("video"))


def best_sound_stream(container: InputContainer) -> AudioStream | None:
    """The main audio stream, or None; streams without a decoder here do not count."""
    return _best(container.streams.audio, container.streams.best("audio"))


def _best(streams: Iterable[StreamT], preferred: Stream | None) -> StreamT | None:
    decodable = [stream for stream in streams if stream.codec_context is not None]
    return next((stream for stream in decodable if stream is preferred), decodable[0] if decodable else None)


def main_streams(path: Path, container: InputContainer) -> tuple[VideoStream | None, AudioStream | None]:
    """The main video stream and the main audio stream; at least one of them.

    Raises:
        UnreadableMediaError: there is neither.
    """
    picture, sound = best_picture_stream(container), best_sound_stream(container)
    if picture is None and sound is None:
        raise UnreadableMediaError(f"{path} has neither picture nor sound that can be decoded here.")
    return picture, sound


def time_base_of(stream: Stream) -> Fraction:
    """Seconds per tick of a stream's time stamps."""
    return stream.time_base or Fraction(1, av.time_base)


def frame_rate_of(stream: VideoStream) -> Fraction | None:
    """Average frames per second, else the best guess, else None."""
    return stream.average_rate or stream.guessed_rate or stream.base_rate


def first_frame_s(container: InputContainer) -> Fraction:
    """The first frame's (else the first sample's) time on the container's own clock, in seconds.

    Subtract it from a time stamp of the file to get seconds from the first frame.
    """
    stream = best_picture_stream(container) or best_sound_stream(container)
    if stream is not None and stream.start_time is not None and stream.time_base is not None:
        return stream.start_time * stream.time_base
    return Fraction(container.start_time or 0, av.time_base)


def _ignore() -> None:
    """Damage is not counted."""


def read_packets(
    container: InputContainer, stream: Stream, on_damage: Callable[[], None] = _ignore
) -> Iterator[Packet[Stream]]:
    """All non-empty packets of one stream, in file order; ``on_damage`` is called for each damaged place.

    Raises:
        UnreadableMediaError: the file itself can no longer be read (a failing disk, a lost connection).
    """
    errors = 0
    while errors < _MOST_ERRORS:
        try:
            for packet in _without_cut_end(container.demux(stream), on_damage):
                errors = 0
                yield packet
        except av.FFmpegError:
            # Damaged content and a failing disk look alike here: read from the disk to find out.
            _first_bytes(Path(container.name))
            errors += 1
            on_damage()
        else:
            return


def _without_cut_end(packets: Iterator[Packet[Stream]], on_damage: Callable[[], None]) -> Iterator[Packet[Stream]]:
    """Non-empty packets without a damaged last one: a file cut short ends in the middle of a packet.

    A threaded decoder would raise its error instead of returning the good frames that it still holds.
    """
    damaged: Packet[Stream] | None = None
    for packet in packets:
        if not packet.size:
            continue
        if damaged is not None:
            yield damaged
            damaged = None
        if packet.is_corrupt:
            on_damage()
            damaged = packet
        else:
            yield packet


def decode_packets(
    stream: VideoStream | AudioStream, packets: Iterable[Packet[Stream]], on_damage: Callable[[], None] = _ignore
) -> Iterator[Any]:
    """The frames of the packets, then those still inside the decoder; keeps none of the frames it yields.

    ``on_damage`` is called for each packet that cannot be decoded.
    """
    for packet in chain(packets, (None,)):
        try:
            frames = deque(stream.decode(packet))
        except av.FFmpegError:
            on_damage()
            continue
        while frames:
            yield frames.popleft()
