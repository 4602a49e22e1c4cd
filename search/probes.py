"""From a query to the vectors to look for, one per embedding space."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from indexer.errors import IndexIncompatibleError, ModelError, QueryError
from indexer.models.base import FrameEncoder, Model, TextEncoder
from indexer.types import Embedding, Image, Modality, Space
from search.calibration import Comparison, calibration_of
from search.catalogue import Catalogue
from search.fusion import Calibration
from search.like import Likeness
from search.query import Query
from search.retrieval import Probe

__all__ = ["ProbeMaker", "QueryModels"]


class QueryModels(Protocol):
    """The models that queries are encoded with; None where the index was made without."""

    @property
    def frames(self) -> FrameEncoder | None:
        """Puts texts and pictures into the space of the frames."""

    @property
    def text(self) -> TextEncoder | None:
        """Puts queries into the space of the segments."""


@dataclass(frozen=True, slots=True)
class ProbeMaker:
    """Makes the probes of a query; a model is asked for only when it is needed.

    Args:
        models: Gives the models; called only for a query that has to be encoded.
        catalogue: What there is to find, and made with which models.
        calibrations: What to use instead of the constants in ``search.calibration``.
    """

    models: Callable[[], QueryModels]
    catalogue: Catalogue
    calibrations: Mapping[Comparison, Calibration]

    def probes(self, query: Query, likeness: Likeness | None) -> tuple[Probe, ...]:
        """One probe for each space that the query can be looked for in.

        Raises:
            QueryError: there is no such space, be it for the weights or for what the index lacks.
            IndexIncompatibleError: the models here are not those of the index.
            ModelError: a model is missing or gives no usable vector.
        """
        probes = tuple(self._probes(query, likeness))
        if not probes:
            raise QueryError(
                "This index has nothing that such a query can be compared with.",
                hint="Ask another way, or give other kinds of evidence a weight above 0.",
            )
        return probes

    def _probes(self, query: Query, likeness: Likeness | None) -> Iterator[Probe]:
        frames, text = self._wanted(query, "frames"), self._wanted(query, "text")
        if likeness is not None:
            yield from self._like_probes(likeness, frames, text)
            return
        if frames and query.image is not None:
            yield self._probe("frames", self._image_vector(query.image), frames, "image-frames")
        elif frames:
            yield self._probe("frames", self._frames_vector(query.text), frames, "text-frames")
        if text and query.image is None:
            yield self._probe("text", self._text_vector(query.text), text, "text-text")

    def _like_probes(
        self, likeness: Likeness, frames: frozenset[Modality], text: frozenset[Modality]
    ) -> Iterator[Probe]:
        if frames and likeness.frame is not None:
            yield self._probe("frames", likeness.frame, frames, "image-frames")
        if text and likeness.text is not None:
            yield self._probe("text", likeness.text, text, "text-text")

    def _wanted(self, query: Query, space: Space) -> frozenset[Modality]:
        return frozenset(name for name in self.catalogue.modalities(space) if query.weight(name) > 0)

    def _probe(self, space: Space, vector: Embedding, modalities: frozenset[Modality], comparison: Comparison) -> Probe:
        if not np.isfinite(vector).all():
            raise ModelError(f"The {space} model gave no usable vector for this query.", hint="Word it differently.")
        calibration = self.calibrations.get(comparison)
        return Probe(
            space, vector, modalities, calibration or calibration_of(self.catalogue.fingerprint(space), comparison)
        )

    def _frames_vector(self, text: str) -> Embedding:
        return _only(self._frames_encoder().encode_texts([text]))

    def _image_vector(self, image: Image) -> Embedding:
        return _only(self._frames_encoder().encode_images([image]))

    def _text_vector(self, text: str) -> Embedding:
        encoder = self.models().text
        if encoder is None:
            raise _no_model("text")
        self._check_same("text", encoder)
        return _only(encoder.encode_queries([text]))

    def _frames_encoder(self) -> FrameEncoder:
        encoder = self.models().frames
        if encoder is None:
            raise _no_model("frames")
        self._check_same("frames", encoder)
        return encoder

    def _check_same(self, role: Space, encoder: Model) -> None:
        """Vectors of two models must never be compared."""
        expected = self.catalogue.fingerprint(role)
        if expected is not None and encoder.fingerprint != expected:
            raise IndexIncompatibleError(
                f"The index was made with the {role} model {expected.family}:{expected.name} ({expected.digest}), "
                f"and the one here is {encoder.fingerprint.family}:{encoder.fingerprint.name} "
                f"({encoder.fingerprint.digest}).",
                hint="Bring back that model, or index again into a new folder: sceneseek index FOLDER --index DIR.",
            )


def _only(vectors: Embedding) -> Embedding:
    vector: Embedding = vectors[0]
    return vector


def _no_model(role: Space) -> ModelError:
    return ModelError(
        f"The index has {role} records, and there is no {role} model to search them with.",
        hint="Search with the profile that the index was made with.",
    )
