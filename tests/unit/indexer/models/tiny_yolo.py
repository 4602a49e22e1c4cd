"""Tiny YOLO networks of the real architectures, saved and exported as ultralytics does it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

LABELS = ("person", "bus", "wine glass", "dog")
SIDE = 96

_YAMLS = {
    "yolo11": "11/yolo11.yaml",
    "yolov8": "v8/yolov8.yaml",
    "yolo26": "26/yolo26.yaml",
    "segment": "11/yolo11-seg.yaml",
}


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Blurred noise, in colours that differ from place to place."""
    noise = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def network(kind: str = "yolo11", *, seed: int = 0, labels: tuple[str, ...] = LABELS) -> Any:
    """A network with random weights whose boxes and confidences depend on the picture."""
    import torch
    import yaml
    from ultralytics.nn.tasks import DetectionModel, SegmentationModel
    from ultralytics.utils import ROOT

    torch.manual_seed(seed)
    description = yaml.safe_load((ROOT / "cfg/models" / _YAMLS[kind]).read_text())
    description.update(nc=len(labels), scales={"n": [0.1, 0.05, 64]}, scale="n")
    made = (SegmentationModel if kind == "segment" else DetectionModel)(description, verbose=False)
    made.names = dict(enumerate(labels))
    return _spread(made)


def _spread(made: Any) -> Any:
    """Give the normalisations the statistics of pictures, the classes confidences far apart, the boxes a size."""
    import torch

    pictures = torch.from_numpy(np.stack([picture(SIDE, SIDE, seed) for seed in range(8)]))
    batch = pictures.permute(0, 3, 1, 2).float() / 255
    for part in made.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = None
    with torch.no_grad():
        made.train()(batch)
        head = made.model[-1]
        for sizes, classes in zip(head.cv2, head.cv3, strict=True):
            classes[-1].weight *= 4 / classes[-1].weight.std() / classes[-1].weight.shape[1]
            classes[-1].bias.fill_(-2)
            if head.reg_max == 1:
                # Without a distribution to take the mean of, sides are plain numbers; in trained networks, positive.
                sizes[-1].weight *= 0.1
                sizes[-1].bias.fill_(2)
    return made.eval()


def save(made: Any, path: Path, **others: Any) -> Path:
    """A checkpoint as ultralytics leaves it at the end of a training run."""
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    checkpoint = {
        "epoch": -1,
        "best_fitness": None,
        "model": made.half(),
        "ema": None,
        "updates": None,
        "optimizer": None,
        "train_args": {"imgsz": SIDE, "task": "detect", "data": "coco.yaml", "model": "yolo11n.yaml"},
        "train_metrics": {"fitness": np.float64(0.5)},
        "date": "2024-10-16T00:00:00",
        "version": "8.4.0",
        "license": "AGPL-3.0 License (https://ultralytics.com/license)",
        **others,
    }
    torch.save(checkpoint, path)
    return path


def export(made: Any, path: Path, *, dynamic: bool = False, facts: dict[str, str] | None = None) -> Path:
    """The network as ONNX with the facts that ultralytics writes beside it, without needing the package ``onnx``."""
    import warnings

    import pytest
    import torch

    head = made.half().float().model[-1]  # as a checkpoint has rounded it
    head.export, head.format, head.dynamic = True, "onnx", dynamic
    axes = {"images": {0: "batch", 2: "height", 3: "width"}, "output0": {0: "batch", 2: "anchors"}} if dynamic else None
    # The exporter asks for the package only to add functions that these networks do not use.
    step = "torch.onnx._internal.torchscript_exporter.onnx_proto_utils._add_onnxscript_fn"
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setattr(step, lambda exported, _: exported)
        torch.onnx.export(
            made,
            torch.zeros(1, 3, SIDE, SIDE),
            str(path),
            dynamo=False,
            opset_version=17,
            input_names=["images"],
            output_names=["output0"],
            dynamic_axes=axes,
        )
    said = {"names": str(made.names), "imgsz": str([SIDE, SIDE]), "task": "detect", "stride": "32"}
    with path.open("ab") as stream:
        for name, value in (said if facts is None else facts).items():
            stream.write(_field(14, _field(1, name.encode()) + _field(2, value.encode())))
    return path


def _field(number: int, content: bytes) -> bytes:
    """A field of a protocol buffer; appended to a message, it is one more of that field."""
    size, length = len(content), b""
    while size >= 128:
        size, length = size >> 7, length + bytes([size & 127 | 128])
    return bytes([number << 3 | 2]) + length + bytes([size]) + content
