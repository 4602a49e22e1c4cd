"""What unrelated queries score: when it is measured anew, when not, and what a damaged file does to a search."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest

from indexer.core.types import Embedding, Record
from indexer.store.base import Manifest, ModalityState
from indexer.store.memory import MemoryStore
from search.catalogue import Catalogue, index_signature
from search.confidence.background import Background, Channel, NullDistribution
from search.confidence.background_cache import BackgroundCache
from search.confidence.bank import BankScorer, EncodedBank, bank_queries
from search.confidence.rating import Rater
from search.evaluate.runs import keep_answers, read_answers
from search.match.calibration import Calibration
from search.match.candidates import QueryVector
from search.moments import Hit
from search.query.query import Query
from tests.unit.search.letters import MADE_WITH, LetterEncoder, LetterModels, engine_of, library

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC).timestamp()


class Measurer:
    """An index's background, at a time of its own, and how often it was measured."""

    def __init__(self, store: MemoryStore, folder: Path | None = None) -> None:
        self.store, self.now, self.times = store, NOON, 0
        self.kept = BackgroundCache(folder, learning=self._counted, now=lambda: self.now)
        self.meanwhile: Callable[[], object] = lambda: None

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self.times += 1
        self.meanwhile()
        yield

    def measured(self) -> Background:
        return self.kept.measured(self.store, Catalogue.read(self.store), LetterModels(LetterEncoder()))


def indexed(store: MemoryStore, key: str, at: float, *, sidecars: str = "", shown: str = "") -> None:
    """The video was indexed again at this time, from these sidecars, showing something else perhaps."""
    commit = store.commits()[key]
    if shown:
        vector = LetterEncoder().encode_queries([shown])[0]
        store.upsert([Record(f"{key}/frames/0", key, "frames", "frames", 0, 5, 2, vector, shot=0)])
    when = datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
    store.write_commit(replace(commit, indexed_at=when, sidecars=sidecars))


def scenes(count: int) -> MemoryStore:
    return library([f"scene {number}" for number in range(count)])


def test_a_text_edited_beside_a_video_changes_the_signature() -> None:
    store = library(["grey owl"], ["mind the gap"])
    indexed(store, "video0", NOON, sidecars="before")
    before = index_signature(Catalogue.read(store))
    assert index_signature(Catalogue.read(store)) == before
    indexed(store, "video0", NOON, sidecars="after")
    edited = index_signature(Catalogue.read(store))
    indexed(store, "video0", NOON + 1, sidecars="after")
    assert len({before, edited, index_signature(Catalogue.read(store))}) == 3


def test_an_edited_text_is_measured_anew_and_old_answers_are_not_gone_on_with(tmp_path: Path) -> None:
    measurer = Measurer(library(["grey owl"]), tmp_path)
    first = measurer.measured()
    old = index_signature(Catalogue.read(measurer.store))
    keep_answers(tmp_path / "searched.json", old, {"1": ("owl", {"videos": []})})
    indexed(measurer.store, "video0", NOON - 3600, sidecars="edited", shown="blue tram")
    second = measurer.measured()
    assert measurer.times == 2
    assert not np.allclose(*(one.distributions[Channel("frames", "meaning")].scores for one in (first, second)))
    assert read_answers(tmp_path / "searched.json", index_signature(Catalogue.read(measurer.store))) == {}


def test_what_was_measured_while_the_index_was_written_is_not_kept(tmp_path: Path) -> None:
    measurer = Measurer(scenes(3), tmp_path)
    measurer.meanwhile = lambda: indexed(measurer.store, "video0", NOON - 3600, sidecars="edited")
    catalogue = Catalogue.read(measurer.store)
    measurer.measured()
    assert not (tmp_path / "scores.json").exists()
    assert measurer.kept.known(catalogue) is None
    measurer.meanwhile = lambda: None
    measurer.measured()
    measurer.measured()
    assert measurer.times == 2
    assert (tmp_path / "scores.json").exists()


