"""The index behind the page: opened once there is one, and shared by all visitors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from indexer.core.errors import IndexMissingError
from ui.services.context import Context

if TYPE_CHECKING:
    from indexer.core.types import Video
    from search.catalogue import Catalogue
    from search.engine import SearchEngine

__all__ = ["Library"]


class Library:
    """One index, which may not exist yet, may be growing in another process, and is read by many threads.

    Args:
        context: The settings: where the index is, and how to search it.
        opens: Opens the index; by default, the one that the settings name.
    """

    def __init__(self, context: Context, opens: Callable[[], SearchEngine] | None = None) -> None:
        self.context = context
        self._opens = opens or context.open_engine
        self._opening = Lock()
        self._engine: SearchEngine | None = None

    @property
    def folder(self) -> Path:
        """The folder of the index, which may not exist yet."""
        return self.context.index_folder

    def engine(self) -> SearchEngine:
        """The search engine; opened once there is an index.

        Raises:
            IndexMissingError: nothing has been indexed yet.
            StoreError: the index cannot be read.
        """
        with self._opening:
            if self._engine is None:
                self._engine = self._opens()
            return self._engine

    def catalogue(self) -> Catalogue | None:
        """What there is to search now; None while nothing has been indexed.

        Raises:
            StoreError: the index cannot be read.
        """
        try:
            return self.engine().catalogue()
        except IndexMissingError:
            return None

    def video(self, video_id: str) -> Video | None:
        """The searchable video with exactly this id; None if there is none."""
        catalogue = self.catalogue()
        return None if catalogue is None else catalogue.videos.get(video_id)

    def picture(self, video_id: str, time_s: float) -> Path | None:
        """The thumbnail of a video nearest to an instant; None if there is none."""
        return self.context.thumbnails().find(video_id, time_s)

    def close(self) -> None:
        """Close the index."""
        with self._opening:
            if self._engine is not None:
                self._engine.close()
                self._engine = None
