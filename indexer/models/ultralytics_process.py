"""Runs a ``.pt`` file of ultralytics in a confined process and talks to it through pipes.

Such a file is a pickle: reading it can run any code. The process can change nothing outside its scratch folder and
reach no network, and its answers are read as JSON, which holds no code.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import weakref
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer
from typing import Any

import numpy as np

from indexer.core.errors import ModelError, WeightsDamagedError
from indexer.core.types import Image
from indexer.models.detections import MOST_OBJECTS, OVERLAP, NetworkFacts, Row, class_names

__all__ = ["UltralyticsProcess"]

_EXPORT = "yolo export model={name} format=onnx"
_PATIENCE_S = 600.0
_LONGEST_ANSWER = 2**26


class UltralyticsProcess:
    """A network that ultralytics saved, in a process of its own, which ends with this object. Not for several threads.

    Args:
        path: The ``.pt`` file.
        device: ``cpu`` or ``cuda``.
        confidence: Objects with less confidence are left out, in [0, 1].

    Raises:
        ModelError: ultralytics is not installed, or this system cannot confine the process.
        WeightsDamagedError: the file cannot be loaded.
    """

    def __init__(self, path: Path, device: str, confidence: float) -> None:
        _require_ultralytics()
        self._path = path
        scratch = TemporaryDirectory(prefix="sceneseek-", ignore_cleanup_errors=True)
        self._process = _start(path.absolute(), device, confidence, Path(scratch.name))
        self._end = weakref.finalize(self, _end, self._process, scratch)
        self.facts = self._read_facts()

    def boxes(self, images: Sequence[Image]) -> list[list[Row]]:
        """The objects in images of one size."""
        pixels = np.stack(images)
        answer = self._ask(json.dumps({"shape": pixels.shape}).encode() + b"\n" + pixels.tobytes())
        if "failed" in answer:
            raise ModelError(f"The model at '{self._path}' failed: {_shortened(answer['failed'])}.")
        try:
            found = [[[float(number) for number in row] for row in rows] for rows in answer["boxes"]]
            rows = np.array([row for rows in found for row in rows]).reshape(-1, 6)
        except (KeyError, TypeError, ValueError) as error:
            raise self._damaged("it does not answer with boxes") from error
        if len(found) != len(images) or not np.isfinite(rows).all():
            raise self._damaged("it does not answer with boxes")
        return [list(rows) for rows in found]

    def _read_facts(self) -> NetworkFacts:
        answer = self._ask(b"")
        if "unconfined" in answer:
            raise ModelError(
                f"The model at '{self._path}' was not loaded: reading it can run any code, and here its process cannot "
                f"be kept from changing files ({answer['unconfined']}).",
                hint=f"Export it on a machine that you can risk, and use the .onnx file, which holds no code: "
                f"{_EXPORT.format(name=self._path.name)}",
            )
        try:
            labels = class_names({int(number): name for number, name in answer["labels"]})
            height, width = (int(side) for side in answer["size"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._damaged(answer.get("failed", "it does not name its classes")) from error
        return NetworkFacts(labels, (height, width))

    def _ask(self, request: bytes) -> dict[str, Any]:
        """The next answer. A process that does not answer in time is ended."""
        patience = Timer(_PATIENCE_S, self._process.kill)
        patience.daemon = True
        patience.start()
        try:
            assert self._process.stdin is not None and self._process.stdout is not None  # noqa: S101, PT018
            self._process.stdin.write(request)
            self._process.stdin.flush()
            answer = json.loads(self._process.stdout.readline(_LONGEST_ANSWER))
        except (OSError, ValueError, RecursionError) as error:
            raise self._damaged("the process that reads it ended or gave no answer") from error
        finally:
            patience.cancel()
        if not isinstance(answer, dict):
            raise self._damaged("the process that reads it gave no answer")
        return answer

    def _damaged(self, why: object) -> WeightsDamagedError:
        self._end()
        return WeightsDamagedError(
            f"The model at '{self._path}' cannot be loaded: {_shortened(why)}.",
            hint="It must be a detection model that ultralytics saved. Fetch it again, or use its .onnx export.",
        )


def _start(path: Path, device: str, confidence: float, scratch: Path) -> subprocess.Popen[bytes]:
    options = json.dumps({"conf": confidence, "iou": OVERLAP, "max_det": MOST_OBJECTS})
    environment = {
        **os.environ,
        **dict.fromkeys(("HOME", "TMPDIR", "YOLO_CONFIG_DIR", "MPLCONFIGDIR", "TORCHINDUCTOR_CACHE_DIR"), str(scratch)),
        "PYTHONPATH": os.pathsep.join(str(Path(folder).absolute()) for folder in sys.path if folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HF_HUB_OFFLINE": "1",
        "YOLO_OFFLINE": "true",
        "YOLO_AUTOINSTALL": "false",
        "YOLO_VERBOSE": "false",
    }
    return subprocess.Popen(  # noqa: S603 - this interpreter runs this package's module
        [sys.executable, "-P", "-m", "indexer.models.ultralytics_worker", str(path), device, options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=scratch,
        env=environment,
        # Without the user's terminal, into which a process could type.
        start_new_session=True,
    )


def _shortened(message: object) -> str:
    return " ".join(str(message).split())[:300]


def _end(process: subprocess.Popen[bytes], scratch: TemporaryDirectory[str]) -> None:
    process.kill()
    process.communicate()
    scratch.cleanup()


def _require_ultralytics() -> None:
    if find_spec("ultralytics") is None:
        raise ModelError(
            "A .pt file needs the package 'ultralytics', which is not installed.",
            hint="Install it with: pip install 'sceneseek[objects]' (its licence is the AGPL-3.0), "
            "or use the file's .onnx export, or leave the modality 'objects' out.",
        )
