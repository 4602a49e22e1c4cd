"""Text in images with RapidOCR: PaddleOCR's PP-OCRv4 (Du et al., PP-OCR, 2020) on ONNX Runtime.

Its package brings the weights; the recogniser knows Latin letters, digits and Chinese.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, TypeAlias
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from indexer.core.errors import UnfitContentError, WeightsDamagedError
from indexer.core.types import Image
from indexer.models.base import Fingerprint, Line
from indexer.models.lifecycle import LoadedOnUse, make_fingerprint
from indexer.models.weights import digest_files, first_line, package_folder, require_files

if TYPE_CHECKING:
    from rapidocr_onnxruntime import RapidOCR

__all__ = ["MIN_CONFIDENCE", "MODEL_FILES", "RapidOcrReader", "in_reading_order"]

MODEL_FILES = ("ch_PP-OCRv4_det_infer.onnx", "ch_PP-OCRv4_rec_infer.onnx")
"""The networks that find lines and that read them."""
MIN_CONFIDENCE = 0.5
"""Lines read with less confidence are guesses."""

_PACKAGE, _PIP = "rapidocr_onnxruntime", "rapidocr-onnxruntime"
_REINSTALL = f"Reinstall the package that brings it: pip install --force-reinstall {_PIP}"
# The short side is scaled up to this. RapidOCR's own 736 reads video no better, and takes 2 to 4 times longer.
_MIN_SIDE = 480
# Lines are searched in a copy whose sides are no longer than this, and read in the whole image.
_MAX_SIDE = 960
# No letter fits into fewer pixels. A longer image than this is padded: scaled up by its short side, it would need too
# much memory.
_SMALLEST_SIDE = 8
_LONGEST_ASPECT = 4
# A box this high (share of the image) and not much wider may hold two lines of a title that nearly touch.
_TALL_SHARE = 0.25
_TALL_ASPECT = 4.0
_CUTS = (0.5, 0.45, 0.55)
# Half a line of large letters is read with at most 0.75, each of two real lines with 0.9 and more.
_MIN_PART_CONFIDENCE = 0.85

_Box: TypeAlias = tuple[float, float, float, float]


class RapidOcrReader(LoadedOnUse["RapidOCR"]):
    """The role ``ocr``, on the processor.

    Lines are expected to stand upright. The package's third model, which turns lines that stand upside down, is not
    used: it sometimes turns one that does not.

    Args:
        folder: Where ``MODEL_FILES`` lie; by default inside the installed package.
        threads: How many threads compute; by default half of the cores, because decoding needs the others meanwhile.
        min_confidence: Lines read with less confidence than this, in [0, 1], are left out.
    """

    def __init__(
        self, folder: Path | None = None, *, threads: int | None = None, min_confidence: float = MIN_CONFIDENCE
    ) -> None:
        super().__init__(self._load, "cpu")
        self._folder = folder
        self._threads = threads or max(1, (os.cpu_count() or 2) // 2)
        self._min_confidence = min_confidence
        # The engine holds the state of one image.
        self._turn = Lock()

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """Where the weights lie."""
        folder = self._folder or package_folder(_PACKAGE, "the models for on-screen text", _PIP) / "models"
        return tuple(folder / name for name in MODEL_FILES)

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """From the weight files alone; ``dim`` is 0, for texts are no vectors."""
        preprocessing = {
            "min_side": _MIN_SIDE,
            "min_confidence": self._min_confidence,
            "max_side": _MAX_SIDE,
            "longest": _LONGEST_ASPECT,
            "tall": [_TALL_SHARE, _TALL_ASPECT, *_CUTS, _MIN_PART_CONFIDENCE],
        }
        name = "embedded" if self._folder is None else self._folder.resolve().name
        return make_fingerprint("rapidocr", name, digest_files(self.files), preprocessing)

    def read(self, image: Image) -> list[Line]:
        """The lines in an image, row by row from the top, each row from the left; none for an image without text.

        Args:
            image: ``(H, W, 3)`` uint8 RGB.

        Raises:
            UnfitContentError: the model fails on this image.
        """
        engine = self._model.get()
        if min(image.shape[:2]) < _SMALLEST_SIDE:
            return []
        # The networks were trained on images in OpenCV's order of colours.
        bgr = _padded(image[:, :, ::-1])
        with self._turn, _reading():
            lines = [_shares(line, image) for line in _lines(engine, bgr)]
        return in_reading_order([line for line in lines if line.text and line.confidence >= self._min_confidence])

    def _load(self) -> RapidOCR:
        require_files(self.files, hint=_REINSTALL)
        with _loading(self.files):
            from rapidocr_onnxruntime import RapidOCR

            detector, recogniser = map(str, self.files)
            return RapidOCR(
                det_model_path=detector,
                rec_model_path=recogniser,
                det_limit_side_len=_MIN_SIDE,
                intra_op_num_threads=self._threads,
                inter_op_num_threads=1,
            )


def _padded(bgr: Image) -> Image:
    """A copy of the image, with black added below or to the right until it is not too long."""
    height, width = bgr.shape[:2]
    shortest = -(-max(height, width) // _LONGEST_ASPECT)
    return np.pad(bgr, ((0, max(0, shortest - height)), (0, max(0, shortest - width)), (0, 0)))


def _lines(engine: RapidOCR, bgr: Image) -> Iterator[Line]:
    """The lines with their boxes in pixels."""
    found = _find_lines(engine, bgr)
    if not found:
        return
    crops = engine.get_crop_img_list(bgr, found)
    for corners, (text, confidence) in zip(found, engine.text_rec(crops)[0], strict=True):
        box = _bounds(corners)
        yield from _two_lines(engine, bgr, box) or (_line(text, confidence, box),)


def _find_lines(engine: RapidOCR, bgr: Image) -> list[NDArray[np.float32]]:
    """The four corners ``(4, 2)`` of each line, in pixels."""
    import cv2

    scale = min(1.0, _MAX_SIDE / max(bgr.shape[:2]))
    small = cv2.resize(bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else bgr
    found = engine.auto_text_det(small)[0]
    return [(corners / scale).astype(np.float32) for corners in (found if found is not None else ())]


def in_reading_order(lines: Sequence[Line]) -> list[Line]:
    """Row by row from the top, in a row from the left.

    Lines share a row if each overlaps every other by more than half of the lower one's height.
    """
    rows: list[list[Line]] = []
    for line in sorted(lines, key=lambda line: line.box[1]):
        if rows and all(_share_row(other, line) for other in rows[-1]):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [line for row in rows for line in sorted(row, key=lambda line: line.box[0])]


def _share_row(one: Line, other: Line) -> bool:
    overlap = min(one.box[3], other.box[3]) - max(one.box[1], other.box[1])
    lower = min(one.box[3] - one.box[1], other.box[3] - other.box[1])
    return overlap > lower / 2


def _two_lines(engine: RapidOCR, bgr: Image, box: _Box) -> tuple[Line, ...]:
    """The two lines in a tall box; none if it holds one.

    The detector joins the lines of a title that nearly touch, and the recogniser then reads them as one word.
    """
    left, top, right, bottom = box
    height = bottom - top
    if height < _TALL_SHARE * bgr.shape[0] or right - left > _TALL_ASPECT * height:
        return ()
    for cut in _CUTS:
        middle = top + cut * height
        parts = [_read_part(engine, bgr, part) for part in ((left, top, right, middle), (left, middle, right, bottom))]
        if all(len(part.text) > 1 and part.confidence >= _MIN_PART_CONFIDENCE for part in parts):
            return tuple(parts)
    return ()


def _read_part(engine: RapidOCR, bgr: Image, box: _Box) -> Line:
    left, top, right, bottom = (round(edge) for edge in box)
    part = np.ascontiguousarray(bgr[top : max(bottom, top + 1), left : max(right, left + 1)])
    text, confidence = engine.text_rec([part])[0][0]
    return _line(text, confidence, box)


def _line(text: str, confidence: float, box: _Box) -> Line:
    return Line(" ".join(normalize("NFKC", text).split()), box, min(1.0, float(confidence)))


def _shares(line: Line, image: Image) -> Line:
    height, width = image.shape[:2]
    left, top, right, bottom = line.box
    return replace(line, box=(left / width, top / height, min(1.0, right / width), min(1.0, bottom / height)))


def _bounds(corners: NDArray[np.float32]) -> _Box:
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


@contextmanager
def _loading(files: Sequence[Path]) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # ONNX Runtime's errors share no other base class
        raise WeightsDamagedError(
            f"The models that read on-screen text, in '{files[0].parent}', cannot be loaded: {first_line(error)}",
            hint=_REINSTALL,
        ) from error


@contextmanager
def _reading() -> Iterator[None]:
    from rapidocr_onnxruntime.utils.infer_engine import ONNXRuntimeError

    try:
        yield
    except ONNXRuntimeError as error:
        raise UnfitContentError(
            f"The model that reads on-screen text failed: {str(error).strip().splitlines()[-1][:300]}",
            hint='Index without on-screen text (ocr = "off" under [models] in config.toml), or report it.',
        ) from error
