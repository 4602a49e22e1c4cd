"""Runs the stages of a stream in parallel, with a bounded number of pieces between them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
_POLL_S = 0.1
# A thread deep inside a library cannot be interrupted. It writes nothing, so it may be left behind.
_MAX_JOIN_S = 10.0


class _End:
    """The last piece of a stream: it is exhausted, or it failed with ``error``."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class Prefetch(Generic[T]):
    """Iterates over ``source`` in a thread. ``close`` may be called from any thread, also while another one waits."""

    def __init__(self, source: Iterable[T], depth: int) -> None:
        self._source = source
        self._pieces: queue.Queue[T | _End] = queue.Queue(depth)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._produce, name="sceneseek-stage", daemon=True)

    def __iter__(self) -> Iterator[T]:
        return self

    def start(self) -> None:
        """Begin to produce; otherwise the first ``next`` does."""
        if self._thread.ident is None:
            self._thread.start()

    def __next__(self) -> T:
        self.start()
        while not self._stopped.is_set():
            try:
                piece = self._pieces.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            if not isinstance(piece, _End):
                return piece
            self.close()
            if piece.error is not None:
                raise piece.error
        raise StopIteration

    def stop(self) -> None:
        """Tell the thread to stop, without waiting for it."""
        self._stopped.set()

    def close(self) -> None:
        """Stop the thread and wait for its end, at most ten seconds."""
        self.stop()
        if self._thread.ident is not None and threading.current_thread() is not self._thread:
            self._thread.join(_MAX_JOIN_S)

    def _produce(self) -> None:
        error: BaseException | None = None
        source = iter(self._source)
        try:
            for piece in source:
                if not self._put(piece):
                    break
        except BaseException as caught:  # noqa: BLE001 - raised again by the reader
            error = caught
        finally:
            close = getattr(source, "close", None)
            if close is not None:
                close()
        self._put(_End(error))

    def _put(self, piece: T | _End) -> bool:
        """Hand a piece over once there is room; False if the stream was closed."""
        while not self._stopped.is_set():
            try:
                self._pieces.put(piece, timeout=_POLL_S)
            except queue.Full:
                continue
            return True
        return False


def prefetch(source: Iterable[T], depth: int) -> Prefetch[T]:
    """The same stream, produced in its own thread up to ``depth`` pieces ahead of the reader.

    An error of the producer is raised where the stream is read. Closing the stream early stops the producer and closes
    ``source`` if it is a generator.
    """
    return Prefetch(source, depth)
