import itertools
import wave

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.core.errors import UnreadableMediaError
from indexer.media.deliver.write import AudioTrack
from indexer.media.read.audio import _windows, iter_audio, read_audio


def frequency_of(sound: np.ndarray, rate: int) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(sound * np.hanning(sound.size)))) * rate / sound.size)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.wav", "pcm_s16le"), ("a.flac", "flac"), ("a.mp3", "libmp3lame"), ("a.m4a", "aac"), ("a.mka", "libopus")],
)
def test_sound_is_resampled(make_clip, tone, name, codec):
    path = make_clip(name, [], audio=AudioTrack(tone(2.0), 48_000, codec))
    sound = read_audio(path, 16_000)
    assert sound.dtype == np.float32
    assert sound.shape == (pytest.approx(2 * 16_000, abs=1100),)
    assert frequency_of(sound[8_000:24_000], 16_000) == pytest.approx(440, abs=1)
    assert np.abs(sound[8_000:24_000]).max() == pytest.approx(0.5, abs=0.06)


def test_samples_are_exact_where_nothing_is_lost(make_clip, tone):
    samples = tone(0.5, 16_000)
    path = make_clip("a.wav", [], audio=AudioTrack(samples, 16_000, "pcm_s16le"))
    assert np.abs(read_audio(path, 16_000) - samples).max() <= 1 / 2**15


def test_channels_are_mixed_or_kept(make_clip, tone):
    left, right = tone(0.5), np.zeros_like(tone(0.5))
    path = make_clip("a.wav", [], audio=AudioTrack(np.stack([left, right]), 48_000, "pcm_s16le"))
    both = np.concatenate([*iter_audio(path, 48_000, mono=False)], axis=1)
    assert both.shape == (2, left.size)
    assert np.abs(both[0] - left).max() < 1e-3
    assert np.abs(both[1]).max() < 1e-3
    assert np.abs(read_audio(path, 48_000) - left / 2).max() < 1e-3


@pytest.mark.parametrize("channels", [3, 9, 24])
def test_channels_that_have_no_names_are_mixed_too(tmp_path, tone, channels):
    samples = tone(0.5, 16_000)
    with wave.open(str(tmp_path / "many.wav"), "wb") as file:
        file.setparams((channels, 2, 16_000, 0, "NONE", ""))
        file.writeframes(np.repeat((samples * 2**14).astype("<i2")[:, None], channels, axis=1).tobytes())
    assert frequency_of(read_audio(tmp_path / "many.wav", 16_000), 16_000) == pytest.approx(440, abs=1)
    assert [window.shape for window in iter_audio(tmp_path / "many.wav", 16_000, mono=False)] == [(2, samples.size)]


def test_windows_are_bounded_and_join_to_the_whole(make_clip, tone):
    path = make_clip("a.flac", [], audio=AudioTrack(tone(2.5, 16_000), 16_000, "flac"))
    windows = list(iter_audio(path, 16_000, window_s=1.0))
    assert [window.size for window in windows] == [16_000, 16_000, 8_000]
    assert np.array_equal(np.concatenate(windows), read_audio(path, 16_000))


def test_sound_that_begins_after_the_first_frame_is_preceded_by_silence(tmp_path, tone, greys):
    path = tmp_path / "late.mkv"
    _write_with_offset(path, greys(50), tone(1.0), sound_starts_s=0.5)
    sound = read_audio(path, 16_000)
    assert not sound[: 8_000 - 200].any()
    assert np.abs(sound[8_000 + 200 : 8_000 + 1_000]).max() > 0.3
    assert sound.size == pytest.approx(1.5 * 16_000, abs=1100)


def test_sound_that_begins_a_month_late_has_a_wrong_stamp(tmp_path, tone, greys):
    path = tmp_path / "month.mkv"
    _write_with_offset(path, greys(25), tone(1.0), sound_starts_s=30 * 86_400.0)
    assert next(iter_audio(path, 16_000, window_s=30.0)).size == pytest.approx(16_000, abs=1100)


def test_sound_from_before_the_first_frame_is_cut(tmp_path, tone, greys):
    path = tmp_path / "early.mkv"
    _write_with_offset(path, greys(25), tone(2.0), sound_starts_s=0.0, pictures_start_s=0.75)
    assert read_audio(path, 16_000).size == pytest.approx(1.25 * 16_000, abs=1100)


def test_gap_in_the_sound_is_silent(tmp_path, tone, greys):
    path = tmp_path / "gap.mkv"
    _write_with_offset(path, greys(75), tone(2.0), sound_starts_s=0.0, gap=(1.0, 0.5))
    sound = read_audio(path, 16_000)
    assert sound.size == pytest.approx(2.5 * 16_000, abs=1100)
    assert not sound[round(1.1 * 16_000) : round(1.4 * 16_000)].any()
    assert np.abs(sound[round(1.6 * 16_000) : round(1.9 * 16_000)]).max() > 0.3


def test_many_small_gaps_do_not_shift_the_sound(tmp_path, tone, greys):
    path = tmp_path / "slow.mkv"
    _write_with_offset(path, greys(75), tone(2.0), sound_starts_s=0.0, stretch=1.1)
    assert read_audio(path, 16_000).size == pytest.approx(2.0 * 1.1 * 16_000, abs=0.06 * 16_000)


def test_file_without_sound(make_clip, greys):
    path = make_clip("silent.mp4", greys(5))
    with pytest.raises(UnreadableMediaError, match="has no sound"):
        read_audio(path, 16_000)


def test_file_is_closed_after_an_early_exit(clip, open_files):
    before = open_files()
    windows = iter_audio(clip, 16_000, window_s=0.1)
    next(windows)
    windows.close()
    assert open_files() == before


def test_memory_does_not_grow_with_length(make_clip):
    import tracemalloc

    path = make_clip("long.flac", [], audio=AudioTrack(np.zeros(600 * 16_000, np.float32), 16_000, "flac"))
    tracemalloc.start()
    total = sum(window.size for window in iter_audio(path, 16_000, window_s=5.0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 600 * 16_000
    assert peak < 10 * 5 * 16_000 * 4


@given(st.lists(st.integers(0, 40)), st.integers(1, 30))
def test_cutting_and_joining_loses_nothing(lengths, length):
    ends = list(itertools.accumulate(lengths, initial=0))
    pieces = [np.arange(start, end, dtype=np.float32) for start, end in itertools.pairwise(ends)]
    windows = list(_windows(iter(pieces), length))
    assert [window.size for window in windows[:-1]] == [length] * (len(windows) - 1)
    assert all(0 < window.size <= length for window in windows)
    assert np.array_equal(np.concatenate([*windows, np.zeros(0)]), np.arange(ends[-1]))


def _write_with_offset(path, pictures, samples, *, sound_starts_s, pictures_start_s=0.0, gap=(1e9, 0.0), stretch=1.0):
    """Pictures and PCM sound with clocks of their own; from ``gap[0]`` seconds on, sound comes ``gap[1]`` later."""
    with av.open(str(path), "w", format="matroska") as container:
        video = container.add_stream("libx264", rate=25)
        video.height, video.width = pictures[0].shape[:2]
        sound = container.add_stream("pcm_s16le", rate=48_000)
        sound.codec_context.layout = "mono"
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
            frame.pts = index + round(pictures_start_s * 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for start in range(0, samples.size, 4800):
            piece = (samples[None, start : start + 4800] * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(piece, format="s16", layout="mono")
            late_s = sound_starts_s + (gap[1] if start / 48_000 >= gap[0] else 0)
            frame.sample_rate, frame.pts = 48_000, round(start * stretch + late_s * 48_000)
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
