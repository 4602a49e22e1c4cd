"""The Search tab as a visitor uses it: a real server, a real browser, the sample library."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import av
import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from indexer.media.deliver.write import ClipOptions, write_clip
from indexer.store.lock import writing
from ui.demo.clips import DEMO_ANSWERS

from .axe import AXE, faults, needs_axe
from .conftest import Run, Served, run_here, serving

# What a browser says of itself, and what Gradio says of its event stream when a page is left.
HARMLESS = re.compile(r"Autofocus processing was blocked|signal is aborted|Connection errored out")
Open = Callable[..., Page]


@pytest.fixture
def opened(chromium: Browser, served: Served) -> Iterator[Open]:
    """Opens the page at an address; afterwards nothing may have been complained of."""
    said: list[str] = []
    contexts = []

    def open_page(address: str = "", *, width: int = 1280, height: int = 900, dark: bool = False) -> Page:
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"{served.address}/{address}")
        page.wait_for_selector("#answer [data-address]", timeout=60_000)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [text for text in said if not HARMLESS.search(text)] == []


def search(page: Page, text: str) -> None:
    box = page.get_by_role("textbox", name="What do you remember?")
    box.fill(text)
    box.press("Enter")
    page.wait_for_function(
        "text => new URLSearchParams(document.querySelector('#answer [data-address]')?.dataset.address)"
        ".get('q') === text",
        arg=text,
    )


def playing(page: Page) -> dict[str, float | bool | str]:
    return page.eval_on_selector(
        ".ss-player video", "video => ({ time: video.currentTime, paused: video.paused, src: video.src })"
    )


def wait_until_playing(page: Page) -> None:
    page.wait_for_function(
        "() => { const v = document.querySelector('.ss-player video'); return !v.paused && v.readyState >= 2; }",
        timeout=20_000,
    )


def test_typing_finds_cards_and_a_click_plays_that_moment(opened, demo):
    page = opened()
    expect(page.get_by_role("heading", name="What do you remember?")).to_be_visible()
    query, (file, start_s, end_s) = "never do it for free", DEMO_ANSWERS["never do it for free"]
    search(page, query)
    first = page.locator(".ss-card").first
    expect(first.locator("h3")).to_have_text(Path(file).name)
    expect(first.locator("mark").first).to_be_visible()
    moment_s = float(first.get_attribute("data-time"))
    assert start_s - 1 <= moment_s <= end_s
    first.get_by_role("button", name=re.compile("^Play ")).click()
    wait_until_playing(page)
    assert abs(playing(page)["time"] - moment_s) < 1.0
    expect(first).to_have_attribute("aria-current", "true")
    assert f"t={round(moment_s, 1):g}" in page.url


def test_the_answer_is_that_of_the_command_line(opened, demo, run: Run):
    page = opened("?q=a+big+cat")
    shown = page.eval_on_selector_all(
        ".ss-card", "cards => cards.map(card => [card.dataset.video, Number(card.dataset.start)])"
    )
    told = json.loads(run("search", "--index", demo.index, "--json", "--top-k", 12, "a big cat").stdout)
    assert shown == [[moment["video_id"], moment["start_s"]] for moment in told["moments"]]
    assert shown


def test_the_timeline_seeks_and_repeats(opened):
    page = opened("?q=valley&unlikely=1")
    page.locator(".ss-card").first.click()
    wait_until_playing(page)
    marks = page.locator(".ss-timeline button")
    expect(marks.nth(1)).to_be_attached()
    at = [
        float(x)
        for x in page.eval_on_selector_all(".ss-timeline button", "all => all.map(b => parseFloat(b.style.left))")
    ]
    assert at == sorted(at)
    assert all(0 <= place <= 100 for place in at)
    length_s = page.eval_on_selector(".ss-player video", "video => video.duration")
    last = marks.last
    last.click()
    page.wait_for_function(
        "from => document.querySelector('.ss-player video').currentTime >= from", arg=at[-1] / 100 * length_s
    )
    page.get_by_label("Repeat the moment").check()
    moment_end = page.evaluate("() => document.querySelector('.ss-player video').duration - 0.3")
    page.eval_on_selector(".ss-player video", "(video, at) => { video.currentTime = at; }", moment_end)
    page.wait_for_function(
        "want => { const v = document.querySelector('.ss-player video'); return v.currentTime < want && !v.paused; }",
        arg=moment_end - 0.5,
        timeout=10_000,
    )


def test_a_video_no_browser_plays_is_converted(opened, demo):
    """The sample library's Matroska file is sent as MP4, from the second that was asked for."""
    page = opened("?q=earth+at+night&folder=space&unlikely=1")
    card = page.locator(".ss-card").first
    card.click()
    wait_until_playing(page)
    shown = playing(page)
    assert "/stream.mp4?start=" in shown["src"]
    offset_s = float(parse_qs(urlsplit(shown["src"]).query)["start"][0])
    assert abs(offset_s - float(card.get_attribute("data-time"))) < 0.01


