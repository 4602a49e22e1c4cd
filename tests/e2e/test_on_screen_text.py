"""What is written in pictures, from the file to the index: in letters of any size, made at once or added later."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from indexer.core.types import Image, ModalityName
from indexer.corpus.find import find_corpus
from indexer.corpus.labels import Labels
from indexer.media.deliver.write import ClipOptions, write_clip
from indexer.media.read.probe import looks_like_media
from indexer.models.base import Models
from indexer.models.rapidocr import RapidOcrReader
from indexer.run import Indexer, index_corpus
from indexer.shots.sampling import Sampling, Strategy
from indexer.store.memory import MemoryStore
from indexer.video import VideoSettings
from tests.encoders import ColourEncoder, WordEncoder
from tests.unit.written import page, picture

RATE = 5
LINES = ("The quarterly budget meeting", "Please call Mrs Henderson")


def index(store: MemoryStore, folder: Path, strategy: Strategy, *modalities: ModalityName) -> None:
    models = Models(ColourEncoder(), WordEncoder(), ocr=RapidOcrReader(threads=1))
    settings = VideoSettings(Sampling(strategy))
    corpus = find_corpus([folder], looks_like_media=looks_like_media)
    assert not index_corpus(
        corpus, Labels(), Indexer(store, models, None, settings, dict.fromkeys(modalities, "1"))
    ).failed


def texts(store: MemoryStore) -> list[tuple[str, float, float, str]]:
    found = [record for record in store.records("text") if record.modality == "ocr"]
    return sorted((record.id, record.start_s, record.end_s, record.text) for record in found)


def film(path: Path, *scenes: tuple[float, Image]) -> None:
    pictures = [shown for seconds, shown in scenes for _ in range(round(seconds * RATE))]
    write_clip(path, pictures, options=ClipOptions(rate=Fraction(RATE), crf=18, gop=2 * RATE))


@pytest.mark.parametrize(
    "shown",
    [page(*LINES, width=1920, height=1080, size=20), page(*LINES, width=1280, height=720, size=32, shades=(128, 160))],
    ids=["small", "pale"],
)
def test_small_and_pale_letters_are_found(tmp_path: Path, shown: Image) -> None:
    film(tmp_path / "a.mp4", (3, shown))
    store = MemoryStore()
    index(store, tmp_path, "shots", "frames", "ocr")
    ((_, start_s, end_s, text),) = texts(store)
    assert text.replace(" ", "") == "".join(LINES).replace(" ", "")
    assert (start_s, end_s) == pytest.approx((0, 3))


@pytest.mark.parametrize("strategy", ["shots", "uniform", "codec"])
def test_text_added_later_is_the_same_as_text_made_at_once(tmp_path: Path, strategy: Strategy) -> None:
    pale = page("Invoice number 48213", width=640, height=360, size=30, shades=(128, 160))
    blank = np.full_like(pale, 20)
    film(tmp_path / "a.mp4", (2, blank), (4, pale), (3, picture("HELLO WORLD")), (7, pale), (2, blank))
    at_once, later = MemoryStore(), MemoryStore()
    index(at_once, tmp_path, strategy, "frames", "ocr")
    index(later, tmp_path, strategy, "frames")
    assert texts(later) == []
    index(later, tmp_path, strategy, "frames", "ocr")
    assert texts(later) == texts(at_once)
    found = {text.replace(" ", "") for *_, text in texts(later)}
    assert found == {"Invoicenumber48213", "HELLOWORLD"}
