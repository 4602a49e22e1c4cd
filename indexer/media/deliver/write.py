"""Writes pictures, sound and subtitles into a new file; equal input gives equal bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, cast

import av
import numpy as np
from av.codec.context import Flags as CodecFlags
from av.subtitles.subtitle import SubtitleSet
from numpy.typing import NDArray

from indexer.core.atomic_file import written_whole
from indexer.core.errors import MediaError, UsageError
from indexer.core.types import Cue, Image

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet
    from av.subtitles.stream import SubtitleStream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

FORMATS: Mapping[str, str] = {
    ".avi": "avi",
    ".flac": "flac",
    ".flv": "flv",
    ".gif": "gif",
    ".ivf": "ivf",
    ".m4a": "ipod",
    ".m4v": "mp4",
    ".mka": "matroska",
    ".mkv": "matroska",
    ".mov": "mov",
    ".mp3": "mp3",
    ".mp4": "mp4",
    ".mpg": "mpeg",
    ".nut": "nut",
    ".ogg": "ogg",
    ".ts": "mpegts",
    ".wav": "wav",
    ".webm": "webm",
}
"""FFmpeg's name of the container for each suffix that clips can have."""

_SUBTITLE_CODECS = {"mp4": "mov_text", "mov": "mov_text", "matroska": "subrip", "webm": "webvtt"}
_CRF_CODECS = ("libx264", "libx265", "libvpx", "libvpx-vp9", "libsvtav1", "libaom-av1")
# x264's macroblock tree sometimes gives other bits for equal pictures, because it reads uninitialised memory. x265 has
# its own threads and prints. AAC's default coder turns steady tones into bursts.
_ENCODER_OPTIONS = {
    "aac": {"aac_coder": "fast"},
    "libx264": {"x264-params": "mbtree=0"},
    "libx265": {"x265-params": "log-level=none:pools=none:frame-threads=1"},
}
_SAMPLES_AT_ONCE = 1024
# A fine clock within MPEG-4's limit of 65535.
_TICKS_PER_S = 60_000
_ASS_HEADER = (
    b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize, PrimaryColour, "
    b"SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, "
    b"BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding\nStyle: Default,Arial,16,&Hffffff,"
    b"&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0\n\n[Events]\nFormat: Layer, Start, End, Style, Name, "
    b"MarginL, MarginR, MarginV, Effect, Text\n"
)


@dataclass(frozen=True, slots=True, eq=False)
class AudioTrack:
    """Sound for a clip.

    Attributes:
        samples: float32 in [-1, 1], ``(n,)`` or ``(channels, n)`` with one or two channels.
        sample_rate: In Hz.
        codec: Name of an encoder that the container can hold.
    """

    samples: NDArray[np.float32]
    sample_rate: int
    codec: str = "aac"


@dataclass(frozen=True, slots=True, eq=False)
class ClipOptions:
    """How a clip is encoded.

    Attributes:
        rate: Frames per second.
        codec: Name of a video encoder that the container can hold.
        pixel_format: As the encoder stores pictures.
        gop: Frames from one codec keyframe to the next; the encoder's choice if None.
        crf: Constant quality for the encoders that have it; lower is better.
        bitrate: Bits per second instead of ``crf``.
        preset: Of ``libx264`` and ``libx265``, from ``ultrafast`` to ``veryslow``; the encoder's choice if None.
        audio: Sound that begins with the first frame.
        subtitles: A text subtitle stream, in seconds from the first frame.
        times_s: Time stamp of each picture, instead of ``rate``; increasing, may be uneven, late or below zero.
        rotation_deg: Clockwise turn for display: 0, 90, 180 or 270.
        pixel_aspect: Width over height of a stored pixel.
        title: The container's title.
    """

    rate: Fraction = Fraction(25)
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    gop: int | None = None
    crf: int | None = 23
    bitrate: int | None = None
    preset: str | None = None
    audio: AudioTrack | None = None
    subtitles: Sequence[Cue] = ()
    times_s: Sequence[float] | None = None
    rotation_deg: int = 0
    pixel_aspect: Fraction = Fraction(1)
    title: str = ""


def write_clip(path: Path, pictures: Iterable[Image], *, options: ClipOptions = ClipOptions()) -> None:
    """Encode a clip into a file that appears under its name once it is complete.

    Args:
        path: The new file; its suffix selects the container. An existing file is replaced.
        pictures: uint8 ``(H, W, 3)`` RGB, all of one size; none for a file with sound only.
        options: The encoding.

    Raises:
        UsageError: the suffix, a codec or the pictures' sizes do not fit.
        MediaError: encoding or writing failed.
    """
    try:
        with written_whole(path) as unfinished:
            target, bitexact = str(unfinished.absolute()), {"fflags": "+bitexact"}
            with av.open(target, "w", format=_format_of(path), container_options=bitexact) as container:
                _ClipWriter(container, options).write(iter(pictures))
    except (av.FFmpegError, OSError) as error:
        raise MediaError(f"{path} cannot be written: {error}.") from error


def _format_of(path: Path) -> str:
    try:
        return FORMATS[path.suffix.lower()]
    except KeyError:
        raise UsageError(f"Clips cannot be written as {path.suffix or path.name}.") from None


