"""Taking videos out of an index."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from indexer.core.errors import QueryError
from indexer.core.types import Space
from indexer.store.base import Commit, VectorStore
from indexer.store.thumbnails import ThumbnailFolder

__all__ = ["find_videos", "has_orphans", "remove_videos"]

_SHORTEST_ID = 6
_SPACES: tuple[Space, ...] = ("frames", "text", "audio")


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


def remove_videos(store: VectorStore, thumbnails: ThumbnailFolder, video_ids: Sequence[str]) -> None:
    """Delete videos' records, thumbnails and commits; a cut half-way leaves a commit that says it is not whole."""
    commits = store.commits()
    for video_id in video_ids:
        if video_id in commits:
            store.write_commit(replace(commits[video_id], state="pending"))
        store.delete_records(video_id)
        thumbnails.delete(video_id)
        store.delete_commit(video_id)


def has_orphans(store: VectorStore, video_id: str) -> bool:
    """Whether there are records of a video that the index does not know."""
    if video_id in store.commits():
        return False
    return any(True for space in _SPACES for _ in store.records(space, video_id=video_id))
