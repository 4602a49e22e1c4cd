"""What a media file is: its length, size, rate, streams and time code; decodes at most one frame."""

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
    decode_packets,
    frame_rate_of,
    open_media,
    read_packets,
    time_base_of,
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

# With fewer bytes per second of video or sound, the length in the header is wrong.
_FEWEST_BYTES_PER_S = 50
# Formats without an index: the stated length is that of the part between the time stamps that were found.
_UNINDEXED = "mpeg mpegts"
# How many packets to try for a first frame.
_FIRST_PACKETS = 300
_STILL_BRANDS = frozenset({"avif", "heic", "heix", "mif1"})
# Elementary streams carry no length; PyAV guesses one from the bit rate.
_LENGTHLESS = "aac ac3 dts eac3 h261 h263 h264 hevc m4v mjpeg mpegvideo obu truehd vc1 vvc"


@dataclass(frozen=True, slots=True)
class MediaFacts:
    """One file's facts.

    Attributes:
        duration_s: From the first frame to the end of the last, in seconds; of the sound without a picture.
        frame_rate: The stream's average frames per second, None if unknown.
        width: Pixels as displayed, rotation and pixel aspect applied; 0 without a picture.
        height: Likewise.
        rotation_deg: Clockwise turn for display, included in ``width`` and ``height``: 0, 90, 180 or 270.
        has_picture: Whether there is moving picture; cover art does not count.
        has_audio: Whether there is sound.
        title: From the container's metadata, "" where it has none.
        text_subtitle_streams: Indices of the subtitle streams that hold text rather than pictures of text.
        text_subtitle_languages: The language of each of these, an ISO 639-1 code, "" if unknown.
    """

    duration_s: float
    frame_rate: Fraction | None
    width: int
    height: int
    rotation_deg: int
    has_picture: bool
    has_audio: bool
    title: str
    text_subtitle_streams: tuple[int, ...]
    text_subtitle_languages: tuple[str, ...]


def probe(path: Path) -> MediaFacts:
    """Read a file's header and one frame; all its packets only if its length is in doubt.

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
        duration_s=duration_s,
        frame_rate=frame_rate_of(picture) if picture else None,
        width=width,
        height=height,
        rotation_deg=orientation.degrees,
        has_picture=picture is not None,
        has_audio=sound is not None,
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


def _first_frame(container: InputContainer, picture: VideoStream) -> VideoFrame | None:
    """The first frame that can be decoded, None if the first packets hold none."""
    return next(decode_packets(picture, islice(read_packets(container, picture), _FIRST_PACKETS)), None)


def _stated_duration_s(path: Path, container: InputContainer, stream: Stream) -> float:
    """The header's duration in seconds; 0 if it has none or an implausible one."""
    if container.format.name in _LENGTHLESS.split() or _is_cut_short(path, stream):
        return 0.0
    stated_s = Fraction(max(0, container.duration or 0), av.time_base)
    if stream.duration and stream.duration > 0 and stream.time_base:
        stated_s = stream.duration * stream.time_base
        if container.format.name in _UNINDEXED.split() or _is_uneven(stream):
            stated_s = max(stated_s, _tail_end_s(path, stream.index, stated_s))
    elif stated_s:
        # The container's length is that of its longest stream, and some files count it from the clock's zero.
        stated_s = _tail_end_s(path, stream.index, stated_s)
    return float(stated_s) if stated_s <= path.stat().st_size / Fraction(_FEWEST_BYTES_PER_S) else 0.0


def _is_uneven(stream: Stream) -> bool:
    """Whether frame durations vary. Headers then add up decoding times, which may end before the last frame."""
    return isinstance(stream, av.VideoStream) and stream.average_rate != stream.base_rate


def _tail_end_s(path: Path, index: int, length_s: Fraction) -> Fraction:
    """When a stream's last packets end, in seconds from its start; reads from the last keyframe on; 0 if none."""
    with open_media(path) as container:
        stream = container.streams[index]
        time_base = time_base_of(stream)
        start_s = (stream.start_time or 0) * time_base
        try:
            container.seek(round((start_s + length_s) / time_base), stream=stream)
        except av.FFmpegError:
            return Fraction(0)
        return max(Fraction(0), _span(container, stream).surely_shown_until_s - start_s)


def _is_cut_short(path: Path, stream: Stream) -> bool:
    """Whether the file ends before the last packet of its index."""
    entries = stream.index_entries
    return len(entries) > 0 and entries[-1].pos + entries[-1].size > path.stat().st_size


def _scanned_duration_s(path: Path, index: int) -> float:
    """The span that a stream's packets cover, in seconds; reads all packets without decoding."""
    with open_media(path) as container:
        return float(_span(container, container.streams[index]).length_s)


def _span(container: InputContainer, stream: Stream) -> PacketSpan:
    rate = frame_rate_of(stream) if isinstance(stream, av.VideoStream) else None
    span = PacketSpan(1 / rate if rate else Fraction(0))
    for packet in read_packets(container, stream):
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
        """Add a packet; one without a time stamp or a duration counts as one step."""
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
        """The latest start plus the shortest duration, on the packets' own clock; 0 without packets.

        In MP4, durations are those of decoding: the last frame may be displayed for another time.
        """
        return Fraction(0) if self._starts_s is None else self._starts_s[1] + (self._shortest_s or 0)

    @property
    def length_s(self) -> Fraction:
        """In seconds; 0 without packets."""
        timed_s = Fraction(0) if self._starts_s is None else self._end_s - self._starts_s[0]
        return timed_s + self._untimed * self._step_s


def start_timecode(path: Path) -> str | None:
    """The camera's time code of the first frame, such as ``01:00:00:00`` (``;`` before the frames if it drops numbers).

    "" if the file has none, None if it cannot be opened. Reads the header only.
    """
    try:
        with open_media(path) as container:
            picture = best_picture_stream(container)
            streams = [picture, *container.streams.data] if picture else []
            tags = [*(stream.metadata for stream in streams), container.metadata]
    except UnreadableMediaError:
        return None
    return next((found["timecode"] for found in tags if found.get("timecode")), "")
