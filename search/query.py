"""What a person asks: a text, a picture or a moment to find more of, and what the videos must be like."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from indexer.errors import QueryError
from indexer.types import SPACE_OF_MODALITY, Image, Modality
from search.filters import FacetCondition, Filters, parse_condition

__all__ = ["FacetCondition", "Filters", "Query", "parse_condition"]


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """One question to the index; exactly one of ``text``, ``image`` and ``like`` is given.

    Args:
        text: Free text.
        image: A picture, uint8 ``(H, W, 3)`` RGB; it is compared with frames only.
        like: A video (its id, or its path or the end of it) and a second of it: find moments like that one.
        filters: What the videos must be like.
        weights: How much each modality counts; one that is not named counts 1, and 0 leaves it out.
        top_k: How many moments to answer with, at least 1.
        offset: How many moments of the ranking to pass over first, 0 or more: the next page starts there.
        group_by_video: Answer with each video once, by its best moment.

    Raises:
        QueryError: any of this does not hold.
    """

    text: str = ""
    image: Image | None = None
    like: tuple[str, float] | None = None
    filters: Filters = field(default_factory=Filters)
    weights: Mapping[Modality, float] = field(default_factory=dict)
    top_k: int = 10
    offset: int = 0
    group_by_video: bool = False

    def __post_init__(self) -> None:
        # Bytes that are no text, as other encodings leave them in a terminal, have no meaning to search for.
        object.__setattr__(self, "text", self.text.encode("utf-8", "replace").decode("utf-8"))
        self._check_question()
        if self.image is not None:
            _check_image(self.image)
        if self.like is not None:
            _check_like(*self.like)
        _check_weights(self.weights)
        _check_page(self.top_k, self.offset)

    def weight(self, modality: Modality) -> float:
        """How much a modality counts, 0 or more."""
        return float(self.weights.get(modality, 1.0))

    def _check_question(self) -> None:
        given = [self.text.strip() != "", self.image is not None, self.like is not None]
        if not any(given):
            raise QueryError("The query is empty.", hint="Type what you remember of the video.")
        if sum(given) > 1:
            raise QueryError(
                "The query asks for several things at once.",
                hint="Give one of these: a text, a picture, or a moment to find more like.",
            )


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


def _check_weights(weights: Mapping[Modality, float]) -> None:
    for modality, weight in weights.items():
        if modality not in SPACE_OF_MODALITY:
            known = ", ".join(SPACE_OF_MODALITY)
            raise QueryError(f"There is no kind of evidence called '{modality}'.", hint=f"There are: {known}.")
        if not (math.isfinite(weight) and weight >= 0):
            raise QueryError(f"The weight of {modality} is {weight}.", hint="A weight is a number, 0 or more.")


def _check_page(top_k: int, offset: int) -> None:
    if top_k < 1:
        raise QueryError(f"{top_k} moments were asked for.", hint="Ask for at least 1.")
    if offset < 0:
        raise QueryError(f"The answer cannot start at place {offset}.", hint="The first place is 0.")
