"""``sceneseek evaluate actions``: how well the index tells classes apart without having been trained on them."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.core.errors import IndexDamagedError
from ui.cli.console import answer_console, plain, print_json, side_console, work_bar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from indexer.store.base import Manifest, VectorStore
    from search.evaluate.action_figures import Estimate
    from search.evaluate.actions import ActionEvaluation, ActionOptions
    from search.evaluate.progress import ReportProgress
    from ui.services.context import Context

__all__ = ["ActionsRequest", "MeasuredActions", "evaluate_actions", "measure_actions"]

SOME_SKIPPED = 3
_SHOWN = 10
_FIGURES = (
    ("P@1", "p_at_1"),
    ("hit@3", "hit_at_3"),
    ("precision@3", "precision_at_3"),
    ("mean rank", "mean_rank"),
    ("cosine, right text", "right_cosine"),
    ("cosine, wrong texts", "wrong_cosine"),
)


@dataclass(frozen=True, slots=True)
class ActionsRequest:
    """What was typed after ``sceneseek evaluate actions``.

    ``classes`` is a file, ``ucf101``, ``kinetics50``, or empty for those that the labels name; ``templates`` is
    ``clip``, ``plain``, ``french`` or a file; ``tau`` is for the pooling ``query``.
    """

    out: Path
    classes: str = ""
    templates: str = "clip"
    pooling: str = "mean"
    tau: float = 0.1
    as_json: bool = False
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class MeasuredActions:
    """An evaluation, what it does not know of its index, and the files of its report, the page first."""

    evaluation: ActionEvaluation
    about: Mapping[str, str]
    files: tuple[Path, ...]


def evaluate_actions(context: Context, request: ActionsRequest) -> int:
    """Evaluate, print the figures, write the report; the exit code: 0, or 3 if lines of a file were left out.

    Raises:
        UsageError: a file, a template or the pooling is wrong, no video has a label of these classes, or the report
            cannot be written.
        StoreError: there is no index, or it cannot be read.
        ModelError: the index's picture model cannot encode the texts.
    """
    from search.evaluate.action_report import evaluation_as_json

    with work_bar(silent=request.quiet) as progress:
        measured = measure_actions(context, request, progress)
    evaluation = measured.evaluation
    if request.as_json:
        print_json({**evaluation_as_json(evaluation, measured.about), "files": [str(path) for path in measured.files]})
    else:
        _print_figures(answer_console(), evaluation)
        _print_left_out(side_console(), evaluation)
        answer_console().print(f"Every video with its picture: [bold]{plain(measured.files[0])}[/]", soft_wrap=True)
    return SOME_SKIPPED if evaluation.classes.broken or evaluation.options.templates.broken else 0


def measure_actions(context: Context, request: ActionsRequest, progress: ReportProgress | None) -> MeasuredActions:
    """Evaluate and write the report, and print nothing.

    Raises:
        SceneseekError: as ``evaluate_actions`` does.
    """
    from search.evaluate.action_report import write_action_report

    options = _options(request)
    with closing(context.open_store()) as store:
        manifest = _manifest(store)
        evaluation = _evaluate(context, request, options, store, progress)
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


def _evaluate(
    context: Context,
    request: ActionsRequest,
    options: ActionOptions,
    store: VectorStore,
    progress: ReportProgress | None,
) -> ActionEvaluation:
    from indexer.manifest import models_of
    from search.evaluate.actions import evaluate_actions as evaluate
    from search.evaluate.class_vectors import KeptVectors

    models = models_of(_manifest(store), device=context.settings.models.device, roles=())
    return evaluate(
        store,
        models.frames,
        options,
        kept=KeptVectors(request.out / "class-texts.npz"),
        report_progress=progress,
    )


def _manifest(store: VectorStore) -> Manifest:
    manifest = store.read_manifest()
    if manifest is None:
        raise IndexDamagedError(
            "The index does not say which models it was made with.", hint="Delete its folder and index again."
        )
    return manifest


def _about(context: Context, manifest: Manifest) -> Mapping[str, str]:
    return {
        "index": str(context.index_folder),
        "picture model": manifest.models["frames"][0],
        "keyframes": str(manifest.sampling.get("strategy", "unknown")),
    }


def _print_figures(console: Console, evaluation: ActionEvaluation) -> None:
    from rich.table import Table

    by_video, by_frame = evaluation.by_video, evaluation.by_frame
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    table.add_column(f"{by_video.count} videos", justify="right")
    table.add_column(f"{by_frame.count} frames", justify="right")
    for name, key in _FIGURES:
        table.add_row(name, _written(getattr(by_video, key)), _written(getattr(by_frame, key)))
    table.add_row("AUC", f"{by_video.auc:.3f}", f"{by_frame.auc:.3f}")
    table.add_row("overlap", f"{by_video.overlap:.3f}", f"{by_frame.overlap:.3f}")
    console.print(table)
    console.print(f"[dim]{len(evaluation.classes.names)} classes; in brackets, 95% intervals.[/]")


def _written(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} \\[{estimate.low:.3f}, {estimate.high:.3f}]"


def _print_left_out(console: Console, evaluation: ActionEvaluation) -> None:
    left_out = evaluation.left_out
    broken = [*evaluation.classes.broken, *evaluation.options.templates.broken]
    _print_some(console, "Line left out", broken)
    for videos, reason in (
        (left_out.unlabelled, "without a label"),
        (left_out.of_no_class, "with a label that is none of the classes"),
        (left_out.without_frames, "without a frame"),
    ):
        if videos:
            count = f"{len(videos)} {'video' if len(videos) == 1 else 'videos'}"
            console.print(
                f"[yellow]Not evaluated:[/] {count} {reason}, such as {plain(videos[0].path)}.", soft_wrap=True
            )


def _print_some(console: Console, heading: str, texts: Sequence[str]) -> None:
    for text in texts[:_SHOWN]:
        console.print(f"[yellow]{heading}:[/] {plain(text)}.", soft_wrap=True)
    if len(texts) > _SHOWN:
        console.print(f"  ... and {len(texts) - _SHOWN} more.")
