"""Evaluations from the page: one at a time, in a thread of its own, seen alike by every browser."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from indexer.core.errors import IndexBusyError, QueryError, SceneseekError, UsageError
from ui.services.job_status import CLOSED, EARLIEST_GUESS_S, JobState, JobStatus
from ui.services.library import Library
from ui.web.evaluate_view import render_actions, render_retrieval, render_self_test

if TYPE_CHECKING:
    from search.evaluate.progress import ReportProgress
    from search.evaluate.qrels import Queries
    from ui.cli.evaluate_actions import ActionsRequest

__all__ = [
    "CAPTION_SUFFIXES",
    "KINDS",
    "LARGEST_CAPTIONS",
    "EvaluationKind",
    "EvaluationProgress",
    "Evaluations",
    "FinishedEvaluation",
]

EvaluationKind: TypeAlias = Literal["self-test", "retrieval", "actions"]
KINDS: tuple[EvaluationKind, ...] = get_args(EvaluationKind)

CAPTION_SUFFIXES = (".csv", ".tsv", ".txt", ".json", ".jsonl")
"""The endings that a file of captions may have; what is in it is told by its content."""

LARGEST_CAPTIONS = 10_000_000
"""In bytes; the captions of the field's largest test sets are smaller."""

_DEPTH = 100
# From where to where the bar goes in each step; a kind without any has one step.
_SPANS: Mapping[EvaluationKind, Mapping[str, tuple[float, float]]] = {
    "self-test": {"choosing queries": (0.0, 0.1), "searching": (0.1, 1.0)},
    "retrieval": {},
    "actions": {"class texts": (0.0, 0.5), "videos": (0.5, 1.0)},
}
_STOPPED = "What was found so far is kept: start it again, and it goes on from there."
_UNFORESEEN = "The terminal of the server says more."

_Rendered: TypeAlias = "tuple[str, Sequence[Path]]"
_Work: TypeAlias = "Callable[[int, ReportProgress], _Rendered]"


@dataclass(frozen=True, slots=True)
class EvaluationProgress(JobStatus):
    """How far an evaluation of one kind is, or how the last one ended: what every ``JobStatus`` tells, and its step.

    Its number counts the evaluations of all kinds, and the time left is known in the last step only.

    Args:
        kind: What kind it is of.
        step: What is going on, as ``search.evaluate`` calls it; empty until there is something to count.
        done: How much of the step is done.
        total: How much there is; 0 until that is known.
    """

    kind: EvaluationKind = field(kw_only=True)
    step: str = ""
    done: int = 0
    total: int = 0

    @property
    def is_ready(self) -> bool:
        """Whether it is known how much there is to do."""
        return self.total > 0

    @property
    def _share_so_far(self) -> float:
        begin, end = self._span
        return begin + (end - begin) * min(1.0, self.done / self.total) if self.total else begin

    @property
    def is_last_step(self) -> bool:
        """Whether nothing comes after what is going on."""
        return self._span[1] == 1.0

    @property
    def _span(self) -> tuple[float, float]:
        return _SPANS[self.kind].get(self.step, (0.0, 1.0))


@dataclass(frozen=True, slots=True)
class FinishedEvaluation:
    """What an evaluation found.

    Args:
        number: Which evaluation it was.
        html: Its tables and pictures, ready for the page; texts of files and people are escaped in it.
        files: What was written, by name.
    """

    number: int
    html: str
    files: Mapping[str, Path] = field(default_factory=dict)


