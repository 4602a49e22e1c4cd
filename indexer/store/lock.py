"""One writer per index."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from indexer.core.errors import IndexBusyError, UsageError

# ``is_being_written`` holds the lock for an instant; a writer keeps it.
_PATIENCE_S = 0.2


@contextmanager
def writing(index: Path) -> Iterator[None]:
    """Hold the lock for writing the index in a folder; the operating system releases it if the process dies.

    Raises:
        UsageError: the folder cannot be written.
        IndexBusyError: another process holds the lock; raised at once.
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
    """Whether a process holds the lock for writing; creates no file. False if this process may not open the lock."""
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