def test_an_index_being_written_is_not_measured_with_every_video() -> None:
    measurer = Measurer(scenes(20))
    first = measurer.measured()
    for key in ("video0", "video1", "video2", "video3"):
        measurer.now += 10
        indexed(measurer.store, key, measurer.now)
        assert measurer.measured() is first
    measurer.now += 25  # the measurement is 65 s old, and a fifth of the records are others
    assert measurer.measured() is not first
    assert measurer.times == 2


def test_few_changed_records_wait_until_the_index_is_left_alone() -> None:
    measurer = Measurer(scenes(20))
    first = measurer.measured()
    measurer.now += 500
    indexed(measurer.store, "video0", measurer.now)  # one of twenty: less than a tenth
    assert measurer.measured() is first
    measurer.now += 59
    assert measurer.measured() is first
    measurer.now += 2
    assert measurer.measured() is not first
    assert measurer.times == 2


def test_another_process_goes_on_with_what_was_measured_too(tmp_path: Path) -> None:
    store = scenes(20)
    Measurer(store, tmp_path).measured()
    indexed(store, "video0", NOON)
    other = Measurer(store, tmp_path)
    other.now = NOON + 30
    other.measured()
    assert other.times == 0
    other.now = NOON + 90
    other.measured()
    assert other.times == 1


def test_a_kind_of_evidence_that_was_not_measured_is_not_waited_with() -> None:
    measurer = Measurer(scenes(20))
    measurer.measured()
    vector = LetterEncoder().encode_queries(["hello"])[0]
    measurer.store.upsert([Record("video0/ocr/0", "video0", "ocr", "text", 0, 1, 0, vector, text="hello")])
    commit = measurer.store.commits()["video0"]
    measurer.store.write_commit(replace(commit, modalities={**commit.modalities, "ocr": ModalityState("o", 1)}))
    indexed(measurer.store, "video0", measurer.now)
    assert Channel("ocr", "meaning") in measurer.measured().distributions


def test_who_comes_while_it_is_measured_does_not_wait() -> None:
    measurer = Measurer(scenes(3))
    first = measurer.measured()
    indexed(measurer.store, "video0", NOON - 3600)
    began, go_on = Event(), Event()

    def wait() -> None:
        began.set()
        assert go_on.wait(10)

    measurer.meanwhile = wait
    measuring = Thread(target=measurer.measured)
    measuring.start()
    assert began.wait(10)
    try:
        assert measurer.measured() is first
    finally:
        go_on.set()
        measuring.join()
    assert measurer.measured() is not first
    assert measurer.times == 2


def packed(rows: int, dim: int) -> dict[str, object]:
    return {"shape": [rows, dim], "float16": base64.b64encode(bytes(2 * rows * dim)).decode()}


COUNT = len(bank_queries())
DAMAGES: dict[str, Callable[[dict[str, object]], object]] = {
    "ragged": lambda kept: kept["channels"][0].__setitem__(3, [[0.1], [0.1, 0.2]]),  # type: ignore[index]
    "empty": lambda kept: kept["channels"][0].__setitem__(3, []),  # type: ignore[index]
    "a score less": lambda kept: kept["channels"][0][3].pop(),  # type: ignore[index]
    "not a number": lambda kept: kept["channels"][0].__setitem__(3, [float("nan")] * COUNT),  # type: ignore[index]
    "spread of 0": lambda kept: kept["channels"][0].__setitem__(2, 0),  # type: ignore[index]
    "a list for a name": lambda kept: kept["channels"][0].__setitem__(0, ["frames"]),  # type: ignore[index]
    "another dimension": lambda kept: kept.__setitem__("vocabularies", {"frames": packed(5, 3)}),
    "a list of vocabularies": lambda kept: kept.__setitem__("vocabularies", []),
    "a number of channels": lambda kept: kept.__setitem__("channels", 7),
    "another score": lambda kept: kept["channels"][0][3].__setitem__(0, 0.123),  # type: ignore[index]
}


