"""From sound to segments: ordered, apart, within the sound, and each loud window in exactly one."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.core.types import Embedding, Samples
from indexer.modalities.sounds.segments import LONGEST_S, SoundSegment, sound_segments
from indexer.models.base import SoundBatch, Tag
from tests.encoders import PitchEncoder

RATE, WINDOW_S = PitchEncoder.sample_rate, PitchEncoder.window_s
WINDOW = round(RATE * WINDOW_S)
LOW, HIGH = 200, 3_000


class Recorder(PitchEncoder):
    """Remembers what it was given; below 50 Hz it hears silence."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[Samples]] = []

    def encode_audio(self, windows: Sequence[Samples]) -> SoundBatch:
        self.batches.append(list(windows))
        batch = super().encode_audio(windows)
        hums = [np.abs(np.fft.rfft(window, RATE)).argmax() < 50 for window in windows]
        tags = [(Tag("Silence", 1.0),) if hums[index] else tags for index, tags in enumerate(batch.tags)]
        return SoundBatch(batch.vectors, tuple(tags))


class Mixer:
    """Role sounds for windows of one sample: the sample is the angle of a vector, and it is heard as two tags."""

    sample_rate, window_s = 1, 1.0

    def encode_audio(self, windows: Sequence[Samples]) -> SoundBatch:
        angles = np.array([window[0] for window in windows])
        vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
        return SoundBatch(vectors, tuple((Tag("Music", 0.6), Tag(f"{angle:.1f}", 0.36)) for angle in angles))

    def encode_texts(self, texts: Sequence[str]) -> Embedding:
        raise NotImplementedError


def tone(hertz: float, seconds: float) -> Samples:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), np.float32)


def hear(*pieces: Samples) -> list[SoundSegment]:
    return list(sound_segments("v", pieces, PitchEncoder()))


def spans(heard: list[SoundSegment]) -> list[tuple[float, float, str]]:
    return [(one.segment.start_s, one.segment.end_s, one.segment.text) for one in heard]


def test_what_sounds_alike_is_one_segment() -> None:
    heard = hear(tone(LOW, 2), tone(HIGH, 1.5))
    assert spans(heard) == [(0, 2, "low"), (2, 3.5, "high")]
    assert all(one.segment.kind == "sounds" and one.segment.video_id == "v" for one in heard)
    assert all(np.linalg.norm(one.vector) == pytest.approx(1, abs=1e-6) for one in heard)
    queries = PitchEncoder().encode_texts(["low", "high"])
    assert [int((queries @ one.vector).argmax()) for one in heard] == [0, 1]


def test_silence_is_left_out_and_parts_what_is_around_it() -> None:
    heard = hear(silence(1), tone(LOW, 1), silence(0.5), tone(LOW, 1), silence(3))
    assert spans(heard) == [(1, 2, "low"), (2.5, 3.5, "low")]


def test_noise_60_db_down_is_silence_and_a_little_more_is_not() -> None:
    full = tone(LOW, 1) / np.sqrt(0.125)  # of root mean square 1
    assert hear(full * 0.0009) == []
    assert spans(hear(full * 0.0011)) == [(0, 1, "low")]


def test_what_the_encoder_takes_for_silence_is_left_out() -> None:
    heard = list(sound_segments("v", [tone(20, 1), tone(LOW, 1)], Recorder()))
    assert spans(heard) == [(1, 2, "low")]


def test_a_long_sound_is_cut_after_ten_seconds() -> None:
    assert spans(hear(tone(LOW, 25))) == [(0, LONGEST_S, "low"), (10, 20, "low"), (20, 25, "low")]


def test_no_sound_has_no_segments() -> None:
    assert hear() == hear(silence(0)) == hear(silence(2)) == []


def test_a_sound_shorter_than_a_window_is_heard() -> None:
    assert spans(hear(tone(HIGH, 0.1))) == [(0, 0.1, "high")]


def test_a_short_rest_is_heard_with_what_comes_before() -> None:
    recorder = Recorder()
    sound = tone(HIGH, 1.1)
    assert spans(list(sound_segments("v", [sound], recorder))) == [(0, 1.1, "high")]
    rest = recorder.batches[0][-1]
    assert np.array_equal(rest, sound[-WINDOW:])


def test_a_silent_rest_is_silent_whatever_comes_before() -> None:
    assert spans(hear(tone(HIGH, 1), silence(0.1))) == [(0, 1, "high")]


