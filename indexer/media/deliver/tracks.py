"""Pictures and sound of a file from one second to another, packet by packet, for a new file.

Each track reads the file on its own: so a file whose pictures and sound lie far apart needs no more memory than
another one, and what comes out is well mixed.
"""

from __future__ import annotations

import heapq
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import av
import numpy as np
from av.video.frame import PictureType
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from indexer.core.errors import UnreadableMediaError
from indexer.core.types import Samples
from indexer.media.deliver.seeking import SAME_S, find_keyframe, read_from, stamp_of
from indexer.media.read.audio import iter_audio
from indexer.media.read.container import (
    best_picture_stream,
    best_sound_stream,
    first_frame_s,
    frame_rate_of,
    open_media,
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
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["COPY", "ENCODE", "Encoding", "Handling", "Source", "Track", "interleaved", "open_tracks"]

Handling: TypeAlias = Literal["none", "copy", "encode"]
Track: TypeAlias = "Generator[Packet[Stream], None, None]"
COPY: Handling = "copy"
ENCODE: Handling = "encode"

_SOUND_RATE = 48_000
_SOUND_WINDOW_S = 0.25
# Divides evenly by all the usual frame rates, and is what MPEG counts in.
_TICKS_PER_S = 90_000
# Stamps that fall back by more than this start a new recording: the copy goes on where it was.
_RESTART_S = 1
_KEYFRAME_EVERY_S = 2
_USUAL_RATE = Fraction(25)
# How PyAV makes brightness and colour out of red, green and blue: SMPTE 170M, by its number in H.273.
_OF_RGB = 6


@dataclass(frozen=True, slots=True)
class Encoding:
    """How what is not copied is encoded: H.264 and AAC, which everything plays.

    Attributes:
        preset: How hard x264 tries, from ``ultrafast`` to ``veryslow``.
        crf: Constant quality; lower is better.
        largest: Width and height in pixels, as displayed, that a picture is made to fit into; None: as it is.
        sound_bitrate: Bits per second.
    """

    preset: str
    crf: int
    largest: tuple[int, int] | None
    sound_bitrate: int


@dataclass(frozen=True, slots=True)
class Source:
    """A file and what is done with its pictures and its sound."""

    path: Path
    picture: Handling
    sound: Handling

    def start_s(self, asked_s: Fraction) -> Fraction:
        """Where a copy that begins at the asked second or before it begins, in seconds from the first frame.

        That is a codec keyframe of the pictures; of a file of sound alone, the packet that is heard at that second.
        """
        if self.picture == ENCODE or (self.picture == "none" and self.sound != COPY):
            return asked_s
        with open_media(self.path) as container:
            stream = best_picture_stream(container) if self.picture == COPY else best_sound_stream(container)
            if stream is None:
                return asked_s
            landing = find_keyframe(container, stream, asked_s)
            if self.picture == "none" and (landing is None or landing.time_s > asked_s):
                return asked_s
            return max(Fraction(0), landing.time_s) if landing else Fraction(0)


def open_tracks(
    source: Source,
    span: tuple[Fraction, Fraction | None],
    out: OutputContainer,
    encoding: Encoding,
    opened: ExitStack,
) -> list[Track]:
    """The packets of each track in order of decoding, the first instant being 0.

    A track adds its stream to ``out`` when it is first asked for a packet, and adds none if it has no packet.

    Args:
        source: What to read.
        span: From here, in seconds from the first frame (where pictures are copied: what ``Source.start_s`` said), up
            to here; to the end of the file if None.
        out: Where the packets will go.
        encoding: For what is not copied.
        opened: Closes the files.

    Raises:
        UnreadableMediaError: the file cannot be opened.
    """
    tracks: list[Track] = []
    if source.picture != "none":
        container = opened.enter_context(open_media(source.path))
        picture = best_picture_stream(container)
        if picture is not None and source.picture == COPY:
            tracks.append(_copied(container, picture, span, out))
        elif picture is not None:
            tracks.append(_encoded_pictures(_Pictures(container, picture), span, out, encoding))
    if source.sound == COPY:
        container = opened.enter_context(open_media(source.path))
        sound = best_sound_stream(container)
        tracks += [] if sound is None else [_copied(container, sound, span, out)]
    elif source.sound == ENCODE:
        tracks.append(_encoded_sound(source.path, span, out, encoding))
    return tracks


def interleaved(tracks: Sequence[Track], out: OutputContainer) -> Iterator[Fraction]:
    """Write the packets of all tracks in order of time; yields, after each, until when it is shown, in seconds.

    A packet that does not fit into the file, being damaged, is left out.
    """
    try:
        for packet in heapq.merge(*tracks, key=_decoded_at):
            until_s = ((packet.pts or 0) + (packet.duration or 0)) * packet.time_base
            try:
                out.mux_one(packet)
            except (av.FFmpegError, ValueError):
                continue
            yield until_s
    finally:
        for track in tracks:
            track.close()


def _decoded_at(packet: Packet[Stream]) -> Fraction:
    return (packet.dts or 0) * packet.time_base


def _copied(
    container: InputContainer, stream: Stream, span: tuple[Fraction, Fraction | None], out: OutputContainer
) -> Track:
    """A stream's packets from the keyframe at the start on.

    At the end, packets of later pictures are kept as far as earlier ones are made from them.
    """
    copy = None
    late: list[Packet[Stream]] = []
    unframe = _Unframer(stream)
    landing = find_keyframe(container, stream, span[0])
    clock = _Clock(container, stream, span[0])
    end = None if span[1] is None else (span[1] - span[0] - SAME_S) / clock.time_base
    for packet in read_from(container, stream, landing):
        if packet.is_corrupt or not clock.set(packet) or packet.pts is None or packet.dts is None:
            continue
        if end is not None and packet.dts >= end:
            return
        if end is not None and packet.pts >= end:
            late.append(packet)
            continue
        copy = copy or out.add_stream_from_template(stream, opaque=True)
        for ready in (*late, packet):
            for bare in unframe(ready):
                whole = _whole(bare) if out.format.name == "mp3" else bare
                whole.stream = copy
                yield whole
        late.clear()


def _whole(packet: Packet[Stream]) -> Packet[Stream]:
    """The packet without a note that its end is padding: the writer of MP3 makes of it that the clip's start is too."""
    if not packet.has_sidedata("skip_samples"):
        return packet
    whole: Packet[Stream] = av.Packet(bytes(packet))
    whole.pts, whole.dts, whole.duration, whole.time_base = packet.pts, packet.dts, packet.duration, packet.time_base
    whole.is_keyframe = packet.is_keyframe
    return whole


class _Unframer:
    """Takes off the header that AAC has before each packet in a transport stream, and no other file has."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._is_aac = stream.codec_context.codec.canonical_name == "aac"
        self._filter: av.BitStreamFilterContext | None = None

    def __call__(self, packet: Packet[Stream]) -> list[Packet[Stream]]:
        """What to copy; nothing of a damaged packet."""
        head = bytes(packet)[:2] if self._is_aac else b""
        if len(head) < 2 or head[0] != 0xFF or head[1] & 0xF0 != 0xF0:
            return [packet]
        time_base = packet.time_base
        self._filter = self._filter or av.BitStreamFilterContext("aac_adtstoasc", self._stream)
        try:
            bare = self._filter.filter(packet)
        except av.FFmpegError:
            return []
        for each in bare:
            each.time_base = time_base
        return bare


class _Clock:
    """Sets packets to a clock that begins with 0 at a second of the file, and goes on where the file's own restarts."""

    def __init__(self, container: InputContainer, stream: Stream, start_s: Fraction) -> None:
        self._container = container
        self.time_base = stream.time_base or Fraction(1, av.time_base)
        self._origin = round((first_frame_s(container) + start_s) / self.time_base)
        rate = frame_rate_of(stream) if isinstance(stream, av.VideoStream) else None
        self._step = max(1, round(1 / (rate or _USUAL_RATE) / self.time_base))
        self._delay = self._step * int(getattr(stream.codec_context, "has_b_frames", 0))
        self._previous: int | None = None

    def set(self, packet: Packet[Stream]) -> bool:
        """Whether the packet is shown at 0 or later; then its stamps are such that a file can hold them."""
        shown = stamp_of(self._container, packet)
        decoded = self._decoded(packet, shown)
        if self._previous is not None and decoded < self._previous - _RESTART_S / self.time_base:
            self._origin += decoded - self._previous - self._step
            decoded = self._previous + self._step
        pts = decoded if shown is None else shown - self._origin
        if pts < 0:
            return False
        packet.dts = decoded if self._previous is None else max(decoded, self._previous + 1)
        packet.pts = max(pts, packet.dts)
        self._previous = packet.dts
        return True

    def _decoded(self, packet: Packet[Stream], shown: int | None) -> int:
        if packet.dts is not None:
            return packet.dts - self._origin
        if self._previous is not None:
            return self._previous + (packet.duration or self._step)
        return (shown or self._origin) - self._origin - self._delay


class _Pictures:
    """A picture stream to be decoded."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        stream.thread_type = "AUTO"
        self.stream = stream
        self._container = container
        self._time_base = stream.time_base or Fraction(1, av.time_base)
        self.rate = frame_rate_of(stream) or _USUAL_RATE

    def shown(self, span: tuple[Fraction, Fraction | None]) -> Iterator[tuple[Fraction, Fraction, VideoFrame]]:
        """What is seen in the span, from when and until when, in seconds from its start.

        The first is the frame that stands there then. A frame stands until the next one, the file's last as long as it
        says or a frame takes on average; that may be before the span.
        """
        start_s, end_s = span
        standing: tuple[Fraction, VideoFrame] | None = None
        for time_s, frame in self._frames(start_s):
            has_ended = end_s is not None and time_s >= end_s - SAME_S
            if standing is not None and time_s > start_s + SAME_S:
                next_s = end_s if end_s is not None and has_ended else time_s
                yield max(standing[0] - start_s, Fraction(0)), next_s - start_s, standing[1]
            if has_ended:
                return
            standing = time_s, frame
        if standing is not None:
            time_s, frame = standing
            yield max(time_s - start_s, Fraction(0)), time_s + self._own_length(frame) - start_s, frame

    def _own_length(self, frame: VideoFrame) -> Fraction:
        return max(1 / self.rate, (frame.duration or 0) * self._time_base)

    def _frames(self, start_s: Fraction) -> Iterator[tuple[Fraction, VideoFrame]]:
        """Frames and their times, in seconds from the first frame, from a keyframe before the start on."""
        landing = find_keyframe(self._container, self.stream, start_s)
        is_avi = self._container.format.name == "avi"
        origin, previous = first_frame_s(self._container) / self._time_base, None
        for frame in self._decoded(read_from(self._container, self.stream, landing)):
            stamp = frame.dts if is_avi else frame.pts
            if previous is None and is_avi and stamp is not None and landing is not None:
                # AVI's stamps are those of decoding; the first frame out is the keyframe all the same.
                origin += stamp - landing.stamp
            time_s = None if stamp is None else (stamp - origin) * self._time_base
            if time_s is not None and previous is not None and time_s < previous - _RESTART_S:
                origin += (time_s - previous) / self._time_base - 1 / self.rate / self._time_base
                time_s = None
            previous = time_s if time_s is not None else (previous or Fraction(0)) + 1 / self.rate
            yield previous, frame

    def _decoded(self, packets: Iterable[Packet[Stream]]) -> Iterator[VideoFrame]:
        for packet in chain(packets, (None,)):
            try:
                frames = self.stream.decode(packet)
            except av.FFmpegError:
                continue
            yield from frames


def _encoded_pictures(
    pictures: _Pictures, span: tuple[Fraction, Fraction | None], out: OutputContainer, encoding: Encoding
) -> Track:
    """H.264 with square pixels; turned for display as the source is."""
    encoder, previous = None, -1
    lengths: dict[int | None, int] = {}
    scaler = VideoReformatter()
    for time_s, until_s, frame in pictures.shown(span):
        pts = round(time_s * _TICKS_PER_S)
        if pts <= previous:
            continue
        encoder = encoder or _picture_encoder(pictures, frame, out, encoding)
        scaled = _scaled(scaler, frame, encoder.width, encoder.height)
        scaled.pts, scaled.time_base, scaled.pict_type = pts, Fraction(1, _TICKS_PER_S), PictureType.NONE
        lengths[pts] = max(0, round(until_s * _TICKS_PER_S) - pts)
        previous = pts
        yield from _lasting(encoder.encode(scaled), lengths)
    if encoder is not None:
        yield from _lasting(encoder.encode(None), lengths)


def _lasting(packets: Iterable[Packet[Stream]], lengths: dict[int | None, int]) -> Track:
    """The encoder's packets, which do not say themselves how long they are shown; takes them out of ``lengths``."""
    for packet in packets:
        packet.duration = lengths.pop(packet.pts, 0)
        yield packet


def _scaled(scaler: VideoReformatter, frame: VideoFrame, width: int, height: int) -> VideoFrame:
    """In the pixels and the range of brightness that every player takes."""
    is_full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
    return scaler.reformat(
        frame,
        width,
        height,
        "yuv420p",
        interpolation=Interpolation.BILINEAR,
        src_color_range=ColorRange.JPEG if is_full else frame.color_range,
        dst_color_range=ColorRange.MPEG,
    )


def _picture_encoder(pictures: _Pictures, frame: VideoFrame, out: OutputContainer, encoding: Encoding) -> VideoStream:
    orientation = orientation_of(frame, tagged_orientation_of(pictures.stream))
    options = {"preset": encoding.preset, "crf": str(encoding.crf)}
    encoder = out.add_stream("libx264", rate=pictures.rate, options=options)
    encoder.width, encoder.height = _size(frame, pixel_aspect_of(pictures.stream), orientation, encoding.largest)
    encoder.pix_fmt = "yuv420p"
    context = encoder.codec_context
    context.time_base = Fraction(1, _TICKS_PER_S)
    context.max_b_frames = 0
    context.color_range = ColorRange.MPEG
    context.colorspace = _OF_RGB if frame.format.is_rgb else frame.colorspace
    context.color_primaries, context.color_trc = frame.color_primaries, frame.color_trc
    context.gop_size = max(1, min(round(_KEYFRAME_EVERY_S * pictures.rate), 250))
    if orientation.degrees:
        encoder.set_display_rotation(-orientation.degrees)
    return encoder


def _size(
    frame: VideoFrame, aspect: Fraction, orientation: Orientation, largest: tuple[int, int] | None
) -> tuple[int, int]:
    """Width and height to store: even, with square pixels, small enough once displayed."""
    width, height = displayed_size(frame.width, frame.height, aspect, Orientation())
    scale = 1.0
    if largest is not None:
        room = largest[::-1] if orientation.swap else largest
        scale = min(1.0, room[0] / width, room[1] / height)
    return _even(width * scale), _even(height * scale)


def _even(pixels: float) -> int:
    return max(2, 2 * round(pixels / 2))


def _encoded_sound(
    path: Path, span: tuple[Fraction, Fraction | None], out: OutputContainer, encoding: Encoding
) -> Track:
    """AAC in stereo; silent where the source is, so that it keeps step with the pictures."""
    encoder, written = None, 0
    length = None if span[1] is None else round((span[1] - span[0]) * _SOUND_RATE)
    windows = iter_audio(path, _SOUND_RATE, window_s=_SOUND_WINDOW_S, mono=False, start_s=float(span[0]))
    for window in _until_it_ends(windows):
        samples = window if length is None else window[:, : length - written]
        if not samples.shape[1]:
            break
        encoder = encoder or _sound_encoder(out, encoding)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = _SOUND_RATE, written, Fraction(1, _SOUND_RATE)
        written += samples.shape[1]
        yield from encoder.encode(frame)
    if encoder is not None:
        yield from encoder.encode(None)


def _until_it_ends(windows: Iterator[Samples]) -> Iterator[Samples]:
    """The pictures of a file go on where its sound has ended, or cannot be decoded."""
    try:
        yield from windows
    except UnreadableMediaError:
        return


def _sound_encoder(out: OutputContainer, encoding: Encoding) -> AudioStream:
    encoder = out.add_stream("aac", rate=_SOUND_RATE)
    encoder.codec_context.layout = "stereo"
    encoder.codec_context.bit_rate = encoding.sound_bitrate
    return encoder
