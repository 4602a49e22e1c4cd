"""The pictures that visitors search for, kept so that the next page, a filter or an export can ask by them again."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from pathlib import Path
from threading import Lock

from indexer.core.errors import QueryError
from indexer.core.types import Image
from ui.services.query_pictures import read_picture

__all__ = ["KeptPictures"]

_LONGEST_SIDE = 1024
_MOST = 64


class KeptPictures:
    """The last pictures searched for, by a name that only their content gives; in memory, for as long as the page runs.

    Args:
        most: How many are kept; the one that was not asked by for longest goes first.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._pictures: OrderedDict[str, Image] = OrderedDict()
        self._turn = Lock()

    def keep(self, path: Path) -> str:
        """Read a picture and return its name.

        Raises:
            QueryError: it is no picture, or too large a one.
        """
        picture = _made_smaller(read_picture(path))
        name = hashlib.blake2b(picture.tobytes(), digest_size=12).hexdigest()
        with self._turn:
            self._pictures[name] = picture
            self._pictures.move_to_end(name)
            while len(self._pictures) > self._most:
                self._pictures.popitem(last=False)
        return name

    def find(self, name: str) -> Image:
        """The picture of this name.

        Raises:
            QueryError: it is not known, or no longer.
        """
        with self._turn:
            if name not in self._pictures:
                raise QueryError("The picture searched for is no longer here.", hint="Choose it again.")
            self._pictures.move_to_end(name)
            return self._pictures[name]


def _made_smaller(picture: Image) -> Image:
    """At most so large as any model looks at it."""
    step = -(-max(picture.shape[:2]) // _LONGEST_SIDE)
    if step == 1:
        return picture
    import numpy as np
    from PIL import Image as Pictures

    height, width = picture.shape[:2]
    return np.asarray(Pictures.fromarray(picture).resize((max(1, width // step), max(1, height // step))))
