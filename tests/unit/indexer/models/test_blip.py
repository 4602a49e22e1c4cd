"""Finding a captioner's files, and making sentences of its words."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from indexer.core.errors import ModelError, WeightsDamagedError, WeightsMissingError
from indexer.models.blip import BlipCaptioner, tidied
from tests.unit.indexer.models import tiny, tiny_blip

NOISE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


@pytest.fixture
def folder(blip_folder: Path) -> Path:
    return blip_folder


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("two cats sleeping on a couch", "Two cats sleeping on a couch."),
        ("  a dog ,  running ", "A dog, running."),
        ("a man and a man and a man", "A man and a man."),
        ("a cat cat cat on a mat", "A cat on a mat."),
        ("arafed man in a suit", "Man in a suit."),
        ("a close up of an araffe in a field", "A close up of an in a field."),
        ("is this a question ?", "Is this a question?"),
        ("", ""),
        (" . ", ""),
    ],
)
def test_words_become_a_sentence(words: str, sentence: str) -> None:
    assert tidied(words) == sentence


@example(["a", ".", "a", ".", "a"])
@given(st.lists(st.sampled_from(["a", "man", "dog", "arafed", ".", ",", "in", "the sea"]), max_size=30))
def test_no_word_stands_twice_in_a_row(words: list[str]) -> None:
    parts = tidied(" ".join(words)).rstrip(".").lower().split(" ")
    assert all(one != other or one.endswith((".", ",")) for one, other in pairwise(parts))


@given(st.text(max_size=80))
def test_a_sentence_is_tidy_or_empty(words: str) -> None:
    sentence = tidied(words)
    assert sentence == "" or sentence[-1] in ".!?"
    assert "  " not in sentence
    assert tidied(sentence) == sentence


def test_the_weights_and_the_words_make_the_fingerprint(folder: Path, copy: Path, tmp_path: Path) -> None:
    first, second = BlipCaptioner(str(folder)).fingerprint, BlipCaptioner(str(copy)).fingerprint
    assert first.digest == second.digest
    assert (first.family, first.dim) == ("blip", 0)
    other = BlipCaptioner(str(tiny_blip.save_blip(tmp_path / "other", seed=1))).fingerprint
    assert other.weights != first.weights
    settings = json.loads((copy / "processor_config.json").read_text())
    settings["image_processor"]["image_mean"] = [0.5, 0.5, 0.5]
    (copy / "processor_config.json").write_text(json.dumps(settings))
    assert BlipCaptioner(str(copy)).fingerprint.preprocessing != first.preprocessing


@pytest.mark.parametrize("published", [False, True])
def test_a_name_on_the_hub_is_loaded_from_the_cache(published: bool, folder: Path, copy: Path, hub_cache: Path) -> None:
    # The cache holds what the published repositories hold: the settings of pictures in a file of their own.
    bare = tiny_blip.as_published(copy)
    if not published:
        (bare / "pytorch_model.bin").unlink()
        shutil.copy(folder / "model.safetensors", bare)
    tiny.save_in_hub_cache(hub_cache, "owner/blip", bare)
    captioner = BlipCaptioner("owner/blip", device="cpu")
    assert captioner.fingerprint.name == "owner/blip"
    assert captioner.describe([NOISE]) == BlipCaptioner(str(folder), device="cpu").describe([NOISE])


def test_a_name_that_is_not_cached_names_the_command(hub_cache: Path) -> None:
    with pytest.raises(
        WeightsMissingError, match=r"hf download Salesforce/blip-image-captioning-base config\.json"
    ) as it:
        BlipCaptioner("Salesforce/blip-image-captioning-base").load()
    assert 'models.captions = "blip:/that/folder"' in it.value.hint
    assert "frames" not in it.value.hint


@pytest.mark.parametrize("name", ["", "/none", "./none", "../none", "~/none", "a/b/c", "plain"])
def test_names_of_nothing(name: str) -> None:
    with pytest.raises(WeightsMissingError, match="no model folder"):
        BlipCaptioner(name).load()


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "processor_config.json", "model.safetensors"])
def test_a_file_that_is_missing_is_named(copy: Path, file: str) -> None:
    (copy / file).unlink()
    with pytest.raises(WeightsMissingError, match=file.replace(".", r"\.")):
        BlipCaptioner(str(copy), device="cpu").load()


@pytest.mark.parametrize("keep", [0, 1000])
def test_damaged_weights_are_said_to_be(copy: Path, keep: int) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])
    with pytest.raises(WeightsDamagedError, match="Delete it and fetch it again"):
        BlipCaptioner(str(copy), device="cpu").load()


def test_weights_of_half_a_network_are_damage(copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(copy / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if not name.startswith("vision_model")}
    save_file(kept, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsDamagedError, match=r"lacks \d+ of the network's tensors"):
        BlipCaptioner(str(copy), device="cpu").load()


def test_pickled_code_is_not_run(copy: Path, tmp_path: Path) -> None:
    import torch

    class Runs:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return Path.mkdir, (tmp_path / "ran",)

    (copy / "model.safetensors").unlink()
    torch.save({"weights": Runs()}, copy / "pytorch_model.bin")
    with pytest.raises(WeightsDamagedError):
        BlipCaptioner(str(copy), device="cpu").load()
    assert not (tmp_path / "ran").exists()
    torch.load(copy / "pytorch_model.bin", weights_only=False)
    assert (tmp_path / "ran").exists(), "the file must be one that does run code where it is not held back"


@pytest.mark.parametrize("config", ['{"model_type": "bert"}', "{}"])
def test_other_kinds_of_model_are_refused(copy: Path, config: str) -> None:
    (copy / "config.json").write_text(config)
    with pytest.raises(ModelError, match="captions are made with 'blip'"):
        BlipCaptioner(str(copy), device="cpu").load()


@pytest.mark.parametrize("config", ["", "no", "[]"])
def test_settings_that_are_none(copy: Path, config: str) -> None:
    (copy / "config.json").write_text(config)
    with pytest.raises(WeightsDamagedError, match=r"config\.json"):
        BlipCaptioner(str(copy), device="cpu").load()
