"""The self-test of the sample library, with real models, through the real command."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from tests.e2e.conftest import Demo, Run

TEXTS = ("speech", "subtitle", "ocr", "description", "captions")


def test_the_sample_library_is_told_what_it_can_expect(demo: Demo, run: Run, tmp_path: Path) -> None:
    done = run("evaluate", "self-test", "--index", demo.index, "--out", tmp_path / "out", COLUMNS="100")
    assert done.returncode == 0, done.stderr
    shown = " ".join(done.stdout.split())
    assert shown.startswith("Type some of what is said, written in the picture or described: even without that text")
    assert "the other evidence puts the right video first in about" in shown
    assert "; by chance it would be 2 of 10." in shown
    assert "Right video, without" in shown
    assert "Right moment, without" in shown
    assert "queries of one video are alike" in shown

    told = json.loads((tmp_path / "out" / "self-test.json").read_text())
    everything = {one["name"]: one for one in told["rows"][0]["with_source"]["by_video"]}
    without = {one["name"]: one for one in told["rows"][0]["without_source"]["by_video"]}
    # Who types the very words finds them; who cannot, still finds more than chance does.
    assert everything["hit@1"]["value"] >= 0.9
    chance = told["rows"][0]["chance"]
    assert chance["by_video"]["MRR"] < without["MRR"]["value"] < everything["MRR"]["value"]
    assert 0 < chance["by_moment"]["hit@5"] < 1
    with (tmp_path / "out" / "queries.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == told["queries"] >= 10
    assert {row["source"] for row in rows} <= set(TEXTS)
    assert all(row["query"].casefold() in row["text"].casefold() for row in rows)
    assert not list((tmp_path / "out").glob("searched-*"))


def test_json_is_what_the_file_holds_and_the_seed_decides(demo: Demo, run: Run, tmp_path: Path) -> None:
    def queries(seed: int, out: str) -> str:
        done = run(
            "evaluate", "self-test", "--index", demo.index, "--queries", 10, "--seed", seed, "--out", out, "--json"
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == json.loads((tmp_path / out / "self-test.json").read_text())
        return (tmp_path / out / "queries.csv").read_text()

    assert queries(1, "one") == queries(1, "again")
    assert queries(2, "two") != queries(1, "one")


def test_of_a_library_without_texts_nothing_is_said(demo: Demo, run: Run, tmp_path: Path) -> None:
    clip = demo.library / "city" / "morning.mp4"
    assert run("index", clip, "--index", "index", "--profile", "embedded", "--without", "speech,ocr").returncode == 0
    done = run("evaluate", "self-test", "--index", "index")
    assert done.returncode == 2
    assert "This index holds no texts to draw queries from." in done.stderr
    assert "'sceneseek index --add speech,ocr'" in done.stderr
    assert not (tmp_path / "evaluation").exists()
