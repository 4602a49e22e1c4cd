"""Texts longer than a model's context: split at sentences, encoded in pieces, averaged."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from indexer.core.types import Embedding

__all__ = ["encode_in_pieces", "normalised", "split_to_fit"]

Count = Callable[[str], int]

_SENTENCE_END = re.compile(r"(?<=[.!?…。！？])\s+|(?<=[。！？])|\n+")
_WORD_END = re.compile(r"\s+")


def split_to_fit(text: str, count: Count, limit: int) -> list[str]:
    """Pieces of ``text``, in order, of at most ``limit`` tokens each; only the space between them is lost.

    A text that is too long is halved, and so are its halves: at the sentence end nearest the middle, or at the nearest
    space if it is one sentence, or in the middle if it is one word.
    """
    if len(text) < 2 or count(text) <= limit:
        return [text]
    left, right = _halves(text)
    return [*split_to_fit(left, count, limit), *split_to_fit(right, count, limit)]


def _halves(text: str) -> tuple[str, str]:
    for boundary in (_SENTENCE_END, _WORD_END):
        gaps = [
            gap.span() for gap in boundary.finditer(text) if text[: gap.start()].strip() and text[gap.end() :].strip()
        ]
        if gaps:
            start, end = min(gaps, key=lambda gap: abs(gap[0] + gap[1] - len(text)))
            return text[:start], text[end:]
    middle = len(text) // 2
    return text[:middle], text[middle:]


def encode_in_pieces(
    texts: Sequence[str], encode: Callable[[list[str]], Embedding], count: Count, limit: int | None
) -> Embedding:
    """``(n, dim)`` L2-normalised: each text's vector, or the mean of its pieces' vectors weighted by their lengths.

    Args:
        texts: At least one text.
        encode: Turns pieces into ``(n, dim)`` vectors.
        count: A text's length in tokens, the model's marks and prompts included.
        limit: The longest text, in tokens, that the model takes; None if there is no limit.
    """
    pieces = [[text] if limit is None else split_to_fit(text, count, limit) for text in texts]
    vectors = normalised(encode([piece for group in pieces for piece in group]))
    if len(vectors) == len(texts):
        return vectors
    weights = np.array([len(piece) for group in pieces for piece in group], np.float32)[:, None]
    starts = np.cumsum([0, *map(len, pieces[:-1])])
    # The normalisation divides by the total weight.
    return normalised(np.add.reduceat(vectors * np.maximum(weights, 1), starts, axis=0))


def normalised(vectors: Embedding) -> Embedding:
    """The vectors at length 1; zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, np.finfo(np.float32).tiny), dtype=np.float32)
