"""Small grey pictures of frames."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from indexer.core.types import Image
from indexer.media.read.decode import FrameReader


def half_white(width: int, height: int) -> Image:
    """The upper half is black, the lower white."""
    image = np.zeros((height, width, 3), np.uint8)
    image[height // 2 :] = 255
    return image


@pytest.mark.parametrize(("pixels", "shape"), [(100 * 50, (50, 100)), (50 * 25, (25, 50)), (10**6, (100, 200))])
def test_it_has_about_the_pixels_asked_for_and_is_never_enlarged(
    make_clip: object, pixels: int, shape: tuple[int, int]
) -> None:
    path: Path = make_clip("clip.mp4", [half_white(200, 100)] * 3, rate=Fraction(25))  # type: ignore[operator]
    with FrameReader(path) as reader:
        for frame in reader:
            grey = frame.grey(pixels)
            assert (grey.shape, grey.dtype) == (shape, np.uint8)
            assert grey[0].max() < 20
            assert grey[-1].min() > 235


def test_it_is_a_copy_that_outlives_the_frame(make_clip: object) -> None:
    path: Path = make_clip("clip.mp4", [half_white(64, 48)] * 3, rate=Fraction(25))  # type: ignore[operator]
    with FrameReader(path) as reader:
        kept = [frame.grey(64 * 48) for frame in reader]
    kept[0][:] = 7
    assert [grey.max() > 235 for grey in kept] == [False, True, True]


def test_it_is_upright_and_square_pixelled(make_clip: object) -> None:
    stored = half_white(64, 48)
    path: Path = make_clip("turned.mp4", [stored] * 2, rotation_deg=90, crf=1)  # type: ignore[operator]
    with FrameReader(path) as reader:
        frame = next(iter(reader))
        picture, grey = frame.image(), frame.grey(64 * 48)
    assert grey.shape == picture.shape[:2] == (64, 48)
    assert np.abs(grey.astype(int) - picture.mean(axis=2)).mean() < 5
    path = make_clip("wide.mp4", [stored] * 2, pixel_aspect=Fraction(2))  # type: ignore[operator]
    with FrameReader(path) as reader:
        assert next(iter(reader)).grey(10**6).shape == (48, 128)
