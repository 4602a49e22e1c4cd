"""Calls that meet are answered together.

Many people who ask the same thing of a model or a database at the same time are served faster by one call for all of
them than by one after another, or by several at once that share the processor (the idea of flat combining; Hendler,
Incze, Shavit and Tzafrir, SPAA 2010, "Flat combining and the synchronization-parallelism tradeoff").
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from threading import Condition
from typing import Generic, TypeVar

__all__ = ["Together"]

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class Together(Generic[Question, Answer]):
    """A function of many questions as one of a single question, for any number of threads.

    Whoever comes while nothing is under way asks at once, alone. Those who come meanwhile wait for the end of it and
    are then answered together, by one of them.

    Args:
        answer: Gives the answers to some questions, in their order; never called twice at the same time.
        most: How many questions it is given at once.
    """

    def __init__(self, answer: Callable[[Sequence[Question]], Sequence[Answer]], most: int) -> None:
        self._answer = answer
        self._most = most
        self._waiting: deque[_Asked[Question, Answer]] = deque()
        self._changed = Condition()
        self._is_busy = False

    @property
    def waiting(self) -> int:
        """How many questions wait for the next call."""
        return len(self._waiting)

    def __call__(self, question: Question) -> Answer:
        """The answer to one question. Raises what ``answer`` raises for it, nothing that others' questions cause."""
        asked: _Asked[Question, Answer] = _Asked(question)
        with self._changed:
            self._waiting.append(asked)
        while batch := self._next_batch(asked):
            try:
                self._settle(batch)
            finally:
                self._hand_over([one for one in batch if not one.is_settled and one is not asked])
        return asked.outcome()

    def _next_batch(self, asked: _Asked[Question, Answer]) -> Sequence[_Asked[Question, Answer]]:
        """The questions that this thread is to have answered now; none once its own is."""
        with self._changed:
            self._changed.wait_for(lambda: asked.is_settled or not self._is_busy)
            if asked.is_settled:
                return []
            self._is_busy = True
            return [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]

    def _hand_over(self, unsettled: Sequence[_Asked[Question, Answer]]) -> None:
        """Let the next thread go on, with what an interruption (Ctrl-C) of this one has left."""
        with self._changed:
            self._waiting.extendleft(reversed(unsettled))
            self._is_busy = False
            self._changed.notify_all()

    def _settle(self, batch: Sequence[_Asked[Question, Answer]]) -> None:
        """Answer them, each by itself where they cannot be answered together."""
        try:
            answers = self._answer([one.question for one in batch])
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - it goes to whoever asked; a panic of Rust code is no Exception
            if len(batch) == 1:
                batch[0].fail(error)
            else:
                for one in batch:
                    self._settle([one])
        else:
            for one, answer in zip(batch, answers, strict=True):
                one.succeed(answer)


class _Asked(Generic[Question, Answer]):
    """A question and what came of it."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self.is_settled = False
        self._answers: list[Answer] = []
        self._error: BaseException | None = None

    def succeed(self, answer: Answer) -> None:
        self._answers.append(answer)
        self.is_settled = True

    def fail(self, error: BaseException) -> None:
        self._error = error
        self.is_settled = True

    def outcome(self) -> Answer:
        """To be asked for once: an error holds on to whatever was in use when it was raised, and to this."""
        error, self._error = self._error, None
        try:
            if error is not None:
                raise error
            return self._answers[0]
        finally:
            del error
