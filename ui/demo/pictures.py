"""The moving pictures of the sample library, made from photographs, films and sound.

Frames are uint8 ``(height, width, 3)`` RGB; times are seconds from the clip's first frame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from indexer.core.errors import UnreadableMediaError
from indexer.core.types import Cue, Image
from indexer.media.read.decode import FrameReader
from ui.demo.clips import SampleShot, View

SAMPLE_RATE = 48_000
"""Of the sound of the clips, in Hz."""

_FADE_S = 0.4
_DEEPEST = np.array([16.0, 24.0, 40.0])
_LIGHTEST = np.array([30.0, 58.0, 86.0])
_PLAYED = (244, 190, 92)
_TO_COME = (88, 118, 148)
_BARS = 72
_MARGIN = 0.05


def film_still(picture: Image, shot: SampleShot, times_s: Sequence[float], size: tuple[int, int]) -> Iterator[Image]:
    """Film a photograph with a camera that eases from the first of ``shot.views`` to the last.

    ``times_s`` are the frames' times from the shot's start, ``size`` their width and height.
    """
    first, last = shot.views
    picture = _shrink(picture, size[0], min(first.width, last.width))
    for time_s in times_s:
        yield _look_at(picture, _between(first, last, time_s / float(shot.seconds)), size)


def _shrink(picture: Image, frame_width: int, view_width: float) -> Image:
    """Area-average a picture that is finer than the frames, which bicubic sampling alone would make shimmer."""
    scale = frame_width / (picture.shape[1] * view_width)
    if scale >= 1:
        return picture
    return _bytes(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


def _between(start: View, end: View, progress: float) -> View:
    eased = progress * progress * (3 - 2 * progress)
    return View(*(first + (last - first) * eased for first, last in zip(start, end, strict=True)))


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
    """The frames that a film shows from its second ``from_s`` on, stretched to ``size`` (width and height).

    ``times_s`` are the frames' times from the excerpt's start, ascending.

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


def add_title(frames: Iterable[Image], times_s: Iterable[float], title: Cue) -> Iterator[Image]:
    """Burn a title into the lower third of the frames of its span, in place, faded in and out."""
    band: NDArray[np.float32] | None = None
    for frame, time_s in zip(frames, times_s, strict=True):
        strength = min(1.0, (time_s - title.start_s) / _FADE_S, (title.end_s - time_s) / _FADE_S)
        if strength > 0:
            band = _draw_title(title.text, frame.shape[1], frame.shape[0]) if band is None else band
            _blend(frame, band, strength)
        yield frame


def _draw_title(text: str, width: int, height: int) -> NDArray[np.float32]:
    """White letters on a dark band: RGBA ``(rows, width, 4)`` in [0, 255], for frames of a size."""
    rows = round(height * 0.17)
    canvas = PillowImage.new("RGBA", (width, rows), (0, 0, 0, 150))
    font = ImageFont.load_default(size=round(height * 0.105))
    ImageDraw.Draw(canvas).text((width / 2, rows / 2), text, font=font, anchor="mm", fill=(255, 255, 255, 255))
    return np.asarray(canvas).astype(np.float32)


def _blend(frame: Image, band: NDArray[np.float32], strength: float) -> None:
    top = round(frame.shape[0] * 0.72)
    under = frame[top : top + len(band)]
    opacity = band[..., 3:] * (strength / 255)
    under[...] = np.rint(under + (band[..., :3] - under) * opacity)


def wave_frames(samples: NDArray[np.float32], times_s: Iterable[float], size: tuple[int, int]) -> Iterator[Image]:
    """Draw a sound as a row of bars, as voice messages are shown: the part played so far is bright.

    ``samples`` are the sound of the whole clip, float32 ``(n,)`` in [-1, 1], at ``SAMPLE_RATE``; ``times_s`` are the
    frames' times, ``size`` their width and height.
    """
    to_come, played = (_draw_bars(_levels(samples), size, colour) for colour in (_TO_COME, _PLAYED))
    length_s = len(samples) / SAMPLE_RATE
    for time_s in times_s:
        yield _wipe(to_come, played, _MARGIN + (1 - 2 * _MARGIN) * time_s / length_s)


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
    """The bars about the frame's middle line, placed at sixteenths of a pixel."""
    width, height = size
    down = np.linspace(0, 1, height)[:, None, None]
    shade = _LIGHTEST + (_DEEPEST - _LIGHTEST) * down
    frame = _bytes(np.rint(np.broadcast_to(shade, (height, width, 3))))
    pitch = width * (1 - 2 * _MARGIN) / len(levels)
    for number, level in enumerate(levels):
        x = width * _MARGIN + (number + 0.5) * pitch
        left, right = x - pitch * 0.6 / 2, x + pitch * 0.6 / 2
        reach = height * (0.012 + 0.34 * level)
        top, bottom = height / 2 - reach, height / 2 + reach
        corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
        cv2.fillConvexPoly(frame, np.rint(corners * 16).astype(np.int32), colour, lineType=cv2.LINE_AA, shift=4)
    return frame
