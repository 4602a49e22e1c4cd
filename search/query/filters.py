"""Which videos a query may find: by label, by path and by the facts known about them."""

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
from typing import Any, Literal, TypeAlias, cast, get_args

from indexer.core.errors import QueryError
from indexer.core.text import fold
from indexer.core.types import Facet, Video

__all__ = [
    "BUILT_IN_FACETS",
    "DESCRIPTORS",
    "NUMBERS",
    "FacetCondition",
    "Filters",
    "Operator",
    "date_of",
    "facets_of",
    "matches_path",
    "parse_condition",
    "path_within",
]

Operator: TypeAlias = Literal["=", "!=", "<", "<=", ">", ">="]

BUILT_IN_FACETS = ("label", "title", "path", "duration", "width", "height", "size", "date", "has_audio")
DESCRIPTORS = ("cuts", "cuts_per_minute", "frame_rate", "language", "loudness", "resolution", "speech_ratio")
"""Facts that indexing may find out (``video_facts``); which of them are known depends on what it did."""

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

_OPERATORS: tuple[Operator, ...] = get_args(Operator)
_EQUALITY: tuple[Operator, ...] = ("=", "!=")
_COMPARE: Mapping[Operator, Callable[[Any, Any], bool]] = MappingProxyType(
    {
        "=": operator.eq,
        "!=": operator.ne,
        "<": operator.lt,
        "<=": operator.le,
        ">": operator.gt,
        ">=": operator.ge,
    }
)
_CONDITION = re.compile(r"\s*(?P<name>[^=!<>]*?)\s*(?P<op>!=|<=|>=|==|=|<|>)\s*(?P<value>.*?)\s*", re.DOTALL)
_DAY = re.compile(r"[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?")
_TRUTH: Mapping[str, bool] = MappingProxyType(
    {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
)


def facets_of(video: Video) -> dict[str, Facet]:
    """What a video can be filtered by, names folded: built-in facets win over its own, and these over descriptors.

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
    """The day a video's file was last changed, as ``YYYY-MM-DD`` in this computer's time zone; "" if it is unknown."""
    try:
        return date.fromtimestamp(video.mtime_ns / 1e9).isoformat()
    except (OverflowError, OSError, ValueError):
        return ""


@dataclass(frozen=True, slots=True)
class FacetCondition:
    """One fact a video must have, such as ``duration < 60``.

    Two numbers (or texts that read as numbers) compare as numbers, anything else as text without case and accents.
    A text is never smaller or larger than a number. A video without the fact meets only ``!=``. A ``date`` is compared
    with a day, a month or a year as a whole: 31 May 2024 meets ``date<=2024-05`` and ``date=2024``.

    Raises:
        QueryError: the name is empty, the operator unknown, or a number, a date or a yes or no is compared with what is
            none.
    """

    name: str
    op: Operator
    value: Facet

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise QueryError("A filter does not say which fact it is about.", hint="Write it like duration<60.")
        if self.op not in _OPERATORS:
            raise QueryError(f"'{self.op}' compares nothing.", hint=f"Use one of {' '.join(_OPERATORS)}.")
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
        """A video's own facts may have a descriptor's name and be texts; one asks for them as they are."""
        name = fold(self.name)
        return name in NUMBERS and (name in BUILT_IN_FACETS or self.op not in _EQUALITY)


@dataclass(frozen=True, slots=True)
class Filters:
    """What a video must be like to be found; what is left empty does not restrict.

    Args:
        labels: Any of these labels; case and accents do not matter.
        paths: Any of these glob patterns, without regard to case, matched against the full path (with ``/``), the
            file name, and every trailing part of the path. ``*`` and ``?`` stay within one folder, ``**`` crosses
            folders, and a pattern that ends in ``/`` means everything below.
            The plain name of a folder means all below it.
        facets: All of these conditions.
        not_paths: None of these patterns.
        within: Take of paths only what lies in these folders, from their own names on, as ``path_within`` does: for
            whoever may not know more of them. None: whole paths.
    """

    labels: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    facets: tuple[FacetCondition, ...] = ()
    not_paths: tuple[str, ...] = ()
    within: tuple[PurePath, ...] | None = None

    def __bool__(self) -> bool:
        return bool(self.labels or self.paths or self.facets or self.not_paths)

    def joined(self, other: Filters) -> Filters:
        """What either asks for: any label or path of both, all conditions of both."""
        return Filters(
            self.labels + other.labels,
            self.paths + other.paths,
            self.facets + other.facets,
            self.not_paths + other.not_paths,
            self.within if other.within is None else other.within,
        )

    def accepts(self, video: Video) -> bool:
        """Whether the video meets all that is asked."""
        return (
            self._accepts_label(video.label)
            and self._accepts_path(self._seen(video.path))
            and self._accepts_facets(video)
        )

    def _accepts_label(self, label: str) -> bool:
        return not self.labels or fold(label) in {fold(wanted) for wanted in self.labels}

    def _seen(self, path: PurePath) -> PurePath:
        return path if self.within is None else path_within(path, self.within)

    def _accepts_path(self, path: PurePath) -> bool:
        if any(matches_path(pattern, path) for pattern in self.not_paths):
            return False
        return not self.paths or any(matches_path(pattern, path) for pattern in self.paths)

    def _accepts_facets(self, video: Video) -> bool:
        if not self.facets:
            return True
        facets = facets_of(video) | {"path": self._seen(video.path).as_posix()}
        return all(condition.holds(facets) for condition in self.facets)


def path_within(path: PurePath, roots: Sequence[PurePath]) -> PurePath:
    """What lies in one of the folders, from its own name on; of a file in none of them its name."""
    root = next((root for root in roots if root != path and path.is_relative_to(root)), None)
    return PurePath(path.name) if root is None else PurePath(root.name, path.relative_to(root))


def parse_condition(text: str) -> FacetCondition:
    """Read ``name=value`` or ``duration<60`` (``= == != < <= > >=``; spaces around are allowed).

    Raises:
        QueryError: it is no such condition.
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
    return _names(_plain(pattern).removeprefix("./").rstrip("/"), text) or bool(_path_pattern(pattern).fullmatch(text))


def _names(named: str, text: str) -> bool:
    """Whether a name, taken as it is, also if it holds brackets, is that of the file or of a folder it lies in."""
    if named.startswith("/"):
        return f"{text}/".startswith(f"{named}/")
    return bool(named) and f"/{named}/" in f"/{text}/"


_MOST_STARS = 8
"""More of them can take the matcher minutes for one path."""


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


@lru_cache(maxsize=256)
def _path_pattern(pattern: str) -> re.Pattern[str]:
    folded = re.sub(r"\*{3,}", "**", _plain(pattern).removeprefix("./"))
    if folded.count("*") > _MOST_STARS:
        raise QueryError(f"The path pattern '{pattern}' has too many stars.", hint=f"Use at most {_MOST_STARS}.")
    below = folded + "**" if folded.endswith("/") else folded
    anywhere = "" if below.startswith("/") else "(?:.*/)?"
    try:
        return re.compile(anywhere + "".join(_glob_part(part) for part in _glob_parts(below)), re.DOTALL)
    except re.error as error:
        raise QueryError(
            f"The path pattern '{pattern}' cannot be read ({error}).",
            hint="Write a range from low to high, like [a-z].",
        ) from error


def _glob_parts(pattern: str) -> list[str]:
    return re.findall(r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]/]*\]|.", pattern, re.DOTALL)


