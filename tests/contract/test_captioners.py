"""What every captioner promises, whichever network is behind it."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from indexer.models.base import Captioner
from indexer.models.blip import MAX_NEW_TOKENS, BlipCaptioner, tidied
from tests.unit.indexer.models import tiny_blip

FAMILIES = ["blip", "blip-as-published"]


def picture(height: int, width: int, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


# Among them one that is three pixels high and one that is one pixel small.
PICTURES = [picture(48, 64, 1), picture(64, 48, 2), picture(3, 64, 3), picture(1, 1, 4), picture(200, 300, 5)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("captions")
    saved = tiny_blip.save_blip(root / "blip")
    published = Path(shutil.copytree(saved, root / "blip-as-published"))
    return {"blip": saved, "blip-as-published": tiny_blip.as_published(published)}


@pytest.fixture(scope="module", params=FAMILIES)
def captioner(request: pytest.FixtureRequest, folders: dict[str, Path]) -> BlipCaptioner:
    return BlipCaptioner(str(folders[request.param]), device="cpu", batch_size=2)


def test_it_is_a_captioner(captioner: BlipCaptioner) -> None:
    assert isinstance(captioner, Captioner)


def test_every_picture_gets_a_sentence_of_its_own(captioner: BlipCaptioner) -> None:
    sentences = captioner.describe(PICTURES)
    assert len(sentences) == len(PICTURES)
    assert len(set(sentences)) == len(PICTURES)
    assert all(sentence == tidied(sentence) for sentence in sentences)


def test_a_picture_does_not_depend_on_its_neighbours(captioner: BlipCaptioner) -> None:
    together = captioner.describe(PICTURES)
    assert [captioner.describe([image])[0] for image in PICTURES] == together
    assert captioner.describe(PICTURES[::-1]) == together[::-1]


def test_none_gives_none(captioner: BlipCaptioner) -> None:
    assert captioner.describe([]) == []


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_transparent_pictures_are_refused(captioner: BlipCaptioner, channels: int) -> None:
    with pytest.raises(ValueError, match="RGB"):
        captioner.describe([np.zeros((8, 8, channels), np.uint8)])


def test_it_loads_again_after_unloading(captioner: BlipCaptioner) -> None:
    before = captioner.describe(PICTURES[:1])
    captioner.load()
    captioner.load()
    assert captioner.loaded
    captioner.unload()
    assert not captioner.loaded
    assert captioner.describe(PICTURES[:1]) == before


def test_several_threads_get_the_same(captioner: BlipCaptioner) -> None:
    alone = captioner.describe(PICTURES)
    with ThreadPoolExecutor(3) as pool:
        assert [job.result() for job in [pool.submit(captioner.describe, PICTURES) for _ in "123"]] == [alone] * 3


def test_the_fingerprint_needs_no_loading(captioner: BlipCaptioner) -> None:
    fresh = BlipCaptioner(captioner.name)
    assert fresh.fingerprint == captioner.fingerprint
    assert not fresh.loaded


def test_the_sentences_are_those_of_transformers(folders: dict[str, Path]) -> None:
    import torch
    from transformers import BlipForConditionalGeneration, BlipProcessor

    processor = BlipProcessor.from_pretrained(folders["blip"])
    network = BlipForConditionalGeneration.from_pretrained(folders["blip"]).eval()
    expected = []
    for image in PICTURES:
        pictures = processor(images=image, return_tensors="pt", input_data_format="channels_last")
        with torch.inference_mode():
            tokens = network.generate(**pictures, max_new_tokens=MAX_NEW_TOKENS, do_sample=False)
        expected.append(tidied(processor.decode(tokens[0], skip_special_tokens=True)))
    for name in FAMILIES:
        assert BlipCaptioner(str(folders[name]), device="cpu").describe(PICTURES) == expected
