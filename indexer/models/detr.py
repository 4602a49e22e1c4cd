"""Objects in images with the detectors of transformers that need no suppression of overlapping boxes.

D-FINE (Peng et al., 2024, "Redefine Regression Task in DETRs as Fine-grained Distribution Refinement") and RT-DETR
(Zhao et al., 2024, "DETRs Beat YOLOs on Real-time Object Detection") are two of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from indexer.core.errors import WeightsDamagedError
from indexer.core.types import Image
from indexer.models.base import Fingerprint
from indexer.models.detections import CONFIDENCE, BoxDetector, Row, class_names
from indexer.models.devices import resolve_device
from indexer.models.library_output import quiet_libraries
from indexer.models.lifecycle import make_fingerprint
from indexer.models.pretrained import SAVED_BY_TRANSFORMERS, image_settings, load_network
from indexer.models.weights import digest_files, find_folder, loading, read_json, require_files, short_name

__all__ = ["HUB_FILES", "DetrDetector"]

HUB_FILES = ("config.json", "preprocessor_config.json", "model.safetensors")
"""What a model's folder must hold; weights in pickle files are not read."""


@dataclass(frozen=True, slots=True)
class _LoadedDetr:
    network: Any
    processor: Any


class DetrDetector(BoxDetector[_LoadedDetr]):
    """The role ``objects`` with a network of transformers (D-FINE, RT-DETR and others); see ``BoxDetector``.

    ``name`` is a name on the Hub (``ustc-community/dfine-small-coco``) or a folder that transformers saved.
    """

    def __init__(self, name: str, *, device: str = "auto", confidence: float = CONFIDENCE, batch_size: int = 8) -> None:
        super().__init__(self._load, name, device, confidence, batch_size)

    @cached_property
    def folder(self) -> Path:
        """Where the model lies; a name on the Hub is downloaded now if it is not cached."""
        setting = 'models.objects = "detr:/that/folder"'
        return find_folder(self.name, self.name, HUB_FILES, HUB_FILES, setting=setting, advised=HUB_FILES)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The names of all classes, by their number, from the model's configuration."""
        path = self.folder / "config.json"
        config = read_json(path, hint=SAVED_BY_TRANSFORMERS)
        try:
            return class_names({int(number): label for number, label in config["id2label"].items()})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise WeightsDamagedError(
                f"The model file '{path}' does not name the classes of a detector.",
                hint="Use an object detection model that transformers saved, such as ustc-community/dfine-small-coco.",
            ) from error

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """From the folder's files alone; ``dim`` is the number of classes."""
        weights = self.folder / HUB_FILES[-1]
        require_files([weights], hint=SAVED_BY_TRANSFORMERS)
        preprocessing = {"pictures": image_settings(self.folder), "confidence": self._confidence}
        return make_fingerprint(
            "detr", short_name(self.name), digest_files([weights]), preprocessing, dim=len(self.labels)
        )

    def _boxes(self, images: Sequence[Image]) -> list[list[Row]]:
        import torch

        loaded = self._model.get()
        # The axis of the colours is named: in an image three pixels high it could not be guessed.
        prepared = loaded.processor(images=list(images), return_tensors="pt", input_data_format="channels_last")
        with torch.inference_mode():
            output = loaded.network(**prepared.to(loaded.network.device))
            found = loaded.processor.post_process_object_detection(output, threshold=self._confidence)
        return [
            [
                (*box, confidence, number)
                for box, confidence, number in zip(
                    seen["boxes"].tolist(), seen["scores"].tolist(), seen["labels"].tolist(), strict=True
                )
            ]
            for seen in found
        ]

    def _load(self) -> _LoadedDetr:
        import torch
        from transformers import AutoImageProcessor, AutoModelForObjectDetection

        folder, device, classes = self.folder, resolve_device(self._device), len(self.labels)
        require_files([folder / HUB_FILES[-1]], hint=SAVED_BY_TRANSFORMERS)
        image_settings(folder)
        with quiet_libraries(), loading(folder):
            processor = AutoImageProcessor.from_pretrained(  # type: ignore[no-untyped-call]
                folder, local_files_only=True, trust_remote_code=False
            )
            network = load_network(
                AutoModelForObjectDetection, folder, trust_remote_code=False, use_safetensors=True, dtype=torch.float32
            )
            if network.config.num_labels != classes:
                raise ValueError(f"it tells {network.config.num_labels} classes apart and names {classes}")
        return _LoadedDetr(network.to(device), processor)
