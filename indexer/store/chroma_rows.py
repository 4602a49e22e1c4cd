"""Records as rows of a Chroma collection (id, vector, searched document, metadata), and filters for rows.

In older indexes the document is the text itself; these rows are read too.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple
from typing import Any

import numpy as np

from indexer.core.types import Cue, Embedding, ModalityName, Record, Sighting, Space


def storable(text: str) -> str:
    """The text with lone surrogates (undecodable bytes of a file name) as visible escapes, as Chroma needs it."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def metadata_of(record: Record) -> dict[str, str | int | float | None]:
    """A row's metadata; None deletes a value that an earlier record of the same id may have left."""
    return {
        "video_id": record.video_id,
        "modality": record.modality,
        "start_s": float(record.start_s),
        "end_s": float(record.end_s),
        "time_s": float(record.time_s),
        "shot": int(record.shot),
        "text": storable(record.text) or None,
        "words": _as_json([(cue.start_s, cue.end_s, cue.text) for cue in record.words]),
        "sightings": _as_json([astuple(sighting) for sighting in record.sightings]),
    }


def _as_json(rows: Sequence[object]) -> str | None:
    """ASCII, so that undecodable bytes survive as escapes; NumPy's numbers become plain ones."""
    return json.dumps(rows, separators=(",", ":"), default=lambda number: number.item()) if rows else None


def read_rows(page: Mapping[str, Any], space: Space) -> list[Record]:
    """The records of a page of rows of one space (``ids``, ``metadatas``, ``documents`` and optionally ``embeddings``).

    A row without metadata was deleted by another process while the page was read; it is skipped.

    Raises:
        ValueError: a row is no record.
    """
    vectors = page.get("embeddings")
    nothing = np.empty(0, dtype=np.float32)
    rows = zip(page["ids"], page["metadatas"], page["documents"], strict=True)
    try:
        return [
            _record(key, space, facts, document or "", nothing if vectors is None else vectors[row].astype(np.float32))
            for row, (key, facts, document) in enumerate(rows)
            if facts is not None
        ]
    except (KeyError, TypeError) as error:
        raise ValueError(f"a row is no record: {error}") from error


def _record(key: str, space: Space, facts: Mapping[str, Any], document: str, vector: Embedding) -> Record:
    words = tuple(Cue(*row) for row in json.loads(facts.get("words", "[]")))
    sightings = tuple(_sighting(*row) for row in json.loads(facts.get("sightings", "[]")))
    plain = {name: facts[name] for name in ("video_id", "modality", "start_s", "end_s", "time_s", "shot")}
    text = facts.get("text", "" if sightings else document)
    return Record(id=key, space=space, vector=vector, text=text, words=words, sightings=sightings, **plain)


def _sighting(time_s: float, label: str, class_index: int, confidence: float, box: Sequence[float]) -> Sighting:
    left, top, right, bottom = box
    return Sighting(time_s, label, class_index, confidence, (left, top, right, bottom))


def metadata_filter(video_ids: Collection[str] | None, modalities: Collection[ModalityName] | None) -> Any:
    """Chroma's filter for records of these videos and modalities; None for any."""
    conditions = []
    if video_ids is not None:
        conditions.append({"video_id": {"$in": sorted(video_ids)}})
    if modalities is not None:
        conditions.append({"modality": {"$in": sorted(modalities)}})
    if len(conditions) > 1:  # Chroma takes no combination of one condition
        return {"$and": conditions}
    return conditions[0] if conditions else None


def document_filter(words: Sequence[str]) -> Any:
    """Chroma's filter for documents that contain at least one of the words."""
    conditions = [{"$contains": word} for word in words]
    return {"$or": conditions} if len(conditions) > 1 else conditions[0]
