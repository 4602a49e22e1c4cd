"""Images and texts in one space with OpenCLIP models (Radford et al., 2021; Zhai et al., 2023)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from indexer.core.errors import ModelError, WeightsDamagedError, WeightsMissingError
from indexer.core.types import Embedding, Image
from indexer.models.base import Fingerprint
from indexer.models.devices import fast_dtype, resolve_device
from indexer.models.library_output import quiet_libraries
from indexer.models.lifecycle import LoadedOnUse, batches, make_fingerprint
from indexer.models.long_texts import encode_in_pieces, normalised
from indexer.models.preprocessing import Recipe, as_tensor, check_images
from indexer.models.weights import (
    HubFile,
    cached_path,
    digest_files,
    fetch,
    fetch_folder,
    loading,
    read_json,
    short_name,
)

if TYPE_CHECKING:
    import torch

__all__ = ["CONFIG", "WEIGHTS", "OpenClipEncoder"]

CONFIG = "open_clip_config.json"
WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "model.safetensors")
"""The names under which OpenCLIP saves safetensors, best first."""

_LEGACY_WEIGHTS = ("open_clip_pytorch_model.bin", "open_clip_pytorch_model.pth", "open_clip_pytorch_model.pt")
_TOKENIZER_PATTERNS = ("*.json", "*.txt", "*.model")
_HUB = "hf-hub:"


@dataclass(frozen=True, slots=True)
class _OpenClipFiles:
    """The files and settings of a model on this machine.

    ``model`` is open_clip's name for the architecture (a built-in name, or ``local-dir:`` and a folder).
    """

    model: str
    config: dict[str, Any]
    preprocess: dict[str, Any]
    weights: Path
    quick_gelu: bool
    tokenizer: Path | None


@dataclass(frozen=True, slots=True)
class _LoadedOpenClip:
    network: Any
    device: str
    dtype: torch.dtype
    tokenize: Callable[[list[str]], torch.Tensor]
    count: Callable[[str], int]
    context: int


class OpenClipEncoder(LoadedOnUse[_LoadedOpenClip]):
    """The role ``frames`` by a model trained on images and their captions.

    Images are prepared as the model's own configuration says. A text longer than the model's context is split at
    sentences (at words where a sentence is too long), its pieces encoded and their vectors averaged by length.

    Args:
        name: ``ARCHITECTURE/WEIGHTS`` as open_clip lists them (``ViT-B-32/openai``), ``hf-hub:OWNER/NAME``, or a
            folder with ``open_clip_config.json`` and the weights.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        batch_size: Images or texts computed at once.
        exact: Compute in float32 and resize with Pillow, for open_clip's own vectors, several times more slowly.
    """

    def __init__(self, name: str, *, device: str = "auto", batch_size: int = 32, exact: bool = False) -> None:
        self.name = name
        super().__init__(self._load, device)
        self._batch_size = batch_size
        self._exact = exact
        # A fast tokenizer changes its own truncation settings while it works.
        self._turn = Lock()

    @cached_property
    def _source(self) -> _OpenClipFiles:
        return _find(self.name)

    @cached_property
    def recipe(self) -> Recipe:
        """How the model wants its images, from its own configuration."""
        return _recipe(self._source)

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """From the configuration and the weight file. The precision does not count: cosine to float32 > 0.999."""
        source = self._source
        preprocessing = {
            "picture": self.recipe.describe(),
            "context": _context(source),
            "quick_gelu": source.quick_gelu,
            "long": "halved at sentences, mean",
        }
        weights, dim = digest_files([source.weights]), int(source.config["embed_dim"])
        return make_fingerprint("open_clip", short_name(self.name), weights, preprocessing, dim=dim)

    def encode_images(self, images: Sequence[Image]) -> Embedding:
        """``(n, dim)`` float32, L2-normalised; images may differ in size; ``(0, dim)`` for none.

        Raises:
            ValueError: an image is not uint8 RGB.
        """
        check_images(images)
        if not images:
            return np.zeros((0, self.fingerprint.dim), np.float32)
        loaded = self._model.get()
        parts = [self._encode_batch(loaded, batch) for batch in batches(images, self._batch_size)]
        return normalised(np.concatenate(parts))

    def _encode_batch(self, loaded: _LoadedOpenClip, images: Sequence[Image]) -> Embedding:
        import torch

        pictures = [self.recipe.fit(as_tensor(image), exact=self._exact) for image in images]
        with torch.inference_mode():
            batch = self.recipe.batch(pictures, loaded.device, loaded.dtype)
            vectors: Embedding = loaded.network.encode_image(batch).float().cpu().numpy()
        return vectors

    def encode_texts(self, texts: Sequence[str]) -> Embedding:
        """``(n, dim)`` float32, L2-normalised, in the space of the images; ``(0, dim)`` for none."""
        if not texts:
            return np.zeros((0, self.fingerprint.dim), np.float32)
        loaded = self._model.get()
        with self._turn:
            return encode_in_pieces(
                texts, lambda pieces: self._encode_pieces(loaded, pieces), loaded.count, loaded.context
            )

    def _encode_pieces(self, loaded: _LoadedOpenClip, pieces: list[str]) -> Embedding:
        import torch

        vectors = []
        with torch.inference_mode():
            for batch in batches(pieces, self._batch_size):
                tokens = loaded.tokenize(list(batch)).to(loaded.device)
                vectors.append(loaded.network.encode_text(tokens).float().cpu().numpy())
        return np.concatenate(vectors)

    def _load(self) -> _LoadedOpenClip:
        import torch

        source, device = self._source, resolve_device(self._device)
        dtype = torch.float32 if self._exact else fast_dtype(device)
        with quiet_libraries(), loading(source.weights):
            network = _network(source).to(device=device, dtype=dtype).eval()
            tokenizer = _tokenizer(source)
        return _LoadedOpenClip(network, device, dtype, tokenizer, _counter(tokenizer), _context(source))


def _network(source: _OpenClipFiles) -> Any:
    import open_clip

    network = open_clip.create_model(
        source.model,
        load_weights=False,
        force_quick_gelu=source.quick_gelu,
        pretrained_image=False,
        pretrained_text=False,
        weights_only=True,
    )
    open_clip.load_checkpoint(network, str(source.weights), weights_only=True)
    return network


def _tokenizer(source: _OpenClipFiles) -> Any:
    """The tokenizer that ``open_clip.get_tokenizer`` would choose, from files on this machine."""
    from open_clip.tokenizer import HFTokenizer, SimpleTokenizer

    text = source.config["text_cfg"]
    options = dict(text.get("tokenizer_kwargs") or {})
    if source.tokenizer is None:
        return SimpleTokenizer(context_length=_context(source), **options)
    mode = text.get("tokenizer_mode")
    return HFTokenizer(str(source.tokenizer), context_length=_context(source), tokenizer_mode=mode, **options)


def _counter(tokenizer: Any) -> Callable[[str], int]:
    """Counts a text's tokens with the marks that the tokenizer adds."""
    if not hasattr(tokenizer, "tokenizer"):
        return lambda text: len(tokenizer.encode(text)) + 2
    marks = 3 if tokenizer.tokenizer_mode == "clips" else 0

    def count(text: str) -> int:
        cleaned = tokenizer.clean_fn(text)
        ids = tokenizer.tokenizer(cleaned, add_special_tokens=not marks, truncation=False, verbose=False)["input_ids"]
        return len(ids) + marks

    return count


