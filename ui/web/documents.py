"""What the endpoints answer with: JSON documents about moments, videos and the whole library.

The key ``path`` is in none of them: gradio_client takes whatever has one for a file to download. It is ``file`` here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlencode

from search.query.filters import date_of
from ui.services.answers import as_json
from ui.web.arguments import valid_text
from ui.web.redaction import model_without_path, without_paths
from ui.web.search_form import SearchForm

if TYPE_CHECKING:
    from indexer.core.types import Record, Video
    from indexer.maintenance.inspect import IndexStatus
    from indexer.store.base import Commit
    from search.engine import Ranking

Document: TypeAlias = dict[str, Any]

MOST_TEXTS = 2_000


class Documents:
    """Writes documents; where files lie on this machine only if ``shows_paths``, else videos by title and id alone."""

    def __init__(self, *, shows_paths: bool) -> None:
        self._shows_paths = shows_paths

    def of_ranking(self, ranking: Ranking, question: str, form: SearchForm, root: str) -> Document:
        """The document of ``sceneseek search --json``, each moment with addresses to play it at.

        These lead to the page at ``root``, which has no slash at its end, and to the search that ``form`` describes.
        """
        document = as_json(ranking, question)
        if not self._shows_paths:
            document["unsearched"] = dict.fromkeys(ranking.unsearched, "It cannot be searched now.")
        for written, moment in zip(document["moments"], ranking.moments, strict=True):
            del written["path"]
            written.update(self._place(moment.video.path), **_addresses(moment.video, root, form, moment.time_s))
            written["thumbnail"] = written["thumbnail"] if self._shows_paths else None
        return plain_json(document)

    def of_video(self, commit: Commit, root: str) -> Document:
        """A video's facts, and how many records of each kind of evidence the index has of it."""
        video = commit.video
        facts = {
            "video_id": video.id,
            "title": video.title,
            "name": self.name(video),
            **self._place(video.path),
            "label": video.label,
            "description": video.description,
            "duration_s": round(video.duration_s, 3),
            "width": video.width,
            "height": video.height,
            "frame_rate": str(video.frame_rate or ""),
            "has_audio": video.has_audio,
            "date": date_of(video),
            "size": video.size,
            "shots": commit.shots,
            "records": {name: state.count for name, state in commit.modalities.items() if state.count},
            "facts": {**video.descriptors, **video.facets},
            "indexed_at": commit.indexed_at,
            "warnings": [self._placeless(warning, video.path) for warning in commit.warnings],
        }
        return plain_json({**facts, **_addresses(video, root, SearchForm())})

    def of_status(self, status: IndexStatus) -> Document:
        """What the index holds and what failed."""
        manifest, shown = status.manifest, str if self._shows_paths else model_without_path
        failures = [{**self._place(path), "reason": self._placeless(why, path)} for path, why in status.failures]
        counts = {
            "is_indexed": True,
            "videos": status.videos,
            "failed": status.failed,
            "unfinished": status.unfinished,
            "media_s": round(status.media_s, 3),
            "shots": status.shots,
            "records": dict(status.records),
            "labels": dict(status.labels),
            "failures": failures,
            "profile": manifest.profile if manifest else "",
            "models": {role: shown(spec) for role, (spec, _) in manifest.models.items()} if manifest else {},
            "folders": [str(root) for root in manifest.roots] if manifest and self._shows_paths else None,
            "disk_bytes": status.disk_bytes,
        }
        return plain_json(counts)

    def name(self, video: Video) -> str:
        """What to call a video: its title, or else its file's name, or its id where that is not shown."""
        return video.title.strip() or (video.path.name if self._shows_paths else video.id)

    def _place(self, path: Path) -> Document:
        return {"file": str(path) if self._shows_paths else None}

    def _placeless(self, text: str, path: Path) -> str:
        return text if self._shows_paths else without_paths(text, path).replace(path.name, "it")


def texts_document(records: Iterable[Record]) -> Document:
    """The texts of a video in the order of time, at most ``MOST_TEXTS`` of them, and how many are left out."""
    texts = [
        {"kind": one.modality, "start_s": round(one.start_s, 3), "end_s": round(one.end_s, 3), "text": one.text}
        for one in sorted(records, key=lambda one: (one.start_s, one.modality, one.id))
    ]
    return plain_json({"texts": texts[:MOST_TEXTS], "texts_left_out": len(texts[MOST_TEXTS:])})


def plain_json(document: Mapping[str, Any]) -> Document:
    """The same document in types that JSON has, and without bytes of file names that are no text."""
    return dict(json.loads(valid_text(json.dumps(document, ensure_ascii=False))))


def _addresses(video: Video, root: str, form: SearchForm, time_s: float = 0.0) -> Document:
    played = urlencode({"v": video.id, "t": f"{time_s:.1f}"})
    return {
        "link": f"{root}/?{'&'.join(part for part in (form.to_address(), played) if part)}",
        "media_url": f"{root}/media/{video.id}#t={time_s:.3f}",
        "picture_url": f"{root}/media/{video.id}/picture.jpg?t={time_s:.3f}",
    }
