"""Finding records by their words: the store's full-text index gives the candidates, their texts give the scores."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from indexer.core.text import squeezed
from indexer.core.types import Record
from indexer.store.base import VectorStore, searched_text
from search.catalogue import Catalogue
from search.match.candidates import Candidate, QueryVector, Scope, exact_cosines, hit_of
from search.match.cross_segment import Joined
from search.match.lexical import Wording, WordScorer, match_phrase
from search.moments import Hit

_MOST_HITS = 200
_MOST_LOOKUPS = 4  # each takes the database some 25 ms over 50,000 records
_MOST_UNSORTED = 2000  # if the store is not told which videos are meant, some of what it finds is in others
# "Ann" lies in "cannot" and "plan nothing": if few of the first records found hold it as a word, more are read.
_DEEPEST = 10_000
_ENOUGH = 50


@dataclass(frozen=True, slots=True)
class WordSearch:
    """Finds the words of one query.

    The result depends only on the index and the query. A word that very many records hold says little, so only some of
    them are read. Records ``joined`` by a phrase are found as one. Up to ``few`` texts with a word of the phrase are
    searched for it here, which is faster than looking it up.
    """

    store: VectorStore
    catalogue: Catalogue
    wording: Wording
    joined: Sequence[Joined] = ()
    few: int = 20

    def find(self, vector: QueryVector, scope: Scope, also: Sequence[Candidate]) -> list[Hit]:
        """The best records of a space with the query's words in them, at most ``_MOST_HITS``, and all of ``also``.

        ``also`` was found by meaning, and is scored by words like the others.
        """
        looked_up = self._looked_up(vector, scope)
        size = sum(self.catalogue.counts[name] for name in vector.modalities)
        scorer = WordScorer(self.wording, {word: len(found) for word, found in looked_up.items()}, size)
        joined = self._joined(vector, scope)
        known = {one.record.id: one.record for one in also}
        fresh = {record.id: record for found in looked_up.values() for record in found if record.id not in known}
        apart = [
            one
            for one in fresh.values()
            if one.modality in vector.modalities and scope.accepts(one) and one.id not in joined
        ]
        best = sorted(_scored(scorer, apart, vector), key=lambda hit: (-hit.lexical, -hit.score, hit.record_id))
        again = (
            hit_of(one, cosine, scorer.match(one.text, one.modality)) for one, cosine in also if one.id not in joined
        )
        together = self._scored_together(scorer, joined.values(), vector, {**fresh, **known})
        return [*again, *together, *best[:_MOST_HITS]]

    def _looked_up(self, vector: QueryVector, scope: Scope) -> dict[str, list[Record]]:
        """The records with the whole phrase, and those with its longest words."""
        words = {word: self._lookup(vector, scope, word) for word in self.wording.telling[:_MOST_LOOKUPS]}
        phrase = self.wording.phrase
        return words if phrase in words else {phrase: self._lookup_phrase(vector, scope, words.values()), **words}

    def _lookup_phrase(self, vector: QueryVector, scope: Scope, words: Collection[Sequence[Record]]) -> list[Record]:
        """If a word of the phrase is rare, the phrase is in the records that hold it, and need not be looked up."""
        rarest = min(words, key=len, default=None)
        if rarest is None or len(rarest) > self.few:
            return self._lookup(vector, scope, self.wording.phrase)
        letters = squeezed(self.wording.phrase)
        return [record for record in rarest if letters in searched_text(record)]

    def _lookup(self, vector: QueryVector, scope: Scope, word: str) -> list[Record]:
        """Records with the letters of a word, as many as it takes for some to hold it as a word, if any do."""
        is_unsorted = scope.narrowed and scope.passed_ids is None
        held = self.catalogue.modalities(vector.space)
        found: list[Record] = []
        for limit in (_MOST_UNSORTED, _DEEPEST) if is_unsorted else (_MOST_HITS, _MOST_UNSORTED, _DEEPEST):
            found = self.store.containing(
                vector.space,
                [word],
                limit,
                video_ids=scope.passed_ids,
                modalities=None if vector.modalities == held else vector.modalities,
            )
            if len(found) < limit or sum(_holds(one, word) for one in found if scope.accepts(one)) >= _ENOUGH:
                break
        return found

    def _joined(self, vector: QueryVector, scope: Scope) -> Mapping[str, Joined]:
        """Those that may be found, by their first record; if that holds the phrase by itself, it stands for both."""
        return {
            one.parts[0].id: one
            for one in self.joined
            if one.parts[0].modality in vector.modalities
            and scope.accepts(one.record)
            and not _holds(one.parts[0], one.phrase)
        }

    def _scored_together(
        self, scorer: WordScorer, joined: Collection[Joined], vector: QueryVector, known: Mapping[str, Record]
    ) -> Iterator[Hit]:
        """What several records hold together has the cosine of the nearest of them."""
        parts = {part.id: part for one in joined for part in one.parts}
        complete = {**known, **self._with_vectors([part for key, part in parts.items() if key not in known])}
        for one in joined:
            nearest = exact_cosines([complete[part.id] for part in one.parts if part.id in complete], vector.vector)
            match = scorer.match(one.record.text, one.record.modality)
            if len(nearest):
                hit = one.hit(float(nearest.max()))
                yield replace(hit, lexical=match.score if match else 0.0, matched=match.matched if match else ())

    def _with_vectors(self, records: Sequence[Record]) -> Mapping[str, Record]:
        texts, video_ids = {one.text for one in records}, {one.video_id for one in records}
        found = self.store.containing(records[0].space, texts, None, video_ids=video_ids) if records else []
        return {one.id: one for one in found}


def _scored(scorer: WordScorer, records: Sequence[Record], vector: QueryVector) -> Iterator[Hit]:
    for record, cosine in zip(records, exact_cosines(records, vector.vector), strict=True):
        match = scorer.match(record.text, record.modality)
        if match is not None:
            yield hit_of(record, float(cosine), match)


def _holds(record: Record, word: str) -> bool:
    """Whether a record has a word (or the phrase) by itself and not only its letters."""
    return match_phrase(record.text, word, record.modality) is not None
