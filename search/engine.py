"""The engine: a query in, ranked moments with their evidence out."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Self

from indexer.core.errors import IndexDamagedError, QueryError
from indexer.core.types import ModalityName
from indexer.modalities.registry import modality_names
from indexer.models.base import RoleName
from indexer.models.lifecycle import Lazy
from indexer.store.base import Manifest, VectorStore
from search.catalogue import Catalogue
from search.confidence.background import Background
from search.confidence.background_cache import BackgroundCache, Learning
from search.confidence.rating import Rater
from search.match.calibration import Calibration, Comparison
from search.match.candidates import QueryVector, Scope
from search.match.collect import CandidateSearch
from search.match.conditions import ConditionFinder, Conditions
from search.match.query_vectors import QueryEncoder, QueryModels
from search.match.reference_moment import ReferenceMoment, find_reference
from search.moments import Moment
from search.query.examples import example_queries
from search.query.query import Query
from search.query.syntax import ParsedQuery, parse_query
from search.rank.fusion import Fusion
from search.rank.listing import Listing, browse

__all__ = ["Ranking", "SearchEngine", "SearchOptions"]

_OPTIONAL_ROLES: Sequence[RoleName] = ("sounds",)


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How to search.

    ``depth`` candidates of each space are looked at first; a search goes deeper for more moments. ``calibrations`` are
    used instead of the constants in ``search.match.calibration``.
    """

    depth: int = 50
    calibrations: Mapping[Comparison, Calibration] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """The answer to a query.

    Args:
        moments: One page of the ranking, best first: ``query.top_k`` moments from ``query.offset`` on. With
            ``query.group_by_video`` the best moment of each video.
        total: How many moments (with grouping: videos) were found before paging. The search stops one beyond the page,
            so this is exact on the last page and a lower bound before.
        searched: The modalities looked in; none for a query of conditions alone, whose moments are not ranked.
        missing: The modalities that the query weighs and that were not looked in.
        others: With grouping, the further moments of each video on the page by its id, as far as they were found.
        unlikely: The best of the moments left out for ``query.min_confidence``, at most ``query.top_k``; with grouping
            the best one of each video that was not found.
        took_s: How long the search took, in seconds.
        unsearched: Why, for those of ``missing`` that the index has, and what to do about it.
    """

    query: Query
    moments: tuple[Moment, ...]
    total: int
    searched: tuple[ModalityName, ...]
    missing: tuple[ModalityName, ...]
    others: Mapping[str, tuple[Moment, ...]] = field(default_factory=dict)
    unlikely: tuple[Moment, ...] = ()
    took_s: float = 0.0
    unsearched: Mapping[ModalityName, str] = field(default_factory=dict)

    @property
    def has_more(self) -> bool:
        """Whether another page follows."""
        return self.total > self.query.offset + len(self.moments)


