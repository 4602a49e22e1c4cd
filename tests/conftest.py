"""What takes longest to make is begun before the first test, and made beside those that do not need it."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from filelock import FileLock
from PIL import Image

# As the command does, before PyTorch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_PILLOW_OPEN = Image.open
HERE = Path(__file__).parent
# What the fast run leaves out: real models, child processes, long media.
SLOW = (
    "contract",
    "unit/indexer/media",
    "unit/indexer/modalities/test_hearing_memory.py",
    "unit/indexer/modalities/test_ocr.py",
    "unit/indexer/modalities/test_speech.py",
    "unit/indexer/models/test_embedded_quality.py",
    "unit/indexer/models/test_library_output.py",
    "unit/indexer/models/test_speech_pocketsphinx.py",
    "unit/indexer/models/test_speech_whisper.py",
    "unit/indexer/models/test_ultralytics_process.py",
    "unit/indexer/models/test_yamnet.py",
    "unit/indexer/models/test_yolo.py",
    "unit/indexer/shots/test_detect.py",
    "unit/ui/demo",
    "unit/ui/services/test_index_jobs.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is tested end to end, in a browser, or slowly, by the place it lies in."""
    for item in items:
        if any(item.path.is_relative_to(HERE / place) for place in SLOW):
            item.add_marker("slow")
        if item.path.is_relative_to(HERE / "e2e"):
            item.add_marker("e2e")
            if item.path.name.startswith("test_web_"):
                item.add_marker("browser")


Begun: TypeAlias = Mapping[str, "Future[Any]"]


@pytest.fixture(autouse=True)
def _pillow_stays_as_it_is() -> None:
    """ultralytics, with which some tests compare, replaces Pillow's ``open`` when it is imported."""
    Image.open = _PILLOW_OPEN


@pytest.fixture(scope="session", autouse=True)
def begun(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Begun]:
    """What the tests that were chosen need and processes of their own make, one after the other."""
    needed = {name for test in request.session.items for name in getattr(test, "fixturenames", ())}
    makers = _makers() if needed & {"demo", "real_clips"} else {}
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    with ThreadPoolExecutor(1) as beside:
        yield {name: beside.submit(_made_once, make, shared / name) for name, make in makers.items() if name in needed}
        beside.shutdown(cancel_futures=True)


def _made_once(make: Callable[[Path], object], folder: Path) -> object:
    """What ``make`` made in the folder, by whichever of the test processes came first."""
    made = folder.with_suffix(".pickle")
    with FileLock(folder.with_suffix(".lock")):
        if not made.exists():
            folder.mkdir()
            made.write_bytes(pickle.dumps(make(folder)))
        return pickle.loads(made.read_bytes())


def _makers() -> dict[str, Callable[[Path], object]]:
    """By the name of the fixture that hands it out; imported here, as most tests need none of it."""
    from tests.e2e.conftest import make_demo
    from tests.e2e.real_clips import index_real_clips

    return {"demo": make_demo, "real_clips": index_real_clips}
