"""The index in Chroma: the only importer of chromadb.

Four collections per index name: ``NAME-frames``, ``NAME-text`` and ``NAME-audio`` hold records, ``NAME-videos`` the
commits. The manifest is the metadata of ``NAME-videos``.

A record's document is not its text but ``searched_text`` of it, which Chroma's full-text index (of three letters at a
time, case and accents told apart) then finds in any spelling; the text itself is metadata (``chroma_rows``).

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
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast
from urllib.parse import urlsplit

import numpy as np

from indexer.core.coalescing import Together
from indexer.core.errors import (
    IndexBusyError,
    IndexDamagedError,
    IndexMissingError,
    SceneseekError,
)
from indexer.core.text import squeezed
from indexer.core.types import Embedding, ModalityName, Record, Space
from indexer.store.base import Commit, Manifest, searched_text
from indexer.store.chroma_errors import translated
from indexer.store.chroma_filters import holding, is_nothing, where
from indexer.store.chroma_rows import facts_of, read_rows, storable
from indexer.store.commit_json import decode_commit, decode_manifest, encode_commit, encode_manifest
from indexer.store.record_cache import KeptReads

if TYPE_CHECKING:
    from chromadb.api.client import Client
    from chromadb.api.models.Collection import Collection as ChromaCollection

__all__ = ["ChromaStore"]

DATABASE_FILE = "chroma.sqlite3"
_PAGE = 2000
# Each page searches the texts anew, so they are larger; SQLite takes no more than 32,766 rows at a time.
_PAGE_OF_FOUND = 10_000
_SPACES: tuple[Space, ...] = ("frames", "text", "audio")
_MOST_TRIES = 5
_MOST_AT_ONCE = 64
# As many as a search reads at first. More are read faster in one query with all that belongs to them.
_MOST_KEPT = 200

# Over 14,400 frames, 0.74 of the ten nearest are among the first 50 with Chroma's 100, 0.97 with 400, for 5 ms more.
_HNSW = {"space": "cosine", "ef_search": 400}


@dataclass(frozen=True, slots=True, weakref_slot=True)
class _Opened:
    """One opening of the database; closed when nobody uses it any more."""

    client: Client
    videos: ChromaCollection
    spaces: Mapping[Space, ChromaCollection]
    batch: int
    kept: KeptReads


@dataclass(frozen=True, slots=True, eq=False)
class _Nearest:
    """The ids of the records nearest to a vector, to be asked for."""

    vector: Embedding
    space: Space
    limit: int
    video_ids: frozenset[str] | None
    modalities: frozenset[ModalityName] | None

    @property
    def place(self) -> tuple[Space, int, frozenset[str] | None, frozenset[ModalityName] | None]:
        """Questions that have this in common are one query for Chroma."""
        return self.space, self.limit, self.video_ids, self.modalities

    def read(self, opened: _Opened) -> list[Record]:
        """The records themselves."""
        page = _query(opened, [self], _included(True))
        return _records({name: page[name][0] for name in ("ids", "embeddings", "metadatas", "documents")}, self.space)


Chosen = TypeVar("Chosen")
_Conditions: TypeAlias = tuple[dict[str, object] | None, dict[str, object] | None]
_Ask: TypeAlias = "_Nearest | Callable[[_Opened], Any]"


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
        self._renewing = Lock()
        self._reads: Together[_Ask, Any] = Together(self._read_all, _MOST_AT_ONCE)
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

    def delete_records(self, video_id: str, modalities: Collection[ModalityName] | None = None) -> None:
        """See ``VectorStore``."""
        condition = where([video_id], modalities)
        with _chroma_errors(), self._forgetting():
            for collection in self._database.spaces.values():
                collection.delete(where=cast("Any", condition))

    def nearest(
        self,
        space: Space,
        vector: Embedding,
        limit: int,
        *,
        video_ids: Collection[str] | None = None,
        modalities: Collection[ModalityName] | None = None,
    ) -> list[Record]:
        """See ``VectorStore``."""
        if is_nothing(video_ids, modalities):
            return []
        sought = _Nearest(vector, space, limit, _frozen(video_ids), _frozen(modalities))
        return cast("list[Record]", self._asked(sought if limit <= _MOST_KEPT else sought.read))

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
        """See ``VectorStore``. Measured over 50,000 records: about 25 ms for each word, 50 ms for a common one."""
        sought = sorted({squeezed(word) for word in words} - {""})
        if not sought or is_nothing(video_ids, modalities):
            return []
        conditions = where(video_ids, modalities), holding(sought)
        if vectors and limit is not None and limit <= _MOST_KEPT:
            question = "containing", space, tuple(sought), limit, _frozen(video_ids), _frozen(modalities)

            def ask(opened: _Opened) -> list[Record]:
                collection = opened.spaces[space]
                ids = opened.kept.lookup(question, lambda: _ids(opened, collection, conditions, limit))
                return _kept_records(opened, space, ids)

            return cast("list[Record]", self._asked(ask))
        included = _included(vectors)
        pages = self._asked(lambda opened: list(_pages(opened, opened.spaces[space], conditions, included, limit)))
        return [record for page in pages for record in _records(page, space)]

    def records(self, space: Space, *, video_id: str | None = None, vectors: bool = False) -> Iterator[Record]:
        """See ``VectorStore``."""
        include = _included(vectors)
        if video_id is not None:
            one = where([video_id], None), None
            pages = iter(self._asked(lambda opened: list(_pages(opened, opened.spaces[space], one, include))))
        else:
            opened = self._database
            pages = _pages(opened, opened.spaces[space], (None, None), include)
        for page in pages:
            yield from _records(page, space)

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
            self._database.kept.forget()
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

    def _asked(self, ask: _Ask) -> Any:
        """What the database answers; asked again of a fresh opening if another process has written meanwhile.

        An opening sees new rows at once but not their vectors, and Chroma fails where it misses one.
        """
        for _ in range(_MOST_TRIES):
            opened = self._database
            try:
                return self._reads(ask)
            except IndexDamagedError:
                if not self._is_overtaken(opened):
                    raise
        raise IndexBusyError("The index is written to all the time and cannot be read.", hint="Try again in a moment.")

    def _read_all(self, asks: Sequence[_Ask]) -> list[Any]:
        """The answers to some reads, in one thread: while another process writes, several threads at once crash Chroma
        1.5 or wait for each other forever. The opening is held as long as it is asked, so that no refresh closes it.
        """
        opened = self._database
        nearest = _nearest_of_all(opened, [ask for ask in asks if isinstance(ask, _Nearest)])
        return [next(nearest) if isinstance(ask, _Nearest) else ask(opened) for ask in asks]

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
        opened = _Opened(client, collections["videos"], spaces, batch, KeptReads())
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

    @contextmanager
    def _forgetting(self) -> Iterator[None]:
        """What was read before a change is not what was read after it."""
        try:
            yield
        finally:
            self._database.kept.forget()

    def _upsert_batch(self, collection: ChromaCollection, records: Sequence[Record]) -> None:
        with _chroma_errors(), self._forgetting():
            collection.upsert(
                ids=[record.id for record in records],
                embeddings=np.stack([record.vector for record in records]),
                metadatas=[facts_of(record) for record in records],
                documents=[searched_text(record) for record in records],
            )


def _nearest_of_all(opened: _Opened, asks: Sequence[_Nearest]) -> Iterator[list[Record]]:
    """The records that each asks for: one query for all that ask in one place, which costs little more than one."""
    places: dict[Hashable, list[_Nearest]] = defaultdict(list)
    for ask in asks:
        places[ask.place].append(ask)
    found = {
        id(ask): ids
        for alike in places.values()
        for ask, ids in zip(alike, _query(opened, alike, [])["ids"], strict=True)
    }
    return iter([_kept_records(opened, ask.space, found[id(ask)]) for ask in asks])


def _query(opened: _Opened, alike: Sequence[_Nearest], include: Sequence[str]) -> dict[str, Any]:
    one = alike[0]
    with _chroma_errors():
        answer = opened.spaces[one.space].query(
            query_embeddings=np.stack([ask.vector for ask in alike]),
            n_results=one.limit,
            where=cast("Any", where(one.video_ids, one.modalities)),
            include=cast("Any", list(include)),
        )
    return cast("dict[str, Any]", answer)


def _kept_records(opened: _Opened, space: Space, ids: Sequence[str]) -> list[Record]:
    def read(missing: list[str]) -> list[Record]:
        with _chroma_errors():
            return read_rows(
                cast("Any", opened.spaces[space].get(ids=missing, include=cast("Any", _included(True)))), space
            )

    return opened.kept.records(space, ids, read)


def _ids(opened: _Opened, collection: ChromaCollection, conditions: _Conditions, limit: int) -> list[str]:
    return [key for page in _pages(opened, collection, conditions, [], limit) for key in page["ids"]]


def _frozen(choice: Collection[Chosen] | None) -> frozenset[Chosen] | None:
    return None if choice is None else frozenset(choice)


def _pages(
    opened: _Opened,
    collection: ChromaCollection,
    conditions: _Conditions,
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


def _records(page: dict[str, Any], space: Space) -> list[Record]:
    with _chroma_errors():
        return read_rows(page, space)


def _included(vectors: bool) -> list[str]:
    return ["metadatas", "documents"] + (["embeddings"] if vectors else [])


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
        raise translated(error) from error
