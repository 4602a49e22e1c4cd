"""Answers calls that arrive at the same time by one call.

A model or a database serves many equal requests faster together than one after another, or than several at once that
share the processor: flat combining (Hendler, Incze, Shavit and Tzafrir, "Flat combining and the
synchronization-parallelism tradeoff", SPAA 2010).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Condition
from typing import Generic, TypeVar

Request = TypeVar("Request")
Answer = TypeVar("Answer")


@dataclass(eq=False, slots=True)
class _Call(Generic[Request, Answer]):
    request: Request
    result: Future[Answer] = field(default_factory=Future)


class Coalescer(Generic[Request, Answer]):
    """A function of one request, for any number of threads, made from a function of many requests.

    A request that arrives while no call runs is answered at once, alone. Requests that arrive during a call wait for
    its end and are then answered together, by one of their threads.

    Args:
        answer: Returns the answers to some requests, in their order; never runs twice at the same time.
        most: The largest number of requests per call.
    """

    def __init__(self, answer: Callable[[Sequence[Request]], Sequence[Answer]], most: int) -> None:
        self._answer = answer
        self._most = most
        self._waiting: deque[_Call[Request, Answer]] = deque()
        self._changed = Condition()
        self._is_busy = False

    @property
    def waiting(self) -> int:
        """How many requests wait for the next call."""
        return len(self._waiting)

    def __call__(self, request: Request) -> Answer:
        """The answer to one request. Raises what ``answer`` raises for it, nothing that other requests cause."""
        own: _Call[Request, Answer] = _Call(request)
        with self._changed:
            self._waiting.append(own)
        while batch := self._next_batch(own):
            try:
                self._settle(batch)
            finally:
                self._release([call for call in batch if call is not own and not call.result.done()])
        # The traceback of an error holds ``own``; without this, the error would keep itself and all it used alive.
        result, own.result = own.result, Future()
        try:
            return result.result()
        finally:
            del result

    def _next_batch(self, own: _Call[Request, Answer]) -> Sequence[_Call[Request, Answer]]:
        """The calls that this thread answers now; empty once its own is answered."""
        with self._changed:
            self._changed.wait_for(lambda: own.result.done() or not self._is_busy)
            if own.result.done():
                return []
            self._is_busy = True
            return [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]

    def _release(self, unanswered: Sequence[_Call[Request, Answer]]) -> None:
        """Let the next thread continue, with the calls that an interruption (Ctrl-C) of this one left unanswered."""
        with self._changed:
            self._waiting.extendleft(reversed(unanswered))
            self._is_busy = False
            self._changed.notify_all()

    def _settle(self, batch: Sequence[_Call[Request, Answer]]) -> None:
        """Answer the calls; one by one if they cannot be answered together."""
        try:
            answers = self._answer([call.request for call in batch])
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - raised in the caller; a panic of Rust code is no Exception
            if len(batch) == 1:
                batch[0].result.set_exception(error)
            else:
                for call in batch:
                    self._settle([call])
        else:
            for call, answer in zip(batch, answers, strict=True):
                call.result.set_result(answer)
