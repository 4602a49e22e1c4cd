"""An indexing run as the command line and the page ask for it, and in the words in which both report it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from indexer.core.errors import UsageError

if TYPE_CHECKING:
    from indexer.models.base import RoleName
    from indexer.progress import IndexReport
    from indexer.run import RunOptions, RunStart

__all__ = ["counts_in_words", "run_options", "speed_in_words", "start_notes", "videos_in_words"]


def run_options(
    *, add: Iterable[str] = (), without: Iterable[str] = (), retry_failed: bool = False, prune: bool = False
) -> RunOptions:
    """What a run does besides the settings.

    Args:
        add: The kinds of evidence to find from now on, in all videos: ``speech``, ``ocr`` and so on. A text may name
            several, separated by commas.
        without: The kinds to do without.
        retry_failed: Whether to try again what failed before and has not changed.
        prune: Whether to believe an empty folder and remove its videos.

    Raises:
        UsageError: there is no such kind, or one is in both lists.
    """
    from indexer.manifest import RoleChanges
    from indexer.run import RunOptions

    changes = RoleChanges(_roles(add), _roles(without))
    if both := [role for role in changes.add if role in changes.without]:
        raise UsageError(
            f"--add and --without both name {' and '.join(both)}.",
            hint="To make it anew, run 'sceneseek index' twice: --without first, then --add.",
        )
    return RunOptions(retry_failed, prune, changes)


def _roles(texts: Iterable[str]) -> tuple[RoleName, ...]:
    from indexer.modalities.registry import optional_roles

    names = [name.strip().casefold() for text in texts for name in text.split(",") if name.strip()]
    for name in names:
        if name not in optional_roles():
            raise UsageError(
                f"There is no kind of evidence '{name}'.", hint=f"There are: {', '.join(optional_roles())}."
            )
    return tuple(role for role in optional_roles() if role in names)


def start_notes(start: RunStart) -> list[str]:
    """What is worth knowing before the first video is opened, in sentences."""
    return [
        *([] if start.corpus.files else ["No videos were found there."]),
        *(f"{folder} cannot be read; nothing below it is touched." for folder in start.corpus.unreadable),
        *([f"Models: profile '{start.manifest.profile}'. {start.reason}"] if start.reason else []),
        *start.notes,
        *(f"A label was skipped: {row} names no video or no label." for row in start.labels.broken),
    ]


def videos_in_words(done: int, total: int) -> str:
    """How many videos are done; empty while the total is unknown."""
    return f"{done:,} of {total:,} {'video' if total == 1 else 'videos'}" if total else ""


def speed_in_words(speed: float | None) -> str:
    """The speed, given in seconds of video per second; empty while it is unknown."""
    if speed is None:
        return ""
    return f"{speed:.0f}× real time" if speed >= 10 else f"{speed:.1f}× real time"


def counts_in_words(report: IndexReport) -> str:
    """How many videos a run dealt with, and how; empty if there were none."""
    counts = {
        "indexed": len(report.indexed),
        "updated": len(report.updated),
        "moved": len(report.moved),
        "copies": len(report.copies),
        "removed": len(report.removed),
        "failed": len(report.failed),
        "unchanged": report.unchanged,
    }
    return ", ".join(f"{count:,} {word}" for word, count in counts.items() if count)
