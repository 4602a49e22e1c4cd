"""Finding a detector's file, and reading files that nobody vouches for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from indexer.core.errors import ModelError, WeightsDamagedError, WeightsMissingError
from indexer.models.weights import HubFile
from indexer.models.yolo import YoloDetector
from indexer.models.yolo_checkpoint import class_names, load_network, read_facts
from tests.unit.indexer.models import tiny, tiny_yolo
from tests.unit.indexer.models.tiny_yolo import LABELS, SIDE, picture

# Only looked for: importing it here would ask the network and write settings.
pytestmark = pytest.mark.skipif(find_spec("ultralytics") is None, reason="the extra 'objects' is not installed")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_yolo.save(tiny_yolo.network(), tmp_path_factory.mktemp("yolo") / "tiny.pt")


class Restores:
    """Unpickles by calling ``function`` with ``arguments``."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def refused(path: Path) -> str:
    """What both ways of reading the file say; neither may read it."""
    messages = []
    for read in (lambda: read_facts(path), lambda: load_network(path, len(LABELS))):
        with pytest.raises(WeightsDamagedError) as caught:
            read()
        messages.append(caught.value.message)
    return messages[-1]


def test_the_facts_need_no_ultralytics(checkpoint: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from indexer.models.yolo_checkpoint import read_facts\n"
        f"facts = read_facts(Path({str(checkpoint)!r}))\n"
        "print(facts.labels, facts.size, 'ultralytics' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{LABELS} {(SIDE, SIDE)} False"


def test_a_network_comes_back_as_it_was(checkpoint: Path) -> None:
    from ultralytics.nn.tasks import DetectionModel

    network = load_network(checkpoint, len(LABELS))
    saved = tiny_yolo.network().half().float().fuse(verbose=False).eval()
    assert type(network) is DetectionModel
    assert [type(part) for part in network.modules()] == [type(part) for part in saved.modules()]
    for name, tensor in saved.state_dict().items():
        assert np.array_equal(network.state_dict()[name], tensor), name


def test_the_averaged_network_is_taken_where_there_is_one(tmp_path: Path) -> None:
    plain, averaged = tiny_yolo.network(seed=1), tiny_yolo.network(seed=2)
    path = tiny_yolo.save(plain, tmp_path / "last.pt", ema=averaged.half())
    network, kept = load_network(path, len(LABELS)), load_network(tiny_yolo.save(averaged, tmp_path / "a.pt"), 4)
    assert np.array_equal(network.model[0].conv.weight, kept.model[0].conv.weight)


def test_what_training_leaves_in_a_file_does_no_harm(tmp_path: Path) -> None:
    from ultralytics.utils import IterableSimpleNamespace
    from ultralytics.utils.loss import v8DetectionLoss

    made = tiny_yolo.network()
    made.args = IterableSimpleNamespace(box=7.5, cls=0.5, dfl=1.5, overlap_mask=True)
    made.criterion = v8DetectionLoss(made)
    path = tiny_yolo.save(made, tmp_path / "last.pt", save_dir=Path("runs/detect"))
    assert read_facts(path).labels == LABELS
    assert load_network(path, len(LABELS))


def test_a_network_saved_after_use_is_read(tmp_path: Path) -> None:
    fused = tiny_yolo.network().fuse(verbose=False)
    load_network(tiny_yolo.save(fused, tmp_path / "fused.pt"), len(LABELS))
    detector = YoloDetector(str(tmp_path / "fused.pt"), device="cpu", confidence=0.3)
    plain = YoloDetector(str(tiny_yolo.save(tiny_yolo.network(), tmp_path / "plain.pt")), device="cpu", confidence=0.3)
    image = picture(SIDE, SIDE, 1)
    # Rounded before and after folding, so only nearly the same.
    ours, theirs = detector.detect([image])[0][0], plain.detect([image])[0][0]
    assert (ours.label, ours.box) == (theirs.label, pytest.approx(theirs.box, abs=0.02))


@pytest.mark.parametrize("attack", ["call", "evaluate", "method"])
def test_pickled_code_is_not_run(tmp_path: Path, attack: str) -> None:
    import torch

    ran = tmp_path / "ran"
    code = {
        "call": Restores(os.mkdir, str(ran)),
        "evaluate": Restores(eval, f"__import__('os').mkdir({str(ran)!r})"),
        "method": Restores(Path.mkdir, ran),
    }
    path = tiny_yolo.save(tiny_yolo.network(), tmp_path / "bad.pt", note=code[attack])
    assert "was not loaded: it " in refused(path)
    assert not ran.exists()
    torch.load(path, weights_only=False)
    assert ran.exists(), "the file must be one that does run code where it is not held back"


def test_the_reason_is_named_and_no_dangerous_advice_is_given(tmp_path: Path) -> None:
    path = tiny_yolo.save(tiny_yolo.network(), tmp_path / "bad.pt", note=Restores(eval, "1"))
    assert refused(path).endswith("was not loaded: it names 'builtins.eval', which no detection network needs.")
    path = tiny_yolo.save(tiny_yolo.network(), tmp_path / "bad.pt", note=Restores(Path.mkdir, tmp_path))
    assert "weights_only" not in refused(path)


def test_constructors_that_evaluate_text_are_not_run(tmp_path: Path) -> None:
    import torch
    from ultralytics.nn.tasks import DetectionModel

    ran = tmp_path / "ran"
    description = {
        "nc": 1,
        "activation": f"__import__('pathlib').Path({str(ran)!r}).touch()",
        "depth_multiple": 1.0,
        "width_multiple": 1.0,
        "backbone": [[-1, 1, "Conv", [8, 3, 2]]],
        "head": [[[0], 1, "Detect", ["nc"]]],
    }
    path = tmp_path / "bad.pt"
    torch.save({"model": Restores(DetectionModel, description, 3, None, False)}, path)
    with pytest.raises(WeightsDamagedError, match="constructs a DetectionModel"):
        load_network(path, 1)
    assert not ran.exists()
    with pytest.raises((AttributeError, TypeError, RuntimeError)):
        torch.load(path, weights_only=False)
    assert ran.exists(), "the file must be one that does run code where it is not held back"


def test_a_class_kept_for_later_is_not_constructed_either(tmp_path: Path) -> None:
    from ultralytics.nn.tasks import DetectionModel

    made = tiny_yolo.network()
    made._forward_pre_hooks[0] = DetectionModel
    with pytest.raises(WeightsDamagedError, match="constructs a DetectionModel"):
        load_network(tiny_yolo.save(made, tmp_path / "bad.pt"), len(LABELS))


@pytest.mark.parametrize("name", ["__init__", "train", "__class__", "__globals__"])
def test_methods_other_than_forward_are_not_handed_out(tmp_path: Path, name: str) -> None:
    from ultralytics.nn.tasks import DetectionModel

    path = tiny_yolo.save(tiny_yolo.network(), tmp_path / "bad.pt", note=Restores(getattr, DetectionModel, name))
    with pytest.raises(WeightsDamagedError, match=f"asks for '{name}'"):
        load_network(path, len(LABELS))


def test_a_file_does_not_choose_what_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch import nn

    made, name = tiny_yolo.network(), "ultralytics.nn.modules.unheard_of"
    foreign = ModuleType(name)
    foreign.Part = type("Part", (nn.Module,), {"__module__": name, "__qualname__": "Part"})
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, name, foreign)
        made.extra = foreign.Part()
        path = tiny_yolo.save(made, tmp_path / "bad.pt")
    with pytest.raises(WeightsDamagedError, match=rf"it needs '{name}\.Part', which .* does not have"):
        load_network(path, len(LABELS))


