"""What the command line and the page share to evaluate an index."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.core.errors import IndexDamagedError, UsageError

if TYPE_CHECKING:
    from search.evaluate.actions import ActionEvaluation, ActionOptions
    from search.evaluate.progress import ReportProgress
    from ui.services.context import Context


def check_installed(find: Callable[[str], object | None] = find_spec) -> None:
    """Check that the packages of the extra ``evaluate`` are installed; ``find`` returns None for those that are not.

    Raises:
        UsageError: one is missing.
    """
    for package in ("matplotlib", "scipy", "sklearn"):
        if find(package) is None:
            raise UsageError(f"Evaluating needs {package}, which is not installed: pip install 'sceneseek[evaluate]'.")


def measure_actions(
    context: Context, options: ActionOptions, out: Path, progress: ReportProgress | None
) -> tuple[ActionEvaluation, tuple[Path, ...]]:
    """Evaluate, write the report to ``out``, and return the evaluation and the files, the page first.

    Raises:
        UsageError: no video has a label of these classes, or the report cannot be written.
        StoreError: there is no index, or it cannot be read.
        ModelError: the index's picture model cannot encode the texts.
    """
    from indexer.manifest import models_of
    from search.evaluate.action_report import write_action_report
    from search.evaluate.actions import evaluate_actions

    with closing(context.open_store()) as store:
        manifest = store.read_manifest()
        if manifest is None:
            raise IndexDamagedError(
                "The index does not say which models it was made with.", hint="Delete its folder and index again."
            )
        about = {
            "index": str(context.index_folder),
            "picture model": manifest.models["frames"][0],
            "keyframes": str(manifest.sampling.get("strategy", "unknown")),
        }
        frames = models_of(manifest, device=context.settings.models.device, roles=()).frames
        cache = out / "class-texts"
        evaluation = evaluate_actions(store, frames, options, about=about, cache=cache, report_progress=progress)
    return evaluation, write_action_report(evaluation, out, context.thumbnails().find)
