"""The settings in force, and the index that they name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from indexer.config import LoadedSettings, Settings, Value
    from indexer.store.base import VectorStore
    from indexer.store.thumbnails import ThumbnailFolder
    from search.confidence.background_cache import Learning
    from search.engine import SearchEngine
    from search.evaluate.runs import RetrievalOptions

__all__ = ["Context", "Flags"]

Flags: TypeAlias = "Mapping[str, Value | None]"


@dataclass(frozen=True, slots=True)
class Context:
    """The settings of one command, and what they name."""

    loaded: LoadedSettings

    @classmethod
    def load(cls, config: Path | None, index: Path | None, flags: Flags | None = None) -> Context:
        """Read the settings from the file, the environment and the flags.

        Raises:
            ConfigError: as ``load_settings`` does.
        """
        from indexer.config import load_settings

        given: Flags = {"index.path": str(index) if index is not None else None, **(flags or {})}
        return cls(load_settings(config, os.environ, given))

    @property
    def settings(self) -> Settings:
        """The values, without where each comes from."""
        return self.loaded.settings

    @property
    def index_folder(self) -> Path:
        """The folder of the index."""
        return Path(self.settings.index.path)

    def open_store(self) -> VectorStore:
        """Open the index for reading.

        Raises:
            IndexMissingError: there is none.
        """
        from indexer.store import open_store

        return open_store(self.index_folder, name=self.settings.index.name, url=self.settings.index.url)

    def open_engine(self, learning: Learning = nullcontext) -> SearchEngine:
        """Open the index for searching.

        Args:
            learning: Entered while the scores of unrelated queries in this index are measured.

        Raises:
            IndexMissingError: there is none.
            IndexDamagedError: it cannot be opened.
        """
        from search.engine import SearchEngine

        settings = self.settings
        return SearchEngine.open(
            self.index_folder,
            name=settings.index.name,
            url=settings.index.url,
            device=settings.models.device,
            learning=learning,
        )

    def run_options(self, depth: int = 100) -> RetrievalOptions:
        """How to search when an evaluation measures the search: ``depth`` answers to a query, with the usual weights.

        Raises:
            QueryError: the depth is less than the metrics look at.
        """
        from indexer.modalities.registry import modality_names
        from search.evaluate.runs import RetrievalOptions

        weights = self.settings.search.weights
        return RetrievalOptions(depth, {name: weights.get(name, 1.0) for name in modality_names()})

    def thumbnails(self) -> ThumbnailFolder:
        """The thumbnails of the index."""
        from indexer.store.thumbnails import ThumbnailFolder

        return ThumbnailFolder(self.index_folder, self.settings.index.name)
