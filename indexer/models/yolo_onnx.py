"""Detection networks that ultralytics exported to ONNX, run by ONNX Runtime; such a file holds no code.

Images are fitted and overlapping boxes removed as ultralytics does it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.core.errors import WeightsDamagedError
from indexer.core.types import Image
from indexer.models.detections import MOST_OBJECTS, OVERLAP, NetworkFacts, Row, class_names
from indexer.models.weights import loading

__all__ = ["OnnxNetwork", "read_facts"]

_PADDING = 114


@dataclass(frozen=True, slots=True)
class OnnxNetwork:
    """An exported network.

    ``entry`` is the name of its input, ``half`` whether it computes in half precision; ``one_by_one`` networks were
    exported for one image at a time.
    """

    session: Any
    facts: NetworkFacts
    confidence: float
    entry: str
    half: bool
    one_by_one: bool

    @classmethod
    def open(cls, path: Path, device: str, confidence: float) -> OnnxNetwork:
        """The network of a file; a GPU is used if ONNX Runtime was installed for one.

        Raises:
            WeightsDamagedError: it cannot be loaded, or its output does not fit its classes.
        """
        facts, session = read_facts(path), _session(path, device)
        entry, shape, classes = session.get_inputs()[0], session.get_outputs()[0].shape, len(facts.labels)
        if len(shape) != 3 or (shape[2] != 6 and isinstance(shape[1], int) and shape[1] != 4 + classes):
            raise _not_exported(path, f"its output of shape {shape} is not that of a detector of {classes} classes")
        return cls(session, facts, confidence, entry.name, entry.type == "tensor(float16)", entry.shape[0] == 1)

    def boxes(self, images: Sequence[Image]) -> list[list[Row]]:
        """The objects in images of one size, boxes that overlap another of their class removed."""
        fitted = [_Fitted.of(image, self.facts.size) for image in images]
        batch = np.stack([one.pixels for one in fitted]).transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
        step = 1 if self.one_by_one else len(batch)
        outputs = [self._run(batch[start : start + step]) for start in range(0, len(batch), step)]
        return [one.rows(self._found(raw)) for one, raw in zip(fitted, np.concatenate(outputs), strict=True)]

    def _run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        fed = np.ascontiguousarray(batch, np.float16 if self.half else np.float32)
        return np.asarray(self.session.run(None, {self.entry: fed})[0], np.float32)

    def _found(self, raw: NDArray[np.float32]) -> NDArray[np.float32]:
        """``(n, 6)``: left, top, right, bottom in pixels of the fitted image, confidence and class."""
        if raw.shape[1] == 6:
            return raw[raw[:, 4] > self.confidence][:MOST_OBJECTS]
        return _without_overlaps(raw.T, self.confidence)


@dataclass(frozen=True, slots=True)
class _Fitted:
    """An image scaled to fit a network's input and padded with grey.

    ``corner`` is (left, top) of the image within ``pixels``, ``inner`` its (width, height) there.
    """

    pixels: Image
    corner: tuple[int, int]
    inner: tuple[int, int]

    @classmethod
    def of(cls, image: Image, size: tuple[int, int]) -> _Fitted:
        import cv2

        scale = min(wanted / side for wanted, side in zip(size, image.shape, strict=False))
        height, width = (max(1, round(side * scale)) for side in image.shape[:2])
        spare = size[0] - height, size[1] - width
        top, left = spare[0] // 2, spare[1] // 2
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        pixels = np.full((*size, 3), _PADDING, np.uint8)
        pixels[top : top + height, left : left + width] = small
        return cls(pixels, (left, top), (width, height))

    def rows(self, found: NDArray[np.float32]) -> list[Row]:
        """The boxes as shares of the image."""
        shares = (found[:, :4] - np.tile(self.corner, 2)) / np.tile(self.inner, 2)
        return [(*box, *rest) for box, rest in zip(shares.tolist(), found[:, 4:6].tolist(), strict=True)]


def _without_overlaps(candidates: NDArray[np.float32], confidence: float) -> NDArray[np.float32]:
    """Of boxes with a middle, a width, a height and a score for each class, those that stay, with their best class."""
    import cv2

    best = candidates[:, 4:].max(axis=1)
    likely, best = candidates[best > confidence], best[best > confidence]
    classes, sizes = likely[:, 4:].argmax(axis=1), likely[:, 2:4]
    corners = likely[:, :2] - sizes / 2
    boxes = np.hstack([corners, sizes]).astype(np.float64)
    remaining: Any = cv2.dnn.NMSBoxesBatched(boxes.tolist(), best, classes.tolist(), confidence, OVERLAP)
    kept = np.asarray(remaining, np.intp)[:MOST_OBJECTS]
    return np.hstack([corners[kept], (corners + sizes)[kept], best[kept, None], classes[kept, None]])


def _session(path: Path, device: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    wanted = ["CUDAExecutionProvider"] if device == "cuda" else []
    usable = [name for name in wanted if name in onnxruntime.get_available_providers()]
    with _loading(path):
        return onnxruntime.InferenceSession(str(path), options, providers=[*usable, "CPUExecutionProvider"])


@contextmanager
def _loading(path: Path) -> Iterator[None]:
    """ONNX Runtime's errors share no base class but ``Exception``, so their module tells them apart."""
    try:
        with loading(path):
            yield
    except Exception as error:
        if not type(error).__module__.startswith("onnxruntime."):
            raise
        raise _not_exported(path, str(error).splitlines()[0][:300]) from error


def read_facts(path: Path) -> NetworkFacts:
    """The facts that ultralytics wrote into an export.

    Raises:
        WeightsDamagedError: the file is no such export, or a network for another task.
    """
    session = _session(path, "cpu")
    written = session.get_modelmeta().custom_metadata_map
    shape = session.get_inputs()[0].shape
    if written.get("task", "detect") != "detect":
        raise _not_exported(path, f"it is a network for the task '{written['task']}'")
    fixed = all(isinstance(side, int) for side in shape[2:4])
    try:
        labels = class_names(ast.literal_eval(written["names"]))
        height, width = (int(side) for side in (shape[2:4] if fixed else ast.literal_eval(written["imgsz"])))
    except (KeyError, ValueError, TypeError, SyntaxError) as error:
        raise _not_exported(path, f"it does not say what its classes and its picture size are ({error})") from error
    return NetworkFacts(labels, (height, width))


def _not_exported(path: Path, why: str) -> WeightsDamagedError:
    return WeightsDamagedError(
        f"The model at '{path}' cannot be used: {why}.",
        hint="It must be a detection network that ultralytics exported (yolo export model=FILE.pt format=onnx).",
    )
