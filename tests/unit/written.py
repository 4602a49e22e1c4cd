"""Pictures with something written on them."""

from __future__ import annotations

import cv2
import numpy as np
import PIL.Image
from PIL import ImageDraw, ImageFont

from indexer.core.types import Image

WIDTH, HEIGHT = 640, 360


def picture(*lines: str, top: int = 150, size: float = 1.4, shade: int = 70) -> Image:
    """A flat grey picture with white lines of text below each other; none leaves it empty."""
    image = np.full((HEIGHT, WIDTH, 3), shade, np.uint8)
    for index, line in enumerate(lines):
        place = (40, top + round(index * 40 * size))
        cv2.putText(image, line, place, cv2.FONT_HERSHEY_DUPLEX, size, (255, 255, 255), 2, cv2.LINE_AA)
    return image


def page(*lines: str, width: int, height: int, size: int, shades: tuple[int, int] = (250, 20)) -> Image:
    """A page with lines of text, ``size`` pixels to the line; ``shades`` are those of paper and ink."""
    paper, ink = shades
    image = PIL.Image.new("L", (width, height), paper)
    font = ImageFont.load_default(size)
    for index, line in enumerate(lines):
        ImageDraw.Draw(image).text((width // 10, height // 8 + index * 2 * size), line, ink, font)
    return np.repeat(np.asarray(image)[:, :, None], 3, axis=2)
