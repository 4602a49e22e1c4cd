"""Judging what was found for one query: could it as well have been found for a query that has no answer here?"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from indexer.core.types import SPACE_OF_MODALITY, Space
from search.confidence.false_alarms import Channel, Rated, confidence_of, local_scale
from search.confidence.null import Measured
from search.match.candidates import Probe
from search.moments import Hit, Moment

__all__ = ["Judge"]


class Judge:
    """Gives hits their z-scores and false-alarm rates, and moments their confidence.

    Args:
        measured: What unrelated queries score in the index; None judges nothing.
        probes: What is looked for.
        wording: The text that they stand for.
    """

    def __init__(self, measured: Measured | None, probes: Sequence[Probe], wording: str) -> None:
        self._nulls = measured.background.nulls if measured else {}
        self._probes: Mapping[Space, Probe] = {probe.space: probe for probe in probes}
        self._wording = wording
        self._scales: Mapping[Space, float] = {}
        self._tests = 1.0
        if measured is not None:
            self._scales = {space: _scale(probe, measured) for space, probe in self._probes.items()}
            searched = {name for probe in probes for name in probe.modalities}
            self._tests = measured.background.effective_tests(
                [channel for channel in self._nulls if channel.modality in searched]
            )

    def hit(self, hit: Hit) -> Hit:
        """The hit with what its scores mean, by the channel that speaks most for it."""
        rated = list(self._rated(hit))
        if not rated:
            return hit
        _, best = min(rated, key=lambda one: one[1].rate)
        return replace(hit, z_score=best.z_score, false_alarm_rate=best.rate)

    def moment(self, moment: Moment) -> Moment:
        """The moment with its confidence, and its hits judged."""
        if not self._nulls:
            return moment
        return replace(moment, hits=tuple(map(self.hit, moment.hits)), confidence=self.confidence(moment.hits))

    def confidence(self, hits: Iterable[Hit]) -> float | None:
        """The confidence in hits together, in [0, 1]; None where it is not known."""
        return confidence_of(
            ((channel, rated.rate) for hit in hits for channel, rated in self._rated(hit)), self._tests
        )

    def excludes_deeper(self, level: Sequence[Hit], least: float, unexhausted: Collection[Space]) -> bool:
        """Whether no further hit is to be expected with this confidence: none of those found by meaning has it, and
        with no more than their lowest cosine none of any modality would.

        Args:
            level: All hits of the level just gathered, as they are.
            least: The confidence asked for; at 0, and where nothing can be judged, further hits are never excluded.
            unexhausted: The spaces that have more hits.
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

        Where hits are judged by another cosine than they are found by, the lowest found says nothing of it.
        """
        lowest = min((hit.score for hit in by_meaning if SPACE_OF_MODALITY[hit.modality] == space), default=None)
        probe = self._probes[space]
        if lowest is None or probe.judged_by is not None:
            return lowest is not None
        channels = [Channel(name, "meaning") for name in probe.modalities]
        if not all(channel in self._nulls for channel in channels):
            return False
        score = lowest - self._scales.get(space, 0.0)
        best = [(channel, self._nulls[channel].rated(score).rate) for channel in channels]
        confidence = confidence_of(best, self._tests)
        return confidence is not None and confidence < least

    def _rated(self, hit: Hit) -> Iterator[tuple[Channel, Rated]]:
        """What each of the hit's scores means, as far as that is known."""
        by_meaning, by_words = Channel(hit.modality, "meaning"), Channel(hit.modality, "words")
        if by_meaning in self._nulls:
            space = SPACE_OF_MODALITY[hit.modality]
            rise = self._probes[space].calibration.rise(self._wording, hit.text)
            score = hit.score if hit.judged is None else hit.judged
            yield by_meaning, self._nulls[by_meaning].rated(score - rise - self._scales.get(space, 0.0))
        if hit.lexical and by_words in self._nulls:
            yield by_words, self._nulls[by_words].rated(hit.lexical)


def _scale(probe: Probe, measured: Measured) -> float:
    vector = probe.vector if probe.judged_by is None else probe.judged_by
    return float(local_scale(vector[None], measured.vocabularies.get(probe.space))[0])
