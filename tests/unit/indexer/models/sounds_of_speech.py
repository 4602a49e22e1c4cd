"""Sounds that the tests of speech recognition share."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from indexer.core.types import Samples

MEDIA = Path(__file__).resolve().parents[4] / ".." / "shared" / "data" / "media"
RATE = 16_000
KENNEDY = "and so my fellow americans ask not what your country can do for you ask what you can do for your country"
needs_media = [pytest.mark.data, pytest.mark.skipif(not MEDIA.is_dir(), reason="the shared media are not here")]


@lru_cache(maxsize=4)
def sound_of(name: str) -> Samples:
    """The sound of one of the shared clips, at 16 kHz."""
    from indexer.media.read.audio import read_audio

    return read_audio(MEDIA / name, RATE)


def silence(seconds: float) -> Samples:
    """Nothing to hear."""
    return np.zeros(round(seconds * RATE), np.float32)


def noise(seconds: float, level: float = 0.1) -> Samples:
    """White noise."""
    return np.random.default_rng(0).normal(0, level, round(seconds * RATE)).astype(np.float32)


def chord(seconds: float) -> Samples:
    """Three tones with overtones, struck once a second: music of a kind."""
    time = np.arange(round(seconds * RATE)) / RATE
    tones = sum(np.sin(2 * np.pi * pitch * part * time) / part for pitch in (220, 277, 330) for part in (1, 2, 3))
    return (0.1 * tones * np.exp(-3 * (time % 1))).astype(np.float32)


def cut(sound: Samples, *lengths: int) -> Iterator[Samples]:
    """The sound in windows of the given lengths, the last length again and again."""
    start, waiting = 0, list(lengths)
    while start < len(sound):
        length = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        yield sound[start : start + length]
        start += length
