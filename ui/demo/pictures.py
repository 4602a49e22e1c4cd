"""The moving pictures of the sample library, made from photographs, films and sound.

Frames are uint8 ``(height, width, 3)`` RGB; times are seconds from the clip's first frame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from indexer.core.errors import UnreadableMediaError
from indexer.core.types import Image
from indexer.media.read.decode import FrameReader
from ui.demo.clips import StillShot, Title, View

__all__ = ["SAMPLE_RATE", "add_title", "film_excerpt", "film_still", "read_picture", "wave_frames"]

SAMPLE_RATE = 48_000
"""Of the sound of the clips, in Hz."""

_FADE_S = 0.4
_DEEPEST = np.array([16.0, 24.0, 40.0])
_LIGHTEST = np.array([30.0, 58.0, 86.0])
_HEARD = (244, 190, 92)
_TO_COME = (88, 118, 148)
_BARS = 72
_MARGIN = 0.05


def read_picture(path: Path) -> Image:
    """The photograph in a file, upright, as RGB."""
    with PillowImage.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def film_still(picture: Image, shot: StillShot, times_s: Sequence[float], size: tuple[int, int]) -> Iterator[Image]:
    """Film a photograph with a camera that eases from ``shot.start`` to ``shot.end``.

    Args:
        picture: The photograph.
        shot: The camera's first and last view.
        times_s: When each frame is taken, counted from the shot's start.
        size: Width and height of the frames.
    """
    picture = _shrink(picture, shot, size[0])
    for time_s in times_s:
        yield _look_at(picture, _between(shot.start, shot.end, time_s / float(shot.seconds)), size)


def _shrink(picture: Image, shot: StillShot, frame_width: int) -> Image:
    """Area-average a picture that is finer than the frames, which bicubic sampling alone would make shimmer."""
    scale = frame_width / (picture.shape[1] * min(shot.start.width, shot.end.width))
    if scale >= 1:
        return picture
    return _bytes(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


def _between(start: View, end: View, progress: float) -> View:
    eased = progress * progress * (3 - 2 * progress)
    return View(
        start.x + (end.x - start.x) * eased,
        start.y + (end.y - start.y) * eased,
        start.width + (end.width - start.width) * eased,
    )


def _look_at(picture: Image, view: View, size: tuple[int, int]) -> Image:
    """What a view shows, sampled at fractions of a pixel so that slow moves do not jitter."""
    height, width = picture.shape[:2]
    scale = view.width * width / size[0]
    left = _inside(view.x * width - size[0] * scale / 2, width - size[0] * scale)
    top = _inside(view.y * height - size[1] * scale / 2, height - size[1] * scale)
    to_picture = np.array([[scale, 0, left + (scale - 1) / 2], [0, scale, top + (scale - 1) / 2]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return _bytes(cv2.warpAffine(picture, to_picture, size, flags=flags, borderMode=cv2.BORDER_REPLICATE))


def _bytes(picture: NDArray[np.integer | np.floating]) -> Image:
    """The same picture as uint8; its values are whole and in [0, 255] already."""
    return picture.astype(np.uint8, copy=False)


def _inside(position: float, limit: float) -> float:
    return min(max(position, 0.0), max(limit, 0.0))


def film_excerpt(path: Path, from_s: float, times_s: Sequence[float], size: tuple[int, int]) -> Iterator[Image]:
    """The frames that a film shows from its second ``from_s`` on, stretched to ``size``.

    Args:
        path: The film.
        from_s: Where in the film the excerpt begins.
        times_s: When each frame is shown, counted from the excerpt's start, ascending.
        size: Width and height of the frames; the film's own proportions are expected.

    Raises:
        UnreadableMediaError: the film cannot be read, or ends before the excerpt does.
    """
    waiting = deque(times_s)
    with FrameReader(path) as reader:
        for frame in reader:
            while waiting and from_s + waiting[0] <= frame.time_s:
                waiting.popleft()
                yield _bytes(cv2.resize(frame.image(), size, interpolation=cv2.INTER_CUBIC))
            if not waiting:
                return
    if waiting:
        raise UnreadableMediaError(f"{path} ends before its second {from_s + waiting[-1]:g}.")


def add_title(frames: Iterable[Image], times_s: Iterable[float], title: Title) -> Iterator[Image]:
    """Burn a title into the frames of its span, in place, faded in and out."""
    band: _Band | None = None
    for frame, time_s in zip(frames, times_s, strict=True):
        strength = _title_strength(title, time_s)
        if strength > 0:
            band = band or _draw_title(title.text, frame.shape[1], frame.shape[0])
            _blend(frame, band, strength)
        yield frame


class _Band(NamedTuple):
    """White letters on a dark band: RGBA ``(rows, width, 4)`` in [0, 255], to be laid on a frame from row ``top``."""

    top: int
    pixels: NDArray[np.float32]


def _title_strength(title: Title, time_s: float) -> float:
    return min(1.0, (time_s - title.start_s) / _FADE_S, (title.end_s - time_s) / _FADE_S)


def _draw_title(text: str, width: int, height: int) -> _Band:
    """The title for frames of a size, in their lower third."""
    rows = round(height * 0.17)
    canvas = PillowImage.new("RGBA", (width, rows), (0, 0, 0, 150))
    font = ImageFont.load_default(size=round(height * 0.105))
    ImageDraw.Draw(canvas).text((width / 2, rows / 2), text, font=font, anchor="mm", fill=(255, 255, 255, 255))
    return _Band(round(height * 0.72), np.asarray(canvas).astype(np.float32))


def _blend(frame: Image, band: _Band, strength: float) -> None:
    under = frame[band.top : band.top + len(band.pixels)]
    opacity = band.pixels[..., 3:] * (strength / 255)
    under[...] = np.rint(under + (band.pixels[..., :3] - under) * opacity)


def wave_frames(samples: NDArray[np.float32], times_s: Iterable[float], size: tuple[int, int]) -> Iterator[Image]:
    """Draw a sound as a row of bars, as voice messages are shown: what has been heard is bright.

    Args:
        samples: The sound of the whole clip, float32 ``(n,)`` in [-1, 1], at ``SAMPLE_RATE``.
        times_s: When each frame is shown.
        size: Width and height of the frames.
    """
    to_come, heard = (_draw_bars(_levels(samples), size, colour) for colour in (_TO_COME, _HEARD))
    length_s = len(samples) / SAMPLE_RATE
    for time_s in times_s:
        yield _wipe(to_come, heard, _MARGIN + (1 - 2 * _MARGIN) * time_s / length_s)


def _wipe(before: Image, after: Image, position: float) -> Image:
    """The one picture left of ``position``, a fraction of the width, and the other right of it."""
    column, part = divmod(position * before.shape[1], 1)
    edge = int(column)
    wiped = before.copy()
    wiped[:, :edge] = after[:, :edge]
    wiped[:, edge] = _bytes(np.rint(after[:, edge] * part + before[:, edge] * (1 - part)))
    return wiped


def _levels(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """The loudness of each bar's stretch of sound, in [0, 1]."""
    stretches = np.array_split(samples.astype(np.float64), _BARS)
    loudness = np.array([np.sqrt(np.square(stretch).mean()) for stretch in stretches])
    levels: NDArray[np.float64] = np.sqrt(loudness / max(loudness.max(), 1e-9))
    return levels


