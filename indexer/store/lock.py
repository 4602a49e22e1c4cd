"""One writer per index."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from indexer.errors import IndexBusyError, UsageError

__all__ = ["writing"]


@contextmanager
def writing(index: Path) -> Iterator[None]:
    """Hold the right to write the index in this folder; the operating system takes it back if the process dies.

    Raises:
        UsageError: the folder cannot be written.
        IndexBusyError: another process holds it; known at once, without waiting.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(index / "writing.lock", timeout=0)
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
