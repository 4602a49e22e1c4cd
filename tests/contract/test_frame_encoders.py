"""What every frame encoder promises, whichever model is behind it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from indexer.core.errors import ModelError, WeightsDamagedError, WeightsMissingError
from indexer.models.base import FrameEncoder
from indexer.models.concepts import RECIPE, ConceptsEncoder, class_texts, views
from indexer.models.open_clip import OpenClipEncoder
from indexer.models.preprocessing import as_tensor
from indexer.models.sentence import SentenceEncoder
from tests.unit.indexer.models import tiny

FAMILIES = ["concepts", "clip", "siglip"]


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Blurred noise: smooth, and of no class in particular."""
    import cv2

    noise = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


PICTURES = [picture(48, 64, 1), picture(64, 48, 2), picture(40, 40, 3), picture(1, 1, 4), picture(300, 500, 5)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("frames")
    return {
        "clip": tiny.save_clip(root / "clip"),
        "siglip": tiny.save_clip_with_hub_tokenizer(root / "siglip"),
        "text": tiny.save_sentence(root / "text"),
        "cache": root / "cache",
    }


def build(family: str, folders: dict[str, Path], *, exact: bool = False) -> FrameEncoder:
    if family == "concepts":
        # The real classifier in the space of a tiny text model: the real one needs seconds for the class texts.
        text = SentenceEncoder(str(folders["text"]), device="cpu")
        return ConceptsEncoder(text, device="cpu", exact=exact, cache_folder=folders["cache"])
    return OpenClipEncoder(str(folders[family]), device="cpu", batch_size=2, exact=exact)


@pytest.fixture(scope="module", params=FAMILIES)
def encoder(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Iterator[FrameEncoder]:
    made = build(request.param, folders)
    yield made
    made.unload()


@pytest.fixture(scope="module", params=FAMILIES)
def pair(request: pytest.FixtureRequest, folders: dict[str, Path]) -> tuple[FrameEncoder, FrameEncoder]:
    """The same model as it runs by default, and exactly."""
    return build(request.param, folders), build(request.param, folders, exact=True)


def test_it_is_a_frame_encoder(encoder: FrameEncoder) -> None:
    assert isinstance(encoder, FrameEncoder)


def test_vectors_are_float32_of_length_one_in_one_space(encoder: FrameEncoder) -> None:
    for vectors, count in ((encoder.encode_images(PICTURES), 5), (encoder.encode_texts(["a", "", "b c"]), 3)):
        assert vectors.shape == (count, encoder.fingerprint.dim)
        assert vectors.dtype == np.float32
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_none_gives_an_empty_array(encoder: FrameEncoder) -> None:
    assert encoder.encode_images([]).shape == (0, encoder.fingerprint.dim)
    assert encoder.encode_texts([]).shape == (0, encoder.fingerprint.dim)


def test_a_picture_does_not_depend_on_its_neighbours(encoder: FrameEncoder) -> None:
    together = encoder.encode_images(PICTURES)
    for index, image in enumerate(PICTURES):
        assert encoder.encode_images([image])[0] @ together[index] > 0.999


def test_different_pictures_differ(encoder: FrameEncoder) -> None:
    vectors = encoder.encode_images([picture(60, 80, seed) for seed in range(4)])
    assert len(np.unique(vectors.round(4), axis=0)) == 4


def test_the_default_precision_keeps_the_vectors(pair: tuple[FrameEncoder, FrameEncoder]) -> None:
    fast, exact = pair
    assert (fast.encode_images(PICTURES) * exact.encode_images(PICTURES)).sum(axis=1) == pytest.approx(1, abs=1e-3)
    texts = ["a red car", "the sea"]
    assert (fast.encode_texts(texts) * exact.encode_texts(texts)).sum(axis=1) == pytest.approx(1, abs=1e-3)


def test_precision_is_no_part_of_the_fingerprint(pair: tuple[FrameEncoder, FrameEncoder]) -> None:
    fast, exact = pair
    assert fast.fingerprint == exact.fingerprint


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_transparent_pictures_are_refused(encoder: FrameEncoder, channels: int) -> None:
    with pytest.raises(ValueError, match="RGB"):
        encoder.encode_images([np.zeros((8, 8, channels), np.uint8)])


def test_no_part_of_a_long_text_is_cut(encoder: FrameEncoder) -> None:
    filler = "The weather was fine and nothing happened. " * 20
    plain, with_end = encoder.encode_texts([filler, filler + "Penguins invaded the parliament. " * 4])
    assert 1 - plain @ with_end > 1e-5


def test_several_threads_get_the_same_vectors(encoder: FrameEncoder) -> None:
    texts = ["word " * (index * 3) for index in range(12)]
    images, queries = encoder.encode_images(PICTURES), encoder.encode_texts(texts)
    with ThreadPoolExecutor(4) as pool:
        jobs = [(pool.submit(encoder.encode_images, PICTURES), pool.submit(encoder.encode_texts, texts)) for _ in "123"]
        for seen, read in jobs:
            assert seen.result() == pytest.approx(images, abs=1e-5)
            assert read.result() == pytest.approx(queries, abs=1e-5)


def test_it_loads_again_after_unloading(encoder: FrameEncoder) -> None:
    before = encoder.encode_images(PICTURES[:1])
    encoder.load()
    encoder.load()
    assert encoder.loaded
    encoder.unload()
    assert not encoder.loaded
    assert encoder.encode_images(PICTURES[:1]) == pytest.approx(before, abs=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_two_builds_have_one_fingerprint_without_loading(family: str, folders: dict[str, Path]) -> None:
    first, second = build(family, folders), build(family, folders)
    assert first.fingerprint == second.fingerprint
    assert first.fingerprint.digest == second.fingerprint.digest
    assert not first.loaded


@pytest.mark.parametrize("family", ["clip", "siglip"])
def test_vectors_are_open_clips_own(family: str, folders: dict[str, Path]) -> None:
    import open_clip
    import torch
    from PIL import Image as Pillow

    name = f"local-dir:{folders[family]}"
    network, _, transform = open_clip.create_model_and_transforms(name)
    network.eval()
    texts = ["a red car by the sea", "Two birds!", ""]
    with torch.inference_mode():
        pictures = torch.stack([transform(Pillow.fromarray(image)) for image in PICTURES])
        images = network.encode_image(pictures, normalize=True).numpy()
        queries = network.encode_text(open_clip.get_tokenizer(name)(texts), normalize=True).numpy()
    exact, fast = build(family, folders, exact=True), build(family, folders)
    assert exact.encode_images(PICTURES) == pytest.approx(images, abs=1e-5)
    assert exact.encode_texts(texts) == pytest.approx(queries, abs=1e-5)
    assert (fast.encode_images(PICTURES) * images).sum(axis=1) == pytest.approx(1, abs=1e-3)


def test_a_text_as_long_as_the_context_stays_whole(folders: dict[str, Path]) -> None:
    import open_clip
    import torch

    name = f"local-dir:{folders['clip']}"
    text = "sea " * (tiny.CLIP_CONTEXT - 2)
    with torch.inference_mode():
        tokens = open_clip.get_tokenizer(name)([text])
        whole = open_clip.create_model(name).eval().encode_text(tokens, normalize=True).numpy()
    assert build("clip", folders, exact=True).encode_texts([text]) == pytest.approx(whole, abs=1e-5)


def test_a_longer_text_is_the_mean_of_its_halves(folders: dict[str, Path]) -> None:
    encoder = build("clip", folders, exact=True)
    halves = ["A man walks his dog along the sea.", "Two birds sit on a wire above the road."]
    vectors = encoder.encode_texts(halves)
    mean = sum(len(half) * vector for half, vector in zip(halves, vectors, strict=True))
    assert encoder.encode_texts([" ".join(halves)])[0] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)


def test_weights_and_preprocessing_change_the_fingerprint(folders: dict[str, Path], tmp_path: Path) -> None:
    same = build("clip", folders).fingerprint
    other = OpenClipEncoder(str(tiny.save_clip(tmp_path / "a" / "clip", seed=1))).fingerprint
    squashed = OpenClipEncoder(str(tiny.save_clip(tmp_path / "b" / "clip", resize_mode="squash"))).fingerprint
    assert same.name == other.name == squashed.name
    assert same.weights == squashed.weights != other.weights
    assert same.preprocessing == other.preprocessing != squashed.preprocessing


def test_a_name_on_the_hub_is_loaded_from_the_cache(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for family in ("clip", "siglip"):
        tiny.save_in_hub_cache(tmp_path, f"owner/{family}", folders[family])
        cached = OpenClipEncoder(f"hf-hub:owner/{family}", device="cpu", exact=True)
        assert np.array_equal(cached.encode_texts(["a"]), build(family, folders, exact=True).encode_texts(["a"]))
    with pytest.raises(WeightsMissingError, match=r"hf download owner/other open_clip_config\.json"):
        OpenClipEncoder("hf-hub:owner/other").load()
    with pytest.raises(WeightsMissingError, match="hf download timm/vit_base_patch32_clip_224"):
        OpenClipEncoder("ViT-B-32/openai").load()


def test_openais_weights_get_the_activation_that_they_were_trained_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "open_clip_model.safetensors").write_bytes(b"any")
    tiny.save_in_hub_cache(tmp_path, "timm/vit_base_patch32_clip_224.openai", tmp_path / "source")
    fingerprint = OpenClipEncoder("ViT-B-32/openai").fingerprint
    assert json.loads(fingerprint.preprocessing)["quick_gelu"] is True
    assert json.loads(fingerprint.preprocessing)["picture"]["mean"] == [0.48145466, 0.4578275, 0.40821073]
    assert fingerprint.dim == 512


@pytest.mark.parametrize("keep", [0, 1000])
def test_damaged_weights_are_said_to_be(folders: dict[str, Path], tmp_path: Path, keep: int) -> None:
    copy = Path(shutil.copytree(folders["clip"], tmp_path / "copy"))
    weights = copy / "open_clip_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])
    with pytest.raises(WeightsDamagedError, match="Delete it and fetch it again"):
        OpenClipEncoder(str(copy), device="cpu").load()


def test_weights_of_another_model_are_damage(folders: dict[str, Path], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folders["clip"], tmp_path / "copy"))
    shutil.copy(folders["siglip"] / "open_clip_model.safetensors", copy)
    with pytest.raises(WeightsDamagedError, match="another kind of model"):
        OpenClipEncoder(str(copy), device="cpu").load()


def test_pickled_code_is_not_run(folders: dict[str, Path], tmp_path: Path) -> None:
    import torch

    class Runs:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "ran",)  # type: ignore[return-value]

    copy = Path(shutil.copytree(folders["clip"], tmp_path / "copy"))
    (copy / "open_clip_model.safetensors").unlink()
    torch.save({"state_dict": Runs()}, copy / "open_clip_pytorch_model.bin")
    with pytest.raises(WeightsDamagedError):
        OpenClipEncoder(str(copy), device="cpu").load()
    assert not (tmp_path / "ran").exists()


