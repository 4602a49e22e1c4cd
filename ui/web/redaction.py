"""Removes paths from reasons, notes and model names, for visitors from the network."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["model_without_path", "names_path", "without_paths"]

# A slash or ~ that begins a word begins a path; those within one, as in "words/s" or "org/model", do not.
_PATH_START = re.compile(r"(?:(?<![\w.)\]])/(?=[^\s/])|(?<![\w.)\]])~[\w.-]*/|\b[A-Za-z]:\\)")
_FOLDERS = re.compile(r"(?<![\w.)\]])[~/](?:[^/]*/)*")
_HIDDEN = "The reason names other files; the person who runs this page finds it with 'sceneseek status'."


def names_path(text: str) -> bool:
    """Whether a text holds a path."""
    return _PATH_START.search(text) is not None


def without_paths(text: str, path: Path) -> str:
    """A text about the file at ``path`` without its path; all of it is hidden if it names other paths."""
    shorter = text.replace(str(path), "the file")
    if path.parent != Path(path.anchor):
        shorter = shorter.replace(str(path.parent), "its folder")
    return _HIDDEN if names_path(shorter) else shorter


def model_without_path(spec: str) -> str:
    """The name of a model; of a file of this machine, the file's name alone."""
    return _FOLDERS.sub("", spec)
