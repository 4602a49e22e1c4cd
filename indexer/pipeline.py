"""Indexing: reads, encodes and writes videos, three stages at the same time, with one commit per video.

Order of writing, for every video: the commit without the modalities that are about to change, the deletion of what they
held, their new records, the complete commit. A run that is cut off anywhere leaves commits that say what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

from indexer.core.prefetch import ahead
from indexer.core.types import Facet, ModalityName, Video
from indexer.corpus.find import Corpus, Found
from indexer.corpus.labels import Labels
from indexer.corpus.plan import SUBTITLED, TOLD, Plan, make_plan, swept
from indexer.encoding import UNHEARD, Encoded, encode_events
from indexer.modalities.video_facts import OF_SPEECH
from indexer.models.base import Models
from indexer.reading import (
    Audible,
    Began,
    Failed,
    Finished,
    KeyframeBatch,
    ReadEvent,
    Reading,
    SameContent,
    TextFrames,
    read_jobs,
)
from indexer.store.base import Commit, CommitState, Location, ModalityState, VectorStore
from indexer.store.thumbnails import ThumbnailFolder

__all__ = ["IndexReport", "Indexer", "Progress", "ProgressReport", "index_corpus"]

_BATCHES_AHEAD = 4
# The fingerprint of records that are being deleted.
_DROPPED = "dropped"


def _do_nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Indexer:
    """What an indexing run works with.

    ``thumbnails`` may be None: then none are written. ``before_encoding`` is called once, in the thread that encodes.
    """

    store: VectorStore
    models: Models
    thumbnails: ThumbnailFolder | None
    reading: Reading
    before_encoding: Callable[[], None] = _do_nothing


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. ``bytes_done`` counts finished files and the part of the current one that has been read."""

    videos_done: int
    videos_total: int
    bytes_done: int
    bytes_total: int
    media_s: float
    frames: int
    failed: int
    current: Path | None


ProgressReport: TypeAlias = Callable[[Progress], None]


@dataclass(slots=True)
class IndexReport:
    """What a run did, by video: paths of the videos, and for failures the reason.

    ``dropped`` says of how many videos a modality was deleted that the index is to do without.
    """

    indexed: list[Path] = field(default_factory=list)
    updated: list[Path] = field(default_factory=list)
    moved: list[Path] = field(default_factory=list)
    copies: list[Path] = field(default_factory=list)
    removed: list[Path] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)
    failed_before: list[tuple[Path, str]] = field(default_factory=list)
    warnings: list[tuple[Path, str]] = field(default_factory=list)
    dropped: dict[ModalityName, int] = field(default_factory=dict)
    unchanged: int = 0
    unreadable: tuple[Path, ...] = ()
    frames: int = 0
    segments: int = 0
    media_s: float = 0.0


def index_corpus(
    corpus: Corpus,
    labels: Labels,
    indexer: Indexer,
    *,
    report_progress: ProgressReport | None = None,
    retry_failed: bool = False,
    sweep_empty_roots: bool = False,
) -> IndexReport:
    """Bring the index in line with the corpus. The caller holds the right to write (``store.lock.writing``).

    Raises:
        ModelError: a model cannot be loaded; nothing is lost, run again.
        StoreError: the index cannot be written.
    """
    commits = indexer.store.commits()
    reading = indexer.reading
    plan = make_plan(
        corpus, labels, commits, reading.wanted, retry_failed=retry_failed, speech_always=reading.speech_always
    )
    run = _Run(indexer, commits, plan, report_progress)
    run.clear_leftovers()
    run.drop_unwanted()
    run.read_encode_write()
    run.sweep(corpus, sweep_empty_roots)
    run.report.unreadable = corpus.unreadable
    return run.report


