"""What unrelated queries score in an index, measured once and kept in a file beside it.

Both files can be made again and are worth nothing for another state of the index or other models: ``scores`` says how
the bank scores, which every search reads, and ``vectors`` holds the bank as the models encode it, so that it is not
encoded anew whenever a video is added.

An index that is being written changes with every video. Until it has been left alone for a minute, what was measured
of it less than a minute ago goes on being used, and what was measured when nine tenths of its records were the same.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np

from indexer.core.types import SPACE_OF_MODALITY, Embedding, Space
from indexer.models.base import FrameEncoder, SoundEncoder, TextEncoder
from indexer.store.base import Commit, VectorStore
from search.catalogue import Catalogue
from search.confidence.false_alarms import LEAST_SPREAD, NEAREST_SHARE
from search.confidence.null_files import (
    Measured,
    Measurement,
    matrix_of,
    measurement_of,
    packed,
    read_document,
    scores_document,
    write_document,
)
from search.confidence.queries import Asked, BankScorer, bank_queries
from search.confidence.word_by_word import drawn_to_words
from search.index_signature import content_signatures, index_signature, models_signature
from search.match.query_vectors import QueryModels
from search.rank.calibration import Comparison, calibration_of
from search.rank.fusion import Calibration

__all__ = ["HasVocabulary", "KeptBackground", "Learning", "Measured"]

Encode: TypeAlias = Callable[[tuple[str, ...]], Embedding]
Learning: TypeAlias = Callable[[], AbstractContextManager[object]]

_COMPARISONS: Mapping[Space, Comparison] = {"frames": "text-frames", "text": "text-text", "audio": "text-audio"}
_FORMAT = "3, what was measured of which videos"
_TRIED = 4  # bank queries that tell whether two roles encode with one model
_BUSY_S = 60.0
_MOST_CHANGED = 0.1


@runtime_checkable
class HasVocabulary(Protocol):
    """An encoder whose vectors are mixtures of the vectors of named classes."""

    @property
    def vocabulary(self) -> Embedding:
        """The classes' vectors, ``(classes, dim)``."""


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """What of a catalogue decides whether a measurement is good for it; see ``Measurement``."""

    catalogue: Catalogue
    signature: str
    models: str
    contents: Mapping[str, tuple[str, int]]
    written_at: float