class SearchEngine:
    """Searches one index; any number of threads may search at a time.

    Args:
        models: Gives the models of the index; called (perhaps more than once) when a query has to be encoded.
        thumbnails: Finds the picture of a video at a second, None where there is none.
        kept_in: The folder for what unrelated queries score in this index (``search.confidence``); None keeps it in
            memory only.
        learning: Entered while that is measured, which takes seconds the first time.
    """

    def __init__(
        self,
        store: VectorStore,
        models: Callable[[], QueryModels],
        *,
        thumbnails: Callable[[str, float], Path | None] = lambda *_: None,
        options: SearchOptions = SearchOptions(),
        kept_in: Path | None = None,
        learning: Learning = nullcontext,
    ) -> None:
        self._store = store
        self._models = models
        self._thumbnails = thumbnails
        self._options = options
        self._backgrounds = BackgroundCache(kept_in, options.calibrations, learning=learning)
        self._reading = Lock()
        self._catalogue: Catalogue | None = None
        self._is_stale = False

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        name: str = "sceneseek",
        url: str = "",
        device: str = "auto",
        learning: Learning = nullcontext,
    ) -> Self:
        """Open the index in a folder, or the one on a Chroma server at ``url``; models load at the first query.

        Args:
            name: The name of the index in the database.
            device: Where the models run: ``auto``, ``cpu``, ``cuda`` or ``mps``.
            learning: Entered while it is measured what unrelated queries score in this index.

        Raises:
            IndexMissingError: there is no index.
            IndexDamagedError: there is one that cannot be opened.
        """
        from indexer.store import open_store
        from indexer.store.thumbnails import ThumbnailFolder

        store = open_store(Path(path), name=name, url=url)
        models = Lazy(lambda: _models_of(store, device))
        thumbnails = ThumbnailFolder(Path(path), name).find
        kept_in = Path(path) / "unrelated" / name if Path(path).is_dir() else None
        return cls(store, models.get, thumbnails=thumbnails, kept_in=kept_in, learning=learning)

    def search(self, query: Query | str, *, top_k: int | None = None) -> Ranking:
        """Find the moments that match a query.

        Args:
            query: What to find; a text is read as a person types it, with quotes and conditions
                (``search.query.syntax``), while a ``Query`` is taken as it is.
            top_k: How many moments to answer with, if not as many as the query says.

        Raises:
            QueryError: the query cannot be read or answered: the index is empty, a filter names an unknown fact, the
                video to find similar moments to is unknown, or nothing in the index can be compared with such a query.
            IndexIncompatibleError: the models here are not those of the index.
            ModelError: a model cannot encode the query.
            StoreError: the database does not answer.
        """
        began = time.perf_counter()
        asked = self.parse(query).query() if isinstance(query, str) else query
        ranking = self._answer(asked if top_k is None else replace(asked, top_k=top_k))
        return replace(ranking, took_s=time.perf_counter() - began)

    def parse(self, text: str) -> ParsedQuery:
        """Read what a person typed (``parse_query``), with the facts that are known in this index."""
        return parse_query(text, self.catalogue().facet_names)

    def examples(self, count: int = 6) -> tuple[str, ...]:
        """At most ``count`` queries that this index has an answer to, as suggestions."""
        return example_queries(self._store, self.catalogue().videos.values(), count)

    def catalogue(self) -> Catalogue:
        """What there is to search, read again when the store says that it may have changed."""
        known = self._catalogue
        # While another thread reads, the earlier catalogue will do.
        if not self._reading.acquire(blocking=known is None) and known is not None:
            return known
        try:
            self._is_stale |= self._store.refresh()
            catalogue = self._catalogue
            if self._is_stale or catalogue is None:
                catalogue = self._catalogue = Catalogue.read(self._store)
                self._is_stale = False
            return catalogue
        finally:
            self._reading.release()

    def close(self) -> None:
        """Close the index."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self, query: Query) -> Ranking:
        catalogue = self.catalogue()
        if not catalogue.videos:
            raise QueryError("There is nothing to search yet.", hint="Index something first: sceneseek index FOLDER.")
        known = self._backgrounds.known(catalogue) if query.wording else None
        encoder = QueryEncoder(self._models, catalogue, self._options.calibrations, words_too=_rates_by_words(known))
        conditions = ConditionFinder(self._store, catalogue, encoder.shown).find(query)
        video_ids = conditions.narrow(catalogue.accepted(query.filters))
        if query.is_browsing:
            return self._browse(query, catalogue, video_ids, conditions)
        reference = self._reference(query, catalogue)
        vectors, unsearched = encoder.encode(query, reference)
        background = self._background(query, catalogue, can_measure=not unsearched)
        if _rates_by_words(background):
            vectors = encoder.rated_by_words(vectors, query.wording)
        rater = Rater(background, vectors, query.wording)
        listing = Listing(catalogue.videos, Fusion.of(query, vectors), rater.moment, query.min_confidence)
        candidates = CandidateSearch(
            self._store, catalogue, vectors, wording=query.wording, conditions=conditions, depth=self._options.depth
        )
        is_narrowed = len(video_ids) < len(catalogue.videos)
        scope = Scope(video_ids, is_narrowed, without=None if reference is None else reference.excerpt)
        _fill(listing, query, scope, candidates, rater)
        return self._page(query, catalogue, vectors, listing, unsearched)

    def _browse(
        self, query: Query, catalogue: Catalogue, video_ids: Collection[str], conditions: Conditions
    ) -> Ranking:
        videos = [catalogue.videos[key] for key in video_ids]
        moments = browse(self._store, videos, conditions, group_by_video=query.group_by_video)
        found = list(islice(moments, query.offset + query.top_k + 1))
        page = self._pictured(found[query.offset : query.offset + query.top_k])
        return Ranking(query, page, len(found), (), _missing(query, (), catalogue))

    def _reference(self, query: Query, catalogue: Catalogue) -> ReferenceMoment | None:
        if query.like is None:
            return None
        named, second = query.like
        return find_reference(self._store, catalogue.find(named), second)

    def _background(self, query: Query, catalogue: Catalogue, *, can_measure: bool) -> Background | None:
        """What unrelated queries score, if known, or needed and all models are here.

        Queries with required phrases or objects are not rated: these are there or not.
        """
        if not query.wording or query.phrases or any(not one.negated for one in query.objects):
            return None
        if query.min_confidence > 0 and can_measure:
            return self._backgrounds.measured(self._store, catalogue, self._models())
        return self._backgrounds.known(catalogue)

    def _page(
        self,
        query: Query,
        catalogue: Catalogue,
        vectors: Sequence[QueryVector],
        listing: Listing,
        unsearched: Mapping[ModalityName, str],
    ) -> Ranking:
        ranked, unlikely = listing.moments, listing.unlikely
        if query.group_by_video:
            ranked, unlikely = listing.best_of_videos(), listing.best_unlikely_of_videos()
        page = ranked[query.offset : query.offset + query.top_k]
        on_page = [moment.video.id for moment in page] if query.group_by_video else []
        searched = {name for vector in vectors for name in vector.modalities}
        missing = dict.fromkeys((*_missing(query, searched, catalogue), *unsearched))
        return Ranking(
            query=query,
            moments=self._pictured(page),
            total=len(ranked),
            searched=tuple(name for name in modality_names() if name in searched),
            missing=tuple(missing),
            others={video_id: self._pictured(listing.by_video[video_id][1:]) for video_id in on_page},
            unlikely=self._pictured(unlikely[: query.top_k]),
            unsearched=unsearched,
        )

    def _pictured(self, moments: Sequence[Moment]) -> tuple[Moment, ...]:
        return tuple(replace(one, thumbnail=self._thumbnails(one.video.id, one.time_s)) for one in moments)


def _fill(listing: Listing, query: Query, scope: Scope, candidates: CandidateSearch, rater: Rater) -> None:
    """List moments until there is one more than the page needs, or no more to find."""
    wanted = query.offset + query.top_k + 1
    listed = listing.by_video if query.group_by_video else listing.moments
    while scope.video_ids and len(listed) < wanted and not candidates.exhausted:
        level = candidates.next_level(scope)
        listing.add(level)
        if rater.excludes_deeper(level, query.min_confidence, candidates.unexhausted):
            break
        if query.group_by_video:
            scope = scope.besides(listing.by_video.keys())


def _rates_by_words(background: Background | None) -> bool:
    return background is not None and "frames" in background.vocabularies


def _missing(query: Query, searched: Collection[ModalityName], catalogue: Catalogue) -> tuple[ModalityName, ...]:
    """What a text was not looked for in; for a picture or a moment, only what the index lacks."""
    return tuple(
        name
        for name, weight in query.weights.items()
        if weight > 0 and name not in searched and (query.wording or not catalogue.counts.get(name))
    )


def _models_of(store: VectorStore, device: str) -> QueryModels:
    """The models that the index says it was made with."""
    from indexer.manifest import models_of

    return models_of(manifest_of(store), device=device, roles=_OPTIONAL_ROLES)


def manifest_of(store: VectorStore) -> Manifest:
    """What an index says of how it was made.

    Raises:
        IndexDamagedError: it says nothing.
    """
    manifest = store.read_manifest()
    if manifest is None:
        raise IndexDamagedError(
            "The index does not say which models it was made with.", hint="Delete its folder and index again."
        )
    return manifest
