"""A video's frames in one pass: exact times, damage skipped and counted, pictures made only when asked for."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from indexer.core.errors import UnreadableMediaError
from indexer.core.types import Image
from indexer.media.read.container import (
    best_picture_stream,
    decode_packets,
    frame_rate_of,
    open_media,
    read_packets,
    time_base_of,
)
from indexer.media.read.picture import PictureConverter

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# Time stamps that fall back by more than this start a new recording; by less, they are out of order.
_RESTART_S = 1


class Frame:
    """One decoded frame; it holds megabytes of the decoder's memory, so drop it soon.

    Pictures made by ``image``, ``grey`` and ``thumbnail_bgr`` are copies. The frames of one reader share its converter:
    make their pictures in one thread at a time, and before the reader is closed.

    Attributes:
        time_s: Seconds from the video's first frame; never less than the previous frame's.
        is_codec_keyframe: Whether the codec can decode it without other frames.
    """

    __slots__ = ("__weakref__", "_converter", "_decoded", "is_codec_keyframe", "time_s")

    def __init__(self, decoded: VideoFrame, time_s: float, converter: PictureConverter) -> None:
        self._decoded = decoded
        self._converter = converter
        self.time_s: float = time_s
        self.is_codec_keyframe: bool = decoded.key_frame

    def thumbnail_bgr(self) -> Image:
        """``(h, w, 3)`` uint8 BGR, tiny and fast; as stored (neither turned nor stretched), one size per reader."""
        return self._converter.thumbnail_bgr(self._decoded)

    def image(self) -> Image:
        """``(H, W, 3)`` uint8 RGB: upright, square-pixelled, the longer side at most the reader's ``max_side``."""
        return self._converter.image(self._decoded)

    def grey(self, pixels: int) -> NDArray[np.uint8]:
        """``(h, w)`` uint8, upright and square-pixelled, of about ``pixels`` pixels in all; fast."""
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

    Attributes:
        frames: How many frames have been yielded.
        corrupt_packets: How often a packet was damaged on reading, or a frame on decoding; one picture may count twice.
    """

    def __init__(
        self, path: Path, *, keyframes_only: bool = False, detection_width: int = 64, max_side: int = 1280
    ) -> None:
        self.frames = 0
        self.corrupt_packets = 0
        self._path = path
        self._keyframes_only = keyframes_only
        self._detection_width = detection_width
        self._max_side = max_side
        self._resources = ExitStack()
        self._reading: Generator[Frame, None, None] | None = None
        self._is_avi = False

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

    def __iter__(self) -> Iterator[Frame]:
        """The frames in order of display. There is one pass: a second loop continues where the first stopped.

        Raises:
            UnreadableMediaError: no frame could be decoded, or the file could no longer be read.
        """
        if self._reading is None:
            raise RuntimeError("a FrameReader is read inside its with block")
        return self._reading

    def _read(self, container: InputContainer, stream: VideoStream) -> Generator[Frame, None, None]:
        stream.thread_type = "AUTO"
        stream.codec_context.skip_frame = "NONKEY" if self._keyframes_only else "DEFAULT"
        converter = PictureConverter(stream, thumbnail_width=self._detection_width, max_side=self._max_side)
        timeline = Timeline(frame_rate_of(stream), time_base_of(stream))
        packets = read_packets(container, stream, self._count_damage)
        # ``map`` keeps no reference to a frame while the next one is decoded; a loop variable would.
        yield from map(partial(self._count, timeline, converter), decode_packets(stream, packets, self._count_damage))
        if not self.frames:
            raise self._nothing_decoded()

    def _count(self, timeline: Timeline, converter: PictureConverter, decoded: VideoFrame) -> Frame:
        self.frames += 1
        self.corrupt_packets += decoded.is_corrupt
        # AVI has no presentation stamps: PyAV invents them in order of decoding. Where no frame is left out, the
        # decoding stamps count the frames yielded.
        stamp = decoded.dts if self._is_avi and not self._keyframes_only else decoded.pts
        return Frame(decoded, timeline.time_s(stamp), converter)

    def _count_damage(self) -> None:
        self.corrupt_packets += 1

    def _nothing_decoded(self) -> UnreadableMediaError:
        if self.corrupt_packets:
            return UnreadableMediaError(
                f"{self._path} is damaged: none of its frames can be decoded.", hint="Copy or download it again."
            )
        if self._keyframes_only:
            return UnreadableMediaError(f"{self._path} has no codec keyframes.", hint="Index it with all its frames.")
        return UnreadableMediaError(f"{self._path} holds no frames.")


class Timeline:
    """Turns time stamps into seconds from the first frame that never decrease.

    A frame without a stamp comes one step (``1 / rate``) after the previous one. Where the stamps restart, as in two
    joined recordings, the clock continues by one step.
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
