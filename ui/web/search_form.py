"""What a visitor asks for, as the controls show it and as the address of the page keeps it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any, Literal, NamedTuple, TypeAlias
from urllib.parse import parse_qsl, urlencode

from indexer.core.types import Facet, Image, ModalityName
from indexer.modalities.registry import modality_names
from search.query.filters import FacetCondition, Filters, Operator
from search.query.query import is_visible
from ui.services.search import SearchRequest

Sort: TypeAlias = Literal["relevance", "time"]

PAGE_SIZE = 12
MOST_SORTED = 200
"""How many of the best moments are put in the order of time."""
LONGEST_TEXT = 500
_MOST_FIELDS = 100
_MOST_PAGES = 200


@dataclass(frozen=True, slots=True)
class SearchForm:
    """One state of the search page."""

    text: str = ""  # as typed, with the syntax of ``search.query.syntax``
    like: tuple[str, float] | None = None  # a moment to find more like, as (video id, second)
    picture: str = ""  # the name of a picture to find what looks like it (``ui.web.picture_cache``)
    labels: tuple[str, ...] = ()  # only videos with one of these
    folder: str = ""  # only videos below this folder
    kinds: tuple[ModalityName, ...] = ()  # only these kinds of evidence; all if empty
    longer_s: float = 0.0  # only videos that last at least so long
    shorter_s: float = 0.0  # only videos that last at most so long; 0 for any
    since: str = ""  # only files changed on this day or later, as YYYY-MM-DD
    until: str = ""  # only files changed on this day or before
    weights: Mapping[ModalityName, float] = field(default_factory=dict)  # where a kind of evidence does not count 1
    sort: Sort = "relevance"
    by_video: bool = False  # show each video once
    unlikely: bool = False  # show also moments that are probably no answer
    page: int = 1

    @property
    def is_empty(self) -> bool:
        """Whether nothing is asked for yet: neither words nor a moment nor any condition."""
        videos = (self.labels, self.folder, self.longer_s, self.shorter_s, self.since, self.until)
        return not is_visible(self.text) and not any((self.like, self.picture, *videos))

    @classmethod
    def from_address(cls, address: str) -> SearchForm:
        """The form that an address (its part after the ``?``) describes; what cannot be read is left out."""
        try:
            pairs = parse_qsl(address.removeprefix("?"), max_num_fields=_MOST_FIELDS)
        except ValueError:
            return cls()
        values: dict[str, Any] = {}
        for key, text in pairs:
            if part := _PARTS.get(key):
                value = part.read(text[:LONGEST_TEXT])
                values[part.name] = (*values.get("labels", ()), value) if key == "label" else value
        return cls(**values)

    def to_address(self) -> str:
        """The part of an address after the ``?`` that leads back to this form; empty for an empty form."""
        pairs = []
        for key, part in _PARTS.items():
            value = getattr(self, part.name)
            if value != getattr(_EMPTY, part.name):
                pairs += [(key, part.write(one)) for one in (value if key == "label" else (value,))]
        return urlencode(pairs)

    def on_page(self, page: int) -> SearchForm:
        """The same search, another page of it."""
        return replace(self, page=page)

    def request(self, *, image: Image | None = None, within: Sequence[PurePath] | None = None) -> SearchRequest:
        """What to search for.

        Args:
            image: A picture to look for instead of words.
            within: The indexed folders, if the visitor may not know more of a path than lies in them.

        Raises:
            QueryError: a day cannot be read.
        """
        in_time = self.sort == "time"
        paths = (self.folder,) if self.folder else ()
        return SearchRequest(
            text=self.text,
            image=image,
            like=self.like,
            filters=Filters(self.labels, paths, self._conditions(), within=None if within is None else tuple(within)),
            weights=self.weights,
            only=self.kinds,
            top_k=MOST_SORTED if in_time else PAGE_SIZE,
            offset=0 if in_time else (self.page - 1) * PAGE_SIZE,
            by_video=self.by_video,
            min_confidence=0.0 if self.unlikely else None,
        )

    def _conditions(self) -> tuple[FacetCondition, ...]:
        bounds: tuple[tuple[str, Operator, Facet], ...] = (
            ("duration", ">=", self.longer_s),
            ("duration", "<=", self.shorter_s),
            ("date", ">=", self.since),
            ("date", "<=", self.until),
        )
        return tuple(FacetCondition(name, op, value) for name, op, value in bounds if value)


class _Part(NamedTuple):
    """One field of the form, and how it is read from an address and written into one."""

    name: str
    read: Callable[[str], Any] = str
    write: Callable[[Any], str] = str


def _read_number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        return 0.0
    return number if 0 <= number < 1e9 else 0.0


def _write_number(number: float) -> str:
    return f"{number:.3f}".rstrip("0").rstrip(".")


def _read_like(text: str) -> tuple[str, float] | None:
    video, _, second = text.rpartition("@")
    return (video, _read_number(second)) if video else None


def _read_kinds(text: str) -> tuple[ModalityName, ...]:
    asked = text.split(",")
    return tuple(name for name in modality_names() if name in asked)


def _read_weights(text: str) -> dict[ModalityName, float]:
    pairs = (part.partition(":") for part in text.split(","))
    return {name: _read_number(weight) for name, _, weight in pairs if name in modality_names()}


def _write_weights(weights: Mapping[ModalityName, float]) -> str:
    return ",".join(f"{name}:{_write_number(weight)}" for name, weight in weights.items())


_EMPTY = SearchForm()
_PARTS: Mapping[str, _Part] = {
    "q": _Part("text"),
    "like": _Part("like", _read_like, lambda like: f"{like[0]}@{_write_number(like[1])}"),
    "picture": _Part("picture"),
    "label": _Part("labels"),  # once for each label
    "folder": _Part("folder"),
    "in": _Part("kinds", _read_kinds, ",".join),
    "longer": _Part("longer_s", _read_number, _write_number),
    "shorter": _Part("shorter_s", _read_number, _write_number),
    "since": _Part("since"),
    "until": _Part("until"),
    "weigh": _Part("weights", _read_weights, _write_weights),
    "sort": _Part("sort", lambda text: "time" if text == "time" else "relevance"),
    "videos": _Part("by_video", lambda text: text == "1", lambda flag: str(int(flag))),
    "unlikely": _Part("unlikely", lambda text: text == "1", lambda flag: str(int(flag))),
    # Not "page", which Gradio takes for its own.
    "p": _Part("page", lambda text: min(max(1, int(_read_number(text))), _MOST_PAGES)),
}
