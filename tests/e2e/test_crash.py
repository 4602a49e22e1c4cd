"""A process killed at any point, two at once, and one that searches while another writes."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from indexer.core.errors import IndexBusyError
from indexer.maintenance.inspect import verify_index
from indexer.store import open_store
from indexer.store.base import VectorStore
from indexer.store.lock import writing
from search.engine import SearchEngine
from tests.clips import BLUE, GREEN, RED, WHITE, YELLOW, clip
from tests.e2e import indexing_process
from tests.encoders import ColourEncoder, WordEncoder

SRT = "1\n00:00:00,200 --> 00:00:00,900\nThe kettle is singing in film {}.\n"


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for number in range(8):
        clip(folder / f"{number}.mp4", [RED, GREEN, BLUE, WHITE, YELLOW], seed=10 * number)
        (folder / f"{number}.srt").write_text(SRT.format(number))
    return folder


@pytest.fixture(scope="module")
def few(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first four of the films."""
    folder = tmp_path_factory.mktemp("few")
    for number in range(4):
        for path in films.glob(f"{number}.*"):
            shutil.copy(path, folder)
    return folder


def start(films: Path, index: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.e2e.indexing_process", str(films), str(index)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])


def finish(process: subprocess.Popen[str]) -> int:
    """Wait for it; how many steps it told of."""
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return len(output.splitlines())


def contents(store: VectorStore) -> dict[str, tuple[object, ...]]:
    """Everything the index holds, times of writing apart."""
    held: dict[str, tuple[object, ...]] = {}
    for space in ("frames", "text", "audio"):
        for record in store.records(space, vectors=True):
            assert record.id not in held
            held[record.id] = (record.start_s, record.end_s, record.text, tuple(np.round(record.vector, 6)))
    for key, commit in store.commits().items():
        held[f"commit {key}"] = (commit.state, str(commit.video.path), dict(commit.modalities), commit.shots)
    return held


def read_contents(index: Path) -> dict[str, tuple[object, ...]]:
    store = open_store(index)
    try:
        assert [problem for problem in verify_index(store) if "models it was made" not in problem.what] == []
        return contents(store)
    finally:
        store.close()


def test_killed_at_ten_random_points_a_rerun_gives_what_an_undisturbed_run_gives(few: Path, tmp_path: Path) -> None:
    steps = finish(start(few, tmp_path / "undisturbed"))
    expected = read_contents(tmp_path / "undisturbed")
    assert len(expected) == 4 * (5 + 1 + 1)
    chance = random.Random(7)  # noqa: S311 - a test's points, not a secret
    for number, point in enumerate(sorted(chance.sample(range(1, steps), 10))):
        index = tmp_path / f"killed-{number}"
        with start(few, index) as process:
            assert process.stdout is not None
            for _ in range(point):
                process.stdout.readline()
            time.sleep(chance.uniform(0, 0.03))
            process.kill()
        indexing_process.main(few, index)
        assert read_contents(index) == expected


def test_a_second_process_is_refused_at_once_and_searching_goes_on(films: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    with start(films, index) as process:
        assert process.stdout is not None
        while process.stdout.readline().split()[0] == "0":
            pass
        with pytest.raises(IndexBusyError), writing(index):
            pass
        found_while_writing = set(search_until_done(index, process))
    assert process.returncode == 0
    assert len(found_while_writing) == 8


def search_until_done(index: Path, process: subprocess.Popen[str]) -> list[str]:
    """The videos that one open engine finds while the index grows under it, and once it is whole."""
    models = type("Models", (), {"frames": ColourEncoder(), "text": WordEncoder()})()
    found: list[str] = []
    with SearchEngine(open_store(index), lambda: models) as engine:
        seen_growing = 0
        while process.poll() is None:
            now = [moment.video.path.name for moment in engine.search("a red thing", top_k=50).moments]
            seen_growing += 0 < len(set(now)) < 8
            found += now
        assert seen_growing > 0
        deadline = time.monotonic() + 20
        while len(set(found)) < 8 and time.monotonic() < deadline:
            found += [moment.video.path.name for moment in engine.search("a red thing", top_k=50).moments]
    return found
