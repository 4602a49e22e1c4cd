"""The page of a search: safe, whole, offline and readable."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from urllib.parse import unquote, urlsplit

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.core.errors import UsageError
from search.engine import Ranking
from search.moments import Hit, Moment
from search.query.query import Query
from tests.unit.search.library import video
from ui.export import export_ranking, write_export
from ui.export.html_page import as_page
from ui.services.answers import MomentView
from ui.services.query_pictures import small_jpeg

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</title></style></bdi><h1>gone",
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "]]><!-- & &lt;b&gt; -->",
]
VOID = {"meta", "img", "link", "br", "hr", "input"}
ID = "0123456789abcdef0123456789abcdef"
GREY = np.full((90, 160, 3), 128, np.uint8)


def jpeg() -> bytes:
    return cv2.imencode(".jpg", GREY)[1].tobytes()


@pytest.fixture(scope="module")
def thumbnail(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("thumbnails") / "1.jpg"
    path.write_bytes(jpeg())
    return path


def hit(modality: str, cosine: float, text: str = "") -> Hit:
    return Hit("1", ID, modality, 63.0, 70.2, 65.5, cosine, text=text)  # type: ignore[arg-type]


def found(*hits: Hit, start_s: float = 63.0, end_s: float = 70.2, time_s: float = 65.5, **changes: object) -> Moment:
    lion = replace(video(ID, path="/videos/zoo/lion.mp4", label="animals"), title="A day out")
    hits = hits or (hit("frames", 0.283), hit("subtitle", 0.5, "There is the lion."))
    return Moment(replace(lion, **changes), start_s, end_s, time_s, 1 / 61, hits)  # type: ignore[arg-type]


def page_of(*moments: Moment, question: str = "q", image: np.ndarray | None = None) -> str:
    query = Query("q") if image is None else Query(image=image)
    return as_page(Ranking(query, moments, len(moments), ("frames",), ()), question).decode()


class Page(HTMLParser):
    """What a browser would make of a page: its elements with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)

    @property
    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        return [(tag, tuple(attributes)) for tag, attributes in self.elements]

    def values(self, attribute: str) -> list[str]:
        return [attributes[attribute] or "" for _, attributes in self.elements if attribute in attributes]


def page_saying(text: str) -> str:
    """A page with the same text in every place that takes any."""
    moment = found(
        hit(text, 0.25, text), hit("ocr", 0.5, text), path=Path("/videos") / text, title=text, label=text, id=text
    )
    return page_of(moment, question=text)


def names_in_use(page: Page) -> set[str]:
    return {tag for tag, _ in page.elements}


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_becomes_text(text: str) -> None:
    page = Page(page_saying(text))
    assert page.shape == Page(page_saying("plain")).shape
    # Head, name, label, modality, two texts, video; the path too, within its folder.
    assert page.text.count(text) == 8
    assert not {"script", "iframe", "object", "form", "base"} & names_in_use(page)


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1).map(lambda text: f"x{text}x").filter(lambda text: "\0" not in text))
def test_no_text_whatever_adds_an_element_or_attribute(text: str) -> None:
    assert Page(page_saying(text)).shape == Page(page_saying("plain")).shape


@pytest.mark.parametrize("text", HOSTILE)
def test_links_lead_to_files_only(text: str) -> None:
    for path in (Path(text), Path("/videos") / text):
        link = Page(page_of(found(path=path))).values("href")[0]
        assert link.startswith("file:///")
        assert unquote(urlsplit(link).path) == str(path.absolute())


@given(st.floats(min_value=0, max_value=1e7))
def test_links_open_the_moments_second(time_s: float) -> None:
    link = Page(page_of(found(start_s=0.0, end_s=1e7, time_s=time_s))).values("href")[0]
    name, value = urlsplit(link).fragment.split("=")
    assert name == "t"
    assert re.fullmatch(r"\d+(\.\d+)?", value)
    assert float(value) == pytest.approx(time_s, abs=0.0006)


def test_a_name_that_is_no_utf8_is_shown_and_linked() -> None:
    text = page_of(found(path=Path("/v") / os.fsdecode(b"caf\xe9.mp4"), title=""))
    assert "/v/caf\N{REPLACEMENT CHARACTER}.mp4" in Page(text).text
    assert "file:///v/caf%E9.mp4#t=65.5" in text


def test_control_characters_are_left_out() -> None:
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", page_saying("a\x00b\x1bc\x7f").replace("\n", ""))


