"""How good the search is: queries with known answers, runs, metrics, and what a difference between runs is worth.

Here is what all evaluations share: how they report their progress, and files that are written whole or not at all.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from indexer.core.atomic_file import written_whole
from indexer.core.errors import UsageError

ReportProgress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is going on, how much of it is done, and how much there is."""


def no_progress(_what: str, _done: int, _total: int) -> None:
    """Report nothing."""


def write_whole(path: Path, content: str | bytes) -> Path:
    """Write a file beside its place and move it there when it is complete; makes the folder.

    Text is written in UTF-8; what that cannot hold is escaped.

    Raises:
        UsageError: it cannot be written there.
    """
    as_bytes = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as unfinished:
            unfinished.write_bytes(as_bytes)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror or error}.", hint="Name another folder with --out."
        ) from error
    return path


def write_json(path: Path, content: Any) -> Path:
    """Write a JSON document of finite numbers, with paths as texts."""
    return write_whole(path, json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False, default=str) + "\n")


def write_csv(path: Path, heading: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    """Write a table."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([heading, *rows])
    return write_whole(path, text.getvalue())