class Evaluations:
    """Starts, watches and stops evaluations; any thread may call any method.

    Args:
        library: What is evaluated; searching in it goes on meanwhile. Files go to ``evaluation/KIND`` in its folder.
    """

    def __init__(self, library: Library) -> None:
        self._library = library
        self._lock = Lock()
        self._progress: dict[EvaluationKind, EvaluationProgress] = {}
        self._finished: dict[EvaluationKind, FinishedEvaluation] = {}
        self._running: _Running | None = None
        self._count = 0
        self._closed = False

    def start_self_test(self) -> None:
        """Begin to search for what the library itself says.

        Raises:
            IndexBusyError: another evaluation has not ended yet.
        """
        self._begin("self-test", "Testing the search with texts of this library", self._self_test)

    def start_retrieval(self, captions: Path | str | None) -> None:
        """Begin to search for the queries of a file whose answers are known.

        Args:
            captions: The file, in any of the forms of ``search.evaluate.captions``; it is read before this returns.

        Raises:
            IndexBusyError: another evaluation has not ended yet.
            QueryError: there is no file, it is too large, or it has not a single row that can be used.
        """
        self._check_free()
        queries = _read_captions(captions)
        self._begin(
            "retrieval",
            f"Searching for the queries of {queries.source}",
            lambda number, report: self._retrieval(queries, number, report),
        )

    def start_actions(self, classes: str, templates: str, pooling: str, tau: float) -> None:
        """Begin to compare the pictures of labelled videos with texts about classes.

        Args:
            classes: ``labels``, or the name of a list of classes that comes with the program.
            templates: The name of sentences that come with the program.
            pooling: ``mean``, ``max`` or ``query``.
            tau: For the pooling ``query``: its temperature, above 0.

        Raises:
            IndexBusyError: another evaluation has not ended yet.
            UsageError: there is no such list, sentence or pooling.
        """
        request = _actions_request(self._folder("actions"), classes, templates, pooling, tau)
        self._begin(
            "actions",
            "Comparing pictures with texts about actions",
            lambda number, report: self._actions(request, number, report),
        )

    def progress(self, kind: EvaluationKind) -> EvaluationProgress:
        """How far the evaluation of this kind is now, or how the last one ended."""
        with self._lock:
            progress, running = self._progress.get(kind, EvaluationProgress(kind=kind)), self._running
        return running.timed(progress) if running is not None and running.kind == kind else progress

    @property
    def running(self) -> EvaluationKind | None:
        """The kind of the evaluation that goes on, if one does."""
        with self._lock:
            return None if self._running is None else self._running.kind

    def finished(self, kind: EvaluationKind) -> FinishedEvaluation | None:
        """What the last evaluation of this kind found; None once the next one has begun."""
        with self._lock:
            return self._finished.get(kind)

    def file(self, kind: str, name: str) -> Path | None:
        """A file of a finished evaluation by the exact name that it was written under, None for any other name."""
        with self._lock:
            found = next((each for known, each in self._finished.items() if known == kind), None)
        return None if found is None else found.files.get(name)

    def cancel(self) -> None:
        """Ask the evaluation that goes on to stop after what it is doing. Does nothing if there is none."""
        with self._lock:
            if self._running is not None:
                kind = self._running.kind
                self._progress[kind] = replace(self._progress[kind], state="stopping")

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait until the evaluation that goes on has ended, at most so long."""
        with self._lock:
            running = self._running
        if running is not None and running.thread is not None:
            running.thread.join(timeout_s)

    def close(self, timeout_s: float = 10.0) -> None:
        """Stop what goes on, wait for its end, at most so long, and take no other."""
        with self._lock:
            self._closed = True
        self.cancel()
        self.wait(timeout_s)

    def _begin(self, kind: EvaluationKind, what: str, work: _Work) -> None:
        self._check_free()
        with self._lock:
            if self._running is not None:  # another browser was quicker
                raise _busy()
            self._count += 1
            self._running = _Running(kind)
            self._progress[kind] = EvaluationProgress("running", self._count, what, kind=kind)
            self._finished.pop(kind, None)
            self._running.thread = Thread(
                target=self._follow, args=(self._running, self._count, work), name="evaluation", daemon=True
            )
            self._running.thread.start()

    def _check_free(self) -> None:
        with self._lock:
            if self._closed:
                raise UsageError(CLOSED)
            if self._running is not None:
                raise _busy()

    def _follow(self, running: _Running, number: int, work: _Work) -> None:
        """Do the work to its end, whatever that is; runs in a thread of its own."""
        outcome = _outcome_of(lambda: work(number, self._hear))
        with self._lock:
            ended = replace(running.timed(self._progress[running.kind]), eta_s=None, ended_at=time.time())
            self._progress[running.kind] = replace(
                ended, state=outcome.state, message=outcome.message, hint=outcome.hint
            )
            if outcome.state == "done":
                files = {file.name: file for file in outcome.files}
                self._finished[running.kind] = FinishedEvaluation(number, outcome.html, files)
            self._running = None

    def _hear(self, step: str, done: int, total: int) -> None:
        """How far the work is; where it is to stop, it is left from here.

        Raises:
            _CancelledError: somebody has cancelled it.
        """
        with self._lock:
            running = self._running
            if running is None:
                return
            progress = self._progress[running.kind]
            if progress.state == "stopping":
                raise _CancelledError
            running.begin_step(step)
            self._progress[running.kind] = replace(progress, step=step, done=done, total=total)

    def _folder(self, kind: EvaluationKind) -> Path:
        return self._library.folder / "evaluation" / kind

    def _self_test(self, number: int, report: ReportProgress) -> _Rendered:
        from search.evaluate.self_test import SelfTestOptions, run_self_test

        context = self._library.context
        options = SelfTestOptions(run=context.run_options(_DEPTH))
        engine = self._library.engine()
        with closing(context.open_store()) as store:
            found = run_self_test(engine, store, out=self._folder("self-test"), options=options, progress=report)
        return render_self_test(found, number), found.files

    def _retrieval(self, queries: Queries, number: int, report: ReportProgress) -> _Rendered:
        from search.evaluate.retrieval import evaluate_retrieval

        options = self._library.context.run_options(_DEPTH)
        found = evaluate_retrieval(
            self._library.engine(), queries, out=self._folder("retrieval"), options=options, progress=report
        )
        return render_retrieval(found, queries.source, number), found.files

    def _actions(self, request: ActionsRequest, number: int, report: ReportProgress) -> _Rendered:
        from ui.cli.evaluate_actions import measure_actions

        measured = measure_actions(self._library.context, request, report)
        return render_actions(measured.evaluation, measured.files, number), measured.files


class _CancelledError(Exception):
    """Somebody has cancelled the evaluation."""


class _Running:
    """The thread of one evaluation and its clocks."""

    def __init__(self, kind: EvaluationKind) -> None:
        self.kind = kind
        self.thread: Thread | None = None
        self._began = time.monotonic()
        self._step = ""
        self._step_began = self._began

    def begin_step(self, step: str) -> None:
        """Start the clock of a step, unless it is the one that goes on."""
        if step != self._step:
            self._step, self._step_began = step, time.monotonic()

    def timed(self, progress: EvaluationProgress) -> EvaluationProgress:
        """The progress with the times of this instant."""
        now = time.monotonic()
        in_step_s, timed = now - self._step_began, replace(progress, elapsed_s=now - self._began)
        if progress.done == 0 or not progress.is_last_step or in_step_s < EARLIEST_GUESS_S:
            return timed
        return replace(timed, eta_s=in_step_s * (progress.total - progress.done) / progress.done)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How an evaluation ended."""

    state: JobState
    html: str = ""
    files: Sequence[Path] = ()
    message: str = ""
    hint: str = ""


