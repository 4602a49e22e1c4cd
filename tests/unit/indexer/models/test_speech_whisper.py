"""Whisper: its folder, its repositories, its doubts; what every recogniser does is in the contract."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from indexer.core.errors import ModelError, WeightsDamagedError, WeightsMissingError
from indexer.models import whisper
from indexer.models.silero import Stretch, VoiceDetector, Voicing
from indexer.models.speech_packing import Chunk
from indexer.models.whisper import HUB_FILES, Doubt, WhisperRecognizer, hub_repository
from tests.unit.indexer.models import tiny
from tests.unit.indexer.models.sounds_of_speech import RATE, chord
from tests.unit.indexer.models.tiny_whisper import save_whisper

GULLIBLE = Voicing(open_at=1e-9, close_below=1e-9, certain_at=1e-9, longest_s=4.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_whisper(tmp_path_factory.mktemp("whisper") / "tiny")


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def recognizer(folder: Path, doubt: Doubt) -> WhisperRecognizer:
    return WhisperRecognizer(str(folder), device="cpu", detector=VoiceDetector(GULLIBLE), doubt=doubt)


def test_sizes_have_the_repositories_that_the_library_knows() -> None:
    from faster_whisper.utils import _MODELS

    assert {name: hub_repository(name) for name in _MODELS} == _MODELS
    assert hub_repository("owner/name") == "owner/name"


@pytest.mark.parametrize(
    ("doubt", "heard"),
    [
        (Doubt(-math.inf, 1.0, math.inf), True),
        (Doubt(0.0, 1.0, math.inf), False),
        (Doubt(-math.inf, 1.0, 0.0), False),
        # Guessing among 50,000 words is no better than exp(-10) a word.
        (Doubt(), False),
    ],
)
def test_what_is_doubtful_is_left_out(folder: Path, doubt: Doubt, heard: bool) -> None:
    assert bool(list(recognizer(folder, doubt).transcribe([chord(3)]))) is heard


def test_a_word_that_is_heard_after_a_gap_stays_there(folder: Path) -> None:
    from faster_whisper.transcribe import Segment, Word

    samples = np.zeros(2 * RATE, np.float32)
    chunk = Chunk((Stretch(10 * RATE, samples), Stretch(60 * RATE, samples)))
    words = [Word(0.5, 1.0, " Ask", 1), Word(1.5, 2.2, " not,", 1), Word(2.3, 3.0, " what", 1), Word(2.9, 4.0, "!", 1)]
    passage = Segment(0, 0, 0.5, 4.0, " Ask not, what!", [], 0.0, 1.0, 0.0, words, 0.0)
    first, second = whisper._utterances([passage], chunk, "en")
    assert (first.text, second.text) == ("Ask not,", "what!")
    assert [(word.start_s, word.end_s) for word in first.words] == [(10.5, 11.0), (11.5, 12.0)]
    assert [(word.start_s, word.end_s) for word in second.words] == [
        pytest.approx((60.3, 61.0)),
        pytest.approx((60.9, 62.0)),
    ]


def test_one_language_for_several_chunks_is_the_likeliest_of_all() -> None:
    class Listener:
        class model:  # noqa: N801 - the library's name
            is_multilingual = True

        def detect_language(self, samples: np.ndarray) -> tuple[str, float, list[tuple[str, float]]]:
            sure = {1.0: [("de", 0.9), ("en", 0.1)], 2.0: [("en", 0.6), ("de", 0.4)]}[len(samples) / RATE]
            return (*sure[0], sure)

    chunks = [Chunk((Stretch(0, np.zeros(length * RATE, np.float32)),)) for length in (1, 2, 2)]
    # German: 1 * 0.9 + 4 * 0.4 = 2.5; English: 1 * 0.1 + 4 * 0.6 = 2.5 would be a tie, so one more second decides.
    assert whisper._language(Listener(), [*chunks, chunks[0]]) == "de"  # type: ignore[arg-type]
    assert whisper._language(Listener(), [*chunks, chunks[1]]) == "en"  # type: ignore[arg-type]


@pytest.mark.parametrize("name", HUB_FILES)
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(WeightsMissingError, match=name):
        WhisperRecognizer(str(copy), device="cpu").load()


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("tokenizer.json", "--copy_files tokenizer.json preprocessor_config.json"),
        ("model.bin", "CTranslate2's converter"),
    ],
)
def test_a_folder_without_one_of_its_files_says_how_to_get_it(copy: Path, name: str, advice: str) -> None:
    (copy / name).unlink()
    whisper = WhisperRecognizer(str(copy), device="cpu")
    with pytest.raises(WeightsMissingError) as while_loading:
        whisper.load()
    with pytest.raises(WeightsMissingError) as before:
        whisper.fingerprint  # noqa: B018 - it is computed when it is asked for
    assert advice in while_loading.value.hint
    assert while_loading.value.hint == before.value.hint


@pytest.mark.parametrize("name", ["model.bin", "tokenizer.json"])
@pytest.mark.parametrize("content", [b"", b"no such file", b'{"a": 1}'])
def test_a_damaged_file_is_told(copy: Path, name: str, content: bytes) -> None:
    (copy / name).write_bytes(content)
    with pytest.raises(WeightsDamagedError, match="copy"):
        WhisperRecognizer(str(copy), device="cpu").load()


def test_a_model_that_was_cut_short_is_told(copy: Path) -> None:
    weights = copy / "model.bin"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    with pytest.raises(WeightsDamagedError, match="copy"):
        WhisperRecognizer(str(copy), device="cpu").load()


def test_bands_that_do_not_fit_are_told(copy: Path) -> None:
    (copy / "preprocessor_config.json").write_text(json.dumps({"feature_size": 128}))
    with pytest.raises(WeightsDamagedError, match=r"80 bands.*128"):
        WhisperRecognizer(str(copy), device="cpu").load()


@pytest.mark.parametrize("name", ["/no/such/folder", "./none", "a/b/c"])
def test_a_missing_folder_is_named(name: str) -> None:
    with pytest.raises(WeightsMissingError, match=name):
        WhisperRecognizer(name, device="cpu").load()


def test_without_a_network_a_size_says_how_to_fetch_it(hub_cache: Path) -> None:
    with pytest.raises(
        WeightsMissingError, match=r"hf download Systran/faster-whisper-small\. .*models\.speech = \"whisper:"
    ):
        WhisperRecognizer("small", device="cpu").load()


def test_a_size_in_the_cache_is_the_model_of_the_folder(folder: Path, hub_cache: Path) -> None:
    tiny.save_in_hub_cache(hub_cache, "Systran/faster-whisper-small", folder)
    cached = WhisperRecognizer("small", device="cpu")
    cached.load()
    assert cached.loaded
    assert cached.fingerprint.name == "small"
    assert cached.fingerprint.digest == WhisperRecognizer(str(folder), device="cpu").fingerprint.digest


def test_a_device_that_fails_is_told_and_other_failures_are_not_hidden() -> None:
    with pytest.raises(ModelError, match="libcublas"), whisper._computing():
        raise RuntimeError("Library libcublas.so.12 is not found or cannot be loaded")
    with pytest.raises(RuntimeError, match="something else"), whisper._computing(symptom="CUDA"):
        raise RuntimeError("something else")
