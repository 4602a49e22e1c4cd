"""Integrated loudness by EBU R128 and ITU-R BS.1770, measured by FFmpeg's ``ebur128`` filter."""

from __future__ import annotations

import av
from av.audio.frame import AudioFrame
from av.filter import Graph
from av.filter.context import FilterContext

from indexer.core.errors import UnreadableMediaError

_QUIETEST_LUFS = -70.0
"""BS.1770's absolute gate. The filter also gives this before any sound has passed the gate."""

# One channel counts as two, because players send it to both speakers.
_FILTER = "metadata=1:dualmono=true:framelog=quiet"
_LOUDNESS = "lavfi.r128.I"


class LoudnessMeter:
    """Measures a sound frame by frame, with its own channels and rate. Its memory does not grow."""

    def __init__(self) -> None:
        self._filters: _FilterGraph | None = None
        self._lufs = _QUIETEST_LUFS

    @property
    def lufs(self) -> float | None:
        """Loudness so far in LUFS, at most a little over 0; None for silence and for less than 0.4 s of sound."""
        return self._lufs if self._lufs > _QUIETEST_LUFS else None

    def add(self, frame: AudioFrame) -> None:
        """Measure the next decoded frame, whose format may differ from the one before; the frame is not changed.

        Raises:
            UnreadableMediaError: FFmpeg cannot measure sound of this kind.
        """
        try:
            self._filters = self._filters or _FilterGraph(frame)
            self._lufs = self._filters.loudness_after(frame, self._lufs)
        except (av.FFmpegError, ValueError) as error:
            raise UnreadableMediaError(f"The loudness of its sound cannot be measured: {error}.") from error


class _FilterGraph:
    """The filter, fed with frames in the format of the first one."""

    def __init__(self, first: AudioFrame) -> None:
        # The graph must outlive its nodes, which do not hold a reference to it.
        self._graph = Graph()
        self._source = self._graph.add_abuffer(
            sample_rate=first.sample_rate, format=first.format.name, layout=first.layout.name
        )
        self._sink: FilterContext = self._graph.add("abuffersink")
        self._graph.link_nodes(self._source, self._graph.add("ebur128", _FILTER), self._sink).configure()
        self._format = self._previous = _format_of(first)
        self._resampler: av.AudioResampler | None = None

    def loudness_after(self, frame: AudioFrame, loudness: float) -> float:
        """Integrated loudness with this frame in LUFS; ``loudness`` if the frame does not complete a block of 0.1 s."""
        for converted in self._converted(frame):
            self._source.push(converted)
        last = self._last_measured()
        return loudness if last is None else float(last.metadata.get(_LOUDNESS, loudness))

    def _converted(self, frame: AudioFrame) -> list[AudioFrame]:
        if _format_of(frame) != self._previous:
            self._previous = _format_of(frame)
            name, layout, rate = self._format
            self._resampler = av.AudioResampler(format=name, layout=layout, rate=rate)
        if self._previous == self._format or self._resampler is None:
            return [frame]
        return [converted for converted in self._resampler.resample(frame) if converted is not None]

    def _last_measured(self) -> AudioFrame | None:
        last = None
        while True:
            try:
                last = self._sink.pull()
            except av.BlockingIOError:
                return last if isinstance(last, AudioFrame) else None


def _format_of(frame: AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate
