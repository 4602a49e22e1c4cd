"""Zero-shot evaluation of an index, as the command line and the page both run it: evaluate, then write the report."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.core.errors import IndexDamagedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from indexer.store.base import Manifest
    from search.evaluate.actions import ActionEvaluation, ActionOptions
    from search.evaluate.progress import ReportProgress
    from ui.services.context import Context

__all__ = ["ActionsRequest", "MeasuredActions", "measure_actions"]


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


@dataclass(frozen=True, slots=True)
class MeasuredActions:
    """An evaluation, facts about its index, and the files of its report, the page first."""

    evaluation: ActionEvaluation
    about: Mapping[str, str]
    files: tuple[Path, ...]


def measure_actions(context: Context, request: ActionsRequest, progress: ReportProgress | None) -> MeasuredActions:
    """Evaluate and write the report.

    Raises:
        UsageError: a file, a template or the pooling is wrong, no video has a label of these classes, or the report
            cannot be written.
        StoreError: there is no index, or it cannot be read.
        ModelError: the index's picture model cannot encode the texts.
    """
    from indexer.manifest import models_of
    from search.evaluate.action_report import write_action_report
    from search.evaluate.actions import evaluate_actions
    from search.evaluate.class_vectors import KeptVectors

    options = _options(request)
    with closing(context.open_store()) as store:
        manifest = store.read_manifest()
        if manifest is None:
            raise IndexDamagedError(
                "The index does not say which models it was made with.", hint="Delete its folder and index again."
            )
        models = models_of(manifest, device=context.settings.models.device, roles=())
        kept = KeptVectors(request.out / "class-texts.npz")
        evaluation = evaluate_actions(store, models.frames, options, kept=kept, report_progress=progress)
    about = _about(context, manifest)
    files = write_action_report(evaluation, request.out, about, context.thumbnails().find)
    return MeasuredActions(evaluation, about, files)


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


def _about(context: Context, manifest: Manifest) -> Mapping[str, str]:
    return {
        "index": str(context.index_folder),
        "picture model": manifest.models["frames"][0],
        "keyframes": str(manifest.sampling.get("strategy", "unknown")),
    }
