"""Objects in pictures with the YOLO networks of ultralytics (Redmon et al., 2016; Jocher et al., 2023)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from indexer.core.errors import ModelError, WeightsDamagedError, WeightsMissingError
from indexer.core.types import Image
from indexer.models.base import Detection, Fingerprint
from indexer.models.devices import resolve_device
from indexer.models.lifecycle import LoadedOnUse
from indexer.models.preprocessing import check_images
from indexer.models.weights import HubFile, digest_files, fetch, fetching
from indexer.models.yolo_checkpoint import Facts, load_network, prepare_ultralytics, read_facts
from indexer.models.yolo_onnx import OnnxNetwork, read_onnx_facts

if TYPE_CHECKING:
    import torch

__all__ = ["CONFIDENCE", "MOST_OBJECTS", "OVERLAP", "YoloDetector"]

CONFIDENCE = 0.25
"""How sure the network must be of an object, in [0, 1]; what ultralytics predicts with by default."""

OVERLAP = 0.7
"""Of two boxes of one class that share more than this of their union, the surer one stays; ultralytics' default."""

MOST_OBJECTS = 300
"""How many objects of a picture are kept at most; ultralytics' default."""

_SUFFIXES = (".pt", ".onnx")
_PATIENCE_S = 60.0
_PUBLISHED = re.compile(r"yolo(11|v8)([nslmx])(?:\.pt)?")
_REPOSITORIES = {"11": "Ultralytics/YOLO11", "v8": "Ultralytics/YOLOv8"}


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A network that turns float ``(n, 3, h, w)`` in [0, 1] into raw boxes.

    ``letterbox`` fits a picture into what the network takes; ``end2end`` networks give no overlapping boxes.
    """

    network: Callable[[torch.Tensor], Any]
    letterbox: Any
    device: str
    end2end: bool


class YoloDetector(LoadedOnUse[_Loaded]):
    """The role ``objects``: every object of the network's classes, with its box.

    Pictures are fitted, run and freed of overlapping boxes as ultralytics itself does it, each as if it were alone.
    Computed in float32.

    Args:
        name: A ``.pt`` or ``.onnx`` file that ultralytics saved, a folder that holds one, a file on the Hub
            (``OWNER/REPOSITORY/FILE``), or the name of a published network (``yolo11n`` to ``yolo11x``, ``yolov8n``
            to ``yolov8x``).
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        confidence: Objects the network is less sure of are left out, in [0, 1].
        batch_size: Pictures of one size computed at once.

    Raises:
        ValueError: ``confidence`` is out of range.
    """

    def __init__(self, name: str, *, device: str = "auto", confidence: float = CONFIDENCE, batch_size: int = 8) -> None:
        if not 0 <= confidence <= 1:
            raise ValueError(f"a confidence lies in [0, 1], not at {confidence}")
        self.name = name
        super().__init__(self._load, device)
        self._confidence = confidence
        self._batch_size = batch_size
        # A network remembers where the boxes of the last picture size lie, so pictures take turns.
        self._turn = Lock()

    @cached_property
    def path(self) -> Path:
        """Where the weights lie; a name on the Hub is fetched now if it is not cached.

        Raises:
            WeightsMissingError: they are not here and cannot be fetched.
            ModelError: a file of another kind, or a folder with several.
        """
        return _find(self.name)

    @cached_property
    def _facts(self) -> Facts:
        return read_onnx_facts(self.path) if self.path.suffix == ".onnx" else read_facts(self.path)

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of all classes, by their number.

        Raises:
            WeightsMissingError: the weights are not here and cannot be fetched.
            WeightsDamagedError: their file cannot be read, or names what it has no business to name.
        """
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
        return Fingerprint(
            family="yolo",
            name=self.path.name if Path(self.name).exists() else self.name,
            weights=digest_files([self.path]),
            preprocessing=json.dumps(preprocessing, sort_keys=True),
            dim=len(self.labels),
        )

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        """The objects in each picture, most confident first; images may differ in size.

        Raises:
            ValueError: an image is not uint8 RGB.
            ModelError: ultralytics is not installed.
            WeightsMissingError: the weights are not here and cannot be fetched.
            WeightsDamagedError: their file cannot be loaded.
        """
        check_images(images)
        found: list[list[Detection]] = [[] for _ in images]
        for numbers in _same_size(images, self._batch_size):
            boxes = self._boxes(self._model.get(), [images[number] for number in numbers])
            for number, rows in zip(numbers, boxes, strict=True):
                found[number] = [_detection(row, self.labels) for row in rows]
        return found

    def _boxes(self, loaded: _Loaded, images: Sequence[Image]) -> list[list[list[float]]]:
        """For each of the images, which have one size: left, top, right, bottom as shares, confidence and class."""
        import torch
        from ultralytics.utils.nms import non_max_suppression

        with torch.inference_mode():
            batch = _batch(images, loaded)
            with self._turn:
                raw = loaded.network(batch)
            kept = non_max_suppression(
                raw,
                self._confidence,
                OVERLAP,
                nc=len(self.labels),
                max_det=MOST_OBJECTS,
                # When its time is over it leaves the rest of the batch without boxes; nothing here is that urgent.
                max_time_img=_PATIENCE_S,
                end2end=loaded.end2end,
            )
            return [_as_shares(rows, batch, images[0]) for rows in kept]

    def _load(self) -> _Loaded:
        prepare_ultralytics()
        from ultralytics.data.augment import LetterBox

        device, size = resolve_device(self._device), self._facts.size
        if self.path.suffix == ".onnx":
            exported = OnnxNetwork.open(self.path, device, len(self.labels))
            return _Loaded(exported, LetterBox(size), device, end2end=False)
        network = _placed(load_network(self.path, len(self.labels)), device)
        stride = max(32, int(network.stride.max()))
        # Padded to a multiple of the stride and no further: most pictures are not square.
        letterbox = LetterBox(_multiple(size, stride), auto=True, stride=stride)
        return _Loaded(network, letterbox, device, bool(network.end2end))


