"""From a query to the vectors to look for, one per embedding space."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NamedTuple, Protocol

import numpy as np

from indexer.core.errors import IndexIncompatibleError, ModelError, QueryError
from indexer.core.types import Embedding, Image, ModalityName, Space
from indexer.models.base import FrameEncoder, Model, SoundEncoder, TextEncoder
from search.catalogue import Catalogue
from search.confidence.word_by_word import drawn_to_words, words_apart
from search.match.candidates import Probe
from search.match.reference_moment import Likeness
from search.modalities import how_to_add, in_words
from search.query.query import Query
from search.rank.calibration import Comparison, calibration_of, shown_from
from search.rank.fusion import Calibration

__all__ = ["ProbeMaker", "QueryModels", "Reach"]


class QueryModels(Protocol):
    """The models that queries are encoded with; None where the index was made without."""

    @property
    def frames(self) -> FrameEncoder | None:
        """Puts texts and pictures into the space of the frames."""

    @property
    def text(self) -> TextEncoder | None:
        """Puts queries into the space of the segments."""

    @property
    def sounds(self) -> SoundEncoder | None:
        """Puts texts into the space of the sounds."""


class Reach(NamedTuple):
    """How far a query can be looked for.

    Args:
        probes: One for each space.
        unsearched: Why some of what the index has cannot be looked at, with what to do about it.
    """

    probes: tuple[Probe, ...]
    unsearched: Mapping[ModalityName, str]


@dataclass(frozen=True, slots=True)
class ProbeMaker:
    """Makes the probes of a query; a model is asked for only when it is needed.

    Args:
        models: Gives the models; called only for a query that has to be encoded.
        catalogue: What there is to find, and made with which models.
        calibrations: What to use instead of the constants in ``search.rank.calibration``.
        words_too: Whether ``judged`` will ask for the words of a text: they are encoded along with it then, which takes
            hardly longer.
    """

    models: Callable[[], QueryModels]
    catalogue: Catalogue
    calibrations: Mapping[Comparison, Calibration]
    words_too: bool = False

    def probes(self, query: Query, likeness: Likeness | None) -> Reach:
        """One probe for each space that the query can be looked for in.

        The sound model is a file of its own. If it has gone, what is left is searched, unless nothing is.

        Raises:
            QueryError: there is no such space, be it for the weights or for what the index lacks.
            IndexIncompatibleError: the models here are not those of the index.
            ModelError: a model is missing or gives no usable vector.
        """
        probes = tuple(self._probes(query, likeness))
        sounds = self._wanted(query, "audio") if query.wording else frozenset()
        unsearched: Mapping[ModalityName, str] = {}
        try:
            probes = (*probes, *self._sound_probes(query, sounds))
        except (IndexIncompatibleError, ModelError) as error:
            if not probes:
                raise
            unsearched = dict.fromkeys(sounds, str(error))
        if not probes:
            raise _nothing_to_compare(query, self.catalogue)
        return Reach(probes, unsearched)

    def judged(self, probes: Sequence[Probe], wording: str, mixed: Collection[Space]) -> tuple[Probe, ...]:
        """The probes of a text with what their hits are judged by.

        Args:
            probes: What ``probes`` made.
            wording: The text.
            mixed: The spaces whose vectors are mixtures of named classes.

        Raises:
            IndexIncompatibleError: the model here is not that of the index.
            ModelError: it is missing, or cannot encode a word.
        """
        return tuple(
            self._word_by_word(one, wording) if one.space == "frames" and "frames" in mixed else one for one in probes
        )

    def seen(self, texts: Sequence[str]) -> tuple[Embedding, float]:
        """What frames that show these texts are like: ``(n, dim)`` vectors, and the cosine from which on they show one.

        Raises:
            IndexIncompatibleError: the model here is not that of the index.
            ModelError: it is missing.
        """
        own = self.calibrations.get("text-frames")
        shown = shown_from(self.catalogue.fingerprint("frames")) if own is None else own.ceiling
        return self._frames_encoder().encode_texts(texts), shown

    def _probes(self, query: Query, likeness: Likeness | None) -> Iterator[Probe]:
        if likeness is not None:
            yield from self._like_probes(query, likeness)
        elif query.image is not None:
            if frames := self._wanted(query, "frames"):
                yield self._probe("frames", self._image_vector(query.image), frames, "image-frames")
        else:
            yield from self._text_probes(query)

    def _text_probes(self, query: Query) -> Iterator[Probe]:
        if frames := self._wanted(query, "frames"):
            yield self._probe("frames", self._frames_vector(query.wording), frames, "text-frames")
        if text := self._wanted(query, "text"):
            yield self._probe("text", self._text_vector(query.wording), text, "text-text")

    def _sound_probes(self, query: Query, sounds: frozenset[ModalityName]) -> Iterator[Probe]:
        if sounds:
            yield self._probe("audio", self._sound_vector(query.wording), sounds, "text-audio")

    def _like_probes(self, query: Query, likeness: Likeness) -> Iterator[Probe]:
        around: tuple[tuple[Space, Embedding | None, Comparison], ...] = (
            ("frames", likeness.frame, "image-frames"),
            ("text", likeness.text, "text-text"),
            ("audio", likeness.sound, "audio-audio"),
        )
        for space, vector, comparison in around:
            wanted = self._wanted(query, space)
            if wanted and vector is not None:
                yield self._probe(space, vector, wanted, comparison)

    def _word_by_word(self, probe: Probe, wording: str) -> Probe:
        judged_by = drawn_to_words([wording], probe.vector[None], self._frames_encoder().encode_texts)
        return replace(probe, judged_by=_only(judged_by))

    def _wanted(self, query: Query, space: Space) -> frozenset[ModalityName]:
        return frozenset(name for name in self.catalogue.modalities(space) if query.weight(name) > 0)

    def _probe(
        self, space: Space, vector: Embedding, modalities: frozenset[ModalityName], comparison: Comparison
    ) -> Probe:
        if not np.isfinite(vector).all():
            raise ModelError(f"The {space} model gave no usable vector for this query.", hint="Word it differently.")
        return Probe(space, vector, modalities, self._calibration(space, comparison))

    def _calibration(self, space: Space, comparison: Comparison) -> Calibration:
        own = self.calibrations.get(comparison)
        return own or calibration_of(self.catalogue.fingerprint(space), comparison)

    def _frames_vector(self, text: str) -> Embedding:
        words = words_apart(text) if self.words_too else ()
        return _only(self._frames_encoder().encode_texts([text, *words]))

    def _image_vector(self, image: Image) -> Embedding:
        return _only(self._frames_encoder().encode_images([image]))

    def _text_vector(self, text: str) -> Embedding:
        encoder = self.models().text
        if encoder is None:
            raise _no_model("text")
        self._check_same("text", encoder)
        return _only(encoder.encode_queries([text]))

    def _sound_vector(self, text: str) -> Embedding:
        encoder = self.models().sounds
        if encoder is None:
            raise _no_model("audio")
        self._check_same("audio", encoder)
        return _only(encoder.encode_texts([text]))

    def _frames_encoder(self) -> FrameEncoder:
        encoder = self.models().frames
        if encoder is None:
            raise _no_model("frames")
        self._check_same("frames", encoder)
        return encoder

    def _check_same(self, space: Space, encoder: Model) -> None:
        """Vectors of two models must never be compared."""
        expected = self.catalogue.fingerprint(space)
        if expected is not None and encoder.fingerprint != expected:
            raise IndexIncompatibleError(
                f"The index was made with the {_MODEL_OF[space]} model {expected.family}:{expected.name} "
                f"({expected.digest}), and the one here is {encoder.fingerprint.family}:{encoder.fingerprint.name} "
                f"({encoder.fingerprint.digest}).",
                hint="Bring back that model, or index again into a new folder: sceneseek index FOLDER --index DIR.",
            )


def _only(vectors: Embedding) -> Embedding:
    vector: Embedding = vectors[0]
    return vector


_MODEL_OF: Mapping[Space, str] = MappingProxyType({"frames": "frames", "text": "text", "audio": "sounds"})


def _no_model(space: Space) -> ModelError:
    return ModelError(
        f"The index has {space} records, and there is no {_MODEL_OF[space]} model to search them with.",
        hint="Search with the profile that the index was made with.",
    )


def _nothing_to_compare(query: Query, catalogue: Catalogue) -> QueryError:
    """What was asked for and is not in the index, if that is why."""
    absent = [name for name, weight in query.weights.items() if weight > 0 and not catalogue.counts.get(name)]
    if query.wording and absent:
        return QueryError(f"This index has no {in_words(absent)} to search.", hint=how_to_add(absent[0]))
    return QueryError(
        "This index has nothing that such a query can be compared with.",
        hint="Ask another way, or give other kinds of evidence a weight above 0.",
    )
