"""The roles a model can fill. A family (one module beside this one) implements a role.

Models are built with everything they need, load their weights on first use (or by ``load``), and can be unloaded.
Nothing is read from settings here, and no heavyweight library is imported.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Protocol, runtime_checkable

from indexer.types import Embedding, Image

__all__ = ["Fingerprint", "FrameEncoder", "Model", "TextEncoder"]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What makes two vectors comparable: the same family, weights, preprocessing and dimension.

    ``weights`` is a digest of the weight files, ``preprocessing`` says in words and numbers how pictures or texts are
    prepared. Two models with equal digests give equal vectors. ``name`` is for people and not part of the digest: the
    same weights from the Hub, the cache or a folder are the same model.
    """

    family: str
    name: str
    weights: str
    preprocessing: str
    dim: int

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that stand for the whole."""
        text = json.dumps({**asdict(self), "name": ""}, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


class Model(Protocol):
    """What every family offers, whatever its role."""

    @property
    def fingerprint(self) -> Fingerprint:
        """Known without loading the weights onto a device; reading the weight file's digest is allowed."""

    def load(self) -> None:
        """Bring the weights into memory; does nothing the second time and is safe from several threads.

        Raises:
            WeightsMissingError: a file is not here and cannot be fetched.
            WeightsDamagedError: a file is here and is no such model.
        """

    def unload(self) -> None:
        """Give the memory back; the next use loads again."""


@runtime_checkable
class FrameEncoder(Model, Protocol):
    """Pictures and the texts that describe them, in one space."""

    def encode_images(self, images: Sequence[Image]) -> Embedding:
        """``(n, dim)`` float32, L2-normalised; images may differ in size. ``(0, dim)`` for none."""

    def encode_texts(self, texts: Sequence[str]) -> Embedding:
        """``(n, dim)`` float32, L2-normalised, in the space of the images."""


@runtime_checkable
class TextEncoder(Model, Protocol):
    """Texts and the queries that look for them, in one space."""

    def encode_documents(self, texts: Sequence[str]) -> Embedding:
        """``(n, dim)`` float32, L2-normalised."""

    def encode_queries(self, texts: Sequence[str]) -> Embedding:
        """``(n, dim)`` float32, L2-normalised."""
