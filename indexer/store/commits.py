"""The one protocol by which an index is written.

A video's commit names what the index holds of it. The order of every change keeps it true at each step, so that an
interruption at any point leaves nothing that the next run would take for complete:

1. write the commit without the modalities about to change (``pending`` for a new video),
2. delete their records,
3. insert their new records,
4. write the complete commit.

A video is forgotten in the order: pending, records, thumbnails, commit. Record ids are deterministic, so a repeated
insert changes nothing. Any number of videos may be under way at once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from indexer.core.types import Keyframe, ModalityName, Record, Video
from indexer.store.base import Commit, Location, ModalityState, VectorStore
from indexer.store.thumbnails import ThumbnailFolder

__all__ = ["Committer", "VideoWriter", "at_location"]

# The fingerprint of records that are being deleted.
_DROPPED = "dropped"


class Committer:
    """Writes videos into an index. The caller holds the right to write (``store.lock.writing``).

    Args:
        store: The index.
        thumbnails: Where keyframes' thumbnails are kept; None writes none.
    """

    def __init__(self, store: VectorStore, thumbnails: ThumbnailFolder | None = None) -> None:
        self._store = store
        self._thumbnails = thumbnails
        self.commits: dict[str, Commit] = store.commits()
        """Every commit by video id, as it is in the index now."""

    def begin(self, commit: Commit, modalities: Collection[ModalityName]) -> VideoWriter:
        """Give up what the index holds of some modalities, to write them anew.

        Args:
            commit: The video's commit in force, or a ``pending`` one for a new video.
            modalities: Those about to be written.
        """
        self.write(_without(commit, modalities))
        self.delete_records(commit.video.id, modalities)
        if "frames" in modalities and self._thumbnails:
            self._thumbnails.delete(commit.video.id)
        return VideoWriter(self._store, self._thumbnails, dict.fromkeys(modalities, 0))

    def write(self, commit: Commit) -> None:
        """Write a commit whose records are all there."""
        self._store.write_commit(commit)
        self.commits[commit.video.id] = commit

    def delete_records(self, video_id: str, modalities: Collection[ModalityName]) -> None:
        """Delete records that no complete commit counts."""
        if modalities:
            self._store.delete_records(video_id, modalities)

    def replace(self, commit: Commit) -> None:
        """Write a commit in place of all that the index holds of the video, such as that it failed."""
        self._store.delete_records(commit.video.id)
        self.write(commit)

    def drop(self, video_id: str, modalities: Collection[ModalityName], video: Video) -> None:
        """Take modalities out of a video; ``video`` are its facts without them.

        They are marked stale first, so that a run that wants them again makes them anew, whatever was deleted.
        """
        commit = self.commits[video_id]
        stale = {name: ModalityState(_DROPPED, commit.modalities[name].count) for name in modalities}
        self.write(replace(commit, modalities={**commit.modalities, **stale}))
        self.delete_records(video_id, modalities)
        self.write(_without(replace(commit, video=video), modalities))

    def move(self, video_id: str, locations: Sequence[Location]) -> None:
        """Note where the video's files lie now; the first is the one that speaks for it."""
        self.write(at_location(self.commits[video_id], locations))

    def forget(self, video_id: str) -> None:
        """Take a video out of the index. An interruption leaves it pending, and the next run forgets it."""
        if video_id in self.commits:
            self._store.write_commit(replace(self.commits[video_id], state="pending"))
        self._store.delete_records(video_id)
        if self._thumbnails:
            self._thumbnails.delete(video_id)
        self._store.delete_commit(video_id)
        self.commits.pop(video_id, None)


@dataclass(slots=True)
class VideoWriter:
    """Takes the records of one video between ``Committer.begin`` and the complete commit. ``counts`` says how many."""

    store: VectorStore
    thumbnails: ThumbnailFolder | None
    counts: dict[ModalityName, int] = field(default_factory=dict)

    def add(self, records: Sequence[Record], keyframes: Sequence[Keyframe] = ()) -> None:
        """Insert records, and thumbnails of keyframes."""
        self.store.upsert(records)
        for record in records:
            self.counts[record.modality] += 1
        if self.thumbnails:
            for keyframe in keyframes:
                self.thumbnails.save(keyframe.video_id, keyframe.time_s, keyframe.image)

    def states(self, fingerprints: Mapping[ModalityName, str]) -> dict[ModalityName, ModalityState]:
        """What was written of each modality, with the fingerprint of what made it."""
        return {name: ModalityState(fingerprints[name], count) for name, count in self.counts.items()}


def at_location(commit: Commit, locations: Sequence[Location]) -> Commit:
    """The commit with its video at the first of some locations."""
    first = locations[0]
    video = replace(commit.video, path=first.path, size=first.size, mtime_ns=first.mtime_ns)
    return replace(commit, locations=tuple(locations), video=video)


def _without(commit: Commit, modalities: Collection[ModalityName]) -> Commit:
    """The commit without some modalities, and without the class probabilities that go with objects."""
    left = {name: state for name, state in commit.modalities.items() if name not in modalities}
    if "objects" in modalities:
        commit = replace(commit, object_maximum=(), object_mean=())
    return replace(commit, modalities=left)
