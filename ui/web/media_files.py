"""Which file a video's id stands for, and whether it may be sent to a browser.

Only files that the index names are sent. A name may lead to another file after indexing, so each time:

- the file must be a plain file, never a folder, a pipe or a device;
- with all links followed, it must lie within the folder that was indexed. A link out of that folder is followed
  only while it leads to the very file that was indexed, by size and time of change to the nanosecond;
- a file within the folder that has changed since is sent, and reported as changed.

If one copy of a video is gone, the next one is taken.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import HTTPException

if TYPE_CHECKING:
    from indexer.core.types import Video
    from indexer.store.base import Location
    from search.catalogue import Catalogue


@dataclass(frozen=True, slots=True)
class ServedFile:
    """A file that may be sent.

    Attributes:
        video: As the index describes it.
        path: With all links followed.
        name: As it was indexed, without its folder.
        facts: Its size and times now.
        is_changed: Whether its size or time differs from what was indexed.
    """

    video: Video
    path: Path
    name: str
    facts: os.stat_result
    is_changed: bool


def find_file(catalogue: Catalogue | None, video_id: str) -> ServedFile:
    """The file of a searchable video.

    Raises:
        HTTPException: 404, no video has exactly this id; 410, its file is gone; 403, it may not be sent. No message
            names a folder.
    """
    commit = catalogue.commits.get(video_id) if catalogue is not None else None
    if commit is None or not commit.is_searchable or not commit.locations:
        raise HTTPException(404, "There is no such video in this library.")
    refusals: list[HTTPException] = []
    for place in commit.locations:
        try:
            return _checked(commit.video, place)
        except HTTPException as refusal:
            refusals.append(refusal)
    raise refusals[0]


def _checked(video: Video, place: Location) -> ServedFile:
    name = _printable(place.path.name)
    with _as_http(name):
        real = place.path.resolve(strict=True)
        facts = real.stat()
    _check_plain(facts, name)
    is_changed = (facts.st_size, facts.st_mtime_ns) != (place.size, place.mtime_ns)
    if is_changed and not _is_within_root(real, place):
        raise HTTPException(403, f"{name} now leads out of the folder that was indexed.")
    return ServedFile(video, real, name, facts, is_changed)


def _is_within_root(real: Path, place: Location) -> bool:
    """Whether a path without links lies in the folder that was indexed, or is the one file that was."""
    if place.root == place.path:
        return real == place.root.parent.resolve() / place.root.name
    return real.is_relative_to(place.root.resolve())


def open_plain_file(path: Path) -> tuple[FileIO, os.stat_result]:
    """Open a file without following a link and without waiting for a pipe; the file, and its facts once it is open.

    Raises:
        HTTPException: 403 or 410, it is gone, is no plain file (any more), or may not be read.
    """
    name = _printable(path.name)
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with ExitStack() as on_error:
        with _as_http(name):
            file = on_error.enter_context(FileIO(os.open(path, flags), "rb"))
        facts = os.fstat(file.fileno())
        _check_plain(facts, name)
        on_error.pop_all()
    return file, facts


@contextmanager
def _as_http(name: str) -> Iterator[None]:
    try:
        yield
    except PermissionError:
        raise HTTPException(403, f"{name} may not be read.") from None
    except (OSError, RuntimeError, ValueError):
        raise HTTPException(410, f"{name} is no longer where it was indexed.") from None


def _check_plain(facts: os.stat_result, name: str) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise HTTPException(410, f"{name} is no longer a file.")


def _printable(name: str) -> str:
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name)
