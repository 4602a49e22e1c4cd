"""The Evaluate tab in a real browser, on the sample library with the embedded models."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Literal

import pytest
import uvicorn

from indexer.core.errors import IndexBusyError
from tests.e2e.axe import faults, needs_axe
from tests.e2e.conftest import Demo
from ui.services.context import Context
from ui.services.evaluation import Evaluations
from ui.services.index_jobs import Jobs
from ui.services.library import Library
from ui.web.app import build_app

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PATIENCE_S = 60.0
WATCH = """
window.seen = [];
new MutationObserver(() => {
  const disabled = [...document.querySelectorAll('button:disabled')].map((button) => button.textContent.trim());
  const bar = document.querySelector('[aria-label="Running evaluation"] [role="progressbar"]');
  if (bar) window.seen.push('bar');
  window.seen.push(...disabled);
}).observe(document.body, {subtree: true, childList: true, attributes: true});
"""
IS_LOADED = "image => image.decode().then(() => image.naturalWidth)"


@dataclass(frozen=True)
class Served:
    """The tab on a page of its own."""

    address: str
    evaluations: Evaluations
    library: Library


@pytest.fixture(scope="module")
def served(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    index = tmp_path_factory.mktemp("evaluated") / "chroma_db"
    shutil.copytree(demo.index, index)
    library = Library(Context.load(None, index))
    evaluations = Evaluations(library)
    app = build_app(library, Jobs(library.context), evaluations)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    running = Thread(target=server.run, daemon=True)
    running.start()
    until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Served(f"http://127.0.0.1:{port}/", evaluations, library)
    evaluations.close()
    server.should_exit = True
    running.join(PATIENCE_S)
    library.close()


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.01)


@pytest.fixture
def tab(served: Served, chromium: Browser) -> Iterator[Page]:
    """The page; whatever it complains of on the console fails the test."""
    opened = chromium.new_page(viewport={"width": 1280, "height": 900})
    complaints: list[str] = []
    opened.on("console", lambda told: complaints.append(told.text) if told.type == "error" else None)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.set_default_timeout(1000 * PATIENCE_S)
    opened.goto(served.address)
    opened.get_by_role("tab", name="Evaluate").click()
    yield opened
    opened.close()
    assert complaints == []


def test_a_cancelled_self_test_keeps_what_it_has_and_lets_others_search(served: Served) -> None:
    evaluations, library = served.evaluations, served.library
    evaluations.start_self_test()
    with pytest.raises(IndexBusyError, match="Another evaluation"):
        evaluations.start_actions("labels", "clip", "mean", 0.1)
    until(lambda: (now := evaluations.progress("self-test")).step == "searching" and now.done >= 2)
    evaluations.cancel()
    assert library.engine().search("an elephant").moments
    evaluations.wait(PATIENCE_S)
    stopped = evaluations.progress("self-test")
    assert stopped.state == "stopped"
    assert stopped.done < stopped.total
    assert evaluations.progress("self-test").result is None
    assert evaluations.file("self-test", "qrels.trec") is None, "only files of finished evaluations are given out"
    kept = list((library.folder / "evaluation" / "self-test").glob("searched-*.json"))
    assert sum(len(json.loads(path.read_text(encoding="utf-8"))["queries"]) for path in kept) >= 2


def test_the_self_test_shows_its_bar_and_then_its_line_to_whoever_comes(
    served: Served, tab: Page, chromium: Browser
) -> None:
    tab.evaluate(WATCH)
    tab.get_by_role("button", name="Test my library").click()
    section = tab.locator("#evaluate-self-test")
    section.locator(".ev-headline").wait_for()
    assert "Type some of what is" in section.locator(".ev-headline").inner_text()
    assert section.get_by_role("progressbar").get_attribute("aria-valuenow") == "100"
    assert {"bar", "Compare pictures with texts"} <= set(tab.evaluate("window.seen"))
    table = section.get_by_role("table", name="Finding the right video")
    assert table.get_by_role("rowheader").count() == len(("hit@1", "hit@5", "hit@10", "MRR"))
    other = chromium.new_page(viewport={"width": 390, "height": 844})
    other.goto(served.address)
    other.get_by_role("tab", name="Evaluate").click()
    other.locator("#evaluate-self-test .ev-headline").wait_for()
    assert other.evaluate("document.documentElement.scrollWidth") <= 390
    other.close()


def test_own_queries_show_a_table_and_the_line_that_is_broken(served: Served, tab: Page, tmp_path: Path) -> None:
    captions = tmp_path / "queries.csv"
    captions.write_text(
        "query,file,start_s,end_s\nelephants,safari.mp4,0,4\n<b>a city</b>,evening.mp4,5,2\n", encoding="utf-8"
    )
    section = tab.locator("#evaluate-retrieval")
    upload = section.locator("input[type=file]")
    upload.set_input_files({"name": "empty.csv", "mimeType": "text/csv", "buffer": b"query,file\n"})
    section.get_by_role("alert").get_by_text("empty.csv has no query that can be used").wait_for()
    upload.set_input_files(captions)
    section.locator(".ev-headline").wait_for()
    assert section.get_by_role("alert").count() == 0
    assert "line 3: 5 to 2 is not a span of time" in section.inner_text()
    assert "1 query of queries.csv" in section.inner_text()
    assert section.get_by_role("table", name="Finding the right moment").is_visible()
    with tab.expect_download() as saving:
        section.get_by_role("link", name="metrics.csv").click()
    assert saving.value.path().read_text(encoding="utf-8").startswith("metric,value,low,high,queries\nR@1,")
    found = tab.request.get(f"{served.address}evaluation/retrieval/metrics.json").json()
    assert (found["queries"], len(found["skipped"])) == (1, 1)
    assert tab.request.get(f"{served.address}evaluation/retrieval/searched.json").status == 404


def test_actions_show_their_tables_pictures_and_page(tab: Page) -> None:
    section = tab.locator("#evaluate-actions")
    section.get_by_role("radio", name="Fitting frames count more").check()
    section.get_by_role("slider").wait_for()
    section.get_by_role("radio", name="The name alone").check()
    section.get_by_role("button", name="Compare pictures with texts").click()
    section.locator(".ev-headline").wait_for()
    assert "sentences: plain (1); from frames to a video: query, τ 0.1" in section.inner_text()
    classes = section.get_by_role("table", name="Class by class").get_by_role("rowheader").all_inner_texts()
    assert {"animals", "city", "space"} <= set(classes)
    for picture in section.get_by_role("img").all():
        assert picture.evaluate(IS_LOADED) > 0
    assert section.get_by_role("img").count() == len(("distribution", "confusion"))
    with tab.expect_popup() as opening:
        section.get_by_role("link", name="results.html").click()
    report = opening.value
    report.wait_for_url("**/results.html*")  # it opens empty, and an empty page cannot be loaded anew
    complaints: list[str] = []
    report.on("console", lambda told: complaints.append(told.text))
    report.reload()
    assert "Right class first for" in report.get_by_role("heading", level=1).inner_text()
    assert report.locator("img").count() > len(classes)
    assert report.locator("img").first.evaluate(IS_LOADED) > 0
    assert report.evaluate("getComputedStyle(document.querySelector('h1')).fontSize") != "32px", "its styles apply"
    assert complaints == []
    report.close()


@needs_axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_accessibility_fault_in_what_the_others_left(
    served: Served, chromium: Browser, scheme: Literal["light", "dark"]
) -> None:
    page = chromium.new_page(viewport={"width": 1280, "height": 900}, color_scheme=scheme)
    page.goto(served.address)
    page.get_by_role("tab", name="Evaluate").click()
    for kind in ("self-test", "retrieval", "actions"):
        if served.evaluations.progress(kind).result:
            page.locator(f"#evaluate-{kind} .ev-headline").wait_for(timeout=1000 * PATIENCE_S)
    assert page.evaluate("document.body.classList.contains('dark')") is (scheme == "dark")
    assert faults(page) == []
    page.close()
