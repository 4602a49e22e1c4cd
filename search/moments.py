"""What a search finds: hits, and the moments they belong to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from indexer.core.types import SPACE_OF_MODALITY, ModalityName, Video

__all__ = ["Hit", "Moment", "fused_score"]


@dataclass(frozen=True, slots=True)
class Hit:
    """One record that matches the query: a piece of evidence.

    ``score`` is the true cosine in [-1, 1]. ``rank`` counts from 1 within the modality; hits of one run (see
    ``merging``) share their run's rank, and equal runs the mean of theirs; 0 before ranking. ``evidence`` is
    what the hit is worth in its moment's score. ``time_s`` is the instant to show and ``shot`` -1 outside any shot.

    ``lexical`` says in [0, 1] how far the record holds the query's very words (see ``lexical``; 1 is the whole
    phrase), and ``matched`` are these words, or the phrase, as they stand in ``text``. A hit that was found by its
    words alone may have any cosine.

    ``z_score`` and ``false_alarm_rate`` say how the hit stands among the best hits of queries that have no answer here,
    by meaning or by words, whichever says more (``false_alarms``); None where that is not known. ``judged`` is
    the cosine that they are told by where that is not ``score`` (``search.confidence.word_by_word``).
    """

    record_id: str
    video_id: str
    modality: ModalityName
    start_s: float
    end_s: float
    time_s: float
    score: float
    rank: float = 0.0
    text: str = ""
    shot: int = -1
    evidence: float = 0.0
    lexical: float = 0.0
    matched: tuple[str, ...] = ()
    z_score: float | None = None
    false_alarm_rate: float | None = None
    judged: float | None = None

    @property
    def likeness(self) -> float:
        """How well the hit matches by meaning and by words, to compare hits of one modality."""
        return self.score + self.lexical

    @property
    def best_first(self) -> tuple[float, float, str]:
        """Sort key: most evidence first, then the highest cosine, then the id."""
        return -self.evidence, -self.score, self.record_id


@dataclass(frozen=True, slots=True)
class Moment:
    """A span of a video to show to a person, and why.

    ``score`` is the fused score, ``fused_score(hits)``; it orders the moments of one query and says nothing across
    queries. ``time_s`` is the instant of the best evidence that says where in the video. ``hits`` are best first.
    ``confidence`` in [0, 1] is the probability that a query without an answer finds nothing as good, which can be
    compared across queries; None where it is not known, as for pictures.
    """

    video: Video
    start_s: float
    end_s: float
    time_s: float
    score: float
    hits: tuple[Hit, ...]
    thumbnail: Path | None = None
    confidence: float | None = None

    @property
    def modalities(self) -> tuple[ModalityName, ...]:
        """Which kinds of evidence speak for the moment, strongest first."""
        return tuple(dict.fromkeys(hit.modality for hit in self.hits))

    def best_hit(self, modality: ModalityName) -> Hit | None:
        """The strongest hit of a modality, None if the moment has none."""
        return next((hit for hit in self.hits if hit.modality == modality), None)

    @property
    def best_first(self) -> tuple[float, float, str]:
        """Sort key: highest fused score first, then the highest cosine, then the best hit's id."""
        return -self.score, -max(hit.score for hit in self.hits), self.hits[0].record_id


def fused_score(hits: Iterable[Hit]) -> float:
    """The sum, over the modalities, of the best hit's evidence: further hits of a modality are not counted twice."""
    best = dict.fromkeys(SPACE_OF_MODALITY, 0.0)
    for hit in hits:
        best[hit.modality] = max(best[hit.modality], hit.evidence)
    return sum(best.values())
