"""What an index is at one instant, as a digest: whatever was derived from it is good as long as that stays the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from indexer.store.base import Commit
from search.catalogue import Catalogue

__all__ = ["content_signatures", "index_signature", "models_signature"]


def index_signature(catalogue: Catalogue, *others: object) -> str:
    """A digest that changes when the index does, when this program is another version, and with ``others``."""
    return _digest(models_signature(catalogue, *others), sorted(content_signatures(catalogue).items()))


def models_signature(catalogue: Catalogue, *others: object) -> str:
    """A digest of all but what videos there are: of the index's models, this program's version, and ``others``."""
    return _digest(_version(), sorted(catalogue.manifest.models.items()) if catalogue.manifest else [], others)


def content_signatures(catalogue: Catalogue) -> Mapping[str, str]:
    """A digest for each searchable video by id, which changes when what the index holds of it does."""
    return {key: _content(commit) for key, commit in catalogue.commits.items() if commit.is_searchable}


def _content(commit: Commit) -> str:
    """Texts edited beside a video keep model and count, so when it was indexed and from what counts too."""
    held = sorted((name, state.fingerprint, state.count) for name, state in commit.modalities.items())
    return _digest(commit.sidecars, commit.indexed_at, held)


def _digest(*facts: object) -> str:
    return hashlib.blake2b(repr(facts).encode("utf-8", "backslashreplace"), digest_size=16).hexdigest()


def _version() -> str:
    try:
        return version("sceneseek")
    except PackageNotFoundError:
        return "not installed"
