"""Sentences about pictures with BLIP (Li et al., 2022, "Bootstrapping Language-Image Pre-training")."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from indexer.core.errors import ModelError, WeightsDamagedError, WeightsMissingError
from indexer.core.types import Image
from indexer.models.base import Fingerprint
from indexer.models.devices import fast_dtype, resolve_device
from indexer.models.library_output import quiet_libraries
from indexer.models.lifecycle import LoadedOnUse
from indexer.models.preprocessing import check_images
from indexer.models.weights import (
    HubFile,
    cached_path,
    can_download,
    digest_files,
    fetch,
    fetch_folder,
    fetching,
    loading,
)

if TYPE_CHECKING:
    import torch

__all__ = ["MAX_NEW_TOKENS", "WEIGHTS", "BlipCaptioner", "tidied"]

MAX_NEW_TOKENS = 30
"""How long a sentence can get; BLIP's captions have about ten tokens."""

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""The weights' names, best first. The second is a pickle, of which only tensors are read: the published models have
nothing else."""

_REQUIRED = ("config.json", "tokenizer.json")
# How pictures are prepared: the newer of the two files holds it as one part of several.
_PICTURES = ("processor_config.json", "preprocessor_config.json")
_PATTERNS = ("*.json", "*.txt")

# Words of no language that the published networks have learned from noise in their training texts.
_NOISE = re.compile(r"\baraf\w*\s*", re.IGNORECASE)
_REPEATED = re.compile(r"\b(\w+(?: \w+)*?)(?: \1\b)+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Loaded:
    network: Any
    processor: Any
    device: str
    dtype: torch.dtype


class BlipCaptioner(LoadedOnUse[_Loaded]):
    """The role ``captions``: the most probable next word each time (greedy search), so that a picture has one caption.

    Everything runs in float32 on a processor.

    Args:
        name: A name on the Hub (``Salesforce/blip-image-captioning-base``) or a folder that transformers saved.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        batch_size: Pictures computed at once.
    """

    def __init__(self, name: str, *, device: str = "auto", batch_size: int = 8) -> None:
        self.name = name
        super().__init__(self._load, device)
        self._batch_size = batch_size
        # Keeping the library quiet is a setting of the whole process, so pictures take turns.
        self._turn = Lock()

    @cached_property
    def folder(self) -> Path:
        """Where the model lies; a name on the Hub is fetched now if it is not cached.

        Raises:
            WeightsMissingError: it is not here and cannot be fetched.
        """
        return _find_folder(self.name)

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """From the folder's files alone; ``dim`` is 0, for there are no vectors."""
        _check_kind(self.folder)
        pictures = _picture_settings(self.folder)
        preprocessing = {
            "pictures": {name: value for name, value in pictures.items() if not name.endswith(("_type", "_class"))},
            "search": "greedy",
            "max_new_tokens": MAX_NEW_TOKENS,
        }
        return Fingerprint(
            family="blip",
            name=Path(self.name).resolve().name if Path(self.name).is_dir() else self.name,
            weights=digest_files([_weights(self.folder), self.folder / "tokenizer.json"]),
            preprocessing=json.dumps(preprocessing, sort_keys=True),
            dim=0,
        )

    def describe(self, images: Sequence[Image]) -> list[str]:
        """One English sentence for each picture, empty where the network has nothing to say; images may differ in size.

        Raises:
            ValueError: an image is not uint8 RGB.
            WeightsMissingError: the model is not here and cannot be fetched.
            WeightsDamagedError: its files cannot be loaded.
        """
        check_images(images)
        sentences: list[str] = []
        for start in range(0, len(images), self._batch_size):
            sentences += self._describe_batch(self._model.get(), images[start : start + self._batch_size])
        return sentences

    def _describe_batch(self, loaded: _Loaded, images: Sequence[Image]) -> list[str]:
        import torch

        with self._turn, quiet_libraries(), torch.inference_mode():
            # Which axis is colour is said, not guessed: a picture three pixels high looks the same either way.
            pictures = loaded.processor(images=list(images), return_tensors="pt", input_data_format="channels_last")
            tokens = loaded.network.generate(
                pictures["pixel_values"].to(loaded.device, loaded.dtype),
                max_new_tokens=MAX_NEW_TOKENS,
                do_sample=False,
                num_beams=1,
            )
            return [tidied(text) for text in loaded.processor.batch_decode(tokens, skip_special_tokens=True)]

    def _load(self) -> _Loaded:
        import torch
        from transformers import BlipForConditionalGeneration, BlipProcessor

        folder, device = self.folder, resolve_device(self._device)
        _check_kind(folder)
        dtype = fast_dtype(device) if device == "cuda" else torch.float32
        with quiet_libraries(), loading(folder):
            processor = BlipProcessor.from_pretrained(str(folder), local_files_only=True)
            load: Any = BlipForConditionalGeneration.from_pretrained
            network, report = load(
                str(folder),
                local_files_only=True,
                weights_only=True,
                use_safetensors=_weights(folder).suffix == ".safetensors",
                dtype=dtype,
                output_loading_info=True,
            )
            if report["missing_keys"]:
                raise ValueError(f"it lacks {len(report['missing_keys'])} of the network's tensors")
        return _Loaded(network.to(device).eval(), processor, device, dtype)


