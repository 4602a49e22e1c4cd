"""What every sound encoder promises, whichever model is behind it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from indexer.core.errors import WeightsDamagedError, WeightsMissingError
from indexer.core.types import Samples
from indexer.models.base import SoundEncoder
from indexer.models.clap import ClapEncoder
from indexer.models.yamnet import YamnetEncoder
from tests.encoders import WordEncoder
from tests.unit.indexer.models import tiny, tiny_sounds

TEXTS = ["A saxophone plays.", "", "bird", "Zwei Vögel — 鸟 🐦", "a\nb"]
Build = Callable[[], YamnetEncoder | ClapEncoder]


@pytest.fixture(scope="module")
def clap_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_sounds.save_clap(tmp_path_factory.mktemp("clap") / "tiny")


@pytest.fixture(scope="module")
def fused_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_sounds.save_clap(tmp_path_factory.mktemp("fused") / "tiny", fused=True, newer=True)


@pytest.fixture(scope="module")
def yamnet_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    saved = tiny_sounds.save_yamnet(tmp_path_factory.mktemp("yamnet") / "tiny" / "yamnet.tflite")
    tiny_sounds.write_class_map(saved.path.with_name("yamnet_class_map.csv"))
    return saved.path.parent


@pytest.fixture(scope="module", params=["yamnet", "clap", "clap, fused"])
def build(request: pytest.FixtureRequest) -> Build:
    if request.param == "yamnet":
        folder = request.getfixturevalue("yamnet_folder")
        return lambda: YamnetEncoder(str(folder), WordEncoder())
    folder = request.getfixturevalue("clap_folder" if request.param == "clap" else "fused_folder")
    return lambda: ClapEncoder(str(folder), device="cpu", batch_size=2)


@pytest.fixture(scope="module")
def encoder(build: Build) -> Iterator[YamnetEncoder | ClapEncoder]:
    made = build()
    yield made
    made.unload()


def noise(encoder: SoundEncoder, count: int, *, share: float = 1.0) -> list[Samples]:
    random = np.random.default_rng(1)
    length = round(encoder.window_s * encoder.sample_rate * share)
    return [(random.normal(0, 0.1 * (index + 1), length)).astype(np.float32) for index in range(count)]


def test_it_is_a_sound_encoder(encoder: SoundEncoder) -> None:
    assert isinstance(encoder, SoundEncoder)
    assert encoder.sample_rate > 0
    assert encoder.window_s > 0


def test_vectors_are_float32_of_length_one(encoder: SoundEncoder) -> None:
    batch = encoder.encode_audio(noise(encoder, 5))
    assert batch.vectors.shape == (5, encoder.fingerprint.dim)
    assert len(batch.tags) == 5
    for vectors in (batch.vectors, encoder.encode_texts(TEXTS)):
        assert vectors.dtype == np.float32
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert encoder.encode_texts(TEXTS).shape == (len(TEXTS), encoder.fingerprint.dim)


def test_none_gives_an_empty_array(encoder: SoundEncoder) -> None:
    batch = encoder.encode_audio([])
    assert batch.vectors.shape == encoder.encode_texts([]).shape == (0, encoder.fingerprint.dim)
    assert batch.tags == ()


def test_a_vector_does_not_depend_on_its_neighbours(encoder: SoundEncoder) -> None:
    windows = noise(encoder, 5)
    together = encoder.encode_audio(windows)
    for index, window in enumerate(windows):
        alone = encoder.encode_audio([window])
        assert alone.vectors[0] == pytest.approx(together.vectors[index], abs=1e-5)
        assert [tag.label for tag in alone.tags[0]] == [tag.label for tag in together.tags[index]]


@pytest.mark.parametrize("share", [0.001, 0.3, 0.999])
def test_a_short_window_is_heard(encoder: SoundEncoder, share: float) -> None:
    vectors = encoder.encode_audio(noise(encoder, 2, share=share)).vectors
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_silence_has_a_vector(encoder: SoundEncoder) -> None:
    silence = np.zeros(round(encoder.window_s * encoder.sample_rate), np.float32)
    assert np.linalg.norm(encoder.encode_audio([silence]).vectors[0]) == pytest.approx(1, abs=1e-5)


def test_what_is_no_window_is_refused(encoder: SoundEncoder) -> None:
    length = round(encoder.window_s * encoder.sample_rate)
    for wrong in (np.zeros(length + 1, np.float32), np.zeros((2, length), np.float32)):
        with pytest.raises(ValueError, match="window is one channel"):
            encoder.encode_audio([wrong])


def test_several_threads_get_the_same(encoder: SoundEncoder) -> None:
    windows = noise(encoder, 6)
    expected, texts = encoder.encode_audio(windows).vectors, encoder.encode_texts(TEXTS)
    with ThreadPoolExecutor(4) as pool:
        for got in pool.map(lambda _: (encoder.encode_audio(windows).vectors, encoder.encode_texts(TEXTS)), range(4)):
            assert got[0] == pytest.approx(expected, abs=1e-5)
            assert got[1] == pytest.approx(texts, abs=1e-5)


def test_it_loads_again_after_unloading(encoder: YamnetEncoder | ClapEncoder) -> None:
    windows = noise(encoder, 2)
    before = encoder.encode_audio(windows).vectors
    encoder.load()
    encoder.unload()
    assert not encoder.loaded
    assert encoder.encode_audio(windows).vectors == pytest.approx(before, abs=1e-6)


def test_two_builds_have_one_fingerprint_without_loading(build: Build) -> None:
    one, other = build(), build()
    assert one.fingerprint == other.fingerprint
    assert not one.loaded


def test_the_fingerprint_is_the_same_in_another_process_without_pytorch(clap_folder: Path) -> None:
    code = (
        "import sys\nfrom indexer.models.clap import ClapEncoder\n"
        f"print(ClapEncoder({str(clap_folder)!r}).fingerprint.digest, 'torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == [ClapEncoder(str(clap_folder)).fingerprint.digest, "False"]


@pytest.mark.parametrize("fused", [False, True])
def test_clap_gives_what_transformers_gives(fused: bool, request: pytest.FixtureRequest) -> None:
    import torch
    from transformers import AutoTokenizer, ClapFeatureExtractor, ClapModel

    folder = request.getfixturevalue("fused_folder" if fused else "clap_folder")
    ours = ClapEncoder(str(folder), device="cpu", batch_size=2)
    windows = noise(ours, 3) + noise(ours, 1, share=0.4)
    model, tokenizer = ClapModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    sound = ClapFeatureExtractor.from_pretrained(folder)(windows, sampling_rate=ours.sample_rate, return_tensors="pt")
    tokens = tokenizer(["a dog", "saxophone music"], padding=True, return_tensors="pt")
    with torch.inference_mode():
        hidden = model.audio_model(sound["input_features"], is_longer=torch.zeros((4, 1), dtype=torch.bool))
        heard = torch.nn.functional.normalize(model.audio_projection(hidden.pooler_output), dim=-1).numpy()
        read = model.text_projection(model.text_model(**tokens).pooler_output)
    assert ours.encode_audio(windows).vectors == pytest.approx(heard, abs=1e-5)
    texts = torch.nn.functional.normalize(read, dim=-1).numpy()
    assert ours.encode_texts(["a dog", "saxophone music"]) == pytest.approx(texts, abs=1e-5)


def test_clap_hears_a_second_as_its_own_settings_say(clap_folder: Path, fused_folder: Path) -> None:
    for folder in (clap_folder, fused_folder):
        encoder = ClapEncoder(str(folder))
        assert encoder.sample_rate == tiny_sounds.CLAP_RATE
        assert encoder.window_s == 1.0
        assert not encoder.loaded


def test_clap_cuts_no_part_of_a_long_text(clap_folder: Path) -> None:
    encoder = ClapEncoder(str(clap_folder), device="cpu")
    filler = "the sound of a dog barking. " * 20
    plain, with_end = encoder.encode_texts([filler, filler + "Saxophone music! Saxophone music!"])
    assert np.abs(plain - with_end).max() > 1e-4


def test_other_weights_have_another_fingerprint(clap_folder: Path, tmp_path: Path) -> None:
    other = tiny_sounds.save_clap(tmp_path / clap_folder.name, seed=1)
    ours, theirs = ClapEncoder(str(clap_folder)).fingerprint, ClapEncoder(str(other)).fingerprint
    assert ours.name == theirs.name
    assert ours.weights != theirs.weights


def test_a_clap_model_on_the_hub_is_loaded_from_the_cache(
    clap_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    tiny.save_in_hub_cache(tmp_path, "owner/clap", clap_folder)
    cached, local = ClapEncoder("owner/clap", device="cpu"), ClapEncoder(str(clap_folder), device="cpu")
    assert np.array_equal(cached.encode_texts(["a dog"]), local.encode_texts(["a dog"]))
    assert cached.fingerprint.digest == local.fingerprint.digest
    with pytest.raises(WeightsMissingError, match=r"hf download owner/other config\.json .*models\.sounds"):
        ClapEncoder("owner/other").load()


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json", "preprocessor_config.json"])
def test_a_clap_file_that_is_missing_or_damaged_is_named(clap_folder: Path, tmp_path: Path, name: str) -> None:
    copy = Path(shutil.copytree(clap_folder, tmp_path / "copy"))
    (copy / name).write_bytes(b"rubbish" * 100)
    with pytest.raises(WeightsDamagedError, match=r"cannot be (loaded|read)"):
        ClapEncoder(str(copy), device="cpu").load()
    (copy / name).unlink()
    with pytest.raises(WeightsMissingError, match=name):
        ClapEncoder(str(copy), device="cpu").load()


def test_a_clap_folder_that_is_not_there_is_no_name_on_the_hub(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissingError, match="no model folder"):
        ClapEncoder(str(tmp_path / "nowhere")).load()
