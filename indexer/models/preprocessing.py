"""Prepares images for a model: resizes and cuts them as the model's own library does, but on uint8 tensors.

torchvision's uint8 resize with antialiasing is Pillow's, to within one grey level, and about ten times as fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from indexer.core.types import Image

if TYPE_CHECKING:
    import torch

__all__ = ["MAX_ASPECT", "Recipe", "as_tensor", "check_images", "resized"]

MAX_ASPECT = 8
"""Of an image whose sides have a larger ratio only the middle is used: resized, it would need too much memory."""


def check_images(images: Sequence[Image]) -> None:
    """Check that all images are uint8 RGB.

    Raises:
        ValueError: an image is not uint8 ``(H, W, 3)`` with H and W at least 1.
    """
    for index, image in enumerate(images):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise ValueError(
                f"image {index} is {image.dtype} of shape {image.shape}; an image must be uint8 (height, width, 3) RGB"
            )


def as_tensor(image: Image) -> torch.Tensor:
    """The image as uint8 ``(3, H, W)``, if possible without a copy; see ``MAX_ASPECT`` for very long ones."""
    import torch

    height, width = image.shape[:2]
    short = min(height, width) * MAX_ASPECT
    top, left = max(0, (height - short) // 2), max(0, (width - short) // 2)
    kept = np.ascontiguousarray(image[top : top + short, left : left + short])
    return torch.from_numpy(kept if kept.flags.writeable else kept.copy()).permute(2, 0, 1)


def resized(
    picture: torch.Tensor, size: int | tuple[int, int], interpolation: str, *, exact: bool = False
) -> torch.Tensor:
    """uint8 ``(3, h, w)``: to exactly (height, width), or so that the shorter side is ``size``, with antialiasing.

    ``exact`` uses Pillow: bit for bit what the libraries' own transforms give, several times more slowly.
    """
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.v2 import functional

    mode = InterpolationMode(interpolation)
    wanted = [size] if isinstance(size, int) else list(size)
    if not exact:
        return cast("torch.Tensor", functional.resize(picture, wanted, interpolation=mode, antialias=True))
    small = functional.resize(functional.to_pil_image(picture), wanted, interpolation=mode)
    return cast("torch.Tensor", functional.pil_to_tensor(small))


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model wants its images.

    Args:
        size: (height, width) of the model's input.
        mean: Subtracted from each channel, in [0, 1].
        std: Divides each channel after that.
        interpolation: ``bicubic`` or ``bilinear``.
        mode: ``shortest`` (fill the frame and cut the rest), ``longest`` (fit and pad) or ``squash`` (stretch).
        fill: Grey level of the padding, 0 to 255.
        scale: Resize to ``size / scale`` before cutting (timm's ``crop_pct``).
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bicubic"
    mode: Literal["shortest", "longest", "squash"] = "shortest"
    fill: int = 0
    scale: float = 1.0

    def describe(self) -> dict[str, Any]:
        """The recipe as plain values, for a fingerprint."""
        return asdict(self)

    def fit(self, picture: torch.Tensor, *, exact: bool = False) -> torch.Tensor:
        """uint8 ``(3, H, W)`` to uint8 ``(3, *size)``; ``exact`` as in ``resized``."""
        if self.mode == "squash":
            return resized(picture, self.size, self.interpolation, exact=exact)
        return self.cut(resized(picture, self._resize_to(picture), self.interpolation, exact=exact))

    def _resize_to(self, picture: torch.Tensor) -> int | tuple[int, int]:
        target = [int(side / self.scale) for side in self.size]
        if self.mode == "shortest" and target[0] == target[1]:
            return target[0]
        ratios = [side / wanted for side, wanted in zip(picture.shape[1:], target, strict=True)]
        ratio = max(ratios) if self.mode == "longest" else min(ratios)
        height, width = (max(1, round(side / ratio)) for side in picture.shape[1:])
        return height, width

    def cut(self, picture: torch.Tensor) -> torch.Tensor:
        """The middle of an image at ``size``, padded with ``fill`` if the image is smaller."""
        from torchvision.transforms.v2 import functional

        missing = [max(0, wanted - side) for side, wanted in zip(picture.shape[1:], self.size, strict=True)]
        if any(missing):
            down, across = missing
            padding = [across // 2, down // 2, (across + 1) // 2, (down + 1) // 2]
            picture = functional.pad(picture, padding, fill=self.fill)
        return cast("torch.Tensor", functional.center_crop(picture, list(self.size)))

    def batch(self, pictures: Sequence[torch.Tensor], device: str, dtype: torch.dtype) -> torch.Tensor:
        """``(n, 3, *size)`` on the device, normalised, from uint8 images of that size."""
        import torch

        stacked = torch.stack(list(pictures)).to(device)
        mean, std = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (self.mean, self.std))
        pixels = stacked.float().div_(255).sub_(mean).div_(std)
        return pixels.to(dtype=dtype, memory_format=torch.channels_last)
