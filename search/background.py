"""What unrelated queries score in an index, measured once and kept in a file beside it.

Both files can be made again and are worth nothing for another state of the index or other models: ``scores`` says how
the bank scores, which every search reads, and ``vectors`` holds the bank as the models encode it, so that it is not
encoded anew whenever a video is added.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any, Protocol, TypeAlias, runtime_checkable
from uuid import uuid4

import numpy as np

from indexer.models.base import FrameEncoder, SoundEncoder, TextEncoder
from indexer.store.base import VectorStore
from indexer.types import Embedding, Space
from search.bank import Asked, BankScorer, bank_queries
from search.calibration import Comparison, calibration_of
from search.catalogue import Catalogue
from search.false_alarms import LEAST_SPREAD, NEAREST_SHARE, Background, Channel, Null
from search.fusion import Calibration
from search.probes import QueryModels
from search.signature import index_signature
from search.word_by_word import drawn_to_words

__all__ = ["HasVocabulary", "KeptBackground", "Measured"]

Encode: TypeAlias = Callable[[tuple[str, ...]], Embedding]

_COMPARISONS: Mapping[Space, Comparison] = {"frames": "text-frames", "text": "text-text", "audio": "text-audio"}
_FORMAT = "2, pictures judged word by word"
_TRIED = 4  # bank queries that tell whether two roles encode with one model


@runtime_checkable
class HasVocabulary(Protocol):
    """An encoder whose vectors are mixtures of the vectors of named classes."""

    @property
    def vocabulary(self) -> Embedding:
        """The classes' vectors, ``(classes, dim)``."""


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What is known of an index's answers to unrelated queries.

    Args:
        background: The scores.
        vocabularies: The classes that a space's vectors are mixtures of; spaces of other models are absent.
    """

    background: Background
    vocabularies: Mapping[Space, Embedding] = field(default_factory=dict)


class KeptBackground:
    """Measures an index's background when it is first wanted and whenever index or models have changed.

    Args:
        folder: Where its files are kept; None, or one that cannot be written, keeps it in memory only.
        calibrations: How cosines are read, where not as ``search.calibration`` says.
    """

    def __init__(self, folder: Path | None, calibrations: Mapping[Comparison, Calibration] | None = None) -> None:
        self._folder = folder
        self._calibrations = dict(calibrations or {})
        self._measuring = Lock()
        self._signed: tuple[Catalogue, str] | None = None
        self._known: tuple[str, Measured | None] = ("", None)

    def known(self, catalogue: Catalogue) -> Measured | None:
        """What was measured for this state of the index before; None if nothing was."""
        signature = self._signature(catalogue)
        kept, measured = self._known
        if kept != signature:
            measured = _measured(_read(self._path("scores")), signature)
            self._known = (signature, measured)
        return measured

    def measured(self, store: VectorStore, catalogue: Catalogue, models: QueryModels) -> Measured:
        """What unrelated queries score in this state of the index.

        Raises:
            IndexDamagedError: the index cannot be read, or a stored vector is no direction.
            ModelError: a model cannot encode the bank.
        """
        with self._measuring:
            known = self.known(catalogue)
            if known is None:
                known = self._measure(store, catalogue, models)
                signature = self._signature(catalogue)
                self._known = (signature, known)
                self._write("scores", _scores_document(known, signature))
        return known

    def _measure(self, store: VectorStore, catalogue: Catalogue, models: QueryModels) -> Measured:
        roles: dict[Space, FrameEncoder | TextEncoder | SoundEncoder | None] = {
            "frames": models.frames,
            "text": models.text,
            "audio": models.sounds,
        }
        there = {space: role for space, role in roles.items() if role is not None and catalogue.modalities(space)}
        vectors = self._bank_vectors(there)
        vocabularies = {space: role.vocabulary for space, role in there.items() if isinstance(role, HasVocabulary)}
        asked = {
            space: Asked(vectors[space], vocabularies.get(space), self._calibration(catalogue, space))
            for space in there
        }
        if models.frames is not None and "frames" in vocabularies:
            drawn = self._drawn_to_words(models.frames, vectors["frames"])
            asked["frames"] = replace(asked["frames"], judged_by=drawn)
        return Measured(BankScorer(store, catalogue).background(asked), vocabularies)

    def _calibration(self, catalogue: Catalogue, space: Space) -> Calibration:
        comparison = _COMPARISONS[space]
        return self._calibrations.get(comparison) or calibration_of(catalogue.fingerprint(space), comparison)

    def _bank_vectors(self, roles: Mapping[Space, FrameEncoder | TextEncoder | SoundEncoder]) -> dict[Space, Embedding]:
        """The bank by space; kept ones are taken where the model is the same."""
        kept = _read(self._path("vectors"))
        names = {space: f"{role.fingerprint.digest} {_bank_digest()}" for space, role in roles.items()}
        found: dict[Space, Embedding] = {}
        for space in roles:
            vectors = _matrix(kept.get(names[space]))
            if vectors is not None and vectors.shape == (len(bank_queries()), roles[space].fingerprint.dim):
                found[space] = vectors
        if len(found) < len(roles):
            found |= _encoded({space: _encoder(role) for space, role in roles.items() if space not in found}, found)
            self._write("vectors", {names[space]: _packed(vectors) for space, vectors in found.items()})
        return found

    def _drawn_to_words(self, frames: FrameEncoder, vectors: Embedding) -> Embedding:
        """What the bank is judged by where pictures are mixtures of classes; kept like its vectors."""
        kept = _read(self._path("vectors"))
        name = f"{frames.fingerprint.digest} {_bank_digest()} word by word"
        drawn = _matrix(kept.get(name))
        if drawn is None or drawn.shape != vectors.shape:
            drawn = drawn_to_words(bank_queries(), vectors, frames.encode_texts)
            self._write("vectors", {**kept, name: _packed(drawn)})
        return drawn

    def _signature(self, catalogue: Catalogue) -> str:
        signed = self._signed
        if signed is None or signed[0] is not catalogue:
            facts = (_FORMAT, _bank_digest(), NEAREST_SHARE, LEAST_SPREAD, sorted(self._calibrations.items()))
            signed = self._signed = (catalogue, index_signature(catalogue, *facts))
        return signed[1]

    def _path(self, name: str) -> Path | None:
        return None if self._folder is None else self._folder / f"{name}.json"

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        """Written whole; a folder that cannot be written is no fault: it is all measured again then."""
        path = self._path(name)
        if path is None:
            return
        unfinished = path.with_name(f"{path.name}.{uuid4().hex}.tmp")
        with suppress(OSError):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                unfinished.write_text(json.dumps(content, allow_nan=False), encoding="utf-8")
                os.replace(unfinished, path)  # noqa: PTH105 - named for what it is: atomic
            finally:
                unfinished.unlink(missing_ok=True)


def _encoder(role: FrameEncoder | TextEncoder | SoundEncoder) -> Encode:
    encode: Encode = role.encode_queries if hasattr(role, "encode_queries") else role.encode_texts
    return encode


def _encoded(encoders: Mapping[Space, Encode], known: Mapping[Space, Embedding]) -> dict[Space, Embedding]:
    """The bank by space, encoded once by encoders that are one model: those that encode its first queries alike."""
    bank = bank_queries()
    found = dict(known)
    for space, encode in encoders.items():
        first = encode(bank[:_TRIED])
        same = (one for one in found.values() if _are_alike(one[:_TRIED], first))
        twin = next(same, None)
        found[space] = np.nan_to_num(encode(bank)) if twin is None else twin
    return found


def _are_alike(one: Embedding, other: Embedding) -> bool:
    return one.shape == other.shape and bool(np.allclose(one, other, atol=1e-3))


def _bank_digest() -> str:
    return hashlib.blake2b("\n".join(bank_queries()).encode(), digest_size=8).hexdigest()


def _scores_document(measured: Measured, signature: str) -> dict[str, Any]:
    nulls = measured.background.nulls.values()
    return {
        "signature": signature,
        "channels": [
            [*null.channel, null.least_spread, [round(score, 5) for score in null.scores.tolist()]] for null in nulls
        ],
        "vocabularies": {space: _packed(vectors) for space, vectors in measured.vocabularies.items()},
    }


def _measured(document: Mapping[str, Any], signature: str) -> Measured | None:
    """What the document holds; None if it is of another state of the index, or not one of ours."""
    if document.get("signature") != signature:
        return None
    try:
        nulls = [
            Null(Channel(name, way), np.array(scores, np.float64), float(least))
            for name, way, least, scores in document["channels"]
        ]
        vocabularies = {space: _matrix(packed) for space, packed in document["vocabularies"].items()}
    except (KeyError, TypeError, ValueError):
        return None
    background = Background({null.channel: null for null in nulls})
    return Measured(background, {space: vectors for space, vectors in vocabularies.items() if vectors is not None})


def _read(path: Path | None) -> Mapping[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8")) if path is not None else {}
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _packed(vectors: Embedding) -> dict[str, Any]:
    """Vectors in 16 bits, which move a cosine by less than 0.0005."""
    halves = vectors.astype("<f2")
    return {"shape": list(halves.shape), "float16": base64.b64encode(halves.tobytes()).decode("ascii")}


def _matrix(packed: Any) -> Embedding | None:
    try:
        halves = np.frombuffer(base64.b64decode(packed["float16"]), "<f2").reshape(packed["shape"])
    except (KeyError, TypeError, ValueError):
        return None
    return halves.astype(np.float32)
