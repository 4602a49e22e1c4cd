"""The same library indexed in other ways, beside the index there is, for comparing them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from indexer.core.config import CorpusSettings, IndexSettings, LoadedSettings, ModelSettings, ShotSettings
from indexer.core.errors import IndexDamagedError
from indexer.core.types import SPACE_OF_MODALITY, Space
from indexer.manifest import models_of
from indexer.modalities.registry import all_roles, modality
from indexer.models.base import FrameEncoder
from indexer.models.profiles import OFF, choose_profile
from indexer.progress import IndexReport, Progress
from indexer.run import run_indexing
from indexer.store import open_store
from indexer.store.base import Commit, Manifest, VectorStore
from indexer.store.lock import writing
from search.engine import SearchEngine
from search.evaluate.setups import Setup

__all__ = ["IndexVariants", "copy_but_frames"]

SPACES: tuple[Space, ...] = ("frames", "text", "audio")


@dataclass(frozen=True, slots=True)
class IndexVariants:
    """Finds or makes the index for each way of indexing.

    Args:
        loaded: The settings; those of the index say which one is to be varied.
        folder: Where further indexes are kept, one folder each; they are found there again.
    """

    loaded: LoadedSettings
    folder: Path

    def profile_of(self, setup: Setup, manifest: Manifest) -> str:
        """The name of the profile that a setup means.

        Raises:
            ConfigError: there is none of that name.
        """
        asked = setup.value("profile")
        return choose_profile(asked).profile.name if asked else manifest.profile

    def place(self, setup: Setup) -> Path | None:
        """The folder of the index for a setup, made or not; None if the index there is will do.

        Raises:
            StoreError: there is no index to start from.
            ConfigError: there is no such profile.
        """
        manifest = self._manifest()
        before = (manifest.profile, str(manifest.sampling.get("strategy", "")))
        wanted = (self.profile_of(setup, manifest), setup.value("keyframes") or before[1])
        return None if wanted == before else self.folder / "-".join(wanted)

    def prepare(self, setup: Setup, progress: Callable[[Progress], None] | None = None) -> IndexReport | None:
        """Make the index for a setup, or bring it up to date; what is there already is not encoded again.

        With the same models, only what is made of keyframes is made anew; the rest is copied.

        Raises:
            SceneseekError: as indexing raises it.
        """
        place = self.place(setup)
        if place is None:
            return None
        manifest = self._manifest()
        loaded = self._settings(setup, manifest, place)
        if self.profile_of(setup, manifest) == manifest.profile:
            self._copy_to(place)
        return run_indexing(manifest.roots, loaded, on_progress=progress)

    def open(self, setup: Setup) -> SearchEngine:
        """Search the index for a setup.

        Raises:
            StoreError: it is not there, or cannot be opened.
        """
        index, place = self.loaded.settings.index, self.place(setup)
        return SearchEngine.open(
            place or index.path,
            name=index.name,
            url="" if place else index.url,
            device=self.loaded.settings.models.device,
        )

    def open_store(self, setup: Setup) -> VectorStore:
        """Read the index for a setup, without a search engine; the caller closes it.

        Raises:
            StoreError: it is not there, or cannot be opened.
        """
        index, place = self.loaded.settings.index, self.place(setup)
        return self._store() if place is None else open_store(place, name=index.name)

    def frame_encoder(self, store: VectorStore) -> FrameEncoder:
        """The picture model that the index in a store was made with, not loaded yet.

        Raises:
            StoreError: the index does not say, or cannot be read.
            ModelError: the model is not here, or is another one by now.
        """
        return models_of(_manifest_of(store), device=self.loaded.settings.models.device, roles=()).frames

    def _store(self) -> VectorStore:
        index = self.loaded.settings.index
        return open_store(Path(index.path), name=index.name, url=index.url)

    def _manifest(self) -> Manifest:
        with closing(self._store()) as store:
            return _manifest_of(store)

    def _copy_to(self, place: Path) -> None:
        with writing(place), closing(self._store()) as source:
            target = open_store(place, name=self.loaded.settings.index.name, create=True)
            with closing(target):
                copy_but_frames(source, target)

    def _settings(self, setup: Setup, manifest: Manifest, place: Path) -> LoadedSettings:
        """The settings in force, changed to index the same files, with the models and the keyframes of the setup."""
        settings = self.loaded.settings
        profile = self.profile_of(setup, manifest)
        changed = replace(
            settings,
            index=IndexSettings(str(place), settings.index.name),
            shots=_shots(settings.shots, manifest, setup.value("keyframes")),
            corpus=CorpusSettings(**_as_tuples(manifest.corpus)),
            models=_models(settings.models, manifest, profile),
        )
        # What an index remembers of itself gives way only to what was asked for.
        asked = {name: "flag" for name in self.loaded.origins if name.startswith(("shots.", "corpus."))}
        return LoadedSettings(changed, {**self.loaded.origins, **asked})


def _manifest_of(store: VectorStore) -> Manifest:
    manifest = store.read_manifest()
    if manifest is None:
        raise IndexDamagedError("The index does not say how it was made.", hint="Index into a new folder.")
    return manifest


def copy_but_frames(source: VectorStore, target: VectorStore) -> None:
    """Copy an index without what is made of keyframes; videos that the target knows are left as they are there."""
    manifest = source.read_manifest()
    if manifest is not None and target.read_manifest() is None:
        target.write_manifest(manifest)
    known = {key for key, commit in target.commits().items() if commit.state != "pending"}
    for key, commit in source.commits().items():
        if commit.is_searchable and key not in known:
            _copy_video(source, target, commit)


def _copy_video(source: VectorStore, target: VectorStore, commit: Commit) -> None:
    """In the order of writing that indexing keeps to: a copy that is cut off is pending."""
    kept = {name: state for name, state in commit.modalities.items() if modality(name).needs != "keyframes"}
    target.write_commit(replace(commit, state="pending", modalities={}))
    for space in SPACES:
        if any(SPACE_OF_MODALITY[name] == space for name in kept):
            records = source.records(space, video_id=commit.video.id, vectors=True)
            target.upsert([record for record in records if record.modality in kept])
    target.write_commit(replace(commit, modalities=kept))


def _shots(settings: ShotSettings, manifest: Manifest, strategy: str) -> ShotSettings:
    names = {key.name for key in fields(ShotSettings)}
    before = {name: value for name, value in manifest.sampling.items() if name in names}
    return replace(settings, **{**before, **({"strategy": strategy} if strategy else {})})


def _models(settings: ModelSettings, manifest: Manifest, profile: str) -> ModelSettings:
    """With the profile of the index, its very models; with another one, that profile's for pictures and texts."""
    if profile != manifest.profile:
        return replace(settings, profile=profile, frames="", text="")
    specs: dict[str, Any] = {role: manifest.models[role][0] if role in manifest.models else OFF for role in all_roles()}
    return replace(settings, profile=profile, **specs)


def _as_tuples(corpus: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in corpus.items()}
