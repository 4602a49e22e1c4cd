"""Finding records by their words: the candidates come from the store's full-text index, the scores from the texts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from indexer.core.text import squeezed
from indexer.core.types import Record
from indexer.store.base import VectorStore, searched_text
from search.catalogue import Catalogue
from search.match.candidates import Found, Probe, Scope, exact_cosines, hit_of
from search.match.cross_segment import Joined
from search.match.lexical import Wording, WordScorer, match_phrase
from search.moments import Hit

__all__ = ["WordSearch"]

MOST_HITS = 200
# Each takes the database some 25 ms over 50,000 records; the words looked up are those with the most letters.
MOST_LOOKUPS = 4
# Where the store cannot be told which videos are meant, some of what it gives is none of theirs.
MOST_UNSORTED = 2000
# "Ann" lies in "cannot" and "plan nothing": where the first ones found hold a word but by accident, more are read.
DEEPEST = 10_000
ENOUGH = 50
# So few texts are faster looked through than the phrase is looked up.
FEW = 20


@dataclass(frozen=True, slots=True)
class WordSearch:
    """Finds the words of one query.

    What is found depends on nothing but the index and the query, and it is all there is: a word that very many
    records hold tells little, and some of them stand for all.

    Args:
        store: The index.
        catalogue: What is in it.
        wording: What to find.
        joined: Records that hold a phrase together; each of these is found as one.
    """

    store: VectorStore
    catalogue: Catalogue
    wording: Wording
    joined: Sequence[Joined] = ()

    def find(self, probe: Probe, scope: Scope, also: Sequence[Found]) -> list[Hit]:
        """The records of a probe's space with the query's words in them, the best ``MOST_HITS``; and all of ``also``.

        Args:
            probe: Where to look, and what to take the cosines with.
            scope: Which videos may be found.
            also: What was found by cosine; it is scored by words like the others.

        Raises:
            IndexDamagedError: a stored vector is no direction.
        """
        looked_up = self._looked_up(probe, scope)
        scorer = WordScorer(self.wording, {word: len(found) for word, found in looked_up.items()}, self._size(probe))
        joined = self._joined(probe, scope)
        known = {one.record.id: one.record for one in also}
        fresh = {record.id: record for found in looked_up.values() for record in found if record.id not in known}
        wanted = [one for one in fresh.values() if one.modality in probe.modalities and scope.accepts(one)]
        apart = [one for one in wanted if one.id not in joined]
        hits = sorted(self._scored(scorer, apart, probe), key=lambda hit: (-hit.lexical, -hit.score, hit.record_id))
        return [
            *self._rescored(scorer, [one for one in also if one.record.id not in joined]),
            *self._scored_together(scorer, joined.values(), probe, {**fresh, **known}),
            *hits[:MOST_HITS],
        ]

    def _looked_up(self, probe: Probe, scope: Scope) -> dict[str, list[Record]]:
        """What holds the whole phrase, and what holds its words that tell most."""
        words = {word: self._lookup(probe, scope, word) for word in self.wording.telling[:MOST_LOOKUPS]}
        phrase = self.wording.phrase
        return words if phrase in words else {phrase: self._lookup_phrase(probe, scope, words.values()), **words}

    def _lookup_phrase(self, probe: Probe, scope: Scope, words: Collection[Sequence[Record]]) -> list[Record]:
        """Where a word of the phrase is rare, the phrase is among what holds that, and need not be looked up."""
        rarest = min(words, key=len, default=None)
        if rarest is None or len(rarest) > FEW:
            return self._lookup(probe, scope, self.wording.phrase)
        letters = squeezed(self.wording.phrase)
        return [record for record in rarest if letters in searched_text(record)]

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

    def _joined(self, probe: Probe, scope: Scope) -> Mapping[str, Joined]:
        """Those that may be found, by their first record; where that holds the phrase itself, it stands for both."""
        return {
            one.parts[0].id: one
            for one in self.joined
            if one.parts[0].modality in probe.modalities
            and scope.accepts(one.record)
            and not _holds(one.parts[0], one.phrase)
        }

    def _scored_together(
        self, scorer: WordScorer, joined: Collection[Joined], probe: Probe, known: Mapping[str, Record]
    ) -> Iterator[Hit]:
        """What several records hold together has the cosine of the nearest of them."""
        parts = {part.id: part for one in joined for part in one.parts}
        complete = {**known, **self._complete([part for key, part in parts.items() if key not in known])}
        for one in joined:
            nearest = exact_cosines([complete[part.id] for part in one.parts if part.id in complete], probe.vector)
            match = scorer.match(one.record.text, one.record.modality)
            if len(nearest):
                hit = one.hit(float(nearest.max()))
                yield replace(hit, lexical=match.score if match else 0.0, matched=match.matched if match else ())

    def _complete(self, records: Sequence[Record]) -> Mapping[str, Record]:
        """The same records with their vectors."""
        texts, video_ids = {one.text for one in records}, {one.video_id for one in records}
        found = self.store.containing(records[0].space, texts, None, video_ids=video_ids) if records else []
        return {one.id: one for one in found}

    def _rescored(self, scorer: WordScorer, found: Sequence[Found]) -> Iterator[Hit]:
        for record, cosine in found:
            yield hit_of(record, cosine, scorer.match(record.text, record.modality))


def _holds(record: Record, word: str) -> bool:
    """Whether a record has a word (or the phrase) by itself and not only its letters."""
    return match_phrase(record.text, word, record.modality) is not None
