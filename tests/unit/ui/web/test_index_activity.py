"""Who writes the library, and what is told of it meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from indexer.store.lock import is_being_written, writing
from ui.services.context import Context
from ui.services.index_jobs import JobProgress, Jobs
from ui.web.index_activity import Growing, Growth, growth_of


class Clock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    idle = Jobs(Context.load(None, tmp_path / "index"))
    yield idle
    idle.close()


def test_asking_for_a_writer_makes_nothing(tmp_path: Path) -> None:
    assert not is_being_written(tmp_path / "index")
    assert not (tmp_path / "index").exists()
    (tmp_path / "index").mkdir()
    assert not is_being_written(tmp_path / "index")
    assert list((tmp_path / "index").iterdir()) == []


def test_a_writer_is_seen_and_not_in_the_way(tmp_path: Path) -> None:
    with writing(tmp_path):
        assert is_being_written(tmp_path)
        assert is_being_written(tmp_path)
    assert not is_being_written(tmp_path)


def test_who_asks_keeps_no_writer_out(tmp_path: Path) -> None:
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            is_being_written(tmp_path)

    asking = [threading.Thread(target=ask) for _ in range(2)]
    for thread in asking:
        thread.start()
    try:
        for _ in range(30):
            with writing(tmp_path):
                assert is_being_written(tmp_path)
    finally:
        over.set()
        for thread in asking:
            thread.join()


def test_another_program_is_noticed_and_asked_for_once_a_second(jobs: Jobs, tmp_path: Path) -> None:
    clock = Clock()
    growing = Growing(jobs, tmp_path / "index", clock)
    assert growing() is None
    with writing(tmp_path / "index"):
        assert growing() is None
        clock.now_s += 1.0
        growth = growing()
        assert growth is not None
        assert not growth.is_ours
        assert growth.line.startswith("Another program is writing the library. ")
    clock.now_s += 1.0
    assert growing() is None


def test_a_job_is_told_in_words() -> None:
    begun = growth_of(JobProgress("running", 1, "Adding /films"))
    assert begun.line == "Adding /films. What is finished can be found already."
    job = JobProgress("running", 1, "Adding /films", videos_done=3, videos_total=12, bytes_done=1, bytes_total=4)
    assert growth_of(job).line.startswith("Adding /films: 3 of 12 videos, 25 %. ")
    assert "3 of 12 videos, 25 %, about 2 min left." in Growth("A", 3, 12, 0.25, left_s=120.0).line
    assert Growth("A", 1, 1, 1.0, left_s=0.0).line.startswith("A: 1 of 1 video, 100 %. ")
