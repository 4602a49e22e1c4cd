"""Reports of evaluations as HTML: tables described as data, one set of templates for the web page and for files.

Names, labels and queries are untrusted; the templates escape all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from search.html import printable, rendered

FileLink: TypeAlias = Callable[[str], str]
"""Gives the address of a written file by its name."""

STYLESHEET = Path(__file__).with_name("templates") / "report.css"
"""The styles of a report; a page that embeds one defines its colours."""


@dataclass(frozen=True, slots=True)
class Track:
    """A share as a line from 0 to 1, in percent: its value, its interval, and what chance gives."""

    value: float
    low: float
    width: float
    chance: float | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """A text with a small note below it, or a line in place of both."""

    text: str = ""
    note: str = ""
    track: Track | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """The head of a column."""

    title: str
    note: str = ""
    kind: Literal["number", "words", "chart"] = "number"


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A table; the first cell of each row is its head. ``note`` stands beside the caption."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


def counted(count: int, one: str) -> str:
    """A number with its noun: ``1 video``, ``1,000 videos``, ``2 queries``."""
    many = f"{one[:-1]}ies" if one.endswith("y") else f"{one}s"
    return f"{count:,} {one if count == 1 else many}"


def render_report(template: str, facts: Mapping[str, Any], files: Iterable[str] = (), link: FileLink = str) -> str:
    """Render a template of this package with ``facts`` and a list of ``files``."""
    listed = [(name, link(name)) for name in files]
    return printable(rendered("search.evaluate", template, {"files": listed, **facts}), instead="�")
