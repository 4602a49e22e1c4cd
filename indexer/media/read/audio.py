"""A file's sound as float32 samples on the clock of its pictures, in windows of bounded size."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np

from indexer.core.errors import UnreadableMediaError
from indexer.core.types import Samples
from indexer.media.read.container import best_sound_stream, decode_packets, first_frame_s, open_media, read_packets

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer

    from indexer.media.read.loudness import LoudnessMeter

# Stamps are rounded and codecs pad: smaller gaps and overlaps are ignored.
_TOLERANCE_S = Fraction(1, 20)
# A longer silence comes from a wrong time stamp.
_LONGEST_GAP_S = 3600
# Stamps that fall back by more than this start a new recording: the sound continues where it was.
_RESTART_S = 1
# Decoders need some frames before their output is right.
_RUN_UP_S = Fraction(1, 5)


def iter_audio(
    path: Path,
    sample_rate: int,
    *,
    window_s: float = 30.0,
    mono: bool = True,
    meter: LoudnessMeter | None = None,
    start_s: float = 0.0,
) -> Iterator[Samples]:
    """Decode the sound of a file in consecutive windows.

    Sample ``n`` of all windows together is at ``n / sample_rate`` seconds after ``start_s``: sound that begins later is
    preceded by silence, sound that begins earlier is cut, and lost parts are silent. Memory does not grow with the
    file's length.

    Args:
        path: A video or audio file.
        sample_rate: In Hz.
        window_s: Length of all windows but the last, in seconds.
        mono: Mix down to one channel; two channels otherwise.
        meter: Measures the decoded sound with all its channels.
        start_s: Where to begin, in seconds from the first frame; the file is sought there.

    Yields:
        float32 ``(n,)``, or ``(2, n)`` unless ``mono``; nominally in [-1, 1]; no empty windows.

    Raises:
        UnreadableMediaError: the file cannot be opened, or has no sound that can be decoded.
    """
    with open_media(path) as container:
        stream = best_sound_stream(container)
        if stream is None:
            raise UnreadableMediaError(f"{path} has no sound that can be decoded here.")
        sound = _SoundReader(container, stream, sample_rate, mono, meter)
        if start_s > 0:
            sound.seek(Fraction(start_s))
        yield from _windows(sound.pieces(), max(1, round(window_s * sample_rate)))
        if not sound.frames:
            raise UnreadableMediaError(f"{path} is damaged: none of its sound can be decoded.")


def read_audio(path: Path, sample_rate: int) -> Samples:
    """All of the sound in one channel, as by ``iter_audio``; for short files.

    Raises:
        UnreadableMediaError: the file cannot be opened, or has no sound that can be decoded.
    """
    return np.concatenate([np.zeros(0, np.float32), *iter_audio(path, sample_rate)])


def _windows(pieces: Iterator[Samples], length: int) -> Iterator[Samples]:
    """Cut and join pieces into windows of ``length`` samples; the last one may be shorter."""
    waiting: list[Samples] = []
    count = 0
    for piece in pieces:
        while count + piece.shape[-1] >= length:
            head, piece = np.split(piece, [length - count], axis=-1)
            yield np.concatenate([*waiting, head], axis=-1)
            waiting, count = [], 0
        waiting.append(piece)
        count += piece.shape[-1]
    if count:
        yield np.concatenate(waiting, axis=-1)


class _SoundReader:
    """Resamples one stream's sound and places it by its time stamps."""

    def __init__(
        self,
        container: InputContainer,
        stream: AudioStream,
        sample_rate: int,
        mono: bool,
        meter: LoudnessMeter | None,
    ) -> None:
        self.frames = 0
        self._meter = meter
        self._container = container
        self._stream = stream
        self._rate = sample_rate
        self._channels = 1 if mono else 2
        self._origin_s = first_frame_s(container)
        self._position = 0
        self._surplus = 0
        self._expected_s: Fraction | None = None
        self._format: tuple[str, str, int] | None = None
        self._resampler: av.AudioResampler | None = None

    def seek(self, start_s: Fraction) -> None:
        """Let the first sample be that at ``start_s``, in seconds from the first frame."""
        self._origin_s += start_s
        if self._stream.time_base is None:
            return
        target_s = max(self._origin_s - _RUN_UP_S, self._origin_s - start_s)
        try:
            self._container.seek(math.floor(target_s / self._stream.time_base), stream=self._stream)
        except av.FFmpegError:
            return

    def pieces(self) -> Iterator[Samples]:
        """The samples, silence included, in pieces of at most a second or a frame."""
        for frame in decode_packets(self._stream, read_packets(self._container, self._stream)):
            self.frames += 1
            if self._meter is not None:
                self._meter.add(frame)
            start_s = self._start_s(frame)
            if self._is_a_break(frame, start_s):
                yield from self._resample(None)
                yield from self._move_to(start_s)
                self._resampler = self._new_resampler(frame)
                self._expected_s = self._start_s(frame)
            # Summed, not read from the stamps: many small gaps are noticed once they add up to a large one.
            self._expected_s = (self._expected_s or 0) + Fraction(frame.samples, frame.sample_rate)
            yield from self._resample(frame)
        yield from self._resample(None)

    def _new_resampler(self, frame: AudioFrame) -> av.AudioResampler:
        # One and two channels are mixed in ``_placed``, by their mean: libswresample keeps the power and exceeds 1.
        layout = "stereo" if frame.layout.nb_channels > 2 and _can_be_mixed(frame) else frame.layout.name
        # A packed format, because PyAV crashes on more than eight planes.
        return av.AudioResampler(format="flt", layout=layout, rate=self._rate)

    def _start_s(self, frame: AudioFrame) -> Fraction:
        """When the frame begins, in seconds from the first frame of the file."""
        if frame.pts is None or self._stream.time_base is None:
            return Fraction(0) if self._expected_s is None else self._expected_s
        return frame.pts * self._stream.time_base - self._origin_s

    def _is_a_break(self, frame: AudioFrame, start_s: Fraction) -> bool:
        before, self._format = self._format, (frame.format.name, frame.layout.name, frame.sample_rate)
        return before != self._format or self._expected_s is None or abs(start_s - self._expected_s) > _TOLERANCE_S

    def _move_to(self, start_s: Fraction) -> Iterator[Samples]:
        """Silence up to the given time; if that time is past, drop the samples before the current one."""
        missing = round(start_s * self._rate) - self._position
        falls_back = self._position > 0 and missing <= -_RESTART_S * self._rate
        if falls_back or missing >= _LONGEST_GAP_S * self._rate:
            self._origin_s += Fraction(missing, self._rate)
            missing = 0
        self._surplus = max(0, -missing)
        while missing > 0:
            length = min(missing, self._rate)
            yield self._placed(np.zeros((self._channels, length), dtype=np.float32))
            missing -= length

    def _resample(self, frame: AudioFrame | None) -> Iterator[Samples]:
        """The resampled frame; the resampler's remainder for None."""
        if self._resampler is None:
            return
        if frame is not None:
            frame.pts = None
        for resampled in self._resampler.resample(frame):
            if resampled is not None:
                packed = resampled.to_ndarray().reshape(-1, resampled.layout.nb_channels)
                yield self._placed(packed.T.astype(np.float32, copy=False))

    def _placed(self, samples: Samples) -> Samples:
        """``(channels, n)`` samples without the surplus, mixed to ``(n,)`` if mono, else to ``(2, n)``."""
        dropped = min(self._surplus, samples.shape[-1])
        self._surplus -= dropped
        kept = samples[:, dropped:]
        self._position += kept.shape[-1]
        if self._channels == 1 or len(kept) > 2:
            kept = kept.mean(axis=0, keepdims=True, dtype=np.float32)
        return kept[0] if self._channels == 1 else np.broadcast_to(kept, (2, kept.shape[-1]))


def _can_be_mixed(frame: AudioFrame) -> bool:
    """Whether libswresample can mix the layout; it cannot mix ambisonics or many unnamed channels."""
    silence = av.AudioFrame(format="flt", layout=frame.layout.name, samples=64)
    silence.sample_rate = frame.sample_rate
    try:
        av.AudioResampler(format="flt", layout="stereo", rate=frame.sample_rate).resample(silence)
    except av.FFmpegError:
        return False
    return True
