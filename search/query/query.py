"""A query: a text, a picture or a moment to find more of, and conditions on the videos and moments."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from indexer.core.errors import QueryError
from indexer.core.text import squeezed
from indexer.core.types import Image, ModalityName, Sighting
from indexer.modalities.registry import modality_names
from search.modalities import modality_named
from search.query.filters import Filters

_LONGEST, _MOST_PHRASES = 5000, 100
_BLANKS = frozenset("\u115f\u1160\u2800\u3164\uffa0")  # letters and symbols that are drawn as nothing


@dataclass(frozen=True, slots=True)
class ObjectCondition:
    """So many objects of one kind must be in one picture, or with ``negated`` no such picture may be in the moment.

    ``label`` is what the detector calls them; case, accents and a plural ``s`` do not matter.

    Raises:
        QueryError: the label is empty, ``least`` below 1, or ``most`` below ``least``.
    """

    label: str
    least: int = 1
    most: int | None = None
    negated: bool = False

    def __post_init__(self) -> None:
        if not squeezed(self.label):
            raise QueryError("The objects to find are not named.", hint="Write it like objects:bus>=2.")
        if self.least < 1 or (self.most is not None and self.most < self.least):
            raise QueryError(
                f"No number of '{self.label}' can be at least {self.least} and at most {self.most}.",
                hint="Write it like objects:bus>=2, or -objects:bus for none.",
            )

    @property
    def spellings(self) -> frozenset[str]:
        """The label squeezed, also without a possible plural ending."""
        plain = squeezed(self.label)
        return frozenset({plain, plain.removesuffix("s"), plain.removesuffix("es")} - {""})

    def holds(self, sightings: Sequence[Sighting]) -> bool:
        """Whether one of the pictures has that many."""
        counts = Counter(seen.time_s for seen in sightings if squeezed(seen.label) in self.spellings)
        return any(self.least <= count and (self.most is None or count <= self.most) for count in counts.values())


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """A text, a picture (``image``) or a moment (``like``) to search for, and conditions.

    Nothing in ``text`` has a special meaning; ``search.query.syntax.parse_query`` reads what a person types, with
    quotes and conditions. Conditions alone ask for everything that meets them, in no order of relevance.

    Args:
        image: A picture, uint8 ``(H, W, 3)`` RGB, which is compared with frames only.
        like: A video (its id, or its path or the end of it) and a second of it: find moments like that one.
        weights: How much each modality counts; one that is not named counts 1, and 0 leaves it out.
        top_k: How many moments to answer with, at least 1.
        offset: How many moments of the ranking to skip, 0 or more: where the page starts.
        group_by_video: Answer with each video once, by its best moment.
        phrases: What must be said or written, word for word, in every moment.
        without: Words or phrases that must be neither said nor written nor seen in it.
        objects: Which objects must be seen in it, and which must not.
        min_confidence: Leave out moments whose confidence is known and lower, in [0, 1].

    Raises:
        QueryError: any of this does not hold.
    """

    text: str = ""
    image: Image | None = None
    like: tuple[str, float] | None = None
    filters: Filters = field(default_factory=Filters)
    weights: Mapping[ModalityName, float] = field(default_factory=dict)
    top_k: int = 10
    offset: int = 0
    group_by_video: bool = False
    phrases: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    objects: tuple[ObjectCondition, ...] = ()
    min_confidence: float = 0.0

    def __post_init__(self) -> None:
        # Undecodable bytes, as other encodings leave them in a terminal, cannot be searched for.
        object.__setattr__(self, "text", self.text.encode("utf-8", "replace").decode("utf-8"))
        self._check_size()
        self._check_is_one_question()
        if self.image is not None:
            _check_image(self.image)
        if self.like is not None:
            _check_like(*self.like)
        _check_phrases((*self.phrases, *self.without))
        _check_weights(self.weights)
        self._check_numbers()

    def weight(self, modality: ModalityName) -> float:
        """How much a modality counts, 0 or more."""
        return float(self.weights.get(modality, 1.0))

    @property
    def wording(self) -> str:
        """What to look for as a text: the text, or else the phrases; empty where a picture or a moment is given."""
        if self.image is not None or self.like is not None:
            return ""
        return self.text if is_visible(self.text) else " ".join(self.phrases)

    @property
    def is_browsing(self) -> bool:
        """Whether there are conditions only, and nothing to rank by."""
        return not self.wording and self.image is None and self.like is None

    def _check_size(self) -> None:
        """Longer queries take the database minutes, or are more than it can take."""
        phrases = (*self.phrases, *self.without)
        if len(self.text) + sum(map(len, phrases)) > _LONGEST or len(phrases) > _MOST_PHRASES:
            raise QueryError(
                "The query is too long.", hint=f"Use at most {_LONGEST} letters and {_MOST_PHRASES} phrases."
            )

    def _check_is_one_question(self) -> None:
        given = [is_visible(self.text), self.image is not None, self.like is not None]
        conditions = self.filters or self.phrases or self.without or self.objects
        if not any(given) and not conditions:
            raise QueryError(
                "The query is empty.", hint="Type what you remember of the video, or a condition such as duration<60."
            )
        if sum(given) > 1:
            raise QueryError(
                "The query asks for several things at once.",
                hint="Give one of these: a text, a picture, or a moment to find more like.",
            )

    def _check_numbers(self) -> None:
        if self.top_k < 1:
            raise QueryError(f"{self.top_k} moments were asked for.", hint="Ask for at least 1.")
        if self.offset < 0:
            raise QueryError(f"The answer cannot start at place {self.offset}.", hint="The first place is 0.")
        if not 0 <= self.min_confidence <= 1:
            raise QueryError(
                f"The least confidence is {self.min_confidence}.", hint="Give a number from 0 (all moments) to 1."
            )


def is_visible(text: str) -> bool:
    """Whether a text has anything visible in it: not only spaces, joiners and accents without a letter."""
    return any(unicodedata.category(sign)[0] not in "CZM" and sign not in _BLANKS for sign in text)


def _check_image(image: Image) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise QueryError(
            f"The query picture cannot be used: its values are {image.dtype} of shape {image.shape}.",
            hint="Give an RGB picture of 8 bits per colour, as an array of height x width x 3.",
        )


def _check_like(video: str, seconds: float) -> None:
    if not str(video).strip():
        raise QueryError("No video is named to find similar moments to.", hint="Give its path or id, and a second.")
    if not (math.isfinite(seconds) and seconds >= 0):
        raise QueryError(f"{seconds} is no time in a video.", hint="Give seconds from the start, 0 or more.")


def _check_phrases(phrases: Sequence[str]) -> None:
    for phrase in phrases:
        if not squeezed(phrase):
            raise QueryError(f"The phrase '{phrase}' has no letters to look for.", hint="Give words or numbers.")


def _check_weights(weights: Mapping[ModalityName, float]) -> None:
    for modality, weight in weights.items():
        if modality not in modality_names():
            modality_named(modality)
            raise QueryError(f"There is no kind of evidence called '{modality}'.", hint="Write it in small letters.")
        if not (math.isfinite(weight) and weight >= 0):
            raise QueryError(f"The weight of {modality} is {weight}.", hint="A weight is a number, 0 or more.")
