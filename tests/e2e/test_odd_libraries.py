"""Libraries as they are found in the wild: odd names and texts, missing disks, roots within roots, wrong places."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from indexer.core.types import Video
from indexer.corpus.find import Corpus, Found
from indexer.corpus.sidecars import Sidecars
from indexer.plan import swept
from indexer.store.base import Commit, Location
from tests.clips import BLUE, GREEN, RED, clip
from tests.e2e.conftest import Run

EVERYTHING = ("--min-confidence", 0)
"""Also what is probably no answer, and without first learning what that is in a new index, which takes seconds."""


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Two clips in folders of their own."""
    clip(tmp_path / "films/city/a.mp4", [RED, GREEN])
    clip(tmp_path / "films/sea/b.mp4", [BLUE], seed=5)
    return tmp_path / "films"


def index(run: Run, *arguments: object, **environment: str) -> dict:
    done = run("index", *arguments, "--json", SCENESEEK_MODELS_PROFILE="embedded", **environment)
    assert done.returncode in (0, 3), done.stderr
    return json.loads(done.stdout)


def rows(run: Run) -> dict[str, dict]:
    lines = run("export", "videos").stdout.splitlines()
    return {Path(row["path"]).name: row for row in map(json.loads, lines)}


def test_texts_that_are_no_text_stop_nothing(run: Run, films: Path) -> None:
    (films / "city/a.json").write_text(
        '{"title": "half \\ud800", "label": "l\\ud801", "year": NaN, "seen": "a\\u0000b"}'
    )
    (films / "city/a.txt").write_bytes(b"bytes \xff\xfe\x00 and more")
    (films / "sea/b.srt").symlink_to(films / "nowhere.srt")
    (films / "sea").rename(films / os.fsdecode(b"caf\xe9"))
    report = index(run, films)
    assert len(report["indexed"]) == 2
    assert report["failed"] == []
    exported = rows(run)
    assert exported["a.mp4"]["title"] == "half ���"
    assert "year" not in exported["a.mp4"]["facets"]
    assert index(run, films)["unchanged"] == 2


def test_a_description_of_megabytes_is_left_out_with_a_warning(run: Run, films: Path) -> None:
    (films / "city/a.txt").write_text("word " * 200_000)
    report = index(run, films)
    assert any("too large" in warning for _, warning in report["warnings"])


def test_a_folder_within_a_known_one_keeps_its_labels(run: Run, films: Path) -> None:
    (films / "labels.csv").write_text("file,label\ncity/a.mp4,town\nsea/b.mp4,coast\n")
    index(run, films)
    report = index(run, films / "city")
    assert (report["unchanged"], report["updated"]) == (1, [])
    assert {name: row["label"] for name, row in rows(run).items()} == {"a.mp4": "town", "b.mp4": "coast"}


def test_a_plain_index_repeats_what_was_asked_before(run: Run, films: Path) -> None:
    index(run, films, "--labels", "none", "--exclude", "sea/*", "--strategy", "middle")
    report = index(run)
    assert (report["unchanged"], report["indexed"]) == (1, [])
    assert {name: row["label"] for name, row in rows(run).items()} == {"a.mp4": ""}


def test_a_root_that_never_was_is_not_remembered(run: Run, films: Path) -> None:
    assert run("index", films, "flims", SCENESEEK_MODELS_PROFILE="embedded").returncode == 3
    assert run("index").returncode == 0


def test_a_root_that_has_gone_is_forgotten_when_told_to(run: Run, films: Path) -> None:
    index(run, films / "city", films / "sea")
    shutil.rmtree(films / "sea")
    assert run("index").returncode == 3
    assert index(run, "--prune")["removed"] == [str(films / "sea/b.mp4")]
    assert run("index").returncode == 0


def test_a_broken_annotation_file_found_by_chance_is_named_and_skipped(run: Run, films: Path) -> None:
    (films / "annotations.json").write_text("{broken")
    done = run("index", films, SCENESEEK_MODELS_PROFILE="embedded")
    assert done.returncode == 0
    assert "annotations.json" in done.stderr
    assert {row["label"] for row in rows(run).values()} == {"city", "sea"}
    assert run("index", films, "--labels", films / "annotations.json").returncode == 2


def test_videos_behind_a_link_whose_disk_is_gone_stay(run: Run, films: Path, tmp_path: Path) -> None:
    shutil.move(films / "sea", tmp_path / "disk")
    (films / "disk").symlink_to(tmp_path / "disk")
    index(run, films)
    (tmp_path / "disk").rename(tmp_path / "unplugged")
    assert index(run, films)["removed"] == []
    assert set(rows(run)) == {"a.mp4", "b.mp4"}


def test_a_missing_file_whose_folder_is_on_another_file_system_now_stays() -> None:
    root = Path("/films")
    here = Found(root / "here.mp4", root, 1, 1, Sidecars(), 5)
    video = Video("1", root / "usb/a.mp4", 1, 1, 1.0, None, 1, 1, False)
    commit = Commit(video, "committed", (Location(video.path, root, 1, 1, device=987654321),))
    assert list(swept(Corpus((here,), (root,)), [commit])) == []
    assert list(swept(Corpus((here,), (root,)), [commit], sweep_empty_roots=True)) == [(commit, ())]
    on_this_disk = replace(commit, locations=(Location(video.path, root, 1, 1, device=Path("/").stat().st_dev),))
    assert list(swept(Corpus((here,), (root,)), [on_this_disk])) == [(on_this_disk, ())]


@pytest.mark.parametrize("place", ["a-file", "a-file/below", "/proc/nowhere"])
def test_an_index_in_an_impossible_place_is_refused_in_words(run: Run, films: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "a-file").write_text("not a folder")
    done = run("index", films, "--index", place)
    assert done.returncode == 2
    assert "--index" in done.stderr
    assert run("status", "--index", place).returncode == 2


def test_two_indexes_in_one_folder_keep_their_own_thumbnails(run: Run, films: Path, tmp_path: Path) -> None:
    index(run, films)
    index(run, films, SCENESEEK_INDEX_NAME="other")
    assert run("remove", films, SCENESEEK_INDEX_NAME="other").returncode == 0
    moments = json.loads(run("search", "something red", *EVERYTHING, "--json").stdout)["moments"]
    assert all(Path(moment["thumbnail"]).is_file() for moment in moments if moment["thumbnail"])
    assert any(moment["thumbnail"] for moment in moments)


def test_an_unusable_index_name_is_said_to_be_that(run: Run, films: Path) -> None:
    done = run("index", films, SCENESEEK_INDEX_NAME="a b/c")
    assert done.returncode == 1
    assert "name of the index" in done.stderr


def test_a_csv_export_takes_any_name(run: Run, films: Path, tmp_path: Path) -> None:
    os.link(films / "city/a.mp4", os.fsencode(films / "city") + b"/caf\xe9.mp4")
    (films / "sea/b.txt").write_text("=HYPERLINK(0)")
    index(run, films)
    assert run("export", "videos", "--out", "out.csv").returncode == 0
    assert "'=HYPERLINK" in (tmp_path / "out.csv").read_text(encoding="utf-8")


def test_terminal_codes_and_markup_in_names_are_shown_not_obeyed(run: Run, films: Path) -> None:
    (films / "city/a.mp4").rename(films / "city/[bold]\x1b[31m:cat:.mp4")
    index(run, films)
    shown = run("search", "something red", *EVERYTHING).stdout
    assert "[bold]�[31m:cat:.mp4" in shown
    assert "\x1b" not in shown
