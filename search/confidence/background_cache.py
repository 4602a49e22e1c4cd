"""The background of an index, measured when it is first needed and kept in files beside the index.

Both files can be made again, and are ignored for another state of the index or other models: ``scores.json`` holds what
the bank scores, which every search reads, and ``vectors.json`` the bank as the models encode it, so that it is not
encoded again whenever a video is added.

An index that is being written changes with every video. Until it has not changed for a minute, a measurement is used
that is less than a minute old, or that was made when nine tenths of the records were the same.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np

from indexer.core.types import Embedding, Space
from indexer.modalities.registry import modality_names
from indexer.models.base import Model
from indexer.store.base import VectorStore
from search.catalogue import Catalogue, content_signatures, index_signature, models_signature
from search.confidence import background_file
from search.confidence.background import LEAST_SPREAD, NEAREST_SHARE, Background
from search.confidence.background_file import IndexState, Measurement
from search.confidence.bank import BankScorer, EncodedBank, bank_queries
from search.match.calibration import Calibration, Comparison, calibration_of
from search.match.query_vectors import QueryModels
from search.match.word_by_word import EncodeTexts, drawn_to_words

Learning: TypeAlias = Callable[[], AbstractContextManager[object]]

_COMPARISONS: Mapping[Space, Comparison] = MappingProxyType(
    {"frames": "text-frames", "text": "text-text", "audio": "text-audio"}
)
_FORMAT = "3, what was measured of which videos"
_TRIED = 4  # bank queries that show whether two encoders are one model
_BUSY_S = 60.0
_MOST_CHANGED = 0.1


@runtime_checkable
class HasVocabulary(Protocol):
    """An encoder whose vectors are mixtures of the vectors of named classes."""

    @property
    def vocabulary(self) -> Embedding:
        """The classes' vectors, ``(classes, dim)``."""


