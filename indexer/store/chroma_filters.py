"""Choices of records as Chroma's filters."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from indexer.core.types import ModalityName

__all__ = ["holding", "is_nothing", "where"]


def holding(words: Sequence[str]) -> dict[str, object]:
    """The filter for documents that hold at least one of the words; Chroma takes no choice of one."""
    choices: list[dict[str, object]] = [{"$contains": word} for word in words]
    return {"$or": choices} if len(choices) > 1 else choices[0]


def is_nothing(*choices: Collection[str] | None) -> bool:
    """Whether one of the choices leaves nothing; Chroma takes no empty list."""
    return any(choice is not None and not choice for choice in choices)


def where(video_ids: Collection[str] | None, modalities: Collection[ModalityName] | None) -> dict[str, object] | None:
    """The filter for records of these videos and modalities; None where any will do."""
    conditions: list[dict[str, object]] = []
    if video_ids is not None:
        conditions.append({"video_id": {"$in": sorted(video_ids)}})
    if modalities is not None:
        conditions.append({"modality": {"$in": sorted(modalities)}})
    if len(conditions) > 1:
        return {"$and": conditions}
    return conditions[0] if conditions else None
