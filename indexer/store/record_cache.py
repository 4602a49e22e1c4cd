"""Records that were read from a database lately, so that the next search need not read them again.

Reading 50 records with their metadata, text and vectors takes Chroma 3 to 5 ms, finding their ids 1 ms; and searches of
one library find the same records again and again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

from indexer.core.types import Record, Space

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

_MOST_LOOKUPS = 2_000


class RecordCache:
    """The records and lookups of one opening of a database, for one thread at a time; ``forget`` for any.

    Args:
        most_records: How many records to keep. One with a vector of 384 numbers takes about 3 kB.
    """

    def __init__(self, most_records: int = 10_000) -> None:
        self._most_records = most_records
        self.forget()

    def forget(self) -> None:
        """Drop everything, also what a read that is now running returns."""
        self._records: _LruCache[tuple[Space, str], Record] = _LruCache(self._most_records)
        self._lookups: _LruCache[Hashable, tuple[str, ...]] = _LruCache(_MOST_LOOKUPS)

    def records(self, space: Space, ids: Sequence[str], read: Callable[[list[str]], list[Record]]) -> list[Record]:
        """The records in the order of their distinct ids, without those that no longer exist.

        ``read`` returns records that are not cached, in any order.
        """
        cache = self._records
        known = {key: record for key in ids if (record := cache.get((space, key))) is not None}
        if missing := [key for key in ids if key not in known]:
            for record in read(missing):
                known[record.id] = record
                cache.put((space, record.id), record)
        return [known[key] for key in ids if key in known]

    def lookup(self, question: Hashable, find: Callable[[], Sequence[str]]) -> tuple[str, ...]:
        """The ids that answer a question; ``find`` finds them if they are not cached."""
        cache = self._lookups
        found = cache.get(question)
        if found is None:
            found = tuple(find())
            cache.put(question, found)
        return found


class _LruCache(Generic[Key, Value]):
    """A mapping that drops what was not used for the longest time."""

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
