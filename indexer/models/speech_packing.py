"""Packs voiced stretches end to end, for a model whose input is always half a minute."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from indexer.core.types import Samples
from indexer.models.silero import SAMPLE_RATE, Stretch

__all__ = ["Chunk", "pack"]


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Voiced stretches, in time order, laid end to end."""

    stretches: tuple[Stretch, ...]

    @property
    def samples(self) -> Samples:
        """``(n,)``."""
        return np.concatenate([stretch.samples for stretch in self.stretches])

    @property
    def offsets_s(self) -> list[float]:
        """Where each stretch begins in the chunk, in seconds."""
        lengths = [stretch.duration_s for stretch in self.stretches]
        return [sum(lengths[:index]) for index in range(len(lengths))]

    def stretch_at(self, time_s: float) -> int:
        """The number of the stretch at a time of the chunk."""
        return max(0, int(np.searchsorted(self.offsets_s, time_s, side="right")) - 1)

    def original_s(self, time_s: float, index: int) -> float:
        """A time of the chunk as a time of the whole sound, moved into stretch number ``index`` if it is outside."""
        stretch = self.stretches[index]
        within_s = min(max(float(time_s) - self.offsets_s[index], 0.0), stretch.duration_s)
        return stretch.start_s + within_s


def pack(stretches: Iterable[Stretch], longest_s: float) -> Iterator[Chunk]:
    """Chunks of as many stretches as fit into ``longest_s``; a longer stretch is a chunk of its own."""
    packed: list[Stretch] = []
    length = 0
    for stretch in stretches:
        if packed and length + len(stretch.samples) > longest_s * SAMPLE_RATE:
            yield Chunk(tuple(packed))
            packed, length = [], 0
        packed.append(stretch)
        length += len(stretch.samples)
    if packed:
        yield Chunk(tuple(packed))
