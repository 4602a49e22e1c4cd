"""Objects in images with the YOLO networks of ultralytics (Redmon et al., 2016; Jocher et al., 2023)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Protocol

from indexer.core.errors import ModelError, WeightsMissingError
from indexer.core.types import Image
from indexer.models.base import Fingerprint
from indexer.models.detections import CONFIDENCE, MOST_OBJECTS, OVERLAP, BoxDetector, NetworkFacts, Row
from indexer.models.devices import resolve_device
from indexer.models.lifecycle import make_fingerprint
from indexer.models.weights import HubFile, digest_files, fetch, fetching

__all__ = ["YoloDetector"]

_SUFFIXES = (".pt", ".onnx")
_PUBLISHED = re.compile(r"yolo(11|v8)([nslmx])(?:\.pt)?")
_REPOSITORIES = {"11": "Ultralytics/YOLO11", "v8": "Ultralytics/YOLOv8"}


class _YoloNetwork(Protocol):
    @property
    def facts(self) -> NetworkFacts: ...

    def boxes(self, images: Sequence[Image]) -> list[list[Row]]: ...


class YoloDetector(BoxDetector[_YoloNetwork]):
    """The role ``objects`` with a file that ultralytics saved or exported; see ``BoxDetector``.

    An ``.onnx`` file is data and runs here. A ``.pt`` file can run code when it is read, so ultralytics reads it in a
    process of its own, which can neither change files nor reach a network.

    ``name`` is a ``.pt`` or ``.onnx`` file, a folder that holds one, a file on the Hub (``OWNER/REPOSITORY/FILE``), or
    the name of a published network (``yolo11n`` to ``yolo11x``, ``yolov8n`` to ``yolov8x``).
    """

    def __init__(self, name: str, *, device: str = "auto", confidence: float = CONFIDENCE, batch_size: int = 8) -> None:
        super().__init__(self._load, name, device, confidence, batch_size)
        # Neither kind of network can be used by two threads at once.
        self._turn = Lock()

    @cached_property
    def path(self) -> Path:
        """Where the weights lie; a file on the Hub is downloaded now if it is not cached.

        Raises:
            WeightsMissingError: they are not here and cannot be downloaded.
            ModelError: a file of another kind, or a folder with several.
        """
        return _find(self.name)

    @cached_property
    def _facts(self) -> NetworkFacts:
        """Only ultralytics can read those of a ``.pt`` file, so that is loaded."""
        if self.path.suffix == ".pt":
            return self._model.get().facts
        from indexer.models.yolo_onnx import read_facts

        return read_facts(self.path)

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of all classes, by their number; see ``load`` for the errors of a ``.pt`` file."""
        return self._facts.labels

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """From the weight file; ``dim`` is the number of classes."""
        preprocessing = {
            "size": self._facts.size,
            "confidence": self._confidence,
            "overlap": OVERLAP,
            "most": MOST_OBJECTS,
        }
        name = self.path.name if Path(self.name).exists() else self.name
        return make_fingerprint("yolo", name, digest_files([self.path]), preprocessing, dim=len(self.labels))

    def _boxes(self, images: Sequence[Image]) -> list[list[Row]]:
        network = self._model.get()
        with self._turn:
            return network.boxes(images)

    def _load(self) -> _YoloNetwork:
        device = self._device if self._device == "cpu" else resolve_device(self._device)
        if self.path.suffix == ".pt":
            from indexer.models.ultralytics_process import UltralyticsProcess

            return UltralyticsProcess(self.path, device, self._confidence)
        from indexer.models.yolo_onnx import OnnxNetwork

        return OnnxNetwork.open(self.path, device, self._confidence)


def _find(name: str) -> Path:
    path = Path(name).expanduser()
    if name and path.is_dir():
        return _only_file(path)
    if path.is_file():
        return _checked(path)
    if published := _PUBLISHED.fullmatch(name):
        return _fetched(HubFile(_REPOSITORIES[published[1]], f"yolo{published[1]}{published[2]}.pt"))
    owner, _, rest = name.partition("/")
    repository, _, file = rest.partition("/")
    if not owner or owner in (".", "..", "~") or not file:
        raise WeightsMissingError(
            f"There is no model file '{name}'.",
            hint="Give a .pt or .onnx file, a folder that holds one, or OWNER/REPOSITORY/FILE on the Hub.",
        )
    return _checked(_fetched(HubFile(f"{owner}/{repository}", file)))


def _fetched(file: HubFile) -> Path:
    with fetching(file.repo, [file.name], setting=f'models.objects = "yolo:/path/{Path(file.name).name}"'):
        return fetch(file)


def _checked(path: Path) -> Path:
    if path.suffix not in _SUFFIXES:
        raise ModelError(
            f"'{path}' is no model file that can be read here.",
            hint="Give a .pt file of ultralytics or its .onnx export.",
        )
    return path


def _only_file(folder: Path) -> Path:
    files = sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES and path.is_file())
    if not files:
        raise WeightsMissingError(f"There is no .pt or .onnx file in '{folder}'.", hint="Check the path.")
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise ModelError(f"There are several models in '{folder}': {names}.", hint="Give the path of one of them.")
    return files[0]
