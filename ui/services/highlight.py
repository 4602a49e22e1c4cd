"""Showing which words of a text were found."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["excerpt", "pieces"]


def pieces(text: str, matched: Sequence[str]) -> list[tuple[str, bool]]:
    """The text cut into parts, each with whether it is one of the words or phrases that matched.

    Args:
        text: Whatever a record says.
        matched: Parts of it as they stand there; the longest one wins where several begin.
    """
    wanted = sorted({part for part in matched if part}, key=len, reverse=True)
    if not wanted:
        return [(text, False)]
    pattern = re.compile("|".join(_pattern(part, text) for part in wanted))
    cut: list[tuple[str, bool]] = []
    seen = 0
    for found in pattern.finditer(text):
        cut += [(text[seen : found.start()], False), (found.group(), True)]
        seen = found.end()
    return [part for part in (*cut, (text[seen:], False)) if part[0]]


def excerpt(text: str, matched: Sequence[str], longest: int) -> str:
    """At most ``longest`` characters of a text, around the first match if there is one, cut at spaces."""
    if len(text) <= longest:
        return text
    places = [place for part in matched if part and (place := text.find(part)) >= 0]
    start = max(0, min(min(places, default=0) - longest // 3, len(text) - longest))
    start = text.find(" ", start, start + longest // 3) + 1 or start if start else 0
    end = text.rfind(" ", start, start + longest) if start + longest < len(text) else len(text)
    shown = text[start : end if end > start else start + longest]
    return f"{'…' if start else ''}{shown.strip()}{'…' if end < len(text) else ''}"


def _pattern(part: str, text: str) -> str:
    """Where the part is a word of the text, or several, it is not looked for within longer words."""
    whole = rf"(?<!\w){re.escape(part)}(?!\w)"
    return whole if re.search(whole, text) else re.escape(part)
