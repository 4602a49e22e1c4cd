"""A sound model that has gone: the rest is searched, and the answer says what was not, and why."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from indexer.core.errors import IndexIncompatibleError, WeightsMissingError
from indexer.models.base import Fingerprint, TextEncoder
from indexer.models.yamnet import YamnetEncoder
from indexer.store.base import Manifest
from indexer.store.memory import MemoryStore
from search.engine import SearchEngine
from search.query.query import Query
from tests.unit.search.library import OPTIONS, BagOfWords, Models, put, record, shots, video
from ui.cli.search import print_missing
from ui.services.search import SearchRequest

OF_SOUNDS = Fingerprint("yamnet", "yamnet.tflite", "abc", "mono", 4096)


def store_of_jazz() -> MemoryStore:
    store = MemoryStore()
    words = BagOfWords().fingerprint
    models = {"frames": ("words", words), "text": ("words", words), "sounds": ("yamnet:/gone", OF_SOUNDS)}
    store.write_manifest(Manifest("embedded", models, "2024-01-01T00:00:00Z"))
    put(store, video("jazz"), [*shots("jazz", ["a saxophone"]), record("jazz", "sounds", 0, 10, "Saxophone")])
    put(store, video("talk"), [record("talk", "speech", 0, 5, "my saxophone")])
    return store


def engine_without_its_sound_model(folder: Path) -> SearchEngine:
    words = BagOfWords()
    gone = YamnetEncoder(str(folder / "gone.tflite"), cast("TextEncoder", words), cache_folder=folder)
    models = Models(words, words, cast("BagOfWords", gone))
    return SearchEngine(store_of_jazz(), lambda: models, options=OPTIONS)


def test_the_rest_is_searched_and_the_reason_is_given_each_time(tmp_path: Path) -> None:
    engine = engine_without_its_sound_model(tmp_path)
    for least in (0.0, 0.5):
        ranking = engine.search(Query("saxophone", min_confidence=least))
        assert {one.video.id for one in ranking.moments} == {"jazz", "talk"}
        assert ranking.searched == ("frames", "speech")
        assert ranking.missing == ("sounds",)
        assert "gone.tflite" in ranking.unsearched["sounds"]
        assert "config.toml" in ranking.unsearched["sounds"], "what to do about it"


def test_a_search_of_sounds_alone_is_refused_with_the_reason(tmp_path: Path) -> None:
    engine = engine_without_its_sound_model(tmp_path)
    with pytest.raises(WeightsMissingError, match=r"gone\.tflite"):
        engine.search("saxophone only:sounds")


def test_searches_that_need_no_sound_model_miss_nothing(tmp_path: Path) -> None:
    engine = engine_without_its_sound_model(tmp_path)
    for query in (Query("saxophone", weights={"sounds": 0}), Query(like=("jazz", 1.0))):
        ranking = engine.search(query)
        assert (ranking.missing, ranking.unsearched) == ((), {})


def test_another_sound_model_is_no_substitute() -> None:
    words = BagOfWords("another")
    frames = BagOfWords()
    engine = SearchEngine(store_of_jazz(), lambda: Models(frames, frames, words), options=OPTIONS)
    ranking = engine.search("saxophone")
    assert "index was made with the sounds model yamnet:yamnet.tflite" in ranking.unsearched["sounds"]
    with pytest.raises(IndexIncompatibleError):
        engine.search("saxophone only:sounds")


def test_the_command_line_says_it_whatever_was_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = engine_without_its_sound_model(tmp_path)
    ranking = engine.search(Query("saxophone", weights={"ocr": 1, "sounds": 2}))
    assert ranking.missing == ("ocr", "sounds")
    print_missing(ranking, SearchRequest("saxophone").named_modalities(engine.parse))
    told = capsys.readouterr().err
    assert told.startswith("Not searched: sounds. ")
    assert "gone.tflite" in told
    assert "Not in this index" not in told
    print_missing(ranking, SearchRequest("saxophone only:speech, ocr").named_modalities(engine.parse))
    assert "Not in this index: text in the picture." in capsys.readouterr().err
