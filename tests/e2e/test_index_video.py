"""One video is indexed alone: the same records come from a pool of processes as from a run."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from indexer.core.types import Record, Video
from indexer.corpus.find import Corpus, content_id, find_corpus
from indexer.corpus.labels import Annotation, Labels
from indexer.corpus.sidecars import Sidecars
from indexer.media.read.probe import looks_like_media
from indexer.models.base import Models
from indexer.run import Indexer, index_corpus
from indexer.shots.sampling import Sampling
from indexer.store.commits import Committer
from indexer.store.memory import MemoryStore
from indexer.video import Batch, Failed, Indexed, Started, VideoJob, VideoSettings, index_video
from tests.clips import BLUE, GREEN, RED, clip, tone
from tests.encoders import ColourDetector, ColourEncoder, LoudRecognizer, WordEncoder

SETTINGS = VideoSettings(Sampling(), batch_size=2)
MODALITIES = ("frames", "subtitle", "description", "speech", "objects")
SPACES = ("frames", "text", "audio")


def models() -> Models:
    return Models(ColourEncoder(), WordEncoder(), speech=LoudRecognizer(), objects=ColourDetector())


def index(job: VideoJob) -> tuple[VideoJob, list[Record], Video]:
    """In another process: all records of a video, and what was found out about it."""
    events = list(index_video(job, models()))
    records = [record for event in events if isinstance(event, Batch) for record in event.records]
    last = events[-1]
    assert isinstance(last, Indexed)
    return job, records, last.video


NO_SIDECARS = Sidecars()


def job_of(path: Path, sidecars: Sidecars = NO_SIDECARS) -> VideoJob:
    facts = path.stat()
    video = Video(content_id(path), path, facts.st_size, facts.st_mtime_ns, 0.0, None, 0, 0, False)
    return VideoJob(video, MODALITIES, sidecars, Annotation("", ""), SETTINGS)


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    films = tmp_path / "films"
    films.mkdir()
    clip(films / "a.mp4", [RED, GREEN], audio=tone(2))
    clip(films / "b.mp4", [BLUE, GREEN, RED], audio=tone(1))
    clip(films / "c.mp4", [GREEN])
    (films / "c.txt").write_text("A green wall.", encoding="utf-8")
    return find_corpus([films], looks_like_media=looks_like_media)


def test_two_processes_give_the_records_of_a_run(corpus: Corpus) -> None:
    one_by_one = MemoryStore()
    wanted = dict.fromkeys(MODALITIES, "1")
    index_corpus(corpus, Labels(), Indexer(one_by_one, models(), None, SETTINGS, wanted))
    pooled = MemoryStore()
    committer = Committer(pooled)
    jobs = [job_of(found.path, found.sidecars) for found in corpus.files]
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        for job, records, video in pool.map(index, jobs):
            before = one_by_one.commits()[job.video.id]
            assert (video.duration_s, video.descriptors) == (before.video.duration_s, before.video.descriptors)
            committer.begin(before, MODALITIES).add(records)
    for space in SPACES:
        alone, together = (
            {record.id: record for record in store.records(space, vectors=True)} for store in (one_by_one, pooled)
        )
        assert alone.keys() == together.keys()
        for key, record in alone.items():
            other = together[key]
            assert (record.text, record.start_s, record.end_s, record.words, record.sightings) == (
                *(other.text, other.start_s, other.end_s, other.words, other.sightings),
            )
            assert np.allclose(record.vector, other.vector, atol=1e-6)
    assert one_by_one.count("frames") == 6
    assert one_by_one.count("text") > 6


def test_an_unreadable_file_fails_alone_and_says_why(tmp_path: Path) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(b"no video" * 100)
    (event,) = index_video(job_of(path), models())
    assert isinstance(event, Failed)
    assert event.reason


def test_a_video_can_be_given_up_half_way(tmp_path: Path) -> None:
    clip(tmp_path / "a.mp4", [RED, GREEN, BLUE] * 4)
    with closing(index_video(job_of(tmp_path / "a.mp4"), models())) as events:
        assert isinstance(next(events), Started)
        assert isinstance(next(events), Batch)
    assert list(events) == []
