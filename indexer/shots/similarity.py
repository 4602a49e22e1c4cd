"""Whether two small pictures show the same view."""

from __future__ import annotations

import cv2
import numpy as np

from indexer.core.types import Image

__all__ = ["is_same_view", "shrink"]

_SIZE = (32, 18)  # width, height: at this size noise and small motion are averaged away, a cut is not
_SAME_CORRELATION = 0.9  # 400 pairs of unrelated photographs stay under 0.8, a moved or flashed view over 0.95
_FLAT_DEVIATION = 3.0  # below this spread, in grey levels, a picture has no structure to correlate
_SAME_FLAT_DIFFERENCE = 6.0


def shrink(thumbnail: Image) -> Image:
    """Bring a BGR thumbnail of any shape to the one shape, ``(18, 32, 3)``, that pictures are compared in."""
    height, width = thumbnail.shape[:2]
    shrinks = width >= _SIZE[0] and height >= _SIZE[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(thumbnail, _SIZE, interpolation=interpolation), dtype=np.uint8)


def is_same_view(one: Image, other: Image) -> bool:
    """Whether one picture shows what the other does, perhaps shifted by up to a quarter, brighter or darker.

    The middle of each is sought in the other by normalised cross-correlation (Lewis, "Fast Normalized
    Cross-Correlation", 1995), which neither a shift nor a change of brightness or contrast lowers.

    Args:
        one: A picture from `shrink`.
        other: Another.
    """
    if _is_flat(one) or _is_flat(other):
        return cv2.norm(one, other, cv2.NORM_L1) < _SAME_FLAT_DIFFERENCE * one.size
    return max(_best_match(one, other), _best_match(other, one)) >= _SAME_CORRELATION


def _is_flat(picture: Image) -> bool:
    return float(_middle(picture).std(axis=(0, 1)).max()) < _FLAT_DEVIATION


def _middle(picture: Image) -> Image:
    height, width = picture.shape[:2]
    return picture[height // 4 : height - height // 4, width // 4 : width - width // 4]


def _best_match(picture: Image, scene: Image) -> float:
    return float(np.max(cv2.matchTemplate(scene, _middle(picture), cv2.TM_CCOEFF_NORMED)))
