"""Options that several commands take, and commands whose help is easy to read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

__all__ = [
    "Command",
    "Config",
    "Device",
    "Group",
    "Index",
    "Json",
    "Kinds",
    "Labels",
    "Paths",
    "Quiet",
    "Weights",
    "Where",
]

Index = Annotated[Path | None, typer.Option("--index", metavar="DIR", help="Folder of the index. (default: chroma_db)")]
Config = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Settings. (default: config.toml)")]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON, for other programs.")]
Device = Annotated[str | None, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda or mps.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Labels = Annotated[list[str] | None, typer.Option("--label", metavar="LABEL", help="Only videos with this label.")]
Paths = Annotated[
    list[str] | None, typer.Option("--path", metavar="GLOB", help="Only files that match, as 'holiday/*'.")
]
Where = Annotated[
    list[str] | None,
    typer.Option("--where", metavar="CONDITION", help="Only such videos: 'duration<60', 'year=1999', 'date>=2024'."),
]
Kinds = Annotated[
    list[str] | None, typer.Option("--only", metavar="KIND", help="Only this kind: frames, speech, ocr ...")
]
Weights = Annotated[
    list[str] | None,
    typer.Option("--weight", metavar="KIND=NUMBER", help="How much a kind of evidence counts: 'subtitle=2'."),
]


class Command(TyperCommand):
    """A command whose help shows no type behind flags."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The options and arguments."""
        return _without_flag_types(super().get_params(ctx))


class Group(TyperGroup):
    """A group of commands whose help shows no type behind flags."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The options."""
        return _without_flag_types(super().get_params(ctx))


def _without_flag_types(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
    return parameters
