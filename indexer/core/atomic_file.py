"""Files that appear under their names complete or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A file to write in place of ``path``: it lies beside it, is moved there at the end and is deleted on an error.

    An existing file is replaced and keeps its mode; a link's target is replaced, not the link. A pipe or a device is
    written directly. Concurrent writers each have their own file; the last one to end wins.

    Raises:
        OSError: the file cannot be moved to ``path``.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        yield path
        return
    whole = Path(os.path.realpath(path))  # "/dev/stdout" may lead to a file
    unfinished = whole.parent / f".{uuid4().hex}.tmp"
    try:
        yield unfinished
        if whole.is_file():
            shutil.copymode(whole, unfinished)
        unfinished.replace(whole)
    finally:
        with suppress(OSError):  # moved, or never written
            unfinished.unlink()
