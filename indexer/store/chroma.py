"""The index in Chroma: the only importer of chromadb.

Four collections per index name: ``NAME-frames``, ``NAME-text`` and ``NAME-audio`` hold records, ``NAME-videos`` the
commits. The manifest is the metadata of ``NAME-videos``.

A record's document is not its text but ``searched_text`` of it, which Chroma's full-text index (of three letters at a
time, case and accents told apart) then finds in any spelling; the text itself is metadata (``indexer.store.rows``).

An open Chroma client keeps answering from the vectors it had loaded while another process writes, so a store that
reads is opened anew once the database file has changed (``refresh``).
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
import secrets
import time
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

import numpy as np

from indexer.errors import (
    IndexBusyError,
    IndexDamagedError,
    IndexIncompatibleError,
    IndexMissingError,
    SceneseekError,
    StoreError,
)
from indexer.folding import squeezed
from indexer.store.base import Commit, Manifest, searched_text
from indexer.store.codec import decode_commit, decode_manifest, encode_commit, encode_manifest
from indexer.store.rows import facts_of, read_rows, storable
from indexer.types import Embedding, Modality, Record, Space

if TYPE_CHECKING:
    from chromadb.api.client import Client
    from chromadb.api.models.Collection import Collection as ChromaCollection

__all__ = ["ChromaStore"]

DATABASE_FILE = "chroma.sqlite3"
_PAGE = 2000
# Each page searches the texts anew, so they are larger; SQLite takes no more than 32,766 rows at a time.
_PAGE_OF_FOUND = 10_000
_WRITES_TO_READ = "Even a search writes to the database: use a copy of the index in a folder you may write to."
# What SQLite and Chroma say, what it means, and what to do.
_TROUBLES = (
    ("disk is full", "The disk of the index is full", "Make room and run it again; nothing is lost."),
    ("readonly", "The index cannot be written to", _WRITES_TO_READ),
    ("read-only", "The index cannot be written to", _WRITES_TO_READ),
    ("unable to open", "The index cannot be opened", "Check that its folder can be read and written."),
    ("expected a name", "The name of the index cannot be used", "Use 3 or more letters, digits, '.', '_' or '-'."),
    ("validation error", "The name of the index cannot be used", "Use 3 or more letters, digits, '.', '_' or '-'."),
)
_SPACES: tuple[Space, ...] = ("frames", "text", "audio")
_MOST_TRIES = 5

Answer = TypeVar("Answer")
# Over 14,400 frames, 0.74 of the ten nearest are among the first 50 with Chroma's 100, 0.97 with 400, for 5 ms more.
_HNSW = {"space": "cosine", "ef_search": 400}


@dataclass(frozen=True, slots=True, weakref_slot=True)
class _Opened:
    """One opening of the database; closed when nobody uses it any more."""

    client: Client
    videos: ChromaCollection
    spaces: Mapping[Space, ChromaCollection]
    batch: int


class ChromaStore:
    """A ``VectorStore`` over Chroma.

    Args:
        path: The folder of the database; ignored for the data itself when ``url`` is set.
        name: The index name, the first part of the collections' names.
        url: A Chroma server (``http://host:port``) instead of the folder.
        create: Whether to make what is not there yet.

    Raises:
        IndexMissingError: there is no such index and ``create`` is false.
        IndexDamagedError: there is something and it cannot be opened.
    """

    def __init__(self, path: Path, *, name: str = "sceneseek", url: str = "", create: bool = False) -> None:
        self._path = path
        self._name = name
        self._url = url
        self._asking, self._renewing = Lock(), Lock()
        self._seen = self._change_stamp()
        self._is_unreported = False
        self._opened: _Opened | None = self._open(create)
        self._opening_took_s = 0.0
        self._opened_at = time.monotonic()

    def read_manifest(self) -> Manifest | None:
        """See ``VectorStore``."""
        opened = self._database
        with _chroma_errors():
            fresh = opened.client.get_collection(opened.videos.name, embedding_function=None)
        text = (fresh.metadata or {}).get("manifest")
        return decode_manifest(str(text)) if text else None

    def write_manifest(self, manifest: Manifest) -> None:
        """See ``VectorStore``."""
        with _chroma_errors():
            self._database.videos.modify(metadata={"manifest": encode_manifest(manifest)})

    def commits(self) -> dict[str, Commit]:
        """See ``VectorStore``."""
        pages = self._asked(lambda opened: list(_pages(opened, opened.videos, (None, None), ["documents"])))
        rows = (row for page in pages for row in zip(page["ids"], page["documents"], strict=True))
        return {key: decode_commit(text) for key, text in rows}

    def write_commit(self, commit: Commit) -> None:
        """See ``VectorStore``."""
        video = commit.video
        with _chroma_errors():
            self._database.videos.upsert(
                ids=[video.id],
                embeddings=_placeholder(video.id),
                metadatas=[{"state": commit.state, "path": storable(str(video.path)), "label": storable(video.label)}],
                documents=[encode_commit(commit)],
            )

    def delete_commit(self, video_id: str) -> None:
        """See ``VectorStore``."""
        with _chroma_errors():
            self._database.videos.delete(ids=[video_id])

    def upsert(self, records: Sequence[Record]) -> None:
        """See ``VectorStore``."""
        for space in _SPACES:
            of_space = [record for record in records if record.space == space]
            for start in range(0, len(of_space), self._database.batch):
                self._upsert_batch(self._database.spaces[space], of_space[start : start + self._database.batch])

    def delete_records(self, video_id: str, modalities: Collection[Modality] | None = None) -> None:
        """See ``VectorStore``."""
        condition = _where([video_id], modalities)
        with _chroma_errors():
            for collection in self._database.spaces.values():
                collection.delete(where=cast("Any", condition))

    def nearest(
        self,
        space: Space,
        vector: Embedding,
        limit: int,
        *,
        video_ids: Collection[str] | None = None,
        modalities: Collection[Modality] | None = None,
    ) -> list[Record]:
        """See ``VectorStore``."""
        if _is_nothing(video_ids, modalities):
            return []
        where = _where(video_ids, modalities)
        page = self._asked(lambda opened: _nearest(opened.spaces[space], vector, limit, where))
        return _records({name: page[name][0] for name in ("ids", "embeddings", "metadatas", "documents")})

    def containing(
        self,
        space: Space,
        words: Collection[str],
        limit: int | None,
        *,
        video_ids: Collection[str] | None = None,
        modalities: Collection[Modality] | None = None,
        vectors: bool = True,
    ) -> list[Record]:
        """See ``VectorStore``. Measured over 50,000 records: about 25 ms for each word, 50 ms for a common one."""
        sought = sorted({squeezed(word) for word in words} - {""})
        if not sought or _is_nothing(video_ids, modalities):
            return []
        conditions = _where(video_ids, modalities), _holding(sought)
        included = _included(vectors)
        pages = self._asked(lambda opened: list(_pages(opened, opened.spaces[space], conditions, included, limit)))
        return [record for page in pages for record in _records(page)]

    def records(self, space: Space, *, video_id: str | None = None, vectors: bool = False) -> Iterator[Record]:
        """See ``VectorStore``."""
        include = _included(vectors)
        if video_id is not None:
            one = _where([video_id], None), None
            pages = iter(self._asked(lambda opened: list(_pages(opened, opened.spaces[space], one, include))))
        else:
            opened = self._database
            pages = _pages(opened, opened.spaces[space], (None, None), include)
        for page in pages:
            yield from _records(page)

    def count(self, space: Space) -> int:
        """See ``VectorStore``."""
        opened = self._database
        with _chroma_errors():
            return int(opened.spaces[space].count())

    def refresh(self) -> bool:
        """See ``VectorStore``.

        Opening costs time that grows with the index, so while another process keeps writing at most a tenth of the time
        goes into it.
        """
        stamp = self._change_stamp()
        if stamp == self._seen or time.monotonic() - self._opened_at < 9 * self._opening_took_s:
            unreported, self._is_unreported = self._is_unreported, False
            return unreported
        began = time.monotonic()
        if self._url:
            self._seen = stamp
        else:
            with self._renewing:
                self._opened = self._open(create=False)
                self._is_unreported = False
        self._opened_at = time.monotonic()
        self._opening_took_s = self._opened_at - began
        return True

    def disk_bytes(self) -> int:
        """See ``VectorStore``."""
        if self._url:
            return 0
        return sum(file.stat().st_size for file in self._path.rglob("*") if file.is_file())

    def close(self) -> None:
        """See ``VectorStore``."""
        self._opened = None

    def _asked(self, ask: Callable[[_Opened], Answer]) -> Answer:
        """What the database answers; asked again of a fresh opening if another process has written meanwhile.

        An opening sees new rows at once but not their vectors, and Chroma fails where it misses one. The opening is
        held as long as it is asked, so that no refresh by another thread closes it. One thread asks at a time: while
        another process writes, several at once crash Chroma 1.5 or wait for each other forever.
        """
        for _ in range(_MOST_TRIES):
            opened = self._database
            try:
                with self._asking:
                    return ask(opened)
            except IndexDamagedError:
                if not self._is_overtaken(opened):
                    raise
        raise IndexBusyError("The index is written to all the time and cannot be read.", hint="Try again in a moment.")

    def _is_overtaken(self, opened: _Opened) -> bool:
        """Whether another process has written since this opening; there is a fresh one then."""
        with self._renewing:
            if self._opened is opened and self._change_stamp() != self._seen and not self._url:
                self._opened = self._open(create=False)
                self._is_unreported = True
            return self._opened is not opened

    @property
    def _database(self) -> _Opened:
        if self._opened is None:
            raise IndexDamagedError("This index has been closed.", hint="Open it again.")
        return self._opened

    def _open(self, create: bool) -> _Opened:
        if not create:
            self._check_there()
        with _chroma_errors(), _quiet_chroma():
            client = self._connect()
            # Only now: opening writes to the file itself. Vectors are loaded later, so nothing is missed.
            self._seen = self._change_stamp()
            names = {space: f"{self._name}-{space}" for space in (*_SPACES, "videos")}
            if not create and names["videos"] not in {collection.name for collection in client.list_collections()}:
                client.close()
                raise self._missing()
            collections = {space: _collection(client, name) for space, name in names.items()}
            batch = int(client.get_max_batch_size())
        spaces = {space: collections[space] for space in _SPACES}
        opened = _Opened(client, collections["videos"], spaces, batch)
        weakref.finalize(opened, client.close)
        return opened

    def _connect(self) -> Client:
        import chromadb
        from chromadb.config import Settings

        settings = Settings(anonymized_telemetry=False)
        if self._url:
            place = urlsplit(self._url)
            secure = place.scheme == "https"
            port = place.port or (443 if secure else 8000)
            return cast(
                "Client",
                chromadb.HttpClient(host=place.hostname or "localhost", port=port, ssl=secure, settings=settings),
            )
        self._path.mkdir(parents=True, exist_ok=True)
        return cast("Client", chromadb.PersistentClient(_own_spelling(self._path), settings=settings))

    def _check_there(self) -> None:
        if not self._url and not (self._path / DATABASE_FILE).is_file():
            raise self._missing()

    def _missing(self) -> IndexMissingError:
        return IndexMissingError(
            f"There is no index named '{self._name}' at {self._url or self._path}.",
            hint="Make one with 'sceneseek index FOLDER', or name its place with --index DIR.",
        )

    def _change_stamp(self) -> tuple[int, int]:
        """Changes whenever another process may have written; for a server, about every second."""
        if self._url:
            return int(time.monotonic()), 0
        try:
            facts = (self._path / DATABASE_FILE).stat()
        except (FileNotFoundError, NotADirectoryError):
            return 0, 0
        return facts.st_mtime_ns, facts.st_size

    def _upsert_batch(self, collection: ChromaCollection, records: Sequence[Record]) -> None:
        with _chroma_errors():
            collection.upsert(
                ids=[record.id for record in records],
                embeddings=np.stack([record.vector for record in records]),
                metadatas=[facts_of(record) for record in records],
                documents=[searched_text(record) for record in records],
            )


def _nearest(
    collection: ChromaCollection, vector: Embedding, limit: int, where: dict[str, object] | None
) -> dict[str, Any]:
    with _chroma_errors():
        answer = collection.query(
            query_embeddings=vector[np.newaxis],
            n_results=limit,
            where=cast("Any", where),
            include=["embeddings", "metadatas", "documents"],
        )
    return cast("dict[str, Any]", answer)


def _pages(
    opened: _Opened,
    collection: ChromaCollection,
    conditions: tuple[dict[str, object] | None, dict[str, object] | None],
    include: Sequence[str],
    limit: int | None = None,
) -> Iterator[dict[str, Any]]:
    """A collection's rows (``conditions``: on their facts, on their documents), at most ``limit`` of them.

    ``opened`` is held as long as they are read, so that no refresh closes it meanwhile.
    """
    size = _PAGE if conditions[1] is None else _PAGE_OF_FOUND
    for offset in itertools.count(0, size):
        wanted = size if limit is None else min(size, limit - offset)
        with _chroma_errors():
            page = collection.get(
                where=cast("Any", conditions[0]),
                where_document=cast("Any", conditions[1]),
                limit=wanted,
                offset=offset,
                include=cast("Any", list(include)),
            )
        yield cast("dict[str, Any]", page)
        if len(page["ids"]) < size or offset + size == limit:
            del opened
            return


def _collection(client: Client, name: str) -> ChromaCollection:
    return client.get_or_create_collection(name, embedding_function=None, configuration=cast("Any", {"hnsw": _HNSW}))


def _own_spelling(path: Path) -> str:
    """The same folder, spelled as no other opening in this process spells it.

    Chroma shares one system, and so one stale view, between all clients of the same spelling.
    """
    return os.fspath(path.resolve()) + "".join("/." if bit == "1" else "//" for bit in f"{secrets.randbits(40):040b}")


def _placeholder(video_id: str) -> Embedding:
    """Chroma wants a vector for every row; commits are never searched by theirs."""
    first, second, *_ = hashlib.blake2b(video_id.encode("utf-8", "backslashreplace")).digest()
    return np.array([[1.0 + first, 1.0 + second]], dtype=np.float32)


def _records(page: dict[str, Any]) -> list[Record]:
    with _chroma_errors():
        return read_rows(page)


def _included(vectors: bool) -> list[str]:
    return ["metadatas", "documents"] + (["embeddings"] if vectors else [])


def _holding(words: Sequence[str]) -> dict[str, object]:
    """Chroma takes no choice of one."""
    choices: list[dict[str, object]] = [{"$contains": word} for word in words]
    return {"$or": choices} if len(choices) > 1 else choices[0]


def _is_nothing(*choices: Collection[str] | None) -> bool:
    """Whether one of the choices leaves nothing; Chroma takes no empty list."""
    return any(choice is not None and not choice for choice in choices)


def _where(video_ids: Collection[str] | None, modalities: Collection[Modality] | None) -> dict[str, object] | None:
    conditions: list[dict[str, object]] = []
    if video_ids is not None:
        conditions.append({"video_id": {"$in": sorted(video_ids)}})
    if modalities is not None:
        conditions.append({"modality": {"$in": sorted(modalities)}})
    if len(conditions) > 1:
        return {"$and": conditions}
    return conditions[0] if conditions else None


@contextmanager
def _quiet_chroma() -> Iterator[None]:
    """Chroma warns that no embedding function is set; the vectors are ours, so that is meant."""
    logging.getLogger("chromadb").setLevel(logging.ERROR)
    yield


@contextmanager
def _chroma_errors() -> Iterator[None]:
    """Chroma's errors as ours."""
    from chromadb.errors import ChromaError

    try:
        yield
    except SceneseekError:
        raise
    except (ChromaError, ValueError, RuntimeError, OSError) as error:
        raise _translated(error) from error


def _translated(error: Exception) -> SceneseekError:
    text = str(error)
    if "dimension" in text.lower():
        return IndexIncompatibleError(
            f"The index holds vectors of another model ({text}).",
            hint="Index into a new folder with --index DIR, or use the profile the index was made with.",
        )
    if "could not connect" in text.lower() or "connection" in text.lower():
        return IndexMissingError(
            f"The Chroma server does not answer ({text}).", hint="Start it, check index.url, or unset index.url."
        )
    if "locked" in text.lower():
        return IndexBusyError("The database is being written by another process.", hint="Try again in a moment.")
    for sign, what, hint in _TROUBLES:
        if sign in text.lower():
            return StoreError(f"{what} ({text}).", hint=hint)
    return IndexDamagedError(
        f"The database did not answer as it should ({text}).",
        hint="If it happens again, move the index folder away and index again.",
    )