def test_nothing_comes_from_elsewhere(thumbnail: Path) -> None:
    text = page_of(replace(found(), thumbnail=thumbnail), found(), image=GREY)
    page = Page(text)
    assert not {"script", "link", "iframe"} & names_in_use(page)
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.values("src"))
    assert all(link.startswith("file:///") for link in page.values("href"))
    assert not re.search(r"https?:|url\(|@import|//\w+\.\w+", re.sub(r"base64,[\w+/=]+", "", text))
    policy = dict(page.elements[4][1])
    assert policy["http-equiv"] == "Content-Security-Policy"
    assert (policy["content"] or "").startswith("default-src 'none'")


def test_thumbnails_are_inside_the_page(thumbnail: Path) -> None:
    [source] = Page(page_of(replace(found(), thumbnail=thumbnail))).values("src")
    assert source.startswith("data:image/jpeg;base64,")
    assert base64.b64decode(source.split(",")[1]) == jpeg()


@pytest.mark.parametrize("content", [None, b"", b"<svg onload=alert(1)>"])
def test_a_moment_without_a_thumbnail_says_so(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "1.jpg"
    if content is not None:
        path.write_bytes(content)
    page = Page(page_of(replace(found(), thumbnail=path)))
    assert "No picture" in page.text
    assert "img" not in names_in_use(page)


def test_a_moment_tells_all_there_is_to_know() -> None:
    text = " ".join(Page(page_of(found(), question="a lion")).text.split())
    expected = ["a lion", "1 moment in 1 video", "A day out", "0:01:03 – 0:01:11", "animals"]
    expected += ["Picture similarity 0.283", "Subtitles similarity 0.500", "There is the lion.", "/videos/zoo/lion.mp4"]
    expected += ["score 0.0164", "video 0123456789abcdef0123456789abcdef"]
    assert [words for words in expected if words not in text] == []


def test_moments_keep_their_order_and_videos_are_counted_once() -> None:
    text = Page(page_of(found(title="one"), found(title="two"), found(title="three", id="f" * 32))).text
    assert text.index("one at") < text.index("two at") < text.index("three at")
    assert "3 moments in 2 videos" in text


def test_a_file_name_stands_in_for_a_missing_title() -> None:
    assert MomentView(1, found(title=" ")).name == "lion.mp4"


def test_nothing_found_says_what_to_try() -> None:
    page = Page(page_of(question="a unicorn"))
    assert "a unicorn" in page.text
    assert "Nothing found" in page.text
    assert "fewer" in page.text
    assert "sceneseek status" in page.text
    assert "article" not in names_in_use(page)


def test_a_search_by_picture_shows_the_picture() -> None:
    page = Page(page_of(question="", image=GREY))
    assert "Moments like this picture" in page.text
    assert base64.b64decode(page.values("src")[0].split(",")[1]) == small_jpeg(GREY)


def test_the_page_is_accessible(thumbnail: Path) -> None:
    page = Page(page_of(*[replace(found(), thumbnail=thumbnail)] * 2))
    assert page.open == []
    assert page.elements[0] == ("html", {"lang": "en"})
    assert [tag for tag, _ in page.elements if re.fullmatch(r"h\d", tag)] == ["h1", "h2", "h2"]
    assert {"header", "main", "footer", "title"} <= names_in_use(page)
    images = [attributes for tag, attributes in page.elements if tag == "img"]
    assert [attributes["alt"] for attributes in images] == ["A day out at 0:01:05"] * 2
    identifiers = page.values("id")
    assert len(set(identifiers)) == len(identifiers)
    assert set(page.values("aria-labelledby")) == set(identifiers)


def test_text_stands_out_from_its_background_in_light_and_dark() -> None:
    style = page_of().split("@media print")[0]
    schemes = [dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in re.findall(r":root \{(.*?)\}", style, re.S)]
    assert len(schemes) == 2
    for scheme, ink, paper in product(schemes, ("ink", "soft", "accent"), ("page", "card", "hollow")):
        assert contrast(scheme[ink], scheme[paper]) >= 4.5, (ink, paper, scheme)


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2.2."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(("cosine", "percent"), [(-0.4, 0), (0.0, 0), (0.256, 26), (1.00001, 100)])
def test_bars_run_from_no_likeness_to_the_same(cosine: float, percent: int) -> None:
    assert Page(page_of(found(hit("frames", cosine)))).values("style") == [f"width: {percent}%"]


def test_the_file_is_written_whole_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "search_results"
    path.write_text("old")
    ranking = Ranking(Query("q"), (found(),), 1, ("frames",), ())
    write_export(path, ranking, "q", "html")
    assert path.read_bytes() == export_ranking(ranking, "q", "html") == page_of(found()).encode()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("place", ["missing/page.html", "file/page.html", "folder"])
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match=re.escape(str(tmp_path / place))):
        write_export(tmp_path / place, Ranking(Query("q"), (), 0, ("frames",), ()), "q", "html")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
