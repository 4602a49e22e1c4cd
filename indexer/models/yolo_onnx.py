"""Detection networks that ultralytics has exported to ONNX, run by ONNX Runtime; such a file holds no code."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from indexer.core.errors import WeightsDamagedError
from indexer.models.weights import loading
from indexer.models.yolo_checkpoint import Facts, class_names

if TYPE_CHECKING:
    import torch

__all__ = ["OnnxNetwork", "read_onnx_facts"]


@dataclass(frozen=True, slots=True)
class OnnxNetwork:
    """Turns float ``(n, 3, h, w)`` in [0, 1] into raw boxes, as the network itself does.

    ``entry`` is the name of its input, ``half`` whether it computes in half precision; ``one_by_one`` networks were
    exported for one picture at a time.
    """

    session: Any
    entry: str
    half: bool
    one_by_one: bool

    @classmethod
    def open(cls, path: Path, device: str, classes: int) -> OnnxNetwork:
        """The network of a file; a graphics processor is used where ONNX Runtime was installed for one.

        Raises:
            WeightsDamagedError: it cannot be loaded, or does not tell ``classes`` classes apart.
        """
        session = _session(path, device)
        entry = session.get_inputs()[0]
        shape = session.get_outputs()[0].shape
        if len(shape) != 3 or (shape[2] != 6 and isinstance(shape[1], int) and shape[1] != 4 + classes):
            raise _not_exported(path, f"its output of shape {shape} is not that of a detector of {classes} classes")
        return cls(session, entry.name, entry.type == "tensor(float16)", entry.shape[0] == 1)

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        import torch

        pictures = np.ascontiguousarray((batch.half() if self.half else batch).cpu().numpy())
        step = 1 if self.one_by_one else len(pictures)
        parts = [pictures[start : start + step] for start in range(0, len(pictures), step)]
        outputs = [self.session.run(None, {self.entry: part})[0] for part in parts]
        return torch.from_numpy(np.concatenate(outputs)).float()


def _session(path: Path, device: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    wanted = ["CUDAExecutionProvider"] if device == "cuda" else []
    usable = [name for name in wanted if name in onnxruntime.get_available_providers()]
    with _loading(path):
        return onnxruntime.InferenceSession(str(path), options, providers=[*usable, "CPUExecutionProvider"])


@contextmanager
def _loading(path: Path) -> Iterator[None]:
    """ONNX Runtime's errors have no parent but ``Exception``, so they are told by where they come from."""
    try:
        with loading(path):
            yield
    except Exception as error:
        if not type(error).__module__.startswith("onnxruntime."):
            raise
        raise _not_exported(path, str(error).splitlines()[0][:300]) from error


def read_onnx_facts(path: Path) -> Facts:
    """An export's facts, from the notes that ultralytics leaves in it.

    Raises:
        WeightsDamagedError: the file is no such export, or of a network for another task.
    """
    session = _session(path, "cpu")
    said = session.get_modelmeta().custom_metadata_map
    shape = session.get_inputs()[0].shape
    if said.get("task", "detect") != "detect":
        raise _not_exported(path, f"it is a network for the task '{said['task']}'")
    try:
        labels = class_names(ast.literal_eval(said["names"]))
        height, width = (int(side) for side in (shape[2:4] if _fixed(shape) else ast.literal_eval(said["imgsz"])))
    except (KeyError, ValueError, TypeError, SyntaxError) as error:
        raise _not_exported(path, f"it does not say what its classes and its picture size are ({error})") from error
    return Facts(labels, (height, width))


def _fixed(shape: Sequence[object]) -> bool:
    return all(isinstance(side, int) for side in shape[2:4])


def _not_exported(path: Path, why: str) -> WeightsDamagedError:
    return WeightsDamagedError(
        f"The model at '{path}' cannot be used: {why}.",
        hint="It must be a detection network that ultralytics exported (yolo export model=FILE.pt format=onnx).",
    )
