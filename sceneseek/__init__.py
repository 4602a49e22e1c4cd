"""sceneseek from Python: ``sceneseek.open("chroma_db").search("a red car")``."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from indexer.core.errors import SceneseekError
from search.engine import Ranking, SearchEngine
from search.moments import Hit, Moment
from search.query.query import Query

__all__ = ["Hit", "Moment", "Query", "Ranking", "SceneseekError", "SearchEngine", "__version__", "open"]

try:
    __version__ = version("sceneseek")
except PackageNotFoundError:  # a checkout that is not installed
    __version__ = "0"


def open(  # noqa: A001 - as in gzip.open
    index: str | Path = "chroma_db", *, name: str = "sceneseek", url: str = "", device: str = "auto"
) -> SearchEngine:
    """Open an index for searching; close it, or use it in a ``with`` statement.

    Args:
        index: The index's folder.
        name: The index's name; several may share a folder.
        url: Of a Chroma server that holds the database; empty: the folder does.
        device: Where models run: ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Raises:
        StoreError: there is no index, or it cannot be opened.
    """
    return SearchEngine.open(index, name=name, url=url, device=device)
