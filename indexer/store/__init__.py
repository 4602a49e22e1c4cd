"""Where an index is stored."""

from __future__ import annotations

from pathlib import Path

from indexer.store.base import VectorStore


def open_store(path: Path, *, name: str = "sceneseek", url: str = "", create: bool = False) -> VectorStore:
    """Open the index in a folder (or on the Chroma server at ``url``).

    Raises:
        IndexMissingError: there is none, and ``create`` is false.
        IndexDamagedError: it cannot be opened.
    """
    from indexer.store.chroma import ChromaStore

    return ChromaStore(path, name=name, url=url, create=create)
