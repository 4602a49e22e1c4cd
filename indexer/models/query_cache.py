"""Caches the vectors of queries, and encodes queries that arrive at the same time together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from indexer.core.coalescing import Coalescer
from indexer.core.types import Embedding

__all__ = ["QueryVectors"]

# Twenty short queries take a small model as long as three or four one by one.
_MOST_AT_ONCE = 16


class QueryVectors:
    """A cache of the vectors of texts, for any number of threads; the oldest go first.

    One search needs the same vector for several modalities and again for its next page.

    Args:
        encode: Turns at least one text into ``(n, dim)`` float32 vectors; never called twice at the same time.
        most: How many vectors are kept.
    """

    def __init__(self, encode: Callable[[list[str]], Embedding], most: int) -> None:
        self._encode = encode
        self._most = most
        self._kept: dict[str, Embedding] = {}
        self._together: Coalescer[tuple[str, ...], list[Embedding]] = Coalescer(self._encode_all, _MOST_AT_ONCE)

    def of(self, texts: Sequence[str]) -> Embedding:
        """``(n, dim)``, one vector for each of at least one text. Raises what ``encode`` raises."""
        vectors = {text: vector for text in texts if (vector := self._kept.get(text)) is not None}
        if missing := tuple(text for text in dict.fromkeys(texts) if text not in vectors):
            vectors.update(zip(missing, self._together(missing), strict=True))
        return np.stack([vectors[text] for text in texts])

    def _encode_all(self, asked: Sequence[tuple[str, ...]]) -> list[list[Embedding]]:
        """The vectors of each group of texts; a text that another thread encoded meanwhile is not encoded again."""
        fresh = [text for text in dict.fromkeys(text for texts in asked for text in texts) if text not in self._kept]
        found = dict(zip(fresh, self._encode(fresh), strict=True)) if fresh else {}
        answers = [[self._kept[text] if text in self._kept else found[text] for text in texts] for texts in asked]
        self._keep(found)
        return answers

    def _keep(self, found: dict[str, Embedding]) -> None:
        self._kept.update(found)
        for text in list(self._kept)[: max(0, len(self._kept) - self._most)]:
            del self._kept[text]
