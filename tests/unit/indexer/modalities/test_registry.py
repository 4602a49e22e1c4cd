from __future__ import annotations

import re
from pathlib import Path

import pytest

from indexer.modalities.base import Extractor, Modality
from indexer.modalities.registry import (
    all_roles,
    modalities,
    modality,
    modality_names,
    optional_roles,
    registered,
    space_of,
)
from indexer.models.profiles import PROFILES

ROOT = Path(__file__).resolve().parents[4]
TOY = Modality("toy", "text", "toys", "keyframes", Extractor)


def test_names_are_unique_and_every_role_makes_the_modality_of_its_name() -> None:
    assert len(set(modality_names())) == len(modalities())
    assert set(optional_roles()) == {each.name for each in modalities() if each.is_optional}
    assert list(all_roles())[:2] == ["frames", "text"]


def test_the_documentation_lists_what_is_registered_and_what_has_to_be_added() -> None:
    rows = re.findall(r"^\| (`.+?) \|.*\| (.+?) \|$", (ROOT / "docs/indexing.md").read_text(encoding="utf-8"), re.M)
    documented = {name: where for names, where in rows for name in re.findall(r"`(\w+)`", names)}
    embedded = PROFILES["embedded"].choices
    assert documented.keys() == set(modality_names())
    for each in modalities():
        is_on = not each.is_optional or each.name in embedded
        assert documented[each.name] == ("on" if is_on else f"`--add {each.name}`")


def test_a_modality_is_known_only_while_it_is_registered() -> None:
    with registered(TOY):
        assert modality("toy") is TOY
        assert space_of("toy") == "text"
    assert "toy" not in modality_names()
    with pytest.raises(KeyError):
        modality("toy")
