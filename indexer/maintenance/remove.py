"""Taking videos out of an index."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from indexer.core.errors import QueryError
from indexer.store.base import Commit, VectorStore
from indexer.store.commits import Committer
from indexer.store.thumbnails import ThumbnailFolder

__all__ = ["RemovalReport", "find_videos", "has_orphans", "remove_root", "remove_videos"]

_SHORTEST_ID = 6
RemovalReport: TypeAlias = Callable[[int, int, Path], None]
"""Called before each removal with how many are done, how many there are, and the path of the next."""


def find_videos(commits: Mapping[str, Commit], name: str) -> list[Commit]:
    """The videos that a name stands for: an id (or its first digits, if unambiguous), a file, or a folder.

    Raises:
        QueryError: the name stands for no video, or digits stand for several.
    """
    path = Path(os.path.abspath(name))  # noqa: PTH100 - links are left as the index knows them
    by_path = [commit for commit in commits.values() if any(p.path.is_relative_to(path) for p in commit.locations)]
    if by_path:
        return by_path
    by_id = [commit for key, commit in commits.items() if len(name) >= _SHORTEST_ID and key.startswith(name.lower())]
    if len(by_id) > 1:
        raise QueryError(f"{len(by_id)} videos have an id that begins with {name}.", hint="Give more of its digits.")
    if not by_id:
        raise QueryError(
            f"The index holds no video '{name}'.", hint="Give a path or an id; 'sceneseek export' lists them."
        )
    return by_id


def remove_videos(
    store: VectorStore,
    thumbnails: ThumbnailFolder,
    video_ids: Collection[str],
    report: RemovalReport | None = None,
) -> int:
    """Take videos out of the index; their files stay. The caller holds the right to write.

    Returns:
        How many the index held.
    """
    return _forget(Committer(store, thumbnails), video_ids, report)


def remove_root(
    store: VectorStore, thumbnails: ThumbnailFolder, root: Path, report: RemovalReport | None = None
) -> int:
    """Take an indexed folder out of the index, with its videos. A video with a copy elsewhere stays.

    Returns:
        How many videos were removed.
    """
    committer = Committer(store, thumbnails)
    gone = []
    for video_id, commit in list(committer.commits.items()):
        elsewhere = [place for place in commit.locations if not place.path.is_relative_to(root)]
        if not elsewhere:
            gone.append(video_id)
        elif len(elsewhere) < len(commit.locations):
            committer.move(video_id, elsewhere)
    removed = _forget(committer, gone, report)
    # The root goes last: an interrupted removal still shows the folder, to be removed once more.
    manifest = store.read_manifest()
    if manifest is not None:
        store.write_manifest(replace(manifest, roots=tuple(other for other in manifest.roots if other != root)))
    return removed


def _forget(committer: Committer, video_ids: Collection[str], report: RemovalReport | None) -> int:
    known = [video_id for video_id in video_ids if video_id in committer.commits]
    for done, video_id in enumerate(known):
        if report is not None:
            report(done, len(known), committer.commits[video_id].video.path)
        committer.forget(video_id)
    for video_id in set(video_ids) - set(known):
        committer.forget(video_id)  # records that no commit names
    return len(known)


def has_orphans(store: VectorStore, video_id: str) -> bool:
    """Whether there are records of a video that the index does not know."""
    if video_id in store.commits():
        return False
    return any(True for space in ("frames", "text", "audio") for _ in store.records(space, video_id=video_id))
