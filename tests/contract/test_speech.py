"""What every speech recogniser promises, whichever model is behind it."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from indexer.core.errors import UnreadableMediaError
from indexer.core.types import Samples
from indexer.models.base import SpeechRecognizer, Utterance
from indexer.models.pocketsphinx import PocketsphinxRecognizer
from indexer.models.silero import VoiceDetector, Voicing
from indexer.models.whisper import Doubt, WhisperRecognizer
from tests.unit.indexer.models.sounds_of_speech import RATE, chord, cut, needs_media, noise, silence, sound_of
from tests.unit.indexer.models.tiny_whisper import save_whisper

FAMILIES = ["pocketsphinx", "whisper"]
# Takes all sound for voice, so that the contract can be checked without a recording of somebody.
GULLIBLE = Voicing(open_at=1e-9, close_below=1e-9, certain_at=1e-9, longest_s=3.0)
NO_DOUBT = Doubt(logprob_below=-math.inf, no_speech_above=1.0, compression_above=math.inf)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_whisper(tmp_path_factory.mktemp("whisper") / "tiny")


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def build(family: str, folder: Path, voicing: Voicing | None = None) -> PocketsphinxRecognizer | WhisperRecognizer:
    detector = VoiceDetector(voicing) if voicing else None
    if family == "pocketsphinx":
        return PocketsphinxRecognizer(detector)
    return WhisperRecognizer(str(folder), device="cpu", detector=detector, doubt=NO_DOUBT)


@pytest.fixture(scope="module")
def recognizer(family: str, folder: Path) -> Iterator[PocketsphinxRecognizer | WhisperRecognizer]:
    """With its own detector of voices."""
    made = build(family, folder)
    yield made
    made.unload()


@pytest.fixture(scope="module")
def gullible(family: str, folder: Path) -> Iterator[PocketsphinxRecognizer | WhisperRecognizer]:
    """Hears words in everything."""
    made = build(family, folder, GULLIBLE)
    yield made
    made.unload()


@pytest.fixture(scope="module")
def babble() -> Samples:
    """Four seconds that no one says anything in."""
    return np.concatenate([chord(1.0), noise(1.5, 0.05), chord(1.5) + noise(1.5, 0.01)])


@pytest.fixture(scope="module")
def heard(gullible: SpeechRecognizer, babble: Samples) -> list[Utterance]:
    return list(gullible.transcribe([babble]))


def test_it_is_a_speech_recognizer(recognizer: SpeechRecognizer) -> None:
    assert isinstance(recognizer, SpeechRecognizer)
    assert recognizer.sample_rate == RATE


def test_times_are_ordered_and_within_the_sound(heard: list[Utterance]) -> None:
    assert heard
    assert all(before.start_s <= after.start_s for before, after in pairwise(heard))
    for utterance in heard:
        assert 0 <= utterance.start_s <= utterance.end_s <= 4.0
        assert utterance.start_s == utterance.words[0].start_s
        assert utterance.end_s == max(word.end_s for word in utterance.words)
        assert all(before.start_s <= after.start_s for before, after in pairwise(utterance.words))


def test_words_are_those_of_the_text(heard: list[Utterance]) -> None:
    for utterance in heard:
        assert "".join(word.text for word in utterance.words).split() == "".join(utterance.text.split()).split()
        assert all(word.text == word.text.strip() != "" for word in utterance.words)


def test_times_are_plain_numbers(heard: list[Utterance]) -> None:
    for utterance in heard:
        times = [utterance.start_s, utterance.end_s, *(word.start_s for word in utterance.words)]
        assert {type(time) for time in times} == {float}


def test_one_language_is_named_and_kept_or_none_where_it_is_not_known(family: str, heard: list[Utterance]) -> None:
    (language,) = {utterance.language for utterance in heard}
    assert (language == "") if family == "pocketsphinx" else (2 <= len(language) <= 3)


def test_the_windows_make_no_difference(gullible: SpeechRecognizer, babble: Samples, heard: list[Utterance]) -> None:
    assert list(gullible.transcribe(cut(babble, 1, 5_000, 33_333))) == heard


def test_silence_and_nothing_have_no_words(recognizer: SpeechRecognizer) -> None:
    assert list(recognizer.transcribe([])) == []
    assert list(recognizer.transcribe([silence(0), silence(5), noise(5)])) == []


def test_nothing_is_pulled_before_it_is_asked_for(gullible: SpeechRecognizer, babble: Samples) -> None:
    pulled = 0

    def windows() -> Iterator[Samples]:
        nonlocal pulled
        for _ in range(200):
            pulled += 1
            yield babble

    utterances = gullible.transcribe(windows())
    assert pulled == 0
    next(utterances)
    assert pulled <= 120 / 4
    utterances.close()  # type: ignore[attr-defined]


def test_an_error_of_the_sound_passes_through_and_harms_nothing(
    gullible: SpeechRecognizer, babble: Samples, heard: list[Utterance]
) -> None:
    def windows() -> Iterator[Samples]:
        yield babble
        raise UnreadableMediaError("the file ends here")

    with pytest.raises(UnreadableMediaError):
        list(gullible.transcribe(windows()))
    assert list(gullible.transcribe([babble])) == heard


def test_two_sounds_at_once_do_not_mix(gullible: SpeechRecognizer, babble: Samples, heard: list[Utterance]) -> None:
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: list(gullible.transcribe(cut(babble, 9_999))), range(2)))
    assert both == [heard, heard]


def test_it_loads_again_after_unloading(
    gullible: PocketsphinxRecognizer | WhisperRecognizer, babble: Samples, heard: list[Utterance]
) -> None:
    gullible.load()
    gullible.load()
    assert gullible.loaded
    gullible.unload()
    assert not gullible.loaded
    assert list(gullible.transcribe([babble])) == heard


def test_the_fingerprint_is_known_without_loading(family: str, folder: Path) -> None:
    made = build(family, folder)
    assert made.fingerprint == build(family, folder).fingerprint
    assert not made.loaded
    assert made.fingerprint.dim == 0
    assert build(family, folder, GULLIBLE).fingerprint.digest != made.fingerprint.digest


@pytest.mark.parametrize(
    ("module", "build_it"),
    [
        ("pocketsphinx", "PocketsphinxRecognizer()"),
        ("whisper", "WhisperRecognizer({folder!r}, device='cpu', doubt=whisper.Doubt(-math.inf, 1.0, math.inf))"),
    ],
)
def test_the_fingerprint_is_the_same_in_another_process_and_cheap(module: str, build_it: str, folder: Path) -> None:
    code = (
        f"import math, sys\nfrom indexer.models import {module}\nfrom indexer.models.{module} import *\n"
        f"made = {build_it.format(folder=str(folder))}\n"
        "heavy = {'torch', 'ctranslate2', 'faster_whisper', 'pocketsphinx', 'onnxruntime', 'av'} & set(sys.modules)\n"
        "print(made.fingerprint.digest, len(heavy))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == [build(module, folder).fingerprint.digest, "0"]


class TestOnRealSound:
    pytestmark = needs_media

    def test_every_word_is_heard_where_it_is_said(self, recognizer: SpeechRecognizer) -> None:
        """The phrases of this recording lie in four stretches with pauses between them."""
        utterances = list(recognizer.transcribe([silence(20), sound_of("jfk.flac")[: 5 * RATE], silence(4)]))
        stretches = [(20.0, 20 + 2.6), (20 + 3.0, 20 + 4.7)]
        for utterance in utterances:
            assert any(start <= utterance.start_s <= utterance.end_s <= end for start, end in stretches)
        assert {any(start <= one.start_s <= end for one in utterances) for start, end in stretches} == {True}

    @pytest.mark.parametrize("name", ["big-buck-bunny.mp4", "typography.webm", "cockatoo.mp4"])
    def test_music_and_birds_have_no_words(self, recognizer: SpeechRecognizer, name: str) -> None:
        assert list(recognizer.transcribe(cut(sound_of(name), 30 * RATE))) == []