def _context(source: _OpenClipFiles) -> int:
    return int(source.config["text_cfg"].get("context_length", 77))


def _recipe(source: _OpenClipFiles) -> Recipe:
    from open_clip.transform import PreprocessCfg, merge_preprocess_dict

    config = merge_preprocess_dict(PreprocessCfg(), source.preprocess)
    # As in open_clip, the size of the vision tower counts, not that of the preprocessing.
    side = source.config["vision_cfg"].get("image_size", 224)
    size = (side, side) if isinstance(side, int) else (int(side[0]), int(side[1]))
    # As in open_clip, an input that is not square is always resized bicubically.
    bilinear = config["interpolation"] == "bilinear" and not (
        config["resize_mode"] == "shortest" and size[0] != size[1]
    )
    return Recipe(
        size=size,
        mean=_three(config["mean"]),
        std=_three(config["std"]),
        interpolation="bilinear" if bilinear else "bicubic",
        mode=config["resize_mode"],
        fill=int(config["fill_color"]),
    )


def _three(values: float | Sequence[float]) -> tuple[float, ...]:
    return (float(values),) * 3 if isinstance(values, int | float) else tuple(float(value) for value in values)


def _find(name: str) -> _OpenClipFiles:
    """Raises: WeightsMissingError, WeightsDamagedError, or ModelError for a name that open_clip does not know."""
    if Path(name).is_dir():
        return _from_folder(Path(name))
    if name.startswith(_HUB):
        return _from_hub(name.removeprefix(_HUB))
    architecture, slash, tag = name.partition("/")
    if not architecture or not slash or not tag or "/" in tag:
        raise WeightsMissingError(
            f"'{name}' is neither a folder nor the name of a picture model.",
            hint="Give a folder, ARCHITECTURE/WEIGHTS (ViT-B-32/openai) or hf-hub:OWNER/NAME.",
        )
    return _from_list(architecture, tag)


