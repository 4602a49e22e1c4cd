"""One indexing run from settings to report: the parts are built here, and only here, and handed to the pipeline."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from indexer.core.config import CorpusSettings, LoadedSettings, Settings
from indexer.core.errors import UsageError
from indexer.core.types import ModalityName
from indexer.corpus.find import Corpus, find_corpus
from indexer.corpus.labels import Labels, read_labels
from indexer.encoding import ENCODING_VERSIONS
from indexer.manifest import (
    RoleChanges,
    changed_manifest,
    found_index,
    new_manifest,
    outermost,
    remembering,
    sampling_of,
    set_aside,
)
from indexer.models.base import OPTIONAL_ROLES, Models
from indexer.models.devices import leave_room_for_decoding
from indexer.pipeline import Indexer, IndexReport, ProgressReport, index_corpus
from indexer.reading import OF_KEYFRAMES, Reading, text_sampling
from indexer.shots.select import Sampling
from indexer.store import open_store
from indexer.store.base import Manifest, VectorStore
from indexer.store.lock import writing
from indexer.store.thumbnails import ThumbnailFolder

__all__ = ["RunOptions", "RunStart", "run_indexing"]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What one run does besides the settings."""

    retry_failed: bool = False
    sweep_empty_roots: bool = False
    changes: RoleChanges = field(default_factory=RoleChanges)


@dataclass(frozen=True, slots=True)
class RunStart:
    """What is known before the first video is opened.

    ``reason`` says why these models, for an index just made; ``notes`` what in the settings has no effect.
    """

    manifest: Manifest
    corpus: Corpus
    labels: Labels
    reason: str
    notes: tuple[str, ...] = ()


def run_indexing(
    paths: Sequence[Path],
    loaded: LoadedSettings,
    *,
    options: RunOptions = RunOptions(),
    on_start: Callable[[RunStart], None] | None = None,
    on_progress: ProgressReport | None = None,
) -> IndexReport:
    """Index ``paths``, or what was indexed before if there are none.

    Raises:
        UsageError: there is nothing to index.
        IndexBusyError: another process is writing this index.
        IndexIncompatibleError: the index was made with other models than those asked for.
        SceneseekError: as the parts raise it.
    """
    settings = loaded.settings
    index = Path(settings.index.path)
    _check_paths(paths)
    if not paths:
        open_store(index, name=settings.index.name, url=settings.index.url).close()
    with writing(index):
        store = open_store(index, name=settings.index.name, url=settings.index.url, create=True)
        try:
            manifest, models, reason = _settle(store, loaded, options.changes)
            sampling, choosing = _as_before(manifest, loaded)
            corpus, labels = _look_around(_roots(paths, manifest), manifest, choosing, index)
            manifest = remembering(manifest, corpus, sampling, choosing, forget_missing=options.sweep_empty_roots)
            manifest = replace(manifest, speech_always=_listens_always(manifest, loaded))
            store.write_manifest(manifest)
            if on_start is not None:
                on_start(RunStart(manifest, corpus, labels, reason, set_aside(manifest, settings.models)))
            return index_corpus(
                corpus,
                labels,
                _indexer(store, models, sampling, settings, manifest.speech_always),
                report_progress=on_progress,
                retry_failed=options.retry_failed,
                sweep_empty_roots=options.sweep_empty_roots,
            )
        finally:
            store.close()


def _check_paths(paths: Sequence[Path]) -> None:
    missing = [str(path) for path in paths if not path.exists()]
    if missing and len(missing) == len(paths):
        raise UsageError(f"There is no {' and no '.join(missing)}.", hint="Name a folder of videos, or a video.")


def _settle(store: VectorStore, loaded: LoadedSettings, changes: RoleChanges) -> tuple[Manifest, Models, str]:
    settings = loaded.settings.models
    manifest = store.read_manifest()
    if manifest is None:
        return new_manifest(settings, sampling_of(loaded.settings.shots), changes)
    found_index(manifest, settings, changes)
    return *changed_manifest(manifest, settings, changes), ""


def _as_before(manifest: Manifest, loaded: LoadedSettings) -> tuple[Sampling, CorpusSettings]:
    """How keyframes and files are chosen: as when the index was last written, unless asked for otherwise now."""
    sampling = Sampling(**manifest.sampling) if _is_silent_about("shots", loaded) else None
    before: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in manifest.corpus.items()
    }
    choosing = CorpusSettings(**before) if _is_silent_about("corpus", loaded) else loaded.settings.corpus
    return sampling if sampling and manifest.sampling else sampling_of(loaded.settings.shots), choosing


def _is_silent_about(section: str, loaded: LoadedSettings) -> bool:
    return all(origin == "default" for name, origin in loaded.origins.items() if name.startswith(f"{section}."))


def _roots(paths: Sequence[Path], manifest: Manifest) -> Sequence[Path]:
    roots = paths or manifest.roots
    if not roots:
        raise UsageError("Nothing has been indexed yet.", hint="Name a folder: sceneseek index FOLDER.")
    return roots


def _look_around(
    roots: Sequence[Path], manifest: Manifest, choosing: CorpusSettings, index: Path
) -> tuple[Corpus, Labels]:
    """The files below the roots. Those of a folder within a known root keep that root, and with it their labels."""
    from indexer.media.read.probe import looks_like_media

    corpus = find_corpus(
        roots,
        looks_like_media=looks_like_media,
        exclude=choosing.exclude,
        follow_links=choosing.follow_links,
        index=index,
    )
    known = outermost((*manifest.roots, *corpus.roots))
    files = tuple(
        replace(found, root=next(root for root in known if found.path.is_relative_to(root))) for found in corpus.files
    )
    speaking = tuple(root for root in known if any(asked.is_relative_to(root) for asked in corpus.roots))
    return replace(corpus, files=files), read_labels(choosing.labels, speaking)


def _listens_always(manifest: Manifest, loaded: LoadedSettings) -> bool:
    """Whether to listen also where there are subtitles: as before, unless asked for otherwise now."""
    return manifest.speech_always if _is_silent_about("speech", loaded) else loaded.settings.speech.always


def _indexer(
    store: VectorStore, models: Models, sampling: Sampling, settings: Settings, speech_always: bool
) -> Indexer:
    reading = Reading(
        sampling,
        _wanted(models, sampling),
        settings.shots.max_side,
        settings.models.batch_size,
        speech_always,
    )
    thumbnails = ThumbnailFolder(Path(settings.index.path), settings.index.name)
    return Indexer(store, models, thumbnails, reading, leave_room_for_decoding)


def _wanted(models: Models, sampling: Sampling) -> Mapping[ModalityName, str]:
    """Every modality's fingerprint: that of the space it lives in, what made its text, and how frames were chosen."""
    chosen, chosen_for_text = _digest(sampling), _digest(text_sampling(sampling))
    digests = {role: fingerprint.digest for role, fingerprint in models.fingerprints.items()}
    text = digests["text"]
    parts: dict[ModalityName, tuple[str, ...]] = {
        "frames": (digests["frames"], chosen),
        "subtitle": (text,),
        "description": (text,),
    }
    for role in OPTIONAL_ROLES:
        if role in digests:
            space = () if role == "sounds" else (text,)
            sampled = (chosen,) if role in OF_KEYFRAMES else (chosen_for_text,) if role == "ocr" else ()
            parts[role] = (*space, digests[role], ENCODING_VERSIONS[role], *sampled)
    return {modality: "+".join(names) for modality, names in parts.items()}


def _digest(sampling: Sampling) -> str:
    return hashlib.blake2b(json.dumps(asdict(sampling), sort_keys=True).encode(), digest_size=4).hexdigest()
