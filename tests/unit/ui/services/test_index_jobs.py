"""Jobs of the page: real processes, real indexes, the embedded models."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from indexer.core.errors import IndexBusyError, UsageError
from indexer.progress import IndexReport
from indexer.store.lock import writing
from tests.clips import BLUE, GREEN, RED, WHITE, clip
from ui.services.context import Context
from ui.services.index_jobs import IndexProgress, Jobs

# A limit for what hangs; other work may keep the machine busy.
PATIENCE_S = 300.0


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for name, colours in {"one": [RED, GREEN], "two": [BLUE, WHITE], "three": [GREEN, BLUE]}.items():
        clip(folder / "trips" / f"{name}.mp4", colours, seed=len(name))
    (folder / "broken.mp4").write_bytes(b"no video" * 64)
    return folder


@pytest.fixture(scope="module")
def spare(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second folder, with a copy of one film."""
    folder = tmp_path_factory.mktemp("spare")
    (folder / "copy.mp4").write_bytes((films / "trips" / "two.mp4").read_bytes())
    return folder


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films of so many shots that there is time to stop in the middle."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(3):
        clip(folder / f"{number}.mp4", [RED, GREEN, BLUE, WHITE] * 2, seed=number)
    return folder


def context(index: Path) -> Context:
    """The pictures alone: the other roles only cost time here."""
    return Context.load(None, index, {"models.profile": "embedded", "models.speech": "off", "models.ocr": "off"})


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    running = Jobs(context(tmp_path / "index"), grace_s=10.0)
    yield running
    running.close()
    assert multiprocessing.active_children() == []


@dataclass(frozen=True)
class Made:
    """An index of the films, made by a job, and what the job reported meanwhile."""

    context: Context
    reported: list[IndexProgress]


