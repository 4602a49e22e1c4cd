"""How an evaluation is shown while it runs, and which metrics a comparison shows."""

from __future__ import annotations

import pytest

from indexer.core.errors import UsageError
from search.evaluate.metrics import MOMENT_METRICS, VIDEO_METRICS
from ui.cli.console import work_bar
from ui.cli.evaluate_retrieval import _chosen


def test_a_terminal_gets_a_bar_and_nothing_else_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with work_bar(silent=False) as progress:
        assert progress is None
    monkeypatch.setenv("FORCE_COLOR", "1")
    with work_bar(silent=True) as progress:
        assert progress is None
    with work_bar(silent=False) as progress:
        assert progress is not None
        progress("indexing: [keyframes]", 0, 0)
        for done in range(5):
            progress("searching", done, 4)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "searching" in shown.err
    assert "100%" in shown.err


def test_metrics_are_named_in_any_case_and_the_usual_ones_are_those_there_are() -> None:
    assert _chosen(["ndcg@10", "r@5 iou=0.7"], [*VIDEO_METRICS, *MOMENT_METRICS]) == ["nDCG@10", "R@5 IoU=0.7"]
    assert _chosen([], [*VIDEO_METRICS, *MOMENT_METRICS]) == ["R@1", "MRR", "R@1 IoU=0.5"]
    assert _chosen([], VIDEO_METRICS) == ["R@1", "MRR"]
    assert _chosen([], MOMENT_METRICS) == ["R@1 IoU=0.5"]
    with pytest.raises(UsageError, match="There are: R@1"):
        _chosen(["R@2"], VIDEO_METRICS)
