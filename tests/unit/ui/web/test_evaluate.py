"""The Evaluate tab without a browser: what it shows, what it refuses, which files it gives out."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from indexer.core.errors import QueryError, UsageError
from indexer.store.memory import MemoryStore
from search.evaluate.actions import ActionOptions, evaluate_actions
from search.evaluate.metrics import MOMENT_METRICS, VIDEO_METRICS
from search.evaluate.qrels import RelevantSpan, SkippedRow
from search.evaluate.report import metric_meaning, render_actions, render_retrieval, render_self_test
from search.evaluate.retrieval import MetricValue, RetrievalReport
from search.evaluate.self_test import SELF_TEST_METRICS, Chance, SelfTestFigures, SelfTestReport, SelfTestRow
from search.evaluate.self_test_queries import KnownItem
from search.evaluate.significance import Interval
from tests.unit.search.library import BagOfWords, put, shots, video
from ui.services.context import Context
from ui.services.evaluation import LARGEST_CAPTIONS, EvaluationProgress, Evaluations, FinishedEvaluation
from ui.services.job_runner import in_thread
from ui.services.library import Library
from ui.web.evaluate_tab import evaluation_router, render_finished, render_progress

EVIL = "<img src=x onerror=alert(1)>"
PATIENCE_S = 30.0


@pytest.fixture
def evaluations(tmp_path: Path) -> Iterator[Evaluations]:
    """Of a library that has not been indexed yet."""
    library = Library(Context.load(None, tmp_path / "index"))
    running = Evaluations(library)
    yield running
    running.close()
    library.close()


class Elements(HTMLParser):
    """All elements of a page with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def metric(name: str, value: float, low: float, high: float, queries: int = 4) -> MetricValue:
    return MetricValue(name, value, Interval(low, high), queries)


def retrieval_report(folder: Path) -> RetrievalReport:
    names = ("hit@1", "hit@5", "hit@10", "MRR", "MdR", "R@1")
    return RetrievalReport(
        metrics=(*(metric(name, 0.5, 0.25, 0.75) for name in names), metric("R@1 IoU=0.5", 1.0, 1.0, 1.0, 2)),
        values={},
        texts={str(number): EVIL for number in range(4)},
        not_found=("3",),
        skipped=(SkippedRow("line 7", f"{EVIL} is no time"),),
        unmatched=(SkippedRow(EVIL, "there is no such video"),),
        videos=12,
        depth=100,
        form="MSVD",
        files=(folder / "metrics.csv", folder / "run.trec"),
    )


def measured_of(queries: int) -> SelfTestFigures:
    return SelfTestFigures(tuple(metric(name, 0.5, 0.25, 0.75, queries) for name in SELF_TEST_METRICS))


def self_test_report(queries: int) -> SelfTestReport:
    without = measured_of(queries)
    upper = SelfTestFigures(tuple(metric(name, 1.0, 1.0, 1.0, queries) for name in SELF_TEST_METRICS))
    drawn = tuple(KnownItem(f"{n}", EVIL, "speech", RelevantSpan("one", n, n + 1.0), EVIL) for n in range(queries))
    rows = (
        SelfTestRow(("speech", "ocr"), queries, without, upper, Chance(dict.fromkeys(SELF_TEST_METRICS, 0.1))),
        SelfTestRow(("speech",), queries - 3, without, upper, Chance(dict.fromkeys(SELF_TEST_METRICS, 0.2))),
        SelfTestRow(("ocr",), 3, measured_of(3), upper, Chance(dict.fromkeys(SELF_TEST_METRICS, 0.3))),
    )
    return SelfTestReport(rows, drawn, videos=20)


def finished_retrieval(folder: Path, source: str) -> str:
    report = retrieval_report(folder)
    finished = FinishedEvaluation(report.files, partial(render_retrieval, report, source))
    return render_finished(finished, "retrieval", 3)


def finished_self_test(report: SelfTestReport) -> str:
    return render_finished(FinishedEvaluation(report.files, partial(render_self_test, report)), "self-test", 1)


