"""A search as the command line, the page and the API ask for it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from indexer.modalities.registry import modality_names
from search.query.filters import Filters, parse_condition

if TYPE_CHECKING:
    from indexer.config import SearchSettings
    from indexer.core.types import Image, ModalityName
    from search.engine import Ranking
    from search.query.query import Query
    from search.query.syntax import ParsedQuery

__all__ = ["SearchRequest", "absent", "filters_of"]


@dataclass(frozen=True, slots=True, eq=False)
class SearchRequest:
    """What to search for, before the settings fill in the rest."""

    text: str = ""  # as typed, with the syntax of ``search.query.syntax``
    image: Image | None = None  # a picture to find what looks like it, uint8 (H, W, 3) RGB
    like: tuple[str, float] | None = None  # a moment to find more like, as (video, second)
    filters: Filters = field(default_factory=Filters)
    weights: Mapping[ModalityName, float] = field(default_factory=dict)  # where they are not as in the settings
    only: Collection[ModalityName] = ()  # all modalities if empty
    top_k: int = 10
    offset: int = 0  # how many moments of the ranking to skip first
    by_video: bool = False  # find each video once, by its best moment
    min_confidence: float | None = None  # in [0, 1]; None for that of the settings

    def query(self, parse: Callable[[str], ParsedQuery], settings: SearchSettings) -> Query:
        """Build the query; ``parse`` reads the text, as ``SearchEngine.parse`` does.

        Raises:
            QueryError: the request cannot be understood.
        """
        query = parse(self.text).query(
            image=self.image,
            like=self.like,
            filters=self.filters,
            weights=self._all_weights(settings.weights),
            top_k=self.top_k,
            offset=self.offset,
            group_by_video=self.by_video,
        )
        least = settings.min_confidence if self.min_confidence is None else self.min_confidence
        return replace(query, min_confidence=least)

    def named_modalities(self, parse: Callable[[str], ParsedQuery]) -> set[ModalityName]:
        """The modalities that the request or its text names."""
        parsed = parse(self.text)
        return {*parsed.only, *parsed.weights, *self.only, *self.weights}

    def _all_weights(self, settings: Mapping[str, float]) -> dict[ModalityName, float]:
        """The settings' weights, the request's instead, and 0 for what ``only`` leaves out."""
        weights = {name: settings.get(name, 1.0) for name in modality_names()} | dict(self.weights)
        if not self.only:
            return weights
        return {name: (weight or 1.0) if name in self.only else 0.0 for name, weight in weights.items()}


def filters_of(labels: Sequence[str], paths: Sequence[str], conditions: Sequence[str]) -> Filters:
    """The filters that labels, path patterns and conditions such as ``duration<60`` make.

    Raises:
        QueryError: a condition cannot be read.
    """
    return Filters(tuple(labels), tuple(paths), tuple(map(parse_condition, conditions)))


def absent(ranking: Ranking) -> list[ModalityName]:
    """The modalities that the index lacks and the query asks for; none for a query of conditions alone."""
    return [name for name in ranking.missing if ranking.searched and name not in ranking.unsearched]