def test_other_kinds_of_network_are_refused(tmp_path: Path) -> None:
    path = tiny_yolo.save(tiny_yolo.network("segment"), tmp_path / "segment.pt")
    with pytest.raises(WeightsDamagedError, match="SegmentationModel"):
        load_network(path, len(LABELS))


def test_a_network_that_contradicts_its_names_is_refused(tmp_path: Path) -> None:
    made = tiny_yolo.network()
    made.names = {0: "person", 1: "bus"}
    path = tiny_yolo.save(made, tmp_path / "names.pt")
    with pytest.raises(WeightsDamagedError, match="not that of a detector of 2 classes"):
        YoloDetector(str(path), device="cpu").load()


@pytest.mark.parametrize("names", [None, {}, [], "person", {1: "person"}, {"a": "person"}, {0: "a", 2: "b"}])
def test_names_that_are_none(names: object) -> None:
    with pytest.raises(ValueError, match="not numbered"):
        class_names(names)


def test_names_in_any_order() -> None:
    assert class_names({1: "bus", 0: "person"}) == class_names(["person", "bus"]) == ("person", "bus")


@pytest.mark.parametrize("keep", [0, 10, 1000, 100_000])
def test_damaged_files_are_said_to_be(checkpoint: Path, tmp_path: Path, keep: int) -> None:
    path = tmp_path / "damaged.pt"
    path.write_bytes(checkpoint.read_bytes()[:keep])
    assert str(path) in refused(path)