@pytest.fixture(scope="module")
def made(films: Path, spare: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    jobs = Jobs(context(tmp_path_factory.mktemp("library") / "index"))
    jobs.start([str(films), spare])
    with pytest.raises(IndexBusyError, match="Another job"):
        jobs.start([films])
    reported = [jobs.progress()]
    while reported[-1].is_active:
        time.sleep(0.02)
        reported.append(jobs.progress())
    return Made(jobs.context, reported)


def running_process() -> int:
    """The id of the one process that indexes; a job starts it in a thread."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        for process in multiprocessing.active_children():
            if process.pid is not None:
                return process.pid
        time.sleep(0.02)
    raise AssertionError("no process was started")


def ended(jobs: Jobs) -> IndexProgress:
    """How the job ended."""
    jobs.wait(PATIENCE_S)
    return jobs.progress()


def is_collected(pid: int) -> bool:
    """Whether a child has ended and is no zombie either."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return True
    return False


def until(jobs: Jobs, condition: Callable[[IndexProgress], bool]) -> IndexProgress:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        progress = jobs.progress()
        if condition(progress):
            return progress
        time.sleep(0.02)
    raise AssertionError(f"waited in vain: {jobs.progress()}")


def test_nothing_is_reported_before_the_first_job(jobs: Jobs) -> None:
    assert jobs.progress() == IndexProgress()


def test_a_job_indexes_folders_and_reports_its_progress(made: Made, films: Path, spare: Path) -> None:
    shares = [progress.share for progress in made.reported]
    assert shares == sorted(shares)
    assert any(0 < share < 1 for share in shares)
    first, last = made.reported[0], made.reported[-1]
    assert (first.state, first.what) == ("running", f"Adding {films}, {spare}")
    assert last.state == "done"
    assert isinstance(last.result, IndexReport)
    assert sorted(path.name for path in last.result.indexed) == ["one.mp4", "three.mp4", "two.mp4"]
    assert [path.name for path, _ in last.result.failed] == ["broken.mp4"]
    assert [path.name for path in last.result.copies] == ["copy.mp4"]
    assert (last.done, last.total, last.share) == (5, 5, 1.0)
    files = [*films.rglob("*.mp4"), *spare.rglob("*.mp4")]
    assert last.bytes_total == sum(path.stat().st_size for path in files)
    assert last.media_s == pytest.approx(3 * 2.0, abs=0.2)
    assert (last.eta_s, last.current) == (None, None)


def test_videos_and_folders_are_removed_and_their_files_stay(made: Made, films: Path, spare: Path) -> None:
    jobs = Jobs(made.context)
    store = made.context.open_store()
    ids = {commit.video.path.name: key for key, commit in store.commits().items()}
    jobs.remove(video_ids=[ids["one.mp4"], "no such id"])
    assert ended(jobs).result == 1
    store.refresh()
    assert store.commits().keys() == {ids[name] for name in ("two.mp4", "three.mp4", "broken.mp4")}

    jobs.remove(root=films)
    assert ended(jobs).result == 2
    store.refresh()
    (copy,) = store.commits().values()
    assert (copy.video.id, copy.video.path, len(copy.locations)) == (ids["two.mp4"], spare / "copy.mp4", 1)
    assert store.count("frames") == copy.modalities["frames"].count == 2
    manifest = store.read_manifest()
    assert manifest is not None
    assert manifest.roots == (spare,)

    jobs.remove(root=spare)
    assert ended(jobs).result == 1
    store.refresh()
    assert (store.commits(), store.count("frames")) == ({}, 0)
    store.close()
    assert len([*films.rglob("*.mp4"), *spare.rglob("*.mp4")]) == 5
    jobs.start()
    end = ended(jobs)
    assert (end.state, end.message) == ("failed", "Nothing has been indexed yet.")


def test_a_cancelled_job_stops_and_the_next_one_finishes_it(jobs: Jobs, many: Path) -> None:
    jobs.start([many])
    until(jobs, lambda progress: progress.media_s > 0)
    jobs.cancel()
    assert jobs.progress().state == "stopping"
    jobs.cancel()
    end = ended(jobs)
    assert end.state == "stopped"
    assert end.done < 3
    jobs.start()
    finished = ended(jobs)
    assert finished.state == "done"
    assert isinstance(finished.result, IndexReport)
    assert len(finished.result.indexed) + finished.result.unchanged == 3


def test_a_job_cancelled_while_it_loads_stops_too(jobs: Jobs, films: Path) -> None:
    jobs.start([films])
    jobs.cancel()
    assert ended(jobs).state == "stopped"


def test_a_killed_process_is_reported_and_the_page_lives(jobs: Jobs, films: Path) -> None:
    jobs.start([films])
    until(jobs, lambda progress: progress.is_ready)
    process = running_process()
    os.kill(process, signal.SIGKILL)
    end = ended(jobs)
    assert end.state == "failed"
    assert "signal 9" in end.message
    assert "Start again" in end.hint
    assert is_collected(process)
    with writing(jobs.context.index_folder):
        pass  # the system has taken the right to write back


def test_a_process_that_does_not_stop_is_killed(tmp_path: Path, films: Path) -> None:
    jobs = Jobs(context(tmp_path / "index"), grace_s=0.5)
    jobs.start([films])
    process = running_process()
    os.kill(process, signal.SIGSTOP)
    began = time.monotonic()
    jobs.cancel()
    end = ended(jobs)
    assert end.state == "stopped"
    assert time.monotonic() - began < 5
    assert is_collected(process)


def test_an_index_that_another_process_writes_is_said_to_be_busy(jobs: Jobs, films: Path) -> None:
    with writing(jobs.context.index_folder):
        jobs.start([films])
        end = ended(jobs)
    assert end.state == "failed"
    assert "Another process is writing" in end.message
    assert "Wait" in end.hint


def test_after_closing_there_is_no_job(jobs: Jobs, films: Path) -> None:
    jobs.start([films])
    jobs.close()
    assert jobs.progress().state == "stopped"
    with pytest.raises(UsageError, match="closed"):
        jobs.start([films])


PAGE = """
import sys, time
from pathlib import Path
from tests.unit.ui.services.test_index_jobs import context
from ui.services.index_jobs import Jobs

if __name__ == "__main__":
    jobs = Jobs(context(Path(sys.argv[2])))
    jobs.start([sys.argv[1]])
    try:
        while not jobs.progress().is_ready:
            time.sleep(0.02)
        print("ready", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        jobs.close()
        print(jobs.progress().state, flush=True)
"""


def heed_ctrl_c() -> None:
    """A process started in the background of a shell script inherits that Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("ending", ["SIGINT to the group", "SIGKILL"])
def test_no_process_is_left_when_the_page_ends(many: Path, tmp_path: Path, ending: str) -> None:
    """Ctrl-C reaches the page's process and that of the job at once; a killed page takes its job along."""
    script = tmp_path / "page.py"
    script.write_text(PAGE)
    page = subprocess.Popen(
        [sys.executable, script, many, tmp_path / "index"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=heed_ctrl_c,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[4])},
    )
    assert page.stdout is not None
    assert page.stdout.readline() == "ready\n"
    if ending == "SIGKILL":
        page.kill()
    else:
        os.killpg(page.pid, signal.SIGINT)
        assert page.stdout.readline() == "stopped\n"
    # The job's process writes to the same pipe: it ends when the last of them has.
    page.communicate(timeout=20)
    with writing(tmp_path / "index"):
        pass