def _outcome_of(work: Callable[[], _Rendered]) -> _Outcome:
    try:
        html, files = work()
    except _CancelledError:
        return _Outcome("stopped", message=_STOPPED)
    except SceneseekError as error:
        return _Outcome("failed", message=error.message, hint=error.hint)
    except Exception as error:  # noqa: BLE001 - the end of a thread; the page would wait for ever
        traceback.print_exc()
        return _Outcome("failed", message=f"It broke off unexpectedly ({type(error).__name__}).", hint=_UNFORESEEN)
    return _Outcome("done", html, files)


def _busy() -> IndexBusyError:
    return IndexBusyError("Another evaluation is running.", hint="Wait until it has finished, or cancel it.")


def _read_captions(given: Path | str | None) -> Queries:
    """The queries of an uploaded file, named as the visitor knows it."""
    from search.evaluate.captions import read_queries

    if not given:
        raise QueryError("No file is chosen.", hint="Choose a CSV or JSON file of queries and their videos.")
    path = Path(given)
    _check_captions(path)
    try:
        return replace(read_queries(path), source=path.name)
    except QueryError as error:
        raise QueryError(error.message.replace(str(path), path.name), hint=error.hint) from error


def _check_captions(path: Path) -> None:
    if path.suffix.lower() not in CAPTION_SUFFIXES:
        raise QueryError(f"{path.name} is no file of captions.", hint=f"Choose one of {', '.join(CAPTION_SUFFIXES)}.")
    try:
        size = path.stat().st_size
    except OSError as error:
        raise QueryError(f"{path.name} is not there any more.", hint="Choose the file once more.") from error
    if size > LARGEST_CAPTIONS:
        raise QueryError(
            f"{path.name} has {size / 1e6:.0f} MB, and {LARGEST_CAPTIONS / 1e6:.0f} MB are the most this page takes.",
            hint="Use 'sceneseek evaluate retrieval' in a terminal for larger ones.",
        )


def _actions_request(out: Path, classes: str, templates: str, pooling: str, tau: float) -> ActionsRequest:
    """What the command line would be asked; names alone count here, so that nobody can name a file of the server."""
    from search.evaluate.pooling import check_pooling
    from search.evaluate.prompts import CLASS_LISTS, TEMPLATES
    from ui.cli.evaluate_actions import ActionsRequest

    if classes != "labels" and classes not in CLASS_LISTS:
        raise UsageError("There is no such list of classes.", hint=f"There are: labels, {', '.join(CLASS_LISTS)}.")
    if templates not in TEMPLATES:
        raise UsageError("There are no such sentences.", hint=f"There are: {', '.join(TEMPLATES)}.")
    named = "" if classes == "labels" else classes
    return ActionsRequest(out, named, templates, check_pooling(pooling, tau), tau, quiet=True)
