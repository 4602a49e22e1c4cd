"""Reports of evaluations as HTML, from templates that the web page and the files share.

Names, labels and queries are untrusted; the templates escape all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from search.html import printable, rendered

FileLink: TypeAlias = Callable[[str], str]
"""Gives the address of a written file by its name."""

STYLESHEET = Path(__file__).with_name("templates") / "report.css"
"""The styles of a report; a page that embeds one defines its colours."""


def counted(count: int, one: str) -> str:
    """A number with its noun: ``1 video``, ``1,000 videos``, ``2 queries``."""
    many = f"{one[:-1]}ies" if one.endswith("y") else f"{one}s"
    return f"{count:,} {one if count == 1 else many}"


def render_report(template: str, facts: Mapping[str, Any], files: Iterable[str] = (), link: FileLink = str) -> str:
    """Render a template of this package with ``facts`` and a list of ``files``."""
    listed = [(name, link(name)) for name in files]
    return printable(rendered("search.evaluate", template, {"counted": counted, "files": listed, **facts}), instead="�")
