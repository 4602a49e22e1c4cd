"""The files in which what unrelated queries score is kept: written whole, and worth nothing once they are damaged."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from indexer.core.types import Embedding, ModalityName, Space
from search.confidence.false_alarms import Background, Channel, Null

__all__ = [
    "Measured",
    "Measurement",
    "matrix_of",
    "measurement_of",
    "packed",
    "read_document",
    "scores_document",
    "write_document",
]


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What is known of an index's answers to unrelated queries.

    Args:
        background: The scores.
        vocabularies: The classes that a space's vectors are mixtures of; spaces of other models are absent.
    """

    background: Background
    vocabularies: Mapping[Space, Embedding] = field(default_factory=dict)

    @property
    def modalities(self) -> frozenset[ModalityName]:
        """What there was in the index."""
        return frozenset(channel.modality for channel in self.background.nulls)


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """What was measured, and of what.

    Args:
        measured: What.
        signature: The state of the index; empty if it changed meanwhile.
        models: What it was measured with.
        contents: For each video the digest of what the index held of it, and how many records that was.
        measured_at: When, in seconds since 1970.
    """

    measured: Measured
    signature: str
    models: str
    contents: Mapping[str, tuple[str, int]]
    measured_at: float


def scores_document(measurement: Measurement) -> dict[str, Any]:
    """A measurement as JSON has it; scores to five digits."""
    nulls = measurement.measured.background.nulls.values()
    vocabularies = measurement.measured.vocabularies.items()
    return {
        "signature": measurement.signature,
        "models": measurement.models,
        "contents": {key: list(content) for key, content in measurement.contents.items()},
        "measured_at": measurement.measured_at,
        "channels": [
            [*null.channel, null.least_spread, [round(score, 5) for score in null.scores.tolist()]] for null in nulls
        ],
        "vocabularies": {space: packed(vectors) for space, vectors in vocabularies},
    }


def measurement_of(document: Mapping[str, Any], queries: int) -> Measurement | None:
    """The measurement that a document holds, over so many queries; None if it holds none."""
    try:
        nulls = [_null(*channel, queries=queries) for channel in document["channels"]]
        vocabularies = {space: _vocabulary(vectors) for space, vectors in document["vocabularies"].items()}
        return Measurement(
            Measured(Background({null.channel: null for null in nulls}), vocabularies),
            str(document["signature"]),
            str(document["models"]),
            {key: (str(digest), int(count)) for key, (digest, count) in document["contents"].items()},
            float(document["measured_at"]),
        )
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError):
        return None


def read_document(path: Path | None) -> Mapping[str, Any]:
    """What a file holds; nothing if it is not there or not as it was written."""
    try:
        document = json.loads(path.read_text(encoding="utf-8")) if path is not None else {}
        digest = document.pop("digest", None) if isinstance(document, dict) else None
        return document if digest is not None and digest == _digest(document) else {}
    except (OSError, ValueError, RecursionError):
        return {}


def write_document(path: Path | None, content: Mapping[str, Any]) -> None:
    """Written whole; a folder that cannot be written is no fault: it is all measured again then."""
    if path is None:
        return
    unfinished = path.with_name(f"{path.name}.{uuid4().hex}.tmp")
    with suppress(OSError, ValueError):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _remove_unfinished(path.parent)
            unfinished.write_text(json.dumps({**content, "digest": _digest(content)}), encoding="utf-8")
            os.replace(unfinished, path)  # noqa: PTH105 - named for what it is: atomic
        finally:
            unfinished.unlink(missing_ok=True)


def packed(vectors: Embedding) -> dict[str, Any]:
    """Vectors in 16 bits, which move a cosine by less than 0.0005."""
    halves = vectors.astype("<f2")
    return {"shape": list(halves.shape), "float16": base64.b64encode(halves.tobytes()).decode("ascii")}


def matrix_of(vectors: Any) -> Embedding | None:
    """What ``packed`` made of vectors, or None for anything else."""
    try:
        halves = np.frombuffer(base64.b64decode(vectors["float16"]), "<f2").reshape(vectors["shape"])
    except (LookupError, TypeError, ValueError):
        return None
    return halves.astype(np.float32) if np.isfinite(halves).all() else None


def _remove_unfinished(folder: Path) -> None:
    """What a process that was killed has left. Of one that is still writing: it keeps nothing, which is no fault."""
    for left in folder.glob("*.json.*.tmp"):
        left.unlink(missing_ok=True)


def _digest(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, allow_nan=False, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _null(name: Any, way: Any, least: Any, scores: Any, *, queries: int) -> Null:
    channel, found = Channel(name, way), np.array(scores, np.float64)
    if not (isinstance(name, str) and way in ("meaning", "words") and found.shape == (queries,)):
        raise ValueError(f"no scores of a channel: {name!r} {way!r} {found.shape}")
    if not (np.isfinite(found).all() and 0 < float(least) < np.inf):
        raise ValueError(f"no finite scores: {name!r} {way!r}")
    return Null(channel, found, float(least))


def _vocabulary(vectors: Any) -> Embedding:
    found = matrix_of(vectors)
    if found is None or found.ndim != 2:
        raise ValueError("no vocabulary")
    return found
