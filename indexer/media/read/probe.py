"""What a media file is: its length, size, rate and streams, without decoding more than one frame."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import av

from indexer.core.errors import UnreadableMediaError
from indexer.core.languages import language_code
from indexer.media.read.container import (
    CONTAINERS,
    best_picture_stream,
    best_sound_stream,
    frame_rate_of,
    open_media,
    read_packets,
)
from indexer.media.read.picture import (
    Orientation,
    displayed_size,
    orientation_of,
    pixel_aspect_of,
    tagged_orientation_of,
)

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["MediaFacts", "looks_like_media", "probe"]

# Fewer bytes than this for a second of film or sound: the header's length is not to be believed.
_FEWEST_BYTES_PER_S = 50
# Without an index, the length is that of the part between the time stamps that were found.
_UNINDEXED = "mpeg mpegts"
# How far to look for a first frame that can be decoded.
_FIRST_PACKETS = 300
_STILL_BRANDS = frozenset({"avif", "heic", "heix", "mif1"})
# Elementary streams carry no length; what PyAV reports for them is a guess from the bit rate.
_LENGTHLESS = "aac ac3 dts eac3 h261 h263 h264 hevc m4v mjpeg mpegvideo obu truehd vc1 vvc"


@dataclass(frozen=True, slots=True)
class MediaFacts:
    """One file's facts.

    Attributes:
        container: The format's own name, as ``matroska,webm``.
        duration_s: From the first frame to the end of the last, in seconds; of the sound where there is no picture.
        frame_rate: The stream's average frames per second, None without a picture or where nothing says.
        width: Pixels as displayed, rotation and pixel aspect applied; 0 without a picture.
        height: Likewise.
        rotation_deg: Clockwise turn that display needs and ``width`` and ``height`` include: 0, 90, 180 or 270.
        has_picture: Whether there is film to see; cover art is none.
        has_audio: Whether there is sound to hear.
        video_codec: The decoder's name, "" without a picture.
        audio_codec: The decoder's name, "" without sound.
        title: From the container's metadata, "" where it has none.
        text_subtitle_streams: Indices of the subtitle streams that hold text rather than pictures of text.
        text_subtitle_languages: The language of each of these, an ISO 639-1 code, "" where nothing says.
    """

    container: str
    duration_s: float
    frame_rate: Fraction | None
    width: int
    height: int
    rotation_deg: int
    has_picture: bool
    has_audio: bool
    video_codec: str
    audio_codec: str
    title: str
    text_subtitle_streams: tuple[int, ...]
    text_subtitle_languages: tuple[str, ...]


def probe(path: Path) -> MediaFacts:
    """Find out what ``path`` is. Reads its header and one frame; all its packets only if its length is in doubt.

    Raises:
        UnreadableMediaError: it is empty, unreadable, damaged beyond use, or holds neither picture nor sound.
    """
    with open_media(path) as container:
        picture, sound = best_picture_stream(container), best_sound_stream(container)
        stream = picture or sound
        if stream is None:
            raise _nothing_inside(path, container)
        duration_s = _stated_duration_s(path, container, stream) or _scanned_duration_s(path, stream.index)
        frame = _first_frame(container, picture) if picture else None
        return _facts(container, picture, sound, frame, duration_s)


def looks_like_media(path: Path) -> bool:
    """Whether a file of unknown name is a video or a recording, by what it contains. Never raises."""
    try:
        with open_media(path, CONTAINERS) as container:
            still = container.metadata.get("major_brand", "") in _STILL_BRANDS
            return not still and bool(best_picture_stream(container) or best_sound_stream(container))
    except (UnreadableMediaError, av.FFmpegError, OSError, ValueError):
        return False


def _nothing_inside(path: Path, container: InputContainer) -> UnreadableMediaError:
    if container.streams.video or container.streams.audio:
        return UnreadableMediaError(
            f"{path} is in a format for which there is no decoder here.", hint="Convert it, for example to H.264."
        )
    return UnreadableMediaError(f"{path} holds neither picture nor sound.")


def _facts(
    container: InputContainer,
    picture: VideoStream | None,
    sound: AudioStream | None,
    frame: VideoFrame | None,
    duration_s: float,
) -> MediaFacts:
    orientation = orientation_of(frame, tagged_orientation_of(picture)) if frame and picture else Orientation()
    width, height = _size(picture, frame, orientation) if picture else (0, 0)
    texts = [stream for stream in container.streams.subtitles if _is_text(stream)]
    return MediaFacts(
        container=container.format.name,
        duration_s=duration_s,
        frame_rate=frame_rate_of(picture) if picture else None,
        width=width,
        height=height,
        rotation_deg=orientation.degrees,
        has_picture=picture is not None,
        has_audio=sound is not None,
        video_codec=picture.codec_context.name if picture else "",
        audio_codec=sound.codec_context.name if sound else "",
        title=_title(container),
        text_subtitle_streams=tuple(stream.index for stream in texts),
        text_subtitle_languages=tuple(language_code(stream.language or "") for stream in texts),
    )


def _size(picture: VideoStream, frame: VideoFrame | None, orientation: Orientation) -> tuple[int, int]:
    stored = frame or picture.codec_context
    return displayed_size(stored.width, stored.height, pixel_aspect_of(picture), orientation)


def _title(container: InputContainer) -> str:
    tags = {key.lower(): value for key, value in container.metadata.items()}
    return " ".join(tags.get("title", "").split())


def _is_text(stream: Stream) -> bool:
    return stream.codec_context is not None and bool(stream.codec_context.codec.text_sub)


def _ignore() -> None:
    """Damage is for the decoder to count."""


def _first_frame(container: InputContainer, picture: VideoStream) -> VideoFrame | None:
    """The first frame that can be decoded, None if the beginning holds none."""
    for packet in islice(read_packets(container, picture, _ignore), _FIRST_PACKETS):
        try:
            frames = picture.decode(packet)
        except av.FFmpegError:
            continue
        if frames:
            return frames[0]
    return _flushed_frame(picture)


def _flushed_frame(picture: VideoStream) -> VideoFrame | None:
    try:
        return next(iter(picture.decode(None)), None)
    except av.FFmpegError:
        return None


def _stated_duration_s(path: Path, container: InputContainer, stream: Stream) -> float:
    """What the header says, in seconds; 0 where it says nothing or nothing credible."""
    if container.format.name in _LENGTHLESS.split() or _is_cut_short(path, stream):
        return 0.0
    stated_s = Fraction(max(0, container.duration or 0), av.time_base)
    if stream.duration and stream.duration > 0 and stream.time_base:
        stated_s = stream.duration * stream.time_base
        if container.format.name in _UNINDEXED.split() or _is_uneven(stream):
            stated_s = max(stated_s, _tail_end_s(path, stream.index, stated_s))
    elif stated_s:
        # The container's length is that of its longest stream, and some count it from the clock's zero.
        stated_s = _tail_end_s(path, stream.index, stated_s)
    return float(stated_s) if stated_s <= path.stat().st_size / Fraction(_FEWEST_BYTES_PER_S) else 0.0


def _is_uneven(stream: Stream) -> bool:
    """Whether frames last differently long. Headers then add up decoding times, which may end before the last frame."""
    return isinstance(stream, av.VideoStream) and stream.average_rate != stream.base_rate


def _tail_end_s(path: Path, index: int, length_s: Fraction) -> Fraction:
    """When a stream's last packets end, in seconds from its start, read from its last keyframe; 0 if none is found."""
    with open_media(path) as container:
        stream = container.streams[index]
        time_base = stream.time_base or Fraction(1, av.time_base)
        start_s = (stream.start_time or 0) * time_base
        try:
            container.seek(round((start_s + length_s) / time_base), stream=stream)
        except av.FFmpegError:
            return Fraction(0)
        return max(Fraction(0), _span(container, stream).surely_shown_until_s - start_s)


