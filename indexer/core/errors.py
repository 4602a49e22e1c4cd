"""Every error the project raises on purpose; each says what happened, where, and in ``hint`` what to do about it.

Catch ``SceneseekError`` at the boundary. ``exit_code`` is that of the command line. Only ``ui`` prints errors.
"""

from __future__ import annotations


class SceneseekError(Exception):
    """Base class.

    Args:
        message: What happened, and where.
        hint: What the reader can do about it; a full sentence or a command.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class UsageError(SceneseekError, ValueError):
    """The request is wrong; nothing was done."""

    exit_code = 2


class ConfigError(UsageError):
    """A setting is unknown, of the wrong type or out of range, in config.toml, SCENESEEK_* or a flag."""


class QueryError(UsageError):
    """A query is empty, its picture cannot be read, or a filter is wrong."""


class MediaError(SceneseekError, ValueError):
    """One media file cannot be indexed; the others can."""

    exit_code = 3


class UnreadableMediaError(MediaError):
    """The file is no video or audio, is empty, or is damaged beyond reading."""


class SubtitleError(MediaError):
    """A subtitle file or stream cannot be parsed."""


class ModelError(SceneseekError):
    """A model cannot be used."""


class WeightsMissingError(ModelError, FileNotFoundError):
    """A model's file is neither in the cache nor at the path given, and cannot be downloaded now."""


class WeightsDamagedError(ModelError):
    """A model's file exists and cannot be loaded."""


class UnfitContentError(ModelError):
    """A model cannot process this one picture or sound; it can process others."""


class StoreError(SceneseekError):
    """The index cannot do what was asked."""


class IndexMissingError(StoreError, FileNotFoundError):
    """There is no index at the given place."""

    exit_code = 2


class IndexBusyError(StoreError):
    """Another process is writing the index."""


class IndexIncompatibleError(StoreError):
    """The index holds vectors of other models than those asked for."""


class IndexDamagedError(StoreError):
    """The database cannot be opened, or its parts contradict each other."""
