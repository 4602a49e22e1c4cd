"""Reading a ``.pt`` file, which can run any code, in a process that can do no harm."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from indexer.core.errors import ModelError, WeightsDamagedError
from indexer.models.ultralytics_process import UltralyticsProcess
from indexer.models.yolo import YoloDetector
from tests.unit.indexer.models import tiny_yolo
from tests.unit.indexer.models.tiny_yolo import LABELS, SIDE, picture

# Only looked for: importing it here would ask the network and write settings.
pytestmark = pytest.mark.skipif(find_spec("ultralytics") is None, reason="the extra 'objects' is not installed")

OUTCOME = """
def outcome(action):
    try:
        return f"did it: {action()}"
    except Exception as error:
        return type(error).__name__
"""


class Restores:
    """Unpickles by calling ``function`` with ``arguments``."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def evil(path: Path, actions: list[str]) -> Path:
    """A checkpoint that runs the actions when it is read, and names its classes after what came of each."""
    made = tiny_yolo.network(labels=("",) * len(actions))
    code = f"{OUTCOME}\nimport os, pathlib, socket\nnames = dict(enumerate(outcome(a) for a in [{', '.join(actions)}]))"
    scope = f"(lambda scope: (exec({code!r}, scope), scope['names'])[1])({{}})"
    made.names = Restores(eval, scope)
    return tiny_yolo.save(made, path)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_yolo.save(tiny_yolo.network(), tmp_path_factory.mktemp("yolo") / "tiny.pt")


def test_code_in_a_file_changes_nothing_outside_and_reaches_no_network(tmp_path: Path) -> None:
    import torch

    (tmp_path / "kept").write_text("kept")
    (tmp_path / "kept").chmod(0o644)
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        actions = [
            f"lambda: pathlib.Path({str(tmp_path / 'ran')!r}).write_text('x')",
            f"lambda: os.mkdir({str(tmp_path / 'made')!r})",
            f"lambda: open({str(tmp_path / 'kept')!r}, 'a').close()",
            f"lambda: os.remove({str(tmp_path / 'kept')!r})",
            f"lambda: os.chmod({str(tmp_path / 'kept')!r}, 0)",
            f"lambda: os.system('touch {tmp_path / 'ran'}') and 1 / 0",
            f"lambda: socket.create_connection(('127.0.0.1', {server.getsockname()[1]}))",
            f"lambda: os.kill({os.getpid()}, 0)",
            "lambda: pathlib.Path('mine').write_text('x')",
        ]
        path = evil(tmp_path / "evil.pt", actions)
        assert YoloDetector(str(path), device="cpu").labels == (
            *["PermissionError"] * 5,
            "ZeroDivisionError",
            *["PermissionError"] * 2,
            "did it: 1",
        )
        assert sorted(entry.name for entry in tmp_path.iterdir()) == ["evil.pt", "kept"]
        assert (tmp_path / "kept").read_text() == "kept"
        assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o644
        torch.load(path, weights_only=False)
        assert (tmp_path / "ran").exists(), "the file must be one that does run code where it is not confined"


def test_code_in_a_file_cannot_answer_with_code_or_with_nonsense(tmp_path: Path) -> None:
    forged = "os.write(answers, b'{\"labels\": 3}' + bytes([10]))"
    name = "pathlib.Path(f'/proc/self/fd/{number}')"
    find = f"next(number for number in range(3, 20) if {name}.exists() and 'pipe' in os.readlink({name}))"
    path = evil(tmp_path / "evil.pt", [f"lambda: [{forged} for answers in [{find}]] and os._exit(0)"])
    with pytest.raises(WeightsDamagedError, match="does not name its classes"):
        YoloDetector(str(path), device="cpu").load()


def test_a_process_that_ends_at_once_is_an_error(tmp_path: Path) -> None:
    path = evil(tmp_path / "evil.pt", ["lambda: os._exit(0)"])
    with pytest.raises(WeightsDamagedError, match="ended or gave no answer"):
        YoloDetector(str(path), device="cpu").load()


