"""The page of a search by picture shows the picture."""

from __future__ import annotations

import base64
import re
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image as Pictures

from search.engine import Ranking
from search.query.query import Query
from ui.export import write_export
from ui.services.query_pictures import small_jpeg


def photo(height: int, width: int) -> np.ndarray:
    """Red above, blue below."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, :, 0] = image[height // 2 :, :, 2] = 255
    return image


def page_of(query: Query, question: str, folder: Path) -> str:
    path = folder / "found.html"
    write_export(path, Ranking(query, (), 0, ("frames",), ()), question)
    return path.read_text(encoding="utf-8")


def test_the_picture_is_on_the_page_small_and_as_it_was(tmp_path: Path) -> None:
    page = page_of(Query(image=photo(3000, 4000)), "", tmp_path)
    [shown] = re.findall(r'<img src="data:image/jpeg;base64,([^"]+)" alt="The picture that was searched for">', page)
    assert len(shown) < 20_000
    with Pictures.open(BytesIO(base64.b64decode(shown))) as picture:
        assert picture.size == (384, 288)
        for place, colour in (((10, 10), (255, 0, 0)), ((10, 280), (0, 0, 255))):
            assert np.abs(np.subtract(picture.getpixel(place), colour)).max() < 8
    assert "Moments like this picture" in page


def test_what_must_be_said_beside_it_is_named_too(tmp_path: Path) -> None:
    page = page_of(Query(image=photo(20, 30), phrases=("the end",)), '"the end"', tmp_path)
    assert "<bdi>&#34;the end&#34;</bdi>" in page
    assert "The picture that was searched for" in page


def test_a_search_by_words_has_no_picture(tmp_path: Path) -> None:
    assert "<img" not in page_of(Query("the end"), "the end", tmp_path)


def test_pictures_of_any_shape_can_be_shown() -> None:
    for size in ((1, 1), (5000, 2), (2, 5000)):
        with Pictures.open(BytesIO(small_jpeg(photo(*size)))) as picture:
            assert max(picture.size) <= 384
