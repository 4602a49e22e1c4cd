"""Makes upright, square-pixelled pictures of bounded size from decoded frames."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, cast

import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from indexer.core.types import Image

if TYPE_CHECKING:
    from av.buffer import Buffer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# No camera or disc has pixels longer than this; beyond it the header is wrong.
_LONGEST_PIXEL = 8
# Without ACCURATE_RND, which takes over ten times as long at the original size and changes a level or two of grey.
_SMOOTH = Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INT


@dataclass(frozen=True, slots=True)
class Orientation:
    """How a stored picture becomes the displayed one: swap the axes, then mirror along x, then along y."""

    swap: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @classmethod
    def of_matrix(cls, matrix: NDArray[np.int32]) -> Orientation:
        """From a display matrix ``(a b u, c d v, x y w)``, where ``x' = a x + c y`` and ``y' = b x + d y``.

        Other angles are rounded to quarter turns.
        """
        a, b, _, c, d = (int(value) for value in matrix[:5])
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(swap=False, mirror_x=a < 0, mirror_y=d < 0)
        return cls(swap=True, mirror_x=c < 0, mirror_y=b < 0)

    @classmethod
    def of_degrees(cls, clockwise: int) -> Orientation:
        """From the clockwise turn for display, in degrees."""
        quarter_turns = round(clockwise / 90) % 4
        return (cls(), cls(True, True, False), cls(False, True, True), cls(True, False, True))[quarter_turns]

    @property
    def degrees(self) -> int:
        """Clockwise turn for display: 0, 90, 180 or 270; mirror images are rounded to the nearest turn."""
        if self.swap:
            return 90 if self.mirror_x else 270
        return 180 if self.mirror_y else 0

    def apply(self, image: NDArray[np.uint8]) -> Image:
        """A copy of the ``(H, W, 3)`` or ``(H, W)`` image as displayed."""
        if self.swap:
            image = image.swapaxes(0, 1)
        steps = (-1 if self.mirror_y else 1, -1 if self.mirror_x else 1)
        return np.array(image[:: steps[0], :: steps[1]], order="C")


def orientation_of(frame: VideoFrame, tagged: Orientation) -> Orientation:
    """From the frame's display matrix, else its stream's tag."""
    # PyAV links a frame and its side data in a reference cycle, which keeps the frame until the garbage collector runs.
    # A tiny copy carries the same side data and may wait.
    tiny = VideoReformatter().reformat(frame, 2, 2, "gray", interpolation=Interpolation.POINT, threads=1)
    side_data = tiny.side_data.get("DISPLAYMATRIX")
    if side_data is None:
        return tagged
    return Orientation.of_matrix(np.frombuffer(bytes(cast("Buffer", side_data)), dtype=np.int32))


def tagged_orientation_of(stream: VideoStream) -> Orientation:
    """From the ``rotate`` tag that older writers use instead of a display matrix."""
    tag = stream.metadata.get("rotate", "")
    return Orientation.of_degrees(int(tag)) if re.fullmatch(r"-?\d{1,3}", tag, re.ASCII) else Orientation()


def pixel_aspect_of(stream: VideoStream) -> Fraction:
    """Width over height of a stored pixel; 1 if unknown or implausible."""
    aspect = stream.sample_aspect_ratio
    if aspect is None or not Fraction(1, _LONGEST_PIXEL) <= aspect <= _LONGEST_PIXEL:
        return Fraction(1)
    return aspect


def displayed_size(width: int, height: int, aspect: Fraction, orientation: Orientation) -> tuple[int, int]:
    """Width and height of a stored picture when it is shown, in square pixels."""
    upright = (max(1, round(width * aspect)), height)
    return upright[::-1] if orientation.swap else upright


class PictureConverter:
    """Makes pictures of one stream's frames, in one thread at a time; holds scaling contexts, no frames."""

    def __init__(self, stream: VideoStream, *, thumbnail_width: int, max_side: int) -> None:
        self._tagged = tagged_orientation_of(stream)
        self._aspect = pixel_aspect_of(stream)
        self._max_side = max_side
        self._thumbnail_width = thumbnail_width
        self._thumbnail_size: tuple[int, int] | None = None
        self._thumbnails = VideoReformatter()
        self._images = VideoReformatter()
        self._greys = VideoReformatter()

    def thumbnail_bgr(self, frame: VideoFrame) -> Image:
        """``(h, w, 3)`` uint8 BGR as stored (neither turned nor stretched), the same size for every frame."""
        width, height = self._thumbnail_size = self._thumbnail_size or self._thumbnail_shape(frame)
        small = self._thumbnails.reformat(
            frame, width, height, "bgr24", interpolation=Interpolation.FAST_BILINEAR, threads=1
        )
        return np.array(small.to_ndarray(), dtype=np.uint8, order="C")

    def _thumbnail_shape(self, frame: VideoFrame) -> tuple[int, int]:
        width = min(self._thumbnail_width, frame.width)
        return width, max(1, round(frame.height * width / frame.width))

    def image(self, frame: VideoFrame) -> Image:
        """``(H, W, 3)`` uint8 RGB as displayed, the longer side at most ``max_side``."""
        width, height = self._square_size(frame)
        scale = min(1.0, self._max_side / max(width, height))
        return self._displayed(self._images, frame, scale, "rgb24", _SMOOTH)

    def grey(self, frame: VideoFrame, pixels: int) -> NDArray[np.uint8]:
        """``(h, w)`` uint8 as displayed, of about so many pixels, never enlarged."""
        width, height = self._square_size(frame)
        scale = min(1.0, math.sqrt(pixels / (width * height)))
        return self._displayed(self._greys, frame, scale, "gray", Interpolation.AREA)

    def _square_size(self, frame: VideoFrame) -> tuple[int, int]:
        return displayed_size(frame.width, frame.height, self._aspect, Orientation())

    def _displayed(
        self, scaler: VideoReformatter, frame: VideoFrame, scale: float, pixel_format: str, interpolation: Interpolation
    ) -> NDArray[np.uint8]:
        width, height = (max(1, round(length * scale)) for length in self._square_size(frame))
        scaled = scaler.reformat(frame, width, height, pixel_format, interpolation=interpolation, threads=1)
        return orientation_of(frame, self._tagged).apply(np.asarray(scaled.to_ndarray(), dtype=np.uint8))
