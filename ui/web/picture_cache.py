"""The pictures that visitors search for, kept so that the next page, a filter or an export can name them again."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from pathlib import Path
from threading import Lock

import numpy as np
from PIL import Image as Pictures

from indexer.core.errors import QueryError
from indexer.core.types import Image
from ui.services.query_pictures import read_picture

_LONGEST_SIDE = 1024


class PictureCache:
    """The last ``size`` pictures searched for, in memory, by names that follow from their content."""

    def __init__(self, size: int = 64) -> None:
        self._size = size
        self._pictures: OrderedDict[str, Image] = OrderedDict()
        self._lock = Lock()

    def keep(self, path: Path) -> str:
        """Read a picture, make it no larger than any model looks at it, and return its name.

        Raises:
            QueryError: it is no picture, or too large a one.
        """
        smaller = Pictures.fromarray(read_picture(path))
        smaller.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
        picture = np.asarray(smaller)
        name = hashlib.blake2b(picture.tobytes(), digest_size=12).hexdigest()
        with self._lock:
            self._pictures[name] = picture
            self._pictures.move_to_end(name)
            while len(self._pictures) > self._size:
                self._pictures.popitem(last=False)
        return name

    def find(self, name: str) -> Image:
        """The picture of this name.

        Raises:
            QueryError: there is none, or no longer.
        """
        with self._lock:
            if name not in self._pictures:
                raise QueryError("The picture searched for is no longer here.", hint="Choose it again.")
            self._pictures.move_to_end(name)
            return self._pictures[name]