class _Run:
    """The third stage: writes what the others made, and keeps the account."""

    def __init__(
        self, indexer: Indexer, commits: dict[str, Commit], plan: Plan, report_progress: ProgressReport | None
    ) -> None:
        self.report = IndexReport(unchanged=len(plan.unchanged))
        self.report.failed_before = [(commit.video.path, commit.failure) for commit in plan.failed_before]
        self._indexer = indexer
        self._commits = commits
        self._plan = plan
        self._report_progress = report_progress
        self._bytes_total = sum(job.found.size for job in plan.jobs)
        self._bytes_done = 0
        self._done = 0
        self._kept: Commit | None = None
        self._counts: dict[ModalityName, int] = {}
        self._began: Began | None = None
        self._passed = 0.0

    def clear_leftovers(self) -> None:
        """Delete what a run that was cut off has left half-done."""
        for video_id in self._plan.leftovers:
            self._forget(video_id)

    def drop_unwanted(self) -> None:
        """Delete the modalities that the index is to do without; a cut half-way leaves them for the next run.

        They are called stale first: a run that is to have them again makes them anew, whatever was deleted.
        """
        wanted = self._indexer.reading.wanted.keys()
        for video_id in self._plan.unwanted:
            commit = self._commits.get(video_id)
            if commit is not None:
                unwanted = commit.modalities.keys() - wanted
                stale = {name: ModalityState(_DROPPED, commit.modalities[name].count) for name in unwanted}
                facts = _facts_without(commit.video, OF_SPEECH if "speech" in unwanted else ())
                video = replace(commit.video, descriptors={**commit.told, **facts})
                self._commit(replace(commit, modalities={**commit.modalities, **stale}))
                self._indexer.store.delete_records(video_id, unwanted)
                self._commit(_without(replace(commit, video=video), unwanted))
                for name in unwanted:
                    self.report.dropped[name] = self.report.dropped.get(name, 0) + 1

    def read_encode_write(self) -> None:
        """The three stages, each a bounded number of pieces ahead of the next."""
        self._tell(None)
        reading = read_jobs(self._plan.jobs, dict(self._commits), self._indexer.reading)
        events = ahead(reading, _BATCHES_AHEAD)
        encoded = ahead(self._encoded(events), _BATCHES_AHEAD)
        with closing(encoded), closing(events):  # the first stage is closed first: the second may be waiting for it
            for event, made in encoded:
                self._write(event, made)

    def _encoded(self, events: Iterator[ReadEvent]) -> Iterator[tuple[ReadEvent, Encoded]]:
        self._indexer.before_encoding()
        yield from encode_events(events, self._indexer.models, self._tell_heard)

    def sweep(self, corpus: Corpus, sweep_empty_roots: bool) -> None:
        """Give up the files that have gone, and the videos that no file holds any more."""
        for commit, kept in list(swept(corpus, self._commits.values(), sweep_empty_roots=sweep_empty_roots)):
            if kept:
                self._commit(replace(commit, locations=kept, video=_at(commit.video, kept[0])))
            else:
                self._forget(commit.video.id)
                if commit.video.path not in self._paths():
                    self.report.removed.append(commit.video.path)

    def _write(self, event: ReadEvent, made: Encoded) -> None:
        match event:
            case Began():
                self._begin(event)
            case KeyframeBatch(video=video, keyframes=keyframes):
                self._write_records(made)
                self._tell_seen(video, keyframes[-1].time_s)
            case TextFrames(video=video, frames=frames):
                self._tell_seen(video, frames[-1].time_s)
            case Audible():
                self._write_records(made)
            case Finished():
                self._write_records(made)
                self._finish(event)
                self._count(event.job.found.size)
            case SameContent():
                self._relocate(event)
                self._count(event.job.found.size)
            case Failed():
                self._fail(event)
                self._count(event.job.found.size)

    def _begin(self, event: Began) -> None:
        self._began, self._passed = event, 0.0
        before = self._commits.get(event.video.id)
        self._kept = before if before is not None and before.state == "committed" else None
        self._counts = dict.fromkeys(event.modalities, 0)
        if self._kept is None:
            self._commit(_new_commit(event.video, event.job.found, "pending", before))
        else:
            self._commit(_without(self._kept, event.modalities))
        self._indexer.store.delete_records(event.video.id, event.modalities)
        if "frames" in event.modalities and self._indexer.thumbnails:
            self._indexer.thumbnails.delete(event.video.id)

    def _write_records(self, made: Encoded) -> None:
        records = [record for record in made.records if record.modality in self._counts]
        self._indexer.store.upsert(records)
        for record in records:
            self._counts[record.modality] += 1
        if self._indexer.thumbnails:
            for keyframe in made.keyframes:
                self._indexer.thumbnails.save(keyframe.video_id, keyframe.time_s, keyframe.image)

    def _finish(self, event: Finished) -> None:
        made = {name: ModalityState(self._fingerprint(name), count) for name, count in self._counts.items()}
        before = self._kept
        fresh = _new_commit(event.video, event.job.found, "committed", self._commits[event.video.id])
        retold = before is None or not TOLD.isdisjoint(made)
        told = event.told if before is None or retold else before.told
        fresh = replace(fresh, video=_described(fresh.video, told, before, made))
        if before is not None and not retold:  # the texts are still those of the first location
            fresh = _spoken_for(fresh, before)
        seen = event if before is None or "objects" in made else before
        modalities = {**(before.modalities if before else {}), **made}
        warnings = (*event.warnings, *self._still_unheard(), *_found_wanting(event.video, modalities))
        self._commit(
            replace(
                fresh,
                modalities=modalities,
                sidecars=event.job.stamp if before is None or retold else before.sidecars,
                shots=len(event.shots) if "frames" in made else (before.shots if before else 0),
                corrupt_packets=event.corrupt_packets,
                warnings=warnings,
                told=told,
                object_maximum=seen.object_maximum,
                object_mean=seen.object_mean,
            )
        )
        (self.report.updated if before else self.report.indexed).append(event.video.path)
        self.report.warnings += [(event.video.path, warning) for warning in warnings]
        self._account(event.video, made)

    def _still_unheard(self) -> tuple[str, ...]:
        """What was wrong with the sound when somebody listened last, if that was in a run before."""
        if self._kept is None or (self._began is not None and self._began.sound_passes):
            return ()
        return tuple(warning for warning in self._kept.warnings if warning.startswith(UNHEARD))

    def _fingerprint(self, modality: ModalityName) -> str:
        if modality == "speech" and self._began is not None and self._began.subtitled:
            return SUBTITLED
        return self._indexer.reading.wanted[modality]

    def _account(self, video: Video, made: dict[ModalityName, ModalityState]) -> None:
        frames = made["frames"].count if "frames" in made else 0
        self.report.frames += frames
        self.report.segments += sum(state.count for state in made.values()) - frames
        self.report.media_s += video.duration_s if self._began and self._began.passes else 0.0

    def _relocate(self, event: SameContent) -> None:
        """The content is known: note where it lies now. The file it was known from may be gone."""
        commit = self._commits[event.video_id]
        place = _location(event.job.found)
        others = _elsewhere(commit.locations, place)
        is_first = not others or commit.locations[0].path == place.path
        locations = (place, *others) if is_first else (*others, place)
        self._commit(replace(commit, locations=locations, video=_at(commit.video, locations[0])))
        if place.path in {before.path for before in commit.locations}:
            self.report.unchanged += 1
        else:
            (self.report.copies if others else self.report.moved).append(place.path)

    def _fail(self, event: Failed) -> None:
        """Keep the failure, so that it is known and not tried each time.

        A video that was whole before keeps what did not have to be made anew; the next run tries the rest again.
        """
        self.report.failed.append((event.video.path, event.reason))
        before = self._commits.get(event.video.id)
        if before is not None and before.state == "committed":
            self._indexer.store.delete_records(
                event.video.id, set(self._indexer.reading.wanted) - set(before.modalities)
            )
            return
        self._indexer.store.delete_records(event.video.id)
        failed = _new_commit(event.video, event.job.found, "failed", before)
        self._commit(replace(failed, failure=event.reason, sidecars=event.job.stamp))

    def _commit(self, commit: Commit) -> None:
        self._indexer.store.write_commit(commit)
        self._commits[commit.video.id] = commit

    def _forget(self, video_id: str) -> None:
        """Delete a video; a cut half-way leaves it pending, never whole in name only."""
        if video_id in self._commits:
            self._indexer.store.write_commit(replace(self._commits[video_id], state="pending"))
        self._indexer.store.delete_records(video_id)
        if self._indexer.thumbnails:
            self._indexer.thumbnails.delete(video_id)
        self._indexer.store.delete_commit(video_id)
        self._commits.pop(video_id, None)

    def _paths(self) -> set[Path]:
        return {place.path for commit in self._commits.values() for place in commit.locations}

    def _count(self, size: int) -> None:
        self._done += 1
        self._bytes_done += size
        self._tell(None)

    def _tell_seen(self, video: Video, time_s: float) -> None:
        seen = min(1.0, time_s / video.duration_s) if video.duration_s else 0.0
        self._passed = max(self._passed, seen)
        self._tell(video)

    def _tell_heard(self, video: Video, passes_heard: float) -> None:
        """Called by the second stage: listening may give nothing to write for a long time."""
        if self._began is not None and self._began.video.id == video.id:
            self._passed = self._began.passes - self._began.sound_passes + passes_heard
            self._tell(video)

    def _tell(self, video: Video | None) -> None:
        if self._report_progress is None:
            return
        share = min(1.0, self._passed / max(1, self._began.passes)) if video and self._began else 0.0
        self._report_progress(
            Progress(
                videos_done=self._done,
                videos_total=len(self._plan.jobs),
                bytes_done=self._bytes_done + round(share * (video.size if video else 0)),
                bytes_total=self._bytes_total,
                media_s=self.report.media_s + share * (video.duration_s if video else 0.0),
                frames=self.report.frames,
                failed=len(self.report.failed),
                current=video.path if video else None,
            )
        )


