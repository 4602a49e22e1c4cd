"""The Library tab's list and progress as HTML."""

from __future__ import annotations

import hashlib
import html
import os
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.core.errors import IndexBusyError, IndexDamagedError, UsageError
from indexer.core.types import Video
from indexer.models.base import Fingerprint
from indexer.progress import IndexReport
from indexer.store.base import Commit, CommitState, Location, Manifest, ModalityState
from search.catalogue import Catalogue
from ui.services.index_jobs import IndexProgress
from ui.web.library_view import (
    PAGE_SIZE,
    SORTS,
    ListSort,
    VideoList,
    VideoListRequest,
    list_videos,
    render_details,
    render_job,
    render_list,
    render_message,
    render_removal,
    render_totals,
    render_trouble,
    root_of_button,
)

ROOT = Path("/films")


def commit(name: str, *, seconds: float = 10.0, state: CommitState = "committed", label: str = "") -> Commit:
    path = ROOT / name
    key = hashlib.blake2b(os.fsencode(path), digest_size=16).hexdigest()
    video = Video(key, path, 100, 1, seconds, Fraction(25), 64, 48, True, label=label)
    return Commit(
        video,
        state,
        (Location(path, ROOT, 100, 1),),
        modalities={"frames": ModalityState("x", 3), "speech": ModalityState("y", 0)},
        failure=f"{path} is no video." if state == "failed" else "",
        indexed_at="2026-11-21T10:00:00+00:00",
    )


def names(videos: VideoList) -> list[str]:
    return [shown.video.path.name for shown in videos.commits]


def listed(commits: list[Commit], words: str = "") -> str:
    return render_list(list_videos(commits, VideoListRequest(words=words)), [ROOT], is_working=False)