@pytest.mark.parametrize("content", [{"weights": 1}, {"model": None}, [1, 2], {"model": {"a": 1}}])
def test_other_pickles_are_said_to_be_none(tmp_path: Path, content: object) -> None:
    import torch

    path = tmp_path / "other.pt"
    torch.save(content, path)
    assert str(path) in refused(path)


def test_an_onnx_file_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "none.onnx"
    path.write_bytes(b"none")
    with pytest.raises(WeightsDamagedError, match="cannot be used"):
        _ = YoloDetector(str(path), device="cpu").labels


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


def test_without_ultralytics_the_command_that_installs_it_is_named(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    detector = YoloDetector(str(checkpoint), device="cpu")
    assert detector.labels == LABELS
    with pytest.raises(ModelError, match=r"pip install 'sceneseek\[objects\]'"):
        detector.load()


def test_a_folder_with_one_model_is_that_model(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsMissingError, match=r"no \.pt or \.onnx"):
        YoloDetector(str(tmp_path)).load()
    shutil.copy(checkpoint, tmp_path / "one.pt")
    assert YoloDetector(str(tmp_path)).fingerprint.digest == YoloDetector(str(checkpoint)).fingerprint.digest
    shutil.copy(checkpoint, tmp_path / "two.pt")
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


def test_a_name_on_the_hub_is_loaded_from_the_cache(checkpoint: Path, tmp_path: Path, hub_cache: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    shutil.copy(checkpoint, source / "yolo11n.pt")
    tiny.save_in_hub_cache(hub_cache, "Ultralytics/YOLO11", source)
    detector = YoloDetector("yolo11n", device="cpu", confidence=0.3)
    assert detector.fingerprint.digest == YoloDetector(str(checkpoint), confidence=0.3).fingerprint.digest
    assert detector.fingerprint.name == "yolo11n"
    image = picture(SIDE, SIDE, 1)
    assert detector.detect([image]) == YoloDetector(str(checkpoint), device="cpu", confidence=0.3).detect([image])


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


def test_it_asks_no_network_writes_nothing_and_leaves_settings_alone(checkpoint: Path, tmp_path: Path) -> None:
    code = (
        "import os, socket, sys\n"
        "import cv2, numpy as np, torch\n"
        "from PIL import Image\n"
        "def asked(*_, **__): raise SystemExit('the network was asked')\n"
        "socket.getaddrinfo = socket.socket.connect = asked\n"
        "def settings():\n"
        # PyTorch itself notes where its compiler would keep its files.
        "    environment = {k: v for k, v in os.environ.items() if not k.startswith('TORCHINDUCTOR_')}\n"
        "    return environment, torch.save, Image.open, cv2.getNumThreads(), np.get_printoptions()\n"
        "before = settings()\n"
        "from indexer.models.yolo import YoloDetector\n"
        f"detector = YoloDetector({str(checkpoint)!r}, device='cpu', confidence=0.3)\n"
        f"found = detector.detect([np.full(({SIDE}, {SIDE}, 3), 90, np.uint8)] * 2)\n"
        "assert len(found) == 2 and 'ultralytics' in sys.modules\n"
        "assert settings() == before\n"
    )
    home = tmp_path / "home"
    home.mkdir()
    environment = {"HOME": str(home), "PATH": "", "PYTHONPATH": str(Path(__file__).parents[4])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=home, env=environment
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(home.rglob("*")) == []
