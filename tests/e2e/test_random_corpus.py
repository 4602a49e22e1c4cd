"""Random lives of a library: after every run the index is what an index of the same folder made afresh would be.

A small pool of clips (with subtitles, descriptions and facts beside them) is copied, renamed, swapped, changed, broken,
mended, touched, deleted and sampled anew; runs are cut off at random places. After every whole run the index must be
in line with the folder, and a further run must find nothing to do.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import pytest

from indexer.core.types import ModalityName, Record
from indexer.corpus.find import Corpus, content_id, find_corpus
from indexer.corpus.labels import read_labels
from indexer.maintenance.inspect import verify_index
from indexer.media.read.probe import looks_like_media
from indexer.models.base import Models
from indexer.progress import IndexReport
from indexer.run import Indexer, index_corpus
from indexer.shots.sampling import Sampling
from indexer.store.base import Commit
from indexer.store.memory import MemoryStore
from indexer.store.thumbnails import ThumbnailFolder
from indexer.video import VideoSettings
from tests.clips import BLUE, GREEN, RED, WHITE, YELLOW, clip
from tests.encoders import ColourEncoder, WordEncoder

NAMES = ("a", "b", "cats/a", "cats/c", "dogs/d", "z")
CONTENTS = ("red", "green", "two", "three", "broken", "empty")
SAMPLINGS = (Sampling(strategy="middle"), Sampling(strategy="uniform", count=3))
SRT = "1\n00:00:00,100 --> 00:00:00,300\n{}\n"

Span: TypeAlias = tuple[str, float, float, str]


class CutOff(KeyboardInterrupt):
    """The run is cut off here."""


class FragileStore(MemoryStore):
    """A store whose process may be cut off before its next writes."""

    def __init__(self) -> None:
        super().__init__()
        self.writes_left: int | None = None

    def _write(self) -> None:
        if self.writes_left is not None:
            if self.writes_left == 0:
                raise CutOff
            self.writes_left -= 1

    def write_commit(self, commit: Commit) -> None:
        self._write()
        super().write_commit(commit)

    def delete_commit(self, video_id: str) -> None:
        self._write()
        super().delete_commit(video_id)

    def upsert(self, records: Sequence[Record]) -> None:
        self._write()
        super().upsert(records)

    def delete_records(self, video_id: str, modalities: Collection[ModalityName] | None = None) -> None:
        self._write()
        super().delete_records(video_id, modalities)


class World:
    """A folder whose files change, and the index that follows them."""

    def __init__(self, folder: Path, pool: Path, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - a life to replay, not a secret
        self.root = folder / "films"
        self.root.mkdir(parents=True)
        (self.root / "keep.mp4").write_bytes((pool / "keep.mp4").read_bytes())  # the root never looks unmounted
        self.pool = pool
        self.store = FragileStore()
        self.thumbnails = ThumbnailFolder(folder / "index")
        self.sampling = SAMPLINGS[0]
        self.clock = 10**9
        self.log: list[str] = []

    def run(self, store: MemoryStore, thumbnails: ThumbnailFolder | None) -> IndexReport:
        corpus = self.corpus()
        words = WordEncoder()
        wanted = {
            "frames": self.sampling.strategy,
            "subtitle": words.fingerprint.digest,
            "description": words.fingerprint.digest,
        }
        indexer = Indexer(
            store, Models(ColourEncoder(), words), thumbnails, VideoSettings(self.sampling, batch_size=1), wanted
        )
        return index_corpus(corpus, read_labels("auto", corpus.roots), indexer)

    def corpus(self) -> Corpus:
        return find_corpus([self.root], looks_like_media=looks_like_media)

    def change(self) -> None:
        """One random change on disk, or of the way frames are chosen."""
        change = self.random.choice(
            [self.put, self.put, self.rename, self.rename, self.swap, self.copy, self.link, self.delete, self.touch]
            + [self.write_sidecar] * 4
            + [self.delete_sidecar, self.sample_otherwise]
        )
        self.log.append(change.__name__ + " " + str(change()))

    def put(self) -> str:
        name, content = self.random.choice(NAMES), self.random.choice(CONTENTS)
        path = self.path(name)
        path.unlink(missing_ok=True)
        shutil.copyfile(self.pool / f"{content}.mp4", path)
        self.stamp(path)
        return f"{name} {content}"

    def rename(self) -> str:
        pair = self.pair()
        if pair is None:
            return ""
        pair[0].replace(pair[1])
        if self.random.random() < 0.5:
            for suffix in (".srt", ".txt", ".json"):
                if pair[0].with_suffix(suffix).exists():
                    pair[0].with_suffix(suffix).replace(pair[1].with_suffix(suffix))
        return self.named(*pair)

    def swap(self) -> str:
        present = self.present()
        if len(present) < 2:
            return ""
        one, other = self.random.sample(present, 2)
        aside = self.root / "aside.tmp"
        one.replace(aside)
        other.replace(one)
        aside.replace(other)
        return self.named(one, other)

    def copy(self) -> str:
        pair = self.pair()
        if pair is None:
            return ""
        pair[1].unlink(missing_ok=True)
        shutil.copyfile(pair[0], pair[1])
        self.stamp(pair[1])
        return self.named(*pair)

    def link(self) -> str:
        pair = self.pair()
        if pair is None:
            return ""
        pair[1].unlink(missing_ok=True)
        os.link(pair[0], pair[1])
        return self.named(*pair)

    def delete(self) -> str:
        return self.with_one(Path.unlink)

    def touch(self) -> str:
        return self.with_one(self.stamp)

    def write_sidecar(self) -> str:
        name, word = self.random.choice(NAMES), f"Word{self.random.randrange(1000)}."
        suffix = self.random.choice((".srt", ".txt", ".json"))
        path = self.path(name).with_suffix(suffix)
        path.write_text({".srt": SRT.format(word), ".txt": word, ".json": f'{{"title": "{word}"}}'}[suffix])
        self.stamp(path)
        return f"{name}{suffix}"

    def delete_sidecar(self) -> str:
        path = self.path(self.random.choice(NAMES)).with_suffix(self.random.choice((".srt", ".txt", ".json")))
        path.unlink(missing_ok=True)
        return self.named(path)

    def sample_otherwise(self) -> str:
        self.sampling = SAMPLINGS[1 - SAMPLINGS.index(self.sampling)]
        return self.sampling.strategy

    def with_one(self, act: Callable[[Path], None]) -> str:
        present = self.present()
        if not present:
            return ""
        path = self.random.choice(present)
        act(path)
        return self.named(path)

    def pair(self) -> tuple[Path, Path] | None:
        present = self.present()
        if not present:
            return None
        one, other = self.random.choice(present), self.path(self.random.choice(NAMES))
        return None if one == other or (other.exists() and other.samefile(one)) else (one, other)

    def present(self) -> list[Path]:
        return [path for path in (self.path(name) for name in NAMES) if path.exists()]

    def path(self, name: str) -> Path:
        path = self.root / f"{name}.mp4"
        path.parent.mkdir(exist_ok=True)
        return path

    def stamp(self, path: Path) -> None:
        self.clock += 1
        os.utime(path, (self.clock, self.clock))

    def named(self, *paths: Path) -> str:
        return " ".join(str(path.relative_to(self.root)) for path in paths)


def spans(store: MemoryStore, video_id: str) -> list[Span]:
    records = [record for space in ("frames", "text") for record in store.records(space, video_id=video_id)]
    return sorted((record.modality, record.start_s, record.end_s, record.text) for record in records)


def told(commit: Commit) -> tuple[object, ...]:
    video = commit.video
    return (video.title, video.description, video.label, commit.shots, commit.warnings)


def missing_thumbnails(world: World, commit: Commit) -> Iterator[str]:
    for record in world.store.records("frames", video_id=commit.video.id):
        thumbnail = world.thumbnails.find(record.video_id, record.time_s)
        if thumbnail is None or thumbnail.stem != f"{round(record.time_s * 1000):010d}":
            yield f"no thumbnail of {commit.video.path} at {record.time_s}"


def afresh(world: World, path: Path) -> tuple[Commit, list[Span]]:
    """What an index made afresh says of one file, with all that lies beside it."""
    store = MemoryStore()
    corpus = world.corpus()
    only = replace(corpus, files=tuple(found for found in corpus.files if found.path == path))
    words = WordEncoder()
    wanted = {"frames": "x", "subtitle": "x", "description": "x"}
    indexer = Indexer(store, Models(ColourEncoder(), words), None, VideoSettings(world.sampling, batch_size=1), wanted)
    index_corpus(only, read_labels("auto", corpus.roots), indexer)
    (commit,) = store.commits().values()
    return commit, spans(store, commit.video.id)


def contradictions(world: World) -> Iterator[str]:
    """Where the index differs from the folder."""
    commits = world.store.commits()
    on_disk: dict[str, set[Path]] = {}
    for found in world.corpus().files:
        on_disk.setdefault(content_id(found.path), set()).add(found.path)
    if set(commits) != set(on_disk):
        yield f"videos: missing {set(on_disk) - set(commits)}, too many {set(commits) - set(on_disk)}"
    for video_id in set(commits) & set(on_disk):
        commit = commits[video_id]
        places = [place.path for place in commit.locations]
        if sorted(places) != sorted(on_disk[video_id]):
            yield f"places of {commit.video.path}: {places}, on disk {on_disk[video_id]}"
        if commit.video.path != places[0]:
            yield f"{commit.video.path} is not the first of {places}"
        if commit.video.path not in on_disk[video_id]:
            continue
        expected, expected_spans = afresh(world, commit.video.path)
        if commit.state != expected.state:
            yield f"{commit.video.path} is {commit.state}, not {expected.state}"
        if spans(world.store, video_id) != expected_spans:
            yield f"records of {commit.video.path}: {spans(world.store, video_id)}, not {expected_spans}"
        if commit.state == "committed":
            if told(commit) != told(expected):
                yield f"{commit.video.path} is told of as {told(commit)}, not {told(expected)}"
            yield from missing_thumbnails(world, commit)
    yield from (problem.what for problem in verify_index(world.store) if "with which models" not in problem.what)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool")
    shows = {"keep": [WHITE], "red": [RED], "green": [GREEN], "two": [BLUE, YELLOW], "three": [RED, BLUE, WHITE]}
    for seed, (name, colours) in enumerate(shows.items()):
        clip(folder / f"{name}.mp4", colours, shot_s=0.25, seed=10 * seed)
    (folder / "broken.mp4").write_bytes((folder / "red.mp4").read_bytes()[:700])
    (folder / "empty.mp4").write_bytes(b"")
    return folder


def live(world: World, runs: int) -> None:
    for _ in range(runs):
        for _ in range(world.random.randrange(1, 4)):
            world.change()
        if world.random.random() < 0.4:
            world.store.writes_left = world.random.randrange(0, 12)
            try:
                world.run(world.store, world.thumbnails)
            except CutOff:
                world.log.append("cut off")
                if world.random.random() < 0.3:
                    world.change()
            world.store.writes_left = None
        world.run(world.store, world.thumbnails)
        world.log.append("run")
        assert list(contradictions(world)) == [], world.log
        again = world.run(world.store, world.thumbnails)
        done = (again.indexed, again.updated, again.moved, again.copies, again.removed, again.failed)
        assert done == ([], [], [], [], [], []), world.log


@pytest.mark.parametrize("seed", range(int(os.environ.get("RANDOM_LIBRARIES", "8"))))
def test_after_every_run_the_index_is_as_if_made_afresh(seed: int, pool: Path, tmp_path: Path) -> None:
    live(World(tmp_path, pool, seed), runs=8)
