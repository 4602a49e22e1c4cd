"""Pictures, moving cameras and frames for the tests of shots."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import cv2
import numpy as np

from indexer.core.types import Image

WIDTH, HEIGHT = 256, 144
RATE = Fraction(25)
DATA = Path(__file__).resolve().parents[4] / ".." / "shared" / "data"


@lru_cache(maxsize=64)
def scenery(seed: int) -> Image:
    """A made-up view, larger than a frame: coloured blobs, coarse and fine, with shapes on them."""
    rng = np.random.default_rng(seed)
    size = (WIDTH * 7 // 4, HEIGHT * 7 // 4)
    coarse = cv2.resize(rng.integers(0, 256, (4, 6, 3), dtype=np.uint8), size, interpolation=cv2.INTER_CUBIC)
    fine = cv2.resize(rng.integers(0, 256, (20, 32, 3), dtype=np.uint8), size, interpolation=cv2.INTER_LINEAR)
    view = cv2.addWeighted(coarse, 0.75, fine, 0.25, 0)
    for _ in range(6):
        x, y, radius = (int(rng.integers(0, high)) for high in (size[0], size[1], 50))
        cv2.circle(view, (x, y), radius + 10, [int(level) for level in rng.integers(0, 256, 3)], -1)
    return np.asarray(view, dtype=np.uint8)


def photograph(path: Path) -> Image:
    """A photograph brought to the size of `scenery`."""
    return np.asarray(cv2.resize(cv2.imread(str(path)), (WIDTH * 7 // 4, HEIGHT * 7 // 4)), dtype=np.uint8)


def seen(view: Image, x: float, y: float, zoom: float) -> Image:
    """What a camera sees of a view: at ``x``, ``y`` in 0..1, magnified by ``zoom``, 1 or more."""
    height, width = view.shape[:2]
    scale = zoom * WIDTH / width
    left, top = x * (width - WIDTH / scale), y * (height - HEIGHT / scale)
    matrix = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]], np.float32)
    return np.asarray(cv2.warpAffine(view, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT), dtype=np.uint8)


def path_of(motion: str, frames: int, seed: int = 0) -> Iterator[tuple[float, float, float]]:
    """Where the camera is at each frame: x, y and zoom."""
    rng = np.random.default_rng(seed)
    for frame in range(frames):
        along = frame / max(1, frames - 1)
        if motion == "static":
            yield 0.5, 0.5, 1.3
        elif motion == "pan":
            yield 0.2 + 0.4 * along, 0.4, 1.5
        elif motion == "fast":  # the whole view and back in a second
            yield abs((frame / 12.5) % 2 - 1), 0.5, 1.6
        elif motion == "zoom":
            yield 0.5, 0.5, 1.05 + 1.4 * along
        elif motion == "shake":
            yield 0.5 + rng.normal(0, 0.05), 0.5 + rng.normal(0, 0.05), 1.4
        elif motion == "jolt":
            yield 0.3 + 0.25 * (frame // 17 % 2), 0.5, 1.5
        else:
            raise ValueError(motion)


def filmed(view: Image, motion: str, frames: int, *, gain: float = 1.0, noise: float = 2.0) -> list[Image]:
    """A shot, BGR: the camera's pictures, brightened by ``gain``, with the noise of a sensor."""
    rng = np.random.default_rng(frames)
    grain = rng.normal(0, noise, (HEIGHT * 2, WIDTH * 2, 1)).astype(np.float32)
    shot = []
    for place in path_of(motion, frames):
        top, left = (int(rng.integers(0, room)) for room in (HEIGHT, WIDTH))
        picture = seen(view, *place) * np.float32(gain) + grain[top : top + HEIGHT, left : left + WIDTH]
        shot.append(np.clip(picture, 0, 255).astype(np.uint8))
    return shot


def brightened(picture: Image, strength: float) -> Image:
    """A picture with a flash over it, all white at strength 1."""
    return np.asarray(picture * (1 - strength) + 255 * strength, dtype=np.uint8)


def encode(path: Path, pictures: Sequence[Image], times_s: Sequence[Fraction] | None = None) -> Path:
    """Write BGR pictures as a video, at 25 a second or at the times given."""
    times_s = times_s or [index / RATE for index in range(len(pictures))]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "crf": "20"})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for picture, time_s in zip(pictures, times_s, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.time_base, frame.pts = Fraction(1, 1000), round(time_s * 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@dataclass
class Ledger:
    """Counts the images that were made and how many of them were alive at once."""

    made: int = 0
    most_alive: int = 0
    _images: list[weakref.ref[Image]] = field(default_factory=list)

    def note(self, image: Image) -> None:
        self.made += 1
        self._images = [image_ref for image_ref in self._images if image_ref() is not None] + [weakref.ref(image)]
        self.most_alive = max(self.most_alive, len(self._images))


@dataclass
class StillFrame:
    """A frame in memory; its image is its thumbnail with ``mark`` in the corner, so one can tell whence it came."""

    time_s: float
    thumbnail: Image
    mark: int = 0
    is_codec_keyframe: bool = False
    ledger: Ledger = field(default_factory=Ledger)

    def thumbnail_bgr(self) -> Image:
        return self.thumbnail

    def image(self) -> Image:
        image = np.array(self.thumbnail[..., ::-1])
        image[0, 0] = self.mark
        self.ledger.note(image)
        return image


@lru_cache(maxsize=64)
def thumbnail(seed: int) -> Image:
    """A small picture of a view."""
    return np.asarray(cv2.resize(scenery(seed), (128, 72), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def stills(shots_frames: Sequence[int], rate: float = 25.0, ledger: Ledger | None = None) -> list[StillFrame]:
    """Frames of shots of so many frames each, every shot a view of its own, marked by the shot's index."""
    ledger = ledger or Ledger()
    shots = [shot for shot, frames in enumerate(shots_frames) for _ in range(frames)]
    return [StillFrame(index / rate, thumbnail(shot % 16), shot, ledger=ledger) for index, shot in enumerate(shots)]
