"""What a search found, ready to show: moments in words, and the JSON document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ui.services.highlight import excerpt, pieces
from ui.services.wording import format_span, format_time

if TYPE_CHECKING:
    from search.engine import Ranking
    from search.moments import Hit, Moment

__all__ = ["MomentView", "as_json", "best_hits", "moment_views"]


@dataclass(frozen=True, slots=True)
class MomentView:
    """A moment as the terminal, the page and the exports show it."""

    rank: int  # the place in the ranking, from 1
    moment: Moment
    others: int = 0  # how many more moments of the same video were found

    @property
    def name(self) -> str:
        """The video's title, or else its file's name."""
        return self.moment.video.title.strip() or self.moment.video.path.name

    @property
    def span(self) -> str:
        """The start and the end, as h:mm:ss – h:mm:ss."""
        return format_span(self.moment.start_s, self.moment.end_s)

    @property
    def clock(self) -> str:
        """The second to play from, as h:mm:ss."""
        return format_time(self.moment.time_s)

    @property
    def likeness(self) -> str:
        """How sure it is that the moment answers the query, in a word; empty where that is unknown."""
        confidence = self.moment.confidence
        if confidence is None:
            return ""
        return "sure" if confidence >= 0.99 else "likely" if confidence >= 0.9 else "perhaps"

    def evidence(self, longest: int) -> list[tuple[Hit, list[tuple[str, bool]]]]:
        """The best hit of each modality, strongest first, with its text in pieces as ``highlight.pieces`` cuts it.

        At most ``longest`` characters of each text are shown.
        """
        shown = [(hit, excerpt(hit.text, hit.matched, longest)) for hit in best_hits(self.moment)]
        return [(hit, pieces(text, hit.matched) if text else []) for hit, text in shown]


def moment_views(ranking: Ranking) -> list[MomentView]:
    """The moments of a page of a ranking, best first."""
    return [
        MomentView(rank, moment, len(ranking.others.get(moment.video.id, ())))
        for rank, moment in enumerate(ranking.moments, start=ranking.query.offset + 1)
    ]


def best_hits(moment: Moment) -> list[Hit]:
    """The strongest hit of each modality, strongest modality first."""
    return [hit for hit in map(moment.best_hit, moment.modalities) if hit is not None]


def as_json(ranking: Ranking, question: str) -> dict[str, Any]:
    """The document that ``sceneseek search --json`` prints: times in seconds, rounded to a millisecond."""
    return {
        "query": question,
        "took_s": round(ranking.took_s, 4),
        "total": ranking.total,
        "has_more": ranking.has_more,
        "searched": ranking.searched,
        "missing": ranking.missing,
        "unsearched": dict(ranking.unsearched),
        "unlikely": len(ranking.unlikely),
        "moments": [_moment_as_json(view.rank, view.moment) for view in moment_views(ranking)],
    }


def _moment_as_json(rank: int, moment: Moment) -> dict[str, Any]:
    return {
        "rank": rank,
        "video_id": moment.video.id,
        "path": str(moment.video.path),
        "title": moment.video.title,
        "label": moment.video.label,
        "start_s": round(moment.start_s, 3),
        "end_s": round(moment.end_s, 3),
        "time_s": round(moment.time_s, 3),
        "score": round(moment.score, 6),
        "confidence": _rounded(moment.confidence),
        "modalities": moment.modalities,
        "hits": [_hit_as_json(hit) for hit in moment.hits],
        "thumbnail": str(moment.thumbnail.resolve()) if moment.thumbnail else None,
    }


def _hit_as_json(hit: Hit) -> dict[str, Any]:
    return {
        "modality": hit.modality,
        "cosine": round(hit.score, 6),
        "words": round(hit.lexical, 6),
        "matched": hit.matched,
        "rank": hit.rank,
        "z_score": _rounded(hit.z_score),
        "false_alarm_rate": None if hit.false_alarm_rate is None else float(f"{hit.false_alarm_rate:.3g}"),
        "start_s": round(hit.start_s, 3),
        "end_s": round(hit.end_s, 3),
        "text": hit.text,
    }


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 4)
