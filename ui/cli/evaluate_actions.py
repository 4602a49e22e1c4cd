"""``sceneseek evaluate actions``: how well the index tells classes apart without having been trained on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ui.cli.console import answer_console, plain, print_json, side_console, work_bar
from ui.services.action_evaluation import ActionsRequest, measure_actions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from search.evaluate.action_figures import Estimate
    from search.evaluate.actions import ActionEvaluation
    from ui.services.context import Context

__all__ = ["evaluate_actions"]

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


def evaluate_actions(context: Context, request: ActionsRequest, *, as_json: bool = False, quiet: bool = False) -> int:
    """Evaluate, print the figures, write the report; the exit code: 0, or 3 if lines of a file were left out.

    Raises:
        SceneseekError: as ``measure_actions`` raises it.
    """
    from search.evaluate.action_report import evaluation_as_json

    with work_bar(silent=quiet) as progress:
        measured = measure_actions(context, request, progress)
    evaluation = measured.evaluation
    if as_json:
        print_json({**evaluation_as_json(evaluation, measured.about), "files": [str(path) for path in measured.files]})
    else:
        _print_figures(answer_console(), evaluation)
        _print_left_out(side_console(), evaluation)
        answer_console().print(f"Every video with its picture: [bold]{plain(measured.files[0])}[/]", soft_wrap=True)
    return SOME_SKIPPED if evaluation.classes.broken or evaluation.options.templates.broken else 0


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
