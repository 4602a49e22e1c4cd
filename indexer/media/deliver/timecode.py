"""The time code that a file itself carries."""

from __future__ import annotations

from pathlib import Path

from indexer.core.errors import UnreadableMediaError
from indexer.media.read.container import best_picture_stream, open_media

__all__ = ["start_timecode"]


def start_timecode(path: Path) -> str | None:
    """The time code of a file's first frame as the camera wrote it, such as ``01:00:00:00`` (with ``;`` before the
    frames where it drops numbers); "" where it has none, None where the file cannot be opened.

    Reads the header only.
    """
    try:
        with open_media(path) as container:
            picture = best_picture_stream(container)
            places = [picture, *container.streams.data] if picture else []
            tags = [*(place.metadata for place in places), container.metadata]
    except UnreadableMediaError:
        return None
    return next((found["timecode"] for found in tags if found.get("timecode")), "")
