"""The engine: a query in, ranked moments with their evidence out."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self, TypeAlias

from indexer.core.errors import IndexDamagedError, QueryError
from indexer.core.types import SPACE_OF_MODALITY, ModalityName
from indexer.models.base import OptionalRole
from indexer.models.lifecycle import Lazy
from indexer.store.base import VectorStore
from search.browsing import browse
from search.catalogue import Catalogue
from search.confidence.judge import Judge
from search.confidence.null import KeptBackground, Learning, Measured
from search.match.candidates import Probe, Scope
from search.match.collect import Gathering
from search.match.conditions import ConditionFinder, Conditions
from search.match.lexical import Wording
from search.match.query_vectors import ProbeMaker, QueryModels
from search.match.reference_moment import find_likeness
from search.moments import Moment
from search.query.examples import example_queries
from search.query.query import Query
from search.query.syntax import ParsedQuery, parse_query
from search.rank.calibration import Comparison
from search.rank.fusion import RRF_K, Calibration, Fusion
from search.rank.listing import Listing
from search.rank.merging import MergeRules

__all__ = ["FindThumbnail", "Ranking", "SearchEngine", "SearchOptions"]

_ROLES_OF_QUERIES: Sequence[OptionalRole] = ("sounds",)

FindThumbnail: TypeAlias = Callable[[str, float], Path | None]


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How to search.

    Args:
        depth: How many hits of each space are looked at first; a search goes deeper for more moments.
        rrf_k: The constant of reciprocal rank fusion.
        merging: When hits are one moment.
        calibrations: Where cosines stand, for comparisons that shall not use ``search.rank.calibration``.
    """

    depth: int = 50
    rrf_k: float = RRF_K
    merging: MergeRules = field(default_factory=MergeRules)
    calibrations: Mapping[Comparison, Calibration] = field(default_factory=dict)


