"""What all object detectors share: batches of images of one size, class names, and boxes that become detections."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from indexer.core.errors import WeightsDamagedError
from indexer.core.types import Image
from indexer.models.base import Detection
from indexer.models.lifecycle import LoadedOnUse, batches
from indexer.models.preprocessing import check_images

__all__ = [
    "CONFIDENCE",
    "MOST_OBJECTS",
    "OVERLAP",
    "BoxDetector",
    "NetworkFacts",
    "Row",
    "class_names",
]

T = TypeVar("T")

CONFIDENCE = 0.25
"""Objects with less confidence, in [0, 1], are left out; the default of ultralytics."""

OVERLAP = 0.7
"""Of two boxes of one class that share more than this of their union, a YOLO network keeps the surer one."""

MOST_OBJECTS = 300
"""How many objects a YOLO network keeps of an image at most; like ``OVERLAP``, the default of ultralytics."""

Row: TypeAlias = Sequence[float]
"""Left, top, right and bottom as shares of the image's width and height, the confidence, and the class's number."""


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """What a weight file says about itself.

    ``labels`` are the classes' names by their number; ``size`` is the (height, width) in pixels that images are fitted
    into.
    """

    labels: tuple[str, ...]
    size: tuple[int, int]


def class_names(names: object) -> tuple[str, ...]:
    """The names of classes, from a list or from a mapping of numbers that start at 0.

    Raises:
        ValueError: it is neither.
    """
    numbered = dict(enumerate(names)) if isinstance(names, list | tuple) else names
    if not isinstance(numbered, Mapping) or not numbered or set(numbered) != set(range(len(numbered))):
        raise ValueError("its classes are not numbered from 0")
    return tuple(str(numbered[number]) for number in range(len(numbered)))


class BoxDetector(LoadedOnUse[T]):
    """The role ``objects``, but for finding the boxes in images of one size, in float32.

    Args:
        make: Loads the network.
        name: Of the model, as the user wrote it.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        confidence: Objects with less confidence are left out, in [0, 1].
        batch_size: Images of one size computed at once.

    Raises:
        ValueError: ``confidence`` is out of range.
    """

    def __init__(self, make: Callable[[], T], name: str, device: str, confidence: float, batch_size: int) -> None:
        if not 0 <= confidence <= 1:
            raise ValueError(f"a confidence lies in [0, 1], not at {confidence}")
        super().__init__(make, device)
        self.name = name
        self._confidence = confidence
        self._batch_size = batch_size

    @property
    @abstractmethod
    def labels(self) -> tuple[str, ...]:
        """The names of all classes, by their number."""

    @abstractmethod
    def _boxes(self, images: Sequence[Image]) -> Sequence[Sequence[Row]]:
        """The objects in images of one size."""

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        """The objects in each image, most confident first.

        Images of different sizes never share a batch: padding to a common size would change the boxes a little.

        Args:
            images: uint8 RGB, of any sizes.

        Raises:
            ValueError: an image is not uint8 RGB.
            WeightsDamagedError: the network finds a class that has no name.
        """
        check_images(images)
        sizes: dict[tuple[int, ...], list[int]] = {}
        for index, image in enumerate(images):
            sizes.setdefault(image.shape, []).append(index)
        found: list[list[Detection]] = [[] for _ in images]
        for indices in (batch for same in sizes.values() for batch in batches(same, self._batch_size)):
            for index, rows in zip(indices, self._boxes([images[index] for index in indices]), strict=True):
                objects = [_detection(row, self.labels) for row in rows]
                found[index] = sorted(objects, key=lambda seen: -seen.confidence)
        return found


def _detection(row: Row, labels: Sequence[str]) -> Detection:
    *box, confidence, number = row
    if not 0 <= number < len(labels):
        raise WeightsDamagedError(
            f"The network finds objects of class {int(number)}, and its file names only {len(labels)} classes.",
            hint="Export or save it again, with its names.",
        )
    left, top, right, bottom = (min(max(float(edge), 0.0), 1.0) for edge in box)
    return Detection(labels[int(number)], int(number), float(confidence), (left, top, right, bottom))
