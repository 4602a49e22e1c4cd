"""The files that a measured background is kept in: written whole, and ignored once they are damaged."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from indexer.core.atomic_file import written_whole
from indexer.core.types import Embedding
from search.confidence.background import Background, Channel, NullDistribution

_DAMAGES = (LookupError, TypeError, ValueError, AttributeError, OverflowError)


@dataclass(frozen=True, slots=True)
class IndexState:
    """The state of an index that was measured.

    ``signature`` is a digest of all that the measurement depends on, empty if the index changed meanwhile, and
    ``models`` a digest of that without the videos. ``contents`` are, for each video, the digest of what the index held
    of it, and how many records that was.
    """

    signature: str
    models: str
    contents: Mapping[str, tuple[str, int]]


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """A background, the state of the index it was measured in, and when, in seconds since 1970."""

    background: Background
    state: IndexState
    measured_at: float


def document_of(measurement: Measurement) -> dict[str, Any]:
    """A measurement as JSON has it; scores to five digits."""
    background, state = measurement.background, measurement.state
    return {
        "signature": state.signature,
        "models": state.models,
        "contents": {key: list(content) for key, content in state.contents.items()},
        "measured_at": measurement.measured_at,
        "channels": [
            [*null.channel, null.least_spread, [round(score, 5) for score in null.scores.tolist()]]
            for null in background.distributions.values()
        ],
        "vocabularies": {space: packed(vectors) for space, vectors in background.vocabularies.items()},
    }


def measurement_in(document: Mapping[str, Any], queries: int) -> Measurement | None:
    """The measurement that a document holds, over so many queries; None if it holds none."""
    try:
        nulls = [_distribution(*channel, queries=queries) for channel in document["channels"]]
        vocabularies = {space: _unpacked(vectors) for space, vectors in document["vocabularies"].items()}
        contents = {key: (str(digest), int(count)) for key, (digest, count) in document["contents"].items()}
        return Measurement(
            Background({null.channel: null for null in nulls}, vocabularies),
            IndexState(str(document["signature"]), str(document["models"]), contents),
            float(document["measured_at"]),
        )
    except _DAMAGES:
        return None


def read(path: Path | None) -> Mapping[str, Any]:
    """The content of a file; empty if it is missing or damaged."""
    try:
        document = json.loads(path.read_text(encoding="utf-8")) if path is not None else {}
        digest = document.pop("digest", None) if isinstance(document, dict) else None
        return document if digest is not None and digest == _digest(document) else {}
    except (OSError, ValueError, RecursionError):
        return {}


def write(path: Path | None, content: Mapping[str, Any]) -> None:
    """Write a file whole, if its folder can be written; otherwise the content is measured again by the next process."""
    if path is None:
        return
    with suppress(OSError, ValueError):
        path.parent.mkdir(parents=True, exist_ok=True)
        for unfinished in path.parent.glob("*.tmp"):  # of a killed process; one that still writes will keep nothing
            unfinished.unlink(missing_ok=True)
        with written_whole(path) as unfinished:
            unfinished.write_text(json.dumps({**content, "digest": _digest(content)}), encoding="utf-8")


def packed(vectors: Embedding) -> dict[str, Any]:
    """Vectors in 16 bits, which moves a cosine by less than 0.0005."""
    halves = vectors.astype("<f2")
    return {"shape": list(halves.shape), "float16": base64.b64encode(halves.tobytes()).decode("ascii")}


def vectors_in(document: Mapping[str, Any], rows: int) -> dict[str, Embedding]:
    """The vectors ``(rows, dim)`` that a document holds by name; empty if it holds anything else."""
    try:
        found = {name: _unpacked(vectors) for name, vectors in document.items()}
    except _DAMAGES:
        return {}
    return {name: vectors for name, vectors in found.items() if len(vectors) == rows}


def _unpacked(vectors: Any) -> Embedding:
    halves = np.frombuffer(base64.b64decode(vectors["float16"]), "<f2").reshape(vectors["shape"])
    if halves.ndim != 2 or not np.isfinite(halves).all():
        raise ValueError("no vectors")
    return halves.astype(np.float32)


def _digest(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, allow_nan=False, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _distribution(name: Any, way: Any, least: Any, scores: Any, *, queries: int) -> NullDistribution:
    channel, found = Channel(name, way), np.array(scores, np.float64)
    if not (isinstance(name, str) and way in ("meaning", "words") and found.shape == (queries,)):
        raise ValueError(f"no scores of a channel: {name!r} {way!r} {found.shape}")
    if not (np.isfinite(found).all() and 0 < float(least) < np.inf):
        raise ValueError(f"no finite scores: {name!r} {way!r}")
    return NullDistribution(channel, found, float(least))
