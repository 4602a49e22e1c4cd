"""All hits of one query, level by level: from every space, by meaning and by words, as far as its conditions allow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from indexer.core.types import Space
from indexer.store.base import VectorStore
from search.catalogue import Catalogue
from search.match.candidates import Candidate, QueryVector, Scope, exact_cosines, hit_of
from search.match.conditions import Conditions
from search.match.lexical import Wording
from search.match.word_search import WordSearch
from search.moments import Hit


class MeaningSearch:
    """Finds the records of one space that are nearest to a vector, level by level.

    A level has at least ``depth`` new candidates (twice as many on each further one) from at least a fifth as many
    places, a place being one shot or one text, so that one long static shot does not make up a level. The levels depend
    only on the index and the vector, so that a ranking built from them can be continued later.

    ``filters_modalities`` says whether the space has modalities that are not to be looked in.
    """

    def __init__(self, store: VectorStore, vector: QueryVector, depth: int, *, filters_modalities: bool) -> None:
        self._store = store
        self._vector = vector
        self._wanted = depth
        self._limit = depth
        self._seen: set[str] = set()
        self._passed_modalities = vector.modalities if filters_modalities else None
        self.exhausted = False

    def next_level(self, scope: Scope) -> list[Candidate]:
        """The next candidates above the floor, best first; none once ``exhausted``."""
        fresh: list[Candidate] = []
        while not self.exhausted and not self._is_level(fresh):
            fresh = self._fetch(scope)
            self._limit *= 2
        self.pass_over(one.record.id for one in fresh)
        self._wanted *= 2
        return fresh

    def pass_over(self, record_ids: Iterable[str]) -> None:
        """Do not find these records again."""
        self._seen.update(record_ids)

    def _is_level(self, found: Sequence[Candidate]) -> bool:
        records = [one.record for one in found]
        places = {(one.video_id, one.modality, one.shot if one.shot >= 0 else one.id) for one in records}
        return len(found) >= self._wanted and 5 * len(places) >= self._wanted

    def _fetch(self, scope: Scope) -> list[Candidate]:
        sought = self._vector
        records = self._store.nearest(
            sought.space, sought.vector, self._limit, video_ids=scope.passed_ids, modalities=self._passed_modalities
        )
        cosines = exact_cosines(records, sought.vector)
        self.exhausted = len(records) < self._limit or bool(cosines.min() <= sought.calibration.floor)
        found = (Candidate(record, float(cosine)) for record, cosine in zip(records, cosines, strict=True))
        return sorted((one for one in found if self._is_new(one, scope)), key=lambda one: (-one.cosine, one.record.id))

    def _is_new(self, found: Candidate, scope: Scope) -> bool:
        record, cosine = found
        return (
            cosine > self._vector.calibration.floor
            and record.modality in self._vector.modalities
            and record.id not in self._seen
            and scope.accepts(record)
        )


class CandidateSearch:
    """Collects the hits of one query that meet its conditions, by meaning (``vectors``) and by words (``wording``).

    Everything found by words comes with the first level, so that the levels stay the same however deep the search goes.
    """

    def __init__(
        self,
        store: VectorStore,
        catalogue: Catalogue,
        vectors: Sequence[QueryVector],
        *,
        wording: str,
        conditions: Conditions,
        depth: int,
    ) -> None:
        self._wording = wording
        self._conditions = conditions
        self._vectors = {vector.space: vector for vector in vectors}
        self._by_meaning = {
            vector.space: MeaningSearch(
                store, vector, depth, filters_modalities=vector.modalities != catalogue.modalities(vector.space)
            )
            for vector in vectors
        }
        words = Wording.of(wording)
        self._by_words = WordSearch(store, catalogue, words, conditions.joined) if words.phrase else None

    @property
    def exhausted(self) -> bool:
        """Whether there is no more to find."""
        return self._by_words is None and not self.unexhausted

    @property
    def unexhausted(self) -> frozenset[Space]:
        """The spaces that have more to find by meaning."""
        return frozenset(space for space, search in self._by_meaning.items() if not search.exhausted)

    def next_level(self, scope: Scope) -> list[Hit]:
        """The next hits of all spaces."""
        found = {space: search.next_level(scope) for space, search in self._by_meaning.items()}
        hits = [
            hit
            for space, level in found.items()
            for hit in self._hits(space, level, scope)
            if hit.lexical > 0 or self._is_evidence(self._vectors[space], hit)
        ]
        self._by_words = None
        return self._conditions.accepted(hits)

    def _is_evidence(self, vector: QueryVector, hit: Hit) -> bool:
        return vector.calibration.strength(hit.score, self._wording, hit.text) > 0

    def _hits(self, space: Space, level: Sequence[Candidate], scope: Scope) -> list[Hit]:
        vector = self._vectors[space]
        if self._by_words is None or space == "frames":
            return _hits_by_meaning(level, vector)
        hits = self._by_words.find(vector, scope, level)
        self._by_meaning[space].pass_over(hit.record_id for hit in hits)
        return hits


def _hits_by_meaning(level: Sequence[Candidate], vector: QueryVector) -> list[Hit]:
    hits = [hit_of(record, cosine) for record, cosine in level]
    if vector.rated_by is None:
        return hits
    scores = exact_cosines([record for record, _ in level], vector.rated_by)
    return [replace(hit, rated_score=float(score)) for hit, score in zip(hits, scores, strict=True)]
