"""The Library tab in a real browser: adding, watching, cancelling, what failed, removing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.clips import BLUE, GREEN, RED, WHITE, YELLOW, clip
from ui.services.context import Context
from ui.services.evaluation import Evaluations
from ui.services.index_jobs import Jobs
from ui.services.library import Library
from ui.web.app import build_app

CHROMIUM = Path("/usr/bin/chromium")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
HOSTILE = "<img src=x onerror=alert(1)>${1+1}{{2}}"
# Milliseconds: a limit for what hangs; other work may keep the machine busy.
JOB_MS = 180_000.0
STEP_MS = 20_000.0

expect.set_options(timeout=STEP_MS)
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no Chromium at /usr/bin/chromium")


@dataclass(frozen=True)
class Served:
    """A running page and its films."""

    address: str
    jobs: Jobs
    library: Library
    films: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("web library")
    films = folder / "films"
    for name, colours in {"sea": [BLUE, WHITE], "sun": [YELLOW, RED], HOSTILE: [GREEN, BLUE]}.items():
        clip(films / "trips" / f"{name}.mp4", colours, seed=len(name))
    (films / "broken.mp4").write_bytes(b"no video" * 64)
    flags = {"models.profile": "embedded", "models.speech": "off", "models.ocr": "off"}
    context = Context.load(None, folder / "index", flags)
    library, jobs = Library(context), Jobs(context)
    server = uvicorn.Server(uvicorn.Config(build_app(library, jobs, Evaluations(library)), port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Served(f"http://127.0.0.1:{port}/", jobs, library, films)
    server.should_exit = True
    jobs.close()
    thread.join(10)
    library.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def page(served: Served, browser: Browser) -> Iterator[Page]:
    page, faults = browser.new_page(viewport={"width": 1280, "height": 900}), list[str]()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("dialog", lambda dialog: (faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    open_library(page, served)
    yield page
    page.close()
    assert faults == []


def open_library(page: Page, served: Served) -> None:
    page.goto(served.address)
    page.get_by_role("tab", name="Library").click()
    page.get_by_label("Add a folder").wait_for()


def add(page: Page, path: Path | str) -> None:
    page.get_by_label("Add a folder").fill(str(path))
    page.get_by_role("button", name="Add", exact=True).click()


def bar(page: Page) -> Locator:
    return page.get_by_role("progressbar", name="Progress of the job")


def finished(page: Page) -> None:
    expect(page.get_by_role("status", name="Last job")).to_be_visible(timeout=JOB_MS)


def row(page: Page, name: str) -> Locator:
    return page.get_by_role("table", name="Videos in the index").get_by_role("row").filter(has_text=name)


# These tests follow one library through its life, in order.


def test_an_empty_library_says_what_to_type_and_refuses_what_is_not_there(page: Page, served: Served) -> None:
    expect(page.get_by_role("heading", name="Nothing is indexed yet")).to_be_visible()
    expect(page.get_by_role("button", name="Reindex")).not_to_be_visible()
    add(page, served.films / "nowhere")
    expect(page.get_by_role("alert")).to_contain_text(f"There is no {served.films}/nowhere")
    expect(page.get_by_label("Add a folder")).to_have_value(f"{served.films}/nowhere")


def test_a_folder_is_added_and_the_bar_reaches_the_end(page: Page, served: Served, browser: Browser) -> None:
    add(page, served.films)
    expect(bar(page)).to_be_visible()
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    other = browser.new_page()
    open_library(other, served)
    expect(bar(other)).to_be_visible()
    expect(other.get_by_role("button", name="Add", exact=True)).to_be_disabled()
    finished(page)
    expect(bar(page)).to_have_attribute("aria-valuenow", "100")
    expect(page.get_by_text("Finished: 3 indexed, 1 failed")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel")).not_to_be_visible()
    finished(other)
    expect(row(other, "sea.mp4")).to_be_visible()
    other.close()


def test_every_video_has_its_row_and_names_are_no_markup(page: Page) -> None:
    expect(page.get_by_role("table").get_by_role("row")).to_have_count(1 + 4)
    for heading in ("Video", "Length", "Label", "What is known", "Indexed", "State"):
        expect(page.get_by_role("columnheader", name=heading, exact=True)).to_be_visible()
    for name in ("sea.mp4", "sun.mp4", f"{HOSTILE}.mp4"):
        for fact in ("films/trips", "0:00:02", "trips", "Picture 2", "Ready"):
            expect(row(page, name)).to_contain_text(fact)
    picture = row(page, "sea.mp4").locator("img")
    page.wait_for_function("picture => picture.complete && picture.naturalWidth > 0", arg=picture.element_handle())


def test_a_broken_file_shows_its_reason_and_is_tried_again(page: Page, served: Served) -> None:
    expect(row(page, "broken.mp4")).to_contain_text("Failed")
    expect(row(page, "broken.mp4")).to_contain_text("It is not a video or audio file")
    expect(page.get_by_role("heading", name="1 file could not be indexed")).to_be_visible()
    clip(served.films / "broken.mp4", [WHITE, RED])
    page.get_by_role("button", name="Try again").click()
    expect(bar(page)).to_be_visible()
    expect(page.get_by_text("Finished: 1 indexed")).to_be_visible(timeout=JOB_MS)
    expect(row(page, "broken.mp4")).to_contain_text("Ready")
    expect(page.get_by_role("button", name="Try again")).not_to_be_visible()


def test_the_list_is_searched_and_sorted(page: Page) -> None:
    rows = page.get_by_role("table").get_by_role("row")
    page.get_by_label("Search in the list").fill("SEA trips")
    expect(rows).to_have_count(1 + 1)
    expect(page.get_by_text("1–1 of 1 found among 4")).to_be_visible()
    page.get_by_label("Search in the list").fill("no such name")
    expect(page.get_by_role("heading", name="No video fits")).to_be_visible()
    page.get_by_label("Search in the list").fill("")
    expect(rows).to_have_count(1 + 4)
    expect(rows.nth(2)).to_contain_text("broken.mp4")
    page.get_by_label("Sort by").click()
    page.get_by_role("option", name="Newest in the index").click()
    expect(rows.nth(1)).to_contain_text("broken.mp4")


def test_a_video_is_removed_after_a_question(page: Page, served: Served) -> None:
    page.get_by_role("button", name="Remove sun.mp4").click()
    expect(page.get_by_role("heading", name="Remove this video")).to_be_visible()
    expect(page.get_by_text("No file is deleted from the disk.")).to_be_visible()
    expect(page.get_by_role("button", name="Keep it")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", name="Remove this video")).not_to_be_visible()
    page.get_by_role("button", name="Remove sun.mp4").click()
    page.get_by_role("button", name="Remove from the index").click()
    expect(row(page, "sun.mp4")).to_have_count(0, timeout=JOB_MS)
    expect(row(page, "sea.mp4")).to_be_visible()
    assert (served.films / "trips" / "sun.mp4").exists()


def test_a_job_is_cancelled_and_what_is_finished_stays(page: Page, served: Served) -> None:
    many = served.films.parent / "many"
    for number in range(4):
        clip(many / f"{number}.mp4", [RED, GREEN, BLUE, WHITE] * 5, seed=number)
    add(page, many)
    expect(bar(page)).to_have_attribute("aria-valuenow", "0", timeout=JOB_MS)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("status", name="Last job")).to_contain_text("Nothing is lost", timeout=JOB_MS)
    assert served.jobs.progress().state == "stopped"
    expect(row(page, "sea.mp4")).to_be_visible()


def test_a_folder_is_removed_with_its_videos(page: Page, served: Served) -> None:
    page.get_by_role("button", name="Folders and models").click()
    page.get_by_role("button", name=f"Remove {served.films}", exact=True).click()
    expect(page.get_by_role("heading", name="Remove this folder")).to_be_visible()
    page.get_by_role("button", name="Remove from the index").click()
    expect(row(page, "sea.mp4")).to_have_count(0, timeout=JOB_MS)
    expect(page.get_by_role("button", name=f"Remove {served.films}", exact=True)).to_have_count(0)
    assert len(list(served.films.rglob("*.mp4"))) == 4


def test_it_fits_a_phone(browser: Browser, served: Served) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 800})
    open_library(page, served)
    page.get_by_role("button", name="Folders and models").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()