def _draw_bars(levels: NDArray[np.float64], size: tuple[int, int], colour: tuple[int, int, int]) -> Image:
    frame = _backdrop(size)
    pitch = size[0] * (1 - 2 * _MARGIN) / len(levels)
    for number, level in enumerate(levels):
        x = size[0] * _MARGIN + (number + 0.5) * pitch
        _draw_bar(frame, x, size[1] * (0.012 + 0.34 * level), pitch * 0.6, colour)
    return frame


def _backdrop(size: tuple[int, int]) -> Image:
    down = np.linspace(0, 1, size[1])[:, None, None]
    shade = _LIGHTEST + (_DEEPEST - _LIGHTEST) * down
    return _bytes(np.rint(np.broadcast_to(shade, (size[1], size[0], 3))))


def _draw_bar(frame: Image, x: float, reach: float, thickness: float, colour: tuple[int, int, int]) -> None:
    """A bar about the frame's middle line, placed at sixteenths of a pixel."""
    middle = frame.shape[0] / 2
    corners = [(x - thickness / 2, middle - reach), (x + thickness / 2, middle - reach)]
    corners += [(x + thickness / 2, middle + reach), (x - thickness / 2, middle + reach)]
    points = np.rint(np.array(corners) * 16).astype(np.int32)
    cv2.fillConvexPoly(frame, points, colour, lineType=cv2.LINE_AA, shift=4)
