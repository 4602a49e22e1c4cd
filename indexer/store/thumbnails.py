"""Small JPEG pictures of keyframes, beside the database."""

from __future__ import annotations

import shutil
from pathlib import Path

from indexer.core.atomic_file import written_whole
from indexer.core.types import Image

_WIDTH = 320
_QUALITY = 85


class ThumbnailFolder:
    """Thumbnails by video and time, in ``thumbnails/NAME`` of the index's folder; several indexes may share it."""

    def __init__(self, index: Path, name: str = "sceneseek") -> None:
        self._folder = index / "thumbnails" / name

    def save(self, video_id: str, time_s: float, image: Image) -> None:
        """Write the thumbnail of the keyframe at ``time_s``, completely or not at all."""
        import cv2

        height, width = image.shape[:2]
        scale = min(1.0, _WIDTH / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR)
        content = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
        path = self._path(video_id, time_s)
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as unfinished:
            unfinished.write_bytes(content.tobytes())

    def find(self, video_id: str, time_s: float) -> Path | None:
        """The thumbnail of the keyframe at ``time_s``, else the last before it, else the first; None without any."""
        exact = self._path(video_id, time_s)
        if exact.is_file():
            return exact
        earlier = None
        for path in sorted(self._video_folder(video_id).glob("*.jpg")):
            if earlier is not None and path.stem > exact.stem:
                break
            earlier = path
        return earlier

    def delete(self, video_id: str) -> None:
        """Delete a video's thumbnails."""
        shutil.rmtree(self._video_folder(video_id), ignore_errors=True)

    def _path(self, video_id: str, time_s: float) -> Path:
        return self._video_folder(video_id) / f"{round(time_s * 1000):010d}.jpg"

    def _video_folder(self, video_id: str) -> Path:
        return self._folder / video_id[:2] / video_id
