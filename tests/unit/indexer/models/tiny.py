"""Tiny models of the real architectures, saved as their own libraries save them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CLIP_DIM, CLIP_CONTEXT, SENTENCE_DIM, SENTENCE_CONTEXT = 32, 16, 32, 64

CLIP: dict[str, Any] = {
    "embed_dim": CLIP_DIM,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": CLIP_CONTEXT, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
CLIP_PICTURES = {"mean": [0.5, 0.4, 0.3], "std": [0.25, 0.26, 0.27], "interpolation": "bicubic"}


def save_clip(folder: Path, *, seed: int = 0, **pictures: Any) -> Path:
    """An OpenCLIP model of the classic kind with random weights."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(open_clip.model.CLIP(**CLIP).state_dict(), folder / "open_clip_model.safetensors")
    config = {"model_cfg": CLIP, "preprocess_cfg": {**CLIP_PICTURES, "resize_mode": "shortest", **pictures}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return folder


def save_clip_with_hub_tokenizer(folder: Path) -> Path:
    """An OpenCLIP model of SigLIP's kind: a timm picture tower and a Hugging Face tokenizer."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    config = {
        "embed_dim": CLIP_DIM,
        "custom_text": True,
        "vision_cfg": {
            "image_size": 160,
            "timm_model_name": "test_vit",
            "timm_model_pretrained": False,
            "timm_pool": "avg",
            "timm_proj": "linear",
        },
        "text_cfg": {
            **CLIP["text_cfg"],
            "vocab_size": 30522,
            "hf_tokenizer_name": "owner/tokenizer",
            "tokenizer_kwargs": {"clean": "canonicalize"},
            "no_causal_mask": True,
            "pool_type": "last",
        },
    }
    torch.manual_seed(0)
    save_tokenizer(folder)
    built = {key: value for key, value in config.items() if key != "custom_text"}
    save_file(open_clip.model.CustomTextCLIP(**built).state_dict(), folder / "open_clip_model.safetensors")
    pictures = {**CLIP_PICTURES, "resize_mode": "squash"}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": pictures}))
    return folder


def save_tokenizer(folder: Path) -> Path:
    """The embedded text model's tokenizer, which any small BERT can use."""
    from transformers import AutoTokenizer

    from indexer.models.sentence import EMBEDDED, SentenceEncoder

    AutoTokenizer.from_pretrained(SentenceEncoder(EMBEDDED).folder).save_pretrained(folder)
    return folder


def save_sentence(folder: Path, *, seed: int = 0) -> Path:
    """A sentence-transformers model with random weights and prompts that differ for queries and documents."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import BertConfig, BertModel

    torch.manual_seed(seed)
    base = save_tokenizer(folder.with_name(f"{folder.name}-base"))
    size = {"hidden_size": SENTENCE_DIM, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    BertModel(BertConfig(**size, vocab_size=30522)).save_pretrained(base)
    modules = [Transformer(str(base), max_seq_length=SENTENCE_CONTEXT), Pooling(SENTENCE_DIM), Normalize()]
    prompts = {"query": "query: ", "document": "passage: "}
    SentenceTransformer(modules=modules, prompts=prompts, device="cpu").save(str(folder))
    return folder


def save_in_hub_cache(cache: Path, repo: str, source: Path) -> None:
    """The files of a folder laid out as the Hugging Face cache lays out a downloaded repository."""
    import shutil

    root = cache / f"models--{repo.replace('/', '--')}"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text("a" * 40)
    shutil.copytree(source, root / "snapshots" / ("a" * 40))
