"""Checks what programs send to the endpoints, which may be any JSON at all. Every function takes None for nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from indexer.core.errors import QueryError
from indexer.core.types import ModalityName
from indexer.modalities.registry import modality_names
from search.modalities import modality_named
from ui.web.search_form import LONGEST_TEXT

_SURROGATES = re.compile("[\ud800-\udfff]")


def valid_text(text: str) -> str:
    """The text without lone surrogates, which JSON and file names may hold and UTF-8 may not."""
    return _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text)


def text_of(name: str, value: Any) -> str:
    """A text of at most 500 characters that can be written as UTF-8.

    Raises:
        QueryError: it is something else.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise QueryError(f"'{name}' is no text.", hint="Give it in quotes.")
    if len(value) > LONGEST_TEXT:
        raise QueryError(f"'{name}' has {len(value)} characters.", hint=f"Give at most {LONGEST_TEXT}.")
    return valid_text(value)


def labels_of(label: Any) -> tuple[str, ...]:
    """One label, or none for an empty text."""
    return (named,) if (named := text_of("label", label)) else ()


def kinds_of(kinds: Any) -> tuple[ModalityName, ...]:
    """Kinds of evidence by their names; none for all.

    Raises:
        QueryError: it is something else.
    """
    if kinds is None or kinds == "":
        return ()
    if not isinstance(kinds, Sequence) or isinstance(kinds, str) or len(kinds) > len(modality_names()):
        raise QueryError("'kinds' is no list of kinds of evidence.", hint='Give it like ["speech", "ocr"].')
    return tuple(modality_named(text_of("kinds", kind)) for kind in kinds)


def weights_of(weights: Any) -> dict[ModalityName, float]:
    """Weights of 0 or more by kinds of evidence.

    Raises:
        QueryError: it is something else.
    """
    if weights is None:
        return {}
    if not isinstance(weights, Mapping) or len(weights) > len(modality_names()):
        raise QueryError("'weights' is no table of weights.", hint='Give it like {"speech": 2, "ocr": 0}.')
    return {
        modality_named(text_of("weights", name)): number_of(f"weights.{name}", one) for name, one in weights.items()
    }


def number_of(name: str, value: Any, most: float = 1e15) -> float:
    """A number from 0 to ``most``.

    Raises:
        QueryError: it is something else.
    """
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e15:
        raise QueryError(f"'{name}' is no number of 0 or more.", hint="Give it without quotes.")
    if value > most:
        raise QueryError(f"'{name}' is {value}.", hint=f"Give a number from 0 to {most:g}.")
    return float(value)


def whole_of(name: str, value: Any, least: int, most: int) -> int:
    """A whole number from ``least`` to ``most``.

    Raises:
        QueryError: it is something else.
    """
    number = number_of(name, value)
    if number != int(number) or not least <= number <= most:
        raise QueryError(f"'{name}' is {value}.", hint=f"Give a whole number from {least} to {most}.")
    return int(number)