def test_a_path_is_taken_as_people_paste_it(jobs: Jobs, films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(films))
    video = films / "trips" / "one.mp4"
    assert jobs.check_path(f' "{films}" ') == films
    assert jobs.check_path("~/trips") == films / "trips"
    assert jobs.check_path(f"file://{films}/trips/one.mp4") == video
    assert jobs.check_path(f"{films}/trips/../trips/one.mp4") == video


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("", "No folder is named"),
        ("  ", "No folder is named"),
        ("a\0b", "No folder is named"),
        ("films", "not a whole path"),
        ("/no/such/folder", "There is no /no/such/folder"),
        ("~nobody-of-this-name/films", "home folder"),
    ],
)
def test_a_path_that_cannot_be_meant_is_refused(jobs: Jobs, typed: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        jobs.start([typed])
    assert refused.value.hint
    assert jobs.progress() == IndexProgress()


def test_a_file_that_is_no_video_is_refused(jobs: Jobs, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear Sir")
    with pytest.raises(UsageError, match="neither a folder nor a video"):
        jobs.check_path(tmp_path / "letter.txt")


def test_over_the_network_only_allowed_folders_are_taken(tmp_path: Path, films: Path) -> None:
    (tmp_path / "allowed" / "below").mkdir(parents=True)
    (tmp_path / "allowed" / "link").symlink_to(films)
    jobs = Jobs(context(tmp_path / "index"), allowed_roots=[tmp_path / "allowed"])
    assert jobs.check_path(tmp_path / "allowed" / "below") == tmp_path / "allowed" / "below"
    for elsewhere in (films, tmp_path, tmp_path / "allowed" / ".." / "index", tmp_path / "allowed" / "link"):
        with pytest.raises(UsageError, match="may not be indexed from this page"):
            jobs.check_path(elsewhere)
    messages = set()
    for typed in ("/etc/passwd", "/etc/no-such-file", "~", "~/films", "~root", "~nobody-of-this-name", "file://h/~/x"):
        with pytest.raises(UsageError) as refused:
            jobs.check_path(typed)
        messages.add(f"{refused.value.message}{refused.value.hint}")
    assert messages == {"That may not be indexed from this page."}
    with pytest.raises(UsageError, match="may not"):
        Jobs(context(tmp_path / "index"), allowed_roots=[]).check_path(films)


def test_kinds_are_checked_before_anything_runs(jobs: Jobs) -> None:
    with pytest.raises(UsageError, match="'smell'"):
        jobs.start(add=["smell"])


def test_over_the_network_a_job_names_no_path(tmp_path: Path) -> None:
    (tmp_path / "allowed").mkdir()
    jobs = Jobs(context(tmp_path / "index"), allowed_roots=[tmp_path])
    jobs.start([tmp_path / "allowed"])
    assert jobs.progress().what == "Adding allowed"
    jobs.cancel()
    jobs.wait(PATIENCE_S)
    jobs.remove(root=tmp_path / "allowed")
    assert jobs.progress().what == "Removing allowed from the index"
    jobs.close()


@pytest.mark.parametrize("typed", ["file://[", "file://", "file://films", "file://[::1"])
def test_half_an_address_is_no_folder(jobs: Jobs, typed: str) -> None:
    with pytest.raises(UsageError, match="No folder is named"):
        jobs.check_path(typed)
