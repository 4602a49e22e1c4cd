"""A ranking in the forms that leave the program: a JSON document, and the cards of a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from search.html import jpeg_at
from ui.export.html_page import Evidence, MomentCard
from ui.services.highlight import excerpt

if TYPE_CHECKING:
    from search.engine import Ranking
    from search.moments import Hit, Moment

__all__ = ["as_cards", "as_json", "best_hits", "hit_as_json", "moment_as_json"]

_LONGEST_ON_PAGE = 400


def as_json(ranking: Ranking, question: str) -> dict[str, Any]:
    """The document that ``sceneseek search --json`` prints: times in seconds, rounded to a millisecond.

    Args:
        ranking: What was found.
        question: What was asked, in words.
    """
    return {
        "query": question,
        "took_s": round(ranking.took_s, 4),
        "total": ranking.total,
        "has_more": ranking.has_more,
        "searched": ranking.searched,
        "missing": ranking.missing,
        "unsearched": dict(ranking.unsearched),
        "unlikely": len(ranking.unlikely),
        "moments": [
            moment_as_json(rank, moment) for rank, moment in enumerate(ranking.moments, start=ranking.query.offset + 1)
        ],
    }


def moment_as_json(rank: int, moment: Moment) -> dict[str, Any]:
    """One moment of that document; ``rank`` counts from 1."""
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
        "hits": [hit_as_json(hit) for hit in moment.hits],
        "thumbnail": str(moment.thumbnail.resolve()) if moment.thumbnail else None,
    }


def hit_as_json(hit: Hit) -> dict[str, Any]:
    """One piece of evidence of a moment."""
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


def best_hits(moment: Moment) -> list[Hit]:
    """The strongest hit of each modality, strongest modality first."""
    return [hit for hit in (moment.best_hit(modality) for modality in moment.modalities) if hit is not None]


def as_cards(ranking: Ranking) -> list[MomentCard]:
    """The moments as ``ui.export.html_page`` shows them."""
    return [_card(rank, moment) for rank, moment in enumerate(ranking.moments, start=ranking.query.offset + 1)]


def _card(rank: int, moment: Moment) -> MomentCard:
    video = moment.video
    return MomentCard(
        rank=rank,
        video_id=video.id,
        path=video.path,
        title=video.title,
        label=video.label,
        start_s=moment.start_s,
        end_s=moment.end_s,
        time_s=moment.time_s,
        score=moment.score,
        evidence=tuple(_evidence(hit) for hit in best_hits(moment)),
        thumbnail=jpeg_at(moment.thumbnail),
    )


def _evidence(hit: Hit) -> Evidence:
    text = excerpt(hit.text, hit.matched, _LONGEST_ON_PAGE)
    return Evidence(hit.modality, hit.score, text, hit.lexical, hit.matched)
