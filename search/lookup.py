"""Finding records by their words: the candidates come from the store's full-text index, the scores from the texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from indexer.store.base import VectorStore
from indexer.types import Record
from search.catalogue import Catalogue
from search.lexical import Wording, WordScorer, match_phrase
from search.moments import Hit
from search.retrieval import Found, Probe, Scope, exact_cosines, hit_of

__all__ = ["WordSearch"]

MOST_HITS = 200
# Each takes the database some 25 ms over 50,000 records; the words looked up are those with the most letters.
MOST_LOOKUPS = 4
# Where the store cannot be told which videos are meant, some of what it gives is none of theirs.
MOST_UNSORTED = 2000
# "Ann" lies in "cannot" and "plan nothing": where the first ones found hold a word but by accident, more are read.
DEEPEST = 10_000
ENOUGH = 50


@dataclass(frozen=True, slots=True)
class WordSearch:
    """Finds the words of one query.

    What is found depends on nothing but the index and the query, and it is all there is: a word that very many
    records hold tells little, and some of them stand for all.

    Args:
        store: The index.
        catalogue: What is in it.
        wording: What to find.
    """

    store: VectorStore
    catalogue: Catalogue
    wording: Wording

    def find(self, probe: Probe, scope: Scope, also: Sequence[Found]) -> list[Hit]:
        """The records of a probe's space with the query's words in them, the best ``MOST_HITS``; and all of ``also``.

        Args:
            probe: Where to look, and what to take the cosines with.
            scope: Which videos may be found.
            also: What was found by cosine; it is scored by words like the others.

        Raises:
            IndexDamagedError: a stored vector is no direction.
        """
        looked_up = {word: self._lookup(probe, scope, word) for word in self._sought()}
        scorer = WordScorer(self.wording, {word: len(found) for word, found in looked_up.items()}, self._size(probe))
        known = {one.record.id for one in also}
        fresh = {record.id: record for records in looked_up.values() for record in records if record.id not in known}
        wanted = [record for record in fresh.values() if record.modality in probe.modalities and scope.accepts(record)]
        hits = sorted(self._scored(scorer, wanted, probe), key=lambda hit: (-hit.lexical, -hit.score, hit.record_id))
        return [*self._rescored(scorer, also), *hits[:MOST_HITS]]

    def _sought(self) -> tuple[str, ...]:
        """The whole phrase, and of its words those that tell most."""
        return tuple(dict.fromkeys([self.wording.phrase, *self.wording.telling[:MOST_LOOKUPS]]))

    def _lookup(self, probe: Probe, scope: Scope, word: str) -> list[Record]:
        """Records with the letters of a word, as many as it takes for some to hold it as a word, if any do."""
        is_unsorted = scope.narrowed and scope.passed_ids is None
        found: list[Record] = []
        for limit in (MOST_UNSORTED, DEEPEST) if is_unsorted else (MOST_HITS, MOST_UNSORTED, DEEPEST):
            found = self._with_letters(probe, scope, word, limit)
            if len(found) < limit or sum(_holds(one, word) for one in found if scope.accepts(one)) >= ENOUGH:
                break
        return found

    def _with_letters(self, probe: Probe, scope: Scope, word: str, limit: int) -> list[Record]:
        held = self.catalogue.modalities(probe.space)
        return self.store.containing(
            probe.space,
            [word],
            limit,
            video_ids=scope.passed_ids,
            modalities=None if probe.modalities == held else probe.modalities,
        )

    def _size(self, probe: Probe) -> int:
        return sum(self.catalogue.counts[name] for name in probe.modalities)

    def _scored(self, scorer: WordScorer, records: Sequence[Record], probe: Probe) -> Iterator[Hit]:
        for record, cosine in zip(records, exact_cosines(records, probe.vector), strict=True):
            match = scorer.match(record.text, record.modality)
            if match is not None:
                yield hit_of(record, float(cosine), match)

    def _rescored(self, scorer: WordScorer, found: Sequence[Found]) -> Iterator[Hit]:
        for record, cosine in found:
            yield hit_of(record, cosine, scorer.match(record.text, record.modality))


def _holds(record: Record, word: str) -> bool:
    """Whether a record has a word (or the phrase) by itself and not only its letters."""
    return match_phrase(record.text, word, record.modality) is not None