def test_every_metric_is_explained_in_a_line() -> None:
    names = [*VIDEO_METRICS, *MOMENT_METRICS, *SELF_TEST_METRICS]
    meanings = {name: metric_meaning(name) for name in names}
    assert all(10 < len(meaning) < 100 for meaning in meanings.values())
    assert len(set(meanings.values())) == len(set(names))
    assert "moment" in metric_meaning("hit@5", "moment")
    assert metric_meaning("unheard of") == ""


def test_a_report_escapes_what_files_say_and_names_broken_rows(tmp_path: Path) -> None:
    html = finished_retrieval(tmp_path, f"{EVIL}.csv")
    page = Elements(html)
    assert page.named("img") == []
    assert EVIL in page.text
    assert "1 row could not be used" in page.text
    assert f"line 7: {EVIL} is no time" in page.text
    assert "1 query did not find its video among the first 100" in page.text
    assert "comes first in 50% of the searches" in page.text


def test_tables_can_be_read_by_a_screen_reader_and_draw_their_intervals(tmp_path: Path) -> None:
    html = finished_retrieval(tmp_path, "queries.csv")
    page = Elements(html)
    assert page.named("th")
    assert {cell.get("scope") for cell in page.named("th")} == {"col", "row"}
    assert len(page.named("caption")) == len(page.named("table")) == 3
    assert "left:25.0%;width:50.0%" in html
    assert "0.250 – 0.750" in page.text
    ranks = html[html.index("<b>MdR</b>") :].split("</tr>")[0]
    assert "ev-track" not in ranks
    assert "0.5" in ranks


def test_links_lead_to_the_files_of_this_evaluation(tmp_path: Path) -> None:
    page = Elements(finished_retrieval(tmp_path, "queries.csv"))
    assert [(link["href"], link.get("download")) for link in page.named("a")] == [
        ("/evaluation/retrieval/metrics.csv?n=3", "metrics.csv"),
        ("/evaluation/retrieval/run.trec?n=3", "run.trec"),
    ]


def test_the_report_of_actions_escapes_labels_and_links_to_its_files() -> None:
    store = MemoryStore()
    put(store, video("v", label=EVIL), shots("v", ["img"]))
    put(store, video("w", label="diving"), shots("w", ["img"]))
    put(store, video("x"), shots("x", ["diving"]))
    evaluation = evaluate_actions(store, BagOfWords(), ActionOptions())
    files = ("results.html", "similarity_distribution.png", "classes.csv")
    finished = FinishedEvaluation(tuple(map(Path, files)), partial(render_actions, evaluation, files))
    page = Elements(render_finished(finished, "actions", 7))
    assert [picture["src"] for picture in page.named("img")] == ["/evaluation/actions/similarity_distribution.png?n=7"]
    assert [link["href"] for link in page.named("a")] == [f"/evaluation/actions/{name}?n=7" for name in files]
    assert EVIL in page.text
    assert "Not evaluated: 1 video without a label" in page.text
    assert len(page.named("table")) == len(("figures", "classes"))


def test_a_self_test_begins_with_what_to_expect_and_warns_of_few_queries() -> None:
    report = self_test_report(15)
    page = Elements(finished_self_test(report))
    assert report.expectation in page.text
    assert page.text.index(report.expectation) < page.text.index("hit@1")
    assert "15 queries from 1 of 20 videos" in page.text
    assert "All queries come from 1 video;" in page.text
    assert "Too few queries to say anything by themselves: text in the picture." in page.text
    assert EVIL not in page.text, "queries are in the file, not on the page"


def test_each_table_of_a_self_test_has_its_own_chance_and_one_of_few_queries_no_intervals() -> None:
    everything, speech, written = finished_self_test(self_test_report(15)).split("</table>")[:3]
    for table, chance in ((everything, "0.100"), (speech, "0.200"), (written, "0.300")):
        assert table.count(chance) == len(SELF_TEST_METRICS)
    assert "0.250 – 0.750" in everything
    assert "0.250 – 0.750" in speech
    assert "left:25.0%;width:50.0%" in speech
    assert "–" not in written
    assert written.count("left:50.0%;width:0.0%") == len(SELF_TEST_METRICS)


