"""Opening media files safely, and reading their packets past damage.

A file's name and first bytes are untrusted: only the ``file`` protocol is allowed, playlists and scripts that
would open other files are refused before they are read, and so are formats that match almost anything.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from indexer.core.errors import UnreadableMediaError

__all__ = [
    "CONTAINERS",
    "best_picture_stream",
    "best_sound_stream",
    "every_format",
    "first_frame_s",
    "frame_rate_of",
    "open_media",
    "read_packets",
]

# Formats whose header is proof enough that a file with any name is a video or a recording.
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
# Headerless samples: any file at all could be read as one of these.
_HEADERLESS = (
    "alaw bitpacked cdg codec2raw data dfpwm f32be f32le f64be f64le g722 g726 g726le g728 gsm mulaw rawvideo s16be "
    "s16le s24be s24le s32be s32le s337m s8 sln u16be u16le u24be u24le u32be u32le u8 v210 v210x vidc"
)
CONTAINERS = frozenset(_PROVEN.split())
_REFUSED = frozenset(" ".join((_STILL_PICTURES, _TEXTS, _PLAYLISTS, _HEADERLESS)).split())
_MP4_BOXES = (b"ftyp", b"mdat", b"moov", b"wide", b"free", b"skip")
# A reader that meets this many errors in a row, with no packet between, is not going to recover.
_HOPELESS = 100


@cache
def every_format() -> frozenset[str]:
    """Names of all the formats that PyAV reads and that hold video or sound."""
    inputs = (av.ContainerFormat(name) for name in av.formats_available if _is_input(name))
    return frozenset(entry.name for entry in inputs if not entry.no_file and not _is_refused(entry.name))


def _is_input(name: str) -> bool:
    return av.ContainerFormat(name).is_input


def _is_refused(name: str) -> bool:
    return name in _REFUSED or (name.endswith("pipe") and name != "yuv4mpegpipe")


@contextmanager
def open_media(path: Path, formats: frozenset[str] | None = None) -> Iterator[InputContainer]:
    """Open a file for reading, and close it whatever happens.

    Args:
        path: Any path; it is never taken for an address or a pattern.
        formats: Names of the formats allowed; every one that holds video or sound if None.

    Raises:
        UnreadableMediaError: there is no such file, it cannot be read, is empty, or is no video or audio file.
    """
    start = _first_bytes(path)
    options = {"format_whitelist": ",".join(sorted(formats or every_format())), "protocol_whitelist": "file"}
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
    """The stream to look at, or None; cover art is no picture stream, nor is one that no decoder here reads."""
    streams = [stream for stream in container.streams.video if _is_moving_picture(stream)]
    best = container.streams.best("video")
    return next((stream for stream in streams if stream is best), streams[0] if streams else None)


def _is_moving_picture(stream: VideoStream) -> bool:
    return stream.codec_context is not None and not stream.disposition & Disposition.attached_pic


def best_sound_stream(container: InputContainer) -> AudioStream | None:
    """The stream to listen to, or None."""
    streams = [stream for stream in container.streams.audio if stream.codec_context is not None]
    best = container.streams.best("audio")
    return next((stream for stream in streams if stream is best), streams[0] if streams else None)


def frame_rate_of(stream: VideoStream) -> Fraction | None:
    """Average frames per second, or the best guess at it, or None."""
    return stream.average_rate or stream.guessed_rate or stream.base_rate


def first_frame_s(container: InputContainer) -> Fraction:
    """The first frame's (or else the first sample's) time on the container's own clock, in seconds.

    Subtract it from any time stamp of the file to get seconds from the first frame.
    """
    stream = best_picture_stream(container) or best_sound_stream(container)
    if stream is not None and stream.start_time is not None and stream.time_base is not None:
        return stream.start_time * stream.time_base
    return Fraction(container.start_time or 0, av.time_base)


def read_packets(container: InputContainer, stream: Stream, on_damage: Callable[[], None]) -> Iterator[Packet[Stream]]:
    """All non-empty packets of one stream, in file order; ``on_damage`` is called for each damaged place.

    Raises:
        UnreadableMediaError: the file itself can no longer be read (a failing disk, a lost connection).
    """
    failures = 0
    while failures < _HOPELESS:
        try:
            for packet in _without_cut_end(container.demux(stream), on_damage):
                failures = 0
                yield packet
        except av.FFmpegError:
            # Damage to the contents and a failing disk look alike here: ask the disk.
            _first_bytes(Path(container.name))
            failures += 1
            on_damage()
        else:
            return


def _without_cut_end(packets: Iterator[Packet[Stream]], on_damage: Callable[[], None]) -> Iterator[Packet[Stream]]:
    """Packets with something in them, but for a damaged last one: a file cut short ends in the middle of a packet.

    Its error would come out of a threaded decoder in place of the good frames that are still in there.
    """
    held: Packet[Stream] | None = None
    for packet in packets:
        if not packet.size:
            continue
        if held is not None:
            yield held
            held = None
        if packet.is_corrupt:
            on_damage()
            held = packet
        else:
            yield packet
