"""``sceneseek evaluate actions``: how well the index tells classes apart without having been trained on them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ui.cli.console import answer_console, plain, print_json, side_console, work_bar
from ui.services.evaluation import measure_actions

if TYPE_CHECKING:
    from search.evaluate.actions import ActionEvaluation
    from search.evaluate.prompts import ActionOptions
    from ui.services.context import Context

SOME_SKIPPED = 3


def evaluate_actions(
    context: Context, options: ActionOptions, out: Path, *, as_json: bool = False, quiet: bool = False
) -> int:
    """Evaluate, print the figures, write the report; the exit code: 0, or 3 if lines of a file were left out."""
    from search.evaluate.action_report import evaluation_as_json, left_out_lines

    with work_bar(silent=quiet) as progress:
        evaluation, files = measure_actions(context, options, out, progress)
    if as_json:
        print_json({**evaluation_as_json(evaluation), "files": [str(path) for path in files]})
    else:
        _print_figures(evaluation)
        for heading, names in left_out_lines(evaluation):
            lines = [f"[yellow]Not evaluated:[/] {heading}:", *(f"  {plain(name)}" for name in names)]
            side_console().print("\n".join(lines), soft_wrap=True)
        answer_console().print(f"Every video with its picture: [bold]{plain(files[0])}[/]", soft_wrap=True)
    return SOME_SKIPPED if evaluation.broken_lines else 0


def _print_figures(evaluation: ActionEvaluation) -> None:
    from rich.table import Table

    from search.evaluate.action_report import figure_rows
    from search.evaluate.report import counted

    table = Table("", box=None, pad_edge=False, header_style="bold")
    videos, frames = counted(evaluation.by_video.count, "video"), counted(evaluation.by_frame.count, "frame")
    for title in (videos, frames, "By chance"):
        table.add_column(title, justify="right")
    for row in figure_rows(evaluation):
        estimates = (f"{text} ({interval})" if interval else text for text, interval in (row.by_video, row.by_frame))
        table.add_row(row.name, *estimates, row.chance)
    answer_console().print(table)
    answer_console().print(f"[dim]{len(evaluation.classes.names)} classes; in brackets, 95% intervals.[/]")
