"""What an index stores, and the protocol that every store offers.

An index has three collections of records, one per embedding space (``frames``, ``text``, ``audio``), and a catalogue
with one ``Commit`` per video. ``store.commits`` says in which order they are written. Search reads only committed
videos.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from indexer.core.text import squeezed
from indexer.core.types import Embedding, Facet, ModalityName, Record, Space, Video
from indexer.models.base import Fingerprint

__all__ = ["Commit", "CommitState", "Location", "Manifest", "ModalityState", "VectorStore", "searched_text"]

CommitState: TypeAlias = Literal["pending", "committed", "failed"]


@dataclass(frozen=True, slots=True)
class Location:
    """A file that holds a video's content, as it was when it was last seen.

    ``root`` is the folder (or the file) asked for. ``device`` numbers the file system it lay on, 0 if unknown.
    """

    path: Path
    root: Path
    size: int
    mtime_ns: int
    device: int = 0


@dataclass(frozen=True, slots=True)
class ModalityState:
    """What one modality of one video holds: by which model (or settings) it was made, and how many records."""

    fingerprint: str
    count: int


@dataclass(frozen=True, slots=True)
class Commit:
    """The commit marker: a video's facts and what the index holds about it.

    ``locations[0]`` is where ``video.path`` points; further ones are copies. ``sidecars`` is a digest of the names,
    sizes and times of the files beside the video. ``failure`` says why a failed video failed; ``warnings`` what a
    committed one lacks. ``told`` are the facts from its subtitles; facts from listening win over them.

    ``object_maximum`` and ``object_mean`` say for each class of the detector how probable it is at best and on average
    over all keyframes, in [0, 1]; empty without objects.
    """

    video: Video
    state: CommitState
    locations: tuple[Location, ...]
    modalities: Mapping[ModalityName, ModalityState] = field(default_factory=dict)
    sidecars: str = ""
    shots: int = 0
    corrupt_packets: int = 0
    failure: str = ""
    warnings: tuple[str, ...] = ()
    indexed_at: str = ""
    told: Mapping[str, Facet] = field(default_factory=dict)
    object_maximum: tuple[float, ...] = ()
    object_mean: tuple[float, ...] = ()

    @property
    def is_searchable(self) -> bool:
        """Whether the video's records are complete."""
        return self.state == "committed"

    def count(self, space_modalities: Collection[ModalityName]) -> int:
        """How many records of these modalities the index holds for the video."""
        return sum(state.count for name, state in self.modalities.items() if name in space_modalities)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an index is made with, decided once when it is created.

    ``models`` maps a role (``frames``, ``text``) to the choice's spec as ``family:name`` and its fingerprint;
    ``roots`` are the folders and files that were indexed; ``corpus`` are the settings by which
    files were chosen and labelled, ``sampling`` those by which keyframes were, ``speech_always`` whether videos with
    subtitles were listened to.
    """

    profile: str
    models: Mapping[str, tuple[str, Fingerprint]]
    created_at: str
    schema: int = 1
    roots: tuple[Path, ...] = ()
    corpus: Mapping[str, Any] = field(default_factory=dict)
    sampling: Mapping[str, Any] = field(default_factory=dict)
    speech_always: bool = False


class VectorStore(Protocol):
    """Where records, commits and the manifest live. Every method may raise ``IndexDamagedError``."""

    def read_manifest(self) -> Manifest | None:
        """The manifest, or None for an index just made."""

    def write_manifest(self, manifest: Manifest) -> None:
        """Replace the manifest."""

    def commits(self) -> dict[str, Commit]:
        """Every commit by video id, as it is on disk now (also what another process has just written)."""

    def write_commit(self, commit: Commit) -> None:
        """Insert or replace one video's commit."""

    def delete_commit(self, video_id: str) -> None:
        """Forget one video's commit; its records are deleted first, by ``delete_records``."""

    def upsert(self, records: Sequence[Record]) -> None:
        """Insert or replace records by id, in as many batches as the database wants."""

    def delete_records(self, video_id: str, modalities: Collection[ModalityName] | None = None) -> None:
        """Delete a video's records, all of them or those of some modalities."""

    def nearest(
        self,
        space: Space,
        vector: Embedding,
        limit: int,
        *,
        video_ids: Collection[str] | None = None,
        modalities: Collection[ModalityName] | None = None,
    ) -> list[Record]:
        """At most ``limit`` records of a space nearest to ``vector`` ``(dim,)`` by cosine, best first, vectors
        included.

        The database may be approximate; the caller computes the exact cosine from the vectors it gets.
        """

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
        """At most ``limit`` records of a space (None: all) whose text has at least one of the words in it, in no
        particular order; ``vector`` is empty where it is not asked for.

        Case, accents, spaces and punctuation do not matter, neither in the words (which may be phrases) nor in the
        text, and a word may be part of a longer one: see ``searched_text``. A word without letters is in no text.
        """

    def records(self, space: Space, *, video_id: str | None = None, vectors: bool = False) -> Iterator[Record]:
        """Every record of a space, or of one video in it, in no particular order; ``vector`` is empty unless asked
        for.
        """

    def count(self, space: Space) -> int:
        """How many records a space holds, committed or not."""

    def refresh(self) -> bool:
        """See what other processes have committed since; True if anything may have changed."""

    def disk_bytes(self) -> int:
        """How much the index takes on disk; 0 where that is unknown."""

    def close(self) -> None:
        """Let go of the database; further calls raise. Does nothing the second time."""


def searched_text(record: Record) -> str:
    """What of a record ``VectorStore.containing`` looks at: its squeezed text and the squeezed names of what was seen,
    one to a line, so that no word runs from one into the next.
    """
    names = {squeezed(sighting.label) for sighting in record.sightings}
    return "\n".join([squeezed(record.text), *sorted(names)])
