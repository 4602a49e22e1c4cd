"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Config", "Device", "Index", "Json", "Kinds", "Labels", "Paths", "Quiet", "Weights", "Where"]

Index = Annotated[Path | None, typer.Option("--index", metavar="DIR", help="Folder of the index. (default: chroma_db)")]
Config = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Settings. (default: config.toml)")]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON, for other programs.")]
Device = Annotated[str | None, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda or mps.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Labels = Annotated[list[str] | None, typer.Option("--label", help="Only videos with this label.")]
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
