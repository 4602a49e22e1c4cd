"""Every store answers alike; the store in memory is the oracle."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.core.errors import IndexBusyError, IndexDamagedError, IndexIncompatibleError, IndexMissingError
from indexer.core.types import Cue, ModalityName, Record, Sighting, Video
from indexer.modalities.registry import space_of
from indexer.models.base import Fingerprint
from indexer.store import open_store
from indexer.store.base import Commit, Location, Manifest, ModalityState, VectorStore
from indexer.store.chroma import ChromaStore
from indexer.store.commit_json import decode_commit, encode_commit
from indexer.store.lock import writing
from indexer.store.memory import MemoryStore

DIM = 16


def standing() -> float:
    """A clock by which opening takes no time, so that no refresh is put off."""
    return 0.0


def vectors(count: int, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def records(video_id: str, count: int, *, modality: ModalityName = "frames", seed: int = 0) -> list[Record]:
    return [
        Record(
            f"{video_id}:{modality}:{row}",
            video_id,
            modality,
            space_of(modality),
            row,
            row + 1.0,
            row + 0.5,
            vector,
            f"text {row}",
            row,
        )
        for row, vector in enumerate(vectors(count, seed))
    ]


def commit(video_id: str, path: str = "/films/a.mp4", **changes: object) -> Commit:
    video = Video(video_id, Path(path), 10, 20, 3.5, Fraction(30000, 1001), 640, 360, True, "T", "D", "L", {"n": 2})
    whole = Commit(
        video=video,
        state="committed",
        locations=(Location(Path(path), Path("/films"), 10, 20),),
        modalities={"frames": ModalityState("abc", 3)},
        sidecars="s",
        shots=2,
        corrupt_packets=1,
        warnings=("careful",),
        indexed_at="2026-01-01T00:00:00+00:00",
    )
    return replace(whole, **changes)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Chroma server of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("server")
    command = [
        Path(sys.executable).with_name("chroma"),
        "run",
        "--path",
        folder,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_for(port)
        yield f"http://127.0.0.1:{port}"
        process.terminate()


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("the Chroma server did not start")


@pytest.fixture(params=["memory", "chroma", "server"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], VectorStore]]:
    made: list[VectorStore] = []

    def make() -> VectorStore:
        if request.param == "memory":
            made.append(MemoryStore())
        elif request.param == "chroma":
            made.append(open_store(tmp_path / "db", create=True))
        else:
            url = request.getfixturevalue("server")
            made.append(open_store(tmp_path, name=f"test-{uuid.uuid4().hex}", url=url, create=True))
        return made[-1]

    yield make
    for store in made:
        store.close()


@pytest.fixture
def store(make_store: Callable[[], VectorStore]) -> VectorStore:
    return make_store()


def test_a_new_store_is_empty(store: VectorStore) -> None:
    assert store.read_manifest() is None
    assert store.commits() == {}
    assert [store.count(space) for space in ("frames", "text", "audio")] == [0, 0, 0]
    assert store.nearest("frames", vectors(1)[0], 5) == []


def test_the_manifest_survives(store: VectorStore) -> None:
    print_ = Fingerprint("concepts", "lite0", "00ff", "224 px", DIM)
    manifest = Manifest("embedded", {"frames": ("concepts:lite0", print_)}, "now", roots=(Path("/films"), Path("/ж")))
    store.write_manifest(manifest)
    assert store.read_manifest() == manifest


@pytest.mark.parametrize("path", ["/films/a.mp4", "/фильмы/猫 'x\" \n.mp4", "/films/\udcff\udcfe.mp4"])
def test_a_commit_survives_whatever_its_name(store: VectorStore, path: str) -> None:
    store.write_commit(commit("v1", path))
    assert store.commits() == {"v1": commit("v1", path)}


def test_a_commit_keeps_what_is_known_of_objects_and_speech(store: VectorStore) -> None:
    maximum, mean = ([*map(float, row)] for row in np.random.default_rng(0).random((2, 80)).astype(np.float32))
    told = {"language": "en", "speech_ratio": 0.125}
    written = commit("v1", told=told, object_maximum=tuple(maximum), object_mean=tuple(mean))
    store.write_commit(written)
    assert store.commits() == {"v1": written}


def test_a_commit_of_an_earlier_version_is_read() -> None:
    fields = json.loads(encode_commit(commit("v1")))
    for added in ("told", "object_maximum", "object_mean"):
        del fields[added]
    assert decode_commit(json.dumps(fields)) == commit("v1")


def test_a_commit_is_replaced_and_forgotten(store: VectorStore) -> None:
    store.write_commit(commit("v1", state="pending"))
    store.write_commit(commit("v1"))
    store.write_commit(commit("v2"))
    store.delete_commit("v1")
    assert set(store.commits()) == {"v2"}


def test_a_record_survives(store: VectorStore) -> None:
    store.upsert(records("v1", 1))
    (found,) = store.records("frames", vectors=True)
    (given,) = records("v1", 1)
    assert found.vector.dtype == np.float32
    np.testing.assert_allclose(found.vector, given.vector, rtol=1e-6)
    blank = np.empty(0, dtype=np.float32)
    assert _fields(replace(found, vector=blank)) == _fields(replace(given, vector=blank))


WORDS = (Cue(1.0, 1.4, "Ask"), Cue(1.4, 1.75, 'not\n"wh\u00e4t" \U0001f600'), Cue(2.0, 2.0, "\udcff"))
SIGHTINGS = (Sighting(1.5, "traffic light", 9, 0.75, (0.1, 0.2, 0.3, 1.0)), Sighting(1.5, "bus", 5, 0.5, (0, 0, 1, 1)))


@pytest.mark.parametrize("text", ["2 buses, 1 Traffic Light", "", "\u266a", "\u304c\u3099 \n 100% \\ 'x' \"y\""])
def test_a_record_keeps_its_text_its_words_and_what_was_seen(store: VectorStore, text: str) -> None:
    given_ = replace(records("v1", 1, modality="speech")[0], text=text, words=WORDS, sightings=SIGHTINGS)
    store.upsert([given_])
    [found] = store.records("text", video_id="v1")
    [near] = store.nearest("text", given_.vector, 1)
    for one in (found, near):
        assert (one.text, one.words, one.sightings) == (text, WORDS, SIGHTINGS)


def test_a_record_that_is_replaced_keeps_nothing_of_what_it_was(store: VectorStore) -> None:
    [plain] = records("v1", 1, modality="speech")
    store.upsert([replace(plain, words=WORDS, sightings=SIGHTINGS)])
    store.upsert([replace(plain, text="")])
    [found] = store.records("text")
    assert (found.text, found.words, found.sightings) == ("", (), ())
    assert store.containing("text", ["text", "bus"], 10) == []


def spoken(video_id: str, *texts: str, modality: ModalityName = "speech") -> list[Record]:
    return [
        replace(one, text=text)
        for one, text in zip(records(video_id, len(texts), modality=modality), texts, strict=True)
    ]


@pytest.mark.parametrize(
    ("word", "holding"),
    [
        ("our passion", ["withour passion", "With our PASSION!"]),
        ("HANDS", ["the work of our hands"]),
        ("\u00e9lan", ["\u00c9LAN vital", "elan"]),
        ("elan", ["\u00c9LAN vital", "elan"]),
        ("of", ["the work of our hands"]),
        ("k", ["the work of our hands"]),
        ("\u732b", ["\u9ed2\u3044\u732b\u304c"]),
        ("\u3044\u732b", ["\u9ed2\u3044\u732b\u304c"]),
        ("100%", ["100% a_b"]),
        ("a_b", ["100% a_b"]),
        ("ab", ["100% a_b"]),
        ("%", []),
        ("", []),
        ("zebra", []),
    ],
)
def test_words_are_found_in_any_spelling(store: VectorStore, word: str, holding: list[str]) -> None:
    texts = ("withour passion", "With our PASSION!", "the work of our hands", "\u00c9LAN vital", "elan")
    store.upsert(spoken("v1", *texts, "\u9ed2\u3044\u732b\u304c", "100% a_b", "\u2026", ""))
    assert [one.text for one in sorted(store.containing("text", [word], None), key=by_id)] == holding


def by_id(record: Record) -> str:
    return record.id


def test_any_of_the_words_will_do_in_the_videos_and_modalities_asked_for(store: VectorStore) -> None:
    for video_id in ("v1", "v2"):
        for modality in ("speech", "ocr"):
            store.upsert(spoken(video_id, "red car", "blue sky", "green tree", modality=modality))
    store.upsert(spoken("v1", "red saxophone", modality="sounds"))
    found = store.containing("text", ["red", "Sky"], None, video_ids={"v2"}, modalities={"ocr"})
    assert sorted((one.video_id, one.modality, one.text) for one in found) == [
        ("v2", "ocr", "blue sky"),
        ("v2", "ocr", "red car"),
    ]
    assert len(store.containing("text", ["red", "sky"], None)) == 8
    assert len(store.containing("text", ["red", "sky"], 3)) == 3
    assert [one.text for one in store.containing("audio", ["red"], None)] == ["red saxophone"]
    assert store.containing("text", ["red"], None, video_ids=set()) == []


def test_what_is_found_by_words_has_its_vector_if_it_is_asked_for(store: VectorStore) -> None:
    [one] = spoken("v1", "red car")
    store.upsert([one])
    np.testing.assert_allclose(store.containing("text", ["car"], 5)[0].vector, one.vector, rtol=1e-6)
    assert store.containing("text", ["car"], 5, vectors=False)[0].vector.size == 0


def test_objects_are_found_by_what_each_of_them_is(store: VectorStore) -> None:
    [one] = spoken("v1", "3 sheep, 2 knives", modality="objects")
    store.upsert([replace(one, sightings=SIGHTINGS)])
    for word, number in (("bus", 1), ("Traffic light", 1), ("knives", 1), ("lightbus", 0), ("knivesbus", 0)):
        assert len(store.containing("text", [word], 5)) == number


ANY_TEXT = st.text(
    st.one_of(
        st.sampled_from("abcABC \u00e4\u0308\u00df\u0130\u01c4'-_%*\"\\.\u200b"),
        st.sampled_from("\u732b\u304c\u3099\u30ac\u597d\ud55c\uad6d\u1112\u1161\u11ab\u0e01\u0e31\u0928\u093f"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=12,
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ANY_TEXT, min_size=1, max_size=5), st.lists(ANY_TEXT, max_size=3), st.data())
def test_the_lookup_by_words_equals_a_scan(
    make_store: Callable[[], VectorStore], texts: list[str], words: list[str], data: st.DataObject
) -> None:
    piece = data.draw(st.sampled_from(texts))
    start = data.draw(st.integers(0, len(piece)))
    words = [*words, piece[start : start + 4]]
    store, oracle = made(make_store), MemoryStore()
    store.delete_records("v1")
    for one in (store, oracle):
        one.upsert(spoken("v1", *texts))
    found = [{record.id for record in one.containing("text", words, None)} for one in (store, oracle)]
    assert found[0] == found[1]


def made(make_store: Callable[[], VectorStore]) -> VectorStore:
    """One and the same store for all the examples of a test."""
    if not hasattr(make_store, "store"):
        make_store.store = make_store()  # type: ignore[attr-defined]
    return make_store.store  # type: ignore[attr-defined,no-any-return]


def _fields(record: Record) -> tuple[object, ...]:
    return tuple(getattr(record, name) for name in Record.__slots__ if name != "vector")


def test_upserting_twice_changes_nothing(store: VectorStore) -> None:
    store.upsert(records("v1", 5))
    store.upsert(records("v1", 5))
    assert store.count("frames") == 5


def test_records_go_to_the_space_of_their_modality(store: VectorStore) -> None:
    store.upsert([*records("v1", 2), *records("v1", 3, modality="subtitle"), *records("v1", 4, modality="sounds")])
    assert [store.count(space) for space in ("frames", "text", "audio")] == [2, 3, 4]


def test_deleting_touches_only_what_is_named(store: VectorStore) -> None:
    for video_id in ("v1", "v2"):
        store.upsert(
            [*records(video_id, 2), *records(video_id, 2, modality="subtitle"), *records(video_id, 2, modality="ocr")]
        )
    store.delete_records("v1", ["subtitle"])
    assert sorted({(r.video_id, r.modality) for r in store.records("text")}) == [
        ("v1", "ocr"),
        ("v2", "ocr"),
        ("v2", "subtitle"),
    ]
    store.delete_records("v1")
    assert {r.video_id for space in ("frames", "text") for r in store.records(space)} == {"v2"}


def test_nearest_equals_brute_force(store: VectorStore) -> None:
    given = [*records("v1", 150, seed=1), *records("v2", 150, seed=2)]
    store.upsert(given)
    for query in vectors(5, seed=3):
        exact = sorted(given, key=lambda record: -float(record.vector @ query))[:10]
        found = store.nearest("frames", query, 10)
        assert [record.id for record in found] == [record.id for record in exact]


def test_many_threads_at_once_are_answered_as_one_after_another(store: VectorStore) -> None:
    store.upsert([*records("v1", 120), *records("v2", 120, seed=1), *records("v1", 60, modality="speech", seed=2)])

    def ask(place: int) -> list[str]:
        if place % 3 == 0:
            return sorted(one.id for one in store.containing("text", [f"text {place}"], 200))
        narrow = {"video_ids": ["v2"]} if place % 2 else {}
        return [one.id for one in store.nearest("frames", vectors(60, seed=9)[place], 10 + place % 4, **narrow)]

    alone = [ask(place) for place in range(60)]
    with ThreadPoolExecutor(12) as people:
        assert list(people.map(ask, range(60))) == alone
    assert all(alone)


def test_what_was_read_before_a_change_is_not_found_after_it(store: VectorStore) -> None:
    def both() -> list[list[str]]:
        near, holding = store.nearest("frames", vectors(1)[0], 3), store.containing("frames", ["text", "new"], 3)
        return [sorted(one.text for one in found) for found in (near, holding)]

    store.upsert(records("v1", 3))
    assert both() == [["text 0", "text 1", "text 2"]] * 2
    store.upsert([replace(one, text="new") for one in records("v1", 2)])
    assert both() == [["new", "new", "text 2"]] * 2
    store.delete_records("v1")
    assert both() == [[], []]


def test_nearest_keeps_to_the_videos_and_modalities_asked_for(store: VectorStore) -> None:
    for number in range(4):
        store.upsert(records(f"v{number}", 20, modality="subtitle", seed=number))
        store.upsert(records(f"v{number}", 20, modality="ocr", seed=9 + number))
    found = store.nearest("text", vectors(1)[0], 100, video_ids={"v1", "v3"}, modalities={"ocr"})
    assert {(r.video_id, r.modality) for r in found} == {("v1", "ocr"), ("v3", "ocr")}
    assert len(found) == 40
    assert store.nearest("text", vectors(1)[0], 100, video_ids=()) == []


def test_one_video_can_be_read_alone(store: VectorStore) -> None:
    store.upsert([*records("v1", 3), *records("v2", 4)])
    assert {record.video_id for record in store.records("frames", video_id="v2")} == {"v2"}
    assert all(record.vector.size == 0 for record in store.records("frames"))


def test_a_closed_store_says_so(store: VectorStore) -> None:
    store.close()
    store.close()
    with pytest.raises(IndexDamagedError, match="closed"):
        store.commits()


def test_opening_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(IndexMissingError, match="There is no index"):
        ChromaStore(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_opening_another_name_is_an_error(tmp_path: Path) -> None:
    ChromaStore(tmp_path, name="films", create=True).close()
    with pytest.raises(IndexMissingError, match="'series'"):
        ChromaStore(tmp_path, name="series")


def test_a_server_that_does_not_answer_is_named(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(IndexMissingError, match="server"):
        open_store(tmp_path, url=url)


def test_a_damaged_database_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "chroma.sqlite3").write_bytes(b"this is no database" * 100)
    with pytest.raises(IndexDamagedError):
        ChromaStore(tmp_path)


def test_records_of_an_older_index_are_read_as_they_were(tmp_path: Path) -> None:
    """There the document was the text."""
    import chromadb

    with_text, without = records("v1", 2, modality="speech")
    ChromaStore(tmp_path, create=True).close()
    client = chromadb.PersistentClient(tmp_path)
    facts = {"video_id": "v1", "modality": "speech", "start_s": 0.0, "end_s": 1.0, "time_s": 0.5, "shot": -1}
    client.get_collection("sceneseek-text", embedding_function=None).upsert(
        ids=[with_text.id, without.id],
        embeddings=np.stack([with_text.vector, without.vector]),
        metadatas=[facts, facts],
        documents=["Ask not, what\nyour country", ""],
    )
    client.close()
    store = ChromaStore(tmp_path)
    assert [one.text for one in sorted(store.records("text"), key=by_id)] == ["Ask not, what\nyour country", ""]
    assert store.nearest("text", with_text.vector, 1)[0].text == "Ask not, what\nyour country"
    assert [one.text for one in store.containing("text", ["country"], 5)] == ["Ask not, what\nyour country"]


def test_vectors_of_another_dimension_are_refused(tmp_path: Path) -> None:
    store = ChromaStore(tmp_path, create=True)
    store.upsert(records("v1", 2))
    odd = Record("x", "v1", "frames", "frames", 0.0, 1.0, 0.0, np.ones(3, dtype=np.float32))
    with pytest.raises(IndexIncompatibleError):
        store.upsert([odd])


def test_more_records_than_a_page_are_all_read(tmp_path: Path) -> None:
    store = ChromaStore(tmp_path, create=True)
    store.upsert(records("v1", 4500))
    assert len({record.id for record in store.records("frames")}) == 4500


def test_what_is_found_by_words_is_read_in_pages(tmp_path: Path) -> None:
    store = ChromaStore(tmp_path, create=True, found_page=100)
    store.upsert(records("v1", 300))
    for limit, found in ((None, 300), (299, 299), (200, 200), (100, 100), (7, 7)):
        assert len({record.id for record in store.containing("frames", ["text"], limit)}) == found


WRITER = """
import sys, numpy as np
from pathlib import Path
from indexer.store import open_store
from indexer.core.types import Record
store = open_store(Path(sys.argv[1]), create=True)
vector = np.eye(16, dtype=np.float32)[0]
store.upsert([Record("other", "v9", "frames", "frames", 0.0, 1.0, 0.0, vector)])
"""


def test_a_reader_finds_what_another_process_has_written(tmp_path: Path) -> None:
    reader = ChromaStore(tmp_path, create=True)
    reader.upsert(records("v1", 10))
    target = np.eye(DIM, dtype=np.float32)[0]
    assert reader.nearest("frames", target, 1)[0].video_id == "v1"
    subprocess.run([sys.executable, "-c", WRITER, str(tmp_path)], check=True)
    assert reader.refresh()
    assert reader.nearest("frames", target, 1)[0].video_id == "v9"
    assert not reader.refresh()


REPLACER = """
import sys
from pathlib import Path
from indexer.store.chroma import ChromaStore
from tests.contract.test_stores import records
store = ChromaStore(Path(sys.argv[1]))
store.delete_records("v1")
store.upsert(records("v2", 40, modality="speech", seed=3))
"""


@pytest.mark.parametrize("way", ["filtered", "plain", "by words"])
def test_a_reader_that_another_process_overtakes_answers_all_the_same(tmp_path: Path, way: str) -> None:
    writer = ChromaStore(tmp_path, create=True)
    writer.upsert(records("v1", 40, modality="speech"))
    writer.close()
    reader = ChromaStore(tmp_path)
    target = np.eye(DIM, dtype=np.float32)[0]
    read_before = {record.id for record in reader.nearest("text", target, 5)}
    assert len(read_before) == 5
    subprocess.run([sys.executable, "-c", REPLACER, str(tmp_path)], check=True)
    if way == "plain":  # only vectors that it has loaded, of rows that are gone but for those read before
        found = reader.nearest("text", target, 40)
        assert {record.id for record in found if record.video_id == "v1"} <= read_before
    elif way == "filtered":
        assert {record.video_id for record in reader.nearest("text", target, 5, modalities=["speech"])} == {"v2"}
    else:
        assert len(reader.containing("text", ["text"], None)) == 40
    assert reader.refresh()
    assert {record.video_id for record in reader.nearest("text", target, 40)} == {"v2"}


def test_opening_an_index_anew_is_no_change_to_see(tmp_path: Path) -> None:
    writer = ChromaStore(tmp_path, create=True)
    writer.upsert(records("v1", 3))
    writer.close()
    reader = ChromaStore(tmp_path, clock=standing)
    subprocess.run([sys.executable, "-c", WRITER, str(tmp_path)], check=True)
    assert [reader.refresh() for _ in range(3)] == [True, False, False]


def test_a_refresh_soon_after_a_slow_one_is_put_off(tmp_path: Path) -> None:
    seconds = iter([0.0, 100.0, 101.0, 103.0, 110.0, 200.0, 201.0, 203.0])  # opening takes 2 s each time
    reader = ChromaStore(tmp_path, create=True, clock=lambda: next(seconds))
    refreshed = []
    for _ in range(3):
        subprocess.run([sys.executable, "-c", WRITER, str(tmp_path)], check=True)
        refreshed.append(reader.refresh())
    assert refreshed == [True, False, True]


def test_a_second_writer_is_refused_at_once(tmp_path: Path) -> None:
    code = "import sys\nfrom pathlib import Path\nfrom indexer.store.lock import writing\n"
    code += "with writing(Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()\n"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdin=-1, stdout=-1, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(IndexBusyError, match="Another process"), writing(tmp_path):
            pass
        holder.kill()
        holder.wait()
        with writing(tmp_path):
            pass


def test_a_query_outlives_the_refresh_of_another_thread(tmp_path: Path) -> None:
    reader = ChromaStore(tmp_path, create=True)
    reader.upsert(records("v1", 2500))
    rows = reader.records("frames")
    next(rows)
    subprocess.run([sys.executable, "-c", WRITER, str(tmp_path)], check=True)
    assert reader.refresh()
    assert sum(1 for _ in rows) >= 2499


def test_a_refresh_that_fails_is_tried_again(tmp_path: Path) -> None:
    reader = ChromaStore(tmp_path / "db", create=True, clock=standing)
    reader.upsert(records("v1", 1))
    assert reader.refresh()
    (tmp_path / "db").rename(tmp_path / "away")
    for _ in range(2):
        with pytest.raises(IndexMissingError):
            reader.refresh()
    (tmp_path / "away").rename(tmp_path / "db")
    assert reader.count("frames") == 1
