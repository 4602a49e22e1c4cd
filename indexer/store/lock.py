"""One writer per index."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from indexer.errors import IndexBusyError

__all__ = ["writing"]


@contextmanager
def writing(index: Path) -> Iterator[None]:
    """Hold the right to write the index in this folder; the operating system takes it back if the process dies.

    Raises:
        IndexBusyError: another process holds it; known at once, without waiting.
    """
    from filelock import FileLock, Timeout

    index.mkdir(parents=True, exist_ok=True)
    lock = FileLock(index / "writing.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise IndexBusyError(
            f"Another process is writing the index at {index}.",
            hint="Wait until it has finished, or use another --index DIR. Searching works meanwhile.",
        ) from error
    try:
        yield
    finally:
        lock.release()
