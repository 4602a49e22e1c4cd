"""Sentences about pictures with BLIP (Li et al., 2022, "Bootstrapping Language-Image Pre-training")."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

from indexer.core.errors import ModelError, WeightsMissingError
from indexer.core.types import Image
from indexer.models.base import Fingerprint
from indexer.models.devices import fast_dtype, resolve_device
from indexer.models.library_output import quiet_libraries
from indexer.models.lifecycle import LoadedOnUse, batches, make_fingerprint
from indexer.models.preprocessing import check_images
from indexer.models.pretrained import SAVED_BY_TRANSFORMERS, image_settings, load_network, settings
from indexer.models.weights import (
    HubFile,
    cached_path,
    can_download,
    digest_files,
    fetch,
    fetching,
    find_folder,
    loading,
    require_files,
    short_name,
)

__all__ = ["MAX_NEW_TOKENS", "WEIGHTS", "BlipCaptioner", "tidied"]

MAX_NEW_TOKENS = 30
"""How long a sentence can get; BLIP's captions have about ten tokens."""

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""The weights' names, best first. The second is a pickle, of which only tensors are read; published models have it."""

_REQUIRED = ("config.json", "tokenizer.json")
_PICTURES = "preprocessor_config.json"
_PATTERNS = ("*.json", "*.txt")

# The published networks have learned these words from noise in their training texts.
_NOISE = re.compile(r"\baraf\w*\s*", re.IGNORECASE)
_REPEATED = re.compile(r"\b(\w+(?: \w+)*?)(?: \1\b)+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _LoadedBlip:
    network: Any
    processor: Any


class BlipCaptioner(LoadedOnUse[_LoadedBlip]):
    """The role ``captions``, by greedy search, so that an image always gets the same caption; float32 on a CPU.

    Args:
        name: A name on the Hub (``Salesforce/blip-image-captioning-base``) or a folder that transformers saved.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        batch_size: Images computed at once.
    """

    def __init__(self, name: str, *, device: str = "auto", batch_size: int = 8) -> None:
        self.name = name
        super().__init__(self._load, device)
        self._batch_size = batch_size
        # The setting that keeps the library quiet belongs to the whole process.
        self._turn = Lock()

    @cached_property
    def folder(self) -> Path:
        """Where the model lies; a name on the Hub is downloaded now if it is not cached."""
        return _find_folder(self.name)

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """From the folder's files alone; ``dim`` is 0, for there are no vectors."""
        _check_kind(self.folder)
        preprocessing = {
            "pictures": image_settings(self.folder),
            "search": "greedy",
            "max_new_tokens": MAX_NEW_TOKENS,
        }
        weights = digest_files([_weights(self.folder), self.folder / "tokenizer.json"])
        return make_fingerprint("blip", short_name(self.name), weights, preprocessing)

    def describe(self, images: Sequence[Image]) -> list[str]:
        """One English sentence for each image, empty where the network finds no words; images may differ in size.

        Raises:
            ValueError: an image is not uint8 RGB.
        """
        check_images(images)
        parts = [self._describe_batch(self._model.get(), batch) for batch in batches(images, self._batch_size)]
        return [sentence for part in parts for sentence in part]

    def _describe_batch(self, loaded: _LoadedBlip, images: Sequence[Image]) -> list[str]:
        import torch

        with self._turn, quiet_libraries(), torch.inference_mode():
            # The axis of the colours is named: in an image three pixels high it could not be guessed.
            pictures = loaded.processor(images=list(images), return_tensors="pt", input_data_format="channels_last")
            tokens = loaded.network.generate(
                pictures["pixel_values"].to(loaded.network.device, loaded.network.dtype),
                max_new_tokens=MAX_NEW_TOKENS,
                do_sample=False,
                num_beams=1,
            )
            return [tidied(text) for text in loaded.processor.batch_decode(tokens, skip_special_tokens=True)]

    def _load(self) -> _LoadedBlip:
        import torch
        from transformers import BlipForConditionalGeneration, BlipProcessor

        folder, device = self.folder, resolve_device(self._device)
        _check_kind(folder)
        dtype = fast_dtype(device) if device == "cuda" else torch.float32
        with quiet_libraries(), loading(folder):
            processor = BlipProcessor.from_pretrained(str(folder), local_files_only=True)
            network = load_network(
                BlipForConditionalGeneration,
                folder,
                weights_only=True,
                use_safetensors=_weights(folder).suffix == ".safetensors",
                dtype=dtype,
            )
        return _LoadedBlip(network.to(device), processor)


def tidied(text: str) -> str:
    """The network's words as a sentence: no noise words, nothing twice in a row, a capital and a full stop."""
    words = _without_repetition(" ".join(_NOISE.sub("", text).split()))
    words = re.sub(r"\s+([.,!?;:'])", r"\1", words).strip(" ,;:")
    if not re.search(r"\w", words):
        return ""
    return f"{words[0].upper()}{words[1:]}{'' if words[-1] in '.!?' else '.'}"


def _without_repetition(words: str) -> str:
    shorter = _REPEATED.sub(r"\1", words)
    return words if shorter == words else _without_repetition(shorter)


def _find_folder(name: str) -> Path:
    setting, needed = 'models.captions = "blip:/that/folder"', (*_REQUIRED, _PICTURES)
    advised = (*needed, WEIGHTS[-1])
    folder = find_folder(name, name, needed, _PATTERNS, setting=setting, advised=advised)
    if not Path(name).expanduser().is_dir():
        with fetching(name, advised, setting=setting):
            _fetch_weights(name)
    return folder


def _fetch_weights(repo: str) -> None:
    """The weights in the repository's format, unless the cache holds some."""
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


def _check_kind(folder: Path) -> None:
    require_files([folder / name for name in _REQUIRED], hint=SAVED_BY_TRANSFORMERS)
    image_settings(folder)
    kind = settings(folder / "config.json").get("model_type")
    if kind != "blip":
        raise ModelError(
            f"The model at '{folder}' is of the kind '{kind}', and captions are made with 'blip'.",
            hint="Use a BLIP captioning model, such as Salesforce/blip-image-captioning-base.",
        )
