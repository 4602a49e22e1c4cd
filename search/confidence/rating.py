"""Rating the hits of one search against the background (see ``search.confidence``)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from indexer.core.types import Space
from indexer.modalities.registry import space_of
from search.confidence.background import Background, Channel, Rating, confidence_of, local_scale
from search.match.candidates import QueryVector
from search.moments import Hit, Moment


class Rater:
    """Gives hits their z-scores and false-alarm rates, and moments their confidence; without a background nothing."""

    def __init__(self, background: Background | None, vectors: Sequence[QueryVector], wording: str) -> None:
        background = background or Background({})
        self._nulls = background.distributions
        self._vectors = {vector.space: vector for vector in vectors}
        self._wording = wording
        self._scales = {vector.space: _scale(vector, background) for vector in vectors}
        self._tests = background.effective_tests({name for vector in vectors for name in vector.modalities})

    def moment(self, moment: Moment) -> Moment:
        """The moment with its confidence, and its hits rated."""
        if not self._nulls:
            return moment
        return replace(moment, hits=tuple(map(self.hit, moment.hits)), confidence=self.confidence(moment.hits))

    def hit(self, hit: Hit) -> Hit:
        """The hit with the rating of the channel in which it is least likely a false alarm."""
        best = min((rating for _, rating in self._ratings(hit)), key=lambda one: one.rate, default=None)
        return hit if best is None else replace(hit, z_score=best.z_score, false_alarm_rate=best.rate)

    def confidence(self, hits: Iterable[Hit]) -> float | None:
        """The confidence in hits together, in [0, 1]; None where it is unknown."""
        rates = ((channel, rating.rate) for hit in hits for channel, rating in self._ratings(hit))
        return confidence_of(rates, self._tests)

    def excludes_deeper(self, level: Sequence[Hit], least: float, unexhausted: Collection[Space]) -> bool:
        """Whether no deeper hit can be expected to have this confidence.

        That is so if no hit of the level that was found by meaning has it, and one with the lowest cosine of them would
        not have it in any modality of the spaces that have more hits. At 0, and if nothing can be rated, deeper hits
        are never excluded.
        """
        if not (self._nulls and least > 0):
            return False
        by_meaning = [hit for hit in level if not hit.lexical]
        confidences = [self.confidence([hit]) for hit in by_meaning]
        if not confidences or any(one is None or one >= least for one in confidences):
            return False
        return all(self._is_spent(space, by_meaning, least) for space in unexhausted)

    def _is_spent(self, space: Space, by_meaning: Iterable[Hit], least: float) -> bool:
        """Whether a hit below all of these in their space would have less than this confidence in any modality.

        If hits are rated by another cosine than they are found by, the lowest cosine found says nothing about it.
        """
        lowest = min((hit.score for hit in by_meaning if space_of(hit.modality) == space), default=None)
        vector = self._vectors[space]
        if lowest is None or vector.rated_by is not None:
            return lowest is not None
        channels = [Channel(name, "meaning") for name in vector.modalities]
        if not all(channel in self._nulls for channel in channels):
            return False
        score = lowest - self._scales[space]
        best = [(channel, self._nulls[channel].rated(score).rate) for channel in channels]
        confidence = confidence_of(best, self._tests)
        return confidence is not None and confidence < least

    def _ratings(self, hit: Hit) -> Iterator[tuple[Channel, Rating]]:
        """The rating of each of the hit's scores, as far as it is known."""
        by_meaning, by_words = Channel(hit.modality, "meaning"), Channel(hit.modality, "words")
        if by_meaning in self._nulls:
            space = space_of(hit.modality)
            rise = self._vectors[space].calibration.rise(self._wording, hit.text)
            score = hit.score if hit.rated_score is None else hit.rated_score
            yield by_meaning, self._nulls[by_meaning].rated(score - rise - self._scales[space])
        if hit.lexical and by_words in self._nulls:
            yield by_words, self._nulls[by_words].rated(hit.lexical)


def _scale(vector: QueryVector, background: Background) -> float:
    rated_by = vector.vector if vector.rated_by is None else vector.rated_by
    return float(local_scale(rated_by[None], background.vocabularies.get(vector.space))[0])
