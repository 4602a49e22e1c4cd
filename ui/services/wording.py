"""How times, paths and kinds of evidence are written for people."""

from __future__ import annotations

import math
import os
from pathlib import Path


def format_time(seconds: float) -> str:
    """Write a time as h:mm:ss, rounded down.

    Raises:
        ValueError: ``seconds`` is negative or not finite.
    """
    if not 0 <= seconds < math.inf:
        raise ValueError(f"not a time in a video: {seconds}")
    minutes, second = divmod(int(seconds), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02}:{second:02}"


def format_span(start_s: float, end_s: float) -> str:
    """Write a span as h:mm:ss – h:mm:ss; the end is rounded up, so that the whole span lies within.

    Raises:
        ValueError: a time is negative or not finite.
    """
    if not 0 <= end_s < math.inf:
        raise ValueError(f"not a time in a video: {end_s}")
    return f"{format_time(start_s)} – {format_time(math.ceil(round(end_s, 3)))}"


def readable_path(path: Path, errors: str = "replace") -> str:
    """Decode a path as UTF-8; ``errors`` says what becomes of other bytes, as in ``bytes.decode``."""
    return os.fsencode(path).decode("utf-8", errors)


def short_path(path: Path) -> str:
    """Write a path relative to the current folder or, with ``~/``, to the home folder, if it lies below one of them."""
    for folder, prefix in ((Path.cwd(), ""), (Path.home(), "~/")):
        if path.is_relative_to(folder):
            return prefix + str(path.relative_to(folder))
    return str(path)
