"""What an indexing run has to do, decided from what is on disk and what the index holds, before any file is opened."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from indexer.core.types import ModalityName
from indexer.corpus.find import Corpus, Found
from indexer.corpus.labels import Annotation, Labels
from indexer.modalities.base import Modality
from indexer.modalities.registry import modalities, modality, modality_names
from indexer.models.base import Models
from indexer.shots.sampling import Sampling
from indexer.store.base import Commit, Location

__all__ = [
    "SUBTITLED",
    "UNREAD_PREFIX",
    "Job",
    "Plan",
    "facts_stamp",
    "make_plan",
    "stale_modalities",
    "swept",
    "wanted_fingerprints",
    "written_modalities",
]

# The fingerprint of speech that was left out, because subtitles say it.
SUBTITLED = "subtitled"
# The id of a file whose content could not be read is made of its path, with this in front.
UNREAD_PREFIX = "unread-"


@dataclass(frozen=True, slots=True)
class Job:
    """A file to look at. ``known`` is the commit of this very path, size and time, if some modalities are stale."""

    found: Found
    annotation: Annotation
    stamp: str
    known: Commit | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """``unchanged`` need nothing; ``failed_before`` failed, have not changed since and are not tried again.

    ``unwanted`` are the ids of videos that hold modalities which the index is to do without.
    """

    jobs: tuple[Job, ...] = ()
    unchanged: tuple[Commit, ...] = ()
    failed_before: tuple[Commit, ...] = ()
    leftovers: tuple[str, ...] = field(default=())
    unwanted: tuple[str, ...] = field(default=())


def make_plan(
    corpus: Corpus,
    labels: Labels,
    commits: Mapping[str, Commit],
    wanted: Mapping[ModalityName, str],
    *,
    retry_failed: bool = False,
    speech_always: bool = False,
) -> Plan:
    """Compare what is on disk with what the index holds.

    Args:
        corpus: The files there are.
        labels: What is known of them.
        commits: What the index holds, by video id.
        wanted: The fingerprint that each modality must have been made with.
        retry_failed: Whether to try again what failed and has not changed.
        speech_always: Whether to listen also to videos that have subtitles.
    """
    by_place = {
        (place.path, place.size, place.mtime_ns): commit for commit in commits.values() for place in commit.locations
    }
    jobs: list[Job] = []
    unchanged: dict[str, Commit] = {}
    failed: dict[str, Commit] = {}
    for found in corpus.files:
        annotation = labels.of(found.path, found.root)
        job = Job(found, annotation, facts_stamp(found, annotation))
        known = by_place.get((found.path, found.size, found.mtime_ns))
        if known is None or _must_start_over(known, retry_failed):
            jobs.append(job)
        elif known.state == "failed":
            failed[known.video.id] = known
        elif stale_modalities(known, job, wanted, speech_always=speech_always):
            jobs.append(replace(job, known=known))
        else:
            unchanged[known.video.id] = known
    jobs.sort(key=lambda job: job.known is None or job.known.locations[0].path != job.found.path)
    leftovers = tuple(sorted(key for key, commit in commits.items() if commit.state == "pending"))
    droppable = set(modality_names()) - wanted.keys()
    unwanted = tuple(sorted(key for key, commit in commits.items() if commit.modalities.keys() & droppable))
    return Plan(tuple(jobs), tuple(unchanged.values()), tuple(failed.values()), leftovers, unwanted)


def facts_stamp(found: Found, annotation: Annotation) -> str:
    """A digest of the sidecars and the label; it changes when they do."""
    facts = (found.sidecars.stamp, annotation.label, sorted(annotation.facets.items()))
    return hashlib.blake2b(repr(facts).encode("utf-8", "backslashreplace"), digest_size=8).hexdigest()


def stale_modalities(
    known: Commit, job: Job, wanted: Mapping[ModalityName, str], *, speech_always: bool = False
) -> tuple[ModalityName, ...]:
    """The modalities that were made otherwise than now wanted, or from sidecars that have changed since.

    Of several copies only the first one's sidecars count, as long as it is there.
    """
    first = known.locations[0]
    speaks = first.path == job.found.path or not is_as_seen(first)
    facts_changed = speaks and known.sidecars != job.stamp

    written = written_modalities()

    def is_stale(name: ModalityName) -> bool:
        state = known.modalities.get(name)
        if state is None:
            return True
        if state.fingerprint == SUBTITLED:
            return speech_always or facts_changed
        has_subtitles = facts_changed and job.found.sidecars.subtitles and not speech_always
        if has_subtitles and modality(name).replaced_by_subtitles:
            return True
        return state.fingerprint != wanted[name] or (facts_changed and name in written)

    return tuple(name for name in wanted if is_stale(name))


def written_modalities() -> frozenset[ModalityName]:
    """Those made of what is written beside a video or inside it."""
    return frozenset(each.name for each in modalities() if each.needs == "texts")


def wanted_fingerprints(models: Models, sampling: Sampling) -> dict[ModalityName, str]:
    """The fingerprint of every modality that these models make.

    It names the text model where texts are encoded, the modality's own model, the version of the code between them, and
    how keyframes were chosen where it looks at them.
    """
    digests = {role: fingerprint.digest for role, fingerprint in models.fingerprints.items()}
    sampled = {"keyframes": _digest(sampling), "text_frames": _digest(sampling.for_text)}

    def parts(each: Modality) -> Iterator[str]:
        space_role = "sounds" if each.space == "audio" else each.space
        if each.role is None or each.role.name != space_role:
            yield digests[space_role]
        if each.role is not None:
            yield digests[each.role.name]
        yield each.version
        yield sampled.get(each.needs, "")

    made = (each for each in modalities() if each.role is None or each.role.name in digests)
    return {each.name: "+".join(part for part in parts(each) if part) for each in made}


def _digest(sampling: Sampling) -> str:
    return hashlib.blake2b(json.dumps(asdict(sampling), sort_keys=True).encode(), digest_size=4).hexdigest()


def swept(
    corpus: Corpus, commits: Iterable[Commit], *, sweep_empty_roots: bool = False
) -> Iterator[tuple[Commit, tuple[Location, ...]]]:
    """The commits that lose locations, each with the locations it keeps; none left means that the video is gone.

    A location is given up when its file was not found although the root and every folder above it were read, or when
    the file there is another one by now. Nothing is given up where a disk may be missing: in a root without a single
    file, below a folder that could not be read or a broken link, and where the folder now lies on another file system
    than the file did. ``sweep_empty_roots`` believes what it sees, also that a root does not exist any more.
    """
    found = {file.path: file for file in corpus.files}
    commits = tuple(commits)
    read = {place for other in commits if not _is_unread(other) for place in other.locations}
    alive = tuple(root for root in corpus.roots if sweep_empty_roots or _has_any(root, found))
    hidden = (*corpus.unreadable, *corpus.broken)
    if sweep_empty_roots:
        hidden = tuple(path for path in corpus.unreadable if path.exists())
    for commit in commits:
        kept = tuple(
            place
            for place in commit.locations
            if not _is_gone(place, found, alive, hidden)
            or not (sweep_empty_roots or place.path in found or _is_mounted(place))
        )
        if _is_unread(commit) and any(place in read for place in commit.locations):
            kept = ()  # what could not be read has been read since
        if kept != commit.locations:
            yield commit, kept


def _is_unread(commit: Commit) -> bool:
    return commit.video.id.startswith(UNREAD_PREFIX)


def _is_mounted(place: Location) -> bool:
    """Whether the place where a missing file was is still on the file system that the file was on."""
    folder = next(parent for parent in place.path.parents if parent.exists())
    return not place.device or folder.stat().st_dev == place.device


def is_as_seen(place: Location) -> bool:
    """Whether the file is there and is the one that was indexed."""
    try:
        facts = place.path.stat()
    except OSError:
        return False
    return (facts.st_size, facts.st_mtime_ns) == (place.size, place.mtime_ns)


def _must_start_over(known: Commit, retry_failed: bool) -> bool:
    if known.state == "failed":
        return retry_failed or _is_unread(known)
    return known.state == "pending"


def _has_any(root: Path, found: Mapping[Path, Found]) -> bool:
    return any(path.is_relative_to(root) for path in found)


def _is_gone(place: Location, found: Mapping[Path, Found], alive: Sequence[Path], unreadable: Sequence[Path]) -> bool:
    if place.path in found:
        now = found[place.path]
        return (now.size, now.mtime_ns) != (place.size, place.mtime_ns)
    if any(place.path.is_relative_to(folder) for folder in unreadable):
        return False
    return any(place.path.is_relative_to(root) for root in alive)