def test_the_player_waits_where_there_is_no_room(chromium, served):
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"{served.address}/?q=earth+at+night&folder=space&unlikely=1")
    full = {"status": 503, "headers": {"retry-after": "1"}, "json": {"detail": "Too many videos are being converted."}}
    page.route("**/stream.mp4*", lambda route: route.fulfill(**full))
    page.locator(".ss-card").first.click(timeout=60_000)
    expect(page.locator(".ss-trouble")).to_have_text(
        "Too many videos are being converted. This one begins as soon as there is room.", timeout=20_000
    )
    page.unroute("**/stream.mp4*")
    wait_until_playing(page)
    expect(page.locator(".ss-trouble")).to_be_hidden()
    context.close()


def test_back_returns_and_links_can_be_shared(opened):
    page = opened()
    search(page, "a big cat")
    search(page, "valley")
    page.go_back()
    page.wait_for_function("() => document.querySelector('#answer [data-address]').dataset.address === 'q=a+big+cat'")
    expect(page.get_by_role("textbox", name="What do you remember?")).to_have_value("a big cat")
    card = page.locator(".ss-card").first
    card.click()
    wait_until_playing(page)
    link = page.url
    other = opened(f"?{urlsplit(link).query}")
    wait_until_playing(other)
    assert abs(playing(other)["time"] - float(card.get_attribute("data-time"))) < 1.5
    assert other.locator(".ss-card.ss-playing").get_attribute("data-video") == card.get_attribute("data-video")


def test_more_like_this(opened):
    page = opened("?q=a+big+cat")
    first = page.locator(".ss-card").first
    video = first.get_attribute("data-video")
    first.get_by_role("link", name="More like this").click()
    page.wait_for_function("() => document.querySelector('#answer [data-address]').dataset.address.startsWith('like=')")
    expect(page.locator("#answer h2")).to_contain_text("like the one in")
    assert page.locator(".ss-card").first.get_attribute("data-video") == video


def test_searching_by_a_picture(opened, demo, tmp_path):
    clip = demo.library / "animals" / "safari.mp4"
    frame = tmp_path / "query.png"
    with av.open(str(clip)) as container:
        next(container.decode(video=0)).to_image().save(frame)
    page = opened()
    page.get_by_role("button", name="By picture").click()
    page.set_input_files("#picture input[type=file]", frame)
    expect(page.locator("#answer h2")).to_contain_text("like your picture", timeout=30_000)
    assert page.locator(".ss-card h3").first.inner_text().startswith("safari")
    # A filter keeps the picture, and so does the address.
    page.get_by_role("button", name="Advanced").click()
    page.get_by_label("Each video once").check()
    expect(page.locator("#answer h2")).to_contain_text("videos like your picture")
    page.reload()
    expect(page.locator("#answer h2")).to_contain_text("videos like your picture", timeout=30_000)


def test_filters(opened):
    page = opened("?q=a&unlikely=1")
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("Labels").click()
    page.get_by_role("option", name="city").click()
    page.keyboard.press("Escape")
    page.wait_for_selector("#answer [data-address*='label=city']")
    assert set(page.locator(".ss-when .ss-label").all_inner_texts()) == {"city"}


def test_a_link_counts_though_a_field_was_left_by_pressing_it(opened):
    page = opened()
    link = page.locator(".ss-panel a[data-go]").first
    link.wait_for()
    text = link.inner_text()
    page.get_by_role("button", name="Filters").click()
    page.locator("input[type=number]:visible").first.fill("0.05")
    link.click()
    expect(page.locator("#answer h2")).to_contain_text(text)
    page.wait_for_timeout(1500)  # as long as another answer might take
    expect(page.locator("#answer h2")).to_contain_text(text)
    assert "longer" not in page.url


