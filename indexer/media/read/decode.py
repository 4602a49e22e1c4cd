"""A video's frames in one pass: exact times, damage skipped and counted, pictures made only when asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import av
import numpy as np
from numpy.typing import NDArray

from indexer.core.errors import UnreadableMediaError
from indexer.core.types import Image
from indexer.media.read.container import best_picture_stream, frame_rate_of, open_media, read_packets
from indexer.media.read.picture import PictureConverter

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["Frame", "FrameReader", "Timeline"]

# Time stamps that fall back by more than this start a new recording; by less, they are mere disorder.
_RESTART_S = 1


class Frame:
    """One decoded frame. Use it, then drop it: it holds megabytes of the decoder's memory.

    The reader keeps none of the frames it hands out, so memory stays bounded as long as whoever iterates keeps no more
    than a batch. Pictures made by ``image``, ``grey`` and ``thumbnail_bgr`` are copies and outlive it. The frames of
    one reader share its converter: make their pictures in one thread at a time, and before the reader is closed.
    """

    __slots__ = ("__weakref__", "_converter", "_decoded", "is_codec_keyframe", "is_damaged", "time_s")

    time_s: float
    """Seconds from the video's first frame; never less than the previous frame's."""
    is_codec_keyframe: bool
    """Whether the codec could start here."""
    is_damaged: bool
    """Whether the decoder had to make up parts of the picture."""

    def __init__(self, decoded: VideoFrame, time_s: float, converter: PictureConverter) -> None:
        self._decoded = decoded
        self._converter = converter
        self.time_s = time_s
        self.is_codec_keyframe = decoded.key_frame
        self.is_damaged = decoded.is_corrupt

    def thumbnail_bgr(self) -> Image:
        """``(h, w, 3)`` uint8 BGR, tiny and quick to make, as shot detectors want it.

        It is as stored, neither turned nor stretched, and of one size for all frames of a reader.
        """
        return self._converter.thumbnail_bgr(self._decoded)

    def image(self) -> Image:
        """``(H, W, 3)`` uint8 RGB: upright, square-pixelled, the longer side at most the reader's ``max_side``."""
        return self._converter.image(self._decoded)

    def grey(self, pixels: int) -> NDArray[np.uint8]:
        """``(h, w)`` uint8, upright and square-pixelled, of about ``pixels`` pixels in all; cheap."""
        return self._converter.grey(self._decoded, pixels)


class FrameReader:
    """Decodes a video once, from its first frame to its last.

        with FrameReader(path) as reader:
            for frame in reader:
                ...

    Args:
        path: The video.
        keyframes_only: Decode the codec's keyframes alone, which is many times faster.
        detection_width: Width of ``Frame.thumbnail_bgr`` in pixels (less for narrower videos).
        max_side: Upper bound for the longer side of ``Frame.image`` in pixels.
    """

    def __init__(
        self, path: Path, *, keyframes_only: bool = False, detection_width: int = 64, max_side: int = 1280
    ) -> None:
        self._path = path
        self._keyframes_only = keyframes_only
        self._detection_width = detection_width
        self._max_side = max_side
        self._resources = ExitStack()
        self._reading: Generator[Frame, None, None] | None = None
        self._is_avi = False
        self._frames = 0
        self._corrupt_packets = 0

    def __enter__(self) -> Self:
        """Open the file.

        Raises:
            UnreadableMediaError: it cannot be opened, or holds no picture.
        """
        container = self._resources.enter_context(open_media(self._path))
        stream = best_picture_stream(container)
        if stream is None:
            self.close()
            raise UnreadableMediaError(f"{self._path} has no picture that can be decoded here.")
        self._is_avi = container.format.name == "avi"
        self._reading = self._read(container, stream)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; does nothing the second time."""
        if self._reading is not None:
            self._reading.close()
            self._reading = None
        self._resources.close()

    @property
    def frames(self) -> int:
        """How many frames have been handed out."""
        return self._frames

    @property
    def corrupt_packets(self) -> int:
        """How often a packet was found damaged on reading, or a frame on decoding; both may happen to one picture."""
        return self._corrupt_packets

    def __iter__(self) -> Iterator[Frame]:
        """The frames in order of display. There is one pass: a second loop goes on where the first stopped.

        Raises:
            UnreadableMediaError: not one frame could be decoded, or the file could no longer be read.
        """
        if self._reading is None:
            raise RuntimeError("a FrameReader is read inside its with block")
        return self._reading

    def _read(self, container: InputContainer, stream: VideoStream) -> Generator[Frame, None, None]:
        stream.thread_type = "AUTO"
        stream.codec_context.skip_frame = "NONKEY" if self._keyframes_only else "DEFAULT"
        converter = PictureConverter(stream, thumbnail_width=self._detection_width, max_side=self._max_side)
        timeline = Timeline(frame_rate_of(stream), stream.time_base or Fraction(1, av.time_base))
        for packet in chain(read_packets(container, stream, self._count_damage), (None,)):
            decoded = self._decode(stream, packet)
            while decoded:
                yield self._hand_out(decoded.popleft(), timeline, converter)
        if not self._frames:
            raise self._nothing_decoded()

    def _decode(self, stream: VideoStream, packet: Packet[Stream] | None) -> deque[VideoFrame]:
        """The frames that a packet completes; those still inside the decoder for None."""
        try:
            return deque(stream.decode(packet))
        except av.FFmpegError:
            self._count_damage()
            return deque()

    def _hand_out(self, decoded: VideoFrame, timeline: Timeline, converter: PictureConverter) -> Frame:
        self._frames += 1
        self._corrupt_packets += decoded.is_corrupt
        return Frame(decoded, timeline.time_s(self._stamp(decoded)), converter)

    def _stamp(self, decoded: VideoFrame) -> int | None:
        # AVI has no presentation stamps: PyAV invents them in order of decoding. Where no frame is left out, the
        # decoding stamps count the frames handed out.
        return decoded.dts if self._is_avi and not self._keyframes_only else decoded.pts

    def _count_damage(self) -> None:
        self._corrupt_packets += 1

    def _nothing_decoded(self) -> UnreadableMediaError:
        if self._corrupt_packets:
            return UnreadableMediaError(
                f"{self._path} is damaged: none of its frames can be decoded.", hint="Copy or download it again."
            )
        if self._keyframes_only:
            return UnreadableMediaError(f"{self._path} has no codec keyframes.", hint="Index it with all its frames.")
        return UnreadableMediaError(f"{self._path} holds no frames.")


class Timeline:
    """Turns time stamps into seconds from the first frame that never decrease.

    A frame without a stamp comes one step (``1 / rate``) after the previous one. Where the stamps start anew, as when
    two recordings were joined, the clock goes on by one step instead of standing still.

    Args:
        rate: Average frames per second, if known.
        time_base: Seconds per tick of the stamps.
    """

    def __init__(self, rate: Fraction | None, time_base: Fraction) -> None:
        self._step = 1 / rate if rate else Fraction(0)
        self._time_base = time_base
        self._origin: Fraction | None = None
        self._previous: Fraction | None = None

    def time_s(self, stamp: int | None) -> float:
        """The time of the next frame in order of display, in seconds."""
        self._previous = self._place(stamp)
        return float(self._previous)

    def _place(self, stamp: int | None) -> Fraction:
        expected = Fraction(0) if self._previous is None else self._previous + self._step
        if stamp is None:
            return expected
        stamp_s = stamp * self._time_base
        if self._origin is None or stamp_s - self._origin < expected - self._step - _RESTART_S:
            self._origin = stamp_s - expected
        return max(stamp_s - self._origin, self._previous or Fraction(0))
