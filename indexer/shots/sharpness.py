"""How sharp a frame is, and whether it is black."""

from __future__ import annotations

from dataclasses import dataclass

import cv2

from indexer.core.types import Image

_BLACK_LEVEL = 32.0  # of 255: nothing is visible if even the lighter parts are darker


@dataclass(frozen=True, slots=True)
class Appearance:
    """``sharpness`` of a thumbnail in grey levels, 0 or more, and whether the frame ``is_black``."""

    sharpness: float
    is_black: bool


def appearance_of(thumbnail: Image) -> Appearance:
    """Measure a thumbnail, uint8 ``(h, w, 3)`` BGR.

    A frame is black if its mean brightness plus twice its standard deviation is under an eighth of full.
    """
    grey = cv2.cvtColor(thumbnail, cv2.COLOR_BGR2GRAY)
    mean, spread = cv2.meanStdDev(grey)
    return Appearance(_spread_of_laplacian(grey), bool(mean[0, 0] + 2 * spread[0, 0] < _BLACK_LEVEL))


def sharpness_of(image: Image) -> float:
    """Sharpness of a whole picture, uint8 ``(H, W, 3)`` RGB, in grey levels; not comparable with a thumbnail's."""
    return _spread_of_laplacian(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))


def _spread_of_laplacian(grey: cv2.typing.MatLike) -> float:
    """The focus measure of Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", 2000."""
    return float(cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))[1][0, 0])
