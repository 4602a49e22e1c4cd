"""What this package asks of a decoded frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from indexer.core.types import Image

__all__ = ["Frame", "advancing"]


class Frame(Protocol):
    """One decoded frame of a video, in order of presentation."""

    @property
    def time_s(self) -> float:
        """Seconds from the first frame; never less than that of the frame before."""
        ...

    @property
    def is_codec_keyframe(self) -> bool:
        """Whether the codec can decode this frame without any other."""
        ...

    def thumbnail_bgr(self) -> Image:
        """A small picture, uint8 ``(h, w, 3)`` BGR, about 128 pixels wide; cheap."""
        ...

    def image(self) -> Image:
        """The whole picture, uint8 ``(H, W, 3)`` RGB; dear, so call it rarely."""
        ...


def advancing(frames: Iterable[Frame]) -> Iterator[Frame]:
    """Leave out the frames whose time does not go on: no interval could hold them."""
    last_s = -1.0
    for frame in frames:
        if frame.time_s > last_s:
            last_s = frame.time_s
            yield frame