def _placed(network: Any, device: str) -> Any:
    """On the device, its channels innermost, as pictures have them: four times as fast on a processor."""
    import torch

    memory = torch.preserve_format if device == "mps" else torch.channels_last
    return network.to(device).to(memory_format=memory)


def _multiple(size: tuple[int, int], stride: int) -> tuple[int, int]:
    height, width = (-(-side // stride) * stride for side in size)
    return height, width


def _same_size(images: Sequence[Image], most: int) -> Iterator[list[int]]:
    """The numbers of the images, at most ``most`` of one size together.

    A picture is padded to what its batch needs, and padding changes boxes a little: sizes do not mix.
    """
    sizes: dict[tuple[int, ...], list[int]] = {}
    for number, image in enumerate(images):
        sizes.setdefault(image.shape, []).append(number)
    for numbers in sizes.values():
        yield from (numbers[start : start + most] for start in range(0, len(numbers), most))


def _batch(images: Sequence[Image], loaded: _Loaded) -> torch.Tensor:
    import torch

    fitted = np.stack([loaded.letterbox(image=image) for image in images])
    return torch.from_numpy(fitted).to(loaded.device).permute(0, 3, 1, 2).float() / 255


def _as_shares(rows: torch.Tensor, batch: torch.Tensor, image: Image) -> list[list[float]]:
    from ultralytics.utils.ops import scale_boxes

    (height, width), (fitted_height, fitted_width) = image.shape[:2], batch.shape[2:]
    boxes: Any = scale_boxes((fitted_height, fitted_width), rows[:, :4].clone(), (height, width))
    shares = (boxes / boxes.new_tensor([width, height, width, height])).clamp(0, 1)
    return [[*box, *rest] for box, rest in zip(shares.tolist(), rows[:, 4:6].tolist(), strict=True)]


def _detection(row: Sequence[float], labels: Sequence[str]) -> Detection:
    left, top, right, bottom, confidence, number = row
    if not 0 <= number < len(labels):
        raise WeightsDamagedError(
            f"The network finds objects of class {int(number)}, and its file names only {len(labels)} classes.",
            hint="Export or save it again, with its names.",
        )
    return Detection(labels[int(number)], int(number), confidence, (left, top, right, bottom))


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