class BackgroundCache:
    """Measures the background of an index when it is first needed, and again after index or models have changed.

    Without a folder, or with one that cannot be written, it is kept in memory only. ``learning`` is entered while the
    background is measured, which takes seconds. ``now`` gives the time in seconds since 1970.
    """

    def __init__(
        self,
        folder: Path | None,
        calibrations: Mapping[Comparison, Calibration] = MappingProxyType({}),
        *,
        learning: Learning = nullcontext,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._calibrations = dict(calibrations)
        self._learning = learning
        self._now = now
        self._measuring = Lock()
        self._latest: Measurement | None = None
        self._latest_state: tuple[Catalogue, IndexState] | None = None
        self._looked_up = ""

    def known(self, catalogue: Catalogue) -> Background | None:
        """The background of this state of the index, or a slightly older one while it is being written, if measured."""
        state = self._state(catalogue)
        latest = self._look_up(state)
        if latest is None:
            return None
        is_same = latest.state.signature == state.signature
        return latest.background if is_same or self._is_close(latest, catalogue) else None

    def measured(self, store: VectorStore, catalogue: Catalogue, models: QueryModels) -> Background:
        """The background as ``known`` gives it, measured now if need be.

        Raises:
            IndexDamagedError: the index cannot be read, or a stored vector is NaN or infinite.
            ModelError: a model cannot encode the bank.
        """
        known = self.known(catalogue)
        if known is not None:
            return known
        # While another thread measures, an older background will do.
        older = self._older(catalogue)
        if not self._measuring.acquire(blocking=older is None) and older is not None:
            return older
        try:
            return self.known(catalogue) or self._measure_and_keep(store, catalogue, models)
        finally:
            self._measuring.release()

    def _measure_and_keep(self, store: VectorStore, catalogue: Catalogue, models: QueryModels) -> Background:
        """Measure, and write the result to the file unless the index changed meanwhile."""
        state, began = self._state(catalogue), self._now()
        with self._learning():
            background = BankScorer(store, catalogue).background(self._encode_bank(catalogue, models))
        is_unchanged = self._state_of(Catalogue.read(store)).signature == state.signature
        if not is_unchanged:
            state = IndexState("", state.models, state.contents)
        self._latest = Measurement(background, state, began)
        if is_unchanged:
            background_file.write(self._path("scores"), background_file.document_of(self._latest))
        return background

    def _look_up(self, state: IndexState) -> Measurement | None:
        """The latest measurement: of this process, or by the file of another process with the same models."""
        latest = self._latest
        if state.signature != self._looked_up and (latest is None or latest.state.signature != state.signature):
            kept = background_file.measurement_in(background_file.read(self._path("scores")), len(bank_queries()))
            if kept is not None and kept.state.models == state.models:
                found = [one for one in (latest, kept) if one is not None]
                self._latest = max(found, key=lambda one: (one.state.signature == state.signature, one.measured_at))
            self._looked_up = state.signature
        return self._latest

    def _older(self, catalogue: Catalogue) -> Background | None:
        """The background of another state of the index, if it has the same models and all modalities."""
        latest = self._latest
        if latest is None or latest.state.models != self._state(catalogue).models:
            return None
        return latest.background if latest.background.modalities.issuperset(catalogue.counts) else None

    def _is_close(self, latest: Measurement, catalogue: Catalogue) -> bool:
        """Whether a measurement of another state will do for an index that is being written."""
        now = self._now()
        if self._older(catalogue) is None or not 0 <= now - catalogue.indexed_at < _BUSY_S:
            return False
        is_young = 0 <= now - latest.measured_at < _BUSY_S
        return is_young or _changed(latest.state.contents, self._state(catalogue).contents) < _MOST_CHANGED

    def _encode_bank(self, catalogue: Catalogue, models: QueryModels) -> Mapping[Space, EncodedBank]:
        """The bank by space; kept vectors are used if the model is the same."""
        kept = background_file.vectors_in(background_file.read(self._path("vectors")), len(bank_queries()))
        used: dict[str, Embedding] = {}
        banks: dict[Space, EncodedBank] = {}
        for space, model, encode in _encoders(models, catalogue):
            name = f"{model.fingerprint.digest} {_bank_digest()}"
            vectors = kept[name] if name in kept else _encoded_once(encode, used.values())
            used[name] = rated_by = vectors
            vocabulary = model.vocabulary if isinstance(model, HasVocabulary) else None
            if space == "frames" and vocabulary is not None:
                drawn = f"{name} word by word"
                rated_by = kept[drawn] if drawn in kept else drawn_to_words(bank_queries(), vectors, encode)
                used[drawn] = rated_by
            banks[space] = EncodedBank(vectors, vocabulary, self._calibration(catalogue, space), rated_by)
        if used.keys() - kept.keys():
            packed = {name: background_file.packed(vectors) for name, vectors in used.items()}
            background_file.write(self._path("vectors"), packed)
        return banks

    def _calibration(self, catalogue: Catalogue, space: Space) -> Calibration:
        comparison = _COMPARISONS[space]
        return self._calibrations.get(comparison) or calibration_of(catalogue.fingerprint(space), comparison)

    def _state(self, catalogue: Catalogue) -> IndexState:
        latest = self._latest_state
        if latest is None or latest[0] is not catalogue:
            latest = self._latest_state = (catalogue, self._state_of(catalogue))
        return latest[1]

    def _state_of(self, catalogue: Catalogue) -> IndexState:
        facts = _FORMAT, _bank_digest(), NEAREST_SHARE, LEAST_SPREAD, sorted(self._calibrations.items())
        digests = content_signatures(catalogue)
        return IndexState(
            index_signature(catalogue, *facts),
            models_signature(catalogue, *facts),
            {key: (digest, catalogue.commits[key].count(modality_names())) for key, digest in digests.items()},
        )

    def _path(self, name: str) -> Path | None:
        return None if self._folder is None else self._folder / f"{name}.json"


def _encoders(models: QueryModels, catalogue: Catalogue) -> Iterator[tuple[Space, Model, EncodeTexts]]:
    frames, text, sounds = models.frames, models.text, models.sounds
    if frames is not None and catalogue.modalities("frames"):
        yield "frames", frames, frames.encode_texts
    if text is not None and catalogue.modalities("text"):
        yield "text", text, text.encode_queries
    if sounds is not None and catalogue.modalities("audio"):
        yield "audio", sounds, sounds.encode_texts


def _encoded_once(encode: EncodeTexts, known: Iterable[Embedding]) -> Embedding:
    """The bank as encoded; or as known, if an encoder that gave it encodes its first queries alike: one model then."""
    bank = bank_queries()
    first = encode(bank[:_TRIED])
    for vectors in known:
        if vectors.shape[1:] == first.shape[1:] and np.allclose(vectors[:_TRIED], first, atol=1e-3):
            return vectors
    return np.nan_to_num(encode(bank))


def _changed(before: Mapping[str, tuple[str, int]], after: Mapping[str, tuple[str, int]]) -> float:
    """The share of records whose video is new, gone or changed."""
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    most = max(sum(count for _, count in contents.values()) for contents in (before, after))
    return sum(max(before.get(key, ("", 0))[1], after.get(key, ("", 0))[1]) for key in changed) / max(most, 1)


def _bank_digest() -> str:
    return hashlib.blake2b("\n".join(bank_queries()).encode(), digest_size=8).hexdigest()
