"""RapidOCR: its files, its failures, its lines in order, titles whose lines touch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.core.errors import WeightsDamagedError, WeightsMissingError
from indexer.core.types import Image
from indexer.models.base import Line
from indexer.models.rapidocr import MODEL_FILES, RapidOcrReader, in_reading_order
from tests.unit.written import picture

shares = st.floats(0, 0.9)
lines = st.builds(
    lambda left, top, width, height: Line("x", (left, top, left + width, top + height), 1.0),
    shares,
    shares,
    st.floats(0.01, 0.1),
    st.floats(0.01, 0.1),
)


@pytest.fixture(scope="module")
def reader() -> RapidOcrReader:
    return RapidOcrReader(threads=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path in RapidOcrReader().files:
        shutil.copy(path, tmp_path / path.name)
    return tmp_path


def title(gap: int) -> Image:
    """Two lines of large, fat letters with ``gap`` pixels between them."""
    image = np.full((360, 640, 3), 20, np.uint8)
    for text, bottom in (("GREEN", 170), ("RIVER", 170 + 92 + gap)):
        cv2.putText(image, text, (120, bottom), cv2.FONT_HERSHEY_DUPLEX, 4.2, (255, 255, 255), 14, cv2.LINE_AA)
    return image


def test_a_row_is_read_from_the_left_and_rows_from_the_top() -> None:
    boxes = {"right": (0.6, 0.11, 0.9, 0.2), "left": (0.1, 0.1, 0.4, 0.19), "below": (0.0, 0.3, 0.2, 0.4)}
    found = in_reading_order([Line(text, box, 1.0) for text, box in boxes.items()])
    assert [line.text for line in found] == ["left", "right", "below"]


def test_a_tall_line_does_not_make_one_row_of_two_beside_it() -> None:
    boxes = {"below": (0.0, 0.2, 0.4, 0.28), "tall": (0.5, 0.1, 0.7, 0.29), "above": (0.0, 0.11, 0.4, 0.19)}
    found = in_reading_order([Line(text, box, 1.0) for text, box in boxes.items()])
    assert [line.text for line in found] == ["above", "tall", "below"]


@given(st.lists(lines, max_size=8))
def test_reading_order_loses_nothing_and_begins_with_no_line_below_another(found: list[Line]) -> None:
    ordered = in_reading_order(found)
    assert sorted(ordered, key=repr) == sorted(found, key=repr)
    assert ordered[:1] == [] or ordered[0].box[1] <= min(line.box[3] for line in found)


@given(st.lists(st.integers(0, 20), unique=True, max_size=6))
def test_lines_apart_are_ordered_from_the_top(tops: list[int]) -> None:
    found = [Line(str(top), (0.1, top / 25, 0.5, (top + 0.9) / 25), 1.0) for top in tops]
    assert [int(line.text) for line in in_reading_order(found)] == sorted(tops)


@pytest.mark.parametrize("gap", [2, 6, 40])
def test_two_lines_of_a_title_are_two_lines_even_where_they_nearly_touch(reader: RapidOcrReader, gap: int) -> None:
    assert [line.text.strip(".") for line in reader.read(title(gap))] == ["GREEN", "RIVER"]


def test_one_line_of_large_letters_stays_one(reader: RapidOcrReader) -> None:
    image = np.full((360, 640, 3), 20, np.uint8)
    cv2.putText(image, "echo", (60, 250), cv2.FONT_HERSHEY_DUPLEX, 7, (255, 255, 255), 14, cv2.LINE_AA)
    assert [line.text for line in reader.read(image)] == ["echo"]


def test_what_is_read_without_confidence_is_left_out(reader: RapidOcrReader) -> None:
    strict = RapidOcrReader(threads=1, min_confidence=1.0)
    assert reader.read(picture("plain words"))
    assert all(line.confidence == 1.0 for line in strict.read(picture("plain words")))


def test_another_folder_with_the_same_weights_is_the_same_model(folder: Path) -> None:
    ours, theirs = RapidOcrReader().fingerprint, RapidOcrReader(folder).fingerprint
    assert ours.digest == theirs.digest
    assert theirs.name == folder.name
    with (folder / MODEL_FILES[1]).open("ab") as stream:
        stream.write(b"x")
    os.utime(folder / MODEL_FILES[1])
    assert RapidOcrReader(folder).fingerprint.digest != ours.digest


def test_other_settings_are_another_fingerprint() -> None:
    assert RapidOcrReader(min_confidence=0.9).fingerprint.digest != RapidOcrReader().fingerprint.digest
    assert RapidOcrReader(threads=1).fingerprint == RapidOcrReader(threads=2).fingerprint


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / MODEL_FILES[0]).unlink()
    for use in (RapidOcrReader(folder).load, lambda: RapidOcrReader(folder).fingerprint):
        with pytest.raises(WeightsMissingError, match=MODEL_FILES[0]):
            use()


@pytest.mark.parametrize("name", MODEL_FILES)
@pytest.mark.parametrize("damage", [b"", b"rubbish" * 100])
def test_damaged_weights_are_said_to_be(folder: Path, name: str, damage: bytes) -> None:
    (folder / name).write_bytes(damage)
    with pytest.raises(WeightsDamagedError, match="cannot be loaded"):
        RapidOcrReader(folder).read(picture("text"))


def test_half_a_weight_file_is_damage(folder: Path) -> None:
    weights = folder / MODEL_FILES[1]
    weights.write_bytes(weights.read_bytes()[:5_000_000])
    with pytest.raises(WeightsDamagedError, match="pip install"):
        RapidOcrReader(folder).load()


def test_it_writes_nothing_to_the_terminal_and_leaves_the_root_logger_alone() -> None:
    code = (
        "import logging, sys, numpy as np\n"
        "from indexer.models.rapidocr import RapidOcrReader\n"
        "reader = RapidOcrReader()\n"
        "digest = reader.fingerprint.digest\n"
        "light = not {'rapidocr_onnxruntime', 'onnxruntime', 'torch', 'cv2'} & set(sys.modules)\n"
        "reader.read(np.zeros((90, 160, 3), np.uint8)); reader.unload()\n"
        "assert light and not logging.getLogger().handlers and 'torch' not in sys.modules\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
