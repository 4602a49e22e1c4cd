"""An index in memory with exact search: for programs that need no database, and the reference in tests."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import numpy as np

from indexer.core.errors import IndexDamagedError
from indexer.core.text import squeezed
from indexer.core.types import Embedding, ModalityName, Record, Space
from indexer.store.base import Commit, Manifest, searched_text

_NO_VECTOR: Embedding = np.empty(0, dtype=np.float32)


class MemoryStore:
    """A ``VectorStore`` over dictionaries; ties in ``nearest`` are broken by record id."""

    def __init__(self) -> None:
        self._records: dict[Space, dict[str, Record]] = {"frames": {}, "text": {}, "audio": {}}
        self._commits: dict[str, Commit] = {}
        self._manifest: Manifest | None = None
        self._closed = False

    def read_manifest(self) -> Manifest | None:
        self._check_open()
        return self._manifest

    def write_manifest(self, manifest: Manifest) -> None:
        self._check_open()
        self._manifest = manifest

    def commits(self) -> dict[str, Commit]:
        self._check_open()
        return dict(self._commits)

    def write_commit(self, commit: Commit) -> None:
        self._check_open()
        self._commits[commit.video.id] = commit

    def delete_commit(self, video_id: str) -> None:
        self._check_open()
        self._commits.pop(video_id, None)

    def upsert(self, records: Sequence[Record]) -> None:
        self._check_open()
        for record in records:
            self._records[record.space][record.id] = record

    def delete_records(self, video_id: str, modalities: Collection[ModalityName] | None = None) -> None:
        self._check_open()
        for space, kept in self._records.items():
            self._records[space] = {
                key: record
                for key, record in kept.items()
                if record.video_id != video_id or (modalities is not None and record.modality not in modalities)
            }

    def nearest(
        self,
        space: Space,
        vector: Embedding,
        limit: int,
        *,
        video_ids: Collection[str] | None = None,
        modalities: Collection[ModalityName] | None = None,
    ) -> list[Record]:
        self._check_open()
        allowed = self._allowed(space, video_ids, modalities)
        ranked = sorted(allowed, key=lambda record: (-float(record.vector @ vector), record.id))
        return ranked[:limit]

    def containing(
        self,
        space: Space,
        words: Collection[str],
        limit: int | None,
        *,
        video_ids: Collection[str] | None = None,
        modalities: Collection[ModalityName] | None = None,
        vectors: bool = True,
    ) -> list[Record]:
        self._check_open()
        sought = {squeezed(word) for word in words} - {""}
        found = [
            record if vectors else replace(record, vector=_NO_VECTOR)
            for record in self._allowed(space, video_ids, modalities)
            if any(word in searched_text(record) for word in sought)
        ]
        return found[:limit]

    def records(self, space: Space, *, video_id: str | None = None, vectors: bool = False) -> Iterator[Record]:
        self._check_open()
        for record in list(self._records[space].values()):
            if video_id is None or record.video_id == video_id:
                yield record if vectors else replace(record, vector=_NO_VECTOR)

    def count(self, space: Space) -> int:
        self._check_open()
        return len(self._records[space])

    def refresh(self) -> bool:
        self._check_open()
        return False

    def disk_bytes(self) -> int:
        return 0

    def close(self) -> None:
        self._closed = True

    def _allowed(
        self, space: Space, video_ids: Collection[str] | None, modalities: Collection[ModalityName] | None
    ) -> list[Record]:
        return [
            record
            for record in self._records[space].values()
            if (video_ids is None or record.video_id in video_ids)
            and (modalities is None or record.modality in modalities)
        ]

    def _check_open(self) -> None:
        if self._closed:
            raise IndexDamagedError("This index has been closed.", hint="Open it again.")
