"""The Evaluate tab's HTML: the progress of an evaluation, and the report of a finished one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from search.html import printable, rendered

if TYPE_CHECKING:
    from ui.services.evaluation_jobs import EvaluationProgress, FinishedEvaluation

# What each step does, and what it counts.
_STEPS = {
    "choosing queries": ("Choosing texts to search for", "queries"),
    "searching": ("Searching", "searches"),
    "class texts": ("Reading the names of the classes", "names of classes"),
    "videos": ("Comparing videos with them", "videos"),
}


def render_progress(progress: EvaluationProgress, *, is_waiting: bool = False) -> str:
    """The progress bar of a running evaluation, or how the last one ended; empty if there was none.

    Args:
        progress: How far it is.
        is_waiting: Whether an evaluation of another kind is running, which has to end first.
    """
    facts = {"job": progress, "phase": _phase(progress), "is_waiting": is_waiting}
    return printable(rendered("ui.web", "evaluate_job.html.j2", facts), instead="�").strip()


def render_finished(finished: FinishedEvaluation, number: int) -> str:
    """The report of an evaluation, with links to its files."""
    from search.evaluate.action_page import render_actions
    from search.evaluate.actions import ActionEvaluation
    from search.evaluate.search_report import render_retrieval, render_self_test
    from search.evaluate.self_test import SelfTestReport

    result = finished.result
    if isinstance(result, SelfTestReport):
        return render_self_test(result, lambda name: _address("self-test", name, number))
    if isinstance(result, ActionEvaluation):
        names = [file.name for file in finished.files]
        return render_actions(result, names, lambda name: _address("actions", name, number))
    return render_retrieval(result, finished.source, lambda name: _address("retrieval", name, number))


def _address(kind: str, name: str, number: int) -> str:
    """Where a file is served; the number of the evaluation keeps browsers from showing an older file."""
    return f"/evaluation/{kind}/{name}?n={number}"


def _phase(progress: EvaluationProgress) -> str:
    if progress.state == "stopping":
        return "Stopping after what is being done"
    if not progress.is_ready:
        return "Loading models and reading the index"
    step, unit = _STEPS.get(progress.step, (progress.step, ""))
    return f"{step}: {progress.done:,} of {progress.total:,} {unit}".strip()