def test_folders_that_are_no_models_are_said_to_be(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(WeightsMissingError, match="open_clip_config"):
        OpenClipEncoder(str(tmp_path)).load()
    (tmp_path / "open_clip_config.json").write_text("{}")
    with pytest.raises(WeightsDamagedError, match="not an OpenCLIP configuration"):
        OpenClipEncoder(str(tmp_path)).load()
    shutil.copy(folders["clip"] / "open_clip_config.json", tmp_path)
    with pytest.raises(WeightsMissingError, match="no weights"):
        OpenClipEncoder(str(tmp_path)).load()


@pytest.mark.parametrize(
    ("name", "error"), [("/none", WeightsMissingError), ("plain", WeightsMissingError), ("ViT-B-32/none", ModelError)]
)
def test_a_name_that_is_none_is_said_to_be(name: str, error: type[ModelError]) -> None:
    with pytest.raises(error):
        OpenClipEncoder(name).load()


def test_the_centre_view_is_timms_own_transform() -> None:
    import timm
    import torch
    from PIL import Image as Pillow

    from indexer.models.concepts import _network, _weights_file

    network = _network(_weights_file())
    transform = timm.data.create_transform(**timm.data.resolve_data_config(model=network), is_training=False)
    for image in (picture(480, 854), picture(300, 200), picture(50, 60)):
        theirs = transform(Pillow.fromarray(image))[None]
        ours = RECIPE.batch([views(as_tensor(image))[0]], "cpu", torch.float32)
        with torch.inference_mode():
            assert torch.cosine_similarity(network(ours), network(theirs)).item() == pytest.approx(1, abs=1e-3)
        assert torch.cosine_similarity(ours.flatten(), theirs.flatten(), dim=0).item() == pytest.approx(1, abs=1e-3)


def test_a_picture_is_seen_whole_and_a_square_one_has_no_ends() -> None:
    image = np.zeros((100, 300, 3), np.uint8)
    image[:, :60, 0] = image[:, -60:, 1] = 255
    centre, whole, left, right = (view.float().mean(dim=(1, 2)) for view in views(as_tensor(image)))
    assert centre[:2].tolist() == [0, 0]
    assert whole[:2].tolist() == pytest.approx([255 * 60 / 300] * 2, abs=2)
    assert left[:2].tolist() == pytest.approx([255 * 60 / 100, 0], abs=2)
    assert right[:2].tolist() == pytest.approx([0, 255 * 60 / 100], abs=2)
    assert len(views(as_tensor(np.zeros((50, 50, 3), np.uint8)))) == 2


def test_concepts_are_the_mean_of_class_texts_by_probability(folders: dict[str, Path]) -> None:
    text = SentenceEncoder(str(folders["text"]), device="cpu")
    encoder = build("concepts", folders)
    names, descriptions = class_texts()
    classes = text.encode_documents(names) + text.encode_documents(descriptions)
    classes /= np.linalg.norm(classes, axis=1, keepdims=True)
    probabilities = encoder.class_probabilities(PICTURES[:2])
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-3)
    for row, vector in zip(probabilities, encoder.encode_images(PICTURES[:2]), strict=True):
        top = np.argsort(row)[-50:]
        mean = row[top] @ classes[top]
        assert vector @ (mean / np.linalg.norm(mean)) == pytest.approx(1, abs=1e-4)


def test_concepts_fingerprint_covers_the_text_model(folders: dict[str, Path], tmp_path: Path) -> None:
    other = tiny.save_sentence(tmp_path / "text", seed=1)
    changed = ConceptsEncoder(SentenceEncoder(str(other))).fingerprint
    same = build("concepts", folders).fingerprint
    assert changed.dim == same.dim
    assert changed.weights != same.weights
