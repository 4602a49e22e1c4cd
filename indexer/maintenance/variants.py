"""The same library indexed in another way, in a folder of its own beside the index, to compare the two."""

from __future__ import annotations

from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from indexer.config import CorpusSettings, IndexSettings, LoadedSettings, ModelSettings, ShotSettings
from indexer.modalities.registry import all_roles, modalities, space_of
from indexer.models.profiles import OFF
from indexer.progress import IndexReport, ProgressReport
from indexer.run import run_indexing
from indexer.store import open_store
from indexer.store.base import Commit, Manifest, VectorStore
from indexer.store.commits import Committer
from indexer.store.lock import writing


def index_variant(
    loaded: LoadedSettings,
    manifest: Manifest,
    place: Path,
    *,
    profile: str,
    strategy: str = "",
    on_progress: ProgressReport | None = None,
) -> IndexReport:
    """Make the index in ``place``, or bring it up to date; what is there already is not encoded again.

    With the same models, only what is made of keyframes is made anew; the rest is copied. ``loaded`` and ``manifest``
    are those of the index; without a strategy, keyframes are chosen as they are there.

    Raises:
        SceneseekError: as indexing raises it.
    """
    index = loaded.settings.index
    if profile == manifest.profile:
        with (
            writing(place),
            closing(open_store(Path(index.path), name=index.name, url=index.url)) as source,
            closing(open_store(place, name=index.name, create=True)) as target,
        ):
            copy_without_keyframes(source, target)
    return run_indexing(manifest.roots, _settings(loaded, manifest, place, profile, strategy), on_progress=on_progress)


def copy_without_keyframes(source: VectorStore, target: VectorStore) -> None:
    """Copy an index without what is made of keyframes; videos that the target knows are left as they are there."""
    manifest = source.read_manifest()
    if manifest is not None and target.read_manifest() is None:
        target.write_manifest(manifest)
    committer = Committer(target)
    known = {key for key, commit in committer.commits.items() if commit.state != "pending"}
    for key, commit in source.commits().items():
        if commit.is_searchable and key not in known:
            _copy_video(source, committer, commit)


def _copy_video(source: VectorStore, committer: Committer, commit: Commit) -> None:
    copied = {each.name for each in modalities() if each.needs != "keyframes"}
    kept = {name: state for name, state in commit.modalities.items() if name in copied}
    writer = committer.begin(replace(commit, state="pending", modalities={}), kept)
    for space in sorted({space_of(name) for name in kept}):
        records = source.records(space, video_id=commit.video.id, vectors=True)
        writer.add([record for record in records if record.modality in kept])
    committer.write(replace(commit, modalities=kept))


def _settings(loaded: LoadedSettings, manifest: Manifest, place: Path, profile: str, strategy: str) -> LoadedSettings:
    """The settings in force, changed to index the same files into ``place``."""
    settings = loaded.settings
    known = {field.name for field in fields(ShotSettings)}
    sampling = {name: value for name, value in manifest.sampling.items() if name in known}
    if strategy:
        sampling["strategy"] = strategy
    corpus: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in manifest.corpus.items()
    }
    changed = replace(
        settings,
        index=IndexSettings(str(place), settings.index.name),
        shots=replace(settings.shots, **sampling),
        corpus=CorpusSettings(**corpus),
        models=_models(settings.models, manifest, profile),
    )
    # As flags, so that these settings win over those that the variant was made with.
    flags = {name: "flag" for name in loaded.origins if name.startswith(("shots.", "corpus."))}
    return LoadedSettings(changed, {**loaded.origins, **flags})


def _models(settings: ModelSettings, manifest: Manifest, profile: str) -> ModelSettings:
    """For the index's own profile its very models; for another one, that profile's picture and text models."""
    if profile != manifest.profile:
        specs = {role: spec for role, spec in settings.specs.items() if role not in ("frames", "text")}
    else:
        specs = {role: manifest.models[role][0] if role in manifest.models else OFF for role in all_roles()}
    return replace(settings, profile=profile, specs=specs)
