"""What has been searched for so far, kept in a file, so that a long run that is stopped goes on where it was."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from search.catalogue import index_signature
from search.evaluate.files import write_json

__all__ = ["Answers", "Searched", "index_signature"]

Answers: TypeAlias = Mapping[str, Sequence[tuple[str, float]]]


class Searched:
    """Answers by query, worth something only for one state of the index and one way of searching.

    Args:
        path: The file; None keeps the answers in memory only.
        signature: What the answers depend on, besides the text of the query; those of another one are not read.
    """

    def __init__(self, path: Path | None, signature: str) -> None:
        self._path = path
        self._signature = signature
        self._known: dict[str, tuple[str, Any]] = {}
        self._saved = 0
        if path is not None:
            self._known = _read(path, signature)
            self._saved = len(self._known)

    @classmethod
    def nowhere(cls) -> Searched:
        """Answers that are gone with the process."""
        return cls(None, "")

    def __len__(self) -> int:
        return len(self._known)

    def answers(self, query_id: str, text: str) -> Answers | None:
        """What was answered to the query; None if it was not asked yet, or with another text."""
        asked, answers = self._known.get(query_id, ("", None))
        return answers if asked == text else None

    def keep(self, query_id: str, text: str, answers: Answers) -> None:
        """Remember the answers to a query."""
        self._known[query_id] = (text, answers)
        self._saved = -1

    def save(self) -> None:
        """Write what is new to the file.

        Raises:
            UsageError: it cannot be written.
        """
        if self._path is not None and self._saved != len(self._known):
            write_json(self._path, {"signature": self._signature, "queries": self._known})
            self._saved = len(self._known)

    def forget(self) -> None:
        """Delete the file: the run is complete."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _read(path: Path, signature: str) -> dict[str, tuple[str, Any]]:
    """What the file holds for this signature; nothing if it is not there, another one's, or not one of ours."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["signature"] != signature:
            return {}
        return {query: (_text(text), _answers(answers)) for query, (text, answers) in content["queries"].items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}


def _text(text: Any) -> str:
    if not isinstance(text, str):
        raise TypeError(f"not a text: {text!r}")
    return text


def _answers(answers: Any) -> Answers:
    """The answers as they were kept; whatever else stands there is an error of its kind."""
    return {level: [(_text(document), _finite(score)) for document, score in found] for level, found in answers.items()}


def _finite(score: Any) -> float:
    if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
        raise ValueError(f"not a score: {score!r}")
    return score
