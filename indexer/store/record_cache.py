"""What was read from a database lately, so that the next search need not read it again.

Reading a record's facts, text and vector takes the database much longer than finding it: 50 records take 3 to 5 ms,
finding them 1 ms; and the searches of one library find the same records again and again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

from indexer.core.types import Record, Space

__all__ = ["KeptReads"]

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

# A record with a vector of 384 numbers takes about 3 kB, so these take about 30 MB.
_MOST_RECORDS = 10_000
_MOST_LOOKUPS = 2_000


class KeptReads:
    """The records and look-ups of one opening of a database; for one thread at a time, but for ``forget``."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Everything is read anew from now on; what is under way does not keep what it reads."""
        self._records: _Lately[tuple[Space, str], Record] = _Lately(_MOST_RECORDS)
        self._lookups: _Lately[Hashable, tuple[str, ...]] = _Lately(_MOST_LOOKUPS)

    def records(self, space: Space, ids: Sequence[str], read: Callable[[list[str]], list[Record]]) -> list[Record]:
        """Records in the order of their ids, without those that are no more.

        Args:
            space: Where they are.
            ids: Which; each once.
            read: Reads those that are not known, in any order.
        """
        kept = self._records
        known = {key: record for key in ids if (record := kept.get((space, key))) is not None}
        if missing := [key for key in ids if key not in known]:
            for record in read(missing):
                known[record.id] = record
                kept.put((space, record.id), record)
        return [known[key] for key in ids if key in known]

    def lookup(self, question: Hashable, find: Callable[[], Sequence[str]]) -> tuple[str, ...]:
        """The ids that a question found when it was asked last, found now if that is forgotten."""
        kept = self._lookups
        found = kept.get(question)
        if found is None:
            found = tuple(find())
            kept.put(question, found)
        return found


class _Lately(Generic[Key, Value]):
    """A mapping that forgets what was not used for the longest time."""

    def __init__(self, most: int) -> None:
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self._most = most

    def get(self, key: Key) -> Value | None:
        if key not in self._values:
            return None
        self._values.move_to_end(key)
        return self._values[key]

    def put(self, key: Key, value: Value) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._most:
            self._values.popitem(last=False)
