"""All hits of one query, level by level: from every space, by meaning and by words, as far as its conditions allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from indexer.core.types import Space
from indexer.store.base import VectorStore
from search.catalogue import Catalogue
from search.match.candidates import Descent, Found, Probe, Scope, judged_hits
from search.match.conditions import Conditions
from search.match.lexical import Wording
from search.match.text_lookup import WordSearch
from search.moments import Hit
from search.rank.fusion import Fusion

__all__ = ["Gathering"]


class Gathering:
    """Gathers hits for one query.

    What is found by words all comes with the first level, so that the levels stay the same however far they are read.

    Args:
        store: The index.
        catalogue: What is in it.
        probes: What to look for, one for each space.
        wording: Which words to look for; empty for none.
        conditions: What every hit must meet.
        fusion: What hits are worth; those worth nothing are left out.
        depth: How many hits of each space the first level has at least.
    """

    def __init__(
        self,
        store: VectorStore,
        catalogue: Catalogue,
        probes: Sequence[Probe],
        *,
        wording: Wording,
        conditions: Conditions,
        fusion: Fusion,
        depth: int,
    ) -> None:
        self._probes: Mapping[Space, Probe] = {probe.space: probe for probe in probes}
        self._descents = {
            probe.space: Descent(store, probe, depth, all_modalities=catalogue.modalities(probe.space))
            for probe in probes
        }
        self._words = WordSearch(store, catalogue, wording, conditions.joined) if wording.phrase else None
        self._conditions = conditions
        self._fusion = fusion

    @property
    def exhausted(self) -> bool:
        """Whether there is no more to find."""
        return self._words is None and all(descent.exhausted for descent in self._descents.values())

    @property
    def unexhausted(self) -> frozenset[Space]:
        """The spaces that have more to find by meaning."""
        return frozenset(space for space, descent in self._descents.items() if not descent.exhausted)

    def next_level(self, scope: Scope) -> list[Hit]:
        """The next hits of all spaces.

        Raises:
            IndexDamagedError: a stored vector is no direction.
        """
        found = {space: descent.next_level(scope) for space, descent in self._descents.items()}
        hits = [hit for space, level in found.items() for hit in self._hits(space, level, scope)]
        self._words = None
        return self._conditions.accepted(hit for hit in hits if self._is_evidence(hit))

    def _is_evidence(self, hit: Hit) -> bool:
        return hit.lexical > 0 or self._fusion.weight(hit.modality, hit.score, hit.text) > 0

    def _hits(self, space: Space, level: Sequence[Found], scope: Scope) -> list[Hit]:
        if self._words is None or space == "frames":
            return judged_hits(level, self._probes[space])
        hits = self._words.find(self._probes[space], scope, level)
        self._descents[space].pass_over(hit.record_id for hit in hits)
        return hits
