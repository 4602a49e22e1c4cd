"""What a search finds: hits, the moments they make up, and how much time two spans share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from indexer.core.types import ModalityName, Video
from indexer.modalities.registry import modality_names, space_of

JITTER_S = 0.001  # spans that tile a shot may miss or cover each other by a rounding error
FLASH_S = 0.01  # a span shorter than this counts as this long, so that an instant can lie within something
_WHOLE_SHARE = 0.95


class Spanned(Protocol):
    """Anything that lasts from ``start_s`` to ``end_s``, in seconds."""

    @property
    def start_s(self) -> float: ...
    @property
    def end_s(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Hit:
    """One record that matches the query: a piece of evidence.

    ``score`` is the true cosine in [-1, 1]. ``rank`` counts from 1 within the modality; the hits of one group (see
    ``search.rank.merging``) share the group's rank, and equal groups the mean of their ranks; 0 before ranking.
    ``evidence`` is what the hit adds to its moment's score. ``time_s`` is the instant to show; ``shot`` is -1 outside
    any shot.

    ``lexical`` in [0, 1] says how much of the query's wording the record holds (``search.match.lexical``; 1 is the
    whole phrase), and ``matched`` are these words, or the phrase, as they stand in ``text``. A hit found by its words
    alone may have any cosine.

    ``z_score`` and ``false_alarm_rate`` compare the hit with the best hits of unrelated queries, by meaning or by
    words, whichever says more (``search.confidence``); None where that is unknown. ``rated_score`` is the cosine they
    are computed from where that is not ``score`` (``search.match.word_by_word``).
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
    rated_score: float | None = None

    @property
    def similarity(self) -> float:
        """How well the hit matches, by meaning and by words, to compare hits of one modality."""
        return self.score + self.lexical

    @property
    def best_first(self) -> tuple[float, float, str]:
        """Sort key: most evidence first, then the highest cosine, then the id."""
        return -self.evidence, -self.score, self.record_id


@dataclass(frozen=True, slots=True)
class Moment:
    """A span of a video to show, and why.

    ``score`` is the fused score, ``fused_score(hits)``; it orders the moments of one query and cannot be compared
    across queries. ``time_s`` is the instant of the best evidence that says where in the video. ``hits`` are best
    first. ``confidence`` in [0, 1] is the probability that a query without an answer finds nothing as good, which can
    be compared across queries; None where it is unknown, as for pictures.
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
        """The modalities of the evidence, strongest first."""
        return tuple(dict.fromkeys(hit.modality for hit in self.hits))

    def best_hit(self, modality: ModalityName) -> Hit | None:
        """The strongest hit of a modality, None if the moment has none."""
        return next((hit for hit in self.hits if hit.modality == modality), None)

    @property
    def best_first(self) -> tuple[float, float, str]:
        """Sort key: highest fused score first, then the highest cosine, then the best hit's id."""
        return -self.score, -max(hit.score for hit in self.hits), self.hits[0].record_id


def fused_score(hits: Iterable[Hit]) -> float:
    """The sum of each modality's best evidence; its further hits do not count again."""
    best = dict.fromkeys(modality_names(), 0.0)
    for hit in hits:
        best[hit.modality] = max(best[hit.modality], hit.evidence)
    return sum(best.values())


def end_of(span: Spanned) -> float:
    """When a span ends, in seconds, if it lasts at least ``FLASH_S``."""
    return max(span.end_s, span.start_s + FLASH_S)


def overlap_s(one: Spanned, other: Spanned) -> float:
    """How many seconds two spans share; negative by the gap between them."""
    return min(end_of(one), end_of(other)) - max(one.start_s, other.start_s)


def covers_video(hit: Hit, video: Video) -> bool:
    """Whether a hit is a text about its whole video."""
    is_long = hit.end_s - hit.start_s >= _WHOLE_SHARE * video.duration_s > 0
    return is_long and space_of(hit.modality) != "frames"
