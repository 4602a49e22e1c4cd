"""``sceneseek evaluate --compare`` without captions, by the real command, on a small labelled library."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from indexer.core.errors import UsageError
from indexer.store import open_store
from search.evaluate.actions import action_options
from tests.clips import BLACK, BLUE, GREEN, RED, WHITE, YELLOW, clip
from tests.e2e.conftest import OFFLINE, Run, run_here
from ui.cli.evaluate import compare
from ui.cli.evaluate_actions import evaluate_actions
from ui.services.context import Context

WITHOUT = [flag for role in ("speech", "ocr", "sounds", "objects", "captions") for flag in ("--without", role)]
AXES = ("keyframes=shots,middle", "pooling=mean,max")
NAMES = [f"keyframes={strategy} pooling={pooling}" for strategy in ("shots", "middle") for pooling in ("mean", "max")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips of two shots in folders named after what they are said to show, indexed; and one without a label."""
    folder = tmp_path_factory.mktemp("compared")
    for number, (label, colours) in enumerate(
        {"broccoli": (GREEN, WHITE), "fire_engine": (RED, BLACK), "sea": (BLUE, YELLOW)}.items()
    ):
        clip(folder / "library" / label / f"{label}.mp4", colours, seed=number)
    clip(folder / "library" / "unlabelled.mp4", [YELLOW])
    done = run_here(["index", folder / "library", "--index", folder / "db", "--profile", "embedded", *WITHOUT], folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in OFFLINE.items():
        monkeypatch.setenv(name, value)


def compared(folder: Path, out: Path, axes: Sequence[str] = AXES) -> None:
    compare(list(axes), folder / "db", out, as_json=True)


def replace_vectors(out: Path) -> None:
    """Make the kept vectors of class texts orthogonal, and every kept frame that of a wrong class."""
    [kept] = (out / "class-texts").glob("*.npy")
    texts = np.eye(*np.load(kept).shape, dtype=np.float32)
    np.save(kept, texts)
    with closing(open_store(out / "indexes" / "embedded-middle")) as store:
        labels = {key: commit.video.label for key, commit in store.commits().items()}
        wrong = dict(zip(("", "broccoli", "fire_engine", "sea"), texts[[0, 1, 2, 0]], strict=True))
        frames = store.records("frames", vectors=True)
        store.upsert([replace(frame, vector=wrong[labels[frame.video_id]]) for frame in frames])


def test_two_strategies_and_two_poolings_are_four_rows_and_nothing_is_done_twice(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], run: Run
) -> None:
    out = tmp_path / "out"
    done = run("evaluate", "--index", folder / "db", "--out", out, "--compare", *AXES, COLUMNS="120")
    assert done.returncode == 0, done.stderr
    shown = done.stdout.splitlines()
    for metric in ("P@1", "hit@3", "MRR"):
        start = shown.index(next(line for line in shown if line.strip() == metric))
        assert [line[: len(name)] for name, line in zip(NAMES, shown[start + 2 :], strict=False)] == NAMES
    assert "3 labelled videos" in done.stdout
    told = json.loads((out / "comparison.json").read_text(encoding="utf-8"))
    assert [(row["name"], row["videos"]) for row in told["rows"]] == [(name, 3) for name in NAMES]
    with (out / "comparison.csv").open(encoding="utf-8", newline="") as file:
        assert [row["setup"] for row in csv.DictReader(file)] == [name for name in NAMES for _ in range(3)]

    # One frame of a video is its mean and its maximum; and the differences are those of the ranks in the table.
    with (out / "videos.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == ["broccoli", "fire_engine", "sea"]
    assert [row[NAMES[2]] for row in rows] == [row[NAMES[3]] for row in rows]
    for row in told["rows"][1:]:
        expected = sum(1 / float(one[row["name"]]) - 1 / float(one[NAMES[0]]) for one in rows) / 3
        assert row["differences"]["MRR"]["value"] == pytest.approx(expected)

    compared(folder, out)
    assert json.loads(capsys.readouterr().out) == told
    replace_vectors(out)
    compared(folder, out)
    again = {row["name"]: row["metrics"][2]["value"] for row in json.loads(capsys.readouterr().out)["rows"]}
    # The right class ties with another one for the second place, which no encoded pictures or texts would.
    assert [again[name] for name in NAMES[2:]] == pytest.approx([1 / 2.5] * 2)


def test_a_row_says_what_evaluating_actions_says(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compared(folder, tmp_path / "compared", ["pooling=mean,query", "tau=0.05"])
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["name"] for row in rows] == ["pooling=mean", "pooling=query tau=0.05"]
    for row, pooling in zip(rows, ("mean", "query"), strict=True):
        options = action_options(pooling=pooling, tau=0.05)
        assert evaluate_actions(Context.load(None, folder / "db"), options, tmp_path / "measured", as_json=True) == 0
        by_video = json.loads(capsys.readouterr().out)["by_video"]
        found = {metric["name"]: metric["value"] for metric in row["metrics"]}
        assert (found["P@1"], found["hit@3"]) == (by_video["p_at_1"]["value"], by_video["hit_at_3"]["value"])


@pytest.mark.parametrize(
    ("asked", "classes", "told"),
    [
        (["only=all,frames"], "", "'only' makes no difference"),
        (["pooling=mean"], "", "nothing to compare"),
        (["templates=clip,nowhere.txt"], "", "There is no file nowhere.txt"),
        (["keyframes=shots,middle"], "nowhere.txt", "There is no file nowhere.txt"),
        (["no.csv", "keyframes=shots,middle"], "ucf101", "Classes make no difference"),
    ],
)
def test_wrong_requests_are_refused_before_anything_is_indexed(
    folder: Path, tmp_path: Path, asked: list[str], classes: str, told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        compare(asked, folder / "db", tmp_path / "out", classes)
    assert not (tmp_path / "out").exists()


def test_a_first_word_without_a_sign_of_equality_is_a_file_of_captions(folder: Path, tmp_path: Path, run: Run) -> None:
    done = run("evaluate", "--index", folder / "db", "--out", tmp_path / "out", "--compare", "no.csv", AXES[0])
    assert done.returncode == 2
    assert "no.csv" in done.stderr
