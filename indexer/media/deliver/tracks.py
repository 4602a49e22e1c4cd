"""Pictures and sound of a part of a file, packet by packet, for a new file.

Each track reads the file by itself, so that memory does not grow where pictures and sound lie far apart in the file.
"""

from __future__ import annotations

import heapq
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import av
import numpy as np
from av.video.frame import PictureType
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from indexer.core.errors import UnreadableMediaError
from indexer.media.deliver.seeking import SAME_S, find_keyframe, read_from, stamp_of
from indexer.media.read.audio import iter_audio
from indexer.media.read.container import (
    best_picture_stream,
    best_sound_stream,
    decode_packets,
    first_frame_s,
    frame_rate_of,
    open_media,
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
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

Handling: TypeAlias = Literal["none", "copy", "encode"]
_Track: TypeAlias = "Generator[Packet[Stream], None, None]"
_Interval: TypeAlias = tuple[Fraction, Fraction | None]
COPY: Handling = "copy"
ENCODE: Handling = "encode"

_SOUND_RATE = 48_000
_SOUND_WINDOW_S = 0.25
# MPEG's clock; a multiple of all the usual frame rates.
_TICKS_PER_S = 90_000
# Stamps that fall back by more than this start a new recording: the copy continues where it was.
_RESTART_S = 1
_KEYFRAME_EVERY_S = 2
_USUAL_RATE = Fraction(25)
# How PyAV converts RGB to YUV: SMPTE 170M, by its number in H.273.
_RGB_COLORSPACE = 6


@dataclass(frozen=True, slots=True)
class Encoding:
    """How streams that are not copied are encoded as H.264 and AAC.

    Attributes:
        preset: Of x264, from ``ultrafast`` to ``veryslow``.
        crf: Constant quality; lower is better.
        largest: Width and height in pixels, as displayed, that pictures are scaled down to; None keeps their size.
        sound_bitrate: Bits per second.
    """

    preset: str
    crf: int
    largest: tuple[int, int] | None
    sound_bitrate: int


@dataclass(frozen=True, slots=True)
class Source:
    """A file, and whether its pictures and its sound are copied or encoded."""

    path: Path
    picture: Handling
    sound: Handling

    def start_s(self, asked_s: Fraction) -> Fraction:
        """Where the new file begins, in seconds from the first frame; at most ``asked_s``.

        Copied pictures begin at a codec keyframe; copied sound alone begins at the packet that holds ``asked_s``.
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
    span: _Interval,
    out: OutputContainer,
    encoding: Encoding,
    opened: ExitStack,
) -> list[_Track]:
    """The packets of each track in order of decoding; their clock begins with 0 at the start of ``span``.

    A track adds its stream to ``out`` with its first packet.

    Args:
        source: The file to read.
        span: Start (from ``Source.start_s``) and end in seconds from the first frame; None ends with the file.
        out: The new file.
        encoding: For streams that are not copied.
        opened: Closes the files.

    Raises:
        UnreadableMediaError: the file cannot be opened.
    """
    tracks: list[_Track] = []
    if source.picture != "none":
        container = opened.enter_context(open_media(source.path))
        picture = best_picture_stream(container)
        if picture is not None and source.picture == COPY:
            tracks.append(_copied(container, picture, span, out))
        elif picture is not None:
            tracks.append(_encoded_pictures(_PictureReader(container, picture), span, out, encoding))
    if source.sound == COPY:
        container = opened.enter_context(open_media(source.path))
        sound = best_sound_stream(container)
        tracks += [] if sound is None else [_copied(container, sound, span, out)]
    elif source.sound == ENCODE:
        tracks.append(_encoded_sound(source.path, span, out, encoding))
    return tracks


def interleaved(tracks: Sequence[_Track], out: OutputContainer) -> Iterator[Fraction]:
    """Write the packets of all tracks in order of time; yields the end of each one, in seconds.

    Damaged packets that cannot be written are left out.
    """
    try:
        for packet in heapq.merge(*tracks, key=lambda packet: (packet.dts or 0) * packet.time_base):
            until_s = ((packet.pts or 0) + (packet.duration or 0)) * packet.time_base
            try:
                out.mux_one(packet)
            except (av.FFmpegError, ValueError):
                continue
            yield until_s
    finally:
        for track in tracks:
            track.close()


def _copied(container: InputContainer, stream: Stream, span: _Interval, out: OutputContainer) -> _Track:
    """A stream's packets from the keyframe at the start on.

    Packets of pictures after the end are kept if earlier pictures depend on them.
    """
    copy = None
    late: list[Packet[Stream]] = []
    without_header = _AdtsFilter(stream)
    landing = find_keyframe(container, stream, span[0])
    clock = _PacketClock(container, stream, span[0])
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
            for bare in without_header(ready):
                written = _without_skip_samples(bare) if out.format.name == "mp3" else bare
                written.stream = copy
                yield written
        late.clear()


def _without_skip_samples(packet: Packet[Stream]) -> Packet[Stream]:
    """The packet without a note that its end is padding: the MP3 writer would mark the clip's start as padding too."""
    if not packet.has_sidedata("skip_samples"):
        return packet
    copy: Packet[Stream] = av.Packet(bytes(packet))
    copy.pts, copy.dts, copy.duration, copy.time_base = packet.pts, packet.dts, packet.duration, packet.time_base
    copy.is_keyframe = packet.is_keyframe
    return copy


class _AdtsFilter:
    """Removes the ADTS header that AAC packets have in a transport stream and in no other file."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._is_aac = stream.codec_context.codec.canonical_name == "aac"
        self._filter: av.BitStreamFilterContext | None = None

    def __call__(self, packet: Packet[Stream]) -> list[Packet[Stream]]:
        """The packets to copy; none of a damaged packet."""
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


class _PacketClock:
    """Moves packets to a clock that begins with 0 at ``start_s`` and continues where the file's own clock restarts."""

    def __init__(self, container: InputContainer, stream: Stream, start_s: Fraction) -> None:
        self._container = container
        self.time_base = time_base_of(stream)
        self._origin = round((first_frame_s(container) + start_s) / self.time_base)
        rate = frame_rate_of(stream) if isinstance(stream, av.VideoStream) else None
        self._step = max(1, round(1 / (rate or _USUAL_RATE) / self.time_base))
        self._delay = self._step * int(getattr(stream.codec_context, "has_b_frames", 0))
        self._previous: int | None = None

    def set(self, packet: Packet[Stream]) -> bool:
        """Set the packet's stamps so that a file can hold them; False if it is shown before 0."""
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


class _PictureReader:
    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        stream.thread_type = "AUTO"
        self.stream = stream
        self._container = container
        self._time_base = time_base_of(stream)
        self.rate = frame_rate_of(stream) or _USUAL_RATE

    def shown(self, span: _Interval) -> Iterator[tuple[Fraction, Fraction, VideoFrame]]:
        """Start, end (in seconds from the span's start) and picture of each frame shown in the span.

        The first is the frame shown at the span's start. A frame is shown until the next one; the file's last one for
        its own duration, at least an average frame's, which may end before the span.
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
        for frame in decode_packets(self.stream, read_from(self._container, self.stream, landing)):
            stamp = frame.dts if is_avi else frame.pts
            if previous is None and is_avi and stamp is not None and landing is not None:
                # AVI's stamps are those of decoding; the first decoded frame is the keyframe.
                origin += stamp - landing.stamp
            time_s = None if stamp is None else (stamp - origin) * self._time_base
            if time_s is not None and previous is not None and time_s < previous - _RESTART_S:
                origin += (time_s - previous) / self._time_base - 1 / self.rate / self._time_base
                time_s = None
            previous = time_s if time_s is not None else (previous or Fraction(0)) + 1 / self.rate
            yield previous, frame


def _encoded_pictures(pictures: _PictureReader, span: _Interval, out: OutputContainer, encoding: Encoding) -> _Track:
    """H.264 with square pixels and the source's display rotation."""
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
        yield from _with_durations(encoder.encode(scaled), lengths)
    if encoder is not None:
        yield from _with_durations(encoder.encode(None), lengths)


def _with_durations(packets: Iterable[Packet[Stream]], lengths: dict[int | None, int]) -> _Track:
    """The encoder's packets with their durations, which are taken from ``lengths`` by time stamp."""
    for packet in packets:
        packet.duration = lengths.pop(packet.pts, 0)
        yield packet


def _scaled(scaler: VideoReformatter, frame: VideoFrame, width: int, height: int) -> VideoFrame:
    """The frame in the pixel format and brightness range that every player takes."""
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


def _picture_encoder(
    pictures: _PictureReader, frame: VideoFrame, out: OutputContainer, encoding: Encoding
) -> VideoStream:
    orientation = orientation_of(frame, tagged_orientation_of(pictures.stream))
    options = {"preset": encoding.preset, "crf": str(encoding.crf)}
    encoder = out.add_stream("libx264", rate=pictures.rate, options=options)
    encoder.width, encoder.height = _size(frame, pixel_aspect_of(pictures.stream), orientation, encoding.largest)
    encoder.pix_fmt = "yuv420p"
    context = encoder.codec_context
    context.time_base = Fraction(1, _TICKS_PER_S)
    context.max_b_frames = 0
    context.color_range = ColorRange.MPEG
    context.colorspace = _RGB_COLORSPACE if frame.format.is_rgb else frame.colorspace
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


def _encoded_sound(path: Path, span: _Interval, out: OutputContainer, encoding: Encoding) -> _Track:
    """AAC in stereo; silent where the source has no sound, so that it stays in step with the pictures."""
    encoder, written = None, 0
    length = None if span[1] is None else round((span[1] - span[0]) * _SOUND_RATE)
    with suppress(UnreadableMediaError):  # the pictures continue where the sound ends or cannot be decoded
        for window in iter_audio(path, _SOUND_RATE, window_s=_SOUND_WINDOW_S, mono=False, start_s=float(span[0])):
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


def _sound_encoder(out: OutputContainer, encoding: Encoding) -> AudioStream:
    encoder = out.add_stream("aac", rate=_SOUND_RATE)
    encoder.codec_context.layout = "stereo"
    encoder.codec_context.bit_rate = encoding.sound_bitrate
    return encoder
