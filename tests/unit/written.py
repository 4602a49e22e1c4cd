"""Pictures with something written on them."""

from __future__ import annotations

import cv2
import numpy as np

from indexer.types import Image

WIDTH, HEIGHT = 640, 360


def picture(*lines: str, top: int = 150, size: float = 1.4, shade: int = 70) -> Image:
    """A flat grey picture with white lines of text below each other; none leaves it empty."""
    image = np.full((HEIGHT, WIDTH, 3), shade, np.uint8)
    for index, line in enumerate(lines):
        place = (40, top + round(index * 40 * size))
        cv2.putText(image, line, place, cv2.FONT_HERSHEY_DUPLEX, size, (255, 255, 255), 2, cv2.LINE_AA)
    return image
