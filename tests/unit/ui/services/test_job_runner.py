"""One job at a time, in a thread."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event

import pytest

from indexer.core.errors import IndexBusyError, QueryError, UsageError
from search.evaluate import ReportProgress
from ui.services.job_runner import JobRunner, in_thread
from ui.services.job_status import JobStatus

PATIENCE_S = 30.0


@pytest.fixture
def runner() -> Iterator[JobRunner[JobStatus]]:
    running = JobRunner[JobStatus]("test", closing_s=PATIENCE_S)
    yield running
    running.close()


def ended(runner: JobRunner[JobStatus], kind: str = "") -> JobStatus:
    runner.wait(PATIENCE_S)
    return runner.status_of(kind, JobStatus())


def test_a_job_reports_its_steps_and_keeps_its_result(runner: JobRunner[JobStatus]) -> None:
    reported, go_on = Event(), Event()

    def work(report: ReportProgress) -> str:
        report("searching", 1, 4)
        reported.set()
        assert go_on.wait(PATIENCE_S)
        report("searching", 4, 4)
        return "found"

    runner.start_job(JobStatus(what="Testing", kind="a"), in_thread(work))
    assert reported.wait(PATIENCE_S)
    status = runner.status_of("a", JobStatus())
    assert (status.state, status.what, status.step, status.share) == ("running", "Testing", "searching", 0.25)
    assert runner.running == "a"
    assert runner.status_of("b", JobStatus()) == JobStatus()
    with pytest.raises(IndexBusyError, match="Another test is running"):
        runner.start_job(JobStatus(kind="b"), in_thread(work))
    go_on.set()
    done = ended(runner, "a")
    assert (done.state, done.number, done.result, done.share) == ("done", 1, "found", 1.0)
    assert runner.running is None


def test_a_cancelled_job_ends_at_its_next_report(runner: JobRunner[JobStatus]) -> None:
    cancelled = Event()

    def work(report: ReportProgress) -> None:
        report("searching", 1, 2)
        assert cancelled.wait(PATIENCE_S)
        report("searching", 2, 2)

    runner.start_job(JobStatus(), in_thread(work))
    runner.cancel()
    assert runner.status_of("", JobStatus()).state == "stopping"
    cancelled.set()
    stopped = ended(runner)
    assert stopped.state == "stopped"
    assert stopped.done < 2
    assert "Nothing is lost" in stopped.message


def test_a_job_that_fails_says_why_and_the_next_one_runs(runner: JobRunner[JobStatus]) -> None:
    def refuse(_report: ReportProgress) -> None:
        raise QueryError("There is no text.", hint="Type one.")

    def break_off(_report: ReportProgress) -> None:
        raise ZeroDivisionError

    runner.start_job(JobStatus(), in_thread(refuse))
    refused = ended(runner)
    assert (refused.state, refused.message, refused.hint) == ("failed", "There is no text.", "Type one.")
    runner.start_job(JobStatus(), in_thread(break_off))
    broken = ended(runner)
    assert (broken.state, broken.number) == ("failed", 2)
    assert "ZeroDivisionError" in broken.message


def test_a_closed_runner_starts_nothing(runner: JobRunner[JobStatus]) -> None:
    runner.close()
    with pytest.raises(UsageError, match="closed"):
        runner.start_job(JobStatus(), in_thread(lambda _report: None))


def test_the_time_left_follows_the_pace_of_the_step() -> None:
    status = JobStatus("running", done=1, total=4, step_s=10.0)
    assert status.eta_s == 30.0
    assert status.time_left == "about 30 s left"
    for unknown in (
        JobStatus("running", done=1, total=4, step_s=1.0),
        JobStatus("running", done=0, total=4, step_s=10.0),
        JobStatus("done", done=1, total=4, step_s=10.0),
    ):
        assert unknown.eta_s is None