def test_every_step_has_its_part_of_the_bar() -> None:
    first = EvaluationProgress("running", 1, "x", "class texts", done=30, total=60, kind="actions")
    second = EvaluationProgress("running", 1, "x", "videos", done=30, total=60, kind="actions")
    choosing = EvaluationProgress("running", 1, "x", "choosing queries", done=15, total=200, kind="self-test")
    searching = EvaluationProgress("running", 1, "x", "searching", done=0, total=30, kind="self-test")
    only = EvaluationProgress("running", 1, "x", "searching", done=30, total=60, kind="retrieval")
    assert [each.share for each in (first, second, only)] == [0.5 / 2, 0.5 + 0.5 / 2, 0.5]
    assert choosing.share <= searching.share == 0.1
    assert [each.has_pace for each in (first, second, choosing, searching, only)] == [
        False,
        True,
        False,
        True,
        True,
    ]
    [bar] = [each for _, each in Elements(render_progress(second)).found if each.get("role") == "progressbar"]
    assert (bar["aria-valuenow"], bar["aria-valuemin"], bar["aria-valuemax"]) == ("75", "0", "100")
    assert bar["aria-valuetext"] == "Comparing videos with them: 30 of 60 videos"


def test_the_bar_says_what_goes_on_and_how_it_ended() -> None:
    waiting = Elements(render_progress(EvaluationProgress("running", 1, EVIL, kind="retrieval")))
    assert EVIL in waiting.text
    assert "Loading models" in waiting.text
    assert "%" not in waiting.text
    running = EvaluationProgress("running", 1, "x", "searching", done=3, total=60, step_s=6.5, kind="retrieval")
    assert "about 2 min left" in Elements(render_progress(running)).text
    failed = EvaluationProgress("failed", 1, "x", message=EVIL, hint="Do this.", ended_at=1.0, kind="retrieval")
    assert EVIL in Elements(render_progress(failed)).text
    assert "Do this." in Elements(render_progress(failed)).text
    assert render_progress(EvaluationProgress(kind="retrieval")) == ""
    assert "Another evaluation is running" in render_progress(EvaluationProgress(kind="retrieval"), is_waiting=True)