def test_a_long_rest_is_heard_alone() -> None:
    recorder = Recorder()
    list(sound_segments("v", [tone(HIGH, 0.9)], recorder))
    assert [len(window) for window in recorder.batches[0]] == [WINDOW, round(0.4 * RATE)]


def test_windows_are_encoded_in_batches() -> None:
    recorder = Recorder()
    list(sound_segments("v", [tone(LOW, 20)], recorder))
    assert [len(batch) for batch in recorder.batches] == [16, 16, 8]


def test_tags_are_those_heard_through_the_segment_and_vectors_their_mean() -> None:
    angles = np.array([0.1, 0.2, 0.1], np.float32)
    [heard] = sound_segments("v", [angles], Mixer())
    # "0.2" is heard with 0.36 in one window of three: 0.12 in the mean.
    assert heard.segment.text == "Music, 0.1, 0.2"
    mean = np.array([np.cos(angles).sum(), np.sin(angles).sum()])
    assert heard.vector == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)


def test_a_tag_of_one_moment_is_not_the_segments() -> None:
    angles = np.array([0.1, 0.2, 0.1, 0.1], np.float32)
    [heard] = sound_segments("v", [angles], Mixer())
    # "0.2" is heard with 0.36 in one window of four: 0.09 in the mean.
    assert heard.segment.text == "Music, 0.1"


@pytest.mark.parametrize(("angle", "segments"), [(np.arccos(0.96), 1), (np.arccos(0.94), 2)])
def test_windows_are_alike_from_a_cosine_of_95_hundredths(angle: float, segments: int) -> None:
    sound = np.array([0.2, 0.2 + angle], np.float32)
    assert len(list(sound_segments("v", [sound], Mixer()))) == segments


def test_segments_come_as_soon_as_they_have_ended() -> None:
    pulled = []

    def pieces() -> Iterator[Samples]:
        for second in range(1_000):
            pulled.append(second)
            yield tone(LOW if second % 4 < 2 else HIGH, 1)

    next(sound_segments("v", pieces(), PitchEncoder()))
    assert len(pulled) <= 16 * WINDOW_S + 1


def test_memory_does_not_grow_with_the_sound() -> None:
    def peak(minutes: int) -> int:
        tracemalloc.start()
        for _ in sound_segments("v", (silence(30) + 0.1 for _ in range(2 * minutes)), PitchEncoder()):
            pass
        bytes_used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return bytes_used

    assert peak(20) < 1.2 * peak(2)


stretches = st.lists(
    st.tuples(st.sampled_from(["low", "high", "silent"]), st.integers(1, 3 * WINDOW)), min_size=0, max_size=12
)


def _sound(parts: list[tuple[str, int]]) -> Samples:
    loud = {"low": tone(LOW, 2), "high": tone(HIGH, 2), "silent": silence(2)}
    return np.concatenate([np.zeros(0, np.float32), *(loud[kind][:length] for kind, length in parts)])


@given(parts=stretches)
def test_segments_are_in_order_apart_and_within_the_sound(parts: list[tuple[str, int]]) -> None:
    sound = _sound(parts)
    heard = hear(sound)
    times = [time for one in heard for time in (one.segment.start_s, one.segment.end_s)]
    assert times == sorted(times)
    assert all(one.segment.start_s < one.segment.end_s <= one.segment.start_s + LONGEST_S for one in heard)
    assert not heard or times[-1] <= len(sound) / RATE


@given(parts=stretches)
def test_each_loud_window_is_covered_once_and_each_silent_one_never(parts: list[tuple[str, int]]) -> None:
    sound = _sound(parts)
    heard = hear(sound)
    for start in range(0, len(sound), WINDOW):
        window = sound[start : start + WINDOW]
        middle = (start + len(window) / 2) / RATE
        covering = [one for one in heard if one.segment.start_s <= middle < one.segment.end_s]
        assert len(covering) == (np.sqrt(np.mean(window.astype(np.float64) ** 2)) > 0.001)


@given(parts=stretches, cuts=st.lists(st.integers(0, 20 * WINDOW), max_size=6))
def test_it_does_not_matter_in_which_pieces_the_sound_comes(parts: list[tuple[str, int]], cuts: list[int]) -> None:
    sound = _sound(parts)
    whole, pieces = hear(sound), hear(*np.split(sound, sorted(cuts)))
    assert spans(pieces) == spans(whole)
    assert all(np.array_equal(one.vector, other.vector) for one, other in zip(pieces, whole, strict=True))