def _glob_part(part: str) -> str:
    wildcards = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    if part in wildcards:
        return wildcards[part]
    if len(part) > 2 and part.startswith("["):
        return _glob_choice(part[1:-1])
    return re.escape(part)


def _glob_choice(letters: str) -> str:
    negated = letters.startswith("!")
    escaped = re.sub(r"([\\\[\]^&~|])", r"\\\1", letters.removeprefix("!"))
    return f"(?!/)[{'^' if negated else ''}{escaped}]"


def _compare(fact: Facet, op: Operator, wanted: Facet) -> bool:
    numbers = _number(fact), _number(wanted)
    if isinstance(fact, bool):
        return _compare_truth(fact, op, wanted)
    if None not in numbers:
        return _COMPARE[op](*numbers)
    if numbers != (None, None) and op not in _EQUALITY:
        return False
    return _COMPARE[op](fold(str(fact)), fold(str(wanted)))


def _compare_truth(fact: bool, op: Operator, wanted: Facet) -> bool:
    truth = _truth(wanted)
    if truth is None or op not in _EQUALITY:
        return op == "!="
    return _COMPARE[op](fact, truth)


def _truth(value: Facet) -> bool | None:
    return _TRUTH.get(fold(str(value)))


def _is_date(text: str) -> bool:
    """Whether it is a year, a month or a day of the calendar."""
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
