"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Config", "Device", "Index", "Json", "Quiet"]

Index = Annotated[Path | None, typer.Option("--index", metavar="DIR", help="Folder of the index. (default: chroma_db)")]
Config = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Settings. (default: config.toml)")]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON, for other programs.")]
Device = Annotated[str | None, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda or mps.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
