"""The index in Chroma: the only importer of chromadb.

Four collections per index name: ``NAME-frames``, ``NAME-text`` and ``NAME-audio`` hold records, ``NAME-videos`` the
commits. The manifest is the metadata of ``NAME-videos``. A record's document is ``searched_text`` of it, so that
Chroma's full-text index (of three letters at a time, case and accents told apart) finds any spelling.

An open Chroma client keeps the vectors that it has loaded while another process writes, so a store is opened again once
the database file has changed (``refresh``).
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

from indexer.core.coalescing import Coalescer
from indexer.core.errors import IndexBusyError, IndexDamagedError, IndexMissingError, SceneseekError
from indexer.core.text import squeezed
from indexer.core.types import Embedding, ModalityName, Record, Space
from indexer.store.base import Commit, Manifest, searched_text
from indexer.store.chroma_errors import translated
from indexer.store.chroma_rows import document_filter, metadata_filter, metadata_of, read_rows, storable
from indexer.store.commit_json import decode_commit, decode_manifest, encode_commit, encode_manifest
from indexer.store.record_cache import RecordCache

if TYPE_CHECKING:
    from chromadb.api.client import Client
    from chromadb.api.models.Collection import Collection as ChromaCollection

T = TypeVar("T")
_Read: TypeAlias = Callable[["_Opening"], T]

_DATABASE_FILE = "chroma.sqlite3"
_SPACES: tuple[Space, ...] = ("frames", "text", "audio")
_PAGE = 2000
_MOST_TRIES = 5
_MOST_AT_ONCE = 64
# As many as a search reads at first. More are read faster in one query than by their ids.
_MOST_CACHED = 200
# Over 14,400 frames, 0.74 of the ten nearest are among the first 50 with Chroma's 100, 0.97 with 400, for 5 ms more.
_HNSW = {"space": "cosine", "ef_search": 400}


@dataclass(frozen=True, slots=True, weakref_slot=True)
class _Opening:
    """One opening of the database; closed when it is no longer referenced."""

    client: Client
    videos: ChromaCollection
    spaces: Mapping[Space, ChromaCollection]
    max_batch: int
    cache: RecordCache


@dataclass(frozen=True, slots=True, eq=False)
class _Nearest:
    """A read of the records nearest to a vector. Reads with an equal ``scope`` are one query for Chroma."""

    vector: Embedding
    space: Space
    limit: int
    video_ids: frozenset[str] | None
    modalities: frozenset[ModalityName] | None

    @property
    def scope(self) -> Hashable:
        return self.space, self.limit, self.video_ids, self.modalities

    def __call__(self, opening: _Opening) -> list[Record]:
        page = _query(opening, [self], _included(vectors=True))
        return _records({name: page[name][0] for name in ("ids", "embeddings", "metadatas", "documents")}, self.space)


class ChromaStore:
    """A ``VectorStore`` over Chroma, which documents the methods.

    Args:
        path: The folder of the database; holds no records if ``url`` is set.
        name: The index name, the first part of the collections' names.
        url: A Chroma server (``http://host:port``) instead of the folder.
        create: Whether to create a missing index.
        found_page: Rows per page of a search by words. Each page repeats the search, so pages are large; SQLite takes
            at most 32,766 rows.
        clock: Seconds that never decrease, to limit the time spent on opening.

    Raises:
        IndexMissingError: there is no such index and ``create`` is false.
        IndexDamagedError: the database cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        *,
        name: str = "sceneseek",
        url: str = "",
        create: bool = False,
        found_page: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._name = name
        self._url = url
        self._found_page = found_page
        self._clock = clock
        self._reopening = Lock()
        self._reads: Coalescer[_Read[Any], Any] = Coalescer(self._read_all, _MOST_AT_ONCE)
        self._stamp = self._change_stamp()
        self._has_unreported_change = False
        self._opening: _Opening | None = self._open(create)
        self._opening_took_s = 0.0
        self._opened_at = self._clock()

    def read_manifest(self) -> Manifest | None:
        opening = self._database
        with _chroma_errors():
            fresh = opening.client.get_collection(opening.videos.name, embedding_function=None)
        text = (fresh.metadata or {}).get("manifest")
        return decode_manifest(str(text)) if text else None

    def write_manifest(self, manifest: Manifest) -> None:
        with _chroma_errors():
            self._database.videos.modify(metadata={"manifest": encode_manifest(manifest)})

    def commits(self) -> dict[str, Commit]:
        pages = self._read(lambda opening: list(_pages(opening, opening.videos, ["documents"])))
        rows = (row for page in pages for row in zip(page["ids"], page["documents"], strict=True))
        return {key: decode_commit(text) for key, text in rows}

    def write_commit(self, commit: Commit) -> None:
        video = commit.video
        with _chroma_errors():
            self._database.videos.upsert(
                ids=[video.id],
                embeddings=_placeholder(video.id),
                metadatas=[{"state": commit.state, "path": storable(str(video.path)), "label": storable(video.label)}],
                documents=[encode_commit(commit)],
            )

    def delete_commit(self, video_id: str) -> None:
        with _chroma_errors():
            self._database.videos.delete(ids=[video_id])

    def upsert(self, records: Sequence[Record]) -> None:
        opening = self._database
        for space in _SPACES:
            of_space = [record for record in records if record.space == space]
            for start in range(0, len(of_space), opening.max_batch):
                batch = of_space[start : start + opening.max_batch]
                with self._changing() as database:
                    database.spaces[space].upsert(
                        ids=[record.id for record in batch],
                        embeddings=np.stack([record.vector for record in batch]),
                        metadatas=[metadata_of(record) for record in batch],
                        documents=[searched_text(record) for record in batch],
                    )

    def delete_records(self, video_id: str, modalities: Collection[ModalityName] | None = None) -> None:
        with self._changing() as database:
            for collection in database.spaces.values():
                collection.delete(where=metadata_filter([video_id], modalities))

    def nearest(
        self,
        space: Space,
        vector: Embedding,
        limit: int,
        *,
        video_ids: Collection[str] | None = None,
        modalities: Collection[ModalityName] | None = None,
    ) -> list[Record]:
        if _is_empty(video_ids, modalities):
            return []
        nearest = _Nearest(vector, space, limit, _frozen(video_ids), _frozen(modalities))
        # Only ``_Nearest`` itself is answered from the cache, by ``_read_all``.
        return self._read(nearest if limit <= _MOST_CACHED else nearest.__call__)

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
        """Measured over 50,000 records: about 25 ms for each word, 50 ms for a common one."""
        letters = sorted({squeezed(word) for word in words} - {""})
        if not letters or _is_empty(video_ids, modalities):
            return []
        filters = metadata_filter(video_ids, modalities), document_filter(letters)

        def find(opening: _Opening, include: Sequence[str]) -> list[dict[str, Any]]:
            return list(_pages(opening, opening.spaces[space], include, filters, limit, self._found_page))

        def cached(opening: _Opening) -> list[Record]:
            question = space, tuple(letters), limit, _frozen(video_ids), _frozen(modalities)
            ids = opening.cache.lookup(question, lambda: [key for page in find(opening, []) for key in page["ids"]])
            return _cached_records(opening, space, ids)

        if vectors and limit is not None and limit <= _MOST_CACHED:
            return self._read(cached)
        pages = self._read(lambda opening: find(opening, _included(vectors)))
        return [record for page in pages for record in _records(page, space)]

    def records(self, space: Space, *, video_id: str | None = None, vectors: bool = False) -> Iterator[Record]:
        include = _included(vectors)
        if video_id is not None:
            filters = metadata_filter([video_id], None), None
            pages = iter(self._read(lambda opening: list(_pages(opening, opening.spaces[space], include, filters))))
        else:
            opening = self._database
            pages = _pages(opening, opening.spaces[space], include)
        for page in pages:
            yield from _records(page, space)

    def count(self, space: Space) -> int:
        opening = self._database
        with _chroma_errors():
            return int(opening.spaces[space].count())

    def refresh(self) -> bool:
        """While another process keeps writing, at most a tenth of the time is spent on opening, which may be slow."""
        stamp = self._change_stamp()
        if stamp == self._stamp or self._clock() - self._opened_at < 9 * self._opening_took_s:
            has_change, self._has_unreported_change = self._has_unreported_change, False
            return has_change
        began = self._clock()
        if self._url:
            self._stamp = stamp
            self._database.cache.forget()
        else:
            with self._reopening:
                self._opening = self._open(create=False)
                self._has_unreported_change = False
        self._opened_at = self._clock()
        self._opening_took_s = self._opened_at - began
        return True

    def disk_bytes(self) -> int:
        if self._url:
            return 0
        return sum(file.stat().st_size for file in self._path.rglob("*") if file.is_file())

    def close(self) -> None:
        self._opening = None

    def _read(self, read: _Read[T]) -> T:
        """The result of a read; repeated with a new opening if another process has written meanwhile.

        An opening sees new rows at once but not their vectors, and Chroma fails if it misses one.
        """
        for _ in range(_MOST_TRIES):
            opening = self._database
            try:
                result: T = self._reads(read)
            except IndexDamagedError:
                if not self._is_outdated(opening):
                    raise
            else:
                return result
        raise IndexBusyError("The index is written to all the time and cannot be read.", hint="Try again in a moment.")

    def _read_all(self, reads: Sequence[_Read[Any]]) -> list[Any]:
        """The results of some reads, in one thread.

        While another process writes, several threads at once crash Chroma 1.5 or deadlock. The opening is referenced
        until the end, so that no refresh closes it.
        """
        opening = self._database
        nearest = _read_nearest(opening, [read for read in reads if isinstance(read, _Nearest)])
        return [next(nearest) if isinstance(read, _Nearest) else read(opening) for read in reads]

    def _is_outdated(self, opening: _Opening) -> bool:
        """Whether another process has written since this opening; then there is a new one."""
        with self._reopening:
            if self._opening is opening and self._change_stamp() != self._stamp and not self._url:
                self._opening = self._open(create=False)
                self._has_unreported_change = True
            return self._opening is not opening

    @property
    def _database(self) -> _Opening:
        if self._opening is None:
            raise IndexDamagedError("This index has been closed.", hint="Open it again.")
        return self._opening

    @contextmanager
    def _changing(self) -> Iterator[_Opening]:
        """The database to write to; cached records are dropped afterwards."""
        try:
            with _chroma_errors():
                yield self._database
        finally:
            self._database.cache.forget()

    def _open(self, create: bool) -> _Opening:
        if not create and not self._url and not (self._path / _DATABASE_FILE).is_file():
            raise self._missing()
        # Chroma warns that no embedding function is set, which is intended.
        logging.getLogger("chromadb").setLevel(logging.ERROR)
        with _chroma_errors():
            client = self._connect()
            # Not earlier: opening writes to the file. Vectors are loaded later, so no change is missed.
            self._stamp = self._change_stamp()
            names = {space: f"{self._name}-{space}" for space in (*_SPACES, "videos")}
            if not create and names["videos"] not in {collection.name for collection in client.list_collections()}:
                client.close()
                raise self._missing()
            collections = {space: _collection(client, name) for space, name in names.items()}
            max_batch = int(client.get_max_batch_size())
        spaces = {space: collections[space] for space in _SPACES}
        opening = _Opening(client, collections["videos"], spaces, max_batch, RecordCache())
        weakref.finalize(opening, client.close)
        return opening

    def _connect(self) -> Client:
        import chromadb
        from chromadb.config import Settings

        settings = Settings(anonymized_telemetry=False)
        if not self._url:
            self._path.mkdir(parents=True, exist_ok=True)
            return cast("Client", chromadb.PersistentClient(_unique_spelling(self._path), settings=settings))
        place = urlsplit(self._url)
        host, secure = place.hostname or "localhost", place.scheme == "https"
        port = place.port or (443 if secure else 8000)
        return cast("Client", chromadb.HttpClient(host=host, port=port, ssl=secure, settings=settings))

    def _missing(self) -> IndexMissingError:
        return IndexMissingError(
            f"There is no index named '{self._name}' at {self._url or self._path}.",
            hint="Make one with 'sceneseek index FOLDER', or name its place with --index DIR.",
        )

    def _change_stamp(self) -> tuple[int, int]:
        """Changes when another process may have written; for a server, every second."""
        if self._url:
            return int(self._clock()), 0
        try:
            facts = (self._path / _DATABASE_FILE).stat()
        except (FileNotFoundError, NotADirectoryError):
            return 0, 0
        return facts.st_mtime_ns, facts.st_size


def _read_nearest(opening: _Opening, reads: Sequence[_Nearest]) -> Iterator[list[Record]]:
    """The records of each read. All reads of one scope are one query, which costs little more than a single one."""
    scopes: dict[Hashable, list[_Nearest]] = defaultdict(list)
    for read in reads:
        scopes[read.scope].append(read)
    found: dict[int, list[str]] = {}
    for alike in scopes.values():
        found |= zip(map(id, alike), _query(opening, alike, [])["ids"], strict=True)
    return iter([_cached_records(opening, read.space, found[id(read)]) for read in reads])


def _query(opening: _Opening, alike: Sequence[_Nearest], include: Any) -> dict[str, Any]:
    one = alike[0]
    with _chroma_errors():
        answer = opening.spaces[one.space].query(
            query_embeddings=np.stack([read.vector for read in alike]),
            n_results=one.limit,
            where=metadata_filter(one.video_ids, one.modalities),
            include=include,
        )
    return cast("dict[str, Any]", answer)


def _cached_records(opening: _Opening, space: Space, ids: Sequence[str]) -> list[Record]:
    def read(missing: list[str]) -> list[Record]:
        with _chroma_errors():
            page = opening.spaces[space].get(ids=missing, include=_included(vectors=True))
            return read_rows(cast("Any", page), space)

    return opening.cache.records(space, ids, read)


def _pages(
    opening: _Opening,
    collection: ChromaCollection,
    include: Any,
    filters: tuple[Any, Any] = (None, None),
    limit: int | None = None,
    size: int = _PAGE,
) -> Iterator[dict[str, Any]]:
    """At most ``limit`` rows of a collection (``filters``: of metadata and of documents).

    ``opening`` is referenced while they are read, so that no refresh closes it.
    """
    for offset in itertools.count(0, size):
        wanted = size if limit is None else min(size, limit - offset)
        with _chroma_errors():
            page = collection.get(
                where=filters[0], where_document=filters[1], limit=wanted, offset=offset, include=include
            )
        yield cast("dict[str, Any]", page)
        if len(page["ids"]) < size or offset + size == limit:
            del opening
            return


def _collection(client: Client, name: str) -> ChromaCollection:
    return client.get_or_create_collection(name, embedding_function=None, configuration=cast("Any", {"hnsw": _HNSW}))


def _unique_spelling(path: Path) -> str:
    """The same folder, spelled differently for each opening.

    All clients with one spelling share one system in Chroma, and with it the same outdated vectors.
    """
    return os.fspath(path.resolve()) + "".join("/." if bit == "1" else "//" for bit in f"{secrets.randbits(40):040b}")


def _placeholder(video_id: str) -> Embedding:
    """The vector that Chroma requires for each row; commits are never searched by theirs."""
    first, second, *_ = hashlib.blake2b(video_id.encode("utf-8", "backslashreplace")).digest()
    return np.array([[1.0 + first, 1.0 + second]], dtype=np.float32)


def _records(page: dict[str, Any], space: Space) -> list[Record]:
    with _chroma_errors():
        return read_rows(page, space)


def _included(vectors: bool) -> Any:
    return ["metadatas", "documents"] + (["embeddings"] if vectors else [])


def _is_empty(*choices: Collection[str] | None) -> bool:
    """Whether one of the choices allows nothing; Chroma takes no empty list."""
    return any(choice is not None and not choice for choice in choices)


def _frozen(choice: Collection[T] | None) -> frozenset[T] | None:
    return None if choice is None else frozenset(choice)


@contextmanager
def _chroma_errors() -> Iterator[None]:
    from chromadb.errors import ChromaError

    try:
        yield
    except SceneseekError:
        raise
    except (ChromaError, ValueError, RuntimeError, OSError) as error:
        raise translated(error) from error
