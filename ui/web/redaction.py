"""Texts without the places of files: what visitors from the network are shown of reasons, notes and model names."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["model_placeless", "placeless", "tells_place"]

# A slash or ~ that begins a word begins a path; those within one, as in "words/s" or "org/model", do not.
_PLACE = re.compile(r"(?:(?<![\w.)\]])/(?=[^\s/])|(?<![\w.)\]])~[\w.-]*/|\b[A-Za-z]:\\)")
_FOLDERS_OF_PLACE = re.compile(r"(?<![\w.)\]])[~/](?:[^/]*/)*")
_UNTOLD = "The reason names other files; whoever runs this page finds it with 'sceneseek status'."


def tells_place(text: str) -> bool:
    """Whether a text names a file or folder by its whole path."""
    return _PLACE.search(text) is not None


def placeless(text: str, path: Path) -> str:
    """What is told about one file, without where it lies; nothing of it if it goes on about other places."""
    shorter = text.replace(str(path), "the file")
    if path.parent != Path(path.anchor):
        shorter = shorter.replace(str(path.parent), "its folder")
    return _UNTOLD if tells_place(shorter) else shorter


def model_placeless(spec: str) -> str:
    """The name of a model; of one that is a file of this machine the file's name alone."""
    return _FOLDERS_OF_PLACE.sub("", spec)
