"""Finds cuts with PySceneDetect's detectors, in our own small frames."""

from __future__ import annotations

import math
from collections import deque

import cv2
import numpy as np
from scenedetect import detectors
from scenedetect.common import FrameTimecode
from scenedetect.detector import SceneDetector

from indexer.core.types import Image
from indexer.shots.sampling import DetectorName

_ADAPTIVE_WINDOW = 2
_NOMINAL_RATE = 25.0  # the library requires a rate with every time and never uses it
_ROUNDING_S = 1e-6
_SIZE = (32, 18)  # width, height: at this size noise and small motion are averaged away, a cut is not
_SAME_CORRELATION = 0.9  # 400 pairs of unrelated photographs stay under 0.8, a moved or flashed view over 0.95
_FLAT_DEVIATION = 3.0  # below this spread, in grey levels, a picture has no structure to correlate
_SAME_FLAT_DIFFERENCE = 6.0


class CutDetector:
    """Finds hard cuts in a stream of small frames.

    The library's detector reports suspects. A suspect is a cut unless the view before it returns within
    ``min_shot_s``: then it was a flash, a jolt of the camera or a stutter. All times are compared in seconds, so the
    frame rate may vary.

    Args:
        detector: PySceneDetect's detector.
        threshold: Its threshold, in its own unit; None takes the one tuned for small frames.
        min_shot_s: The shortest time between two cuts, in seconds. The first and the last shot may be shorter.
    """

    def __init__(
        self, detector: DetectorName = "adaptive", *, threshold: float | None = None, min_shot_s: float = 0.6
    ) -> None:
        self._library = _library_detector(detector, threshold)
        self._min_shot_s = min_shot_s
        self._history: deque[tuple[float, Image]] = deque()
        self._suspects: deque[float] = deque()
        self._barred_s = 0.0
        self.lag_frames = _ADAPTIVE_WINDOW if detector == "adaptive" else 0
        self.newest_suspect_s: float | None = None

    def feed(self, thumbnail: Image, time_s: float) -> tuple[float, ...]:
        """Take the next frame.

        Args:
            thumbnail: A small picture, uint8 ``(h, w, 3)`` BGR; its shape may change from frame to frame.
            time_s: The frame's time, greater than the previous one.

        Returns:
            The cuts that are certain now, each as the time of its shot's first frame, in order. A cut becomes certain
            ``min_shot_s`` after it. When the frame ``lag_frames`` after it is fed, it is ``newest_suspect_s``, so that
            the frames of two shots can be kept apart before.
        """
        picture = shrink(thumbnail)
        self._history.append((time_s, picture))
        self._suspect(picture, time_s)
        cuts = self._judge(time_s)
        self._forget()
        return cuts

    def finish(self) -> tuple[float, ...]:
        """The cuts that were still uncertain; feed nothing afterwards."""
        return self._judge(math.inf)

    @property
    def settled_s(self) -> float:
        """The time before which no further cut will be reported."""
        if self._suspects:
            return self._suspects[0]
        return self._history[max(0, len(self._history) - 1 - self.lag_frames)][0] if self._history else 0.0

    def _suspect(self, picture: Image, time_s: float) -> None:
        for timecode in self._library.process_frame(FrameTimecode(time_s, _NOMINAL_RATE), picture):
            suspect_s = timecode.seconds
            if suspect_s > self._barred_s and self._back_at(suspect_s, suspect_s) is None:
                self._suspects.append(suspect_s)
                self.newest_suspect_s = suspect_s

    def _judge(self, now_s: float) -> tuple[float, ...]:
        cuts = []
        while self._suspects and now_s >= self._suspects[0] + self._min_shot_s:
            suspect_s = self._suspects[0]
            back_s = self._back_at(suspect_s, suspect_s + self._min_shot_s)
            if back_s is None:
                cuts.append(suspect_s)
            self._bar(max(suspect_s, suspect_s + self._min_shot_s - _ROUNDING_S) if back_s is None else back_s)
        return tuple(cuts)

    def _bar(self, until_s: float) -> None:
        """Exclude cuts up to a time."""
        self._barred_s = until_s
        while self._suspects and self._suspects[0] <= until_s:
            self._suspects.popleft()

    def _back_at(self, suspect_s: float, until_s: float) -> float | None:
        """The last time in ``[suspect_s, until_s]`` that shows the view from before the suspect; None if none does."""
        before = next(picture for time_s, picture in reversed(self._history) if time_s < suspect_s)
        after = ((time_s, picture) for time_s, picture in reversed(self._history) if suspect_s <= time_s <= until_s)
        return next((time_s for time_s, picture in after if is_same_view(before, picture)), None)

    def _forget(self) -> None:
        """Drop the frames earlier than the one before the next possible cut."""
        settled_s = self.settled_s
        while len(self._history) > 1 and self._history[1][0] < settled_s:
            self._history.popleft()


def _library_detector(name: DetectorName, threshold: float | None) -> SceneDetector:
    """A detector that reports every suspect; `CutDetector` itself enforces the shortest shot."""
    if name == "adaptive":
        return detectors.AdaptiveDetector(threshold or 2.25, min_scene_len=0.0, window_width=_ADAPTIVE_WINDOW)
    return detectors.ContentDetector(threshold or 27.0, min_scene_len=0.0)


def shrink(thumbnail: Image) -> Image:
    """Resize a BGR thumbnail to the shape in which pictures are compared, ``(18, 32, 3)``."""
    height, width = thumbnail.shape[:2]
    shrinks = width >= _SIZE[0] and height >= _SIZE[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(thumbnail, _SIZE, interpolation=interpolation), dtype=np.uint8)


def is_same_view(one: Image, other: Image) -> bool:
    """Whether two pictures from `shrink` show the same view, perhaps shifted by up to a quarter, brighter or darker.

    The middle of each is searched in the other by normalised cross-correlation (Lewis, "Fast Normalized
    Cross-Correlation", 1995), which ignores shifts and changes of brightness and contrast.
    """
    if _is_flat(one) or _is_flat(other):
        return cv2.norm(one, other, cv2.NORM_L1) < _SAME_FLAT_DIFFERENCE * one.size
    return max(_best_match(one, other), _best_match(other, one)) >= _SAME_CORRELATION


def _is_flat(picture: Image) -> bool:
    return float(_middle(picture).std(axis=(0, 1)).max()) < _FLAT_DEVIATION


def _middle(picture: Image) -> Image:
    height, width = picture.shape[:2]
    return picture[height // 4 : height - height // 4, width // 4 : width - width // 4]


def _best_match(picture: Image, scene: Image) -> float:
    return float(np.max(cv2.matchTemplate(scene, _middle(picture), cv2.TM_CCOEFF_NORMED)))