class _ClipWriter:
    def __init__(self, container: OutputContainer, options: ClipOptions) -> None:
        self._container = container
        self._options = options

    def write(self, pictures: Iterator[Image]) -> None:
        """Create the streams, then write them, pictures and sound interleaved."""
        first = next(pictures, None)
        video = None if first is None else self._add_video(first)
        sound = None if self._options.audio is None else _SoundWriter(self._container, self._options.audio)
        if self._options.title:
            self._container.metadata["title"] = self._options.title
        self._write_subtitles()
        if first is not None and video is not None:
            self._write_pictures(video, chain((first,), pictures), sound)
        if sound is not None:
            sound.write_rest()

    def _add_video(self, first: Image) -> VideoStream:
        options = self._options
        stream = cast("VideoStream", _add_stream(self._container, options.codec, options.rate, self._quality()))
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = options.pixel_format
        stream.codec_context.time_base = self._time_base
        stream.codec_context.sample_aspect_ratio = options.pixel_aspect
        if options.gop is not None:
            stream.codec_context.gop_size = options.gop
        if options.bitrate is not None:
            stream.codec_context.bit_rate = options.bitrate
        if options.rotation_deg:
            stream.set_display_rotation(-options.rotation_deg)
        return stream

    def _quality(self) -> dict[str, str]:
        options = self._options
        wanted = options.crf is not None and options.bitrate is None and options.codec in _CRF_CODECS
        quality = {"crf": str(options.crf)} if wanted else {}
        return {**quality, "preset": options.preset} if options.preset else quality

    @property
    def _time_base(self) -> Fraction:
        return 1 / self._options.rate if self._options.times_s is None else Fraction(1, _TICKS_PER_S)

    def _write_pictures(self, stream: VideoStream, pictures: Iterable[Image], sound: _SoundWriter | None) -> None:
        for index, picture in enumerate(pictures):
            frame = self._frame(stream, picture, self._pts(index))
            self._container.mux(stream.encode(frame))
            if sound is not None:
                sound.write_until(float((frame.pts or 0) * self._time_base))
        self._container.mux(stream.encode(None))

    def _frame(self, stream: VideoStream, picture: Image, pts: int) -> VideoFrame:
        if picture.shape != (stream.height, stream.width, 3):
            raise UsageError(f"A clip's pictures must all be of one size, not {picture.shape} after the first.")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        frame = frame.reformat(format=self._options.pixel_format, threads=1)
        frame.pts, frame.time_base = pts, self._time_base
        return frame

    def _pts(self, index: int) -> int:
        times_s = self._options.times_s
        if times_s is None:
            return index
        if index >= len(times_s):
            raise UsageError("A clip needs a time stamp for each of its pictures.")
        return round(times_s[index] * _TICKS_PER_S)

    def _write_subtitles(self) -> None:
        if not self._options.subtitles:
            return
        codec = _SUBTITLE_CODECS.get(self._container.format.name)
        if codec is None:
            raise UsageError(f"Subtitles cannot be written into {self._container.format.name}.")
        stream = cast("SubtitleStream", self._container.add_stream(codec))
        stream.codec_context.subtitle_header = _ASS_HEADER
        self._container.start_encoding()
        for number, cue in enumerate(self._options.subtitles):
            self._container.mux(_subtitle_packet(stream, number, cue))


def _add_stream(
    container: OutputContainer, codec: str, rate: Fraction | int, options: dict[str, str]
) -> VideoStream | AudioStream:
    """A stream whose encoder gives the same bytes every time."""
    try:
        stream = container.add_stream(codec, rate=rate, options=options | _ENCODER_OPTIONS.get(codec, {}))
    except (ValueError, av.FFmpegError) as error:
        raise UsageError(f"{container.format.name} files cannot be written with {codec}: {error}.") from error
    stream.codec_context.flags |= CodecFlags.bitexact
    stream.codec_context.thread_count = 1
    return cast("VideoStream | AudioStream", stream)


def _subtitle_packet(stream: SubtitleStream, number: int, cue: Cue) -> Packet[SubtitleStream]:
    time_base = stream.time_base or Fraction(1, 1000)
    text = cue.text.replace("\n", "\\N")
    start, length = round(cue.start_s / time_base), round((cue.end_s - cue.start_s) / time_base)
    event = SubtitleSet.create(f"{number},0,Default,,0,0,0,,{text}".encode(), 0, length, start)
    packet = stream.codec_context.encode_subtitle(event)
    packet.stream, packet.time_base = stream, time_base
    return packet


class _SoundWriter:
    """Encodes an audio track in small pieces, so that it is stored beside the pictures of the same time."""

    def __init__(self, container: OutputContainer, track: AudioTrack) -> None:
        samples = np.atleast_2d(track.samples).astype(np.float32, copy=False)
        if samples.ndim != 2 or samples.shape[0] not in (1, 2):
            raise UsageError(f"A clip's sound has one or two channels, not the shape {track.samples.shape}.")
        self._container = container
        self._samples = samples
        self._rate = track.sample_rate
        self._layout = "mono" if len(samples) == 1 else "stereo"
        self._stream = cast("AudioStream", _add_stream(container, track.codec, track.sample_rate, {}))
        self._stream.codec_context.layout = self._layout
        self._written = 0

    def write_until(self, time_s: float) -> None:
        """Encode the sound before a time, in seconds from the start of the track."""
        end = min(round(time_s * self._rate), self._samples.shape[1])
        while self._written < end:
            stop = min(self._written + _SAMPLES_AT_ONCE, end)
            piece = np.ascontiguousarray(self._samples[:, self._written : stop])
            frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=self._layout)
            frame.sample_rate, frame.pts, frame.time_base = self._rate, self._written, Fraction(1, self._rate)
            self._container.mux(self._stream.encode(frame))
            self._written = stop

    def write_rest(self) -> None:
        """Encode the rest and finish."""
        self.write_until(self._samples.shape[1] / self._rate)
        self._container.mux(self._stream.encode(None))
