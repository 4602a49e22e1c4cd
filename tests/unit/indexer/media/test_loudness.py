"""Loudness against the figures that EBU Tech 3341 gives for its test signals, which allow 0.1 LU."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from indexer.core.errors import UnreadableMediaError
from indexer.core.types import Samples
from indexer.media.deliver.write import AudioTrack
from indexer.media.read.loudness import LoudnessMeter

TOLERANCE = 0.1
MakeClip = Callable[..., Path]


def sine(dbfs: float, seconds: float, rate: int = 48_000) -> Samples:
    """A sine of 1 kHz whose peak is that many decibels from full scale."""
    times = np.arange(round(seconds * rate)) / rate
    return (10 ** (dbfs / 20) * np.sin(2 * np.pi * 1_000 * times)).astype(np.float32)


def loudness(*windows: Samples, rate: int = 48_000) -> float | None:
    meter = LoudnessMeter()
    for window in windows:
        meter.add(window_frame(window, rate))
    return meter.lufs


def window_frame(window: Samples, rate: int = 48_000) -> av.AudioFrame:
    """A window ``(n,)`` or ``(2, n)`` as a decoder would give it."""
    return frame(np.atleast_2d(window), "mono" if window.ndim == 1 else "stereo", rate)


def both(window: Samples) -> Samples:
    return np.stack([window, window])


def frame(planes: Samples, layout: str, rate: int = 48_000) -> av.AudioFrame:
    made = av.AudioFrame.from_ndarray(np.ascontiguousarray(planes), format="fltp", layout=layout)
    made.sample_rate = rate
    return made


@pytest.mark.parametrize("dbfs", [-23, -33])
def test_a_tone_in_both_channels_is_as_loud_as_its_peak(dbfs: float) -> None:
    assert loudness(both(sine(dbfs, 20))) == pytest.approx(dbfs, abs=TOLERANCE)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000, 96_000])
def test_one_channel_is_as_loud_as_the_same_in_two(rate: int) -> None:
    assert loudness(sine(-23, 5, rate), rate=rate) == pytest.approx(-23, abs=TOLERANCE)


def test_a_tone_from_one_side_has_half_the_power() -> None:
    left = np.stack([sine(-23, 5), np.zeros(5 * 48_000, np.float32)])
    assert loudness(left) == pytest.approx(-23 + 10 * np.log10(1 / 2), abs=TOLERANCE)


def test_quiet_stretches_do_not_count() -> None:
    # Signals 3 and 4: 10 LU below the ungated loudness, or below -70 LUFS, a block is left out.
    loud = [both(sine(-36, 10)), both(sine(-23, 60)), both(sine(-36, 10))]
    assert loudness(*loud) == pytest.approx(-23, abs=TOLERANCE)
    assert loudness(both(sine(-72, 10)), *loud, both(sine(-72, 10))) == pytest.approx(-23, abs=TOLERANCE)


def test_loud_and_less_loud_stretches_are_averaged_by_their_power() -> None:
    # Signal 5: 20 s at -26, 20.1 s at -20 and 20 s at -26 dBFS.
    levels = [(-26, 20.0), (-20, 20.1), (-26, 20.0)]
    power = sum(10 ** (level / 10) * seconds for level, seconds in levels) / sum(seconds for _, seconds in levels)
    windows = [both(sine(level, seconds)) for level, seconds in levels]
    assert loudness(*windows) == pytest.approx(10 * np.log10(power), abs=TOLERANCE)
    assert 10 * np.log10(power) == pytest.approx(-23, abs=TOLERANCE)


def test_channels_of_surround_sound_have_their_weights() -> None:
    # Signal 6: -28 dBFS left and right, -24 in the centre, -30 behind, where a channel counts 1.41 times.
    levels = {"L": -28, "R": -28, "C": -24, "Ls": -30, "Rs": -30}
    weights = {"L": 1, "R": 1, "C": 1, "Ls": 1.41, "Rs": 1.41}
    power = sum(weights[name] * 10 ** (level / 10) / 2 for name, level in levels.items())
    meter = LoudnessMeter()
    meter.add(frame(np.stack([sine(level, 5) for level in levels.values()]), "5.0(side)"))
    # A stereo tone at 0 dBFS has the power 1 and measures 0.
    assert meter.lufs == pytest.approx(10 * np.log10(power), abs=TOLERANCE)
    assert 10 * np.log10(power) == pytest.approx(-23, abs=TOLERANCE)


def test_silence_has_no_loudness() -> None:
    assert loudness() is None
    assert loudness(np.zeros(5 * 48_000, np.float32)) is None


def test_less_than_a_block_of_400_ms_has_no_loudness() -> None:
    assert loudness(sine(-23, 0.35)) is None
    assert loudness(sine(-23, 0.45)) == pytest.approx(-23, abs=TOLERANCE)


def test_windows_of_any_length_measure_the_same() -> None:
    sound = sine(-23, 3) * np.linspace(0.1, 1, 3 * 48_000, dtype=np.float32)
    pieces = np.split(sound, np.cumsum([1, 7, 480, 4_801, 20_000, 60_000]))
    assert loudness(*pieces) == pytest.approx(loudness(sound), abs=0.01)


def test_the_loudness_so_far_is_known_at_any_time() -> None:
    meter = LoudnessMeter()
    meter.add(window_frame(both(sine(-33, 5))))
    assert meter.lufs == pytest.approx(-33, abs=TOLERANCE)
    meter.add(window_frame(both(sine(-13, 30))))
    # The beginning is now more than 10 LU below the whole.
    assert meter.lufs == pytest.approx(-13, abs=TOLERANCE)


def test_frames_may_change_their_format() -> None:
    meter = LoudnessMeter()
    meter.add(frame(both(sine(-23, 5)), "stereo"))
    meter.add(frame(sine(-23, 5, 44_100)[None], "mono", 44_100))
    meter.add(frame(both(sine(-23, 5, 32_000)), "stereo", 32_000))
    meter.add(frame(both(sine(-23, 5)), "stereo"))
    # A resampler lays one channel into two at half the power each.
    expected = 10 * np.log10((3 * 10**-2.3 + 10 ** (-2.3 - 0.301)) / 4)
    assert meter.lufs == pytest.approx(expected, abs=TOLERANCE)


def test_a_frame_is_left_as_it_is() -> None:
    heard = frame(both(sine(-23, 1)), "stereo")
    heard.pts = 77
    before = heard.to_ndarray().copy()
    LoudnessMeter().add(heard)
    assert heard.pts == 77
    assert np.array_equal(heard.to_ndarray(), before)


def test_frames_of_a_file_are_measured_as_they_are(make_clip: MakeClip) -> None:
    path = make_clip("a.wav", [], audio=AudioTrack(both(sine(-20, 3)), 48_000, "pcm_s16le"))
    meter = LoudnessMeter()
    with av.open(str(path)) as container:
        for decoded in container.decode(audio=0):
            meter.add(decoded)
    assert meter.lufs == pytest.approx(-20, abs=TOLERANCE)


def test_sound_that_cannot_be_measured_is_said_to_be() -> None:
    with pytest.raises(UnreadableMediaError, match="cannot be measured"):
        LoudnessMeter().add(window_frame(sine(-23, 1), rate=1))


def test_memory_does_not_grow_with_the_sound() -> None:
    window, meter = both(sine(-23, 10)), LoudnessMeter()
    meter.add(window_frame(window))
    tracemalloc.start()
    for _ in range(30):
        meter.add(window_frame(window))
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 100_000
