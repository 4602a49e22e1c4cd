import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from typer.testing import CliRunner

from indexer.core.errors import UsageError
from indexer.core.types import Video
from ui.cli.app import app
from ui.cli.console import answer_console
from ui.cli.list_videos import print_videos
from ui.services.indexing import run_options


def test_what_is_both_added_and_dropped_is_neither() -> None:
    with pytest.raises(UsageError, match="both name speech"):
        run_options(add=["ocr,speech"], without=["sounds", "Speech"])


def test_facts_of_any_kind_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    facets = {"speech_ratio": "high", "loudness": "[red]very[/]", "language": 7, "cuts_per_minute": True}
    video = Video("1", Path("a.mp4"), 1, 1, 2.0, Fraction(25), 64, 48, has_audio=True, facets=facets)
    print_videos(answer_console(), [video], 1)
    shown = capsys.readouterr().out
    assert all(text in shown for text in ("high", "[red]very[/]", "7", "True"))
    print_videos(answer_console(), [replace(video, facets={}, descriptors={"speech_ratio": 0.384})], 3)
    shown = capsys.readouterr().out
    assert "38%" in shown
    assert "2 more." in shown


@pytest.mark.parametrize("command", ["", "search", "list", "serve", "evaluate", "evaluate runs"])
def test_the_help_shows_no_type_behind_flags(command: str) -> None:
    shown = CliRunner().invoke(app, [*command.split(), "--help"]).output
    assert "--help" in shown
    assert "bool" not in shown


def test_the_help_names_first_what_a_newcomer_needs() -> None:
    done = subprocess.run([sys.executable, "-m", "ui.cli", "--help"], capture_output=True, text=True, check=True)
    places = [
        done.stdout.index(f"│ {command} ") for command in ("demo", "index", "search", "serve", "list", "evaluate")
    ]
    assert places == sorted(places)