@pytest.mark.parametrize("forged", [False, True])
@pytest.mark.parametrize("damage", list(DAMAGES))
def test_a_damaged_file_is_made_anew(tmp_path: Path, damage: str, forged: bool) -> None:
    store, path = library(["grey owl", "blue tram"], ["mind the gap"]), tmp_path / "scores.json"
    engine_of(store, tmp_path)[0].search(Query(text="grey owl", min_confidence=0.5))
    whole = json.loads(path.read_text())
    damaged = json.loads(path.read_text())
    DAMAGES[damage](damaged)
    if forged and damage not in ("another dimension", "another score"):  # of those, nothing but the digest tells
        del damaged["digest"]
        text = json.dumps(damaged, sort_keys=True)
        damaged["digest"] = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    path.write_text(json.dumps(damaged))
    found = engine_of(store, tmp_path)[0].search(Query(text="grey owl", min_confidence=0.5))
    assert [moment.video.id for moment in found.moments] == ["video0"]
    for before, after in zip(whole["channels"], json.loads(path.read_text())["channels"], strict=True):
        assert after[:3] == before[:3]
        assert after[3] == pytest.approx(before[3], abs=0.001)  # the bank's vectors are kept in 16 bits


@pytest.mark.parametrize("text", ["[" * 100_000, '{"queries": ' * 50_000])
def test_a_file_of_nothing_but_brackets_is_made_anew(tmp_path: Path, text: str) -> None:
    for name in ("scores.json", "vectors.json", "searched.json"):
        (tmp_path / name).write_text(text)
    engine, _ = engine_of(library(["grey owl"]), tmp_path)
    assert engine.search(Query(text="grey owl", min_confidence=0.5)).moments
    assert read_answers(tmp_path / "searched.json", "s") == {}


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    for name in ("scores.json.0123.tmp", "vectors.json.4567.tmp"):
        (tmp_path / name).write_text("cut o")
    engine_of(library(["grey owl"]), tmp_path)[0].search(Query(text="grey owl", min_confidence=0.5))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scores.json", "vectors.json"]


@pytest.mark.parametrize(
    "queries",
    [
        [],
        None,
        7,
        {"1": 3},
        {"1": ["red car"]},
        {"1": ["red car", 3]},
        {"1": [["red"], {"videos": []}]},
        {"1": ["red car", {"videos": 3}]},
        {"1": ["red car", {"videos": [["v1"]]}]},
        {"1": ["red car", {"videos": [[["v1"], 1.0]]}]},
        {"1": ["red car", {"videos": [["v1", "first"]]}]},
        {"1": ["red car", {"videos": [["v1", float("nan")]]}]},
    ],
)
def test_damaged_answers_are_none(tmp_path: Path, queries: object) -> None:
    path = tmp_path / "searched.json"
    path.write_text(json.dumps({"signature": "s", "queries": queries}))
    assert read_answers(path, "s") == {}
    path.write_text(json.dumps({"signature": "s", "queries": {"1": ["red car", {"videos": [["v1", 1.0]]}]}}))
    assert read_answers(path, "s") == {"1": ("red car", {"videos": [("v1", 1.0)]})}


def unit(towards: Sequence[float]) -> Embedding:
    vector = np.array(towards, np.float32)
    return vector / np.float32(np.linalg.norm(vector))


def test_a_rare_kind_of_evidence_has_scores_of_its_own() -> None:
    """Forty signs are near every query, and the one thing said is far: its own cosine counts, not the signs'."""
    store = library(["grey owl"], ["mind the gap"])
    spoken = replace(next(store.records("text", vectors=True)), vector=unit([0.1, 0.995]))
    signs = [
        Record(f"video0/ocr/{place}", "video0", "ocr", "text", place, place + 1, place, unit([0.9, 0.436]), text="exit")
        for place in range(40)
    ]
    store.upsert([spoken, *signs])
    commit = store.commits()["video0"]
    counts = {**commit.modalities, "ocr": ModalityState("o", len(signs))}
    store.write_commit(replace(commit, modalities=counts))
    vectors = np.stack([unit([1, 0])] * 3)
    bank = EncodedBank(vectors, None, Calibration(0.0, 1.0), vectors)
    scorer = BankScorer(store, Catalogue.read(store), ("a", "b", "c"), most_read=1)
    background = scorer.background({"text": bank})
    scores = {name: background.distributions[Channel(name, "meaning")].scores for name in ("ocr", "speech")}
    assert scores["ocr"] == pytest.approx([0.9] * 3, abs=0.001)
    assert scores["speech"] == pytest.approx([0.1] * 3, abs=0.001)


