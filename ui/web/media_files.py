"""Which file a video's id stands for, and whether it may be sent to a browser.

Only files that the index names are sent. A name may come to mean another file after indexing, so each time:

- the file must be a plain file, never a folder, a pipe or a device;
- once all links are followed, it must lie within the folder that was indexed. A link out of that folder is followed
  only while it leads to the very file that was indexed, by size and time of change to the nanosecond;
- a file within the folder that has changed since is sent, and said to have changed.

If one copy of a video is gone, the next one is taken.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from indexer.core.types import Video
    from indexer.store.base import Commit, Location
    from search.catalogue import Catalogue

__all__ = ["NotServedError", "ServedFile", "find_file", "open_plain_file"]


class NotServedError(Exception):
    """A file is not sent.

    Args:
        status: The HTTP status that says so: 403, 404 or 410.
        message: Why, for a person; names no folder.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True)
class ServedFile:
    """A file that may be sent.

    Attributes:
        video: What the index knows about it.
        path: All links followed.
        name: As it was indexed, without its folder.
        size: In bytes, now.
        mtime_ns: Now.
        is_changed: Whether its size or time is not what it was when it was indexed.
    """

    video: Video
    path: Path
    name: str
    size: int
    mtime_ns: int
    is_changed: bool


def find_file(catalogue: Catalogue | None, video_id: str) -> ServedFile:
    """The file of a searchable video.

    Raises:
        NotServedError: no video has exactly this id, its file is gone, or it may not be sent.
    """
    commit = catalogue.commits.get(video_id) if catalogue is not None else None
    if commit is None or not commit.is_searchable or not commit.locations:
        raise NotServedError(404, "There is no such video in this library.")
    refusal: NotServedError | None = None
    for place in commit.locations:
        try:
            return _checked(commit, place)
        except NotServedError as error:
            refusal = refusal or error
    raise refusal or NotServedError(410, "The file is no longer there.")


def _checked(commit: Commit, place: Location) -> ServedFile:
    name = _printable(place.path.name)
    try:
        real = place.path.resolve(strict=True)
        facts = real.stat()
    except PermissionError:
        raise NotServedError(403, f"{name} may not be read.") from None
    except (OSError, RuntimeError, ValueError):
        raise NotServedError(410, f"{name} is no longer where it was indexed.") from None
    if not stat.S_ISREG(facts.st_mode):
        raise NotServedError(410, f"{name} is no longer a file.")
    is_changed = (facts.st_size, facts.st_mtime_ns) != (place.size, place.mtime_ns)
    if is_changed and not _is_at_home(real, place):
        raise NotServedError(403, f"{name} now leads out of the folder that was indexed.")
    return ServedFile(commit.video, real, name, facts.st_size, facts.st_mtime_ns, is_changed)


def _is_at_home(real: Path, place: Location) -> bool:
    """Whether a path without links lies in the folder that was indexed, or is the one file that was."""
    if place.root == place.path:
        return real == place.root.parent.resolve() / place.root.name
    return real.is_relative_to(place.root.resolve())


def open_plain_file(path: Path) -> tuple[FileIO, os.stat_result]:
    """Open a file for reading without following a link and without waiting for a pipe, and its facts once it is open.

    Raises:
        NotServedError: it is gone, is no plain file (any more), or may not be read.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        file = FileIO(os.open(path, flags), "rb")
    except PermissionError:
        raise NotServedError(403, f"{_printable(path.name)} may not be read.") from None
    except (OSError, ValueError):
        raise NotServedError(410, f"{_printable(path.name)} is no longer there.") from None
    facts = os.fstat(file.fileno())
    if not stat.S_ISREG(facts.st_mode):
        file.close()
        raise NotServedError(410, f"{_printable(path.name)} is no longer a file.")
    return file, facts


def _printable(name: str) -> str:
    return "".join(letter if letter.isprintable() else "�" for letter in name)
