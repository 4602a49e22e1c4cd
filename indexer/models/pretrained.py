"""Folders that transformers saved: the network and how it wants its images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from indexer.core.errors import WeightsDamagedError
from indexer.models.weights import read_json

__all__ = ["SAVED_BY_TRANSFORMERS", "image_settings", "load_network", "processor_settings", "settings"]

SAVED_BY_TRANSFORMERS = (
    "The folder must be one that transformers saved with its processor and with safetensors; weights in other formats "
    "are not read: they can run code."
)

# All settings of a newer processor, and those for images or sounds alone.
_WHOLE, _ALONE = "processor_config.json", "preprocessor_config.json"


def load_network(kind: Any, folder: Path, **options: Any) -> Any:
    """The network of a folder, in evaluation mode.

    Args:
        kind: A model class of transformers.
        folder: Where its files lie.
        options: For its ``from_pretrained``.

    Raises:
        ValueError: a tensor is missing, which transformers would fill with random numbers.
    """
    network, report = kind.from_pretrained(str(folder), local_files_only=True, output_loading_info=True, **options)
    absent = {name for name, _ in network.named_parameters()} & set(report["missing_keys"])
    if absent:
        raise ValueError(f"it lacks {len(absent)} of the network's tensors")
    return network.eval()


def settings(path: Path) -> dict[str, Any]:
    """The settings in a JSON file.

    Raises:
        WeightsMissingError: the file is not there.
        WeightsDamagedError: it holds no settings.
    """
    content = read_json(path, hint=SAVED_BY_TRANSFORMERS)
    if not isinstance(content, dict):
        raise WeightsDamagedError(f"The model file '{path}' holds no settings.", hint="Fetch it again.")
    return content


def processor_settings(folder: Path, part: str) -> dict[str, Any]:
    """The settings of one part of a processor (``image_processor``, ``feature_extractor``), as transformers reads them.

    Raises:
        WeightsMissingError: no file holds them.
        WeightsDamagedError: the file cannot be read.
    """
    whole = settings(folder / _WHOLE) if (folder / _WHOLE).is_file() else {}
    return dict(whole.get(part) or settings(folder / _ALONE))


def image_settings(folder: Path) -> dict[str, Any]:
    """How a network wants its images: the processor's settings without the names of its classes."""
    found = processor_settings(folder, "image_processor")
    return {name: value for name, value in found.items() if not name.endswith(("_type", "_class"))}
