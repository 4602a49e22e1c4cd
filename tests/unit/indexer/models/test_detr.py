"""Finding the files of a detector of transformers, and refusing what is none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from indexer.core.errors import WeightsDamagedError, WeightsMissingError
from indexer.models.detr import DetrDetector
from indexer.models.profiles import PROFILES
from tests.unit.indexer.models import tiny, tiny_detr
from tests.unit.indexer.models.tiny_yolo import LABELS, picture


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_detr.save_d_fine(tmp_path_factory.mktemp("detr") / "tiny")


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def test_the_weights_and_the_settings_make_the_fingerprint(folder: Path, copy: Path, tmp_path: Path) -> None:
    first = DetrDetector(str(folder)).fingerprint
    assert (first.family, first.name, first.dim) == ("detr", "tiny", len(LABELS))
    assert DetrDetector(str(copy)).fingerprint.digest == first.digest
    other = DetrDetector(str(tiny_detr.save_d_fine(tmp_path / "other", seed=1))).fingerprint
    assert other.weights != first.weights
    settings = json.loads((copy / "preprocessor_config.json").read_text())
    settings["size"] = {"height": 96, "width": 96}
    (copy / "preprocessor_config.json").write_text(json.dumps(settings))
    assert DetrDetector(str(copy)).fingerprint.preprocessing != first.preprocessing


def test_a_name_on_the_hub_is_loaded_from_the_cache(folder: Path, hub_cache: Path) -> None:
    tiny.save_in_hub_cache(hub_cache, "owner/detr", folder)
    cached, local = DetrDetector("owner/detr", device="cpu"), DetrDetector(str(folder), device="cpu")
    assert cached.fingerprint.digest == local.fingerprint.digest
    image = picture(48, 64, 1)
    assert cached.detect([image]) == local.detect([image])


def test_the_models_of_the_profiles_name_the_command_that_fetches_them(hub_cache: Path) -> None:
    for choice in (PROFILES[name].choices["objects"] for name in ("standard", "best")):
        assert choice.family == "detr"
        with pytest.raises(WeightsMissingError) as missing:
            DetrDetector(choice.name).load()
        names = " ".join(file.name for file in choice.files)
        assert f"hf download {choice.name} {names}" in missing.value.hint
        assert 'models.objects = "detr:/that/folder"' in missing.value.hint


@pytest.mark.parametrize("name", ["", "/none", "./none", "~/none", "a/b/c", "plain"])
def test_names_of_nothing(name: str) -> None:
    with pytest.raises(WeightsMissingError, match="no model folder"):
        DetrDetector(name).load()


@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json", "model.safetensors"])
def test_a_file_that_is_missing_or_damaged_is_named(copy: Path, file: str) -> None:
    (copy / file).write_bytes(b"rubbish" * 100)
    with pytest.raises(WeightsDamagedError, match=r"cannot be (loaded|read)"):
        DetrDetector(str(copy), device="cpu").load()
    (copy / file).unlink()
    with pytest.raises(WeightsMissingError, match=file.replace(".", r"\.")):
        DetrDetector(str(copy), device="cpu").load()


def test_weights_in_a_pickle_are_not_read(copy: Path, tmp_path: Path) -> None:
    import torch

    class Runs:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return Path.mkdir, (tmp_path / "ran",)

    (copy / "model.safetensors").unlink()
    torch.save({"weights": Runs()}, copy / "pytorch_model.bin")
    with pytest.raises(WeightsMissingError, match=r"model\.safetensors"):
        DetrDetector(str(copy), device="cpu").load()
    assert not (tmp_path / "ran").exists()


def test_weights_of_half_a_network_are_damage(copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(copy / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if "backbone" not in name}
    save_file(kept, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsDamagedError, match=r"lacks \d+ of the network's tensors"):
        DetrDetector(str(copy), device="cpu").load()


@pytest.mark.parametrize("labels", [None, {}, {"1": "person"}, {"a": "person"}, ["person"]])
def test_a_configuration_without_classes_is_damage(copy: Path, labels: object) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "id2label": labels}))
    with pytest.raises(WeightsDamagedError, match="does not name the classes"):
        _ = DetrDetector(str(copy)).labels


def test_other_kinds_of_model_are_refused(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "model_type": "bert"}))
    with pytest.raises(WeightsDamagedError, match="another kind of model"):
        DetrDetector(str(copy), device="cpu").load()


@pytest.mark.parametrize("confidence", [-0.1, 1.1])
def test_a_threshold_out_of_range(confidence: float) -> None:
    with pytest.raises(ValueError, match="confidence"):
        DetrDetector("owner/name", confidence=confidence)
