"""The index's videos and moments as plain rows, for other programs."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import IO, Literal, TypeAlias

from indexer.core.types import Space
from indexer.modalities.objects.segments import object_vectors
from indexer.store.base import Commit, VectorStore
from indexer.store.chroma_rows import storable

RowFormat: TypeAlias = Literal["jsonl", "csv"]
Row: TypeAlias = Mapping[str, object]
_SPACES: tuple[Space, ...] = ("frames", "text", "audio")


def video_rows(store: VectorStore) -> Iterator[Row]:
    """One row per video, in order of path: its facts, its state, and how many records of each modality it has.

    If the index has objects, ``object_maximum`` and ``object_mean`` are ``object_vectors``, None for a video without.
    """
    classes = _object_classes(store)
    for commit in _in_order(store):
        video = commit.video
        yield {
            "video_id": video.id,
            "path": str(video.path),
            "state": commit.state,
            "title": video.title,
            "description": video.description,
            "label": video.label,
            "duration_s": round(video.duration_s, 3),
            "frame_rate": str(video.frame_rate or ""),
            "width": video.width,
            "height": video.height,
            "has_audio": video.has_audio,
            "size": video.size,
            "shots": commit.shots,
            "records": {name: state.count for name, state in commit.modalities.items()},
            "facets": dict(video.facets),
            "descriptors": dict(video.descriptors),
            "copies": [str(place.path) for place in commit.locations[1:]],
            "corrupt_packets": commit.corrupt_packets,
            "failure": commit.failure,
            "warnings": list(commit.warnings),
            "indexed_at": commit.indexed_at,
            **(_object_vectors(store, commit, classes) if classes else {}),
        }


def _object_classes(store: VectorStore) -> int:
    """How many classes the index's object detector has; 0 without one."""
    manifest = store.read_manifest()
    return manifest.models["objects"][1].dim if manifest and "objects" in manifest.models else 0


def _object_vectors(store: VectorStore, commit: Commit, classes: int) -> dict[str, list[float] | None]:
    vectors: tuple[Iterable[float], Iterable[float]] = commit.object_maximum, commit.object_mean
    if not commit.object_maximum and "objects" in commit.modalities and commit.count(["frames"]):
        # An earlier version wrote the commit without them.
        records = store.records("text", video_id=commit.video.id)
        sightings = [sighting for record in records for sighting in record.sightings]
        vectors = object_vectors(sightings, commit.count(["frames"]), classes)
    return {"object_maximum": _rounded(vectors[0]), "object_mean": _rounded(vectors[1])}


def _rounded(vector: Iterable[float]) -> list[float] | None:
    return [round(float(value), 4) for value in vector] or None


def moment_rows(store: VectorStore) -> Iterator[Row]:
    """One row per keyframe and segment, in order of path, modality and time."""
    for commit in _in_order(store):
        if commit.is_searchable:
            records = [record for space in _SPACES for record in store.records(space, video_id=commit.video.id)]
            for record in sorted(records, key=lambda record: (record.modality, record.start_s, record.id)):
                yield {
                    "video_id": record.video_id,
                    "path": str(commit.video.path),
                    "label": commit.video.label,
                    "modality": record.modality,
                    "start_s": round(record.start_s, 3),
                    "end_s": round(record.end_s, 3),
                    "time_s": round(record.time_s, 3),
                    "shot": record.shot,
                    "text": record.text,
                    "words": [[round(word.start_s, 3), round(word.end_s, 3), word.text] for word in record.words],
                    "sightings": [asdict(seen) for seen in record.sightings],
                }


def write_rows(rows: Iterable[Row], file: IO[str], row_format: RowFormat) -> int:
    """Write rows as JSON lines or as CSV with a header and nested values as JSON; returns the number of rows."""
    count = 0
    writer: csv.DictWriter[str] | None = None
    for row in rows:
        count += 1
        if row_format == "jsonl":
            file.write(_json(row) + "\n")
            continue
        if writer is None:
            writer = csv.DictWriter(file, fieldnames=list(row))
            writer.writeheader()
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return count


def _in_order(store: VectorStore) -> list[Commit]:
    return sorted(store.commits().values(), key=lambda commit: (commit.video.path, commit.video.id))


def _json(value: object) -> str:
    return storable(json.dumps(value, ensure_ascii=False))


def _cell(value: object) -> object:
    """A CSV cell; untrusted text that a spreadsheet would run as a formula gets a quote in front."""
    if isinstance(value, dict | list):
        return _json(value)
    if isinstance(value, str):
        return f"'{storable(value)}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else storable(value)
    return value
