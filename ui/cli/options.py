"""Options that several commands take, and commands whose help shows no type behind flags."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.models import CommandFunctionType


def argument(name: str, text: str) -> Any:
    """A positional argument: what the help calls it, and what it is."""
    return typer.Argument(metavar=name, help=text)


def option(names: str, text: str, **more: Any) -> Any:
    """An option such as ``--out -o FILE``: its names and, unless it is a flag, what the help calls its value."""
    parts = names.split()
    flags = [part for part in parts if part.startswith("-")]
    return typer.Option(*flags, metavar="".join(parts[len(flags) :]) or None, help=text, **more)


Index = Annotated[Path | None, option("--index DIR", "Folder of the index. (default: chroma_db)")]
Config = Annotated[Path | None, option("--config FILE", "Settings. (default: config.toml)")]
Json = Annotated[bool, option("--json", "Answer in JSON, for other programs.")]
Device = Annotated[str | None, option("--device NAME", "auto, cpu, cuda or mps.")]
Quiet = Annotated[bool, option("--quiet -q", "Show no progress.")]
Labels = Annotated[list[str] | None, option("--label LABEL", "Only videos with this label.")]
Paths = Annotated[list[str] | None, option("--path GLOB", "Only files that match, as 'holiday/*'.")]
Where = Annotated[
    list[str] | None, option("--where CONDITION", "Only such videos: 'duration<60', 'year=1999', 'date>=2024'.")
]


class Command(TyperCommand):
    """A command whose help shows no type behind flags. What its function returns is the exit code; None is 0."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        ctx.exit(super().invoke(ctx) or 0)

    def get_params(self, ctx: Any) -> list[Any]:
        """The options and arguments."""
        return _without_flag_types(super().get_params(ctx))


class Group(TyperGroup):
    """A group of commands whose help shows no type behind flags."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The options."""
        return _without_flag_types(super().get_params(ctx))


class App(typer.Typer):
    """A command line whose help shows no type behind flags."""

    def command(self, *args: Any, **more: Any) -> Callable[[CommandFunctionType], CommandFunctionType]:
        """As ``typer.Typer.command``."""
        return super().command(*args, **{"cls": Command, **more})


def _without_flag_types(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
    return parameters
