"""One indexing run: plan what is to be done, index the videos, commit them.

The parts are built here and handed on. Three stages work at the same time: the next video is decoded, one is encoded,
and what is ready is written, in the caller's thread, so that Ctrl-C always lands between two writes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from indexer.config import CorpusSettings, LoadedSettings
from indexer.core.errors import UsageError
from indexer.core.prefetch import prefetch
from indexer.core.types import Facet, ModalityName, Video
from indexer.corpus.find import Corpus, Found, find_corpus
from indexer.corpus.labels import Labels, read_labels
from indexer.manifest import (
    RoleChanges,
    choices_in_force,
    listens_always,
    outermost,
    remembering,
    set_aside,
    settled,
)
from indexer.map_videos import Indexer, Result, SameContent, VideoMap, unopened_video
from indexer.modalities.registry import modalities, modality_names
from indexer.models.devices import leave_room_for_decoding
from indexer.plan import SUBTITLED, Job, Plan, make_plan, swept, wanted_fingerprints, written_modalities
from indexer.progress import IndexReport, Progress, ProgressReport
from indexer.store import open_store
from indexer.store.base import Commit, CommitState, Location, Manifest, ModalityState
from indexer.store.commits import Committer, VideoWriter, at_location
from indexer.store.lock import writing
from indexer.store.thumbnails import ThumbnailFolder
from indexer.video import UNHEARD, Batch, Failed, Indexed, Started, VideoSettings

__all__ = ["Indexer", "RunOptions", "RunStart", "index_corpus", "run_indexing"]

_BATCHES_AHEAD = 4


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What one run does besides the settings."""

    retry_failed: bool = False
    sweep_empty_roots: bool = False
    changes: RoleChanges = field(default_factory=RoleChanges)


@dataclass(frozen=True, slots=True)
class RunStart:
    """What is known before the first video is opened.

    ``reason`` explains the models chosen for a new index; ``notes`` list settings without effect.
    """

    manifest: Manifest
    corpus: Corpus
    labels: Labels
    reason: str
    notes: tuple[str, ...] = ()


def run_indexing(
    paths: Sequence[Path],
    loaded: LoadedSettings,
    *,
    options: RunOptions = RunOptions(),
    on_start: Callable[[RunStart], None] | None = None,
    on_progress: ProgressReport | None = None,
) -> IndexReport:
    """Index ``paths``, or what was indexed before if there are none.

    Raises:
        UsageError: there is nothing to index.
        IndexBusyError: another process is writing this index.
        IndexIncompatibleError: the index was made with other models than those asked for.
        SceneseekError: as the parts raise it.
    """
    settings = loaded.settings
    index = Path(settings.index.path)
    _check_paths(paths)
    if not paths:
        open_store(index, name=settings.index.name, url=settings.index.url).close()
    with (
        writing(index),
        closing(open_store(index, name=settings.index.name, url=settings.index.url, create=True)) as store,
    ):
        manifest, models, reason = settled(store, loaded, options.changes)
        sampling, choosing = choices_in_force(manifest, loaded)
        corpus, labels = _look_around(_roots(paths, manifest), manifest, choosing, index)
        manifest = remembering(manifest, corpus, sampling, choosing, forget_missing=options.sweep_empty_roots)
        manifest = replace(manifest, speech_always=listens_always(manifest, loaded))
        store.write_manifest(manifest)
        if on_start is not None:
            on_start(RunStart(manifest, corpus, labels, reason, set_aside(manifest, settings.models)))
        reading = VideoSettings(
            sampling, settings.shots.max_side, settings.models.batch_size, speech_always=manifest.speech_always
        )
        thumbnails = ThumbnailFolder(index, settings.index.name)
        wanted = wanted_fingerprints(models, sampling)
        return index_corpus(
            corpus,
            labels,
            Indexer(store, models, thumbnails, reading, wanted, leave_room_for_decoding),
            report_progress=on_progress,
            retry_failed=options.retry_failed,
            sweep_empty_roots=options.sweep_empty_roots,
        )


