"""``sceneseek evaluate actions``: how well the index tells classes apart without having been trained on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ui.cli.console import answer_console, plain, print_json, side_console, work_bar
from ui.services.action_evaluation import ActionsRequest, measure_actions

if TYPE_CHECKING:
    from rich.console import Console

    from search.evaluate.actions import ActionEvaluation
    from ui.services.context import Context

SOME_SKIPPED = 3
_SHOWN = 10


def evaluate_actions(context: Context, request: ActionsRequest, *, as_json: bool = False, quiet: bool = False) -> int:
    """Evaluate, print the figures, write the report; the exit code: 0, or 3 if lines of a file were left out.

    Raises:
        SceneseekError: as ``measure_actions`` raises it.
    """
    from search.evaluate.action_report import evaluation_as_json

    with work_bar(silent=quiet) as progress:
        evaluation, files = measure_actions(context, request, progress)
    if as_json:
        print_json({**evaluation_as_json(evaluation), "files": [str(path) for path in files]})
    else:
        _print_figures(answer_console(), evaluation)
        _print_left_out(side_console(), evaluation)
        answer_console().print(f"Every video with its picture: [bold]{plain(files[0])}[/]", soft_wrap=True)
    return SOME_SKIPPED if evaluation.broken_lines else 0


def _print_figures(console: Console, evaluation: ActionEvaluation) -> None:
    from rich.table import Table

    from search.evaluate.action_page import figure_table

    figures = figure_table(evaluation)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for column in figures.columns[1:]:
        table.add_column(column.title, justify="right")
    for row in figures.rows:
        table.add_row(row[0].text, *(f"{cell.text} ({cell.note})" if cell.note else cell.text for cell in row[1:]))
    console.print(table)
    console.print(f"[dim]{len(evaluation.classes.names)} classes; in brackets, 95% intervals.[/]")


def _print_left_out(console: Console, evaluation: ActionEvaluation) -> None:
    broken, left_out = evaluation.broken_lines, evaluation.left_out
    for line in broken[:_SHOWN]:
        console.print(f"[yellow]Line left out:[/] {plain(line)}.", soft_wrap=True)
    if len(broken) > _SHOWN:
        console.print(f"  ... and {len(broken) - _SHOWN} more.")
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
