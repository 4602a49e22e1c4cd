"""How the frames of a video, compared with the texts of classes, become one cosine for each class."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import numpy as np

from indexer.core.errors import UsageError
from indexer.core.types import Embedding
from indexer.models.long_texts import normalised

Pooling: TypeAlias = Literal["mean", "max", "query"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
TAU = 0.1
"""The temperature of query scoring that Bain et al. found best."""


def check_pooling(name: str, tau: float = TAU) -> Pooling:
    """The pooling of this name.

    Raises:
        UsageError: there is none, or ``tau`` is not above 0.
    """
    if not 0 < tau < float("inf"):
        raise UsageError(f"tau is {tau}.", hint="Use a number above 0; 0.1 is usual.")
    for pooling in POOLINGS:
        if pooling == name:
            return pooling
    raise UsageError(f"There is no pooling '{name}'.", hint=f"There are: {', '.join(POOLINGS)}.")


def cosines_of(frames: Embedding, texts: Embedding) -> Embedding:
    """``(n, c)``: every frame's cosine with every text, both L2-normalised."""
    return _in_range(frames @ texts.T)


def pooled(frames: Embedding, texts: Embedding, pooling: Pooling, tau: float = TAU) -> Embedding:
    """``(c,)``: the cosine of a whole video with each text.

    ``frames`` are ``(n, dim)`` and ``texts`` ``(c, dim)``, L2-normalised. The pooling ``mean`` takes the frames' mean,
    normalised again; ``max`` the frame nearest to the text; ``query`` the frames' mean weighted for each text by the
    softmax of their cosines over ``tau``, normalised again (Bain et al., 2022, "A CLIP-Hitchhiker's Guide to Long Video
    Retrieval"). With a ``tau`` near 0 only the nearest frame counts; far above 1 all count alike.

    Raises:
        ValueError: there is no frame.
    """
    if len(frames) == 0:
        raise ValueError("a video without frames has no cosines")
    if pooling == "max":
        return _in_range((frames @ texts.T).max(axis=0))
    if pooling == "mean":
        return _in_range(texts @ normalised(frames.mean(axis=0, keepdims=True))[0])
    return _in_range(np.einsum("cd,cd->c", _weighted_means(frames, texts, tau), texts))


def _weighted_means(frames: Embedding, texts: Embedding, tau: float) -> Embedding:
    """``(c, dim)``: for each text the frames' mean, weighted by how near they are to it."""
    from scipy.special import softmax

    weights = softmax((texts @ frames.T).astype(np.float64) / tau, axis=1)
    return normalised((weights @ frames).astype(np.float32))


def _in_range(cosines: Embedding) -> Embedding:
    return np.asarray(np.clip(cosines, -1, 1), dtype=np.float32)