def _new_commit(video: Video, found: Found, state: CommitState, before: Commit | None) -> Commit:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    place = _location(found)
    others = _elsewhere(before.locations, place) if before else ()
    return Commit(video=video, state=state, locations=(place, *others), indexed_at=now)


def _found_wanting(video: Video, modalities: Mapping[ModalityName, ModalityState]) -> tuple[str, ...]:
    """What to say of a video of which the index holds nothing, neither from this run nor from one before."""
    if video.has_picture or any(state.count for state in modalities.values()):
        return ()
    return ("It has no picture, and nothing is said or written in it: only its facts are known.",)


def _without(commit: Commit, modalities: Collection[ModalityName]) -> Commit:
    """The commit without some modalities, and without the vectors that go with them."""
    left = {name: state for name, state in commit.modalities.items() if name not in modalities}
    if "objects" in modalities:
        commit = replace(commit, object_maximum=(), object_mean=())
    return replace(commit, modalities=left)


def _described(video: Video, told: Mapping[str, Facet], before: Commit | None, made: Collection[ModalityName]) -> Video:
    """The video with what its subtitles tell, and with what was found in the same content before.

    What was sought anew comes before that, and subtitles tell only what nobody has heard.
    """
    kept = _still_found(before, made) if before is not None else {}
    return replace(video, descriptors={**told, **kept, **video.descriptors})


