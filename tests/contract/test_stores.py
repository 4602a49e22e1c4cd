"""Every store answers alike; the store in memory is the oracle."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from indexer.errors import IndexBusyError, IndexDamagedError, IndexIncompatibleError, IndexMissingError
from indexer.models.base import Fingerprint
from indexer.store import open_store
from indexer.store.base import Commit, Location, Manifest, ModalityState, VectorStore
from indexer.store.chroma import ChromaStore
from indexer.store.lock import writing
from indexer.store.memory import MemoryStore
from indexer.types import Modality, Record, Video

DIM = 16


def vectors(count: int, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def records(video_id: str, count: int, *, modality: Modality = "frames", seed: int = 0) -> list[Record]:
    return [
        Record(
            f"{video_id}:{modality}:{row}", video_id, modality, row, row + 1.0, row + 0.5, vector, f"text {row}", row
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


def test_nearest_keeps_to_the_videos_and_modalities_asked_for(store: VectorStore) -> None:
    for number in range(4):
        store.upsert(records(f"v{number}", 20, modality="subtitle", seed=number))
        store.upsert(records(f"v{number}", 20, modality="ocr", seed=9 + number))
    found = store.nearest("text", vectors(1)[0], 100, video_ids={"v1", "v3"}, modalities={"ocr"})
    assert {(r.video_id, r.modality) for r in found} == {("v1", "ocr"), ("v3", "ocr")}
    assert len(found) == 40


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


def test_vectors_of_another_dimension_are_refused(tmp_path: Path) -> None:
    store = ChromaStore(tmp_path, create=True)
    store.upsert(records("v1", 2))
    odd = Record("x", "v1", "frames", 0.0, 1.0, 0.0, np.ones(3, dtype=np.float32))
    with pytest.raises(IndexIncompatibleError):
        store.upsert([odd])


def test_more_records_than_a_page_are_all_read(tmp_path: Path) -> None:
    store = ChromaStore(tmp_path, create=True)
    store.upsert(records("v1", 4500))
    assert len({record.id for record in store.records("frames")}) == 4500


WRITER = """
import sys, numpy as np
from pathlib import Path
from indexer.store import open_store
from indexer.types import Record
store = open_store(Path(sys.argv[1]), create=True)
vector = np.eye(16, dtype=np.float32)[0]
store.upsert([Record("other", "v9", "frames", 0.0, 1.0, 0.0, vector)])
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
    reader = ChromaStore(tmp_path / "db", create=True)
    reader.upsert(records("v1", 1))
    assert reader.refresh()
    (tmp_path / "db").rename(tmp_path / "away")
    for _ in range(2):
        with pytest.raises(IndexMissingError):
            refresh_until_tried(reader)
    (tmp_path / "away").rename(tmp_path / "db")
    assert reader.count("frames") == 1


def refresh_until_tried(reader: ChromaStore) -> None:
    """A refresh soon after another one is put off."""
    deadline = time.monotonic() + 10
    while not reader.refresh() and time.monotonic() < deadline:
        time.sleep(0.05)
