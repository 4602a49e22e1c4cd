"""Thumbnails by video and instant."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from indexer.store.thumbnails import ThumbnailFolder

RED = np.full((360, 640, 3), (200, 30, 30), dtype=np.uint8)


def test_a_thumbnail_is_small_and_keeps_its_colours(tmp_path: Path) -> None:
    folder = ThumbnailFolder(tmp_path)
    folder.save("abc", 1.5, RED)
    found = folder.find("abc", 1.5)
    assert found is not None
    picture = cv2.cvtColor(cv2.imread(str(found)), cv2.COLOR_BGR2RGB)
    assert picture.shape == (180, 320, 3)
    assert np.abs(picture.mean(axis=(0, 1)) - (200, 30, 30)).max() < 3


@pytest.mark.parametrize("shape", [(1, 1), (1, 999), (700, 2), (33, 57)])
def test_any_size_will_do(tmp_path: Path, shape: tuple[int, int]) -> None:
    folder = ThumbnailFolder(tmp_path)
    folder.save("abc", 0.0, np.zeros((*shape, 3), dtype=np.uint8))
    assert folder.find("abc", 0.0) is not None


@pytest.mark.parametrize(("asked_s", "given_s"), [(2.0, 2.0), (3.9, 2.0), (9999.0, 4.0), (0.5, 2.0)])
def test_the_last_one_before_the_instant_else_the_first(tmp_path: Path, asked_s: float, given_s: float) -> None:
    folder = ThumbnailFolder(tmp_path)
    for time_s in (2.0, 4.0):
        folder.save("abc", time_s, RED)
    assert folder.find("abc", asked_s) == folder.find("abc", given_s)
    assert folder.find("other", asked_s) is None


def test_deleting_one_video_leaves_the_others(tmp_path: Path) -> None:
    folder = ThumbnailFolder(tmp_path)
    folder.save("abc", 0.0, RED)
    folder.save("abd", 0.0, RED)
    folder.delete("abc")
    folder.delete("never there")
    assert folder.find("abc", 0.0) is None
    assert folder.find("abd", 0.0) is not None
