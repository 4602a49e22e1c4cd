from __future__ import annotations

import numpy as np
import pytest
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image as Pillow

from indexer.models.preprocessing import MAX_ASPECT, Recipe, as_tensor, check_images, resized

SHAPES = [(48, 80), (80, 48), (50, 50), (33, 97), (20, 24)]


def picture(height: int, width: int) -> np.ndarray:
    """Smooth shades with hard edges, as photographs have."""
    rows, columns = np.mgrid[:height, :width]
    shades = np.stack([rows * 200 // height, columns * 200 // width, (rows // 7 + columns // 5) % 2 * 90], axis=2)
    return shades.astype(np.uint8)


@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("size", [(32, 32), (24, 40)])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_a_recipe_is_open_clips_own_transform(
    mode: str, size: tuple[int, int], shape: tuple[int, int], interpolation: str
) -> None:
    import torch

    mean, std = (0.5, 0.4, 0.3), (0.25, 0.26, 0.27)
    config = PreprocessCfg(size=size, mean=mean, std=std, interpolation=interpolation, resize_mode=mode, fill_color=9)
    if mode == "shortest" and size[0] != size[1]:
        interpolation = "bicubic"  # whatever the configuration says, in open_clip
    image = picture(*shape)
    theirs = image_transform_v2(config, is_train=False)(Pillow.fromarray(image))
    recipe = Recipe(size=size, mean=mean, std=std, interpolation=interpolation, mode=mode, fill=9)
    for exact, step in ((True, 0), (False, 1)):
        ours = recipe.batch([recipe.fit(as_tensor(image), exact=exact)], "cpu", torch.float32)[0]
        # A grey level is 1/255, divided by the deviation.
        assert float((ours - theirs).abs().max()) <= step / 255 / min(std) + 1e-5


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 2), (3, 3)])
def test_any_picture_can_be_fitted(shape: tuple[int, int]) -> None:
    recipe = Recipe(size=(32, 32), mean=(0, 0, 0), std=(1, 1, 1))
    assert tuple(recipe.fit(as_tensor(np.zeros((*shape, 3), np.uint8))).shape) == (3, 32, 32)


def test_a_very_long_picture_keeps_its_middle() -> None:
    image = np.zeros((2, 100, 3), np.uint8)
    image[:, 50] = 255
    kept = as_tensor(image)
    assert tuple(kept.shape) == (3, 2, 2 * MAX_ASPECT)
    assert int(kept[0, 0].argmax()) == 50 - (100 - 2 * MAX_ASPECT) // 2


def test_read_only_and_strided_pictures_are_taken() -> None:
    image = picture(40, 40)[:, ::-1]
    image.flags.writeable = False
    assert np.array_equal(as_tensor(image).permute(1, 2, 0).numpy(), image)


def test_resized_takes_a_shorter_side_or_both() -> None:
    tensor = as_tensor(picture(40, 60))
    assert tuple(resized(tensor, 20, "bicubic").shape) == (3, 20, 30)
    assert tuple(resized(tensor, (20, 20), "bicubic").shape) == (3, 20, 20)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_what_is_no_picture_is_refused(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"image 1 is .*uint8 \(height, width, 3\) RGB"):
        check_images([picture(4, 4), image])
