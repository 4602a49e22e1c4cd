"""What an indexing run has to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from indexer.core.types import ModalityName, Video
from indexer.corpus.find import Corpus, Found
from indexer.corpus.labels import Annotation, Labels
from indexer.corpus.sidecars import Sidecars
from indexer.plan import SUBTITLED, UNREAD_PREFIX, facts_stamp, make_plan, stale_modalities, swept
from indexer.store.base import Commit, CommitState, Location, ModalityState

ROOT = Path("/films")
WANTED: dict[ModalityName, str] = {"frames": "f1", "subtitle": "t1", "description": "t1"}


def found(name: str, *, size: int = 10, mtime_ns: int = 1) -> Found:
    return Found(ROOT / name, ROOT, size, mtime_ns, Sidecars())


def commit(video_id: str, *names: str, state: CommitState = "committed", size: int = 10) -> Commit:
    video = Video(video_id, ROOT / names[0], size, 1, 5.0, None, 10, 10, False)
    modalities = {name: ModalityState(fingerprint, 1) for name, fingerprint in WANTED.items()}
    stamp = facts_stamp(found(names[0]), Annotation(names[0], ""))
    places = tuple(Location(ROOT / name, ROOT, size, 1) for name in names)
    return Commit(video, state, places, modalities if state == "committed" else {}, stamp)


def plan(files: list[Found], commits: list[Commit], *, wanted: dict[ModalityName, str] = WANTED, **options: bool):
    corpus = Corpus(tuple(files), (ROOT,))
    return make_plan(corpus, Labels(), {known.video.id: known for known in commits}, wanted, **options)


def test_a_new_file_is_a_job_and_a_known_one_is_not() -> None:
    made = plan([found("a"), found("b")], [commit("1", "a")])
    assert [job.found.path.name for job in made.jobs] == ["b"]
    assert [known.video.id for known in made.unchanged] == ["1"]


@pytest.mark.parametrize("changed", [found("a", size=11), found("a", mtime_ns=2)])
def test_another_size_or_time_is_a_job(changed: Found) -> None:
    (job,) = plan([changed], [commit("1", "a")]).jobs
    assert job.known is None


def test_other_models_or_sidecars_are_a_job_for_the_known_video() -> None:
    known = commit("1", "a")
    for stale in (
        replace(known, modalities={**known.modalities, "frames": ModalityState("f0", 1)}),
        replace(known, modalities={"frames": known.modalities["frames"]}),
        replace(known, sidecars="other"),
    ):
        (job,) = plan([found("a")], [stale]).jobs
        assert job.known is stale


def test_a_modality_that_is_new_to_the_index_is_the_only_one_to_make() -> None:
    known = commit("1", "a")
    (job,) = plan([found("a")], [known], wanted={**WANTED, "speech": "t1+s1"}).jobs
    assert stale_modalities(known, job, {**WANTED, "speech": "t1+s1"}) == ("speech",)


def test_what_is_written_beside_a_video_does_not_make_what_is_seen_or_heard_anew() -> None:
    wanted: dict[ModalityName, str] = {**WANTED, "speech": "t1+s1", "ocr": "t1+o1"}
    heard = {"speech": ModalityState("t1+s1", 3), "ocr": ModalityState("t1+o1", 2)}
    known = replace(commit("1", "a"), sidecars="other")
    known = replace(known, modalities={**known.modalities, **heard})
    (job,) = plan([found("a")], [known], wanted=wanted).jobs
    assert stale_modalities(known, job, wanted) == ("subtitle", "description")


def test_speech_that_subtitles_say_is_heard_only_if_asked_for_or_if_they_change() -> None:
    wanted: dict[ModalityName, str] = {**WANTED, "speech": "t1+s1"}
    known = commit("1", "a")
    known = replace(known, modalities={**known.modalities, "speech": ModalityState(SUBTITLED, 0)})
    assert plan([found("a")], [known], wanted=wanted).jobs == ()
    (job,) = plan([found("a")], [known], wanted=wanted, speech_always=True).jobs
    assert stale_modalities(known, job, wanted, speech_always=True) == ("speech",)
    changed = replace(known, sidecars="other")
    assert "speech" in stale_modalities(changed, job, wanted)


def test_what_the_index_is_to_do_without_is_named() -> None:
    known = commit("1", "a")
    spoken = replace(known, modalities={**known.modalities, "speech": ModalityState("s1", 1)})
    assert plan([found("a")], [spoken]).unwanted == ("1",)
    assert plan([found("a")], [known]).unwanted == ()


def test_a_failure_is_tried_again_only_when_asked_or_when_the_file_could_not_be_read() -> None:
    failed = commit("1", "a", state="failed")
    assert plan([found("a")], [failed]).failed_before == (failed,)
    assert len(plan([found("a")], [failed], retry_failed=True).jobs) == 1
    assert len(plan([found("a")], [commit(UNREAD_PREFIX + "1", "a", state="failed")]).jobs) == 1


def test_what_was_cut_off_is_done_again() -> None:
    made = plan([found("a")], [commit("1", "a", state="pending")])
    assert made.leftovers == ("1",)
    assert len(made.jobs) == 1


def test_a_copy_is_unchanged_too() -> None:
    made = plan([found("a"), found("b")], [commit("1", "a", "b")])
    assert made.jobs == ()
    assert len(made.unchanged) == 1


def sweep(files: list[Found], commits: list[Commit], *, unreadable: tuple[Path, ...] = (), prune: bool = False):
    corpus = Corpus(tuple(files), (ROOT,), unreadable)
    kept = swept(corpus, commits, sweep_empty_roots=prune)
    return {known.video.id: [place.path.name for place in places] for known, places in kept}


def test_what_is_not_found_is_swept() -> None:
    assert sweep([found("a")], [commit("1", "a"), commit("2", "gone")]) == {"2": []}


def test_a_lost_copy_leaves_the_others() -> None:
    assert sweep([found("b")], [commit("1", "a", "b")]) == {"1": ["b"]}


def test_another_file_of_the_same_name_is_swept() -> None:
    assert sweep([found("a", size=11)], [commit("1", "a"), commit("2", "a", size=11)]) == {"1": []}


def test_nothing_is_swept_below_what_could_not_be_read() -> None:
    commits = [commit("1", "disk/a"), commit("2", "gone"), commit("3", "here")]
    assert sweep([found("here")], commits, unreadable=(ROOT / "disk",)) == {"2": []}
    assert sweep([], commits, unreadable=(ROOT,)) == {}


def test_an_empty_root_is_taken_for_an_unmounted_disk_unless_told_otherwise() -> None:
    assert sweep([], [commit("1", "a")]) == {}
    assert sweep([], [commit("1", "a")], prune=True) == {"1": []}


def test_other_roots_are_left_alone() -> None:
    elsewhere = replace(commit("1", "a"), locations=(Location(Path("/other/a"), Path("/other"), 10, 1),))
    assert sweep([found("b")], [elsewhere]) == {}
