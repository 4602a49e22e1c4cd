"""Small real clips, encoded for a test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from indexer.core.types import Cue, Image, Samples
from indexer.media.deliver.write import AudioTrack, ClipOptions, write_clip

RED, GREEN, BLUE = (210, 40, 40), (40, 180, 60), (40, 60, 200)
YELLOW, WHITE, BLACK = (220, 210, 40), (235, 235, 235), (0, 0, 0)


def scene(colour: tuple[int, int, int], seed: int, size: tuple[int, int] = (96, 160)) -> Image:
    """A still picture: one colour with coarse texture of its own, so that cuts and sharpness mean something."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(-40, 40, (size[0] // 8, size[1] // 8, 1)).repeat(8, axis=0).repeat(8, axis=1)
    return np.clip(np.array(colour) + blocks, 0, 255).astype(np.uint8)


def clip(
    path: Path,
    colours: Sequence[tuple[int, int, int]],
    *,
    shot_s: float = 1.0,
    seed: int = 0,
    subtitles: Sequence[Cue] = (),
    audio: bool | Samples = False,
) -> Path:
    """A clip with one shot per colour; ``audio`` is a steady tone, or samples at 16 kHz."""
    rate = 12
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = None
    if audio is not False:
        sound = AudioTrack(tone(shot_s * len(colours)) if audio is True else audio, 16_000)
    options = ClipOptions(rate=Fraction(rate), preset="ultrafast", subtitles=tuple(subtitles), audio=sound)
    write_clip(path, _pictures(colours, round(shot_s * rate), seed), options=options)
    return path


def _pictures(colours: Sequence[tuple[int, int, int]], frames: int, seed: int) -> Iterator[Image]:
    for shot, colour in enumerate(colours):
        picture = scene(colour, seed + shot)
        for number in range(frames):
            yield np.roll(picture, number % 3, axis=1)


def tone(duration_s: float, hertz: float = 440.0) -> Samples:
    """A steady tone at 16 kHz; silence for 0 Hz."""
    return (0.2 * np.sin(2 * np.pi * hertz * np.arange(round(duration_s * 16000)) / 16000)).astype(np.float32)