def test_leaving_a_field_as_it_was_asks_for_nothing(opened):
    # 1.9 seconds are a number of minutes that is not quite 1.9 seconds again.
    page = opened("?q=picture+of+something&unlikely=1&longer=1.9&p=2")
    expect(page.locator(".ss-pages")).to_contain_text("Page 2")
    page.get_by_role("button", name="Filters").click()
    page.locator("input[type=number]:visible").first.focus()
    page.keyboard.press("Tab")
    page.wait_for_timeout(1500)
    expect(page.locator(".ss-pages")).to_contain_text("Page 2")


def test_pages_can_be_turned_and_reopened(opened):
    page = opened("?q=picture+of+something&unlikely=1")
    first = page.locator(".ss-card").evaluate_all("cards => cards.map(card => card.dataset.start)")
    assert len(first) == 12
    page.get_by_role("link", name="Next").click()
    expect(page.locator(".ss-pages")).to_contain_text("Page 2")
    assert page.locator(".ss-cards").get_attribute("start") == "13"
    page.reload()
    expect(page.locator(".ss-pages")).to_contain_text("Page 2")
    page.go_back()
    expect(page.locator(".ss-pages")).to_contain_text("Page 1")


def test_the_last_of_many_quick_clicks_counts(opened):
    page = opened()
    page.evaluate(
        """() => { window.shown = []; new MutationObserver(() => {
            const asked = document.querySelector('#answer [data-asked]')?.dataset.asked;
            if (asked !== undefined && asked !== window.shown.at(-1)) window.shown.push(asked);
        }).observe(document.querySelector('#answer'), {childList: true, subtree: true, attributes: true}); }"""
    )
    wanted = page.eval_on_selector_all(
        ".ss-examples a", "links => { links.forEach(link => link.click()); return links.at(-1).search.slice(1); }"
    )
    page.wait_for_function("want => document.querySelector('#answer [data-asked]').dataset.asked === want", arg=wanted)
    page.wait_for_function("want => location.search.slice(1) === want", arg=wanted)
    assert page.eval_on_selector("#answer [data-address]", "answer => answer.dataset.address") == wanted
    # Answers come in the order they were asked for: what is still to come comes before the next.
    page.go_back()
    page.wait_for_function("want => window.shown.at(-1) !== want", arg=wanted)
    shown = page.evaluate("() => window.shown")
    assert shown.index(wanted) == len(shown) - 2


def test_order_of_time_and_each_video_once(opened):
    page = opened("?q=valley&unlikely=1&sort=time&folder=travel")
    starts = [float(card.get_attribute("data-start")) for card in page.locator(".ss-card").all()]
    assert starts == sorted(starts)
    assert len(starts) > 1
    page = opened("?q=valley&unlikely=1&videos=1")
    videos = [card.get_attribute("data-video") for card in page.locator(".ss-card").all()]
    assert len(videos) == len(set(videos)) > 1


