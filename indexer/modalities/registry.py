"""The modalities there are, one line each. Every table that lists modalities is derived from these lines.

To add one: a folder beside this file with its declaration and extractor, and a line below. ``registered`` adds one for
a while, for tests and for programs that bring their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from indexer.core.types import ModalityName, Space
from indexer.modalities.base import Modality
from indexer.modalities.captions import CAPTIONS
from indexer.modalities.frames import FRAMES
from indexer.modalities.objects import OBJECTS
from indexer.modalities.ocr import OCR
from indexer.modalities.sounds import SOUNDS
from indexer.modalities.speech import SPEECH
from indexer.modalities.subtitles import DESCRIPTION, SUBTITLE
from indexer.models.base import Role
from indexer.models.build import FRAMES_ROLE, TEXT_ROLE

__all__ = ["all_roles", "modalities", "modality", "modality_names", "optional_roles", "registered", "space_of"]

_modalities: list[Modality] = [FRAMES, SUBTITLE, SPEECH, OCR, DESCRIPTION, CAPTIONS, OBJECTS, SOUNDS]


def modalities() -> tuple[Modality, ...]:
    """Every modality, in the order of display."""
    return tuple(_modalities)


def modality_names() -> tuple[ModalityName, ...]:
    """Their names."""
    return tuple(modality.name for modality in _modalities)


def modality(name: ModalityName) -> Modality:
    """The modality of that name.

    Raises:
        KeyError: there is none.
    """
    return {modality.name: modality for modality in _modalities}[name]


def space_of(name: ModalityName) -> Space:
    """The embedding space of a modality's records."""
    return modality(name).space


def all_roles() -> dict[str, Role]:
    """Every model role by name: pictures, texts, then those an index may do without."""
    return {role.name: role for role in (FRAMES_ROLE, TEXT_ROLE)} | optional_roles()


def optional_roles() -> dict[str, Role]:
    """The roles that an index may do without, by name; each makes the modality of its name."""
    return {modality.name: modality.role for modality in _modalities if modality.role and modality.is_optional}


@contextmanager
def registered(*added: Modality) -> Iterator[None]:
    """Know more modalities within the block, in this process only. Records of unknown modalities are left alone."""
    _modalities.extend(added)
    try:
        yield
    finally:
        for each in added:
            _modalities.remove(each)
