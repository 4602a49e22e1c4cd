"""From a query to the vectors to look for, one for each embedding space."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Protocol, TypeVar

import numpy as np

from indexer.core.errors import IndexIncompatibleError, ModelError, QueryError
from indexer.core.types import Embedding, ModalityName, Space
from indexer.models.base import FrameEncoder, Model, SoundEncoder, TextEncoder
from search.catalogue import Catalogue
from search.match.calibration import Calibration, Comparison, calibration_of, shown_from
from search.match.candidates import QueryVector
from search.match.reference_moment import ReferenceMoment
from search.match.word_by_word import drawn_to_words, words_apart
from search.modalities import how_to_add, in_words
from search.query.query import Query

_COMPARED_WITH_MOMENT: Mapping[Space, Comparison] = MappingProxyType(
    {"frames": "image-frames", "text": "text-text", "audio": "audio-audio"}
)
_MODEL_OF: Mapping[Space, str] = MappingProxyType({"frames": "frames", "text": "text", "audio": "sounds"})

M = TypeVar("M", bound=Model)


class QueryModels(Protocol):
    """The models that queries are encoded with; None where the index was made without."""

    @property
    def frames(self) -> FrameEncoder | None: ...
    @property
    def text(self) -> TextEncoder | None: ...
    @property
    def sounds(self) -> SoundEncoder | None: ...


@dataclass(frozen=True, slots=True)
class QueryEncoder:
    """Encodes a query; a model is asked for only when it is needed.

    ``calibrations`` are used instead of the constants in ``search.match.calibration``. With ``words_too`` the words of
    a text are encoded along with it, which takes hardly longer, in case ``rated_by_words`` will be called.
    """

    models: Callable[[], QueryModels]
    catalogue: Catalogue
    calibrations: Mapping[Comparison, Calibration]
    words_too: bool = False

    def encode(
        self, query: Query, reference: ReferenceMoment | None
    ) -> tuple[tuple[QueryVector, ...], Mapping[ModalityName, str]]:
        """One vector for each space to look in, and why some modalities of the index cannot be looked in.

        The sound model is a separate file. If it is missing, the rest is searched, unless there is nothing else.

        Raises:
            QueryError: no space is left, because of the weights or because of what the index lacks.
            IndexIncompatibleError: the models here are not those of the index.
            ModelError: a model is missing or gives no usable vector.
        """
        vectors = self._vectors(query, reference)
        unsearched: Mapping[ModalityName, str] = {}
        sounds = self._wanted(query, "audio") if query.wording else frozenset()
        if sounds:
            try:
                encoder = self._checked("audio", self.models().sounds)
                vectors.append(self._vector("audio", encoder.encode_texts([query.wording])[0], sounds, "text-audio"))
            except (IndexIncompatibleError, ModelError) as error:
                if not vectors:
                    raise
                unsearched = dict.fromkeys(sounds, str(error))
        if not vectors:
            raise _nothing_to_compare(query, self.catalogue)
        return tuple(vectors), unsearched

    def rated_by_words(self, vectors: Sequence[QueryVector], wording: str) -> tuple[QueryVector, ...]:
        """The vectors of a text, that for frames with what its hits are rated by (``search.match.word_by_word``)."""
        return tuple(
            replace(one, rated_by=drawn_to_words([wording], one.vector[None], self._frames().encode_texts)[0])
            if one.space == "frames"
            else one
            for one in vectors
        )

    def shown(self, texts: Sequence[str]) -> tuple[Embedding, float]:
        """The vectors ``(n, dim)`` of what frames show, and the cosine from which on a frame shows one of them."""
        own = self.calibrations.get("text-frames")
        least = shown_from(self.catalogue.fingerprint("frames")) if own is None else own.ceiling
        return self._frames().encode_texts(texts), least

    def _vectors(self, query: Query, reference: ReferenceMoment | None) -> list[QueryVector]:
        """All but the vector for sounds like a text."""
        found: list[QueryVector] = []
        if reference is not None:
            for space, vector in reference.vectors.items():
                if wanted := self._wanted(query, space):
                    found.append(self._vector(space, vector, wanted, _COMPARED_WITH_MOMENT[space]))
            return found
        if frames := self._wanted(query, "frames"):
            if query.image is not None:
                vector = self._frames().encode_images([query.image])[0]
                return [self._vector("frames", vector, frames, "image-frames")]
            words = words_apart(query.wording) if self.words_too else ()
            vector = self._frames().encode_texts([query.wording, *words])[0]
            found.append(self._vector("frames", vector, frames, "text-frames"))
        if query.wording and (text := self._wanted(query, "text")):
            encoder = self._checked("text", self.models().text)
            found.append(self._vector("text", encoder.encode_queries([query.wording])[0], text, "text-text"))
        return found

    def _wanted(self, query: Query, space: Space) -> frozenset[ModalityName]:
        return frozenset(name for name in self.catalogue.modalities(space) if query.weight(name) > 0)

    def _vector(
        self, space: Space, vector: Embedding, modalities: frozenset[ModalityName], comparison: Comparison
    ) -> QueryVector:
        if not np.isfinite(vector).all():
            raise ModelError(f"The {space} model gave no usable vector for this query.", hint="Word it differently.")
        calibration = self.calibrations.get(comparison) or calibration_of(self.catalogue.fingerprint(space), comparison)
        return QueryVector(space, vector, modalities, calibration)

    def _frames(self) -> FrameEncoder:
        return self._checked("frames", self.models().frames)

    def _checked(self, space: Space, encoder: M | None) -> M:
        """The encoder, if it is the one that the space was filled with: vectors of two models must not be compared."""
        if encoder is None:
            raise ModelError(
                f"The index has {space} records, and there is no {_MODEL_OF[space]} model to search them with.",
                hint="Search with the profile that the index was made with.",
            )
        expected, own = self.catalogue.fingerprint(space), encoder.fingerprint
        if expected is not None and own != expected:
            raise IndexIncompatibleError(
                f"The index was made with the {_MODEL_OF[space]} model {expected.family}:{expected.name} "
                f"({expected.digest}), and the one here is {own.family}:{own.name} ({own.digest}).",
                hint="Bring back that model, or index again into a new folder: sceneseek index FOLDER --index DIR.",
            )
        return encoder


def _nothing_to_compare(query: Query, catalogue: Catalogue) -> QueryError:
    """Names what the query asks for and the index lacks, if that is the reason."""
    absent = [name for name, weight in query.weights.items() if weight > 0 and not catalogue.counts.get(name)]
    if query.wording and absent:
        return QueryError(f"This index has no {in_words(absent)} to search.", hint=how_to_add(absent[0]))
    return QueryError(
        "This index has nothing that such a query can be compared with.",
        hint="Ask another way, or give other kinds of evidence a weight above 0.",
    )
