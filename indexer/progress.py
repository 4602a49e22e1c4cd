"""How far an indexing run is, and what it has done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from indexer.core.types import ModalityName

__all__ = ["IndexReport", "Progress", "ProgressReport"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. ``bytes_done`` counts finished files and the part of the current one that has been read."""

    videos_done: int
    videos_total: int
    bytes_done: int
    bytes_total: int
    media_s: float
    frames: int
    failed: int
    current: Path | None


ProgressReport: TypeAlias = Callable[[Progress], None]


@dataclass(slots=True)
class IndexReport:
    """What a run did, by the paths of the videos; with the reason for failures and warnings.

    ``dropped`` counts the videos from which a modality was deleted that the index is to do without.
    """

    indexed: list[Path] = field(default_factory=list)
    updated: list[Path] = field(default_factory=list)
    moved: list[Path] = field(default_factory=list)
    copies: list[Path] = field(default_factory=list)
    removed: list[Path] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)
    failed_before: list[tuple[Path, str]] = field(default_factory=list)
    warnings: list[tuple[Path, str]] = field(default_factory=list)
    dropped: dict[ModalityName, int] = field(default_factory=dict)
    unchanged: int = 0
    unreadable: tuple[Path, ...] = ()
    frames: int = 0
    segments: int = 0
    media_s: float = 0.0
