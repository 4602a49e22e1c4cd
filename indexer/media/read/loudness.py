"""How loud a sound is on the whole: integrated loudness after EBU R128 and ITU-R BS.1770, by FFmpeg's ``ebur128``."""

from __future__ import annotations

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.filter import Graph
from av.filter.context import FilterContext

from indexer.core.errors import UnreadableMediaError
from indexer.core.types import Samples

__all__ = ["LoudnessMeter"]

SAMPLE_RATE = 48_000
"""In Hz; BS.1770 gives its filters for this rate."""

_QUIETEST_LUFS = -70.0
"""BS.1770's absolute gate. The filter says this, too, where nothing has passed it yet."""

# One channel counts as two: a player lets it be heard from both speakers.
_FILTER = "metadata=1:dualmono=true:framelog=quiet"
_LOUDNESS = "lavfi.r128.I"


class LoudnessMeter:
    """Listens to a sound from its first sample to its last, and knows at any time how loud it was so far.

    Feed it decoded frames as they come (``hear_frame``: the file's own channels and rate, as the standard wants it) or
    windows of samples (``hear``). It remembers a histogram and not the sound: its size does not grow.

    Args:
        sample_rate: Of the windows, in Hz; frames bring their own.
    """

    def __init__(self, sample_rate: int = SAMPLE_RATE) -> None:
        self.sample_rate = sample_rate
        self._filters: _Filters | None = None
        self._lufs = _QUIETEST_LUFS

    @property
    def lufs(self) -> float | None:
        """Integrated loudness in LUFS, at most a little over 0; None for silence and for less than 0.4 s of sound."""
        return self._lufs if self._lufs > _QUIETEST_LUFS else None

    def hear(self, window: Samples) -> None:
        """Listen to the next samples.

        Args:
            window: float32 ``(n,)`` or ``(2, n)``, in [-1, 1], at ``sample_rate``.

        Raises:
            ValueError: the samples have another shape.
        """
        if window.ndim > 2 or (window.ndim == 2 and len(window) != 2):
            raise ValueError(f"sound has one channel or two, and this has the shape {window.shape}")
        if not window.size:
            return
        layout = "mono" if window.ndim == 1 else "stereo"
        planes = np.ascontiguousarray(np.atleast_2d(window), dtype=np.float32)
        frame = AudioFrame.from_ndarray(planes, format="fltp", layout=layout)
        frame.sample_rate = self.sample_rate
        self.hear_frame(frame)

    def hear_frame(self, frame: AudioFrame) -> None:
        """Listen to the next decoded frame, which is left as it is; its format may differ from the one before.

        Raises:
            UnreadableMediaError: FFmpeg cannot measure sound of this kind.
        """
        try:
            self._filters = self._filters or _Filters(frame)
            self._lufs = self._filters.loudness_after(frame, self._lufs)
        except (av.FFmpegError, ValueError) as error:
            raise UnreadableMediaError(f"The loudness of its sound cannot be measured: {error}.") from error


class _Filters:
    """FFmpeg's filter, fed with frames of the format that the first one had."""

    def __init__(self, first: AudioFrame) -> None:
        # The graph must outlive its parts, which do not hold on to it.
        self._graph = Graph()
        self._source = self._graph.add_abuffer(
            sample_rate=first.sample_rate, format=first.format.name, layout=first.layout.name
        )
        self._sink = self._linked([self._graph.add("ebur128", _FILTER), self._graph.add("abuffersink")])
        self._format = self._heard = _format_of(first)
        self._resampler: av.AudioResampler | None = None

    def _linked(self, others: list[FilterContext]) -> FilterContext:
        self._graph.link_nodes(self._source, *others).configure()
        return others[-1]

    def loudness_after(self, frame: AudioFrame, loudness: float) -> float:
        """Integrated loudness with this frame in LUFS; ``loudness`` where it does not fill the next 0.1 s."""
        for fitting in self._fit(frame):
            self._source.push(fitting)
        last = self._last_measured()
        return loudness if last is None else float(last.metadata.get(_LOUDNESS, loudness))

    def _fit(self, frame: AudioFrame) -> list[AudioFrame]:
        if _format_of(frame) != self._heard:
            self._heard = _format_of(frame)
            name, layout, rate = self._format
            self._resampler = av.AudioResampler(format=name, layout=layout, rate=rate)
        if self._heard == self._format or self._resampler is None:
            return [frame]
        return [fitting for fitting in self._resampler.resample(frame) if fitting is not None]

    def _last_measured(self) -> AudioFrame | None:
        last = None
        while True:
            try:
                last = self._sink.pull()
            except av.BlockingIOError:
                return last if isinstance(last, AudioFrame) else None


def _format_of(frame: AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate
