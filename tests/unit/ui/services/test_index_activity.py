"""Whether the library is being written, and how that is shown."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

from indexer.store.lock import is_being_written, writing
from ui.services.context import Context
from ui.services.index_jobs import BY_ANOTHER_PROGRAM, IndexProgress, Jobs


class Clock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


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
        while not over.wait(0.001):
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


def test_another_program_is_noticed_and_asked_for_once_a_second(tmp_path: Path) -> None:
    clock = Clock()
    activity = Jobs(Context.load(None, tmp_path / "index"), clock=clock).activity
    assert activity() is None
    with writing(tmp_path / "index"):
        assert activity() is None
        clock.now_s += 1.0
        assert activity() == BY_ANOTHER_PROGRAM
        assert BY_ANOTHER_PROGRAM.line.startswith("Another program is writing the library. ")
    clock.now_s += 1.0
    assert activity() is None


def test_a_job_is_told_in_words() -> None:
    begun = IndexProgress("running", 1, "Adding /films")
    assert begun.line == "Adding /films. What is finished can be found already."
    job = replace(begun, done=3, total=12, bytes_done=1, bytes_total=4)
    assert job.line.startswith("Adding /films: 3 of 12 videos, 25 %. ")
    assert "3 of 12 videos, 25 %, about 2 min left." in replace(job, media_s=9.0, step_s=40.0).line
    assert replace(job, done=1, total=1, bytes_done=4, media_s=9.0, step_s=40.0).line.startswith(
        "Adding /films: 1 of 1 video, 100 %. "
    )
