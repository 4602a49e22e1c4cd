"""How figures are shown in a terminal: which metrics, what stands beside each figure, and where nothing does."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from indexer.core.errors import UsageError
from search.evaluate.metrics import MOMENT_METRICS, VIDEO_METRICS
from search.evaluate.qrels import RelevantSpan
from search.evaluate.retrieval import MetricValue
from search.evaluate.self_test import SELF_TEST_METRICS, Chance, SelfTestFigures, SelfTestReport, SelfTestRow
from search.evaluate.self_test_queries import KnownItem
from search.evaluate.significance import Interval
from ui.cli.evaluate_tables import chosen_metrics, print_self_test


def measured(value: float, low: float, high: float, queries: int) -> SelfTestFigures:
    values = tuple(MetricValue(name, value, Interval(low, high), queries) for name in SELF_TEST_METRICS)
    return SelfTestFigures(values, values)


def chance(by_video: float, by_moment: float) -> Chance:
    return Chance(dict.fromkeys(SELF_TEST_METRICS, by_video), dict.fromkeys(SELF_TEST_METRICS, by_moment))


def report_of(videos: int) -> SelfTestReport:
    """Twelve queries of so many videos, nine of them of speech."""
    drawn = tuple(KnownItem(f"{n}", "q", "speech", RelevantSpan(f"v{n % videos}", n, n + 1.0), "q") for n in range(12))
    upper = measured(1.0, 0.7, 1.0, 12)
    return SelfTestReport(
        (
            SelfTestRow(("speech", "ocr"), 12, measured(0.5, 0.25, 0.75, 12), upper, chance(0.11, 0.12)),
            SelfTestRow(("speech",), 9, measured(0.5, 0.25, 0.75, 9), measured(1.0, 1.0, 1.0, 9), chance(0.21, 0.22)),
        ),
        drawn,
        videos=12,
    )


def shown(report: SelfTestReport) -> str:
    text = io.StringIO()
    print_self_test(Console(file=text, width=80), report)
    return text.getvalue()


def test_every_row_of_videos_and_of_moments_has_its_own_chance() -> None:
    of_videos, of_moments = shown(report_of(12)).split("Right moment, without")
    for table, figures in ((of_videos, ("0.11", "0.21")), (of_moments, ("0.12", "0.22"))):
        rows = [line.split() for line in table.splitlines() if line.startswith("  by chance")]
        assert rows == [["by", "chance", *[figure] * len(SELF_TEST_METRICS)] for figure in figures]


def test_of_fewer_than_ten_queries_no_interval_is_given() -> None:
    lines = shown(report_of(12)).splitlines()
    everything, *_, speech = [line for line in lines if line.startswith(("its own kind", "speech"))]
    assert everything.count("0.50 .25–.75") == len(SELF_TEST_METRICS)
    assert speech.count("0.50") == len(SELF_TEST_METRICS)
    assert not any("–" in line for line in lines if line.startswith("speech"))
    assert not any("1.00 1.0–1.0" in line for line in lines)


def test_of_one_video_it_is_said_that_chance_cannot_be_told() -> None:
    report = report_of(1)
    text = " ".join(shown(replace(report, rows=tuple(replace(row, chance=Chance()) for row in report.rows))).split())
    assert "All of them come from one video" in text
    assert "What chance would find cannot be told from one video." in text
    assert "By chance" not in text
    assert "by chance" not in text


def test_metrics_are_named_in_any_case_and_the_usual_ones_are_those_there_are() -> None:
    assert chosen_metrics(["ndcg@10", "r@5 iou=0.7"], [*VIDEO_METRICS, *MOMENT_METRICS]) == ["nDCG@10", "R@5 IoU=0.7"]
    assert chosen_metrics([], [*VIDEO_METRICS, *MOMENT_METRICS]) == ["R@1", "MRR", "R@1 IoU=0.5"]
    assert chosen_metrics([], VIDEO_METRICS) == ["R@1", "MRR"]
    assert chosen_metrics([], MOMENT_METRICS) == ["R@1 IoU=0.5"]
    with pytest.raises(UsageError, match="There are: R@1"):
        chosen_metrics(["R@2"], VIDEO_METRICS)