def _from_folder(folder: Path) -> _OpenClipFiles:
    config = _read_config(folder / CONFIG)
    weights = next((folder / name for name in (*WEIGHTS, *_LEGACY_WEIGHTS) if (folder / name).is_file()), None)
    if weights is None:
        raise WeightsMissingError(
            f"There are no weights in '{folder}'.", hint=f"The folder must hold {CONFIG} and {WEIGHTS[0]}."
        )
    needs_files = bool(config["model_cfg"]["text_cfg"].get("hf_tokenizer_name"))
    return _OpenClipFiles(
        model=f"local-dir:{folder}",
        config=config["model_cfg"],
        preprocess=config.get("preprocess_cfg") or {},
        weights=weights,
        quick_gelu=bool(config["model_cfg"].get("quick_gelu", False)),
        tokenizer=folder if needs_files else None,
    )


def _from_hub(repo: str) -> _OpenClipFiles:
    folder = fetch(HubFile(repo, CONFIG)).parent
    _fetch_weights(repo)
    tokenizer = _read_config(folder / CONFIG)["model_cfg"]["text_cfg"].get("hf_tokenizer_name")
    if tokenizer:
        _fetch_tokenizer(repo)
    return _from_folder(folder)


def _from_list(architecture: str, tag: str) -> _OpenClipFiles:
    import open_clip

    config, published = open_clip.get_model_config(architecture), open_clip.get_pretrained_cfg(architecture, tag)
    if not config or not published:
        raise ModelError(
            f"open_clip lists no model '{architecture}/{tag}'.",
            hint="python -c 'import open_clip; print(open_clip.list_pretrained(as_str=True))' prints those it has.",
        )
    repo, _, file = published.get("hf_hub", "").rpartition("/")
    if not repo:
        raise ModelError(f"The weights of '{architecture}/{tag}' are not on the Hugging Face Hub.")
    tokenizer = config["text_cfg"].get("hf_tokenizer_name")
    return _OpenClipFiles(
        model=architecture,
        config=config,
        preprocess=published,
        weights=fetch(HubFile(repo, file)) if file else _fetch_weights(repo),
        # Only the list knows the activation with which these weights were trained.
        quick_gelu=bool(published.get("quick_gelu") or config.get("quick_gelu")),
        tokenizer=_fetch_tokenizer(tokenizer) if tokenizer else None,
    )


def _fetch_tokenizer(repo: str) -> Path:
    return fetch_folder(repo, ("tokenizer.json", "tokenizer_config.json"), _TOKENIZER_PATTERNS)


def _fetch_weights(repo: str) -> Path:
    """The weights in the cache, in any format; else downloaded as safetensors."""
    names = (*WEIGHTS[:1], *_LEGACY_WEIGHTS[:1])
    cached = next((path for name in names if (path := cached_path(HubFile(repo, name)))), None)
    return cached or fetch(HubFile(repo, names[0]))


def _read_config(path: Path) -> dict[str, Any]:
    config: dict[str, Any] = read_json(path, hint="The folder must be one that open_clip saved.")
    try:
        _ = config["model_cfg"]["embed_dim"], config["model_cfg"]["text_cfg"], config["model_cfg"]["vision_cfg"]
    except (KeyError, TypeError) as error:
        raise WeightsDamagedError(
            f"The model file '{path}' is not an OpenCLIP configuration: {error!r}.", hint="Fetch it again."
        ) from error
    return config
