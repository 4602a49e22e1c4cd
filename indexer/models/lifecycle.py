"""What all models share: weights loaded on first use, fingerprints, and work in batches."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import RLock
from typing import Generic, TypeVar

from indexer.models.base import Fingerprint
from indexer.models.devices import release, resolve_device

__all__ = ["Lazy", "LoadedOnUse", "batches", "make_fingerprint"]

T = TypeVar("T")


class Lazy(Generic[T]):
    """A value made on first use, once, even if several threads ask at the same time.

    Args:
        make: Makes the value; if it raises, the next call tries again.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = RLock()
        self._value: T | None = None

    @property
    def loaded(self) -> bool:
        """Whether the value is in memory now."""
        return self._value is not None

    def get(self) -> T:
        """The value, made now if it is not there."""
        with self._lock:
            if self._value is None:
                self._value = self._make()
            return self._value

    def drop(self) -> None:
        """Forget the value; the next ``get`` makes a new one. Calls that still use the old one finish with it."""
        with self._lock:
            self._value = None


class LoadedOnUse(Generic[T]):
    """A model whose weights are loaded by its first use or by ``load``, and dropped by ``unload``.

    Every method that computes loads first, and so raises what ``Model.load`` raises.

    Args:
        make: Loads the weights.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
    """

    def __init__(self, make: Callable[[], T], device: str) -> None:
        self._model = Lazy(make)
        self._device = device

    @property
    def loaded(self) -> bool:
        """Whether the weights are in memory now."""
        return self._model.loaded

    def load(self) -> None:
        """Bring the weights into memory; see ``Model.load``."""
        self._model.get()

    def unload(self) -> None:
        """Give the memory back; the next use loads again."""
        self._model.drop()
        if self._device != "cpu":
            release(resolve_device(self._device))


def make_fingerprint(
    family: str, name: str, weights: str, preprocessing: Mapping[str, object], *, dim: int = 0
) -> Fingerprint:
    """A fingerprint; ``weights`` is a digest, ``preprocessing`` the settings that change what the model computes."""
    return Fingerprint(family, name, weights, json.dumps(preprocessing, sort_keys=True), dim)


def batches(sequence: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The sequence in consecutive parts of ``size``; the last one may be shorter."""
    for start in range(0, len(sequence), size):
        yield sequence[start : start + size]
