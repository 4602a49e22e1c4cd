"""What every reader of on-screen text promises, whichever model is behind it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from indexer.models.base import TextReader
from indexer.models.rapidocr import RapidOcrReader
from tests.unit.written import HEIGHT, WIDTH, picture


@pytest.fixture(scope="module", params=["embedded"])
def reader(request: pytest.FixtureRequest) -> Iterator[TextReader]:
    made = RapidOcrReader(threads=1)
    yield made
    made.unload()


def test_it_is_a_text_reader(reader: TextReader) -> None:
    assert isinstance(reader, TextReader)


def test_lines_are_read_from_top_to_bottom(reader: TextReader) -> None:
    lines = reader.read(picture("second street", "MARKET 25"))
    assert [line.text.replace(" ", "") for line in lines] == ["secondstreet", "MARKET25"]
    assert all(0.5 <= line.confidence <= 1 for line in lines)


def test_a_box_holds_its_line(reader: TextReader) -> None:
    image = picture("HELLO WORLD", top=250)
    rows, columns = np.nonzero(image[:, :, 0] > 200)
    (line,) = reader.read(image)
    expected = columns.min() / WIDTH, rows.min() / HEIGHT, columns.max() / WIDTH, rows.max() / HEIGHT
    assert line.box == pytest.approx(expected, abs=0.04)


@pytest.mark.parametrize("side", ["dark", "bright", "noise"])
def test_nothing_is_read_where_nothing_is_written(reader: TextReader, side: str) -> None:
    noise = np.random.default_rng(5).integers(0, 255, (120, 200, 3), dtype=np.uint8)
    image = {"dark": np.zeros_like(noise), "bright": np.full_like(noise, 255), "noise": noise}[side]
    assert reader.read(image) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 999), (999, 1), (7, 7), (12, 1300), (1300, 12)])
def test_any_size_can_be_read(reader: TextReader, shape: tuple[int, int]) -> None:
    assert reader.read(np.zeros((*shape, 3), np.uint8)) == []


def test_a_narrow_strip_is_read_like_the_whole(reader: TextReader) -> None:
    lines = reader.read(picture("breaking news", top=150)[110:165])
    assert "".join(line.text for line in lines).replace(" ", "") == "breakingnews"
    assert all(line.box[1] < line.box[3] <= 1 for line in lines)


def test_the_picture_is_left_as_it_was_and_may_be_a_view(reader: TextReader) -> None:
    image = picture("LEMON TREE")
    before = image.copy()
    mirrored = np.ascontiguousarray(image[:, ::-1])
    assert [line.text for line in reader.read(mirrored[:, ::-1])] == [line.text for line in reader.read(image)]
    assert np.array_equal(image, before)


def test_the_order_of_the_colours_matters_little_and_is_rgb(reader: TextReader) -> None:
    image = picture("ORANGE")
    image[image[:, :, 0] < 100] = (200, 40, 20)
    assert [line.text for line in reader.read(image)] == ["ORANGE"]


def test_several_threads_read_the_same(reader: TextReader) -> None:
    images = [picture(f"number {index}") for index in range(4)]
    expected = [reader.read(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(reader.read, images)) == expected


def test_it_loads_again_after_unloading(reader: TextReader) -> None:
    before = reader.read(picture("again"))
    reader.load()
    reader.unload()
    reader.load()
    assert reader.read(picture("again")) == before


def test_the_fingerprint_stays(reader: TextReader) -> None:
    assert reader.fingerprint == RapidOcrReader().fingerprint
    assert reader.fingerprint.name == "embedded"
