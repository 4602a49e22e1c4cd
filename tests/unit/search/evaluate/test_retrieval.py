"""An evaluation from queries to files, and the measuring of runs from elsewhere."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from statistics import fmean

import pytest

from indexer.core.errors import QueryError, UsageError
from indexer.store.memory import MemoryStore
from search.evaluate.metrics import MOMENT_METRICS, VIDEO_METRICS
from search.evaluate.qrels import Judgement, Queries, SkippedRow, read_qrels
from search.evaluate.retrieval import evaluate_retrieval, measure_run, summarise
from search.evaluate.runs import RetrievalOptions, Run, read_run
from tests.unit.search.library import engine_of, put, shots, video


def library() -> MemoryStore:
    """Three films; "red car" is best found in the second."""
    store = MemoryStore()
    put(store, video("v1", path="/films/one.mp4"), shots("v1", ["red bus", "blue car", "green tree"]))
    put(store, video("v2", path="/films/two.mp4"), shots("v2", ["old house", "red car"]))
    put(store, video("v3", path="/films/three.mp4"), shots("v3", ["quiet sea"]))
    return store


QUERIES = Queries(
    (
        Judgement("right", "red car", "two.mp4", 10.0, 20.0),
        Judgement("second", "red car", "one", 10.0, 20.0),
        Judgement("nowhere", "red car", "three.mp4"),
        Judgement("unknown", "red car", "four.mp4"),
    ),
    (SkippedRow("line 9", "it lacks the query"),),
    "a table with a heading",
)


def test_every_metric_is_reported_with_an_interval_that_holds_it(tmp_path: Path) -> None:
    report = evaluate_retrieval(engine_of(library()), QUERIES, options=RetrievalOptions(), out=tmp_path)
    assert [metric.name for metric in report.metrics] == [*VIDEO_METRICS, *MOMENT_METRICS]
    assert all(metric.interval.low <= metric.value <= metric.interval.high for metric in report.metrics)
    values = {metric.name: metric.value for metric in report.metrics}
    # Found first, second, and not at all among two of three.
    assert values["R@1"] == pytest.approx((1 + 0 + 0) / 3)
    assert values["R@5"] == pytest.approx((1 + 1 + 0) / 3)
    assert values["MRR"] == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert (values["MdR"], values["MnR"]) == (2, (1 + 2 + 3) / 3)
    # [10, 20) of v2 is first; [10, 20) of v1 comes after it. The third query has no window.
    assert (values["R@1 IoU=0.7"], values["R@5 IoU=0.7"]) == (1 / 2, 1)
    assert {metric.queries for metric in report.metrics} == {3, 2}
    assert report.not_found == ("nowhere",)
    assert report.skipped == QUERIES.skipped
    assert [str(row) for row in report.unmatched] == ["four.mp4: there is no such video in the index (1 row)"]


def test_everything_is_written_and_agrees(tmp_path: Path) -> None:
    report = evaluate_retrieval(engine_of(library()), QUERIES, options=RetrievalOptions(), out=tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {path.name for path in report.files}
    with (tmp_path / "out" / "metrics.csv").open() as file:
        rows = {row["metric"]: float(row["value"]) for row in csv.DictReader(file)}
    assert rows == {metric.name: metric.value for metric in report.metrics}
    with (tmp_path / "out" / "queries.csv").open() as file:
        by_query = {row["query_id"]: row for row in csv.DictReader(file)}
    assert [by_query[key]["rank"] for key in ("right", "second", "nowhere")] == ["1.0", "2.0", "3.0"]
    assert by_query["nowhere"]["found"] == "no"
    assert by_query["second"]["right"] == "/films/one.mp4"
    assert by_query["second"]["first"] == "/films/two.mp4"
    assert fmean(float(row["MRR"]) for row in by_query.values()) == pytest.approx(
        next(metric.value for metric in report.metrics if metric.name == "MRR")
    )
    told = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert told == json.loads(json.dumps(report.as_json()))
    assert (told["queries"], told["videos"], told["skipped"][0]["place"]) == (3, 3, "line 9")


def test_the_files_measured_again_give_the_same_figures(tmp_path: Path) -> None:
    report = evaluate_retrieval(engine_of(library()), QUERIES, options=RetrievalOptions(), out=tmp_path)
    of_videos = measure_run(read_run(tmp_path / "run.trec"), read_qrels(tmp_path / "qrels.trec"), corpus_size=3)
    of_moments = measure_run(
        read_run(tmp_path / "run-moments.trec"), read_qrels(tmp_path / "qrels-moments.trec"), corpus_size=0
    )
    assert summarise({**of_videos, **of_moments}) == report.metrics


def test_without_windows_there_is_nothing_to_say_of_moments(tmp_path: Path) -> None:
    queries = Queries((Judgement("1", "red car", "two"),))
    report = evaluate_retrieval(engine_of(library()), queries, options=RetrievalOptions(), out=tmp_path)
    assert [metric.name for metric in report.metrics] == list(VIDEO_METRICS)
    assert not (tmp_path / "qrels-moments.trec").exists()


def test_a_file_about_other_videos_is_an_error_that_names_one(tmp_path: Path) -> None:
    queries = Queries((Judgement("1", "red car", "nine.mp4"),), source="queries.csv")
    with pytest.raises(QueryError, match=r"queries\.csv.*nine\.mp4: there is no such video"):
        evaluate_retrieval(engine_of(library()), queries, options=RetrievalOptions(), out=tmp_path)


@pytest.mark.parametrize(
    ("by_query", "judged", "told"),
    [
        ({"q": [("a", 1.0)]}, {"q": {"a": 0}}, "No document is judged relevant"),
        ({"p": [("a", 1.0)]}, {"q": {"a": 1}}, "none of the queries"),
        ({"q": [("a@1.000-2.000", 1.0)]}, {"q": {"a": 1}}, "lists moments"),
        ({"q": [("a", 1.0)]}, {"q": {"a@1.000-2.000": 1}}, "lists videos"),
    ],
)
def test_a_run_and_judgements_that_do_not_fit_are_no_zero_but_an_error(by_query: dict, judged: dict, told: str) -> None:
    with pytest.raises(QueryError, match=told):
        measure_run(Run(by_query), judged, corpus_size=1)


def test_a_folder_that_cannot_be_written_is_known_before_anything_is_searched_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told: list[str] = []
    with pytest.raises(UsageError, match="cannot be written"):
        evaluate_retrieval(
            engine_of(library()),
            QUERIES,
            options=RetrievalOptions(),
            out=tmp_path / "file" / "out",
            progress=lambda what, *_: told.append(what),
        )
    assert told == []


def test_over_all_queries_mdr_is_a_median_and_all_others_are_means() -> None:
    ranks = {"a": 1.0, "b": 2.0, "c": 9.0}
    assert [metric.value for metric in summarise({"MdR": ranks})] == [2]
    others = {name: {"a": 0.0, "b": 1.0, "c": 0.5} for name in VIDEO_METRICS if name != "MdR"}
    assert {metric.value for metric in summarise(others)} == {0.5}


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_few_values_that_are_all_the_same_are_no_certainty(share: float) -> None:
    [hit, rank] = summarise({"hit@1": {"a": share, "b": share, "c": share}, "MnR": {"a": 4.0, "b": 4.0, "c": 4.0}})
    # Wilson: 1.96 ** 2 / (3 + 1.96 ** 2) from the end. A rank has no best and worst, and none is made up for it.
    reach = 1.96**2 / (3 + 1.96**2)
    ends = sorted((share, abs(share - reach)))
    assert (hit.value, hit.queries) == (share, 3)
    assert (hit.interval.low, hit.interval.high) == pytest.approx(tuple(ends), abs=1e-4)
    assert (rank.interval.low, rank.interval.high) == (4.0, 4.0)


def test_groups_that_are_all_the_same_tell_as_much_as_there_are_groups() -> None:
    values = {"hit@1": {"a1": 1.0, "a2": 0.0, "b1": 1.0, "b2": 0.0}}
    [hit] = summarise(values, groups={"a1": "a", "a2": "a", "b1": "b", "b2": "b"})
    # Each group has a half, so that drawing them anew changes nothing: Wilson of 1 in 2.
    reach = (1.96**2 / 8 + (1.96**2 / 4) ** 2) ** 0.5 / (1 + 1.96**2 / 2)
    assert (hit.interval.low, hit.interval.high) == pytest.approx((0.5 - reach, 0.5 + reach), abs=1e-4)


def test_of_a_single_group_queries_are_taken_one_by_one() -> None:
    values = {"hit@1": {str(n): float(n < 4) for n in range(10)}}
    assert summarise(values, groups=dict.fromkeys(values["hit@1"], "film")) == summarise(values)
