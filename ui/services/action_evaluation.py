"""Zero-shot evaluation of an index, as the command line and the page both run it: evaluate, then write the report."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.core.errors import IndexDamagedError

if TYPE_CHECKING:
    from search.evaluate.actions import ActionEvaluation, ActionOptions
    from search.evaluate.progress import ReportProgress
    from ui.services.context import Context


@dataclass(frozen=True, slots=True)
class ActionsRequest:
    """What to evaluate and where the report goes.

    ``classes`` is a file, ``ucf101``, ``kinetics50``, or empty for the labels of the index. ``templates`` is ``clip``,
    ``plain``, ``french`` or a file. ``tau`` is for the pooling ``query``.
    """

    out: Path
    classes: str = ""
    templates: str = "clip"
    pooling: str = "mean"
    tau: float = 0.1


def measure_actions(
    context: Context, request: ActionsRequest, progress: ReportProgress | None
) -> tuple[ActionEvaluation, tuple[Path, ...]]:
    """Evaluate and write the report.

    Returns:
        The evaluation, and the files of the report, the page first.

    Raises:
        UsageError: a file, a template or the pooling is wrong, no video has a label of these classes, or the report
            cannot be written.
        StoreError: there is no index, or it cannot be read.
        ModelError: the index's picture model cannot encode the texts.
    """
    from indexer.manifest import models_of
    from search.evaluate.action_report import write_action_report
    from search.evaluate.actions import evaluate_actions

    options = _options(request)
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
        cache = request.out / "class-texts"
        evaluation = evaluate_actions(store, frames, options, about=about, cache=cache, report_progress=progress)
    return evaluation, write_action_report(evaluation, request.out, context.thumbnails().find)


def _options(request: ActionsRequest) -> ActionOptions:
    from search.evaluate.actions import ActionOptions
    from search.evaluate.pooling import check_pooling
    from search.evaluate.prompts import read_classes, read_templates

    return ActionOptions(
        templates=read_templates(request.templates),
        classes=read_classes(request.classes) if request.classes else None,
        pooling=check_pooling(request.pooling, request.tau),
        tau=request.tau,
    )