def rater_of_texts() -> Rater:
    """Signs are like every query (around 0.6), what is said is like none (around 0.1)."""
    rng = np.random.default_rng(0)
    nulls = [
        NullDistribution(Channel("ocr", "meaning"), rng.normal(0.6, 0.05, 400), 0.05),
        NullDistribution(Channel("speech", "meaning"), rng.normal(0.1, 0.05, 400), 0.05),
    ]
    background = Background({null.channel: null for null in nulls})
    text = QueryVector("text", unit([1, 0]), frozenset({"ocr", "speech"}), Calibration(0.0, 1.0))
    frames = QueryVector("frames", unit([1, 0]), frozenset({"frames"}), Calibration(0.0, 1.0))
    return Rater(background, [text, frames], "a query")


def sign(score: float, place: int) -> Hit:
    return Hit(f"o{place}", "v", "ocr", place, place + 1, place, score, text="exit")


def test_one_kind_of_evidence_does_not_exclude_another_deeper_down() -> None:
    rater = rater_of_texts()
    signs = [sign(0.6 - place / 1000, place) for place in range(50)]  # down to 0.551: what is said could still have 0.5
    assert not rater.excludes_deeper(signs, 0.5, {"text"})
    assert rater.excludes_deeper(signs, 0.5, set())
    assert rater.excludes_deeper([*signs, sign(0.1, 50)], 0.5, {"text"})
    assert not rater.excludes_deeper([*signs, sign(0.1, 50)], 0.5, {"text", "frames"})
    assert not rater.excludes_deeper([sign(0.95, 0), sign(0.1, 1)], 0.5, {"text"})


def test_an_answer_said_is_found_behind_many_signs() -> None:
    """Every query is like the sixty signs; what is said is like one query alone, and less so than the signs are."""
    store = MemoryStore()
    store.write_manifest(Manifest("test", {"text": ("x", MADE_WITH)}, ""))
    base = library(["x"], ["needle"])
    common = CommonEncoder()
    said = (0.3 * common.own("needle") + 0.954 * unit_of(2)).astype(np.float32)
    records = [Record("video0/speech/0", "video0", "speech", "text", 80, 81, 80, said, text="thimble")]
    records += [
        Record(f"video0/ocr/{place}", "video0", "ocr", "text", place, place + 1, place, unit_of(0), text=f"xq{place}")
        for place in range(60)
    ]
    store.upsert(records)
    counts = {"speech": ModalityState("s", 1), "ocr": ModalityState("o", 60)}
    store.write_commit(replace(base.commits()["video0"], modalities=counts))
    from search.engine import SearchEngine, SearchOptions

    flat = SearchOptions(calibrations={"text-text": Calibration(0.0, 0.5)})
    engine = SearchEngine(store, lambda: CommonModels(common), options=flat)
    found = engine.search(Query(text="needle", min_confidence=0.9)).moments
    assert [hit.modality for moment in found for hit in moment.hits] == ["speech"]


def unit_of(axis: int) -> Embedding:
    return np.eye(64, dtype=np.float32)[axis]


class CommonEncoder(LetterEncoder):
    """Half of every text is what all have in common."""

    def own(self, text: str) -> Embedding:
        own = super().encode_queries([text])[0].copy()
        own[[0, 2]] = 0
        return own / np.float32(np.linalg.norm(own))

    def encode_queries(self, texts: Sequence[str]) -> Embedding:
        return np.stack([np.float32(0.5) * unit_of(0) + np.float32(0.866) * self.own(text) for text in texts])

    encode_texts = encode_documents = encode_queries


class CommonModels:
    """A model of texts alone."""

    frames = None
    sounds = None

    def __init__(self, text: CommonEncoder) -> None:
        self.text = text
