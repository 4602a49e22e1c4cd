"""Which videos a query may find: by label, by path and by facts about them."""

from __future__ import annotations

import math
import operator
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, cast

from indexer.core.errors import QueryError
from indexer.core.text import fold
from indexer.core.types import Facet, Video

Operator: TypeAlias = Literal["=", "!=", "<", "<=", ">", ">="]

BUILT_IN_FACETS = ("label", "title", "path", "duration", "width", "height", "size", "date", "has_audio")
DESCRIPTORS = ("cuts", "cuts_per_minute", "frame_rate", "language", "loudness", "resolution", "speech_ratio")
"""Facts that indexing may find out (``indexer.modalities.video_facts``), depending on what it reads."""

NUMBERS: Mapping[str, str] = MappingProxyType(
    {
        "duration": "duration<60",
        "width": "width>=1280",
        "height": "height>=720",
        "size": "size>1000000",
        "cuts": "cuts>10",
        "cuts_per_minute": "cuts_per_minute>5",
        "frame_rate": "frame_rate>=50",
        "loudness": "loudness>-20",
        "speech_ratio": "speech_ratio>0.5",
    }
)
"""The built-in facets and descriptors that are numbers, and how to compare them."""

_COMPARE: Mapping[Operator, Callable[[Any, Any], bool]] = MappingProxyType(
    {"=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
)
_EQUALITY: tuple[Operator, ...] = ("=", "!=")
_CONDITION = re.compile(r"\s*(?P<name>[^=!<>]*?)\s*(?P<op>!=|<=|>=|==|=|<|>)\s*(?P<value>.*?)\s*", re.DOTALL)
_GLOB_PARTS = re.compile(r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]/]*\]|.", re.DOTALL)
_GLOB_WILDCARDS = MappingProxyType({"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"})
_MOST_STARS = 8  # with more of them, matching one path can take minutes
_DAY = re.compile(r"[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?")
_TRUTH: Mapping[str, bool] = MappingProxyType(
    {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
)


def facets_of(video: Video) -> dict[str, Facet]:
    """What a video can be filtered by, by folded name: built-in facets win over its own, and these over descriptors.

    ``duration`` is in seconds, ``width`` and ``height`` in pixels as displayed, ``size`` in bytes, ``date`` as
    ``date_of`` says.
    """
    built_in: dict[str, Facet] = {
        "label": video.label,
        "title": video.title,
        "path": video.path.as_posix(),
        "duration": video.duration_s,
        "width": video.width,
        "height": video.height,
        "size": video.size,
        "date": date_of(video),
        "has_audio": video.has_audio,
    }
    own = {fold(name): value for facts in (video.descriptors, video.facets) for name, value in facts.items()}
    return own | built_in


def date_of(video: Video) -> str:
    """The day a video's file was last changed, as ``YYYY-MM-DD`` in this computer's time zone; "" if unknown."""
    try:
        return date.fromtimestamp(video.mtime_ns / 1e9).isoformat()
    except (OverflowError, OSError, ValueError):
        return ""


@dataclass(frozen=True, slots=True)
class FacetCondition:
    """One fact a video must have, such as ``duration < 60``.

    Two numbers (or texts that read as numbers) compare as numbers, anything else as text without case and accents.
    A text is never smaller or larger than a number. A video without the fact meets only ``!=``. A ``date`` is compared
    with a whole day, month or year: 31 May 2024 meets ``date<=2024-05`` and ``date=2024``.

    Raises:
        QueryError: the name is empty, the operator unknown, or the value is not the number, date, or yes or no that the
            fact is.
    """

    name: str
    op: Operator
    value: Facet

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise QueryError("A filter does not say which fact it is about.", hint="Write it like duration<60.")
        if self.op not in _COMPARE:
            raise QueryError(f"'{self.op}' compares nothing.", hint=f"Use one of {' '.join(_COMPARE)}.")
        if self._is_about_date and not _is_date(str(self.value).strip()):
            raise QueryError(
                f"'{self.value}' is no date to compare with.", hint="Write it like date>=2024-05 or date=2024-05-31."
            )
        if self._must_be_number and _number(self.value) is None:
            raise QueryError(
                f"'{self.name}{self.op}{self.value}' compares the {self.name} with what is no number.",
                hint=f"Write it like {NUMBERS[fold(self.name)]}.",
            )
        if fold(self.name) == "has_audio" and (_truth(self.value) is None or self.op not in _EQUALITY):
            raise QueryError(
                f"'{self.name}{self.op}{self.value}' asks for something else than yes or no.",
                hint="Write it like has_audio=yes or has_audio=no.",
            )

    def holds(self, facets: Mapping[str, Facet]) -> bool:
        """Whether a video with these facets (as ``facets_of`` gives them) meets the condition."""
        fact = facets.get(fold(self.name))
        if fact is None or (self._is_about_date and not fact):
            return self.op == "!="
        if self._is_about_date:
            wanted = str(self.value).strip()
            return _COMPARE[self.op](str(fact)[: len(wanted)], wanted)
        return _compare(fact, self.op, self.value)

    @property
    def _is_about_date(self) -> bool:
        return fold(self.name) == "date"

    @property
    def _must_be_number(self) -> bool:
        """A video's own facts may have a descriptor's name and be texts, which may be equal or not."""
        name = fold(self.name)
        return name in NUMBERS and (name in BUILT_IN_FACETS or self.op not in _EQUALITY)


@dataclass(frozen=True, slots=True)
class Filters:
    """What a video must be like to be found; an empty field does not restrict.

    Args:
        labels: Any of these labels; case and accents do not matter.
        paths: Any of these glob patterns, without regard to case, matched against the full path (with ``/``), the
            file name, and every trailing part of the path. ``*`` and ``?`` stay within one folder, ``**`` crosses
            folders, and a pattern that ends in ``/``, or the plain name of a folder, means everything below it.
        facets: All of these conditions.
        not_paths: None of these glob patterns.
        within: Compare only the part of a path that ``path_within`` gives for these folders, so that a search reveals
            nothing about the folders above. None: whole paths.
    """

    labels: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    facets: tuple[FacetCondition, ...] = ()
    not_paths: tuple[str, ...] = ()
    within: tuple[PurePath, ...] | None = None

    def __bool__(self) -> bool:
        return bool(self.labels or self.paths or self.facets or self.not_paths)

    def joined(self, other: Filters) -> Filters:
        """Both filters as one: any label or path of both, all conditions of both."""
        return Filters(
            self.labels + other.labels,
            self.paths + other.paths,
            self.facets + other.facets,
            self.not_paths + other.not_paths,
            self.within if other.within is None else other.within,
        )

    def accepts(self, video: Video) -> bool:
        """Whether the video meets all of the filters."""
        path = video.path if self.within is None else path_within(video.path, self.within)
        if self.labels and fold(video.label) not in {fold(wanted) for wanted in self.labels}:
            return False
        if any(matches_path(pattern, path) for pattern in self.not_paths):
            return False
        if self.paths and not any(matches_path(pattern, path) for pattern in self.paths):
            return False
        facets = facets_of(video) | {"path": path.as_posix()} if self.facets else {}
        return all(condition.holds(facets) for condition in self.facets)


def path_within(path: PurePath, roots: Sequence[PurePath]) -> PurePath:
    """The path from the first of the folders it lies in on, beginning with that folder's name; else the file name."""
    root = next((root for root in roots if root != path and path.is_relative_to(root)), None)
    return PurePath(path.name) if root is None else PurePath(root.name, path.relative_to(root))


def parse_condition(text: str) -> FacetCondition:
    """Read ``name=value`` or ``duration<60`` (``= == != < <= > >=``; spaces around are allowed).

    Raises:
        QueryError: the text is no such condition.
    """
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise QueryError(
            f"'{text}' is no condition on a video.", hint="Write it like label=cats, duration<60 or width>=1280."
        )
    op = "=" if found["op"] == "==" else found["op"]
    return FacetCondition(found["name"], cast("Operator", op), found["value"])


def matches_path(pattern: str, path: PurePath) -> bool:
    """Whether a glob pattern covers a path, its file name or a trailing part of it; see ``Filters``."""
    text = _plain(path.as_posix())
    return _is_named(_plain(pattern).removeprefix("./").rstrip("/"), text) or bool(_path_regex(pattern).fullmatch(text))


def _is_named(name: str, text: str) -> bool:
    """Whether this literal name, which may hold brackets, is that of the file or of a folder it lies in."""
    if name.startswith("/"):
        return f"{text}/".startswith(f"{name}/")
    return bool(name) and f"/{name}/" in f"/{text}/"


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


@lru_cache(maxsize=256)
def _path_regex(pattern: str) -> re.Pattern[str]:
    folded = re.sub(r"\*{3,}", "**", _plain(pattern).removeprefix("./"))
    if folded.count("*") > _MOST_STARS:
        raise QueryError(f"The path pattern '{pattern}' has too many stars.", hint=f"Use at most {_MOST_STARS}.")
    below = folded + "**" if folded.endswith("/") else folded
    anywhere = "" if below.startswith("/") else "(?:.*/)?"
    try:
        return re.compile(anywhere + "".join(map(_glob_part, _GLOB_PARTS.findall(below))), re.DOTALL)
    except re.error as error:
        raise QueryError(
            f"The path pattern '{pattern}' cannot be read ({error}).",
            hint="Write a range from low to high, like [a-z].",
        ) from error


def _glob_part(part: str) -> str:
    if part in _GLOB_WILDCARDS:
        return _GLOB_WILDCARDS[part]
    if len(part) <= 2 or not part.startswith("["):
        return re.escape(part)
    negation = "^" if part[1] == "!" else ""
    letters = re.sub(r"([\\\[\]^&~|])", r"\\\1", part[1:-1].removeprefix("!"))
    return f"(?!/)[{negation}{letters}]"


def _compare(fact: Facet, op: Operator, wanted: Facet) -> bool:
    if isinstance(fact, bool):
        truth = _truth(wanted)
        return op == "!=" if truth is None or op not in _EQUALITY else _COMPARE[op](fact, truth)
    numbers = _number(fact), _number(wanted)
    if None not in numbers:
        return _COMPARE[op](*numbers)
    if numbers != (None, None) and op not in _EQUALITY:
        return False
    return _COMPARE[op](fold(str(fact)), fold(str(wanted)))


def _truth(value: Facet) -> bool | None:
    return _TRUTH.get(fold(str(value)))


def _is_date(text: str) -> bool:
    """Whether a text is a year, a month or a day of the calendar."""
    if _DAY.fullmatch(text) is None:
        return False
    try:
        date.fromisoformat(text + "-01-01"[len(text) - 4 :])
    except ValueError:
        return False
    return True


def _number(value: Facet) -> float | None:
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
