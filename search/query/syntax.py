"""The search syntax: a query as people type it.

===========================  ==============================================================================
red car                      what to find
"exact phrase"               must be said or written, word for word
-word  -"two words"          must be neither said nor written nor seen, nor be the title or label
label:diving  width>=1280    a fact about the video: any known to the index, with : = != < <= > >=
path:holiday/  -label:cats   in this folder; not with this label
objects:bus>=2  -objects:bus at least two buses in one picture; none in any
only:speech, ocr             look nowhere else; with conditions alone, list what is found there
weight:ocr=2                 let this count twice
===========================  ==============================================================================

Everything else is text and stays as typed: "Spider-Man: no way home", "3 < 4 apples", "12:30", "http://x". A condition
begins at the start of a word with a known name, and its value follows without a space (or in quotes); a phrase begins
and ends where words do; a negated word begins with a letter.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from types import MappingProxyType
from typing import cast

from indexer.core.errors import QueryError
from indexer.core.text import fold, squeezed
from indexer.core.types import Image, ModalityName
from indexer.modalities.registry import modality_names
from search.modalities import modality_named
from search.query.filters import BUILT_IN_FACETS, DESCRIPTORS, NUMBERS, FacetCondition, Filters, Operator
from search.query.query import ObjectCondition, Query

_QUOTED = r'"[^"]*"|“[^”]*”|„[^“”]*[“”]|«[^»]*»'
_OPERATOR = r":?(?:!=|<=|>=|==|=|<|>)|:"
_COUNT = re.compile(r"(?P<op>>=|<=|==|=|<|>)(?P<number>[0-9]{1,6})")
_OPPOSITE: Mapping[Operator, Operator] = MappingProxyType(
    {"=": "!=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
)


@dataclass(frozen=True, slots=True)
class ParsedQuery:
    """A typed query, taken apart; the fields are as in ``Query``.

    ``text`` is everything but the conditions, with phrases but without their quotes. ``only`` are the modalities to
    look in; all if empty.
    """

    text: str
    phrases: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    objects: tuple[ObjectCondition, ...] = ()
    filters: Filters = field(default_factory=Filters)
    weights: Mapping[ModalityName, float] = field(default_factory=dict)
    only: tuple[ModalityName, ...] = ()

    def query(
        self,
        *,
        image: Image | None = None,
        like: tuple[str, float] | None = None,
        filters: Filters = Filters(),  # noqa: B008
        weights: Mapping[ModalityName, float] = MappingProxyType({}),
        top_k: int = 10,
        offset: int = 0,
        group_by_video: bool = False,
    ) -> Query:
        """The query, with what was given besides the typed text, such as filters of a form.

        With a picture or a moment, phrases are conditions only and not also the text to look for.

        Raises:
            QueryError: the query is empty, or asks for several things at once.
        """
        is_by_example = image is not None or like is not None
        return Query(
            text="" if is_by_example and self.text == " ".join(self.phrases) else self.text,
            image=image,
            like=like,
            filters=filters.joined(self.filters),
            weights=self._weights(weights),
            top_k=top_k,
            offset=offset,
            group_by_video=group_by_video,
            phrases=self.phrases,
            without=self.without,
            objects=self.objects,
        )

    def _weights(self, given: Mapping[ModalityName, float]) -> Mapping[ModalityName, float]:
        """Typed weights override given ones."""
        weights = {**given, **self.weights}
        if not self.only:
            return weights
        return {name: (weights.get(name) or 1.0) if name in self.only else 0.0 for name in modality_names()}


def parse_query(text: str, facet_names: Collection[str] = ()) -> ParsedQuery:
    """Read what a person typed, normalised to NFC.

    ``facet_names`` are the folded names of further facts that videos can be filtered by (``Catalogue.facet_names``).

    Raises:
        QueryError: a part reads as a condition and is not valid, such as an unknown modality or a missing number.
    """
    whole = unicodedata.normalize("NFC", text)
    query = ParsedQuery(whole)
    pieces: list[str] = []
    end = 0
    for part in _part_pattern(modality_names()).finditer(whole):
        read = _read(part, query, frozenset(facet_names))
        if read is not None:
            query, kept = read
            pieces += [whole[end : part.start()], kept]
            end = part.end()
    pieces.append(whole[end:])
    return replace(query, text=" ".join(piece.strip() for piece in pieces if piece.strip())) if end else query


def _read(part: re.Match[str], query: ParsedQuery, facet_names: Collection[str]) -> tuple[ParsedQuery, str] | None:
    """The query with one more part in it, and the text of that part to look for; None if the part is plain text."""
    negated = part["minus"] == "-"
    changed = None
    if part["phrase"]:
        return _with_phrase(query, part["phrase"][1:-1].strip(), negated)
    if part["kinds"]:
        changed = _with_only(query, part["kinds"], negated)
    elif part["objects"]:
        changed = _with_objects(query, _unquoted(part["kind"]), part["number"], negated)
    elif part["name"]:
        changed = _with_condition(query, part, facet_names)
    if changed is None and negated:
        changed = _without(query, part[0][1:].rstrip(",;.:!?)"))
    return None if changed is None else (changed, "")


def _with_phrase(query: ParsedQuery, phrase: str, negated: bool) -> tuple[ParsedQuery, str] | None:
    if not squeezed(phrase):
        return None
    if negated:
        return replace(query, without=(*query.without, phrase)), ""
    return replace(query, phrases=(*query.phrases, phrase)), phrase


def _without(query: ParsedQuery, word: str) -> ParsedQuery | None:
    is_dashed = word.endswith(("-", "–", "—"))  # "rock -n- roll"
    return None if is_dashed or not squeezed(word) else replace(query, without=(*query.without, word))


def _with_condition(query: ParsedQuery, part: re.Match[str], facet_names: Collection[str]) -> ParsedQuery | None:
    """The query with a condition such as ``name:value`` in it, None if the name is not known."""
    name, negated = fold(part["name"]), part["minus"] == "-"
    op = part["op"].removeprefix(":") or ":"
    value = _unquoted(part["value"])
    if op == ":" and name == "objects":
        return _with_objects(query, value, "", negated)
    if op == ":" and name == "only":
        return _with_only(query, value, negated)
    if op == ":" and name == "weight" and "=" in value:
        return _with_weight(query, value, negated)
    if name in (*BUILT_IN_FACETS, *DESCRIPTORS, *facet_names):
        return replace(query, filters=_filtered(query.filters, name, op, value, negated))
    return None


def _with_objects(query: ParsedQuery, value: str, number: str, negated: bool) -> ParsedQuery:
    """``value`` is the label, which may have the number in it unless it was in quotes."""
    label = re.match(r"[^!<>=]*", value)[0]  # type: ignore[index]  # matches anything
    count = value[len(label) :] + number
    comparison = _COUNT.fullmatch(count or ">=1")
    if comparison is None:
        raise QueryError(f"'{count}' is no number of objects.", hint="Write it like objects:bus>=2.")
    least, most = _range(comparison["op"], int(comparison["number"]))
    is_none = most == 0
    condition = ObjectCondition(label, max(least, 1), None if is_none else most, negated != is_none)
    return replace(query, objects=(*query.objects, condition))


def _range(op: str, number: int) -> tuple[int, int | None]:
    at_least: dict[str, tuple[int, int | None]] = {">=": (number, None), ">": (number + 1, None)}
    at_most = {"<=": (0, number), "<": (0, max(number - 1, 0))}
    return {**at_least, **at_most}.get(op, (number, number))


def _with_only(query: ParsedQuery, value: str, negated: bool) -> ParsedQuery | None:
    named = tuple(modality_named(name.strip()) for name in value.split(",") if name.strip())
    if not named:
        return None
    if negated:
        return replace(query, weights={**query.weights, **dict.fromkeys(named, 0.0)})
    return replace(query, only=(*query.only, *named))


def _with_weight(query: ParsedQuery, value: str, negated: bool) -> ParsedQuery:
    name, _, number = value.partition("=")
    modality = modality_named(name)
    if negated or not re.fullmatch(r"\d+(\.\d*)?|\.\d+", number):
        raise QueryError(f"'weight:{value}' is no weight.", hint="Write it like weight:ocr=2, with 0 to leave it out.")
    return replace(query, weights={**query.weights, modality: float(number)})


def _filtered(filters: Filters, name: str, op: str, value: str, negated: bool) -> Filters:
    comparison = cast("Operator", "=" if op in (":", "==") else op)
    if negated:
        comparison = _OPPOSITE[comparison]
    if name == "path" and comparison in ("=", "!="):
        if comparison == "=":
            return replace(filters, paths=(*filters.paths, value))
        return replace(filters, not_paths=(*filters.not_paths, value))
    if name == "label" and comparison == "=":
        return replace(filters, labels=(*filters.labels, value))
    _check_number(name, op, value)
    return replace(filters, facets=(*filters.facets, FacetCondition(name, comparison, value)))


def _check_number(name: str, op: str, value: str) -> None:
    is_text_of_its_own = name not in BUILT_IN_FACETS and op in (":", "=", "==", "!=")
    if name in NUMBERS and not is_text_of_its_own and not re.fullmatch(r"-?(\d+(\.\d*)?|\.\d+)", value):
        raise QueryError(
            f"'{name}{op}{value}' compares the {name} with what is no number.",
            hint=f"Write it like {NUMBERS[name]}, or put a space after '{name}' to look for these words.",
        )


def _unquoted(value: str) -> str:
    """The value without its quotes, or without the comma after it."""
    return value[1:-1].strip() if re.fullmatch(_QUOTED, value) else value.rstrip(",;") or value


@cache
def _part_pattern(names: tuple[ModalityName, ...]) -> re.Pattern[str]:
    kind = "|".join(names)
    return re.compile(
        rf"""(?<!\S)(?P<minus>-?)(?:
            (?i:only:)(?P<kinds>(?i:{kind})(?:\s*,\s*(?i:{kind}))+)(?:,(?!\S)|(?!\S))
            |(?P<name>[^\W\d][^\s:=!<>"]*)(?P<op>{_OPERATOR})(?P<value>(?:{_QUOTED})(?!\S)|[^\s"“„«]\S*)
            |(?P<objects>objects:)(?P<kind>{_QUOTED})(?P<number>\S*)
            |(?P<phrase>{_QUOTED})(?!\w)
            |(?P<word>[^\W\d_]\S*)
        )""",
        re.VERBOSE,
    )
