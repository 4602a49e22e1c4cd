"""Finds places in a small grey picture that may hold text; fast, with more false hits than misses.

Letters are many strong strokes beside each other in a flat box with fewer strokes around it. Foliage and fences often
look the same, so the text reader decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from indexer.core.types import Image

Grey: TypeAlias = NDArray[np.uint8]
_Counts: TypeAlias = NDArray[np.int32]

# Sizes of the picture: in each one, letters twice as high as in the previous one are found.
_LEVELS = 3
_SMALLEST_PX = 24
_MIN_CONTRAST = 40
_MIN_HEIGHT_PX, _MIN_WIDTH_PX = 4, 10
_MIN_ASPECT = 1.4
_MAX_HEIGHT_SHARE = 0.6
_MIN_FILL = 0.5
_MARGIN_PX = 3
_MAX_MARGIN_DENSITY = 0.45
# Edges crossed along a row of the box, in all and per box height. A letter has about two strokes of two edges.
_MIN_CROSSINGS = 3.6
_MIN_CROSSINGS_PER_SQUARE = 1.2

# An edge persists if it keeps this share of its strength.
_WEAK = 0.75

_SQUARE = np.ones((3, 3), np.uint8)
_BETWEEN_LETTERS = np.ones((1, 7), np.uint8)
_SPECK = np.ones((3, 5), np.uint8)

# The smallest change of brightness within three pixels of a row that can be a letter, and the fewest such pixels of a
# short word.
_PALEST = 8
_FEWEST_PIXELS = 40
_ALONG_A_ROW = np.ones((1, 3), np.uint8)

_CELL_PX = 16
_MIN_CELL_STROKES = 20
_MISSING_SHARE = 0.45


@dataclass(frozen=True, slots=True, eq=False)
class Strokes:
    """The edges of possible letters.

    ``mask`` is ``(h, w)`` uint8, 1 on an edge of a possible letter, 0 elsewhere. ``edges`` also has all other, also
    weaker edges: a stroke of another picture persists here if it lies on them.
    """

    mask: Grey
    edges: Grey

    @property
    def amount(self) -> int:
        """The number of pixels in the mask."""
        return int(cv2.countNonZero(self.mask))

    def also_in(self, other: Strokes) -> Strokes:
        """The strokes that the other picture has in the same place."""
        return Strokes(self._shared(other), self.edges)

    def cells_missing_in(self, other: Strokes) -> int:
        """How many cells of 16 by 16 pixels hold strokes of which the other picture lacks a large part."""
        own, shared = _per_cell(self.mask), _per_cell(self._shared(other))
        return int(np.count_nonzero((own >= _MIN_CELL_STROKES) & (shared <= (1 - _MISSING_SHARE) * own)))

    def _shared(self, other: Strokes) -> Grey:
        return np.asarray(cv2.bitwise_and(self.mask, other.edges), np.uint8)


def find_strokes(grey: Grey) -> Strokes:
    """The strokes of possible letters in ``(h, w)`` uint8, about 320 pixels wide; letters need to be 6 pixels high."""
    gradient = _gradient(grey)
    edges, contrast = _edges(gradient)
    boxes = np.zeros_like(grey)
    for left, top, right, bottom in _boxes_at_all_sizes(grey, edges, contrast):
        boxes[top:bottom, left:right] = 1
    weak = cv2.threshold(gradient, contrast * _WEAK, 1, cv2.THRESH_BINARY)[1]
    mask = cv2.bitwise_and(edges, boxes)
    return Strokes(np.asarray(mask, np.uint8), np.asarray(weak, np.uint8))


def is_smooth(image: Image) -> bool:
    """Whether ``(H, W, 3)`` uint8 RGB holds no letters, however small or pale: its brightness changes slowly."""
    gradient = cv2.morphologyEx(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.MORPH_GRADIENT, _ALONG_A_ROW)
    return int(np.count_nonzero(gradient >= _PALEST)) < _FEWEST_PIXELS


def _boxes_at_all_sizes(grey: Grey, edges: Grey, contrast: float) -> Iterator[_Counts]:
    yield from _boxes(grey, edges, contrast)
    for level in range(1, _LEVELS):
        grey = np.asarray(cv2.pyrDown(grey), np.uint8)
        if min(grey.shape) < _SMALLEST_PX:
            return
        yield from _boxes(grey, *_edges(_gradient(grey))) * 2**level


def _gradient(grey: Grey) -> Grey:
    return np.asarray(cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, _SQUARE), np.uint8)


def _edges(gradient: Grey) -> tuple[Grey, float]:
    """A mask of the strong edges, and the smallest gradient of an edge."""
    natural, _ = cv2.threshold(gradient, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    contrast = max(float(_MIN_CONTRAST), natural)
    return np.asarray(cv2.threshold(gradient, contrast, 1, cv2.THRESH_BINARY)[1], np.uint8), contrast


def _boxes(grey: Grey, edges: Grey, contrast: float) -> _Counts:
    """``(n, 4)``: left, top, right, bottom in pixels of boxes that may be lines of text."""
    lines = cv2.morphologyEx(edges, cv2.MORPH_CLOSE, _BETWEEN_LETTERS)
    lines = cv2.morphologyEx(lines, cv2.MORPH_OPEN, _SPECK)
    boxes = _flat_boxes(_components(np.asarray(lines, np.uint8)), grey.shape[0])
    if not len(boxes):
        return boxes
    is_apart = _margin_density(edges, boxes) <= _MAX_MARGIN_DENSITY
    crossings = _crossings(grey, boxes, contrast / 2)
    squares = (boxes[:, 2] - boxes[:, 0]) / (boxes[:, 3] - boxes[:, 1])
    has_letters = (crossings >= _MIN_CROSSINGS) & (crossings >= _MIN_CROSSINGS_PER_SQUARE * squares)
    return np.asarray(boxes[is_apart & has_letters])


def _components(mask: Grey) -> _Counts:
    """``(n, 5)``: left, top, width, height and area of each connected patch."""
    # Three times as fast as the default algorithm and label size.
    found = cv2.connectedComponentsWithStatsWithAlgorithm(mask, 8, cv2.CV_16U, cv2.CCL_SPAGHETTI)
    return np.asarray(found[2][1:], np.int32)


def _flat_boxes(statistics: _Counts, picture_height: int) -> _Counts:
    left, top, width, height, area = statistics.T
    fits = (height >= _MIN_HEIGHT_PX) & (height <= _MAX_HEIGHT_SHARE * picture_height)
    is_flat = (width >= _MIN_WIDTH_PX) & (width >= _MIN_ASPECT * height) & (area >= _MIN_FILL * width * height)
    return np.asarray(np.stack([left, top, left + width, top + height], axis=1)[fits & is_flat], np.int32)


def _margin_density(edges: Grey, boxes: _Counts) -> NDArray[np.float64]:
    """The share of edges in the strips above and below each box."""
    sums = cv2.integral(edges)
    left, top, right, bottom = boxes.T
    above, below = np.maximum(0, top - _MARGIN_PX), np.minimum(edges.shape[0], bottom + _MARGIN_PX)
    inside = _sum_in(sums, left, above, right, top) + _sum_in(sums, left, bottom, right, below)
    return np.asarray(inside / np.maximum(1, (top - above + below - bottom) * (right - left)))


def _crossings(grey: Grey, boxes: _Counts, slope: float) -> NDArray[np.float64]:
    """How often a row of each box rises or falls by more than ``slope`` from one pixel to the next, on average."""
    slopes = cv2.Sobel(grey, cv2.CV_16S, 1, 0, ksize=1)
    begins = np.zeros(grey.shape, np.uint8)
    for steep in (slopes > slope, slopes < -slope):
        begins[:, 1:] += steep[:, 1:] > steep[:, :-1]
    left, top, right, bottom = boxes.T
    return np.asarray(_sum_in(cv2.integral(begins), left, top, right, bottom) / (bottom - top))


def _sum_in(sums: NDArray[Any], left: _Counts, top: _Counts, right: _Counts, bottom: _Counts) -> _Counts:
    return np.asarray(sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left])


def _per_cell(mask: Grey) -> NDArray[np.int32]:
    """How many pixels of the mask each whole cell holds."""
    corners = cv2.integral(mask)[::_CELL_PX, ::_CELL_PX]
    return np.asarray(np.diff(np.diff(corners, axis=0), axis=1), np.int32)
