"""Inspects an index without changing it: what it holds, and whether its records match its commits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from indexer.core.types import ModalityName, Space
from indexer.modalities.registry import modality_names, space_of
from indexer.plan import SUBTITLED, UNREAD_PREFIX
from indexer.store.base import Commit, Manifest, VectorStore

_SPACES: tuple[Space, ...] = ("frames", "text", "audio")


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """What an index holds. ``records`` counts by modality; ``failures`` and ``warnings`` are (path, reason)."""

    videos: int
    failed: int
    unfinished: int
    media_s: float
    shots: int
    records: Mapping[str, int]
    labels: Mapping[str, int]
    failures: tuple[tuple[Path, str], ...]
    warnings: tuple[tuple[Path, str], ...]
    missing_files: tuple[Path, ...]
    manifest: Manifest | None
    disk_bytes: int


@dataclass(frozen=True, slots=True)
class Problem:
    """A contradiction in the index, and the command that repairs it."""

    what: str
    remedy: str


def inspect_index(store: VectorStore) -> IndexStatus:
    """Sum up the commits."""
    commits = list(store.commits().values())
    whole = [commit for commit in commits if commit.state == "committed"]
    records: Counter[str] = Counter()
    for commit in whole:
        records.update({modality: state.count for modality, state in commit.modalities.items()})
    return IndexStatus(
        videos=len(whole),
        failed=sum(commit.state == "failed" for commit in commits),
        unfinished=sum(commit.state == "pending" for commit in commits),
        media_s=sum(commit.video.duration_s for commit in whole),
        shots=sum(commit.shots for commit in whole),
        records={modality: records[modality] for modality in modality_names() if records[modality]},
        labels=dict(Counter(commit.video.label for commit in whole if commit.video.label).most_common()),
        failures=tuple(sorted((commit.video.path, commit.failure) for commit in commits if commit.state == "failed")),
        warnings=tuple(sorted((commit.video.path, warning) for commit in whole for warning in commit.warnings)),
        missing_files=tuple(sorted(commit.video.path for commit in whole if not commit.video.path.exists())),
        manifest=store.read_manifest(),
        disk_bytes=store.disk_bytes(),
    )


def verify_index(store: VectorStore) -> list[Problem]:
    """Compare every record with the commits and the manifest; slow for a large index. Empty if all is well."""
    commits, manifest = store.commits(), store.read_manifest()
    counted = _count_records(store)
    return [
        *_manifest_problems(manifest),
        *(problem for commit in commits.values() for problem in _commit_problems(commit, counted, manifest)),
        *_orphans(commits, counted),
    ]


def _count_records(store: VectorStore) -> Counter[tuple[str, ModalityName]]:
    counted: Counter[tuple[str, ModalityName]] = Counter()
    for space in _SPACES:
        counted.update((record.video_id, record.modality) for record in store.records(space))
    return counted


def _manifest_problems(manifest: Manifest | None) -> Iterator[Problem]:
    if manifest is None:
        yield Problem("The index does not say with which models it was made.", "Run 'sceneseek index' again.")


def _commit_problems(
    commit: Commit, counted: Counter[tuple[str, ModalityName]], manifest: Manifest | None
) -> Iterator[Problem]:
    path = commit.video.path
    if commit.state == "pending":
        yield Problem(f"{path} was not finished: a run was cut off.", "Run 'sceneseek index' again.")
        return
    if commit.state == "failed" and not commit.video.id.startswith(UNREAD_PREFIX):
        if any(counted[commit.video.id, modality] for modality in modality_names()):
            yield Problem(f"{path} failed, and has records all the same.", f"Run 'sceneseek remove {commit.video.id}'.")
        return
    for modality in modality_names():
        if modality not in commit.modalities and (count := counted[commit.video.id, modality]):
            what = f"{path}: {count} {modality} records belong to no commit."
            yield Problem(what, f"Run 'sceneseek index' again, after 'sceneseek remove {commit.video.id}' if need be.")
    for modality, state in commit.modalities.items():
        present = counted[commit.video.id, modality]
        if present != state.count:
            what = f"{path}: {state.count} {modality} records were committed, and {present} are there."
            yield Problem(what, f"Run 'sceneseek remove {commit.video.id}', then 'sceneseek index' again.")
        if (
            manifest is not None
            and modality in modality_names()
            and not _is_made_by(manifest, modality, state.fingerprint)
        ):
            yield Problem(f"{path}: its {modality} records are of another model.", "Run 'sceneseek index' again.")


def _is_made_by(manifest: Manifest, modality: ModalityName, fingerprint: str) -> bool:
    """Whether the fingerprint begins with that of the manifest's model for the modality's space."""
    space = space_of(modality)
    role = "sounds" if space == "audio" else space
    if role not in manifest.models or fingerprint == SUBTITLED:
        return True
    return fingerprint.startswith(manifest.models[role][1].digest)


def _orphans(commits: Mapping[str, Commit], counted: Counter[tuple[str, ModalityName]]) -> Iterator[Problem]:
    for video_id in sorted({video_id for video_id, _ in counted} - set(commits)):
        count = sum(number for (owner, _), number in counted.items() if owner == video_id)
        yield Problem(f"{count} records belong to no video ({video_id}).", f"Run 'sceneseek remove {video_id}'.")
