"""Files that appear under their names complete or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

__all__ = ["written_whole"]


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Where to write what ``path`` is to hold: a file beside it, moved there at the end and gone after an error.

    An existing file is replaced, and of a link what it leads to. A pipe or a device is written to as it is. Two who
    write the same file at once have a file each, and the last to end leaves his.

    Raises:
        OSError: it cannot be moved there.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        yield path
        return
    # Its own name, not one made of the path's: someone may keep a file of such a name there.
    whole = Path(os.path.realpath(path))  # else "/dev/stdout" itself would be replaced where it leads to a file
    unfinished = whole.parent / f".{uuid4().hex}.tmp"
    try:
        yield unfinished
        if whole.is_file():
            shutil.copymode(whole, unfinished)
        unfinished.replace(whole)
    finally:
        with suppress(OSError):  # moved, or never begun
            unfinished.unlink()
