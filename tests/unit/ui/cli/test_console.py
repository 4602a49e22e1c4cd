"""How progress is shown in a terminal."""

from __future__ import annotations

import pytest

from ui.cli.console import work_bar


def test_a_terminal_gets_a_bar_and_nothing_else_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with work_bar(silent=False) as progress:
        progress("not on a terminal", 1, 2)
    monkeypatch.setenv("FORCE_COLOR", "1")
    with work_bar(silent=True) as progress:
        progress("silent", 1, 2)
    assert capsys.readouterr().err == ""
    with work_bar(silent=False) as progress:
        progress("indexing: [keyframes]", 0, 0)
        for done in range(5):
            progress("searching", done, 4)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "searching" in shown.err
    assert "100%" in shown.err