def test_keys(opened):
    page = opened("?q=valley&unlikely=1")
    page.locator("body").press("/")
    expect(page.get_by_role("textbox", name="What do you remember?")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    second = page.locator(".ss-card").nth(1)
    expect(second.locator("[data-play]")).to_be_focused()
    page.keyboard.press("Enter")
    wait_until_playing(page)
    expect(second).to_have_attribute("aria-current", "true")


def test_nothing_found_is_said_and_what_to_do(opened):
    page = opened("?q=xylophone+tax+return+of+the+martian+parliament")
    expect(page.get_by_role("heading", name="Nothing found")).to_be_visible()
    page = opened("?q=duration%3Cx+label")
    expect(page.locator("#answer [data-address]")).to_be_visible()


def test_exports_are_files(opened, served, demo):
    page = opened("?q=valley&unlikely=1")
    for name, beginning in (
        ("Spreadsheet", b"\xef\xbb\xbfrank"),
        ("JSON", b"{"),
        ("Edit list (EDL)", b"TITLE:"),
        ("Timeline (OTIO)", b"{"),
    ):
        with page.expect_download() as started:
            page.get_by_role("link", name=name, exact=True).click()
        assert Path(started.value.path()).read_bytes().startswith(beginning)
    with page.expect_download() as started:
        page.locator(".ss-card").first.get_by_role("link", name="Save clip").click()
    assert Path(started.value.path()).stat().st_size > 1000


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_shows_everything_without_scrolling_sideways(opened, dark):
    page = opened("?q=valley&unlikely=1", width=390, height=844, dark=dark)
    page.locator(".ss-card").first.click()
    wait_until_playing(page)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
    assert page.evaluate("() => document.body.classList.contains('dark')") is dark


@needs_axe
@pytest.mark.parametrize("dark", [False, True])
def test_no_serious_accessibility_fault(opened, dark):
    page = opened("?q=valley&unlikely=1", dark=dark)
    page.locator(".ss-card").first.click()
    wait_until_playing(page)
    for name in ("Filters", "Advanced"):
        page.get_by_role("button", name=name).click()
    time.sleep(0.5)
    assert faults(page) == []
    page.get_by_role("tab", name="Library").click()
    time.sleep(1.0)
    assert faults(page) == []


EVIL = "<img src=x onerror=alert(1)> ${alert(2)} {{value}} {% raw %}"
EVIL_FILE = "a$(alert){{7*7}}.mp4"
LOGIN = {"username": "ann", "password": "secret word"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory) -> Iterator[Served]:
    """Behind a login, a library whose file names and titles try to be markup, a template or a script."""
    folder = tmp_path_factory.mktemp("guarded")
    library, index = folder / "library", folder / "index"
    library.mkdir()
    picture = np.full((48, 64, 3), 90, np.uint8)
    write_clip(library / EVIL_FILE, [picture] * 25, options=ClipOptions(title=EVIL))
    (library / EVIL_FILE).with_suffix(".srt").write_text("1\n00:00:00,000 --> 00:00:00,900\nhello valley\n")
    indexed = run_here(["index", library, "--index", index, "--profile", "embedded"], folder)
    assert indexed.returncode == 0, indexed.stderr
    with serving(index, folder, "--auth", "ann:secret word") as page:
        yield page


def test_names_and_texts_are_shown_and_never_run(chromium, guarded):
    context = chromium.new_context(http_credentials=LOGIN)
    page = context.new_page()
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.goto(f"{guarded.address}/?q=hello+valley&unlikely=1")
    card = page.locator(".ss-card").first
    expect(card.locator("h3")).to_have_text(EVIL, timeout=60_000)
    expect(card.locator("blockquote").first).to_contain_text("hello valley")
    card.click()
    wait_until_playing(page)
    page.get_by_role("tab", name="Library").click()
    expect(page.get_by_role("table", name="Videos in the index")).to_contain_text(EVIL)
    assert page.locator('img[src="x"]').count() == 0
    context.close()
    assert dialogs == []


def test_without_an_index_the_page_says_what_to_do_and_follows_what_is_built(chromium, tmp_path, demo):
    index = tmp_path / "none"
    (tmp_path / "config.toml").write_text('[models]\nspeech = "off"\nocr = "off"\n')
    with serving(index, tmp_path) as served_here:
        context = chromium.new_context()
        page = context.new_page()
        page.goto(served_here.address)
        expect(page.get_by_role("heading", name="Your library is empty so far")).to_be_visible(timeout=60_000)
        box = page.get_by_role("textbox", name="What do you remember?")
        box.fill("typed meanwhile")
        page.get_by_role("button", name="Open Library").click()
        expect(page.get_by_role("tab", name="Library")).to_have_attribute("aria-selected", "true")
        page.get_by_label("Add a folder").fill(str(demo.library / "animals"))
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.get_by_role("progressbar", name="Progress of the job")).to_be_visible()
        page.get_by_role("tab", name="Search").click()
        expect(page.get_by_role("heading", name="Your library is being built")).to_be_visible()
        expect(page.get_by_role("progressbar", name="How far the library is")).to_be_visible()
        if AXE.is_file():
            assert faults(page) == []
        expect(page.get_by_role("heading", name="What do you remember?")).to_be_visible(timeout=120_000)
        expect(box).to_have_value("typed meanwhile")
        line = page.locator(".ss-news")
        expect(line).to_be_hidden(timeout=120_000)
        with writing(index):
            page.get_by_role("tab", name="Search").click()
            expect(line).to_have_text(re.compile("^Another program is writing the library"), timeout=20_000)
        context.close()


def test_a_login_is_asked_for(chromium, guarded):
    for path in ("/", "/config", "/media/0/info", "/moments/0?q=a", "/gradio_api/mcp/"):
        assert httpx.get(guarded.address + path).status_code == 401
    allowed = chromium.new_context(http_credentials=LOGIN)
    page = allowed.new_page()
    page.goto(guarded.address)
    expect(page.get_by_role("heading", name="What do you remember?")).to_be_visible(timeout=60_000)
    assert page.request.get(f"{guarded.address}/media/0/info").status == 404
    allowed.close()
