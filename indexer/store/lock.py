"""One writer per index."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from indexer.core.errors import IndexBusyError, UsageError

__all__ = ["is_being_written", "writing"]

_PATIENCE_S = 0.2
"""Whoever asks ``is_being_written`` is soon gone; a writer stays."""


@contextmanager
def writing(index: Path) -> Iterator[None]:
    """Hold the right to write the index in this folder; the operating system takes it back if the process dies.

    Raises:
        UsageError: the folder cannot be written.
        IndexBusyError: another process holds it; known at once, without waiting for its end.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(_file(index), timeout=_PATIENCE_S)
    try:
        index.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise IndexBusyError(
            f"Another process is writing the index at {index}.",
            hint="Wait until it has finished, or use another --index DIR. Searching works meanwhile.",
        ) from error
    except OSError as error:
        raise UsageError(
            f"The index cannot be kept at {index}: {error.strerror or error}.", hint="Name another folder with --index."
        ) from error
    try:
        yield
    finally:
        lock.release()


def is_being_written(index: Path) -> bool:
    """Whether anybody holds the right to write the index in this folder; nothing is created in order to know it.

    Where this process may not ask, as with a folder that is only to be read, nobody is known to hold it.
    """
    from filelock import FileLock, Timeout

    if not _file(index).exists():
        return False
    try:
        with FileLock(_file(index), timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False


def _file(index: Path) -> Path:
    return index / "writing.lock"