DEFAULT_OPTIONS = SearchOptions()


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """The answer to a query.

    Args:
        query: What was asked.
        moments: One page of the ranking, best first: ``query.top_k`` of them from ``query.offset`` on. With
            ``query.group_by_video`` the best moment of each video.
        total: How many moments (with grouping: videos) were found before paging. The search goes one beyond the page
            and stops there, so this is exact on the last page and a lower bound before.
        searched: The modalities looked at; none for a query of conditions alone, whose moments are not ranked.
        missing: The modalities that the query weighs and that could not be looked at.
        unsearched: Why not, for those of them that the index has, with what to do about it.
        others: With grouping, the further moments of each video on the page by its id, as far as they were found.
        unlikely: The nearest of the moments that were left out for ``query.min_confidence``, best first, at most
            ``query.top_k``; with grouping the best one of each video that was not found.
        took_s: How long the search took, in seconds.
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
        store: The index.
        models: Gives the models of the index; called (perhaps more than once) when a query has to be encoded.
        thumbnails: Finds the picture of a video's instant, None where there is none.
        options: How to search.
        kept_in: The folder for what unrelated queries score in this index (``null``); None keeps it in
            memory only.
        learning: Entered while that is measured, which takes seconds the first time.
    """

    def __init__(
        self,
        store: VectorStore,
        models: Callable[[], QueryModels],
        *,
        thumbnails: FindThumbnail | None = None,
        options: SearchOptions = DEFAULT_OPTIONS,
        kept_in: Path | None = None,
        learning: Learning = nullcontext,
    ) -> None:
        self._store = store
        self._models = models
        self._thumbnails = thumbnails
        self._options = options
        self._background = KeptBackground(kept_in, options.calibrations, learning=learning)
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
        options: SearchOptions = DEFAULT_OPTIONS,
        learning: Learning = nullcontext,
    ) -> Self:
        """Open the index in a folder, or the one on a Chroma server at ``url``; models load at the first query.

        Args:
            path: The folder of the index.
            name: The name of the index in the database.
            url: A Chroma server instead of the folder.
            device: Where the models run: ``auto``, ``cpu``, ``cuda`` or ``mps``.
            options: How to search.
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
        return cls(store, models.get, thumbnails=thumbnails, options=options, kept_in=kept_in, learning=learning)

    def search(self, query: Query | str, *, top_k: int | None = None) -> Ranking:
        """Find the moments that match a query.

        Args:
            query: What to find; a text is read as a person types it, with quotes and conditions (``syntax``),
                while a ``Query`` is taken as it is.
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
        """Read what a person typed; the facts that videos can be filtered by are those known in this index.

        Raises:
            QueryError: a part of it reads as a condition and is none.
        """
        return parse_query(text, self.catalogue().facet_names)

    def examples(self, count: int = 6) -> tuple[str, ...]:
        """At most so many queries that this index has an answer to, for somebody who does not know what to type.

        Raises:
            StoreError: the database does not answer.
        """
        return example_queries(self._store, self.catalogue(), count)

    def catalogue(self) -> Catalogue:
        """What there is to search, as last read; read anew when the store says that it may have changed."""
        seen = self._catalogue
        # Whoever comes while another thread reads goes on with what was there before.
        if not self._reading.acquire(blocking=seen is None):
            return seen if seen is not None else self.catalogue()
        try:
            return self._read_if_changed()
        finally:
            self._reading.release()

    def reload(self) -> None:
        """Read what there is to search anew at the next query, say after this very process has indexed."""
        self._catalogue = None

    def close(self) -> None:
        """Let go of the index."""
        self._store.close()

    def _read_if_changed(self) -> Catalogue:
        if self._store.refresh():
            self._is_stale = True
        catalogue = self._catalogue
        if self._is_stale or catalogue is None:
            catalogue = self._catalogue = Catalogue.read(self._store)
            self._is_stale = False
        return catalogue

    def _answer(self, query: Query) -> Ranking:
        catalogue = self.catalogue()
        _check_not_empty(catalogue)
        earlier = self._background.known(catalogue) if query.wording else None
        words_too = earlier is not None and "frames" in earlier.vocabularies
        maker = ProbeMaker(self._models, catalogue, self._options.calibrations, words_too)
        conditions = ConditionFinder(self._store, catalogue, self._options.merging, maker.seen).find(query)
        scope = _scope(query, catalogue, conditions)
        if query.is_browsing:
            return self._browse(query, catalogue, scope, conditions)
        likeness = None
        if query.like is not None:
            named, second = query.like
            likeness = find_likeness(self._store, catalogue.find(named), second)
            scope = replace(scope, without=likeness.excerpt)
        probes, unsearched = maker.probes(query, likeness)
        measured = self._measured(query, catalogue, can_measure=not unsearched)
        if measured is not None:
            probes = maker.judged(probes, query.wording, measured.vocabularies)
        judge = Judge(measured, probes, query.wording)
        ranking = self._page(query, catalogue, probes, self._list(query, catalogue, probes, scope, conditions, judge))
        return replace(ranking, missing=(*ranking.missing, *_unnamed(unsearched, ranking)), unsearched=unsearched)

    def _browse(self, query: Query, catalogue: Catalogue, scope: Scope, conditions: Conditions) -> Ranking:
        found = browse(self._store, catalogue, scope.video_ids, conditions, once=query.group_by_video)
        seen = list(islice(found, query.offset + query.top_k + 1))
        page = [self._pictured(moment) for moment in seen[query.offset : query.offset + query.top_k]]
        return Ranking(query, tuple(page), len(seen), (), _missing(query, (), catalogue))

    def _list(
        self,
        query: Query,
        catalogue: Catalogue,
        probes: Sequence[Probe],
        scope: Scope,
        conditions: Conditions,
        judge: Judge,
    ) -> Listing:
        """List moments until there is one more than the page needs, or no more to find."""
        wording = Wording.of(query.wording)
        fusion = replace(self._fusion(query, probes), wording=query.wording, distinctness=wording.distinctness)
        gathering = Gathering(
            self._store,
            catalogue,
            probes,
            wording=wording,
            conditions=conditions,
            fusion=fusion,
            depth=self._options.depth,
        )
        listing = Listing(catalogue.videos, fusion, self._options.merging, judge.moment, query.min_confidence)
        while scope.video_ids and _found(listing, query) <= query.offset + query.top_k:
            if gathering.exhausted:
                break
            level = gathering.next_level(scope)
            listing.add(level)
            if judge.excludes_deeper(level, query.min_confidence, gathering.unexhausted):
                break
            if query.group_by_video:
                scope = scope.besides(listing.by_video.keys())
        return listing

    def _measured(self, query: Query, catalogue: Catalogue, *, can_measure: bool) -> Measured | None:
        """What unrelated queries score, if known, or needed and all models are here.

        What must be said or seen is no question of confidence.
        """
        if not query.wording or query.phrases or any(not one.negated for one in query.objects):
            return None
        if query.min_confidence > 0 and can_measure:
            return self._background.measured(self._store, catalogue, self._models())
        return self._background.known(catalogue)

    def _fusion(self, query: Query, probes: Sequence[Probe]) -> Fusion:
        return Fusion(
            weights={name: query.weight(name) for probe in probes for name in probe.modalities},
            calibrations={name: probe.calibration for probe in probes for name in probe.modalities},
            k=self._options.rrf_k,
        )

    def _page(self, query: Query, catalogue: Catalogue, probes: Sequence[Probe], listing: Listing) -> Ranking:
        ranked = [moments[0] for moments in listing.by_video.values()] if query.group_by_video else listing.moments
        page = [self._pictured(moment) for moment in ranked[query.offset : query.offset + query.top_k]]
        searched = {name for probe in probes for name in probe.modalities}
        return Ranking(
            query=query,
            moments=tuple(page),
            total=_found(listing, query),
            searched=tuple(name for name in SPACE_OF_MODALITY if name in searched),
            missing=_missing(query, searched, catalogue),
            others=self._others(page, listing) if query.group_by_video else {},
            unlikely=tuple(map(self._pictured, _unlikely(listing, query))),
        )

    def _others(self, page: Sequence[Moment], listing: Listing) -> Mapping[str, tuple[Moment, ...]]:
        return {
            moment.video.id: tuple(self._pictured(other) for other in listing.by_video[moment.video.id][1:])
            for moment in page
        }

    def _pictured(self, moment: Moment) -> Moment:
        if self._thumbnails is None:
            return moment
        return replace(moment, thumbnail=self._thumbnails(moment.video.id, moment.time_s))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _check_not_empty(catalogue: Catalogue) -> None:
    if not catalogue.videos:
        raise QueryError("There is nothing to search yet.", hint="Index something first: sceneseek index FOLDER.")


