"""What a visitor has asked for, as controls show it and as the address of the page keeps it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date
from pathlib import PurePath
from typing import Any, Literal, TypeAlias
from urllib.parse import parse_qsl, urlencode

from indexer.core.errors import QueryError
from indexer.core.types import SPACE_OF_MODALITY, Image, ModalityName
from search.query.filters import FacetCondition, Filters
from search.query.query import Query, is_visible
from search.query.syntax import ParsedQuery

__all__ = ["LONGEST_TEXT", "MOST_SORTED", "PAGE_SIZE", "SearchForm", "Sort"]

Sort: TypeAlias = Literal["relevance", "time"]

PAGE_SIZE = 12
MOST_SORTED = 200
"""So many of the best moments are put in the order of time."""
LONGEST_TEXT = 500
_MOST_FIELDS = 100
_MOST_PAGES = 200


@dataclass(frozen=True, slots=True)
class SearchForm:
    """One state of the search page.

    Args:
        text: As typed, with the syntax of ``search.query.syntax``.
        like: A moment to find more like, as ``(video id, second)``.
        picture: The name of a picture to find what looks like it (``ui.web.picture_cache``).
        labels: Only videos with one of these labels.
        folder: Only videos below this folder.
        kinds: Only these kinds of evidence; all if empty.
        longer_s: Only videos that last at least so long; 0 for any.
        shorter_s: Only videos that last at most so long; 0 for any.
        since: Only files changed on this day or later, as ``YYYY-MM-DD``; empty for any.
        until: Only files changed on this day or before.
        weights: How much a kind of evidence counts, where that is not 1.
        sort: Best first, or in the order of time.
        by_video: Show each video once.
        unlikely: Show also moments that are probably no answer.
        page: From 1.
    """

    text: str = ""
    like: tuple[str, float] | None = None
    picture: str = ""
    labels: tuple[str, ...] = ()
    folder: str = ""
    kinds: tuple[ModalityName, ...] = ()
    longer_s: float = 0.0
    shorter_s: float = 0.0
    since: str = ""
    until: str = ""
    weights: Mapping[ModalityName, float] = field(default_factory=dict)
    sort: Sort = "relevance"
    by_video: bool = False
    unlikely: bool = False
    page: int = 1

    @property
    def is_empty(self) -> bool:
        """Whether nothing is asked for yet: neither words nor a moment nor any condition."""
        nothing = SearchForm()
        asked = ("like", "picture", "labels", "folder", "longer_s", "shorter_s", "since", "until")
        return not is_visible(self.text) and all(getattr(self, name) == getattr(nothing, name) for name in asked)

    @classmethod
    def from_address(cls, address: str) -> SearchForm:
        """The form that an address (its part after the ``?``) describes; what cannot be read is left out."""
        form = cls()
        try:
            pairs = parse_qsl(address.removeprefix("?"), max_num_fields=_MOST_FIELDS)
        except ValueError:
            return form
        for name, value in pairs:
            if read := _READERS.get(name):
                form = read(form, value[:LONGEST_TEXT])
        return form

    def to_address(self) -> str:
        """The part of an address after the ``?`` that leads back to this form; empty for an empty form."""
        pairs = [pair for name, write in _WRITERS.items() for pair in write(name, self)]
        return urlencode(pairs)

    def on_page(self, page: int) -> SearchForm:
        """The same search, another page of it."""
        return replace(self, page=page)

    def query(
        self,
        parse: Callable[[str], ParsedQuery],
        usual: Mapping[ModalityName, float],
        *,
        min_confidence: float,
        image: Image | None = None,
        within: Sequence[PurePath] | None = None,
    ) -> Query:
        """The query to search for.

        Args:
            parse: Reads what was typed, as ``SearchEngine.parse``.
            usual: The weights that the settings give.
            min_confidence: How likely a moment must be an answer, unless unlikely ones are wanted.
            image: A picture to look for instead of words.
            within: The folders whose insides are all that whoever asks may know of a path; None for whole paths.

        Raises:
            QueryError: the form cannot be understood.
        """
        in_time = self.sort == "time"
        query = parse(self.text).query(
            image=image,
            like=self.like,
            filters=self._filters(within),
            weights=self._weights(usual),
            top_k=MOST_SORTED if in_time else PAGE_SIZE,
            offset=0 if in_time else (self.page - 1) * PAGE_SIZE,
            group_by_video=self.by_video,
        )
        return replace(query, min_confidence=0.0 if self.unlikely else min_confidence)

    def _filters(self, within: Sequence[PurePath] | None) -> Filters:
        paths = (self.folder,) if self.folder else ()
        return Filters(self.labels, paths, tuple(self._conditions()), within=None if within is None else tuple(within))

    def _conditions(self) -> Sequence[FacetCondition]:
        bounds = (
            FacetCondition("duration", ">=", self.longer_s) if self.longer_s else None,
            FacetCondition("duration", "<=", self.shorter_s) if self.shorter_s else None,
            FacetCondition("date", ">=", _day(self.since)) if self.since else None,
            FacetCondition("date", "<=", _day(self.until)) if self.until else None,
        )
        return [bound for bound in bounds if bound is not None]

    def _weights(self, usual: Mapping[ModalityName, float]) -> dict[ModalityName, float]:
        weights = {**dict.fromkeys(SPACE_OF_MODALITY, 1.0), **usual, **self.weights}
        if not self.kinds:
            return weights
        return {name: (weight or 1.0) if name in self.kinds else 0.0 for name, weight in weights.items()}


def _day(text: str) -> str:
    if not _is_day(text.strip()):
        raise QueryError(f"'{text}' is no day.", hint="Write it as 2024-05-31, or only the year or the month.")
    return text.strip()


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text + "2000-01-01"[len(text) :])
    except ValueError:
        return False
    return re.fullmatch(r"\d{4}(-\d{2}(-\d{2})?)?", text) is not None


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        return 0.0
    return number if 0 <= number < 1e9 else 0.0


def _plain_number(number: float) -> str:
    return f"{number:.3f}".rstrip("0").rstrip(".")


def _kinds(text: str) -> tuple[ModalityName, ...]:
    asked = text.split(",")
    return tuple(name for name in SPACE_OF_MODALITY if name in asked)


def _like(text: str) -> tuple[str, float] | None:
    video, _, second = text.rpartition("@")
    return (video, _number(second)) if video else None


def _weighted(text: str) -> dict[ModalityName, float]:
    pairs = (part.partition(":") for part in text.split(","))
    return {name: _number(weight) for name, _, weight in pairs if name in SPACE_OF_MODALITY}


_READERS: Mapping[str, Callable[[SearchForm, str], SearchForm]] = {
    "q": lambda form, value: replace(form, text=value),
    "like": lambda form, value: replace(form, like=_like(value)),
    "picture": lambda form, value: replace(form, picture=value),
    "label": lambda form, value: replace(form, labels=(*form.labels, value)),
    "folder": lambda form, value: replace(form, folder=value),
    "in": lambda form, value: replace(form, kinds=_kinds(value)),
    "longer": lambda form, value: replace(form, longer_s=_number(value)),
    "shorter": lambda form, value: replace(form, shorter_s=_number(value)),
    "since": lambda form, value: replace(form, since=value),
    "until": lambda form, value: replace(form, until=value),
    "weigh": lambda form, value: replace(form, weights=_weighted(value)),
    "sort": lambda form, value: replace(form, sort="time" if value == "time" else "relevance"),
    "videos": lambda form, value: replace(form, by_video=value == "1"),
    "unlikely": lambda form, value: replace(form, unlikely=value == "1"),
    # Not "page": Gradio takes that for one of its own.
    "p": lambda form, value: replace(form, page=min(max(1, int(_number(value))), _MOST_PAGES)),
}


def _text_of(name: str) -> Callable[[str, SearchForm], list[tuple[str, str]]]:
    """Writes a field that is a text, a number or a truth, unless it is as in an empty form."""

    def write(key: str, form: SearchForm) -> list[tuple[str, str]]:
        value: Any = getattr(form, name)
        if value == _EMPTY[name]:
            return []
        shown = "1" if value is True else _plain_number(value) if isinstance(value, float) else str(value)
        return [(key, shown)]

    return write


def _write_like(key: str, form: SearchForm) -> list[tuple[str, str]]:
    return [(key, f"{form.like[0]}@{_plain_number(form.like[1])}")] if form.like else []


def _write_weights(key: str, form: SearchForm) -> list[tuple[str, str]]:
    text = ",".join(f"{name}:{_plain_number(weight)}" for name, weight in form.weights.items())
    return [(key, text)] if text else []


_EMPTY = {each.name: getattr(SearchForm(), each.name) for each in fields(SearchForm)}
_WRITERS: Mapping[str, Callable[[str, SearchForm], list[tuple[str, str]]]] = {
    "q": _text_of("text"),
    "like": _write_like,
    "picture": _text_of("picture"),
    "label": lambda key, form: [(key, label) for label in form.labels],
    "folder": _text_of("folder"),
    "in": lambda key, form: [(key, ",".join(form.kinds))] if form.kinds else [],
    "longer": _text_of("longer_s"),
    "shorter": _text_of("shorter_s"),
    "since": _text_of("since"),
    "until": _text_of("until"),
    "weigh": _write_weights,
    "sort": _text_of("sort"),
    "videos": _text_of("by_video"),
    "unlikely": _text_of("unlikely"),
    "p": _text_of("page"),
}
