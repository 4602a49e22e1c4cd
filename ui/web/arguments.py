"""What strangers send to the endpoints, checked before anything is done with it: they may send any JSON at all."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from indexer.core.errors import QueryError
from indexer.core.types import SPACE_OF_MODALITY, ModalityName
from search.modalities import modality_named

__all__ = [
    "LONGEST_TEXT",
    "kinds_of",
    "labels_of",
    "number_of",
    "share_of",
    "text_of",
    "weights_of",
    "whole_of",
]

LONGEST_TEXT = 500
# Halves of letters, which JSON may hold and no text can be written with.
_UNPAIRED = re.compile("[\ud800-\udfff]")


def text_of(name: str, value: Any) -> str:
    """A text of at most 500 characters that can be written as UTF-8; nothing is an empty one.

    Raises:
        QueryError: it is none.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise QueryError(f"'{name}' is no text.", hint="Give it in quotes.")
    if len(value) > LONGEST_TEXT:
        raise QueryError(f"'{name}' has {len(value)} characters.", hint=f"Give at most {LONGEST_TEXT}.")
    return _UNPAIRED.sub("\N{REPLACEMENT CHARACTER}", value)


def labels_of(label: Any) -> tuple[str, ...]:
    """One label, or none for an empty text.

    Raises:
        QueryError: it is no text.
    """
    named = text_of("label", label)
    return (named,) if named else ()


def kinds_of(kinds: Any) -> tuple[ModalityName, ...]:
    """Kinds of evidence by their names; nothing for all.

    Raises:
        QueryError: they are no list, or one of them is unknown.
    """
    if kinds is None or kinds == "":
        return ()
    if not isinstance(kinds, Sequence) or isinstance(kinds, str) or len(kinds) > len(SPACE_OF_MODALITY):
        raise QueryError("'kinds' is no list of kinds of evidence.", hint='Give it like ["speech", "ocr"].')
    return tuple(modality_named(text_of("kinds", kind)) for kind in kinds)


def weights_of(weights: Any) -> dict[ModalityName, float]:
    """Weights by kinds of evidence.

    Raises:
        QueryError: they are no table, a kind is unknown, or a weight is no number of 0 or more.
    """
    if weights is None:
        return {}
    if not isinstance(weights, Mapping) or len(weights) > len(SPACE_OF_MODALITY):
        raise QueryError("'weights' is no table of weights.", hint='Give it like {"speech": 2, "ocr": 0}.')
    return {
        modality_named(text_of("weights", name)): number_of(f"weights.{name}", one) for name, one in weights.items()
    }


def number_of(name: str, value: Any) -> float:
    """A number of 0 or more; nothing is 0.

    Raises:
        QueryError: it is none.
    """
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e15:
        raise QueryError(f"'{name}' is no number of 0 or more.", hint="Give it without quotes.")
    return float(value)


def share_of(name: str, value: Any) -> float:
    """A number from 0 to 1.

    Raises:
        QueryError: it is none.
    """
    number = number_of(name, value)
    if number > 1:
        raise QueryError(f"'{name}' is {number}.", hint="Give a number from 0 to 1.")
    return number


def whole_of(name: str, value: Any, least: int, most: int) -> int:
    """A whole number from ``least`` to ``most``.

    Raises:
        QueryError: it is none.
    """
    number = number_of(name, value)
    if number != int(number) or not least <= number <= most:
        raise QueryError(f"'{name}' is {value}.", hint=f"Give a whole number from {least} to {most}.")
    return int(number)
