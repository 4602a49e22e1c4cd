"""Marks the words of a text that were found, and shortens texts around them."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["excerpt", "pieces"]


def pieces(text: str, matched: Sequence[str]) -> list[tuple[str, bool]]:
    """Cut a text into pieces, each with whether it is one of the words or phrases that matched.

    Args:
        text: The text of a hit.
        matched: Parts of it, as they are written there; where several begin, the longest one counts.
    """
    wanted = sorted({part for part in matched if part}, key=len, reverse=True)
    if not wanted:
        return [(text, False)]
    pattern = re.compile("|".join(_pattern(part, text) for part in wanted))
    cut: list[tuple[str, bool]] = []
    end = 0
    for found in pattern.finditer(text):
        cut += [(text[end : found.start()], False), (found.group(), True)]
        end = found.end()
    return [piece for piece in (*cut, (text[end:], False)) if piece[0]]


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
    """Match whole words only, if the part is one or several of them anywhere in the text."""
    whole = rf"(?<!\w){re.escape(part)}(?!\w)"
    return whole if re.search(whole, text) else re.escape(part)
