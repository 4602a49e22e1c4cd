"""Strokes of letters in small grey pictures: found where something is written, the same while it stays."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.modalities.ocr.text_detection import Grey, find_strokes, is_smooth
from tests.unit.written import page, picture


def grey(*lines: str, size: float = 1.4, top: int = 150) -> Grey:
    whole = cv2.cvtColor(picture(*lines, size=size, top=top), cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(whole, (320, 180), interpolation=cv2.INTER_AREA), np.uint8)


@pytest.mark.parametrize("size", [0.6, 0.8, 1.4, 3.0, 6.0])
def test_letters_of_any_size_are_found_where_they_are(size: float) -> None:
    small = grey("street", size=size, top=200)
    mask = find_strokes(small).mask
    assert mask.any()
    assert not mask[small == grey()[0, 0]].mean() > 0.2
    rows = np.nonzero((small > 200).any(axis=1))[0]
    assert not mask[: max(0, rows.min() - 4)].any()
    assert not mask[rows.max() + 5 :].any()


def test_dark_letters_on_bright_ground_are_found_too() -> None:
    assert find_strokes((255 - grey("street")).astype(np.uint8)).amount > 100


def test_empty_pictures_and_soft_shapes_hold_none() -> None:
    slope = np.tile(np.linspace(0, 255, 320).astype(np.uint8), (180, 1))
    disc = np.asarray(cv2.GaussianBlur(cv2.circle(grey(), (160, 90), 50, 255, -1), (0, 0), 4), np.uint8)
    assert [find_strokes(empty).amount for empty in (grey(), slope, disc)] == [0, 0, 0]


@pytest.mark.parametrize(("size", "paper", "ink"), [(20, 250, 20), (20, 128, 160), (40, 128, 148), (40, 20, 36)])
def test_a_picture_with_a_short_word_is_not_smooth_however_pale(size: int, paper: int, ink: int) -> None:
    assert not is_smooth(page("exit", width=1280, height=720, size=size, shades=(paper, ink)))


def test_flat_and_soft_pictures_are_smooth() -> None:
    slope = np.tile(np.linspace(0, 255, 640).astype(np.uint8)[None, :, None], (360, 1, 3))
    soft = cv2.GaussianBlur(cv2.circle(picture(), (320, 180), 100, (255, 255, 255), -1), (0, 0), 24)
    noise = np.random.default_rng(1).integers(-2, 3, (360, 640, 3))
    assert all(map(is_smooth, (picture(), slope, soft, (picture() + noise).astype(np.uint8))))


def test_the_same_text_has_no_cell_missing_whatever_the_noise() -> None:
    noise = np.random.default_rng(1).integers(-6, 7, (180, 320))
    one = find_strokes(grey("a quiet street"))
    other = find_strokes((grey("a quiet street") + noise).clip(0, 255).astype(np.uint8))
    assert one.cells_missing_in(other) == other.cells_missing_in(one) == 0
    assert one.also_in(other).amount > 0.95 * one.amount


@pytest.mark.parametrize(("before", "after"), [("a quiet street", "a quiet market"), ("chapter one", "chapter two")])
def test_another_word_in_the_same_place_is_noticed(before: str, after: str) -> None:
    one, other = find_strokes(grey(before)), find_strokes(grey(after))
    assert other.cells_missing_in(one) >= 2


def test_a_text_that_moves_on_leaves_its_cells() -> None:
    one, other = find_strokes(grey("credits")), find_strokes(grey("credits", top=230))
    assert one.cells_missing_in(other) >= 4
    assert one.also_in(other).amount == 0


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_any_picture_will_do(height: int, width: int, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 255, (height, width), dtype=np.uint8)
    strokes = find_strokes(noise)
    assert strokes.mask.shape == strokes.edges.shape == noise.shape
    assert strokes.cells_missing_in(strokes) == 0
    assert strokes.also_in(strokes).amount == strokes.amount