def tidied(text: str) -> str:
    """A network's words as a sentence: no noise words, nothing twice in a row, a capital and a full stop."""
    words = _said_once(" ".join(_NOISE.sub("", text).split()))
    words = re.sub(r"\s+([.,!?;:'])", r"\1", words).strip(" ,;:")
    if not re.search(r"\w", words):
        return ""
    return f"{words[0].upper()}{words[1:]}{'' if words[-1] in '.!?' else '.'}"


def _said_once(words: str) -> str:
    shorter = _REPEATED.sub(r"\1", words)
    return words if shorter == words else _said_once(shorter)


def _find_folder(name: str) -> Path:
    path = Path(name).expanduser()
    if name and path.is_dir():
        return path
    if name.startswith(("/", "./", "../", "~")) or name.count("/") != 1:
        raise WeightsMissingError(
            f"There is no model folder '{name}'.", hint="Give a folder, or OWNER/NAME for a model on the Hub."
        )
    needed = (*_REQUIRED, _PICTURES[-1])
    with fetching(name, (*needed, WEIGHTS[-1]), setting='models.captions = "blip:/that/folder"'):
        folder = fetch_folder(name, needed, _PATTERNS)
        _fetch_weights(name)
    return folder


def _fetch_weights(repo: str) -> None:
    """The weights in whichever format the repository has, unless the cache holds one."""
    files = [HubFile(repo, name) for name in WEIGHTS]
    if not any(cached_path(file) for file in files):
        fetch(next((file for file in files[:1] if can_download([file])), files[-1]))


def _weights(folder: Path) -> Path:
    found = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if found is None:
        raise WeightsMissingError(
            f"There are no weights in '{folder}'.", hint=f"The folder must hold {' or '.join(WEIGHTS)}."
        )
    return found


def _picture_settings(folder: Path) -> dict[str, Any]:
    found = next((folder / name for name in _PICTURES if (folder / name).is_file()), None)
    if found is None:
        raise _incomplete(folder / _PICTURES[0])
    settings = _read(found)
    return dict(settings.get("image_processor", settings))


def _incomplete(path: Path) -> WeightsMissingError:
    return WeightsMissingError(
        f"The model file '{path}' is not there.", hint="The folder must be one that transformers saved."
    )


def _check_kind(folder: Path) -> None:
    for name in _REQUIRED:
        if not (folder / name).is_file():
            raise _incomplete(folder / name)
    _picture_settings(folder)
    kind = _read(folder / "config.json").get("model_type")
    if kind != "blip":
        raise ModelError(
            f"The model at '{folder}' is of the kind '{kind}', and captions are made with 'blip'.",
            hint="Use a BLIP captioning model, such as Salesforce/blip-image-captioning-base.",
        )


def _read(path: Path) -> dict[str, Any]:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsDamagedError(
            f"The model file '{path}' cannot be read: {error}.", hint="Fetch it again."
        ) from error
    if not isinstance(read, dict):
        raise WeightsDamagedError(f"The model file '{path}' holds no settings.", hint="Fetch it again.")
    return read
