"""The embedded speech model: what it hears, and what it says when a file is missing."""

from __future__ import annotations

from pathlib import Path

import jiwer
import numpy as np
import pytest

from indexer.core.errors import WeightsDamagedError, WeightsMissingError
from indexer.models import pocketsphinx
from indexer.models.pocketsphinx import PocketsphinxRecognizer
from tests.unit.indexer.models.sounds_of_speech import KENNEDY, RATE, cut, needs_media, sound_of


class TestOnRealSound:
    pytestmark = needs_media

    def test_at_most_three_words_of_ten_are_wrong(self) -> None:
        utterances = list(PocketsphinxRecognizer().transcribe(cut(sound_of("jfk.flac"), 30 * RATE)))
        assert jiwer.wer(KENNEDY, " ".join(utterance.text for utterance in utterances)) <= 0.3
        words = [word for utterance in utterances for word in utterance.words]
        assert words[-1].text == "country"
        assert 9.5 < words[-1].start_s < words[-1].end_s < 10.9
        assert {utterance.language for utterance in utterances} == {""}

    def test_a_faint_recording_is_brought_to_one_level(self) -> None:
        phrase = sound_of("jfk.flac")[round(7.9 * RATE) :]
        loud, faint = (
            [one.text for one in PocketsphinxRecognizer().transcribe([phrase * np.float32(gain)])]
            for gain in (1.0, 0.01)
        )
        assert "what you can do for your country" in loud[0]
        assert jiwer.wer(loud, faint) <= 0.3


def test_only_words_are_words() -> None:
    assert [pocketsphinx._is_word(name) for name in ("<s>", "<sil>", "[NOISE]", "[SPEECH]", "a(2)", "'cause")] == [
        *[False] * 4,
        *[True] * 2,
    ]


def test_sixteen_bits_are_filled_around_zero() -> None:
    samples = np.array([0.5, 0.7, 0.3, 0.5], np.float32)
    assert np.frombuffer(pocketsphinx._pcm(samples), np.int16).tolist() == pytest.approx([0, 29490, -29490, 0], abs=1)
    assert np.frombuffer(pocketsphinx._pcm(samples * 0), np.int16).tolist() == [0] * 4


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissingError, match=r"feat\.params"):
        PocketsphinxRecognizer(folder=tmp_path).load()
    with pytest.raises(WeightsMissingError, match=r"feat\.params"):
        _ = PocketsphinxRecognizer(folder=tmp_path).fingerprint


def test_damaged_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "en-us").mkdir()
    for path in pocketsphinx._files(tmp_path):
        path.write_bytes(b"neither a dictionary nor a model\n")
    with pytest.raises(WeightsDamagedError, match=tmp_path.name):
        PocketsphinxRecognizer(folder=tmp_path).load()
