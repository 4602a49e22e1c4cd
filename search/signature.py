"""What an index is at one instant, as a digest: whatever was derived from it is good as long as that stays the same."""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, version

from search.catalogue import Catalogue

__all__ = ["index_signature"]


def index_signature(catalogue: Catalogue, *others: object) -> str:
    """A digest that changes when the index does, when this program is another version, and with ``others``."""
    models = sorted(catalogue.manifest.models.items()) if catalogue.manifest else []
    held = sorted(
        (key, sorted((name, state.fingerprint, state.count) for name, state in commit.modalities.items()))
        for key, commit in catalogue.commits.items()
        if commit.is_searchable
    )
    facts = repr((_version(), models, held, others))
    return hashlib.blake2b(facts.encode("utf-8", "backslashreplace"), digest_size=16).hexdigest()


def _version() -> str:
    try:
        return version("sceneseek")
    except PackageNotFoundError:
        return "not installed"