def test_where_nothing_can_confine_the_process_the_file_is_not_read(checkpoint: Path) -> None:
    code = (
        "from indexer.core.errors import ModelError\nfrom indexer.models.yolo import YoloDetector\n"
        f"try: YoloDetector({str(checkpoint)!r}, device='cpu').load()\n"
        "except ModelError as error: print(type(error).__name__, error.message, error.hint)"
    )
    # A machine whose processor is one of the last century, as far as its programs can see.
    run = subprocess.run(["setarch", "i686", sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("ModelError ")
    assert "cannot be kept from changing files" in run.stdout
    assert "yolo export model=tiny.pt format=onnx" in run.stdout


def test_what_training_leaves_in_a_file_does_no_harm(tmp_path: Path) -> None:
    from ultralytics.utils import IterableSimpleNamespace
    from ultralytics.utils.loss import v8DetectionLoss

    made = tiny_yolo.network()
    made.args = IterableSimpleNamespace(box=7.5, cls=0.5, dfl=1.5, overlap_mask=True)
    made.criterion = v8DetectionLoss(made)
    path = tiny_yolo.save(made, tmp_path / "last.pt", save_dir=Path("runs/detect"), ema=made)
    network = UltralyticsProcess(path, "cpu", 0.3)
    assert network.facts.labels == LABELS
    assert network.facts.size == (SIDE, SIDE)
    assert len(network.boxes([picture(SIDE, SIDE, 1)])[0]) > 0


def test_the_process_ends_and_its_folder_goes_with_the_model(checkpoint: Path, tmp_path: Path) -> None:
    detector = YoloDetector(str(checkpoint), device="cpu")
    detector.load()
    process = detector._model.get()._process
    scratch = Path(f"/proc/{process.pid}/cwd").readlink()
    assert scratch.is_dir()
    detector.unload()
    assert process.returncode is not None
    assert not scratch.exists()


def test_other_kinds_of_network_are_refused(tmp_path: Path) -> None:
    path = tiny_yolo.save(tiny_yolo.network("segment"), tmp_path / "segment.pt", train_args={"task": "segment"})
    with pytest.raises(WeightsDamagedError, match="the task 'segment'"):
        YoloDetector(str(path), device="cpu").load()


def test_a_damaged_file_is_said_to_be(checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "damaged.pt"
    path.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(WeightsDamagedError, match=r"damaged\.pt' cannot be loaded"):
        YoloDetector(str(path), device="cpu").load()


def test_another_pickle_is_said_to_be_none(tmp_path: Path) -> None:
    import torch

    torch.save({"weights": 1}, tmp_path / "other.pt")
    with pytest.raises(WeightsDamagedError, match=r"other\.pt' cannot be loaded"):
        YoloDetector(str(tmp_path / "other.pt"), device="cpu").load()


def test_without_ultralytics_the_command_that_installs_it_is_named(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    with pytest.raises(ModelError, match=r"pip install 'sceneseek\[objects\]'"):
        YoloDetector(str(checkpoint), device="cpu").load()


def test_it_writes_nothing_says_nothing_and_leaves_our_process_alone(checkpoint: Path, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "import numpy as np\n"
        "from indexer.models.yolo import YoloDetector\n"
        f"detector = YoloDetector({str(checkpoint)!r}, device='cpu', confidence=0.3)\n"
        f"found = detector.detect([np.full(({SIDE}, {SIDE}, 3), 90, np.uint8)] * 2)\n"
        "assert len(found) == 2 and not {'ultralytics', 'torch'} & set(sys.modules)\n"
    )
    home, scratch = tmp_path / "home", tmp_path / "scratch"
    home.mkdir()
    scratch.mkdir()
    environment = {"HOME": str(home), "TMPDIR": str(scratch), "PATH": "", "PYTHONPATH": str(Path(__file__).parents[4])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=home, env=environment
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(home.rglob("*")) == list(scratch.rglob("*")) == []
