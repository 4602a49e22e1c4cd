"""Clips made on the spot: real files, encoded with known pictures at known times."""

import gc
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from indexer.core.types import Image
from indexer.media.deliver.write import AudioTrack, ClipOptions, write_clip

Pictures = Callable[..., list[Image]]
MakeClip = Callable[..., Path]


@pytest.fixture
def greys() -> Pictures:
    """Flat pictures that tell their number: picture ``i`` has the grey value ``20 + 4 i``, up to picture 55."""

    def make(count: int, width: int = 64, height: int = 48) -> list[Image]:
        return [np.full((height, width, 3), 20 + 4 * min(i, 55), np.uint8) for i in range(count)]

    return make


@pytest.fixture
def noise() -> Pictures:
    """Busy pictures, which cost many bytes, so that damage hits what it is aimed at."""

    def make(count: int, width: int = 128, height: int = 96) -> list[Image]:
        picture = np.random.default_rng(7).integers(0, 255, (height, width, 3), dtype=np.uint8)
        return [np.roll(picture, 2 * i, axis=1) for i in range(count)]

    return make


@pytest.fixture
def make_clip(tmp_path: Path) -> MakeClip:
    def make(name: str, pictures: list[Image], **options: object) -> Path:
        path = tmp_path / name
        write_clip(path, pictures, options=ClipOptions(**options))  # type: ignore[arg-type]
        return path

    return make


@pytest.fixture
def tone() -> Callable[..., NDArray[np.float32]]:
    """A 440 Hz sine of amplitude 0.5."""

    def make(seconds: float, rate: int = 48_000) -> NDArray[np.float32]:
        return (0.5 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)).astype(np.float32)

    return make


@pytest.fixture
def clip(make_clip: MakeClip, greys: Pictures, tone: Callable[..., NDArray[np.float32]]) -> Path:
    """Two seconds at 25 frames per second with sound."""
    return make_clip("clip.mp4", greys(50), audio=AudioTrack(tone(2.0), 48_000), rate=Fraction(25), title="A clip")


@pytest.fixture
def open_files() -> Callable[[], int]:
    """How many files this process holds open, besides those that nothing refers to any more."""
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("the number of open files is only known on Linux")

    def count() -> int:
        gc.collect()
        return len(list(folder.iterdir()))

    return count