def _is_cut_short(path: Path, stream: Stream) -> bool:
    """Whether the file ends before the last packet that its index promises."""
    entries = stream.index_entries
    return len(entries) > 0 and entries[-1].pos + entries[-1].size > path.stat().st_size


def _scanned_duration_s(path: Path, index: int) -> float:
    """The span that the packets of a stream cover, in seconds, found by reading them all without decoding."""
    with open_media(path) as container:
        return float(_span(container, container.streams[index]).length_s)


def _span(container: InputContainer, stream: Stream) -> PacketSpan:
    """Of the packets from here on."""
    rate = frame_rate_of(stream) if isinstance(stream, av.VideoStream) else None
    span = PacketSpan(1 / rate if rate else Fraction(0))
    for packet in read_packets(container, stream, _ignore):
        span.add(packet.pts, packet.duration, packet.time_base)
    return span


class PacketSpan:
    """From the earliest start to the latest end of the packets added, in any order."""

    def __init__(self, step_s: Fraction) -> None:
        self._step_s = step_s
        self._starts_s: tuple[Fraction, Fraction] | None = None
        self._end_s = Fraction(0)
        self._shortest_s: Fraction | None = None
        self._untimed = 0

    def add(self, pts: int | None, duration: int | None, time_base: Fraction) -> None:
        """A packet without a time stamp counts as one step, as does one without a duration."""
        if pts is None:
            self._untimed += 1
            return
        start_s = pts * time_base
        length_s = duration * time_base if duration else self._step_s
        first_s, last_s = self._starts_s or (start_s, start_s)
        self._end_s = start_s + length_s if self._starts_s is None else max(self._end_s, start_s + length_s)
        self._starts_s = min(first_s, start_s), max(last_s, start_s)
        self._shortest_s = length_s if self._shortest_s is None else min(self._shortest_s, length_s)

    @property
    def surely_shown_until_s(self) -> Fraction:
        """The latest start and the shortest duration, on the packets' own clock; 0 for no packets.

        Where durations are those of decoding, as in MP4, the last frame's own need not be its display's.
        """
        return Fraction(0) if self._starts_s is None else self._starts_s[1] + (self._shortest_s or 0)

    @property
    def length_s(self) -> Fraction:
        """In seconds; 0 for no packets."""
        timed_s = Fraction(0) if self._starts_s is None else self._end_s - self._starts_s[0]
        return timed_s + self._untimed * self._step_s
