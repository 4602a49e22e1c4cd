"""Labels of videos: from their folders, from a CSV, or from JSON.

Two JSON layouts are read: a list of objects with a path (``path``, ``file``, ``video``, ``filename``) and a ``label``,
as in ``annotations.json``, and an object of class name to list of videos, as in ``selected_subset.json``.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from indexer.core.errors import ConfigError, MediaError
from indexer.core.types import Facet
from indexer.corpus.sidecars import read_text

_LARGEST_BYTES = 500_000_000
_ANNOTATION_FILES = ("annotations.json", "selected_subset.json", "labels.csv")
_PATH_KEYS = ("path", "file", "video", "filename", "file_name", "video_path", "video_id", "id")
_LABEL_KEYS = ("label", "class", "category", "action")


@dataclass(frozen=True, slots=True)
class Annotation:
    """One row about a video: the name in the row, the label, and the other columns."""

    video: str
    label: str
    facets: Mapping[str, Facet] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels by video. ``broken`` lists the rows that could not be used, with their line or position."""

    annotations: Mapping[str, Annotation] = field(default_factory=dict)
    from_folders: bool = False
    broken: tuple[str, ...] = ()

    def with_more(self, others: Labels) -> Labels:
        """These labels, and the others for videos without one."""
        return Labels({**others.annotations, **self.annotations}, self.from_folders, (*self.broken, *others.broken))

    def of(self, path: Path, root: Path) -> Annotation:
        """The annotation of the video at ``path`` below ``root``; with an empty label if there is none."""
        for key in _names_of(path, root):
            if key in self.annotations:
                return self.annotations[key]
        in_subfolder = self.from_folders and path.parent != root and path != root
        return Annotation(path.name, path.parent.name if in_subfolder else "")


def read_labels(source: str, roots: Sequence[Path]) -> Labels:
    """The labels for a corpus.

    Args:
        source: ``auto``, ``folders``, ``none`` or the path of a CSV or JSON file.
        roots: Where ``auto`` looks for annotation files.

    Raises:
        ConfigError: the file named does not exist or is neither CSV nor JSON.
    """
    if source == "none":
        return Labels()
    if source == "folders":
        return Labels(from_folders=True)
    if source != "auto":
        return read_annotations(_existing(source))
    present = [root / name for root in roots for name in _ANNOTATION_FILES if (root / name).is_file()]
    if not present:
        return Labels(from_folders=True)
    labels, unusable = Labels(), []
    for path in present:
        try:
            labels = labels.with_more(read_annotations(path))
        except ConfigError as error:  # the user did not name this file, so it may be of another kind
            unusable.append(f"{path} ({error.message})")
    return replace(labels, from_folders=not labels.annotations, broken=(*labels.broken, *unusable))


def read_annotations(path: Path) -> Labels:
    """The labels in an annotation file.

    Raises:
        ConfigError: the file is neither CSV nor JSON in a known layout.
    """
    annotations: dict[str, Annotation] = {}
    broken: list[str] = []
    for place, row in _rows(path):
        if row is None:
            broken.append(f"{path}, {place}")
        else:
            annotations.setdefault(_normal(row.video), row)
            annotations.setdefault(PurePosixPath(_normal(row.video)).name, row)
    return Labels(annotations, broken=tuple(broken))


def _rows(path: Path) -> Iterator[tuple[str, Annotation | None]]:
    try:
        text = read_text(path, largest_bytes=_LARGEST_BYTES)
        rows = _json_rows(json.loads(text), path) if path.suffix.lower() == ".json" else _csv_rows(text)
        yield from rows
    except (MediaError, ValueError, csv.Error, RecursionError) as error:
        raise ConfigError(
            f"The labels in {path} cannot be read: {error}", hint="Mend the file or set corpus.labels."
        ) from error


def _csv_rows(text: str) -> Iterator[tuple[str, Annotation | None]]:
    reader = csv.DictReader(io.StringIO(text), dialect=_dialect(text))
    for row in reader:
        yield f"line {reader.line_num}", _annotation(row)


def _dialect(text: str) -> type[csv.Dialect]:
    try:
        return csv.Sniffer().sniff(text[:4096], delimiters=",;\t")
    except csv.Error:
        return csv.excel


def _json_rows(content: Any, path: Path) -> Iterator[tuple[str, Annotation | None]]:
    if isinstance(content, dict):
        listed = next((content[key] for key in ("videos", "annotations") if isinstance(content.get(key), list)), None)
        if listed is None:
            yield from _class_rows(content)
            return
        content = listed
    if not isinstance(content, list):
        raise ConfigError(f"{path} is neither a list of videos nor an object of class to videos.")
    for number, row in enumerate(content, start=1):
        yield f"entry {number}", _annotation(row)


def _class_rows(content: Mapping[str, Any]) -> Iterator[tuple[str, Annotation | None]]:
    for label, videos in content.items():
        if not isinstance(videos, list):
            yield f"class {label!r}", None
            continue
        for number, video in enumerate(videos, start=1):
            name = video if isinstance(video, str) else _first(video, _PATH_KEYS)
            yield f"class {label!r}, entry {number}", Annotation(name, label) if name else None


def _annotation(row: object) -> Annotation | None:
    """The row as an annotation; None if it does not name a video and a label."""
    if not isinstance(row, dict):
        return None
    video, label = _first(row, _PATH_KEYS), _first(row, _LABEL_KEYS)
    if not video or not label:
        return None
    used = {*_PATH_KEYS, *_LABEL_KEYS}
    facets = {
        str(key): value for key, value in row.items() if key not in used and isinstance(value, Facet) and value != ""
    }
    return Annotation(video, label, facets)


def _first(row: object, keys: Sequence[str]) -> str:
    if not isinstance(row, dict):
        return ""
    return next(
        (str(row[key]).strip() for key in keys if isinstance(row.get(key), str | int) and str(row[key]).strip()), ""
    )


def _names_of(path: Path, root: Path) -> Iterator[str]:
    """The names that a row may use: the path, the path below the root or the name, with or without extension."""
    below = path.relative_to(root) if path != root else Path(path.name)
    for name in (path, below, Path(path.name)):
        yield _normal(name.as_posix())
        yield _normal(name.with_suffix("").as_posix())


def _normal(name: str) -> str:
    return str(PurePosixPath(name.replace("\\", "/"))).removeprefix("./")


def _existing(source: str) -> Path:
    path = Path(source)
    if not path.is_file():
        raise ConfigError(
            f"corpus.labels names '{source}', which is no file.", hint="Use auto, folders, none, or a CSV or JSON file."
        )
    return path
