"""Sounds and texts in one space with CLAP (Wu et al., 2023, "Large-Scale Contrastive Language-Audio Pretraining with
Feature Fusion and Keyword-to-Caption Augmentation"), by transformers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from indexer.core.errors import WeightsDamagedError, WeightsMissingError
from indexer.core.types import Embedding, Samples
from indexer.models.base import Fingerprint, SoundBatch
from indexer.models.devices import resolve_device
from indexer.models.library_output import quiet_libraries
from indexer.models.lifecycle import LoadedOnUse
from indexer.models.long_texts import encode_in_pieces, normalised
from indexer.models.weights import digest_files, fetch_folder, fetching, loading

if TYPE_CHECKING:
    import torch

__all__ = ["HUB_FILES", "ClapEncoder"]

HUB_FILES = ("config.json", "preprocessor_config.json", "tokenizer.json", "model.safetensors")
"""What a model's folder on the Hub must hold; weights in pickle files are not read."""

_WEIGHTS = "model.safetensors"
_NEEDED = ("config.json", "tokenizer.json", _WEIGHTS)
# How sound is prepared: alone, as all models on the Hub have it, or inside the file that newer processors save.
_ALONE, _INSIDE = "preprocessor_config.json", "processor_config.json"
_SOUND_SETTINGS = (
    "feature_size",
    "fft_window_size",
    "frequency_max",
    "frequency_min",
    "hop_length",
    "max_length_s",
    "padding",
    "sampling_rate",
    "top_db",
    "truncation",
)
_HUB_PATTERNS = ("*.json", "*.txt", "model.safetensors")
# RoBERTa's positions begin after the one that stands for padding.
_FIRST_POSITION = 2


@dataclass(frozen=True, slots=True)
class _Files:
    """What a model's folder says about itself, read without PyTorch."""

    weights: Path
    dim: int
    sample_rate: int
    window: int
    sound: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> _Files:
        """Raises: WeightsMissingError or WeightsDamagedError, each naming the file."""
        _require(folder)
        config, sound = _read_json(folder / "config.json"), _sound_settings(folder)
        try:
            # transformers writes down only what differs from its defaults.
            dim, rate = int(config.get("projection_dim", 512)), int(sound.get("sampling_rate", 48_000))
            window = round(rate * float(sound.get("max_length_s", 10)))
        except (TypeError, ValueError) as error:
            raise WeightsDamagedError(f"The model at '{folder}' has settings that cannot be: {error}.") from error
        return cls(folder / _WEIGHTS, dim, rate, window, sound)


@dataclass(frozen=True, slots=True)
class _Loaded:
    network: Any
    hearing: Any
    tokenizer: Any
    device: str
    context: int


