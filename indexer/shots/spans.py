"""Divides an interval into spans, each with the frames that may stand for it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Generic, Protocol, TypeVar

_NOMINAL_GAP_S = 0.04  # how long a single frame is shown, if that is unknown
_ROUNDING = 1e-9


class Timed(Protocol):
    """Anything with a time."""

    @property
    def time_s(self) -> float:
        """Seconds from the first frame."""
        ...


T = TypeVar("T", bound=Timed)


@dataclass(frozen=True, slots=True)
class Span(Generic[T]):
    """``[start_s, end_s)`` and its members, at least one, in order of time."""

    start_s: float
    end_s: float
    members: tuple[T, ...]


class Clock:
    """Follows the frames' times to find the video's end."""

    def __init__(self, duration_s: float) -> None:
        self._duration_s = duration_s
        self._gap_s = _NOMINAL_GAP_S
        self.last_s: float | None = None

    def tick(self, time_s: float) -> None:
        """Take the next frame's time, later than the previous one."""
        if self.last_s is not None:
            self._gap_s = time_s - self.last_s
        self.last_s = time_s

    @property
    def frames_end_s(self) -> float:
        """The end of the last frame if it is shown as long as the previous one; 0 without frames."""
        return 0.0 if self.last_s is None else self.last_s + self._gap_s

    @property
    def end_s(self) -> float:
        """The video's end: `frames_end_s`, or the stated duration if that is later; 0 without frames."""
        return 0.0 if self.last_s is None else max(self.frames_end_s, self._duration_s)


def parts_needed(length_s: float, max_span_s: float) -> int:
    """The smallest number of equal parts that are no longer than ``max_span_s``; at least 1."""
    return max(1, math.ceil(length_s / max_span_s - _ROUNDING))


def divide(start_s: float, end_s: float, parts: int, members: Sequence[T]) -> list[Span[T]]:
    """Divide ``[start_s, end_s)`` into equal parts; a part without members joins the one before or after it.

    The members come in order of time; without members there is no span.
    """
    length_s = end_s - start_s

    def bound_of(part: float) -> float:
        return start_s + length_s * part / parts

    def part_of(member: T) -> float:
        part = (member.time_s - start_s) * parts // length_s
        return part + (bound_of(part + 1) <= member.time_s) - (bound_of(part) > member.time_s)  # undo rounding

    groups = [(part, tuple(group)) for part, group in groupby(members, part_of)]
    return _join(start_s, end_s, (bound_of(part) for part, _ in groups[1:]), [group for _, group in groups])


def divide_between(start_s: float, end_s: float, members: Sequence[T]) -> list[Span[T]]:
    """One span per member, with the bounds halfway between neighbours."""
    halfway = ((one.time_s + other.time_s) / 2 for one, other in pairwise(members))
    return _join(start_s, end_s, halfway, [(member,) for member in members])


def _join(start_s: float, end_s: float, bounds: Iterable[float], groups: Sequence[tuple[T, ...]]) -> list[Span[T]]:
    """Spans with a bound between neighbouring groups, moved if rounding put it on the wrong side of a member."""
    cuts_s = [start_s]
    for bound_s, (before, after) in zip(bounds, pairwise(groups), strict=True):
        cuts_s.append(bound_s if before[-1].time_s < bound_s <= after[0].time_s else after[0].time_s)
    return (
        [Span(*ends, group) for ends, group in zip(pairwise([*cuts_s, end_s]), groups, strict=True)] if groups else []
    )
