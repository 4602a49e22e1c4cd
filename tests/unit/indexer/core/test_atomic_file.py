"""Files that appear complete or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Thread

import pytest

from indexer.core.atomic_file import written_whole


def test_it_is_there_once_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "found.csv"
    path.write_text("before")
    with written_whole(path) as unfinished:
        unfinished.write_text("after")
        assert path.read_text() == "before"
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]


def test_who_may_read_it_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "found.csv"
    path.write_text("before")
    path.chmod(0o600)
    with written_whole(path) as unfinished:
        unfinished.write_text("after")
    assert path.stat().st_mode & 0o777 == 0o600


def test_nothing_is_left_of_what_broke_off(tmp_path: Path) -> None:
    path = tmp_path / "found.csv"

    def break_off() -> None:
        with written_whole(path) as unfinished:
            unfinished.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert not list(tmp_path.iterdir())


def test_two_who_write_at_once_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "found.csv"
    with written_whole(path) as slow, slow.open("w") as file:
        file.write("a" * 10)
        file.flush()
        with written_whole(path) as quick:
            quick.write_text("b")
        assert path.read_text() == "b"
        file.write("a" * 10)
    assert path.read_text() == "a" * 20
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["folder", "missing/found.csv", "file/found.csv"])
def test_a_place_that_cannot_be_written(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")

    def write() -> None:
        with written_whole(tmp_path / name) as unfinished:
            unfinished.write_text("x")

    with pytest.raises(OSError, match=r"\w"):
        write()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    pipe, heard = tmp_path / "pipe", list[str]()
    os.mkfifo(pipe)
    reader = Thread(target=lambda: heard.append(pipe.read_text()), daemon=True)
    reader.start()
    with written_whole(pipe) as place:
        place.write_text("all of it")
    reader.join(5)
    assert heard == ["all of it"]
    assert pipe.is_fifo()


def test_a_link_stays_one(tmp_path: Path) -> None:
    link, target = tmp_path / "link.csv", tmp_path / "folder" / "found.csv"
    target.parent.mkdir()
    link.symlink_to(target)
    for text in ("new", "newer"):
        with written_whole(link) as unfinished:
            unfinished.write_text(text)
        assert (link.is_symlink(), target.read_text()) == (True, text)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["folder", "found.csv", "link.csv"]