class ClapEncoder(LoadedOnUse[_Loaded]):
    """The role ``sounds`` by a model trained on sounds and their captions. It knows no classes: its tags are empty.

    A text longer than the model's context is split at sentences, its pieces encoded and their vectors averaged by
    length. Everything runs in float32.

    Args:
        name: A name on the Hub (``laion/clap-htsat-unfused``), or a folder that transformers saved.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        batch_size: Windows or texts computed at once.
    """

    def __init__(self, name: str, *, device: str = "auto", batch_size: int = 8) -> None:
        self.name = name
        super().__init__(self._load, device)
        self._batch_size = batch_size
        # A fast tokenizer changes its own truncation settings while it works, so texts take turns.
        self._turn = Lock()

    @cached_property
    def folder(self) -> Path:
        """Where the model lies; a name on the Hub is fetched now if it is not cached.

        Raises:
            WeightsMissingError: it is not here and cannot be fetched.
        """
        return _find_folder(self.name)

    @cached_property
    def _files(self) -> _Files:
        return _Files.read(self.folder)

    @property
    def sample_rate(self) -> int:
        """In Hz, as the model's own configuration says."""
        return self._files.sample_rate

    @property
    def window_s(self) -> float:
        """How much sound one vector stands for, in seconds."""
        return self._files.window / self._files.sample_rate

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """From the folder's files alone."""
        files = self._files
        preprocessing = {"sound": files.sound, "window": files.window, "long": "halved at sentences, mean"}
        return Fingerprint(
            family="clap",
            name=Path(self.name).resolve().name if Path(self.name).is_dir() else self.name,
            weights=digest_files([files.weights]),
            preprocessing=json.dumps(preprocessing, sort_keys=True),
            dim=files.dim,
        )

    def encode_audio(self, windows: Sequence[Samples]) -> SoundBatch:
        """Vectors in the space of the texts, without tags.

        Args:
            windows: Of ``window_s`` seconds at most, ``(n,)`` in [-1, 1], at ``sample_rate``; a shorter one is
                repeated or padded, as the model's configuration says.

        Raises:
            ValueError: a window is empty, too long, or has more than one channel.
            WeightsMissingError: the model is not here and cannot be fetched.
            WeightsDamagedError: its files cannot be loaded.
        """
        for window in windows:
            self._check(window)
        if not windows:
            return SoundBatch(np.zeros((0, self._files.dim), np.float32), ())
        loaded = self._model.get()
        starts = range(0, len(windows), self._batch_size)
        parts = [self._encode_windows(loaded, windows[start : start + self._batch_size]) for start in starts]
        return SoundBatch(normalised(np.concatenate(parts)), ((),) * len(windows))

    def _check(self, window: Samples) -> None:
        if window.ndim != 1 or not 0 < len(window) <= self._files.window:
            raise ValueError(f"a window is one channel of 1 to {self._files.window} samples, not {window.shape}")

    def _encode_windows(self, loaded: _Loaded, windows: Sequence[Samples]) -> Embedding:
        import torch

        prepared = loaded.hearing(list(windows), sampling_rate=self.sample_rate, return_tensors="pt")
        # transformers calls one window of a batch too long, at random; none is, and a vector must not depend on that.
        longer = torch.zeros((len(windows), 1), dtype=torch.bool, device=loaded.device)
        features = prepared["input_features"].to(loaded.device, torch.float32)
        with torch.inference_mode():
            return _vectors(loaded.network.get_audio_features(input_features=features, is_longer=longer))

    def encode_texts(self, texts: Sequence[str]) -> Embedding:
        """``(n, dim)`` float32, L2-normalised, in the space of the sounds; ``(0, dim)`` for none.

        Raises:
            WeightsMissingError: the model is not here and cannot be fetched.
            WeightsDamagedError: its files cannot be loaded.
        """
        if not texts:
            return np.zeros((0, self._files.dim), np.float32)
        loaded = self._model.get()
        with self._turn:
            return encode_in_pieces(
                texts, lambda pieces: self._encode_pieces(loaded, pieces), _counter(loaded.tokenizer), loaded.context
            )

    def _encode_pieces(self, loaded: _Loaded, pieces: list[str]) -> Embedding:
        import torch

        parts = []
        with torch.inference_mode():
            for start in range(0, len(pieces), self._batch_size):
                batch = pieces[start : start + self._batch_size]
                tokens = loaded.tokenizer(batch, padding=True, return_tensors="pt").to(loaded.device)
                ids, mask = tokens["input_ids"], tokens["attention_mask"]
                parts.append(_vectors(loaded.network.get_text_features(input_ids=ids, attention_mask=mask)))
        return np.concatenate(parts)

    def _load(self) -> _Loaded:
        device = resolve_device(self._device)
        folder, dim = self.folder, self._files.dim
        import torch
        from transformers import AutoTokenizer, ClapFeatureExtractor, ClapModel

        with quiet_libraries(), loading(folder):
            network: Any = ClapModel.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
            )
            hearing = ClapFeatureExtractor.from_pretrained(folder, local_files_only=True)
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            _check_dimension(network, dim)
        network.to(device).eval()
        positions = network.config.text_config.max_position_embeddings - _FIRST_POSITION
        return _Loaded(network, hearing, tokenizer, device, min(positions, tokenizer.model_max_length))


def _check_dimension(network: Any, dim: int) -> None:
    if network.config.projection_dim != dim:
        raise ValueError(f"its vectors have {network.config.projection_dim} dimensions and not {dim}")


def _vectors(features: Any) -> Embedding:
    """The projected vectors, which older versions of transformers give as they are and newer ones with much else."""
    projected: torch.Tensor = getattr(features, "pooler_output", features)
    return np.asarray(projected.float().cpu().numpy(), np.float32)


def _counter(tokenizer: Any) -> Callable[[str], int]:
    """Counts a text's tokens with the marks that the tokenizer puts around them."""
    return lambda text: len(tokenizer(text, truncation=False, verbose=False)["input_ids"])


def _find_folder(name: str) -> Path:
    if Path(name).is_dir():
        return Path(name)
    if name.startswith(("/", "./", "../", "~")) or name.count("/") != 1:
        raise WeightsMissingError(
            f"There is no model folder '{name}'.", hint="Check the path, or give OWNER/NAME as on the Hub."
        )
    with fetching(name, HUB_FILES, setting='models.sounds = "clap:/that/folder"'):
        return fetch_folder(name, HUB_FILES, _HUB_PATTERNS)


def _require(folder: Path) -> None:
    for name in _NEEDED:
        if not (folder / name).is_file():
            raise _absent(folder / name)


def _absent(path: Path) -> WeightsMissingError:
    return WeightsMissingError(
        f"The model file '{path}' is not there.",
        hint="The folder must be one that transformers saved with its processor and with safetensors; weights in other "
        "formats are not read: they can run code.",
    )


def _sound_settings(folder: Path) -> dict[str, Any]:
    """Those settings that make a difference, from the file that transformers itself would take."""
    newer = _read_json(folder / _INSIDE) if (folder / _INSIDE).is_file() else {}
    found = newer.get("feature_extractor") or _read_json(folder / _ALONE)
    return {name: found[name] for name in _SOUND_SETTINGS if name in found}


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise _absent(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WeightsDamagedError(
            f"The model file '{path}' cannot be read: {error}.", hint="Fetch it again."
        ) from error
    if not isinstance(content, dict):
        raise WeightsDamagedError(f"The model file '{path}' is no configuration.", hint="Fetch it again.")
    return content