class KeptBackground:
    """Measures an index's background when it is first wanted and whenever index or models have changed.

    Args:
        folder: Where its files are kept; None, or one that cannot be written, keeps it in memory only.
        calibrations: How cosines are read, where not as ``search.rank.calibration`` says.
        learning: Entered while it is measured, which takes seconds.
        now: What time it is, in seconds since 1970.
    """

    def __init__(
        self,
        folder: Path | None,
        calibrations: Mapping[Comparison, Calibration] | None = None,
        *,
        learning: Learning = nullcontext,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._calibrations = dict(calibrations or {})
        self._learning = learning
        self._now = now
        self._measuring = Lock()
        self._seen: _State | None = None
        self._latest: Measurement | None = None
        self._looked_for = ""

    def known(self, catalogue: Catalogue) -> Measured | None:
        """What was measured for this state of the index before, or a little earlier while it is being written; None
        if nothing was.
        """
        state = self._state(catalogue)
        latest = self._look_up(state)
        if latest is None or not (latest.signature == state.signature or self._serves(latest, state)):
            return None
        return latest.measured

    def measured(self, store: VectorStore, catalogue: Catalogue, models: QueryModels) -> Measured:
        """What unrelated queries score in this state of the index, or a little earlier while it is being written.

        Raises:
            IndexDamagedError: the index cannot be read, or a stored vector is no direction.
            ModelError: a model cannot encode the bank.
        """
        known = self.known(catalogue)
        if known is not None:
            return known
        # Whoever comes while another thread measures goes on with what was measured before.
        older = self._older(self._state(catalogue))
        if not self._measuring.acquire(blocking=older is None):
            return older if older is not None else self.measured(store, catalogue, models)
        try:
            return self.known(catalogue) or self._measure_and_keep(store, catalogue, models)
        finally:
            self._measuring.release()

    def _measure_and_keep(self, store: VectorStore, catalogue: Catalogue, models: QueryModels) -> Measured:
        """Measure, and write it down unless the index was written meanwhile: then it is of no one state of it."""
        state, began = self._state(catalogue), self._now()
        with self._learning():
            measured = self._measure(store, catalogue, models)
        is_same = self._state_of(Catalogue.read(store)).signature == state.signature
        signature = state.signature if is_same else ""
        latest = self._latest = Measurement(measured, signature, state.models, state.contents, began)
        if is_same:
            write_document(self._path("scores"), scores_document(latest))
        return measured

    def _look_up(self, state: _State) -> Measurement | None:
        """The latest measurement: this one's own, or what the file holds of another process with the same models."""
        latest = self._latest
        if state.signature != self._looked_for and (latest is None or latest.signature != state.signature):
            kept = measurement_of(read_document(self._path("scores")), len(bank_queries()))
            if kept is not None and kept.models == state.models:
                found = [one for one in (latest, kept) if one is not None]
                self._latest = max(found, key=lambda one: (one.signature == state.signature, one.measured_at))
            self._looked_for = state.signature
        return self._latest

    def _older(self, state: _State) -> Measured | None:
        """What was measured of another state of the index, if it can be used at all."""
        latest = self._latest
        if latest is None or latest.models != state.models:
            return None
        return latest.measured if latest.measured.modalities.issuperset(state.catalogue.counts) else None

    def _serves(self, latest: Measurement, state: _State) -> bool:
        """Whether it is near enough, for an index that is being written."""
        now = self._now()
        if self._older(state) is None or not 0 <= now - state.written_at < _BUSY_S:
            return False
        is_young = 0 <= now - latest.measured_at < _BUSY_S
        return is_young or _changed(latest.contents, state.contents) < _MOST_CHANGED

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
        kept = read_document(self._path("vectors"))
        names = {space: f"{role.fingerprint.digest} {_bank_digest()}" for space, role in roles.items()}
        found: dict[Space, Embedding] = {}
        for space in roles:
            vectors = matrix_of(kept.get(names[space]))
            if vectors is not None and vectors.shape == (len(bank_queries()), roles[space].fingerprint.dim):
                found[space] = vectors
        if len(found) < len(roles):
            found |= _encoded({space: _encoder(role) for space, role in roles.items() if space not in found}, found)
            write_document(self._path("vectors"), {names[space]: packed(vectors) for space, vectors in found.items()})
        return found

    def _drawn_to_words(self, frames: FrameEncoder, vectors: Embedding) -> Embedding:
        """What the bank is judged by where pictures are mixtures of classes; kept like its vectors."""
        kept = read_document(self._path("vectors"))
        name = f"{frames.fingerprint.digest} {_bank_digest()} word by word"
        drawn = matrix_of(kept.get(name))
        if drawn is None or drawn.shape != vectors.shape:
            drawn = drawn_to_words(bank_queries(), vectors, frames.encode_texts)
            write_document(self._path("vectors"), {**kept, name: packed(drawn)})
        return drawn

    def _state(self, catalogue: Catalogue) -> _State:
        seen = self._seen
        if seen is None or seen.catalogue is not catalogue:
            seen = self._seen = self._state_of(catalogue)
        return seen

    def _state_of(self, catalogue: Catalogue) -> _State:
        facts = _FORMAT, _bank_digest(), NEAREST_SHARE, LEAST_SPREAD, sorted(self._calibrations.items())
        return _State(
            catalogue,
            index_signature(catalogue, *facts),
            models_signature(catalogue, *facts),
            _contents(catalogue),
            max(_written(catalogue), default=0.0),
        )

    def _path(self, name: str) -> Path | None:
        return None if self._folder is None else self._folder / f"{name}.json"


def _written(catalogue: Catalogue) -> Iterator[float]:
    """When videos were indexed, in seconds since 1970, as far as that is known."""
    for commit in catalogue.commits.values():
        try:
            yield datetime.fromisoformat(commit.indexed_at).timestamp()
        except (ValueError, OverflowError):
            continue


def _contents(catalogue: Catalogue) -> Mapping[str, tuple[str, int]]:
    return {key: (digest, _records(catalogue.commits[key])) for key, digest in content_signatures(catalogue).items()}


def _records(commit: Commit) -> int:
    return commit.count(SPACE_OF_MODALITY)


def _changed(before: Mapping[str, tuple[str, int]], after: Mapping[str, tuple[str, int]]) -> float:
    """The share of records whose video is new, gone or another."""
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    most = max(_total(before.values()), _total(after.values()), 1)
    return sum(max(before.get(key, ("", 0))[1], after.get(key, ("", 0))[1]) for key in changed) / most


def _total(contents: Iterable[tuple[str, int]]) -> int:
    return sum(count for _, count in contents)


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
