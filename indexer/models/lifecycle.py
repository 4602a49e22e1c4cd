"""Weights that come into memory once, whoever asks first, and leave when told to."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock
from typing import Generic, TypeVar

from indexer.models.devices import release, resolve_device

__all__ = ["Lazy", "LoadedOnUse"]

T = TypeVar("T")


class Lazy(Generic[T]):
    """A value made on first use, exactly once, even when several threads ask at the same time.

    Args:
        make: Makes the value; what it raises goes to whoever asked, and the next call tries again.
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
        """The value, made now if need be."""
        with self._lock:
            if self._value is None:
                self._value = self._make()
            return self._value

    def drop(self) -> None:
        """Forget the value; the next ``get`` makes a new one. Calls that hold the old one finish with it."""
        with self._lock:
            self._value = None


class LoadedOnUse(Generic[T]):
    """What every family does with its weights: they come with the first use, or ``load``, and go with ``unload``.

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
        """Give the memory back. A model that was passed in is whoever's passed it in."""
        self._model.drop()
        if self._device != "cpu":
            release(resolve_device(self._device))
