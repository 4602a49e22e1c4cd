"""Finding a detector's file, and reading exported networks."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from indexer.core.errors import ModelError, WeightsDamagedError, WeightsMissingError
from indexer.models.detections import class_names
from indexer.models.weights import HubFile
from indexer.models.yolo import YoloDetector
from tests.unit.indexer.models import tiny, tiny_yolo
from tests.unit.indexer.models.tiny_yolo import SIDE, picture

# Only looked for: importing it here would ask the network and write settings.
needs_ultralytics = pytest.mark.skipif(find_spec("ultralytics") is None, reason="the extra 'objects' is not installed")


@pytest.mark.parametrize("names", [None, {}, [], "person", {1: "person"}, {"a": "person"}, {0: "a", 2: "b"}])
def test_names_that_are_none(names: object) -> None:
    with pytest.raises(ValueError, match="not numbered"):
        class_names(names)


def test_names_in_any_order() -> None:
    assert class_names({1: "bus", 0: "person"}) == class_names(["person", "bus"]) == ("person", "bus")


def test_an_onnx_file_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "none.onnx"
    path.write_bytes(b"none")
    with pytest.raises(WeightsDamagedError, match="cannot be used"):
        _ = YoloDetector(str(path), device="cpu").labels


@needs_ultralytics
@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({}, "classes"),
        ({"names": "open('x')"}, "classes"),
        ({"names": "['person']", "task": "pose"}, "'pose'"),
        ({"names": "['person']", "task": "detect"}, "not that of a detector of 1 classes"),
    ],
)
def test_an_onnx_file_without_its_facts(tmp_path: Path, facts: dict[str, str], reason: str) -> None:
    path = tiny_yolo.export(tiny_yolo.network(), tmp_path / "bare.onnx", facts=facts)
    with pytest.raises(WeightsDamagedError, match=reason):
        YoloDetector(str(path), device="cpu").load()


def test_a_folder_with_one_model_is_that_model(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissingError, match=r"no \.pt or \.onnx"):
        YoloDetector(str(tmp_path)).load()
    (tmp_path / "one.pt").touch()
    assert YoloDetector(str(tmp_path)).path == tmp_path / "one.pt"
    (tmp_path / "two.pt").touch()
    with pytest.raises(ModelError, match=r"one\.pt, two\.pt"):
        YoloDetector(str(tmp_path)).load()


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("yolo11n", HubFile("Ultralytics/YOLO11", "yolo11n.pt")),
        ("yolov8x.pt", HubFile("Ultralytics/YOLOv8", "yolov8x.pt")),
        ("Ultralytics/YOLO11/yolo11n.pt", HubFile("Ultralytics/YOLO11", "yolo11n.pt")),
        ("owner/name/weights/best.onnx", HubFile("owner/name", "weights/best.onnx")),
    ],
)
def test_names_on_the_hub(name: str, file: HubFile, hub_cache: Path) -> None:
    with pytest.raises(WeightsMissingError, match=file.command) as missing:
        YoloDetector(name).load()
    assert f'models.objects = "yolo:/path/{Path(file.name).name}"' in missing.value.hint
    assert "frames" not in missing.value.hint


@needs_ultralytics
def test_a_name_on_the_hub_is_loaded_from_the_cache(tmp_path: Path, hub_cache: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    path = tiny_yolo.export(tiny_yolo.network(), source / "best.onnx")
    tiny.save_in_hub_cache(hub_cache, "owner/name", source)
    detector, local = (YoloDetector(name, device="cpu", confidence=0.3) for name in ("owner/name/best.onnx", str(path)))
    assert detector.fingerprint.digest == local.fingerprint.digest
    assert detector.fingerprint.name == "owner/name/best.onnx"
    image = picture(SIDE, SIDE, 1)
    assert detector.detect([image]) == local.detect([image])


@pytest.mark.parametrize("name", ["", "none.pt", "/none/none.pt", "./none.pt", "~/none.pt", "owner/name"])
def test_names_of_nothing(name: str) -> None:
    with pytest.raises(WeightsMissingError, match="no model file"):
        YoloDetector(name).load()


def test_files_of_other_kinds(tmp_path: Path) -> None:
    (tmp_path / "model.engine").write_bytes(b"")
    with pytest.raises(ModelError, match=r"\.pt file"):
        YoloDetector(str(tmp_path / "model.engine")).load()


@pytest.mark.parametrize("confidence", [-0.1, 1.1])
def test_a_threshold_out_of_range(confidence: float) -> None:
    with pytest.raises(ValueError, match="confidence"):
        YoloDetector("yolo11n", confidence=confidence)


@needs_ultralytics
def test_an_exported_network_needs_neither_ultralytics_nor_pytorch(tmp_path: Path) -> None:
    path = tiny_yolo.export(tiny_yolo.network(), tmp_path / "tiny.onnx")
    code = (
        "import sys\nimport numpy as np\nfrom indexer.models.yolo import YoloDetector\n"
        f"detector = YoloDetector({str(path)!r}, device='cpu', confidence=0.01)\n"
        "found = detector.detect([np.full((96, 96, 3), 90, np.uint8)])\n"
        "print(len(found[0]) > 0, {'ultralytics', 'torch'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "True set()"
