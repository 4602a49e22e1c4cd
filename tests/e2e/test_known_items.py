"""Known-item search on real clips with the installed models: what is seen, written, said and heard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import jiwer
import pytest

from benchmarks.quality import (
    DATA,
    DEFAULT_MEDIA,
    SAXOPHONE,
    SPEECH,
    KnownMoment,
    best_classes,
    ranks_of,
    read_queries,
    share,
    sounds_beside,
    yamnet,
)
from indexer.core.types import ModalityName, Record
from indexer.store import open_store
from search.engine import SearchEngine
from tests.conftest import Begun
from tests.e2e.real_clips import RealClips

pytestmark = pytest.mark.skipif(not DEFAULT_MEDIA.is_dir(), reason="the real clips are not beside this checkout")


@dataclass(frozen=True)
class RealLibrary:
    """The indexed clips, opened."""

    engine: SearchEngine
    records: dict[str, list[Record]]
    has_sounds: bool

    def texts(self, name: str, modality: ModalityName) -> list[str]:
        return [record.text for record in self.records.get(name, []) if record.modality == modality]

    def ranks(self, known: list[KnownMoment]) -> tuple[list[int], list[int]]:
        by_video, by_moment = zip(*(ranks_of(self.engine, moment) for moment in known), strict=True)
        return list(by_video), list(by_moment)


@pytest.fixture(scope="session")
def real_clips(begun: Begun) -> RealClips:
    return begun["real_clips"].result()


@pytest.fixture(scope="module")
def library(real_clips: RealClips) -> Iterator[RealLibrary]:
    store = open_store(real_clips.index)
    names = {key: commit.video.path.name for key, commit in store.commits().items()}
    records: dict[str, list[Record]] = {}
    for space in ("text", "audio"):
        for record in sorted(store.records(space), key=lambda record: record.start_s):
            records.setdefault(names[record.video_id], []).append(record)
    store.close()
    with SearchEngine.open(real_clips.index) as engine:
        yield RealLibrary(engine, records, real_clips.has_sounds)


def test_the_right_video_is_found(library: RealLibrary) -> None:
    by_video, by_moment = library.ranks(read_queries(DEFAULT_MEDIA / "queries.csv"))
    assert share(by_video, 1) >= 0.80
    assert share(by_video, 3) >= 0.93
    assert share(by_moment, 3) >= 0.80


def test_what_is_written_is_found_where_it_stands(library: RealLibrary) -> None:
    by_video, by_moment = library.ranks(read_queries(DATA / "on_screen_text.csv"))
    assert share(by_video, 1) == 1.0
    assert share(by_moment, 1) >= 0.80


def test_a_phrase_is_found_within_two_seconds_of_where_it_is_said(library: RealLibrary) -> None:
    best = library.engine.search("what you can do for your country").moments[0]
    assert best.video.path.name in ("speech.mp4", "jfk.flac")
    # In the recording these words begin at 8.2 s.
    assert best.start_s == pytest.approx(8.2, abs=2.0)


def test_most_words_of_clear_speech_are_recognised(library: RealLibrary) -> None:
    heard = " ".join(library.texts("speech.mp4", "speech"))
    assert jiwer.wer(SPEECH, heard.lower()) <= 0.35


@pytest.mark.parametrize("name", ["typography.webm", "big-buck-bunny.mp4", "sax.wav", "cockatoo.mp4"])
def test_music_and_noise_give_no_words(library: RealLibrary, name: str) -> None:
    assert library.texts(name, "speech") == []


def test_sounds_are_told_and_found(library: RealLibrary) -> None:
    if not library.has_sounds:
        pytest.skip("the model of sounds is not beside this checkout")
    encoder = yamnet(sounds_beside(DEFAULT_MEDIA))
    assert encoder is not None
    assert "Saxophone" in [tag.label for tag in best_classes(encoder, SAXOPHONE)]
    assert library.texts("speech.mp4", "sounds")[0].startswith("Speech")
    assert library.engine.search("saxophone music").moments[0].video.path.name == "sax.wav"
    assert library.engine.search("people speaking").moments[0].video.path.name in ("speech.mp4", "jfk.flac")
