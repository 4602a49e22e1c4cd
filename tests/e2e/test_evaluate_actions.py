"""``sceneseek evaluate actions`` on a library indexed by the real command, with the embedded models."""

from __future__ import annotations

import csv
import json
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from indexer.core.errors import IndexMissingError, UsageError
from indexer.media.deliver.write import ClipOptions, write_clip
from tests.clips import GREEN, RED, clip
from tests.e2e.conftest import OFFLINE, run_here
from ui.cli.evaluate import evaluate_actions

PHOTOGRAPHS = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "imagenet-sample"
SHOWN = {
    "snake": ("n01735189_garter_snake", "n01728572_thunder_snake"),
    "Tiger": ("n02129604_tiger",),
    "electric_locomotive": ("n03272562_electric_locomotive",),
    "broccoli": ("n07714990_broccoli",),
    "sportsCar": ("n04285008_sports_car",),
}
WITHOUT = [flag for role in ("speech", "ocr", "sounds", "objects", "captions") for flag in ("--without", role)]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One clip for each photograph, in folders named after what they show; and one clip beside the folders."""
    if not PHOTOGRAPHS.is_dir():
        pytest.skip("the shared photographs are not beside this checkout")
    folder = tmp_path_factory.mktemp("labelled")
    for label, names in SHOWN.items():
        for path in (path for name in names for path in PHOTOGRAPHS.glob(f"{name}.*")):
            write_photograph(path, folder / "library" / label / f"{path.stem}.mp4")
    clip(folder / "library" / "unlabelled.mp4", [RED, GREEN])
    done = run_here(["index", folder / "library", "--index", folder / "db", "--profile", "embedded", *WITHOUT], folder)
    assert done.returncode == 0, done.stderr
    return folder / "db"


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in OFFLINE.items():
        monkeypatch.setenv(name, value)


def write_photograph(path: Path, video: Path) -> None:
    picture = cv2.resize(cv2.cvtColor(cv2.imread(os.fspath(path)), cv2.COLOR_BGR2RGB), (320, 240))
    video.parent.mkdir(parents=True, exist_ok=True)
    write_clip(video, [picture] * 12, options=ClipOptions(rate=Fraction(12), preset="ultrafast"))


def test_real_photographs_are_recognised_and_reported(
    index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert evaluate_actions(index, out) == 0
    printed = capsys.readouterr()
    assert "hit@3" in printed.out
    assert str(out / "results.html") in printed.out.replace("\n", "")
    assert "1 video without a label" in printed.err
    content = json.loads((out / "results.json").read_text(encoding="utf-8"))
    names = ["broccoli", "electric locomotive", "snake", "sports car", "tiger"]
    assert content["options"]["classes"]["names"] == names
    assert content["by_video"]["count"] == len(content["videos"]) == 6
    assert content["by_video"]["p_at_1"]["value"] == 1
    assert content["by_video"]["right_cosine"]["value"] > content["by_video"]["wrong_cosine"]["value"] + 0.2
    with (out / "results.csv").open(encoding="utf-8", newline="") as file:
        assert [row["path"] for row in csv.DictReader(file)] == [each["path"] for each in content["videos"]]
    page = (out / "results.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == len(content["videos"])
    assert not list(out.glob("*.tmp"))


def test_a_second_run_takes_the_vectors_of_texts_that_the_first_one_kept(
    index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(pooling: str = "mean") -> dict[str, Any]:
        assert evaluate_actions(index, tmp_path, pooling=pooling, as_json=True) == 0
        return json.loads(capsys.readouterr().out)

    def best_of(content: dict[str, Any]) -> list[str]:
        return [each["best"] for each in content["videos"]]

    before = run()
    assert run() == before
    [kept] = (tmp_path / "class-texts").iterdir()
    np.save(kept, np.load(kept)[::-1])
    names = before["options"]["classes"]["names"]
    other_name = dict(zip(names, reversed(names), strict=True))
    expected = [other_name[name] for name in best_of(before)]
    assert expected != best_of(before)
    assert best_of(run()) == expected
    by_query = run("query")
    assert by_query["options"]["pooling"] == "query"
    assert best_of(by_query) == expected


def test_own_classes_and_templates_and_their_broken_lines(
    index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classes, templates = tmp_path / "classes.txt", tmp_path / "templates.txt"
    classes.write_text("tiger\nelectric locomotive\nsubmarine\n", encoding="utf-8")
    templates.write_text("{}\nwithout a place\n", encoding="utf-8")
    assert evaluate_actions(index, tmp_path / "out", str(classes), str(templates), as_json=True) == 3
    content = json.loads(capsys.readouterr().out)
    assert {each["label"] for each in content["videos"]} == {"tiger", "electric locomotive"}
    assert content["left_out"]["broken_lines"] == [f"{templates}, line 2: no {{}} for the class"]
    assert len(content["left_out"]["of_no_class"]) == 4


def test_a_wrong_request_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no pooling"):
        evaluate_actions(tmp_path / "no-index", tmp_path / "out", pooling="median")
    with pytest.raises(IndexMissingError):
        evaluate_actions(tmp_path / "no-index", tmp_path / "out")
    assert not (tmp_path / "out").exists()
