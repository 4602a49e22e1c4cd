"""Lets the stages of a stream work at the same time, with a bounded number of pieces between them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

__all__ = ["Prefetch", "prefetch"]

T = TypeVar("T")
_PATIENCE_S = 0.1
# A thread deep in a library cannot be interrupted; it writes nothing, so it may be left behind.
_LONGEST_GOODBYE_S = 10.0


class _End:
    """The producer's last word: it is done, or it failed with ``error``."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class _Producer(threading.Thread, Generic[T]):
    def __init__(self, source: Iterable[T], depth: int) -> None:
        super().__init__(name="sceneseek-stage", daemon=True)
        self.pieces: queue.Queue[T | _End] = queue.Queue(depth)
        self._source = source
        self._stopped = threading.Event()

    def run(self) -> None:
        error: BaseException | None = None
        source = iter(self._source)
        try:
            for piece in source:
                if not self._offer(piece):
                    break
        except BaseException as caught:  # noqa: BLE001 - raised again where the stream is read
            error = caught
        finally:
            close = getattr(source, "close", None)
            if close is not None:
                close()
        self._offer(_End(error))

    @property
    def is_started(self) -> bool:
        return self.ident is not None

    def take(self) -> T | _End:
        """The next piece; the end once the stream has been closed."""
        while not self._stopped.is_set():
            try:
                return self.pieces.get(timeout=_PATIENCE_S)
            except queue.Empty:
                continue
        return _End(None)

    def stop(self) -> None:
        self._stopped.set()
        if self.is_started and threading.current_thread() is not self:
            self.join(_LONGEST_GOODBYE_S)

    def _offer(self, piece: T | _End) -> bool:
        """Hand a piece over once there is room; False if nobody wants it any more."""
        while not self._stopped.is_set():
            try:
                self.pieces.put(piece, timeout=_PATIENCE_S)
            except queue.Full:
                continue
            return True
        return False


class Prefetch(Generic[T]):
    """The reader's end; ``close`` may be called from any thread, also while another one waits for the next piece."""

    def __init__(self, source: Iterable[T], depth: int) -> None:
        self._producer: _Producer[T] = _Producer(source, depth)

    def __iter__(self) -> Iterator[T]:
        return self

    def start(self) -> None:
        """Begin to produce; otherwise the first ``next`` does."""
        if not self._producer.is_started:
            self._producer.start()

    def __next__(self) -> T:
        self.start()
        piece = self._producer.take()
        if not isinstance(piece, _End):
            return piece
        self.close()
        raise StopIteration if piece.error is None else piece.error

    def close(self) -> None:
        """Stop the producer, and wait for its thread a while."""
        self._producer.stop()


def prefetch(source: Iterable[T], depth: int) -> Prefetch[T]:
    """The same stream, produced in a thread of its own up to ``depth`` pieces ahead of the reader.

    An error of the producer is raised where the stream is read. Closing the stream early stops the producer, closes
    ``source`` if it is a generator, and waits for the thread a while.
    """
    return Prefetch(source, depth)
