"""Cuts, found by PySceneDetect's detectors in our own small frames."""

from __future__ import annotations

import math
from collections import deque

from scenedetect import detectors
from scenedetect.common import FrameTimecode
from scenedetect.detector import SceneDetector

from indexer.core.types import Image
from indexer.shots.select import DetectorName, Sampling
from indexer.shots.similarity import is_same_view, shrink

__all__ = ["CutDetector"]

_ADAPTIVE_WINDOW = 2
_NOMINAL_RATE = 25.0  # the library wants a rate with every time; with times in seconds it never uses it
_ROUNDING_S = 1e-6


class CutDetector:
    """Finds hard cuts in a stream of small frames.

    The library's detector names the suspects. A suspect is a cut unless the view before it comes back within
    ``min_shot_s``: that was a flash, a jolt of the camera or a stutter, not a new shot. Times are compared
    in seconds throughout, so a variable frame rate makes no difference.

    Args:
        detector: Which of PySceneDetect's detectors to ask.
        threshold: Its threshold, in its own unit; None takes the one tuned for small frames.
        min_shot_s: The shortest time between two cuts, in seconds. The first and the last shot may be shorter.

    Raises:
        ConfigError: There is no such detector, or a number is out of range.
    """

    def __init__(
        self, detector: DetectorName = "adaptive", *, threshold: float | None = None, min_shot_s: float = 0.6
    ) -> None:
        options = Sampling(detector=detector, threshold=threshold, min_shot_s=min_shot_s)
        self._library = _library_detector(options)
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
            time_s: The frame's time, greater than that of the frame before.

        Returns:
            The cuts that are certain now, each as the time of its shot's first frame, in order. A cut becomes
            certain ``min_shot_s`` after it. Before that, when the frame ``lag_frames`` after it is fed, it is
            the ``newest_suspect_s``: who must not mix the frames of two shots can part them there.
        """
        picture = shrink(thumbnail)
        self._history.append((time_s, picture))
        self._suspect(picture, time_s)
        cuts = self._judge(time_s)
        self._forget()
        return cuts

    def finish(self) -> tuple[float, ...]:
        """The cuts that were still uncertain; nothing can be fed afterwards."""
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
        """Let no frame up to that time be a cut."""
        self._barred_s = until_s
        while self._suspects and self._suspects[0] <= until_s:
            self._suspects.popleft()

    def _back_at(self, suspect_s: float, until_s: float) -> float | None:
        """The last time in ``[suspect_s, until_s]`` at which the view from before the suspect is to be seen."""
        before = next(picture for time_s, picture in reversed(self._history) if time_s < suspect_s)
        after = ((time_s, picture) for time_s, picture in reversed(self._history) if suspect_s <= time_s <= until_s)
        return next((time_s for time_s, picture in after if is_same_view(before, picture)), None)

    def _forget(self) -> None:
        """Keep the frames from the one before the next possible cut."""
        settled_s = self.settled_s
        while len(self._history) > 1 and self._history[1][0] < settled_s:
            self._history.popleft()


def _library_detector(options: Sampling) -> SceneDetector:
    """One that reports every suspect: `CutDetector` sees to the shortest shot."""
    threshold = options.threshold
    if options.detector == "adaptive":
        return detectors.AdaptiveDetector(threshold or 2.25, min_scene_len=0.0, window_width=_ADAPTIVE_WINDOW)
    if options.detector == "content":
        return detectors.ContentDetector(threshold or 27.0, min_scene_len=0.0)
    if options.detector == "histogram":
        return detectors.HistogramDetector(threshold or 0.2, min_scene_len=0.0)
    return detectors.HashDetector(threshold or 0.35, min_scene_len=0.0)
