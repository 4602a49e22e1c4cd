"""Finds speech with Silero VAD (Silero Team, 2021), whose network comes with faster-whisper.

The network gives every frame of 32 ms a probability of voice. A stretch opens when the probability passes
``Voicing.open_at`` and closes after a pause. For a moment, a saxophone too sounds like a voice, so a stretch without
certain voice is kept only near one that has it. Music, noise and silence therefore reach no recogniser. Memory does
not grow with the sound: little more than the open stretch is kept, and a long stretch is cut at its best pause.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from indexer.core.errors import WeightsDamagedError
from indexer.core.types import Samples
from indexer.models.lifecycle import Lazy, LoadedOnUse
from indexer.models.weights import digest_files, package_folder

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

__all__ = ["FRAME", "SAMPLE_RATE", "Stretch", "VoiceDetector", "Voicing"]

SAMPLE_RATE = 16_000
"""In Hz; the only rate that the network takes."""

FRAME = 512
"""Samples in a frame: 32 ms."""

_ASSET = "assets/silero_vad_v6.onnx"
# Samples of the frame before that the network sees too.
_CONTEXT = 64
_STATE = (1, 1, 128)
# Frames given to the network at once: 4 s of sound, a quarter of a megabyte.
_BATCH = 125
# Below this probability there certainly is no voice.
_NO_VOICE = 0.2


@dataclass(frozen=True, slots=True)
class Voicing:
    """When a stretch opens and closes.

    Args:
        open_at: Probability in [0, 1] from which a frame counts as voice.
        close_below: Probability in [0, 1] below which a frame may begin a pause.
        pause_s: A pause of this length closes the stretch.
        margin_s: Sound kept before the first and after the last voice; at most half of ``pause_s``.
        shortest_s: A stretch with less voice than this is dropped.
        certain_at: Probability in [0, 1] from which the network is certain.
        certain_s: A stretch is certain with at least this much certain voice.
        near_s: Any other stretch is dropped, unless a certain one ends or begins within this time of it.
        longest_s: A stretch that reaches this is cut at the least voiced place of its second half.
    """

    open_at: float = 0.5
    close_below: float = 0.35
    pause_s: float = 0.6
    margin_s: float = 0.3
    shortest_s: float = 0.2
    certain_at: float = 0.8
    certain_s: float = 0.25
    near_s: float = 5.0
    longest_s: float = 30.0

    def __post_init__(self) -> None:
        if not 0 < self.close_below <= self.open_at <= 1:
            raise ValueError("close_below and open_at must rise within (0, 1]")
        if not 0 <= 2 * self.margin_s <= self.pause_s < self.longest_s / 2:
            raise ValueError("twice the margin, the pause and half of the longest stretch must rise")

    @property
    def words(self) -> dict[str, float | str]:
        """For a fingerprint."""
        return {**asdict(self), "forgets": f"after {_BATCH} frames below {_NO_VOICE}"}


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Sound with voice in it: ``samples`` is ``(n,)`` at ``SAMPLE_RATE``, ``start`` the number of the first one.

    ``certain`` says that the network is sure of the voice.
    """

    start: int
    samples: Samples
    certain: bool = True

    @property
    def start_s(self) -> float:
        """In seconds from the first sample of the sound."""
        return self.start / SAMPLE_RATE

    @property
    def duration_s(self) -> float:
        """In seconds."""
        return len(self.samples) / SAMPLE_RATE

    @property
    def end_s(self) -> float:
        """In seconds from the first sample of the sound."""
        return self.start_s + self.duration_s


class VoiceDetector(LoadedOnUse["InferenceSession"]):
    """Finds the voiced stretches of a sound as it streams in.

    Args:
        voicing: When a stretch opens and closes.
        weights: The network's file; by default the one that comes with faster-whisper.
    """

    def __init__(self, voicing: Voicing | None = None, weights: Path | None = None) -> None:
        super().__init__(lambda: _open_session(self._file), "cpu")
        self.voicing = voicing or Voicing()
        self._weights = weights

    @property
    def _file(self) -> Path:
        if self._weights is not None:
            return self._weights
        return package_folder("faster_whisper", "the network that detects voice", "faster-whisper") / _ASSET

    @property
    def digest(self) -> str:
        """The digest of the network's file, for a fingerprint."""
        return digest_files([self._file])

    def stretches(self, windows: Iterable[Samples]) -> Iterator[Stretch]:
        """The voiced stretches in time order, each as soon as it is complete; they never overlap.

        Args:
            windows: The sound as consecutive pieces ``(n,)`` of any length, one channel at ``SAMPLE_RATE``.
        """
        return _near_certain(self._candidates(windows), self.voicing.near_s)

    def _candidates(self, windows: Iterable[Samples]) -> Iterator[Stretch]:
        network, tracker = _VoiceNetwork(self._model), _Tracker(self.voicing)
        for samples in _whole_batches(windows):
            yield from tracker.push(samples, network.probabilities(samples))
        yield from tracker.flush()


class _VoiceNetwork:
    """The network with its state for one sound.

    After a minute of silence it finds only a third of the voice that it finds with a fresh state, so the state is reset
    after every batch without voice.
    """

    def __init__(self, session: Lazy[InferenceSession]) -> None:
        self._session = session
        self._before = np.zeros((1, _CONTEXT), np.float32)
        self._reset()

    def _reset(self) -> None:
        self._h = self._c = np.zeros(_STATE, np.float32)

    def probabilities(self, samples: Samples) -> Samples:
        """The probability of voice in each frame ``(ceil(n / FRAME),)``; the last frame may be incomplete."""
        frames = np.pad(samples, (0, -len(samples) % FRAME)).reshape(-1, FRAME)
        tails = frames[:, -_CONTEXT:]
        fed = np.hstack([np.vstack([self._before, tails[:-1]]), frames])
        voice, self._h, self._c = self._session.get().run(None, {"input": fed, "h": self._h, "c": self._c})
        self._before = tails[-1:]
        if voice.max() < _NO_VOICE:
            self._reset()
        return np.asarray(voice, np.float32).reshape(-1)


