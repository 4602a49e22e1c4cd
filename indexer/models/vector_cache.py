"""Caches the vectors of fixed texts on disk, by text encoder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import numpy as np

from indexer.core.atomic_file import written_whole
from indexer.core.types import Embedding
from indexer.models.base import Fingerprint

__all__ = ["cached_documents"]


class _DocumentEncoder(Protocol):
    @property
    def fingerprint(self) -> Fingerprint: ...

    def encode_documents(self, texts: Sequence[str]) -> Embedding: ...


def cached_documents(texts: Sequence[str], encoder: _DocumentEncoder, folder: Path | None) -> Embedding:
    """``encoder.encode_documents(texts)``, read from ``folder`` if the same model has encoded the same texts before.

    A damaged file is written again. Without a folder, or if it cannot be written, the vectors are computed each time.
    """
    if folder is None:
        return encoder.encode_documents(texts)
    path = folder / f"{_key(texts, encoder)}.npy"
    shape = (len(texts), encoder.fingerprint.dim)
    if (kept := _read(path, shape)) is not None:
        return kept
    vectors = encoder.encode_documents(texts)
    with suppress(OSError):
        _write(path, vectors)
    return vectors


def _key(texts: Sequence[str], encoder: _DocumentEncoder) -> str:
    content = "\0".join([encoder.fingerprint.digest, *texts])
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


def _read(path: Path, shape: tuple[int, int]) -> Embedding | None:
    try:
        vectors = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    sound = vectors.shape == shape and vectors.dtype == np.float32 and bool(np.isfinite(vectors).all())
    return vectors if sound else None


def _write(path: Path, vectors: Embedding) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as unfinished, unfinished.open("wb") as stream:
        np.save(stream, vectors, allow_pickle=False)