def test_without_an_index_each_evaluation_says_so(evaluations: Evaluations, tmp_path: Path) -> None:
    captions = tmp_path / "queries.csv"
    captions.write_text("query,file\nhello,one.mp4\n", encoding="utf-8")
    for number, (kind, start) in enumerate(
        (
            ("self-test", evaluations.start_self_test),
            ("retrieval", lambda: evaluations.start_retrieval(captions)),
            ("actions", lambda: evaluations.start_actions("labels", "clip", "mean", 0.1)),
        ),
        start=1,
    ):
        start()
        evaluations.wait(PATIENCE_S)
        ended = evaluations.progress(kind)
        assert (ended.state, ended.number) == ("failed", number)
        assert "index" in ended.message
        assert ended.hint
        assert evaluations.progress(kind).result is None
    assert evaluations.running is None
    assert not (tmp_path / "index").exists(), "nothing is written where there is nothing to evaluate"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("queries.exe", "query,file\nhello,one.mp4\n", "no file of captions"),
        ("queries.csv", "query,file\nhello\n", "queries.csv has no query that can be used.*[Ll]ine 2"),
        ("queries.json", "{", "queries.json is not valid JSON"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_name(
    evaluations: Evaluations, tmp_path: Path, name: str, content: str, says: str
) -> None:
    captions = tmp_path / name
    captions.write_text(content, encoding="utf-8")
    with pytest.raises(QueryError, match=says) as refused:
        evaluations.start_retrieval(captions)
    assert str(tmp_path) not in str(refused.value), "where uploads lie is nobody's business"
    assert evaluations.running is None


def test_a_file_too_many_or_too_large_or_gone_is_refused(evaluations: Evaluations, tmp_path: Path) -> None:
    large = tmp_path / "large.csv"
    with large.open("wb") as file:
        file.truncate(LARGEST_CAPTIONS + 1)
    for given, says in ((None, "No file"), ("", "No file"), (large, "10 MB"), (tmp_path / "gone.csv", "not there")):
        with pytest.raises(QueryError, match=says):
            evaluations.start_retrieval(given)


def test_no_file_of_the_server_can_be_named_as_classes_or_sentences(evaluations: Evaluations, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("a {}\nb {}\n", encoding="utf-8")
    for classes, templates, pooling, tau in (
        (str(secret), "clip", "mean", 0.1),
        ("labels", str(secret), "mean", 0.1),
        ("labels", "clip", "median", 0.1),
        ("labels", "clip", "query", 0.0),
    ):
        with pytest.raises(UsageError):
            evaluations.start_actions(classes, templates, pooling, tau)
    assert evaluations.running is None


def test_without_its_packages_no_evaluation_starts_and_each_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.services.evaluation.find_spec", {"matplotlib": "found", "sklearn": "found"}.get)
    library = Library(Context.load(None, tmp_path / "index"))
    evaluations = Evaluations(library)
    for start in (
        evaluations.start_self_test,
        lambda: evaluations.start_retrieval(None),
        lambda: evaluations.start_actions("labels", "clip", "mean", 0.1),
    ):
        with pytest.raises(UsageError, match=r"needs scipy, .*pip install 'sceneseek\[evaluate\]'"):
            start()
        assert evaluations.running is None
    library.close()


def test_nothing_starts_once_the_page_is_closed(evaluations: Evaluations) -> None:
    evaluations.close()
    with pytest.raises(UsageError, match="closed"):
        evaluations.start_self_test()


def test_the_styles_of_reports_are_served(evaluations: Evaluations) -> None:
    app = FastAPI()
    app.include_router(evaluation_router(evaluations))
    answer = TestClient(app).get("/evaluation/report.css")
    assert answer.headers["content-type"].startswith("text/css")
    assert ".ev-table" in answer.text


@pytest.mark.parametrize(
    "address",
    [
        "/evaluation/actions/secret.txt",
        "/evaluation/actions/..%2f..%2fsecret.txt",
        "/evaluation/actions/%2e%2e/secret.txt",
        "/evaluation/../secret.txt",
        "/evaluation/..%2f/secret.txt",
        "/evaluation/actions/",
        "/evaluation/actions",
    ],
)
def test_no_file_is_given_out_that_no_evaluation_has_written(
    evaluations: Evaluations, tmp_path: Path, address: str
) -> None:
    (tmp_path / "index" / "evaluation" / "actions").mkdir(parents=True)
    for path in (
        "secret.txt",
        "index/secret.txt",
        "index/evaluation/secret.txt",
        "index/evaluation/actions/results.html",
    ):
        (tmp_path / path).write_text("secret", encoding="utf-8")
    app = FastAPI()
    app.include_router(evaluation_router(evaluations))
    assert TestClient(app).get(address).status_code == 404


def test_files_are_served_as_what_they_are_and_only_reports_and_pictures_in_the_browser(tmp_path: Path) -> None:
    library = Library(Context.load(None, tmp_path / "index"))
    evaluations = Evaluations(library)
    files = tuple(tmp_path / f"a{ending}" for ending in (".html", ".png", ".csv", ".json", ".trec"))
    for path in files:
        path.write_text("text", encoding="utf-8")
    evaluations.start_job(
        EvaluationProgress(kind="actions"), in_thread(lambda _report: FinishedEvaluation(files, lambda _link: ""))
    )
    evaluations.wait(PATIENCE_S)
    app = FastAPI()
    app.include_router(evaluation_router(evaluations))
    client = TestClient(app)
    headers = {path.name: client.get(f"/evaluation/actions/{path.name}").headers for path in files}
    assert {name: each["content-type"] for name, each in headers.items()} == {
        "a.html": "text/html; charset=utf-8",
        "a.png": "image/png",
        "a.csv": "text/csv; charset=utf-8",
        "a.json": "application/json",
        "a.trec": "text/plain; charset=utf-8",
    }
    is_shown = {name: each["content-disposition"].startswith("inline") for name, each in headers.items()}
    assert is_shown == {"a.html": True, "a.png": True, "a.csv": False, "a.json": False, "a.trec": False}
    library.close()