class _Tracker:
    """Opens and closes stretches, frame by frame; keeps the open stretch and the margin before it."""

    def __init__(self, voicing: Voicing) -> None:
        self._voicing = voicing
        self._pause, self._margin, self._longest = _frames(voicing.pause_s, voicing.margin_s, voicing.longest_s)
        self._shortest, self._certain = _frames(voicing.shortest_s, voicing.certain_s)
        self._frames: list[Samples] = []
        self._voice: list[float] = []
        self._start = 0
        self._quiet = 0
        self._open = False

    def push(self, samples: Samples, voice: Samples) -> Iterator[Stretch]:
        """The stretches that these frames complete; ``voice`` has a probability for each frame."""
        for index, probability in enumerate(voice):
            self._frames.append(samples[index * FRAME : (index + 1) * FRAME])
            self._voice.append(float(probability))
            yield from self._opened(float(probability)) if self._open else self._waited(float(probability))

    def flush(self) -> Iterator[Stretch]:
        """The stretch that the end of the sound closes."""
        if self._open:
            yield from self._take(len(self._frames) - max(0, self._quiet - self._margin))

    def _waited(self, probability: float) -> Iterator[Stretch]:
        if probability >= self._voicing.open_at:
            self._open, self._quiet = True, 0
        else:
            self._forget(len(self._frames) - self._margin)
        yield from ()

    def _opened(self, probability: float) -> Iterator[Stretch]:
        self._quiet = self._quiet + 1 if self._is_quiet(probability) else 0
        if self._quiet >= self._pause:
            yield from self._take(len(self._frames) - self._quiet + self._margin)
            self._open = False
            self._forget(len(self._frames) - self._margin)
        elif len(self._frames) >= self._longest:
            yield from self._take(self._best_cut())
            self._quiet = min(self._quiet, len(self._frames))

    def _is_quiet(self, probability: float) -> bool:
        """A pause begins below one probability and ends only above a higher one."""
        voicing = self._voicing
        return probability < (voicing.open_at if self._quiet else voicing.close_below)

    def _best_cut(self) -> int:
        """The middle of the least voiced 0.2 s of the second half."""
        voice = np.convolve(self._voice, np.bartlett(9), mode="same")
        half = len(voice) // 2
        return half + int(np.argmin(voice[half:-3]))

    def _take(self, count: int) -> Iterator[Stretch]:
        """The first ``count`` frames, unless there is too little voice in them."""
        voice, start, taken = np.array(self._voice[:count]), self._start, self._frames[:count]
        self._forget(count)
        if (voice >= self._voicing.open_at).sum() >= self._shortest:
            certain = (voice >= self._voicing.certain_at).sum() >= self._certain
            yield Stretch(start, np.concatenate(taken), bool(certain))

    def _forget(self, count: int) -> None:
        """Drop the first ``count`` frames; none if it is negative."""
        count = max(0, count)
        self._start += sum(map(len, self._frames[:count]))
        del self._frames[:count], self._voice[:count]


def _frames(*seconds: float) -> tuple[int, ...]:
    return tuple(max(1, round(length * SAMPLE_RATE / FRAME)) for length in seconds)


def _near_certain(stretches: Iterable[Stretch], near_s: float) -> Iterator[Stretch]:
    """The certain stretches and the doubtful ones near them; a doubtful one waits until the next is known."""
    doubtful: list[Stretch] = []
    certain_until_s = -math.inf
    for stretch in stretches:
        doubtful = [other for other in doubtful if stretch.start_s - other.end_s <= near_s]
        if stretch.certain:
            yield from (*doubtful, stretch)
            doubtful, certain_until_s = [], stretch.end_s
        elif stretch.start_s - certain_until_s <= near_s:
            yield stretch
        else:
            doubtful.append(stretch)


def _whole_batches(windows: Iterable[Samples]) -> Iterator[Samples]:
    """The windows cut and joined into batches of whole frames; only the last frame may be incomplete."""
    size = _BATCH * FRAME
    waiting = np.zeros(0, np.float32)
    for window in windows:
        for piece in np.split(window, range(size, len(window), size)):
            waiting = np.concatenate([waiting, _playable(piece)])
            if len(waiting) >= size:
                yield waiting[:size]
                waiting = waiting[size:]
    if len(waiting):
        yield waiting


def _playable(samples: Samples) -> Samples:
    """Finite samples in [-1, 1]: one damaged sample would spoil the network's state for the rest of the sound."""
    return np.clip(np.nan_to_num(np.asarray(samples, np.float32), posinf=0.0, neginf=0.0), -1.0, 1.0)


def _open_session(path: Path) -> InferenceSession:
    digest_files([path])
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    # One thread is the fastest for a small network beside a decoder. An arena would only grow.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    try:
        return InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except _onnx_errors() as error:
        raise WeightsDamagedError(
            f"The network that detects voice cannot be loaded from '{path}'.",
            hint="Reinstall it with: pip install --force-reinstall --no-deps faster-whisper",
        ) from error


def _onnx_errors() -> tuple[type[Exception], ...]:
    """They share no base class but ``Exception``."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (state.Fail, state.InvalidGraph, state.InvalidProtobuf, state.NotImplemented, state.RuntimeException)