def _scope(query: Query, catalogue: Catalogue, conditions: Conditions) -> Scope:
    accepted = conditions.narrow(catalogue.accepted(query.filters))
    return Scope(accepted, narrowed=len(accepted) < len(catalogue.videos))


def _found(listing: Listing, query: Query) -> int:
    return len(listing.by_video if query.group_by_video else listing.moments)


def _unlikely(listing: Listing, query: Query) -> Sequence[Moment]:
    if not query.group_by_video:
        return listing.unlikely[: query.top_k]
    best: dict[str, Moment] = {}
    for moment in listing.unlikely:
        if moment.video.id not in listing.by_video:
            best.setdefault(moment.video.id, moment)
    return list(best.values())[: query.top_k]


def _missing(query: Query, searched: Collection[ModalityName], catalogue: Catalogue) -> tuple[ModalityName, ...]:
    """What a text cannot be looked for in; for a picture or a moment, only what the index lacks."""
    return tuple(
        name
        for name, weight in query.weights.items()
        if weight > 0 and name not in searched and (query.wording or not catalogue.counts.get(name))
    )


def _unnamed(unsearched: Iterable[ModalityName], ranking: Ranking) -> list[ModalityName]:
    return [name for name in unsearched if name not in ranking.missing]


def _models_of(store: VectorStore, device: str) -> QueryModels:
    """The models that the index says it was made with."""
    from indexer.manifest import models_of

    manifest = store.read_manifest()
    if manifest is None:
        raise IndexDamagedError(
            "The index does not say which models it was made with.", hint="Delete its folder and index again."
        )
    return models_of(manifest, device=device, roles=_ROLES_OF_QUERIES)