def _still_found(before: Commit, made: Collection[ModalityName]) -> dict[str, Facet]:
    found = before.video.descriptors
    told = [name for name, fact in before.told.items() if found.get(name) == fact]
    return _facts_without(before.video, OF_SPEECH if "speech" in made else told)


def _facts_without(video: Video, names: Collection[str]) -> dict[str, Facet]:
    return {name: fact for name, fact in video.descriptors.items() if name not in names}


def _spoken_for(fresh: Commit, before: Commit) -> Commit:
    """The fresh commit with what the first location's texts have said, and with that location first if it is there."""
    by_path = {place.path: place for place in fresh.locations}
    order = dict.fromkeys(place.path for place in (*before.locations, *fresh.locations) if place.path in by_path)
    told = before.video
    video = replace(fresh.video, title=told.title, description=told.description, label=told.label, facets=told.facets)
    locations = tuple(by_path[path] for path in order)
    return replace(fresh, locations=locations, video=_at(video, locations[0]))


def _location(found: Found) -> Location:
    return Location(found.path, found.root, found.size, found.mtime_ns, found.device)


def _elsewhere(locations: Sequence[Location], place: Location) -> tuple[Location, ...]:
    """The other locations, less those whose file has gone; one on a disk that is not there has not gone."""
    others = (other for other in locations if other.path != place.path)
    return tuple(other for other in others if other.path.exists() or not _folder_of(other).exists())


def _folder_of(place: Location) -> Path:
    """The root, or the folder of a root that is a single file."""
    return place.path.parent if place.root == place.path else place.root


def _at(video: Video, place: Location) -> Video:
    return replace(video, path=place.path, size=place.size, mtime_ns=place.mtime_ns)
