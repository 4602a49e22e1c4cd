"""The kinds of evidence in plain words: what they are called, and how an index comes to have them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from indexer.core.errors import QueryError
from indexer.core.text import fold
from indexer.core.types import SPACE_OF_MODALITY, ModalityName

__all__ = ["PLAIN_NAMES", "TEXT_MODALITIES", "about_absent", "how_to_add", "in_words", "modality_named"]

PLAIN_NAMES: Mapping[ModalityName, str] = MappingProxyType(
    {
        "frames": "pictures",
        "subtitle": "subtitles",
        "speech": "speech",
        "ocr": "text in the picture",
        "description": "descriptions",
        "captions": "captions",
        "objects": "objects",
        "sounds": "sounds",
    }
)
"""What each kind of evidence is, for people; its name as one types it where the two differ."""

TEXT_MODALITIES: tuple[ModalityName, ...] = tuple(name for name in SPACE_OF_MODALITY if name != "frames")
"""The kinds of evidence that have a text: all but pictures; the text of sounds is their tags."""

_BESIDE_THE_VIDEOS: frozenset[ModalityName] = frozenset({"subtitle", "description"})


def modality_named(name: str) -> ModalityName:
    """The kind of evidence of this name, whatever its case.

    Raises:
        QueryError: there is none; the nearest is named.
    """
    if fold(name) in SPACE_OF_MODALITY:
        return fold(name)
    by_any_name = {fold(plain): known for known, plain in PLAIN_NAMES.items()} | {known: known for known in PLAIN_NAMES}
    [nearest] = difflib.get_close_matches(fold(name), by_any_name, n=1, cutoff=0.0)
    known = ", ".join(SPACE_OF_MODALITY)
    raise QueryError(
        f"There is no kind of evidence called '{name}'.",
        hint=f"Did you mean '{by_any_name[nearest]}'? There are: {known}.",
    )


def in_words(modalities: Iterable[ModalityName]) -> str:
    """The plain names as an enumeration, such as "speech or sounds"."""
    names = [PLAIN_NAMES[name] for name in modalities]
    return " or ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def about_absent(modalities: Iterable[ModalityName]) -> str:
    """What an index lacks, as a sentence for somebody who found nothing; empty where it lacks nothing."""
    names = in_words(modalities)
    return f"This library has no {names}, so nothing was looked for there." if names else ""


def how_to_add(modality: ModalityName) -> str:
    """What to do for an index to get this kind of evidence, as a sentence."""
    if modality == "frames":
        return "Index videos that have a picture: sceneseek index FOLDER."
    if modality in _BESIDE_THE_VIDEOS:
        return f"Put {PLAIN_NAMES[modality]} beside the videos and run 'sceneseek index' again."
    return f"Add it: sceneseek index --add {modality}."
