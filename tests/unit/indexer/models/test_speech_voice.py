"""Finding speech: the network, the rules that open and close stretches, and streaming."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.core.errors import WeightsDamagedError, WeightsMissingError
from indexer.core.types import Samples
from indexer.models import silero
from indexer.models.silero import FRAME, Stretch, VoiceDetector, Voicing
from tests.unit.indexer.models.sounds_of_speech import RATE, chord, cut, needs_media, noise, silence, sound_of

SHORT = Voicing(pause_s=0.2, margin_s=0.096, shortest_s=0.032, longest_s=1.6, near_s=1000.0)


@pytest.fixture(scope="module")
def detector() -> VoiceDetector:
    return VoiceDetector()


def tracked(voice: list[float], voicing: Voicing = SHORT, *, per_push: int = 50, tail: int = FRAME) -> list[Stretch]:
    """The stretches of a sound whose samples count up, given the probabilities of its frames."""
    tracker, found = silero._Tracker(voicing), []
    samples = np.arange(max(0, (len(voice) - 1) * FRAME + tail), dtype=np.float32)
    for start in range(0, len(voice), per_push):
        piece = samples[start * FRAME : (start + per_push) * FRAME]
        found += list(tracker.push(piece, np.array(voice[start : start + per_push], np.float32)))
    return [*found, *tracker.flush()]


def spans(stretches: list[Stretch]) -> list[tuple[int, int]]:
    """In frames."""
    return [(stretch.start // FRAME, -(-(stretch.start + len(stretch.samples)) // FRAME)) for stretch in stretches]


def test_a_stretch_has_its_margins() -> None:
    # 0.096 s are 3 frames; the voice is frames 20 to 29.
    assert spans(tracked([0.0] * 20 + [0.9] * 10 + [0.0] * 20)) == [(20 - 3, 30 + 3)]


def test_a_short_pause_does_not_close_a_stretch() -> None:
    # 0.2 s are 6 frames.
    assert spans(tracked([0.0] * 9 + [0.9] * 9 + [0.0] * 5 + [0.9] * 9 + [0.0] * 9)) == [(6, 35)]
    assert spans(tracked([0.0] * 9 + [0.9] * 9 + [0.0] * 6 + [0.9] * 9 + [0.0] * 9)) == [(6, 21), (21, 36)]


def test_a_perhaps_neither_opens_nor_closes() -> None:
    assert tracked([0.45] * 40) == []
    assert spans(tracked([0.0] * 5 + [0.9] * 5 + [0.45] * 20 + [0.9] * 5 + [0.0] * 9)) == [(2, 38)]


def test_a_stretch_open_at_the_end_is_given_with_its_last_incomplete_frame() -> None:
    (found,) = tracked([0.0] * 10 + [0.9] * 10, tail=100)
    assert (found.start, len(found.samples)) == (7 * FRAME, 12 * FRAME + 100)


def test_a_click_is_no_voice() -> None:
    assert tracked([0.0] * 5 + [0.9] * 2 + [0.0] * 20, Voicing()) == []


def test_a_long_stretch_is_cut_at_its_best_pause() -> None:
    # 1.6 s are 50 frames; the best pause of the second half is frame 40.
    voice = [0.9] * 38 + [0.4] * 5 + [0.9] * 40
    first, second = tracked(voice)
    assert spans([first]) == [(0, 40)]
    assert second.start == first.start + len(first.samples)
    assert spans([second]) == [(40, 83)]


probabilities = st.lists(
    st.tuples(st.sampled_from([0.0, 0.2, 0.4, 0.45, 0.6, 0.95]), st.integers(1, 30)), min_size=1, max_size=12
).map(lambda runs: [value for value, count in runs for _ in range(count)])


@given(voice=probabilities, per_push=st.integers(1, 60), tail=st.integers(1, FRAME))
def test_stretches_are_ordered_whole_and_hold_all_clear_voice(voice: list[float], per_push: int, tail: int) -> None:
    found = tracked(voice, per_push=per_push, tail=tail)
    total, end = (len(voice) - 1) * FRAME + tail, 0
    for stretch in found:
        assert stretch.start >= end
        assert stretch.samples.tolist() == list(range(stretch.start, stretch.start + len(stretch.samples)))
        assert len(stretch.samples) <= 50 * FRAME
        end = stretch.start + len(stretch.samples)
    assert end <= total
    covered = {frame for first, last in spans(found) for frame in range(first, last)}
    assert {frame for frame, value in enumerate(voice) if value >= 0.5} <= covered


@given(voice=probabilities, per_push=st.integers(1, 60))
def test_stretches_do_not_depend_on_how_the_sound_comes(voice: list[float], per_push: int) -> None:
    assert spans(tracked(voice, per_push=per_push)) == spans(tracked(voice, per_push=len(voice)))


@settings(max_examples=50)
@given(lengths=st.lists(st.integers(0, 300_000), max_size=6))
def test_windows_of_any_length_become_batches_of_whole_frames(lengths: list[int]) -> None:
    windows = [np.full(length, 0.1 * index, np.float32) for index, length in enumerate(lengths)]
    batches = list(silero._whole_batches(windows))
    assert all(len(batch) % FRAME == 0 and len(batch) for batch in batches[:-1])
    joined = np.concatenate([*windows, np.zeros(0, np.float32)])
    assert np.array_equal(np.concatenate([*batches, np.zeros(0, np.float32)]), joined)


def stretch(start_s: float, end_s: float, *, certain: bool) -> Stretch:
    return Stretch(round(start_s * RATE), np.zeros(round((end_s - start_s) * RATE), np.float32), certain)


def test_a_doubtful_stretch_counts_only_near_a_certain_one() -> None:
    doubtful = [stretch(start, start + 1, certain=False) for start in (0, 7, 20, 27, 31)]
    certain = stretch(10, 15, certain=True)
    order = sorted([*doubtful, certain], key=lambda one: one.start)
    kept = [one.start_s for one in silero._near_certain(order, 5.0)]
    # 7 to 8 is 2 s before 10, 20 is 5 s after 15; 0 to 1 and 27 are further, and doubt does not hold up doubt.
    assert kept == [7, 10, 20]


def test_doubt_that_waits_is_forgotten_in_time() -> None:
    waiting = (stretch(index * 6, index * 6 + 0.5, certain=False) for index in range(1000))
    assert list(silero._near_certain(waiting, 5.0)) == []


@pytest.mark.parametrize(
    "wrong", [{"open_at": 0.3}, {"close_below": 0.0}, {"margin_s": 0.4}, {"pause_s": 16.0}, {"longest_s": 1.0}]
)
def test_contradictory_rules_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must rise"):
        Voicing(**wrong)


@pytest.mark.parametrize("sound", [silence(20), noise(20), noise(20, 0.9), chord(20), silence(0)], ids=len)
def test_silence_noise_and_tones_are_no_voice(detector: VoiceDetector, sound: Samples) -> None:
    assert list(detector.stretches([sound])) == []
    assert list(detector.stretches([])) == []


def test_only_what_is_needed_is_pulled(detector: VoiceDetector) -> None:
    pulled = []

    def windows() -> Iterator[Samples]:
        for index in range(100):
            pulled.append(index)
            yield noise(1, 0.01)

    stretches = detector.stretches(windows())
    assert pulled == []
    assert list(stretches) == []
    assert len(pulled) == 100


class TestOnRealSound:
    pytestmark = needs_media

    def test_probabilities_are_those_of_the_reference_implementation(self, detector: VoiceDetector) -> None:
        from faster_whisper.vad import get_vad_model

        sound = sound_of("jfk.flac")
        whole = sound[: len(sound) // FRAME * FRAME]
        network = silero._VoiceNetwork(detector._model)
        ours = np.concatenate(
            [network.probabilities(batch) for batch in silero._whole_batches(cut(whole, 1000, 77_777))]
        )
        theirs = get_vad_model()(whole.copy()).reshape(-1)
        # The reference loses the end of the last frame.
        assert ours[:-1] == pytest.approx(theirs[:-1], abs=1e-4)

    def test_the_stretches_do_not_depend_on_the_windows(self, detector: VoiceDetector) -> None:
        sound = sound_of("jfk.flac")
        whole = list(detector.stretches([sound]))
        for lengths in ((480_000,), (1, 511, 513, 16_000), (100,)):
            assert spans(list(detector.stretches(cut(sound, *lengths)))) == spans(whole)

    def test_four_phrases_are_found_where_they_are(self, detector: VoiceDetector) -> None:
        sound = sound_of("jfk.flac")
        found = list(detector.stretches([silence(60), sound, silence(30)]))
        assert len(found) == 4
        assert all(60 <= one.start_s < one.end_s <= 71.5 for one in found)
        for one in found:
            inside = one.start - 60 * RATE
            assert np.array_equal(one.samples[: 1 * RATE], sound[inside : inside + RATE])

    @pytest.mark.parametrize("name", ["big-buck-bunny.mp4", "typography.webm", "cockatoo.mp4"])
    def test_music_and_birds_are_no_voice(self, detector: VoiceDetector, name: str) -> None:
        assert list(detector.stretches([sound_of(name)])) == []

    def test_damaged_samples_do_not_deafen_it(self, detector: VoiceDetector) -> None:
        broken = silence(1)
        broken[::1000], broken[5] = np.nan, np.inf
        heard = list(detector.stretches([broken, sound_of("jfk.flac")]))
        assert len(heard) == 4
        assert all(np.isfinite(one.samples).all() for one in heard)


def test_a_missing_or_damaged_network_is_named(tmp_path: Path) -> None:
    weights = tmp_path / "silero.onnx"
    with pytest.raises(WeightsMissingError, match=r"silero\.onnx"):
        VoiceDetector(weights=weights).load()
    weights.write_bytes(b"not a network")
    with pytest.raises(WeightsDamagedError, match=r"silero\.onnx"):
        VoiceDetector(weights=weights).load()


def test_it_loads_again_after_unloading() -> None:
    detector = VoiceDetector()
    assert not detector.loaded
    detector.load()
    assert detector.loaded
    detector.unload()
    assert not detector.loaded
    assert list(detector.stretches([silence(1)])) == []
