"""Sounds and texts in one space with CLAP (Wu et al., 2023, "Large-Scale Contrastive Language-Audio Pretraining with
Feature Fusion and Keyword-to-Caption Augmentation"), by transformers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from indexer.core.errors import WeightsDamagedError
from indexer.core.types import Embedding, Samples
from indexer.models.base import Fingerprint, SoundBatch
from indexer.models.devices import resolve_device
from indexer.models.library_output import quiet_libraries
from indexer.models.lifecycle import LoadedOnUse, batches, make_fingerprint
from indexer.models.long_texts import encode_in_pieces, normalised
from indexer.models.pretrained import SAVED_BY_TRANSFORMERS, load_network, processor_settings, settings
from indexer.models.weights import digest_files, find_folder, loading, require_files, short_name

if TYPE_CHECKING:
    import torch

__all__ = ["HUB_FILES", "ClapEncoder"]

HUB_FILES = ("config.json", "preprocessor_config.json", "tokenizer.json", "model.safetensors")
"""What a model's folder on the Hub must hold; weights in pickle files are not read."""

_WEIGHTS = "model.safetensors"
_NEEDED = ("config.json", "tokenizer.json", _WEIGHTS)
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
class _ClapFiles:
    """What a model's folder says about itself; PyTorch is not needed to read it."""

    weights: Path
    dim: int
    sample_rate: int
    window: int
    sound: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> _ClapFiles:
        """Raises: WeightsMissingError or WeightsDamagedError, each naming the file."""
        require_files([folder / name for name in _NEEDED], hint=SAVED_BY_TRANSFORMERS)
        config, found = settings(folder / "config.json"), processor_settings(folder, "feature_extractor")
        sound = {name: found[name] for name in _SOUND_SETTINGS if name in found}
        try:
            # transformers saves only what differs from its defaults.
            dim, rate = int(config.get("projection_dim", 512)), int(sound.get("sampling_rate", 48_000))
            window = round(rate * float(sound.get("max_length_s", 10)))
        except (TypeError, ValueError) as error:
            raise WeightsDamagedError(f"The model at '{folder}' has settings that are no numbers: {error}.") from error
        return cls(folder / _WEIGHTS, dim, rate, window, sound)


@dataclass(frozen=True, slots=True)
class _LoadedClap:
    network: Any
    hearing: Any
    tokenizer: Any
    context: int


class ClapEncoder(LoadedOnUse[_LoadedClap]):
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
        """Where the model lies; a name on the Hub is downloaded now if it is not cached."""
        setting = 'models.sounds = "clap:/that/folder"'
        return find_folder(self.name, self.name, HUB_FILES, _HUB_PATTERNS, setting=setting, advised=HUB_FILES)

    @cached_property
    def _files(self) -> _ClapFiles:
        return _ClapFiles.read(self.folder)

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
        weights = digest_files([files.weights])
        return make_fingerprint("clap", short_name(self.name), weights, preprocessing, dim=files.dim)

    def encode_audio(self, windows: Sequence[Samples]) -> SoundBatch:
        """Vectors in the space of the texts, without tags.

        Args:
            windows: Of ``window_s`` seconds at most, ``(n,)`` in [-1, 1], at ``sample_rate``; a shorter one is
                repeated or padded, as the model's configuration says.

        Raises:
            ValueError: a window is empty, too long, or has more than one channel.
        """
        for window in windows:
            self._check(window)
        if not windows:
            return SoundBatch(np.zeros((0, self._files.dim), np.float32), ())
        loaded = self._model.get()
        parts = [self._encode_windows(loaded, batch) for batch in batches(windows, self._batch_size)]
        return SoundBatch(normalised(np.concatenate(parts)), ((),) * len(windows))

    def _check(self, window: Samples) -> None:
        if window.ndim != 1 or not 0 < len(window) <= self._files.window:
            raise ValueError(f"a window is one channel of 1 to {self._files.window} samples, not {window.shape}")

    def _encode_windows(self, loaded: _LoadedClap, windows: Sequence[Samples]) -> Embedding:
        import torch

        prepared = loaded.hearing(list(windows), sampling_rate=self.sample_rate, return_tensors="pt")
        # transformers marks a random window of a batch as too long; none is, and that would change its vector.
        longer = torch.zeros((len(windows), 1), dtype=torch.bool, device=loaded.network.device)
        features = prepared["input_features"].to(loaded.network.device, torch.float32)
        with torch.inference_mode():
            return _vectors(loaded.network.get_audio_features(input_features=features, is_longer=longer))

    def encode_texts(self, texts: Sequence[str]) -> Embedding:
        """``(n, dim)`` float32, L2-normalised, in the space of the sounds; ``(0, dim)`` for none."""
        if not texts:
            return np.zeros((0, self._files.dim), np.float32)
        loaded = self._model.get()
        with self._turn:
            return encode_in_pieces(
                texts, lambda pieces: self._encode_pieces(loaded, pieces), _counter(loaded.tokenizer), loaded.context
            )

    def _encode_pieces(self, loaded: _LoadedClap, pieces: list[str]) -> Embedding:
        import torch

        parts = []
        with torch.inference_mode():
            for batch in batches(pieces, self._batch_size):
                tokens = loaded.tokenizer(batch, padding=True, return_tensors="pt").to(loaded.network.device)
                ids, mask = tokens["input_ids"], tokens["attention_mask"]
                parts.append(_vectors(loaded.network.get_text_features(input_ids=ids, attention_mask=mask)))
        return np.concatenate(parts)

    def _load(self) -> _LoadedClap:
        device = resolve_device(self._device)
        folder, dim = self.folder, self._files.dim
        import torch
        from transformers import AutoTokenizer, ClapFeatureExtractor, ClapModel

        with quiet_libraries(), loading(folder):
            network = load_network(ClapModel, folder, use_safetensors=True, dtype=torch.float32)
            hearing = ClapFeatureExtractor.from_pretrained(folder, local_files_only=True)
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            _check_dimension(network, dim)
        network.to(device)
        positions = network.config.text_config.max_position_embeddings - _FIRST_POSITION
        return _LoadedClap(network, hearing, tokenizer, min(positions, tokenizer.model_max_length))


def _check_dimension(network: Any, dim: int) -> None:
    if network.config.projection_dim != dim:
        raise ValueError(f"its vectors have {network.config.projection_dim} dimensions and not {dim}")


def _vectors(features: Any) -> Embedding:
    """The projected vectors: the whole result of older versions of transformers, one field of newer ones'."""
    projected: torch.Tensor = getattr(features, "pooler_output", features)
    return np.asarray(projected.float().cpu().numpy(), np.float32)


def _counter(tokenizer: Any) -> Callable[[str], int]:
    """Counts a text's tokens with the marks that the tokenizer adds."""
    return lambda text: len(tokenizer(text, truncation=False, verbose=False)["input_ids"])