def _check_paths(paths: Sequence[Path]) -> None:
    missing = [str(path) for path in paths if not path.exists()]
    if missing and len(missing) == len(paths):
        raise UsageError(f"There is no {' and no '.join(missing)}.", hint="Name a folder of videos, or a video.")


def _roots(paths: Sequence[Path], manifest: Manifest) -> Sequence[Path]:
    roots = paths or manifest.roots
    if not roots:
        raise UsageError("Nothing has been indexed yet.", hint="Name a folder: sceneseek index FOLDER.")
    return roots


def _look_around(
    roots: Sequence[Path], manifest: Manifest, choosing: CorpusSettings, index: Path
) -> tuple[Corpus, Labels]:
    """The files below the roots. Those of a folder within a known root keep that root, and with it their labels."""
    from indexer.media.read.probe import looks_like_media

    corpus = find_corpus(
        roots,
        looks_like_media=looks_like_media,
        exclude=choosing.exclude,
        follow_links=choosing.follow_links,
        index=index,
    )
    known = outermost((*manifest.roots, *corpus.roots))
    files = tuple(
        replace(found, root=next(root for root in known if found.path.is_relative_to(root))) for found in corpus.files
    )
    speaking = tuple(root for root in known if any(asked.is_relative_to(root) for asked in corpus.roots))
    return replace(corpus, files=files), read_labels(choosing.labels, speaking)


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
    committer = Committer(indexer.store, indexer.thumbnails)
    plan = make_plan(
        corpus,
        labels,
        committer.commits,
        indexer.wanted,
        retry_failed=retry_failed,
        speech_always=indexer.settings.speech_always,
    )
    run = _Run(indexer, committer, plan, report_progress)
    for video_id in plan.leftovers:
        committer.forget(video_id)
    run.drop_unwanted()
    run.index_videos()
    run.sweep(corpus, sweep_empty_roots)
    run.report.unreadable = corpus.unreadable
    return run.report


@dataclass(slots=True)
class _Current:
    """A video being written: its state before, and how far it is."""

    video: Video
    before: Commit | None
    writer: VideoWriter
    passes: int
    passed: float = 0.0


