"""The same library indexed in other ways, found or made for the setups of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from indexer.config import LoadedSettings
from indexer.core.errors import IndexDamagedError
from indexer.maintenance.variants import index_variant
from indexer.manifest import models_of
from indexer.models.base import FrameEncoder
from indexer.models.profiles import choose_profile
from indexer.progress import IndexReport, ProgressReport
from indexer.store import open_store
from indexer.store.base import Manifest, VectorStore
from search.engine import SearchEngine
from search.evaluate.setups import Setup


@dataclass(frozen=True, slots=True)
class IndexVariants:
    """Finds or makes the index for each setup; methods raise a StoreError if an index is not there or unreadable.

    ``loaded`` says where the existing index is. The others are kept in ``folder``, and found there again.
    """

    loaded: LoadedSettings
    folder: Path

    def grouped(self, setups: Sequence[Setup]) -> list[list[Setup]]:
        """The setups in groups of the same index.

        Raises:
            ConfigError: there is no such profile.
        """
        groups: dict[Path | None, list[Setup]] = {}
        for setup in setups:
            groups.setdefault(self._place(setup), []).append(setup)
        return list(groups.values())

    def prepare(self, setup: Setup, progress: ProgressReport | None = None) -> IndexReport | None:
        """Make the index for a setup, or bring it up to date; does nothing to the existing index.

        Raises:
            SceneseekError: as indexing raises it.
        """
        place = self._place(setup)
        if place is None:
            return None
        manifest = self._manifest()
        profile, strategy = _profile(setup, manifest), setup.value("keyframes")
        return index_variant(self.loaded, manifest, place, profile=profile, strategy=strategy, on_progress=progress)

    def open(self, setup: Setup) -> SearchEngine:
        """Search the index for a setup."""
        index, place = self.loaded.settings.index, self._place(setup)
        device = self.loaded.settings.models.device
        return SearchEngine.open(place or index.path, name=index.name, url="" if place else index.url, device=device)

    def open_store(self, setup: Setup) -> VectorStore:
        """Read the index for a setup, without a search engine; the caller closes it."""
        return self._store(self._place(setup))

    def frame_encoder(self, store: VectorStore) -> FrameEncoder:
        """The picture model that the index in a store was made with, not loaded yet.

        Raises:
            ModelError: the model is not here, or has changed since.
        """
        return models_of(_manifest_of(store), device=self.loaded.settings.models.device, roles=()).frames

    def _place(self, setup: Setup) -> Path | None:
        """The folder of the index for a setup, made or not; None for the existing index."""
        manifest = self._manifest()
        before = (manifest.profile, str(manifest.sampling.get("strategy", "")))
        wanted = (_profile(setup, manifest), setup.value("keyframes") or before[1])
        return None if wanted == before else self.folder / "-".join(wanted)

    def _store(self, place: Path | None) -> VectorStore:
        index = self.loaded.settings.index
        return open_store(place or Path(index.path), name=index.name, url="" if place else index.url)

    def _manifest(self) -> Manifest:
        with closing(self._store(None)) as store:
            return _manifest_of(store)


def _profile(setup: Setup, manifest: Manifest) -> str:
    asked = setup.value("profile")
    return choose_profile(asked).profile.name if asked else manifest.profile


def _manifest_of(store: VectorStore) -> Manifest:
    manifest = store.read_manifest()
    if manifest is None:
        raise IndexDamagedError("The index does not say how it was made.", hint="Index into a new folder.")
    return manifest
