"""Pictures to search by: read from files, and made small for a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    from indexer.core.types import Image

__all__ = ["read_picture", "small_jpeg"]

_LONGEST_SIDE, _QUALITY = 384, 80


def read_picture(path: Path) -> Image:
    """Read a picture, upright, as uint8 ``(H, W, 3)`` RGB; transparent parts become white.

    Raises:
        QueryError: it is no picture, or too large a one.
    """
    import warnings

    from PIL import Image as Pictures
    from PIL import ImageOps

    from indexer.core.errors import QueryError

    try:
        with warnings.catch_warnings(), Pictures.open(path) as picture:
            warnings.simplefilter("ignore", Pictures.DecompressionBombWarning)
            return _as_rgb(ImageOps.exif_transpose(picture))
    except (OSError, ValueError, Pictures.DecompressionBombError) as error:
        raise QueryError(f"{path} is no picture that can be read.", hint="Give a JPEG or PNG file.") from error


def small_jpeg(image: Image) -> bytes:
    """Encode a picture, uint8 ``(H, W, 3)`` RGB, as a small JPEG file for a page."""
    from io import BytesIO

    from PIL import Image as Pictures

    picture = Pictures.fromarray(image)
    picture.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    file = BytesIO()
    picture.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


def _as_rgb(picture: Picture) -> Image:
    """Convert to 8-bit RGB, transparent parts to white; deeper greys are scaled, where Pillow would cut them off."""
    import numpy as np
    from PIL import Image as Pictures

    if picture.mode.startswith(("I", "F")):
        values = np.nan_to_num(np.asarray(picture, np.float64))
        full = 65535.0 if picture.mode.startswith("I") else max(1.0, float(values.max()))
        grey = np.clip(values / full * 255, 0, 255).round().astype(np.uint8)
        return np.repeat(grey[..., np.newaxis], 3, axis=2)
    if picture.has_transparency_data:
        shown = picture.convert("RGBA")
        picture = Pictures.alpha_composite(Pictures.new("RGBA", shown.size, "white"), shown)
    return np.asarray(picture.convert("RGB"))
