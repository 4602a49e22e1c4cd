"""The report's files: what is in them, that untrusted texts stay texts, and that pictures are pictures."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pictures

from indexer.core.errors import UsageError
from indexer.store.memory import MemoryStore
from search.evaluate.actions import ActionEvaluation, ActionOptions, evaluate_actions
from search.evaluate.prompts import TEMPLATES, ClassNames
from search.evaluate.report import (
    MOST_CLASSES_DRAWN,
    confusion_picture,
    distribution_picture,
    evaluation_as_json,
    render_action_page,
    write_action_report,
)
from tests.unit.search.library import BagOfWords, put, shots, video

ABOUT = {"picture model": "bag of words", "keyframes": "shots"}
FILES = {
    "results.html",
    "results.csv",
    "results.json",
    "classes.csv",
    "confusion.csv",
    "similarity_distribution.png",
    "confusion.png",
}


def evaluation_of(
    shown: Sequence[tuple[str, str]], classes: Sequence[str], path: str = "", about: Mapping[str, str] = ABOUT
) -> ActionEvaluation:
    """Videos of (label, what their only frame shows)."""
    store = MemoryStore()
    for number, (label, text) in enumerate(shown):
        key = f"v{number:03}"
        put(store, video(key, label=label, path=path and f"{path}{number}"), shots(key, [text]))
    options = ActionOptions(classes=ClassNames("file", tuple(classes)))
    return evaluate_actions(store, BagOfWords(), options, about=about)


@pytest.fixture
def evaluation() -> ActionEvaluation:
    return evaluation_of([("diving", "diving"), ("diving", "fencing"), ("fencing", "fencing")], ["diving", "fencing"])


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def test_every_file_is_written_whole(evaluation: ActionEvaluation, tmp_path: Path) -> None:
    written = write_action_report(evaluation, tmp_path / "new" / "out")
    assert {path.name for path in written} == FILES == {path.name for path in (tmp_path / "new" / "out").iterdir()}


def test_the_tables_say_what_was_found(evaluation: ActionEvaluation, tmp_path: Path) -> None:
    write_action_report(evaluation, tmp_path)
    rows = table(tmp_path / "results.csv")
    assert [(row["label"], row["best"], row["right"], row["rank"]) for row in rows] == [
        ("diving", "diving", "1", "1"),
        ("diving", "fencing", "0", "2"),
        ("fencing", "fencing", "1", "1"),
    ]
    assert [row["class_1"] for row in rows] == [row["best"] for row in rows]
    classes = {row["class"]: row for row in table(tmp_path / "classes.csv")}
    assert (classes["diving"]["p_at_1"], classes["diving"]["most_often_taken_for"]) == ("0.5000", "fencing")
    confusion = [list(row.values()) for row in table(tmp_path / "confusion.csv")]
    assert confusion == [["diving", "1", "1"], ["fencing", "0", "1"]]


def test_the_json_holds_every_figure(evaluation: ActionEvaluation, tmp_path: Path) -> None:
    write_action_report(evaluation, tmp_path)
    content = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert content["index"] == ABOUT
    assert content["by_video"]["p_at_1"]["value"] == pytest.approx(2 / 3)
    assert content["by_video"]["precision_at_3"]["value"] == pytest.approx(1 / 3)
    assert [each["rank"] for each in content["videos"]] == [1, 2, 1]
    assert content["options"]["templates"]["patterns"] == ["{}"]
    assert content == json.loads(json.dumps(evaluation_as_json(evaluation)))


def test_the_page_names_figures_classes_and_videos(evaluation: ActionEvaluation, tmp_path: Path) -> None:
    write_action_report(evaluation, tmp_path)
    page = (tmp_path / "results.html").read_text(encoding="utf-8")
    assert "Right class first for 2 of 3 videos, in the first three for 3" in page
    assert page.count('class="card right"') == 2
    assert page.count('class="card wrong"') == 1
    assert "taken for <bdi>fencing</bdi>" in page
    assert "bag of words" in page
    assert "0.500" in page  # what chance would give


def test_the_page_fetches_nothing_and_runs_nothing(evaluation: ActionEvaluation, tmp_path: Path) -> None:
    write_action_report(evaluation, tmp_path)
    page = (tmp_path / "results.html").read_text(encoding="utf-8")
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in page
    assert "<script" not in page
    assert not re.search(r"(src|href)=[\"'](?!data:|file:)", page)


def test_texts_from_elsewhere_stay_texts(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>\x07&"
    evaluation = evaluation_of(
        [(evil, "diving")], [evil, "diving"], path="/films/<img src=x onerror=y>", about={"index": evil}
    )
    write_action_report(evaluation, tmp_path)
    page = (tmp_path / "results.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "\x07" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_a_name_that_is_no_unicode_breaks_nothing(tmp_path: Path) -> None:
    name = os.fsdecode(b"/films/caf\xe9-")
    write_action_report(evaluation_of([("diving", "diving")], ["diving", "fencing"], path=name), tmp_path)
    assert "caf\ufffd-0" in (tmp_path / "results.html").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["videos"][0]["path"] == f"{name}0"


def test_thumbnails_are_inline_and_only_pictures(evaluation: ActionEvaluation, tmp_path: Path) -> None:
    picture, other = tmp_path / "picture.jpg", tmp_path / "other.jpg"
    picture.write_bytes(cv2.imencode(".jpg", np.zeros((9, 16, 3), np.uint8))[1].tobytes())
    other.write_text("no picture", encoding="utf-8")
    found = {"v000": picture, "v001": other, "v002": tmp_path / "gone.jpg"}
    asked: list[tuple[str, float]] = []

    def find(video_id: str, time_s: float) -> Path:
        asked.append((video_id, time_s))
        return found[video_id]

    write_action_report(evaluation, tmp_path / "out", find)
    page = (tmp_path / "out" / "results.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == 1
    assert page.count("No picture") == 2
    assert asked == [("v000", 0.5), ("v001", 0.5), ("v002", 0.5)]


def test_the_pictures_can_be_opened(evaluation: ActionEvaluation) -> None:
    confusion = confusion_picture(evaluation)
    assert confusion is not None
    for content in (distribution_picture(evaluation), confusion):
        with Pictures.open(io.BytesIO(content)) as picture:
            assert picture.format == "PNG"
            assert min(picture.size) > 200


def test_the_histogram_is_green_for_right_and_red_for_wrong() -> None:
    far_apart = evaluation_of([("diving", "diving"), ("fencing", "fencing")], ["diving", "fencing"])
    with Pictures.open(io.BytesIO(distribution_picture(far_apart))) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    body = pixels[pixels.shape[0] // 3 :]  # below the legend
    red, green = body[..., 0] - body[..., 1], body[..., 1] - body[..., 0]
    middle = body.shape[1] // 2
    assert (red[:, :middle] > 30).sum() > 1000 > (red[:, middle:] > 30).sum()
    assert (green[:, middle:] > 30).sum() > 1000 > (green[:, :middle] > 30).sum()


def test_too_many_classes_are_not_drawn_and_an_old_picture_goes(evaluation: ActionEvaluation, tmp_path: Path) -> None:
    write_action_report(evaluation, tmp_path)
    names = [f"c{number}" for number in range(MOST_CLASSES_DRAWN + 1)]
    written = write_action_report(evaluation_of([(name, name) for name in names], names), tmp_path)
    assert "confusion.png" not in {path.name for path in written} | {path.name for path in tmp_path.iterdir()}
    assert len(table(tmp_path / "confusion.csv")) == len(names)


def test_a_class_may_be_called_like_a_formula_or_in_any_script() -> None:
    names = ["$5 bill$", "潜水", r"\frac{", "_^"]
    evaluation = evaluation_of([("$5 bill$", "bill"), ("潜水", "潜水")], names)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert confusion_picture(evaluation)


def test_a_long_list_is_cut_and_says_so(evaluation: ActionEvaluation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.evaluate.report.MOST_CARDS", 2)
    page = render_action_page(evaluation, b"", None, None)
    assert page.count('class="card ') == 2
    assert "These are the first 2; results.csv has all 3." in page


def test_a_right_class_beyond_the_fifth_is_shown_with_its_rank(tmp_path: Path) -> None:
    names = ["diving", *(f"diving{' x' * number}" for number in range(1, 9))]
    store = MemoryStore()
    put(store, video("v", label=names[8]), shots("v", ["diving"]))
    options = ActionOptions(classes=ClassNames("file", tuple(names)))
    write_action_report(evaluate_actions(store, BagOfWords(), options), tmp_path)
    assert "· rank 9" in (tmp_path / "results.html").read_text(encoding="utf-8")


def test_broken_lines_and_left_out_videos_are_listed(evaluation: ActionEvaluation, tmp_path: Path) -> None:
    broken = replace(TEMPLATES["plain"], broken=("mine.txt, line 3: no {} for the class",))
    write_action_report(replace(evaluation, options=replace(evaluation.options, templates=broken)), tmp_path)
    assert "mine.txt, line 3" in (tmp_path / "results.html").read_text(encoding="utf-8")
    content = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert content["left_out"]["broken_lines"] == list(broken.broken)


def test_a_folder_that_cannot_be_written_is_a_usage_error(evaluation: ActionEvaluation, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(UsageError, match="cannot be written"):
        write_action_report(evaluation, tmp_path / "file")
