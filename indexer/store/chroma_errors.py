"""Translates errors of SQLite and Chroma."""

from __future__ import annotations

from indexer.core.errors import (
    IndexBusyError,
    IndexDamagedError,
    IndexIncompatibleError,
    IndexMissingError,
    SceneseekError,
    StoreError,
)

_COPY_IT = "Even a search writes to the database: use a copy of the index in a folder you may write to."
_NAME_RULE = "Use 3 or more letters, digits, '.', '_' or '-'."
# What SQLite or Chroma says, what it means, and what to do.
_MEANINGS = (
    ("disk is full", "The disk of the index is full", "Make room and run it again; nothing is lost."),
    ("readonly", "The index cannot be written to", _COPY_IT),
    ("read-only", "The index cannot be written to", _COPY_IT),
    ("unable to open", "The index cannot be opened", "Check that its folder can be read and written."),
    ("expected a name", "The name of the index cannot be used", _NAME_RULE),
    ("validation error", "The name of the index cannot be used", _NAME_RULE),
)


def translated(error: Exception) -> SceneseekError:
    """An error of SQLite or Chroma as one of ours."""
    text = str(error)
    if "dimension" in text.lower():
        return IndexIncompatibleError(
            f"The index holds vectors of another model ({text}).",
            hint="Index into a new folder with --index DIR, or use the profile the index was made with.",
        )
    if "could not connect" in text.lower() or "connection" in text.lower():
        return IndexMissingError(
            f"The Chroma server does not answer ({text}).", hint="Start it, check index.url, or unset index.url."
        )
    if "locked" in text.lower():
        return IndexBusyError("The database is being written by another process.", hint="Try again in a moment.")
    for part, what, hint in _MEANINGS:
        if part in text.lower():
            return StoreError(f"{what} ({text}).", hint=hint)
    return IndexDamagedError(
        f"The database did not answer as it should ({text}).",
        hint="If it happens again, move the index folder away and index again.",
    )
