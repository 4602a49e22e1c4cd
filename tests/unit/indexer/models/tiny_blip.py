"""A tiny BLIP of the real architecture, saved as transformers does it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from indexer.models.library_output import quiet_libraries

SIDE = 48
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
# The marks of the published networks: begin, end of the prompt, end of the sentence, padding.
MARKS = {"bos_token_id": 30522, "eos_token_id": 2, "sep_token_id": 102, "pad_token_id": 0}


def save_blip(folder: Path, *, seed: int = 0, std: float = 0.6) -> Path:
    """A captioning network with random weights, large enough for different pictures to get different words."""
    import torch
    from transformers import AutoTokenizer, BlipConfig, BlipForConditionalGeneration, BlipImageProcessor, BlipProcessor

    from indexer.models.sentence import EMBEDDED, SentenceEncoder

    torch.manual_seed(seed)
    text = {**SIZES, **MARKS, "encoder_hidden_size": SIZES["hidden_size"], "vocab_size": 30524}
    network = BlipForConditionalGeneration(
        BlipConfig(text_config=text, vision_config={**SIZES, "image_size": SIDE, "patch_size": 16})
    )
    for weights in network.parameters():
        if weights.dim() > 1:
            torch.nn.init.normal_(weights, std=std)
    tokenizer = AutoTokenizer.from_pretrained(SentenceEncoder(EMBEDDED).folder)
    with quiet_libraries():
        network.save_pretrained(folder)
        BlipProcessor(BlipImageProcessor(size={"height": SIDE, "width": SIDE}), tokenizer).save_pretrained(folder)
    return folder


def as_published(folder: Path) -> Path:
    """The same as older versions of transformers saved it: two files for the processor, weights in a pickle."""
    import torch
    from safetensors.torch import load_file

    weights = load_file(folder / "model.safetensors")
    torch.save(weights, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    both = json.loads((folder / "processor_config.json").read_text())
    pictures = {**both["image_processor"], "processor_class": "BlipProcessor"}
    (folder / "preprocessor_config.json").write_text(json.dumps(pictures))
    (folder / "processor_config.json").unlink()
    return folder
