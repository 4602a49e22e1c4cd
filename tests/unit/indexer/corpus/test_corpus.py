"""Which files are videos, what lies beside them, and how they are labelled."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.core.errors import ConfigError, MediaError
from indexer.corpus.find import Corpus, content_id, find_corpus
from indexer.corpus.labels import read_annotations, read_labels
from indexer.corpus.sidecars import Folder, read_facts, read_text


def put(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def find(*roots: Path, **options: object) -> Corpus:
    return find_corpus(roots, looks_like_media=lambda path: path.name.startswith("film"), **options)


def names(corpus: Corpus, root: Path) -> list[str]:
    return [found.path.relative_to(root).as_posix() for found in corpus.files]


def test_videos_are_found_at_any_depth_in_path_order(tmp_path: Path) -> None:
    put(tmp_path, "b.mp4", "a/x.MKV", "a/c/y.webm", "a/notes.txt", "a/x.srt", "z.jpg", "音.flac")
    assert names(find(tmp_path), tmp_path) == ["a/c/y.webm", "a/x.MKV", "b.mp4", "音.flac"]


def test_an_unknown_extension_is_looked_into(tmp_path: Path) -> None:
    put(tmp_path, "film.dat", "film", "other.dat", "film.txt")
    assert names(find(tmp_path), tmp_path) == ["film", "film.dat"]


def test_hidden_and_excluded_files_are_left_out(tmp_path: Path) -> None:
    put(tmp_path, ".hidden.mp4", ".trash/a.mp4", "keep.mp4", "old/b.mp4", "keep.proxy.mp4", "@eaDir/c.mp4")
    assert names(find(tmp_path, exclude=["old/*", "*.proxy.mp4"]), tmp_path) == ["keep.mp4"]


def test_the_index_folder_is_left_out(tmp_path: Path) -> None:
    put(tmp_path, "a.mp4", "chroma_db/b.mp4")
    assert names(find(tmp_path, index=tmp_path / "chroma_db"), tmp_path) == ["a.mp4"]


def test_a_circle_of_links_ends(tmp_path: Path) -> None:
    put(tmp_path, "a/b/film.mp4")
    (tmp_path / "a/b/up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nowhere")
    assert names(find(tmp_path), tmp_path) == ["a/b/film.mp4"]


def test_links_are_left_alone_when_asked(tmp_path: Path) -> None:
    put(tmp_path, "real/film.mp4")
    put(tmp_path, "root/own.mp4")
    (tmp_path / "root/link").symlink_to(tmp_path / "real", target_is_directory=True)
    root = tmp_path / "root"
    assert names(find(root), root) == ["link/film.mp4", "own.mp4"]
    assert names(find(root, follow_links=False), root) == ["own.mp4"]


def test_overlapping_roots_and_single_files_give_each_path_once(tmp_path: Path) -> None:
    put(tmp_path, "a/x.mp4", "a/x.srt", "y.mp4")
    corpus = find(tmp_path / "a/x.mp4", tmp_path, tmp_path / "a")
    assert names(corpus, tmp_path) == ["a/x.mp4", "y.mp4"]
    assert corpus.files[0].sidecars.subtitles == (tmp_path / "a/x.srt",)


def test_a_missing_root_is_unreadable_not_empty(tmp_path: Path) -> None:
    corpus = find(tmp_path / "unmounted")
    assert corpus.files == ()
    assert corpus.unreadable == (tmp_path / "unmounted",)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_an_unreadable_folder_is_named(tmp_path: Path) -> None:
    put(tmp_path, "a/x.mp4", "b.mp4")
    (tmp_path / "a").chmod(0)
    corpus = find(tmp_path)
    (tmp_path / "a").chmod(0o755)
    assert names(corpus, tmp_path) == ["b.mp4"]
    assert corpus.unreadable == (tmp_path / "a",)


def test_sidecars_share_the_name_and_may_carry_a_language(tmp_path: Path) -> None:
    put(
        tmp_path,
        "a.mp4",
        "a.txt",
        "a.json",
        "a.en.srt",
        "a.srt",
        "a.vtt",
        "ab.srt",
        "a.b.mp4",
        "a.b.srt",
        "c[1].mp4",
        "c[1].srt",
    )
    by_name = {found.path.name: found.sidecars for found in find(tmp_path).files}
    assert [path.name for path in by_name["a.mp4"].subtitles] == ["a.srt", "a.vtt", "a.b.srt", "a.en.srt"]
    assert by_name["a.mp4"].description == tmp_path / "a.txt"
    assert by_name["a.mp4"].facts == tmp_path / "a.json"
    assert [path.name for path in by_name["a.b.mp4"].subtitles] == ["a.b.srt"]
    assert [path.name for path in by_name["c[1].mp4"].subtitles] == ["c[1].srt"]


def test_the_stamp_changes_with_the_sidecars(tmp_path: Path) -> None:
    put(tmp_path, "a.mp4")
    stamps = [find(tmp_path).files[0].sidecars.stamp]
    put(tmp_path, "a.srt")
    stamps.append(find(tmp_path).files[0].sidecars.stamp)
    (tmp_path / "a.srt").write_text("longer than before")
    stamps.append(find(tmp_path).files[0].sidecars.stamp)
    assert stamps[0] == ""
    assert len(set(stamps)) == 3


@given(st.text(min_size=1, max_size=8).filter(lambda name: "/" not in name and "\0" not in name and name.strip(". ")))
def test_any_name_finds_its_own_sidecars(name: str) -> None:
    folder = Folder(Path("/f"), [f"{name}.mp4", f"{name}.srt", f"{name}.txt"])
    sidecars = folder.sidecars(Path("/f") / f"{name}.mp4")
    assert Path(f"/f/{name}.srt") in sidecars.subtitles
    assert sidecars.description == Path(f"/f/{name}.txt")


def test_the_id_is_the_content(tmp_path: Path) -> None:
    put(tmp_path, "a.mp4")
    assert content_id(tmp_path / "a.mp4") == hashlib.blake2b(b"a.mp4", digest_size=16).hexdigest()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_description_is_read_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("Un café à la plage, l'été dernier. Déjà vu près de l'église.\n".encode(encoding))
    assert read_text(path).startswith("Un café à la plage")


def test_facts_name_what_they_know_and_keep_the_rest_as_facets(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"title": "T", "label": 7, "year": 1999, "tags": ["x"], "seen": True, "note": None}))
    facts = read_facts(path)
    assert (facts.title, facts.description, facts.label) == ("T", "", "7")
    assert facts.facets == {"year": 1999, "seen": True}


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff\xfe\x00", b"[" * 100_000])
def test_broken_facts_are_an_error_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(MediaError, match=r"a\.json"):
        read_facts(path)


def test_labels_from_folders_name_the_folder_below_the_root(tmp_path: Path) -> None:
    labels = read_labels("folders", [tmp_path])
    assert labels.of(tmp_path / "diving/a.mp4", tmp_path).label == "diving"
    assert labels.of(tmp_path / "a.mp4", tmp_path).label == ""


def test_labels_from_a_csv(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("video;label;split\ndiving/a.mp4;diving;test\n;nothing;\nb;bench press;train\n", encoding="utf-8")
    labels = read_labels(str(path), [tmp_path])
    assert labels.of(tmp_path / "diving/a.mp4", tmp_path).label == "diving"
    assert labels.of(tmp_path / "b.avi", tmp_path).label == "bench press"
    assert labels.of(tmp_path / "b.avi", tmp_path).facets == {"split": "train"}
    assert labels.of(tmp_path / "c.avi", tmp_path).label == ""
    assert labels.broken == (f"{path}, line 3",)


@pytest.mark.parametrize(
    ("name", "content", "broken"),
    [
        (
            "annotations.json",
            [{"path": "videos/a.mp4", "label": "diving"}, {"path": "x.mp4"}, 3],
            ["entry 2", "entry 3"],
        ),
        ("annotations.json", {"videos": [{"video": "a.mp4", "class": "diving"}]}, []),
        ("selected_subset.json", {"diving": ["a.mp4", {"id": "b"}], "bad": 3}, ["class 'bad'"]),
    ],
)
def test_labels_from_annotation_files(tmp_path: Path, name: str, content: object, broken: list[str]) -> None:
    (tmp_path / name).write_text(json.dumps(content))
    labels = read_labels("auto", [tmp_path])
    assert labels.of(tmp_path / "videos/a.mp4", tmp_path).label == "diving"
    assert labels.broken == tuple(f"{tmp_path / name}, {place}" for place in broken)


def test_auto_without_annotations_takes_the_folders(tmp_path: Path) -> None:
    assert read_labels("auto", [tmp_path]).of(tmp_path / "cats/a.mp4", tmp_path).label == "cats"
    assert read_labels("none", [tmp_path]).of(tmp_path / "cats/a.mp4", tmp_path).label == ""


def test_a_labels_file_that_is_missing_or_broken_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.csv"):
        read_labels(str(tmp_path / "none.csv"), [tmp_path])
    (tmp_path / "annotations.json").write_text("{")
    with pytest.raises(ConfigError, match=r"annotations\.json"):
        read_annotations(tmp_path / "annotations.json")