class _Run:
    """Maps ``index_video`` over the plan and commits what it gives."""

    def __init__(
        self, indexer: Indexer, committer: Committer, plan: Plan, report_progress: ProgressReport | None
    ) -> None:
        self.report = IndexReport(unchanged=len(plan.unchanged))
        self.report.failed_before = [(commit.video.path, commit.failure) for commit in plan.failed_before]
        self._indexer = indexer
        self._committer = committer
        self._plan = plan
        self._report_progress = report_progress
        self._bytes_total = sum(job.found.size for job in plan.jobs)
        self._bytes_done = 0
        self._done = 0
        self._current: _Current | None = None

    @property
    def _commits(self) -> dict[str, Commit]:
        return self._committer.commits

    def drop_unwanted(self) -> None:
        """Delete the modalities that the index is to do without; an interrupted drop is redone by the next run."""
        for video_id in self._plan.unwanted:
            commit = self._commits.get(video_id)
            if commit is not None:
                unwanted = commit.modalities.keys() & set(modality_names()) - self._indexer.wanted.keys()
                facts = _facts_without(commit.video, _facts_of(unwanted))
                video = replace(commit.video, descriptors={**commit.told, **facts})
                self._committer.drop(video_id, unwanted, video)
                for name in unwanted:
                    self.report.dropped[name] = self.report.dropped.get(name, 0) + 1

    def index_videos(self) -> None:
        """Read, encode and write the videos of the plan."""
        self._tell()
        videos = VideoMap(self._indexer, self._plan.jobs, dict(self._commits), self._tell_passed)
        # The videos are closed first: the thread that encodes may be waiting for a decoder.
        with closing(prefetch(videos.results(), _BATCHES_AHEAD)) as results, closing(videos):
            for result in results:
                self._write(result)

    def sweep(self, corpus: Corpus, sweep_empty_roots: bool) -> None:
        """Give up the files that have gone, and the videos that no file holds any more."""
        for commit, kept in list(swept(corpus, self._commits.values(), sweep_empty_roots=sweep_empty_roots)):
            if kept:
                self._committer.move(commit.video.id, kept)
            else:
                self._committer.forget(commit.video.id)
                if commit.video.path not in self._paths():
                    self.report.removed.append(commit.video.path)

    def _write(self, result: Result) -> None:
        match result.event:
            case Started() as event:
                self._begin(result.job, event)
                return
            case Batch(records=records, keyframes=keyframes, passed=passed):
                self._writing.writer.add(records, keyframes)
                self._tell_passed(result.video_id, passed)
                return
            case Indexed() as event:
                self._finish(result.job, event)
            case SameContent():
                self._relocate(result.job, result.video_id)
            case Failed(reason=reason):
                self._fail(result.job, result.video_id, reason)
        self._count(result.job)

    @property
    def _writing(self) -> _Current:
        if self._current is None:
            raise ValueError("no video has been started")
        return self._current

    def _begin(self, job: Job, event: Started) -> None:
        before = self._commits.get(event.video.id)
        kept = before if before is not None and before.state == "committed" else None
        commit = kept or _new_commit(event.video, job.found, "pending", before)
        self._current = _Current(event.video, kept, self._committer.begin(commit, event.modalities), event.passes)

    def _finish(self, job: Job, event: Indexed) -> None:
        current = self._writing
        before = current.before
        fingerprints = {**self._indexer.wanted, **dict.fromkeys(event.replaced_by_subtitles, SUBTITLED)}
        made = current.writer.states(fingerprints)
        fresh = _new_commit(event.video, job.found, "committed", self._commits[event.video.id])
        retold = before is None or not written_modalities().isdisjoint(made)
        told = event.subtitle_facts if before is None or retold else before.told
        fresh = replace(fresh, video=_described(fresh.video, told, before, made))
        if before is not None and not retold:  # the texts are still those of the first location
            fresh = _spoken_for(fresh, before)
        seen = event if before is None or "objects" in made else before
        modalities = {**(before.modalities if before else {}), **made}
        warnings = (*event.warnings, *_still_unheard(before, event), *_found_wanting(event.video, modalities))
        self._committer.write(
            replace(
                fresh,
                modalities=modalities,
                sidecars=job.stamp if before is None or retold else before.sidecars,
                shots=event.shots if "frames" in made else (before.shots if before else 0),
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

    def _account(self, video: Video, made: Mapping[ModalityName, ModalityState]) -> None:
        frames = made["frames"].count if "frames" in made else 0
        self.report.frames += frames
        self.report.segments += sum(state.count for state in made.values()) - frames
        self.report.media_s += video.duration_s if self._writing.passes else 0.0

    def _relocate(self, job: Job, video_id: str) -> None:
        """Record where known content lies now; its earlier file may be gone."""
        commit = self._commits[video_id]
        place = _location(job.found)
        others = _elsewhere(commit.locations, place)
        is_first = not others or commit.locations[0].path == place.path
        self._committer.move(video_id, (place, *others) if is_first else (*others, place))
        if place.path in {before.path for before in commit.locations}:
            self.report.unchanged += 1
        else:
            (self.report.copies if others else self.report.moved).append(place.path)

    def _fail(self, job: Job, video_id: str, reason: str) -> None:
        """Keep the failure, so that it is known and not tried each time.

        A video that was complete keeps the modalities that were not being rewritten; the next run retries the others.
        """
        self.report.failed.append((job.found.path, reason))
        before = self._commits.get(video_id)
        if before is not None and before.state == "committed":
            self._committer.delete_records(video_id, set(self._indexer.wanted) - set(before.modalities))
            return
        failed = _new_commit(unopened_video(job, video_id), job.found, "failed", before)
        self._committer.replace(replace(failed, failure=reason, sidecars=job.stamp))

    def _paths(self) -> set[Path]:
        return {place.path for commit in self._commits.values() for place in commit.locations}

    def _count(self, job: Job) -> None:
        self._current = None
        self._done += 1
        self._bytes_done += job.found.size
        self._tell()

    def _tell_passed(self, video_id: str, passed: float) -> None:
        """Also called by the thread that encodes: listening may give nothing to write for a long time."""
        if (current := self._current) is not None and current.video.id == video_id:
            current.passed = max(current.passed, passed)
            self._tell()

    def _tell(self) -> None:
        if self._report_progress is None:
            return
        current = self._current
        share = min(1.0, current.passed / max(1, current.passes)) if current else 0.0
        self._report_progress(
            Progress(
                videos_done=self._done,
                videos_total=len(self._plan.jobs),
                bytes_done=self._bytes_done + round(share * (current.video.size if current else 0)),
                bytes_total=self._bytes_total,
                media_s=self.report.media_s + share * (current.video.duration_s if current else 0.0),
                frames=self.report.frames,
                failed=len(self.report.failed),
                current=current.video.path if current else None,
            )
        )


def _new_commit(video: Video, found: Found, state: CommitState, before: Commit | None) -> Commit:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    place = _location(found)
    others = _elsewhere(before.locations, place) if before else ()
    return Commit(video=video, state=state, locations=(place, *others), indexed_at=now)


def _found_wanting(video: Video, modalities: Mapping[ModalityName, ModalityState]) -> tuple[str, ...]:
    """The warning for a video of which the index holds no records."""
    if video.has_picture or any(state.count for state in modalities.values()):
        return ()
    return ("It has no picture, and nothing is said or written in it: only its facts are known.",)


def _described(video: Video, told: Mapping[str, Facet], before: Commit | None, made: Collection[ModalityName]) -> Video:
    """The video with the facts of its subtitles and those found in the same content before.

    New facts win over earlier ones, and facts from listening over those from subtitles.
    """
    kept = _still_found(before, made) if before is not None else {}
    return replace(video, descriptors={**told, **kept, **video.descriptors})


def _still_found(before: Commit, made: Collection[ModalityName]) -> dict[str, Facet]:
    found = before.video.descriptors
    told = [name for name, fact in before.told.items() if found.get(name) == fact]
    return _facts_without(before.video, (*_facts_of(made), *told))


def _facts_without(video: Video, names: Collection[str]) -> dict[str, Facet]:
    return {name: fact for name, fact in video.descriptors.items() if name not in names}


def _spoken_for(fresh: Commit, before: Commit) -> Commit:
    """The new commit with the first location's texts and label; that location stays first if it still exists."""
    by_path = {place.path: place for place in fresh.locations}
    order = dict.fromkeys(place.path for place in (*before.locations, *fresh.locations) if place.path in by_path)
    told = before.video
    video = replace(fresh.video, title=told.title, description=told.description, label=told.label, facets=told.facets)
    return at_location(replace(fresh, video=video), [by_path[path] for path in order])


def _location(found: Found) -> Location:
    return Location(found.path, found.root, found.size, found.mtime_ns, found.device)


def _elsewhere(locations: Sequence[Location], place: Location) -> tuple[Location, ...]:
    """The other locations whose file exists or whose disk is not mounted."""
    others = (other for other in locations if other.path != place.path)
    return tuple(other for other in others if other.path.exists() or not _folder_of(other).exists())


def _folder_of(place: Location) -> Path:
    """The root, or the folder of a root that is a single file."""
    return place.path.parent if place.root == place.path else place.root


def _facts_of(names: Collection[ModalityName]) -> tuple[str, ...]:
    """The facts that only these modalities find out."""
    return tuple(fact for each in modalities() if each.name in names for fact in each.facts)


def _still_unheard(before: Commit | None, event: Indexed) -> tuple[str, ...]:
    """What was wrong with the sound when it was last listened to, if that was in a run before."""
    if before is None or event.listened:
        return ()
    return tuple(warning for warning in before.warnings if warning.startswith(UNHEARD))
