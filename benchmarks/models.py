"""Pictures per second of the frame encoders, exactly and as they run by default, in one run on one machine.

    python benchmarks/models.py

ViT-B-32 gets random weights: speed and agreement do not depend on training. Machine figures are noisy, so what counts
is the ratio. "cosine" compares each picture's vector with the exact one's.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from indexer.core.types import Embedding, Image
from indexer.models.concepts import ConceptsEncoder
from indexer.models.devices import fast_dtype, resolve_device
from indexer.models.open_clip import OpenClipEncoder
from indexer.models.sentence import SentenceEncoder

PICTURES, ROUNDS = 32, 5


def main() -> None:
    """Print a table with one line for each model."""
    pictures = make_pictures()
    print(f"device {resolve_device('auto')}, default precision {fast_dtype(resolve_device('auto'))}")
    print(f"{PICTURES} pictures of 854 x 480, best of {ROUNDS} rounds\n")
    print(f"{'model':<24}{'fp32/s':>9}{'default/s':>11}{'ratio':>8}{'cosine min':>12}{'mean':>9}")
    with tempfile.TemporaryDirectory() as folder:
        cache, clip = Path(folder) / "cache", save_vit_b_32(Path(folder))
        text = SentenceEncoder(device="cpu")
        compare("EfficientNet-Lite0", lambda exact: ConceptsEncoder(text, exact=exact, cache_folder=cache), pictures)
        compare("ViT-B-32", lambda exact: OpenClipEncoder(str(clip), exact=exact), pictures)


def compare(name: str, build: Callable[[bool], ConceptsEncoder | OpenClipEncoder], pictures: Sequence[Image]) -> None:
    """Print one line of the table. The two take turns, so that a busy machine slows both alike."""
    encoders = [build(True), build(False)]
    for encoder in encoders:
        encoder.encode_images(pictures[:4])
    rounds = [[timed(encoder, pictures) for encoder in encoders] for _ in range(ROUNDS)]
    slow, fast = (len(pictures) / min(seconds for seconds, _ in column) for column in zip(*rounds, strict=True))
    (_, exact), (_, default) = rounds[0]
    cosine = (exact * default).sum(axis=1)
    print(f"{name:<24}{slow:>9.1f}{fast:>11.1f}{fast / slow:>7.2f}x{cosine.min():>12.5f}{cosine.mean():>9.5f}")


def timed(encoder: ConceptsEncoder | OpenClipEncoder, pictures: Sequence[Image]) -> tuple[float, Embedding]:
    """Seconds for all pictures, resizing included, and their vectors."""
    began = time.perf_counter()
    vectors = encoder.encode_images(pictures)
    return time.perf_counter() - began, vectors


def make_pictures() -> list[Image]:
    """Blurred noise of a usual video's size."""
    import cv2

    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (PICTURES, 12, 20, 3), dtype=np.uint8)
    return [cv2.resize(small, (854, 480), interpolation=cv2.INTER_CUBIC) for small in noise]


def save_vit_b_32(folder: Path) -> Path:
    """A ViT-B-32 with random weights, saved as OpenCLIP saves its models."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    config = open_clip.get_model_config("ViT-B-32")
    save_file(open_clip.model.CLIP(**config).state_dict(), folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    return folder


if __name__ == "__main__":
    main()
