"""Every error the project raises on purpose.

    SceneseekError                  exit 1   anything below; catch this one at the boundary
    ├── UsageError                  exit 2   the request itself is wrong (also a ValueError)
    │   ├── ConfigError                      config.toml, SCENESEEK_* or a flag
    │   └── QueryError                       an empty query, an unreadable query image, a bad filter
    ├── MediaError                  exit 3   one file cannot be indexed (also a ValueError)
    │   ├── UnreadableMediaError             not a video or audio file, empty, damaged beyond reading
    │   └── SubtitleError                    a subtitle file or stream that cannot be parsed
    ├── ModelError                  exit 1
    │   ├── WeightsMissingError              a model's file is neither in the cache nor at the path given
    │   ├── WeightsDamagedError              a model's file is there and cannot be loaded
    │   └── UnfitContentError                a model cannot work on this one picture or sound; it can on others
    └── StoreError                  exit 1
        ├── IndexMissingError       exit 2   no index where one was asked for
        ├── IndexBusyError                   another process is writing this index
        ├── IndexIncompatibleError           the index was made by other models than those asked for
        └── IndexDamagedError                the database cannot be opened or contradicts itself

Each says what happened, where, and in ``hint`` what to do about it. Only ``ui`` prints them.
"""

from __future__ import annotations

__all__ = [
    "ConfigError",
    "IndexBusyError",
    "IndexDamagedError",
    "IndexIncompatibleError",
    "IndexMissingError",
    "MediaError",
    "ModelError",
    "QueryError",
    "SceneseekError",
    "StoreError",
    "SubtitleError",
    "UnfitContentError",
    "UnreadableMediaError",
    "UsageError",
    "WeightsDamagedError",
    "WeightsMissingError",
]


class SceneseekError(Exception):
    """Base of the tree.

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
    """A setting is unknown, of the wrong type or out of range."""


class QueryError(UsageError):
    """A query cannot be answered as it stands."""


class MediaError(SceneseekError, ValueError):
    """One media file cannot be indexed; the others can."""

    exit_code = 3


class UnreadableMediaError(MediaError):
    """The file is no video or audio that can be decoded."""


class SubtitleError(MediaError):
    """Subtitles are there and cannot be parsed."""


class ModelError(SceneseekError):
    """A model cannot do its work."""


class WeightsMissingError(ModelError, FileNotFoundError):
    """A model's weights are not on this machine and cannot be fetched now."""


class WeightsDamagedError(ModelError):
    """A model's weights are on this machine and cannot be loaded."""


class UnfitContentError(ModelError):
    """A model cannot work on this one picture or sound; it can on others."""


class StoreError(SceneseekError):
    """The index cannot do what was asked."""


class IndexMissingError(StoreError, FileNotFoundError):
    """There is no index at the given place."""

    exit_code = 2


class IndexBusyError(StoreError):
    """Another process holds the index for writing."""


class IndexIncompatibleError(StoreError):
    """The index holds vectors of other models than those asked for."""


class IndexDamagedError(StoreError):
    """The database cannot be opened, or its parts contradict each other."""
