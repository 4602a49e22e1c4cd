"""The modalities in plain words: what people call them, and how an index comes to have them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from indexer.core.errors import QueryError
from indexer.core.text import fold
from indexer.core.types import ModalityName
from indexer.modalities.registry import modalities, modality, modality_names


def plain_name(name: ModalityName) -> str:
    """What people call a modality, such as "text in the picture"; its name where it is not registered."""
    return next((each.plain_name for each in modalities() if each.name == name), name)


def heading(name: ModalityName) -> str:
    """What one piece of a modality is called, as a heading."""
    declared = next((each.heading for each in modalities() if each.name == name), "")
    plain = plain_name(name)
    return declared or plain[0].upper() + plain[1:]


def headings() -> dict[ModalityName, str]:
    """Every modality's heading."""
    return {name: heading(name) for name in modality_names()}


def text_modalities() -> tuple[ModalityName, ...]:
    """The modalities whose records have a text: all but pictures. The text of sounds is their tags."""
    return tuple(each.name for each in modalities() if each.space != "frames")


def modality_named(name: str) -> ModalityName:
    """The modality of this name, in any case.

    Raises:
        QueryError: there is none; the nearest is named.
    """
    known = modality_names()
    if fold(name) in known:
        return fold(name)
    by_any_name = {fold(plain_name(each)): each for each in known} | {each: each for each in known}
    [nearest] = difflib.get_close_matches(fold(name), by_any_name, n=1, cutoff=0.0)
    raise QueryError(
        f"There is no kind of evidence called '{name}'.",
        hint=f"Did you mean '{by_any_name[nearest]}'? There are: {', '.join(known)}.",
    )


def in_words(names: Iterable[ModalityName]) -> str:
    """The plain names as an enumeration, such as "speech or sounds"."""
    plain = [plain_name(name) for name in names]
    return " or ".join([", ".join(plain[:-1]), plain[-1]]) if len(plain) > 1 else "".join(plain)


def about_absent(names: Iterable[ModalityName]) -> str:
    """What an index lacks, as a sentence to show when nothing was found; empty where it lacks nothing."""
    words = in_words(names)
    return f"This library has no {words}, so nothing was looked for there." if words else ""


def how_to_add(name: ModalityName) -> str:
    """What to do for an index to get a modality, as a sentence."""
    declared = modality(name)
    if declared.is_optional:
        return f"Add it: sceneseek index --add {name}."
    if declared.needs == "texts":
        return f"Put {declared.plain_name} beside the videos and run 'sceneseek index' again."
    if name == "frames":
        return "Index videos that have a picture: sceneseek index FOLDER."
    return "Run 'sceneseek index' again."
