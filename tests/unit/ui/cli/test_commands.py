from fractions import Fraction
from pathlib import Path

import pytest

from indexer.core.errors import UsageError
from indexer.core.types import Video
from ui.cli.console import answer_console
from ui.cli.listing import _cell, _print_table
from ui.services.indexing import run_options


def test_what_is_both_added_and_dropped_is_neither() -> None:
    with pytest.raises(UsageError, match="both name speech"):
        run_options(add=["ocr,speech"], without=["sounds", "Speech"])


def test_facts_of_any_kind_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    facets = {"speech_ratio": "high", "loudness": "[red]very[/]", "language": 7, "cuts_per_minute": True}
    video = Video("1", Path("a.mp4"), 1, 1, 2.0, Fraction(25), 64, 48, has_audio=True, facets=facets)
    _print_table(answer_console(), [video], 1)
    shown = capsys.readouterr().out
    assert all(text in shown for text in ("high", "[red]very[/]", "7", "True"))
    assert _cell("speech_ratio", 0.384) == "38%"
