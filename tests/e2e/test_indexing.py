"""Indexing real clips: what is new, changed, moved, copied, gone or broken, over both stores."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from indexer.core.types import Cue
from indexer.corpus.find import find_corpus
from indexer.corpus.labels import read_labels
from indexer.maintenance.inspect import inspect_index, verify_index
from indexer.media.read.probe import looks_like_media
from indexer.models.base import Models
from indexer.progress import IndexReport, Progress
from indexer.run import Indexer, index_corpus
from indexer.shots.sampling import Sampling
from indexer.store import open_store
from indexer.store.base import VectorStore
from indexer.store.memory import MemoryStore
from indexer.store.thumbnails import ThumbnailFolder
from indexer.video import VideoSettings
from tests.clips import BLUE, GREEN, RED, WHITE, YELLOW, clip
from tests.encoders import ColourEncoder, WordEncoder

SRT = "1\n00:00:00,200 --> 00:00:00,900\nThe kettle is singing.\n\n2\n00:00:01,100 --> 00:00:01,900\nNobody came.\n"


class Library:
    """A folder of clips, an index, and what it takes to bring them in line."""

    def __init__(self, folder: Path, store: VectorStore) -> None:
        self.root = folder / "films"
        self.root.mkdir()
        self.store = store
        self.frames = ColourEncoder()
        self.text = WordEncoder()
        self.thumbnails = ThumbnailFolder(folder / "index")
        self.sampling = Sampling()
        self.progress: list[Progress] = []

    def run(self, *roots: Path, **options: bool) -> IndexReport:
        corpus = find_corpus(roots or [self.root], looks_like_media=looks_like_media)
        chosen = f"{self.frames.fingerprint.digest}+{hash(self.sampling)}"
        text = self.text.fingerprint.digest
        wanted = {"frames": chosen, "subtitle": text, "description": text}
        settings = VideoSettings(self.sampling, batch_size=2)
        indexer = Indexer(self.store, Models(self.frames, self.text), self.thumbnails, settings, wanted)
        labels = read_labels("auto", corpus.roots)
        return index_corpus(corpus, labels, indexer, report_progress=self.progress.append, **options)

    def names(self) -> list[str]:
        return sorted(commit.video.path.name for commit in self.store.commits().values() if commit.is_searchable)

    def spans(self, name: str) -> list[tuple[str, float, float, str]]:
        (video_id,) = (key for key, commit in self.store.commits().items() if commit.video.path.name == name)
        records = [record for space in ("frames", "text") for record in self.store.records(space, video_id=video_id)]
        return sorted((record.modality, record.start_s, record.end_s, record.text) for record in records)


@pytest.fixture(params=["memory", "chroma"])
def library(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Library]:
    store = MemoryStore() if request.param == "memory" else open_store(tmp_path / "index", create=True)
    yield Library(tmp_path, store)
    store.close()


def test_frames_subtitles_and_descriptions_become_records(library: Library) -> None:
    clip(library.root / "a.mp4", [RED, GREEN])
    (library.root / "a.srt").write_text(SRT)
    (library.root / "a.txt").write_text("A kitchen in the morning.")
    (library.root / "a.json").write_text('{"title": "Tea", "label": "home", "year": 1999}')
    report = library.run()
    assert report.failed == []
    assert (report.frames, report.segments) == (2, 3)
    spans = library.spans("a.mp4")
    assert [(modality, start, end) for modality, start, end, _ in spans if modality == "frames"] == [
        ("frames", 0.0, 1.0),
        ("frames", 1.0, 2.0),
    ]
    assert ("subtitle", 1.1, 1.9, "Nobody came.") in spans
    assert ("description", 0.0, 2.0, "Tea. A kitchen in the morning") in [
        (m, s, e, t.rstrip(".")) for m, s, e, t in spans
    ]
    (commit,) = library.store.commits().values()
    assert (commit.video.title, commit.video.label, dict(commit.video.facets)) == ("Tea", "home", {"year": 1999})
    assert commit.shots == 2
    assert verify_counts(library) == []


def verify_counts(library: Library) -> list[str]:
    return [problem.what for problem in verify_index(library.store) if "models it was made" not in problem.what]


def test_subtitles_inside_the_file_are_read_unless_there_are_some_beside_it(library: Library) -> None:
    clip(library.root / "in.mkv", [RED, GREEN], subtitles=[Cue(0.5, 1.0, "From inside.")])
    clip(library.root / "both.mkv", [RED, BLUE], subtitles=[Cue(0.5, 1.0, "From inside.")])
    (library.root / "both.srt").write_text(SRT)
    library.run()
    assert [text for modality, *_, text in library.spans("in.mkv") if modality == "subtitle"] == ["From inside."]
    assert "From inside." not in [text for *_, text in library.spans("both.mkv")]


def test_the_second_run_does_not_even_open_the_files(library: Library) -> None:
    paths = [clip(library.root / f"{name}.mp4", [RED, GREEN], seed=seed) for seed, name in enumerate("ab")]
    library.run()
    for path in paths:  # same size and time, but nothing that could be decoded
        facts = path.stat()
        path.write_bytes(b"x" * facts.st_size)
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    before = library.frames.images_seen
    report = library.run()
    assert report == IndexReport(unchanged=2)
    assert library.frames.images_seen == before


def test_a_renamed_file_is_not_encoded_again(library: Library) -> None:
    path = clip(library.root / "old.mp4", [RED, GREEN])
    library.run()
    (video_id,) = library.store.commits()
    path.rename(library.root / "new.mp4")
    before = library.frames.images_seen
    report = library.run()
    assert report.moved == [library.root / "new.mp4"]
    assert report.removed == []
    assert library.frames.images_seen == before
    assert list(library.store.commits()) == [video_id]
    assert library.names() == ["new.mp4"]
    assert library.run() == IndexReport(unchanged=1)


def test_a_moved_file_takes_on_the_label_of_its_new_folder_at_once(library: Library) -> None:
    path = clip(library.root / "cats/a.mp4", [RED])
    library.run()
    (library.root / "dogs").mkdir()
    path.rename(library.root / "dogs/a.mp4")
    before = library.frames.images_seen
    library.run()
    (commit,) = library.store.commits().values()
    assert (commit.video.label, len(commit.locations)) == ("dogs", 1)
    assert library.frames.images_seen == before
    assert library.run() == IndexReport(unchanged=1)


def test_a_copy_is_not_indexed_twice_and_outlives_the_original(library: Library) -> None:
    path = clip(library.root / "a.mp4", [RED, GREEN])
    library.run()
    shutil.copy(path, library.root / "b.mp4")
    before = library.frames.images_seen
    assert library.run().copies == [library.root / "b.mp4"]
    assert library.frames.images_seen == before
    assert library.run() == IndexReport(unchanged=1)
    path.unlink()
    library.run()
    assert library.names() == ["b.mp4"]
    assert library.frames.images_seen == before


def test_two_copies_found_at_once_are_one_video(library: Library) -> None:
    path = clip(library.root / "a.mp4", [RED])
    shutil.copy(path, library.root / "b.mp4")
    report = library.run()
    assert (report.indexed, report.copies) == ([path], [library.root / "b.mp4"])
    assert len(library.store.commits()) == 1


def test_a_changed_file_replaces_what_was_there(library: Library) -> None:
    path = clip(library.root / "a.mp4", [RED, GREEN])
    library.run()
    (old_id,) = library.store.commits()
    clip(path, [BLUE, WHITE, YELLOW], seed=5)
    report = library.run()
    assert report.indexed == [path]
    assert report.removed == []
    assert old_id not in library.store.commits()
    assert library.store.count("frames") == 3
    assert library.thumbnails.find(old_id, 0.0) is None


def test_a_touched_file_is_unchanged(library: Library) -> None:
    path = clip(library.root / "a.mp4", [RED])
    library.run()
    os.utime(path, (1, 1))
    before = library.frames.images_seen
    assert library.run().unchanged == 1
    assert library.frames.images_seen == before
    assert library.run() == IndexReport(unchanged=1)


def test_a_deleted_file_is_removed_with_all_it_had(library: Library) -> None:
    paths = [clip(library.root / f"{name}.mp4", [RED, GREEN], seed=seed) for seed, name in enumerate("ab")]
    (library.root / "a.txt").write_text("Something red.")
    library.run()
    paths[0].unlink()
    assert library.run().removed == [paths[0]]
    assert library.names() == ["b.mp4"]
    assert (library.store.count("frames"), library.store.count("text")) == (2, 0)


@pytest.mark.parametrize("still_there", [True, False])
def test_an_unmounted_disk_empties_nothing(library: Library, still_there: bool) -> None:
    clip(library.root / "a.mp4", [RED])
    library.run()
    shutil.rmtree(library.root)
    if still_there:
        library.root.mkdir()
    report = library.run()
    assert report.removed == []
    assert library.names() == ["a.mp4"]
    if still_there:
        assert library.run(sweep_empty_roots=True).removed == [library.root / "a.mp4"]
        assert library.names() == []


def test_other_sidecars_are_read_without_decoding_pictures_again(library: Library) -> None:
    clip(library.root / "a.mp4", [RED, GREEN])
    library.run()
    before = library.frames.images_seen
    (library.root / "a.srt").write_text(SRT)
    assert library.run().updated == [library.root / "a.mp4"]
    assert library.store.count("text") == 2
    (library.root / "a.srt").unlink()
    library.run()
    assert library.store.count("text") == 0
    assert library.frames.images_seen == before
    assert library.run() == IndexReport(unchanged=1)


def test_other_models_or_sampling_make_the_frames_anew(library: Library) -> None:
    clip(library.root / "a.mp4", [RED, GREEN])
    library.run()
    library.frames = ColourEncoder("2")
    assert library.run().frames == 2
    library.sampling = Sampling(strategy="middle")
    assert library.run().frames == 1
    assert library.store.count("frames") == 1
    assert verify_counts(library) == []


@pytest.mark.parametrize("strategy", ["shots", "middle", "uniform", "kmeans", "codec"])
def test_every_strategy_gives_frames_with_thumbnails(library: Library, strategy: str) -> None:
    clip(library.root / "a.mp4", [RED, GREEN, BLUE])
    library.sampling = replace(Sampling(), strategy=strategy)
    report = library.run()
    assert report.frames >= 1
    for record in library.store.records("frames"):
        assert library.thumbnails.find(record.video_id, record.time_s) is not None


def test_every_broken_file_is_named_and_loses_no_other(library: Library) -> None:
    good = clip(library.root / "good.mp4", [RED, GREEN])
    whole = good.read_bytes()
    (library.root / "empty.mp4").write_bytes(b"")
    (library.root / "text.mkv").write_text("this is no film")
    (library.root / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (library.root / "noise.avi").write_bytes(np.random.default_rng(0).bytes(20000))
    (library.root / "gone.mp4").symlink_to(library.root / "nowhere")
    clip(library.root / "猫 'x\" &\n.mp4", [BLUE], seed=3)
    (library.root / "good.srt").write_bytes(b"\xff\xfe\x00garbage")
    (library.root / "good.json").write_text("{broken")
    report = library.run()
    assert library.names() == ["good.mp4", "猫 'x\" &\n.mp4"]
    assert sorted(path.name for path, _ in report.failed) == ["cut.mp4", "empty.mp4", "noise.avi", "text.mkv"]
    assert all(reason for _, reason in report.failed)
    assert any("good.json" in warning for _, warning in report.warnings)
    again = library.run()
    assert (again.failed, again.unchanged, len(again.failed_before)) == ([], 2, 4)
    assert len(library.run(retry_failed=True).failed) == 4
    assert inspect_index(library.store).failed == 4


def test_a_mended_file_is_indexed(library: Library) -> None:
    path = library.root / "a.mp4"
    path.write_bytes(b"")
    assert len(library.run().failed) == 1
    clip(path, [RED])
    report = library.run()
    assert (report.indexed, report.failed_before) == ([path], [])
    assert inspect_index(library.store).failed == 0


def test_sound_without_picture_is_indexed_by_its_texts(library: Library) -> None:
    path = clip(library.root / "a.mkv", [RED], audio=True)
    from indexer.media.deliver.write import AudioTrack, ClipOptions, write_clip
    from indexer.media.read.audio import read_audio

    sound = AudioTrack(read_audio(path, 16000), 16000)
    path.unlink()
    write_clip(library.root / "a.m4a", [], options=ClipOptions(audio=sound))
    (library.root / "a.txt").write_text("A long tone.")
    report = library.run()
    assert (report.failed, report.frames, report.segments) == ([], 0, 1)


def test_progress_ends_with_everything_done(library: Library) -> None:
    for seed, name in enumerate("ab"):
        clip(library.root / f"{name}.mp4", [RED, GREEN, BLUE], seed=seed)
    library.run()
    last = library.progress[-1]
    assert (last.videos_done, last.videos_total, last.frames) == (2, 2, 6)
    assert last.bytes_done == last.bytes_total
    done = [progress.bytes_done for progress in library.progress]
    assert done == sorted(done)


def test_stopping_half_way_leaves_a_consistent_index(library: Library) -> None:
    for seed, name in enumerate("abcd"):
        clip(library.root / f"{name}.mp4", [RED, GREEN, BLUE], seed=seed)

    def stop_at_second(progress: Progress) -> None:
        if progress.videos_done == 1 and progress.current is not None:
            raise KeyboardInterrupt

    library.progress = StoppingList(stop_at_second)
    with pytest.raises(KeyboardInterrupt):
        library.run()
    assert library.names() == ["a.mp4"]
    library.progress = []
    library.run()
    assert library.names() == ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]
    assert library.store.count("frames") == 12
    assert verify_counts(library) == []


class StoppingList(list):
    """Takes progress in, and may stop the run."""

    def __init__(self, react: Callable[[Progress], None]) -> None:
        super().__init__()
        self.react = react

    def append(self, progress: Progress) -> None:
        super().append(progress)
        self.react(progress)