@given(count=st.integers(0, 4 * PAGE_SIZE), sort=st.sampled_from(sorted(SORTS)))
def test_the_pages_hold_every_video_once(count: int, sort: ListSort) -> None:
    commits = [commit(f"{number}.mp4", seconds=number % 7) for number in range(count)]
    pages = list_videos(commits, VideoListRequest()).pages
    assert pages == max(1, (count + PAGE_SIZE - 1) // PAGE_SIZE)
    shown = [list_videos(commits, VideoListRequest(sort=sort, page=page)) for page in range(1, pages + 1)]
    assert all(len(page.commits) == PAGE_SIZE for page in shown[:-1])
    assert sorted(name for page in shown for name in names(page)) == sorted(f"{number}.mp4" for number in range(count))
    assert [page.first for page in shown if page.commits] == [
        1 + PAGE_SIZE * place for place in range(len(shown)) if count
    ]


@given(page=st.integers(-5, 500))
def test_a_page_that_is_not_there_is_the_nearest(page: int) -> None:
    commits = [commit(f"{number}.mp4") for number in range(2 * PAGE_SIZE + 1)]
    assert list_videos(commits, VideoListRequest(page=page)).request.page == min(max(1, page), 3)


def test_names_are_sorted_as_people_count() -> None:
    commits = [commit(name) for name in ("clip 10.mp4", "Clip 2.mp4", "clip 1.mp4", "²³.mp4", "9" * 40 + ".mp4")]
    assert names(list_videos(commits, VideoListRequest()))[-4:-1] == ["clip 1.mp4", "Clip 2.mp4", "clip 10.mp4"]


@pytest.mark.parametrize(
    ("sort", "first"), [("longest", "c"), ("shortest", "a"), ("trouble", "b"), ("newest", "a"), ("folder", "a")]
)
def test_the_list_is_sorted_by_what_is_asked(sort: ListSort, first: str) -> None:
    newest = replace(commit("a", seconds=1), indexed_at="2026-11-22T10:00:00+00:00")
    commits = [commit("c", seconds=9), commit("b", seconds=5, state="failed"), newest]
    assert names(list_videos(commits, VideoListRequest(sort=sort)))[0] == first


def test_words_are_looked_for_in_name_folder_and_label() -> None:
    commits = [commit("Été/lac.mp4"), commit("winter/lac.mp4", label="Ski"), commit("x.mp4")]
    for words, found in {"ete LAC": 1, "lac": 2, "ski": 1, "films": 3, "lac x": 0, "  ": 3}.items():
        assert list_videos(commits, VideoListRequest(words=words)).found == found


def test_the_list_shows_one_state_alone() -> None:
    noted = replace(commit("noted"), warnings=("No sound.",))
    commits = [commit("ready"), noted, commit("failed", state="failed"), commit("unfinished", state="pending")]
    for state in ("ready", "noted", "failed", "unfinished"):
        assert names(list_videos(commits, VideoListRequest(show=state))) == [state]
    assert list_videos(commits, VideoListRequest()).known == 4


def test_a_row_says_what_is_known() -> None:
    page = listed([commit("trips/lake.mp4", seconds=3725, label="holiday")])
    for fact in ("lake.mp4", "films/trips", "1:02:05", "holiday", "Picture <i>3</i>", "2026-11-2", "Ready"):
        assert fact in page
    assert "Speech" not in page
    assert "/picture.jpg?t=0" in page
    assert "The file is not where it was" in page


def test_a_failed_video_shows_its_reason_once_and_no_picture() -> None:
    failed = replace(commit("bad.mp4", state="failed"), modalities={})
    page = listed([failed])
    assert page.count("It is no video.") == 1
    assert "<img" not in page
    assert "It is no video." in render_trouble([failed])
    assert "1 file could not" in render_trouble([failed])
    assert render_trouble([commit("good.mp4")]) == ""


def test_an_unfinished_video_is_being_indexed_only_while_a_job_runs() -> None:
    videos = list_videos([commit("a.mp4", state="pending")], VideoListRequest())
    assert "Being indexed" in render_list(videos, [ROOT], is_working=True)
    assert "A run was cut off here" in render_list(videos, [ROOT], is_working=False)


def test_nothing_that_comes_from_a_file_is_markup() -> None:
    name = "<script>alert(1)</script>\"'&.mp4"
    bad = replace(commit(name, state="failed", label="<b>"), failure="<i>why</i>", warnings=("<u>",))
    manifest = Manifest("<q>", {"text": ("<s>", Fingerprint("a", "b", "c", "d", 4))}, "", roots=(ROOT / name,))
    catalogue = Catalogue({bad.video.id: bad}, manifest)
    job = IndexProgress("running", 1, f"Adding {name}", done=1, total=2, current=bad.video.path, notes=("<hr>",))
    pages = [
        listed([bad]),
        render_trouble([bad]),
        render_details(catalogue),
        render_totals(catalogue, 5),
        render_job(job),
        render_removal(name, 1, is_folder=True),
    ]
    for page in pages:
        assert not re.search(r"<(script|b>\"|i>why|u>|q>|s>|hr)", page)
    assert "&lt;script&gt;" in pages[0]
    assert root_of_button(catalogue, str(ROOT / name)) == ROOT / name


def test_names_that_are_no_text_can_be_shown() -> None:
    odd = commit("caf\udce9 \x07.mp4")
    assert "caf? �.mp4" in listed([odd])
    listed([odd]).encode("utf-8")


def test_no_page_is_large_whatever_the_names() -> None:
    states = {
        name: ModalityState("x", 10**9) for name in ("frames", "subtitle", "speech", "ocr", "captions", "objects")
    }
    commits = [
        replace(
            commit(f"{'&<' * 100}/{'&' * 200}{number}", label="&" * 500), modalities=states, warnings=("&<" * 500,) * 9
        )
        for number in range(PAGE_SIZE + 1)
    ]
    page = listed(commits)
    assert page.count('class="lib-row') == PAGE_SIZE
    assert len(page.encode()) < 200_000
    plain = [commit(f"holidays in the south/film number {number}.mp4", label="holidays") for number in range(PAGE_SIZE)]
    assert len(listed(plain).encode()) < 100_000


@given(st.text(max_size=400))
def test_a_clipped_name_begins_as_the_name_does(name: str) -> None:
    shown = html.unescape(render_removal(name, 1, is_folder=False).split('class="lib-what">')[1].split("</p>")[0])
    if shown.endswith("…") and not name.endswith("…"):
        shown = shown[:-1]
    assert len(shown) <= 240
    assert all(one == other or one == "�" for one, other in zip(shown, name, strict=False) if one not in "?")


def test_an_empty_library_says_what_to_do() -> None:
    assert "Nothing is indexed yet" in listed([])
    assert "on their way" in render_list(list_videos([], VideoListRequest()), [], is_working=True)
    assert "No video fits" in listed([commit("a")], words="b")


def test_the_bar_shows_how_far_the_job_is() -> None:
    job = IndexProgress(
        "running",
        1,
        "Adding /films",
        done=3,
        total=12,
        bytes_done=25,
        bytes_total=100,
        media_s=617,
        current=ROOT / "a.mp4",
        step_s=50,
    )
    shown = render_job(job)
    assert 'role="progressbar"' in shown
    assert 'aria-valuenow="25"' in shown
    for fact in ("25 %", "3 of 12 videos", "12× real time", "about 2 min left", "a.mp4"):
        assert fact in shown
    waiting = render_job(IndexProgress("running", 1, "Adding /films"))
    assert "aria-valuenow" not in waiting
    assert "Loading models" in waiting
    assert "Stopping" in render_job(replace(job, state="stopping"))


def test_the_end_of_a_job_is_shown() -> None:
    report = IndexReport(indexed=[Path("/a"), Path("/b")], failed=[(Path("/c"), "/c is no video.")], unchanged=7)
    assert "2 indexed, 1 failed, 7 unchanged" in render_job(IndexProgress("done", 1, result=report))
    assert "There was nothing to do." in render_job(IndexProgress("done", 1, result=IndexReport()))
    assert "3 removed" in render_job(IndexProgress("done", 1, result=3))
    failed = render_job(IndexProgress("failed", 1, message="It broke.", hint="Mend it."))
    assert "It broke." in failed
    assert "Mend it." in failed
    assert render_job(IndexProgress()) == ""


def test_totals_are_those_of_the_searchable_videos() -> None:
    commits = [commit("a", seconds=3600), commit("b", seconds=1800), commit("c", seconds=9e9, state="failed")]
    catalogue = Catalogue({one.video.id: one for one in commits})
    shown = render_totals(catalogue, 12_345_678)
    for fact in ("<dd>2</dd>", "1 h 30 min", f"<dd>{2 * 3}</dd>", "12.3 MB"):
        assert fact in shown
    assert "on disk" not in render_totals(catalogue, None)


SECRET = Path("/home/secret/films")


def secret_catalogue() -> Catalogue:
    """Videos of two indexed folders and one that is in none, with reasons and models that name places."""
    first, second = (
        replace(one, video=replace(one.video, path=SECRET / name), locations=(Location(SECRET / name, SECRET, 9, 1),))
        for one, name in ((commit("a", state="failed"), "trips/sea.mp4"), (commit("b"), "sun.mp4"))
    )
    third = replace(commit("c"), video=replace(commit("c").video, path=Path("/home/secret/other/moon.mp4")))
    commits = [
        replace(first, failure=f"{first.video.path} is no video."),
        replace(second, warnings=(f"No words in {second.video.path}.", "See /home/secret/log.")),
        replace(third, state="failed", failure="/home/secret/cache cannot be written."),
    ]
    models = {"objects": ("yolo:/home/secret/best.pt", Fingerprint("a", "b", "c", "d", 4))}
    manifest = Manifest("fast", models, "", roots=(SECRET, Path("/home/secret/spare")))
    return Catalogue({one.video.id: one for one in commits}, manifest)


def test_over_the_network_no_path_is_shown() -> None:
    catalogue = secret_catalogue()
    commits, roots = list(catalogue.commits.values()), catalogue.manifest.roots if catalogue.manifest else ()
    job = IndexProgress(
        "failed", 1, message="/home/secret/index is full.", hint="Free it.", notes=("Not /home/secret/x.",)
    )
    error = IndexDamagedError("The index at /home/secret/index cannot be read.", hint="Delete /home/secret/index.")
    pages = [
        render_list(list_videos(commits, VideoListRequest()), roots, is_working=False, shows_paths=False),
        render_details(catalogue, shows_paths=False),
        render_trouble(commits, shows_paths=False),
        render_job(job, shows_paths=False),
        render_message(error, shows_paths=False),
    ]
    for page in pages:
        assert "secret" not in page
        assert 'title="/' not in page
    for fact in ("sea.mp4", "films/trips", "It is no video.", "No words in the file.", "other"):
        assert fact in pages[0]
    assert "<b>films</b>" in pages[1]
    assert "yolo:best.pt" in pages[1]
    assert "sceneseek status" in pages[3]
    shown = render_list(list_videos(commits, VideoListRequest()), roots, is_working=False)
    assert 'title="/home/secret/films/trips/sea.mp4"' in shown
    assert "/home/secret/index is full." in render_job(job)


def test_errors_that_name_no_path_are_shown_as_they_are() -> None:
    busy = IndexBusyError("Another job is running.", hint="Wait.")
    assert "Another job is running." in render_message(busy, shows_paths=False)
    typed = UsageError("There is no /typed/by/hand.", hint="Check it.")
    assert "/typed/by/hand" in render_message(typed, shows_paths=False)


def test_over_the_network_folders_go_by_number() -> None:
    catalogue = secret_catalogue()
    buttons = re.findall(r'data-folder="([^"]*)"', render_details(catalogue, shows_paths=False))
    found = [root_of_button(catalogue, key, shows_paths=False) for key in buttons]
    assert found == [SECRET, Path("/home/secret/spare")]
    for guess in (str(SECRET), "2", "-1", "", "x"):
        assert root_of_button(catalogue, guess, shows_paths=False) is None


def test_over_the_network_words_are_not_looked_for_in_what_is_not_shown() -> None:
    commits = list(secret_catalogue().commits.values())
    for words, found in {"secret": 0, "home": 0, "films": 2, "trips sea": 1, "moon": 1}.items():
        assert list_videos(commits, VideoListRequest(words=words), within=[SECRET]).found == found
    assert list_videos(commits, VideoListRequest(words="secret")).found == 3
