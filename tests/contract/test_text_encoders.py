"""What every text encoder promises, whichever model is behind it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from indexer.core.errors import ModelError, WeightsDamagedError, WeightsMissingError
from indexer.models.base import TextEncoder
from indexer.models.sentence import EMBEDDED, SentenceEncoder
from tests.unit.indexer.models import tiny

TEXTS = ["A red car drives along the coast.", "", "bird", "Zwei Vögel — 鸟 🐦", "a\nb"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_sentence(tmp_path_factory.mktemp("text") / "tiny")


@pytest.fixture(scope="module", params=["embedded", "folder"])
def encoder(request: pytest.FixtureRequest) -> Iterator[TextEncoder]:
    name = EMBEDDED if request.param == "embedded" else str(request.getfixturevalue("folder"))
    made = SentenceEncoder(name, device="cpu", batch_size=4)
    yield made
    made.unload()


def test_it_is_a_text_encoder(encoder: TextEncoder) -> None:
    assert isinstance(encoder, TextEncoder)


def test_vectors_are_float32_of_length_one(encoder: TextEncoder) -> None:
    for vectors in (encoder.encode_documents(TEXTS), encoder.encode_queries(TEXTS)):
        assert vectors.shape == (len(TEXTS), encoder.fingerprint.dim)
        assert vectors.dtype == np.float32
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_none_gives_an_empty_array(encoder: TextEncoder) -> None:
    assert encoder.encode_documents([]).shape == (0, encoder.fingerprint.dim)
    assert encoder.encode_queries([]).shape == (0, encoder.fingerprint.dim)


def test_a_vector_does_not_depend_on_its_neighbours(encoder: TextEncoder) -> None:
    together = encoder.encode_documents([*TEXTS, "word " * 15])
    for index, text in enumerate(TEXTS):
        assert encoder.encode_documents([text])[0] == pytest.approx(together[index], abs=1e-5)


def test_no_part_of_a_long_text_is_cut(encoder: TextEncoder) -> None:
    filler = "The weather was fine and nothing happened at all that day. " * 60
    plain, with_end = encoder.encode_documents([filler, filler + "Suddenly penguins invaded the parliament. " * 6])
    # A text cut at the model's context would not know its end: the two would be equal to the last bit.
    assert 1 - plain @ with_end > 1e-5


def test_the_end_of_a_long_text_is_found(encoder: TextEncoder) -> None:
    if encoder.fingerprint.dim != 384:
        pytest.skip("random weights know no meaning")
    filler = "The weather was fine and nothing happened at all that day. " * 60
    plain, with_end = encoder.encode_documents([filler, filler + "Suddenly penguins invaded the parliament. " * 6])
    penguins = encoder.encode_queries(["penguins in parliament"])[0]
    assert with_end @ penguins > plain @ penguins + 0.05


def test_a_text_as_long_as_the_context_is_encoded_whole(encoder: TextEncoder) -> None:
    model = encoder._model.get()
    words = "tree " * (model.max_seq_length - 10)
    whole = model.encode_document([words], normalize_embeddings=True)
    assert encoder.encode_documents([words]) == pytest.approx(whole, abs=1e-5)


def test_several_threads_get_the_same_vectors(encoder: TextEncoder) -> None:
    texts = [f"text number {index} " * (index % 40) for index in range(24)]
    expected = encoder.encode_documents(texts)
    with ThreadPoolExecutor(4) as pool:
        for got in pool.map(lambda _: encoder.encode_documents(texts), range(4)):
            assert got == pytest.approx(expected, abs=1e-5)


def test_it_loads_again_after_unloading(encoder: TextEncoder) -> None:
    before = encoder.encode_queries(["bird"])
    encoder.load()
    encoder.load()
    encoder.unload()
    assert encoder.encode_queries(["bird"]) == pytest.approx(before, abs=1e-6)


def test_two_builds_have_one_fingerprint(encoder: TextEncoder) -> None:
    again = SentenceEncoder(encoder.name, device="cpu")
    assert again.fingerprint == encoder.fingerprint
    assert not again.loaded


def test_the_fingerprint_is_the_same_in_another_process(folder: Path) -> None:
    code = (
        "import sys\nfrom indexer.models.sentence import SentenceEncoder\n"
        f"print(SentenceEncoder({str(folder)!r}).fingerprint.digest, 'torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == [SentenceEncoder(str(folder)).fingerprint.digest, "False"]


def test_prompts_are_the_models_own(folder: Path) -> None:
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(str(folder), device="cpu")
    ours = SentenceEncoder(str(folder), device="cpu")
    assert ours.encode_queries(["a bird"]) == pytest.approx(theirs.encode_query(["a bird"]), abs=1e-5)
    assert ours.encode_documents(["a bird"]) == pytest.approx(theirs.encode_document(["a bird"]), abs=1e-5)
    assert np.abs(ours.encode_queries(["a bird"]) - ours.encode_documents(["a bird"])).max() > 1e-3


def test_other_weights_have_another_fingerprint(folder: Path, tmp_path: Path) -> None:
    other = tiny.save_sentence(tmp_path / folder.name, seed=1)
    ours, theirs = SentenceEncoder(str(folder)).fingerprint, SentenceEncoder(str(other)).fingerprint
    assert ours.name == theirs.name
    assert ours.weights != theirs.weights


def test_meaning_is_found_by_the_embedded_model() -> None:
    encoder = SentenceEncoder(EMBEDDED, device="cpu")
    documents = encoder.encode_documents(["He lifted the barbell over his head.", "The train leaves at nine."])
    queries = encoder.encode_queries(["weightlifting", "railway timetable"])
    scores = queries @ documents.T
    assert scores[0, 0] > scores[0, 1] + 0.3
    assert scores[1, 1] > scores[1, 0] + 0.3


def test_a_name_on_the_hub_is_loaded_from_the_cache(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    tiny.save_in_hub_cache(tmp_path, "sentence-transformers/tiny", folder)
    cached, local = SentenceEncoder("tiny", device="cpu"), SentenceEncoder(str(folder), device="cpu")
    assert np.array_equal(cached.encode_queries(["a"]), local.encode_queries(["a"]))
    assert cached.fingerprint.weights == local.fingerprint.weights
    with pytest.raises(WeightsMissingError, match="hf download owner/other"):
        SentenceEncoder("owner/other").load()


@pytest.mark.parametrize("damage", [b"", b"rubbish" * 100])
def test_damaged_weights_are_said_to_be(folder: Path, tmp_path: Path, damage: bytes) -> None:
    import shutil

    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "model.safetensors").write_bytes(damage)
    with pytest.raises(WeightsDamagedError, match="cannot be loaded"):
        SentenceEncoder(str(copy), device="cpu").load()


def test_half_a_weight_file_is_damage(folder: Path, tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    weights = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(WeightsDamagedError, match="Delete it and fetch it again"):
        SentenceEncoder(str(copy), device="cpu").load()


def test_a_folder_without_safetensors_is_refused(folder: Path, tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(WeightsMissingError, match=r"model\.safetensors"):
        SentenceEncoder(str(copy), device="cpu").load()


def test_a_model_that_brings_its_own_code_is_refused(folder: Path, tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    modules = (copy / "modules.json").read_text()
    (copy / "modules.json").write_text(modules.replace("sentence_transformers.base.modules.normalize", "mine"))
    (copy / "mine.py").write_text("raise SystemExit('ran')")
    with pytest.raises(ModelError, match="never run"):
        SentenceEncoder(str(copy), device="cpu").load()


@pytest.mark.parametrize("name", ["/no/such/folder", "./none", "a/b/c"])
def test_a_folder_that_is_not_there_is_said_to_be(name: str) -> None:
    with pytest.raises(WeightsMissingError, match="no model folder"):
        SentenceEncoder(name).load()
