"""HTML from templates. The texts on it are untrusted, so templates escape everything they are given."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def rendered(package: str, name: str, facts: Mapping[str, Any]) -> str:
    """Render a template of a package's folder ``templates``; undecodable bytes of file names become ``?``."""
    return _decodable(_templates(package).get_template(name).render(facts))


def printable(text: str, instead: str = "") -> str:
    """Replace control characters and undecodable bytes, which have no place on a page."""
    return _UNPRINTABLE.sub(instead, _decodable(text))


def data_address(content: bytes, media_type: str) -> str:
    """A file as a ``data:`` address, so that a page need not fetch it."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def jpeg_at(path: Path | None) -> bytes | None:
    """The bytes of a JPEG file; None if it cannot be read or is no JPEG."""
    try:
        content = b"" if path is None else path.read_bytes()
    except OSError:
        return None
    return content if content.startswith(b"\xff\xd8\xff") else None


def _decodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


@cache
def _templates(package: str) -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader(package, "templates")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
