"""What the command line and the page share to evaluate an index; and evaluations from the page, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from indexer.core.errors import QueryError, UsageError
from ui.services.job_runner import JobRunner, in_thread
from ui.services.job_status import JobStatus
from ui.services.library import Library

if TYPE_CHECKING:
    from search.evaluate import ReportProgress
    from search.evaluate.actions import ActionEvaluation, ActionOptions
    from search.evaluate.qrels import Queries
    from search.evaluate.report import FileLink
    from ui.services.context import Context

EvaluationKind: TypeAlias = Literal["self-test", "retrieval", "actions"]

CAPTION_SUFFIXES = (".csv", ".tsv", ".txt", ".json", ".jsonl")
LARGEST_CAPTIONS = 10_000_000  # bytes; the captions of the field's largest test sets are smaller
# The part of the bar that each step takes; a kind without any has one step.
_SPANS: Mapping[EvaluationKind, Mapping[str, tuple[float, float]]] = {
    "self-test": {"choosing queries": (0.0, 0.1), "searching": (0.1, 1.0)},
    "retrieval": {},
    "actions": {"class texts": (0.0, 0.5), "videos": (0.5, 1.0)},
}


def check_installed() -> None:
    """Raises a UsageError if a package of the extra ``evaluate`` is missing."""
    for package in ("matplotlib", "scipy", "sklearn"):
        if find_spec(package) is None:
            raise UsageError(f"Evaluating needs {package}, which is not installed: pip install 'sceneseek[evaluate]'.")


def measure_actions(
    context: Context, options: ActionOptions, out: Path, progress: ReportProgress
) -> tuple[ActionEvaluation, tuple[Path, ...]]:
    """Evaluate, write the report to ``out``, and return the evaluation and the files, the page first.

    Raises:
        UsageError: no video has a label of these classes, or the report cannot be written.
        StoreError: there is no index, or it cannot be read.
        ModelError: the index's picture model cannot encode the texts.
    """
    from indexer.manifest import models_of
    from search.engine import manifest_of
    from search.evaluate.actions import evaluate_actions
    from search.evaluate.report import write_action_report

    with closing(context.open_store()) as store:
        manifest = manifest_of(store)
        about = {
            "index": str(context.index_folder),
            "picture model": manifest.models["frames"][0],
            "keyframes": str(manifest.sampling.get("strategy", "unknown")),
        }
        frames = models_of(manifest, device=context.settings.models.device, roles=()).frames
        cache = out / "class-texts"
        evaluation = evaluate_actions(store, frames, options, about=about, cache=cache, progress=progress)
    return evaluation, write_action_report(evaluation, out, context.thumbnails().find)


@dataclass(frozen=True, slots=True)
class FinishedEvaluation:
    """The files that an evaluation wrote; ``render`` makes its report, given where the files are served."""

    files: tuple[Path, ...]
    render: Callable[[FileLink], str]


@dataclass(frozen=True, slots=True)
class EvaluationProgress(JobStatus):
    """How far an evaluation of one kind is, or how the last one ended."""

    kind: EvaluationKind = "self-test"
    result: FinishedEvaluation | None = None

    @property
    def span(self) -> tuple[float, float]:
        """The part of the bar that the step takes, in [0, 1]."""
        return _SPANS[self.kind].get(self.step, (0.0, 1.0))


class Evaluations(JobRunner[EvaluationProgress]):
    """Starts, watches and stops evaluations of a library, which others can search meanwhile.

    Files go to ``evaluation/KIND`` in the folder of the library.
    """

    def __init__(self, library: Library) -> None:
        super().__init__("evaluation")
        self._library = library

    def check_free(self) -> None:
        """As ``JobRunner.check_free``; also a UsageError if a package is not installed."""
        check_installed()
        super().check_free()

    def start_self_test(self) -> None:
        """Start to search for texts of the library itself. Raises as ``check_free`` does."""
        from search.evaluate.report import render_self_test
        from search.evaluate.self_test import run_self_test

        def run(out: Path, report: ReportProgress) -> FinishedEvaluation:
            context, engine = self._library.context, self._library.engine()
            options = context.run_options()
            with closing(context.open_store()) as store:
                found = run_self_test(engine, store, out=out, options=options, progress=report)
            return FinishedEvaluation(found.files, partial(render_self_test, found))

        self._start("self-test", "Testing the search with texts of this library", run)

    def start_retrieval(self, captions: Path | str | None) -> None:
        """Start to search for the queries of a file whose answers are known. Raises as ``check_free`` does.

        The file is read before this returns; a QueryError says why it cannot be used.
        """
        from search.evaluate.report import render_retrieval
        from search.evaluate.retrieval import evaluate_retrieval

        self.check_free()
        queries = _read_captions(captions)

        def run(out: Path, report: ReportProgress) -> FinishedEvaluation:
            options = self._library.context.run_options()
            found = evaluate_retrieval(self._library.engine(), queries, out=out, options=options, progress=report)
            return FinishedEvaluation(found.files, partial(render_retrieval, found, queries.source))

        self._start("retrieval", f"Searching for the queries of {queries.source}", run)

    def start_actions(self, classes: str, templates: str, pooling: str, tau: float) -> None:
        """Start to compare the pictures of labelled videos with texts about classes.

        ``classes`` is ``labels`` or a name of ``CLASS_LISTS``, ``templates`` one of ``TEMPLATES``: files are refused,
        since a visitor must not read files of the server. ``tau`` is for the pooling ``query``. A UsageError says what
        there is not; raises also as ``check_free`` does.
        """
        from search.evaluate.actions import action_options
        from search.evaluate.prompts import CLASS_LISTS, TEMPLATES

        if classes != "labels" and classes not in CLASS_LISTS:
            raise UsageError("There is no such list of classes.", hint=f"There are: labels, {', '.join(CLASS_LISTS)}.")
        if templates not in TEMPLATES:
            raise UsageError("There are no such sentences.", hint=f"There are: {', '.join(TEMPLATES)}.")
        options = action_options("" if classes == "labels" else classes, templates, pooling, tau)

        def run(out: Path, report: ReportProgress) -> FinishedEvaluation:
            from search.evaluate.report import render_actions

            found, files = measure_actions(self._library.context, options, out, report)
            return FinishedEvaluation(files, partial(render_actions, found, [file.name for file in files]))

        self._start("actions", "Comparing pictures with texts about actions", run)

    def progress(self, kind: EvaluationKind) -> EvaluationProgress:
        """How far the evaluation of this kind is, or how the last one ended."""
        return self.status_of(kind, EvaluationProgress(kind=kind))

    def file(self, kind: str, name: str) -> Path | None:
        """A file of a finished evaluation by the exact name that it was written under; None for any other name."""
        finished = self.status_of(kind, EvaluationProgress()).result
        return next((file for file in finished.files if file.name == name), None) if finished else None

    def _start(self, kind: EvaluationKind, what: str, run: Callable[[Path, ReportProgress], object]) -> None:
        folder = self._library.folder / "evaluation" / kind
        self.start_job(EvaluationProgress(what=what, kind=kind), in_thread(partial(run, folder)))


def _read_captions(given: Path | str | None) -> Queries:
    """The queries of an uploaded file; messages have its name without the folder it was uploaded to."""
    from search.evaluate.captions import read_queries

    if not given:
        raise QueryError("No file is chosen.", hint="Choose a CSV or JSON file of queries and their videos.")
    path = Path(given)
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
    try:
        return replace(read_queries(path), source=path.name)
    except QueryError as error:
        raise QueryError(error.message.replace(str(path), path.name), hint=error.hint) from error
