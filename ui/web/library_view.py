"""The library as HTML: what is indexed, what failed and why, and how far the running job is.

``shows_paths`` says whether a visitor may know where files lie on this machine: over the network names must do.
Names, labels and reasons come from files that nobody vouches for; the templates escape all of them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from html import escape
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from indexer.core.errors import UsageError
from indexer.core.text import fold
from indexer.core.types import SPACE_OF_MODALITY
from search.html import printable, rendered
from ui.cli.index import counts_in_words
from ui.services.job_status import job_facts, length_in_words
from ui.services.wording import MODALITY_NAMES, format_time
from ui.web.redaction import model_placeless, placeless, tells_place

if TYPE_CHECKING:
    from indexer.core.errors import SceneseekError
    from indexer.store.base import Commit
    from search.catalogue import Catalogue
    from ui.services.index_jobs import JobProgress

__all__ = [
    "PAGE_SIZE",
    "SHOWS",
    "SORTS",
    "ListRequest",
    "ListSort",
    "Show",
    "VideoList",
    "folder_named",
    "list_videos",
    "render_details",
    "render_job",
    "render_list",
    "render_message",
    "render_removal",
    "render_totals",
    "render_trouble",
]

PAGE_SIZE = 50
Show: TypeAlias = Literal["all", "ready", "noted", "failed", "unfinished"]
ListSort: TypeAlias = Literal["name", "folder", "newest", "longest", "shortest", "trouble"]

SHOWS: Mapping[Show, str] = {
    "all": "All videos",
    "ready": "Ready to search",
    "noted": "Ready, with a note",
    "failed": "Failed",
    "unfinished": "Not finished",
}
SORTS: Mapping[ListSort, str] = {
    "name": "Name",
    "folder": "Folder",
    "newest": "Newest in the index",
    "longest": "Longest",
    "shortest": "Shortest",
    "trouble": "Trouble first",
}
_MODALITIES = tuple(SPACE_OF_MODALITY)
_STATES = {"ready": "Ready", "noted": "Ready, with a note", "failed": "Failed", "unfinished": "Not finished"}
_TROUBLE_ORDER = ("failed", "unfinished", "noted", "ready")
_MOST_REASONS = 3
_MOST_NOTES = 2
# Whoever turns pages asks for the same names again and again.
_MOST_REMEMBERED = 1 << 15
_LONGEST_TITLE, _LONGEST_FOLDER, _LONGEST_PATH, _LONGEST_LABEL, _LONGEST_REASON = 100, 140, 240, 60, 180
_MOST_BYTES_PER_LETTER = 2
_ASK_AT_THE_SERVER = "Whoever runs this page finds the reason with 'sceneseek status'."


@dataclass(frozen=True, slots=True)
class ListRequest:
    """What of the list to show: videos that hold all the words in name, folder or label, sorted; pages count from 1."""

    words: str = ""
    show: Show = "all"
    sort: ListSort = "name"
    page: int = 1


@dataclass(frozen=True, slots=True)
class VideoList:
    """One page of the list. ``found`` counts the videos on all pages, ``known`` those before anything was left out."""

    request: ListRequest
    commits: tuple[Commit, ...]
    found: int
    known: int

    @property
    def pages(self) -> int:
        """How many pages there are, at least 1."""
        return max(1, -(-self.found // PAGE_SIZE))

    @property
    def first(self) -> int:
        """The place of the first video on this page, from 1; 0 if there is none."""
        return (self.request.page - 1) * PAGE_SIZE + 1 if self.commits else 0


def list_videos(
    commits: Collection[Commit], request: ListRequest, *, within: Sequence[Path] | None = None
) -> VideoList:
    """The videos asked for; a page beyond the last one is the last one.

    Args:
        commits: All there are.
        request: Which of them.
        within: Look for words in what is shown of the paths, from these folders' own names on; None: in whole paths.
    """
    chosen = [commit for commit in commits if request.show == "all" or _state(commit) == request.show]
    if words := fold(request.words).split():
        chosen = [commit for commit in chosen if _holds_all(commit, words, within)]
    ordered = _sorted(chosen, request.sort)
    whole = VideoList(request, (), len(ordered), len(commits))
    page = min(max(1, request.page), whole.pages)
    shown = tuple(ordered[(page - 1) * PAGE_SIZE : page * PAGE_SIZE])
    return replace(whole, request=replace(request, page=page), commits=shown)


def render_list(videos: VideoList, roots: Sequence[Path], *, is_working: bool, shows_paths: bool = True) -> str:
    """The list as a table, or what to do where there is none; ``is_working`` says that a job is running."""
    rows = [_row(commit, roots, is_working, shows_paths) for commit in videos.commits]
    return _render("library_list.html.j2", {"list": videos, "rows": rows, "is_working": is_working})


def render_totals(catalogue: Catalogue, disk_bytes: int | None) -> str:
    """What the index holds altogether; the size on disk is left out where it is not known."""
    known = catalogue.videos.values()
    stats = [
        (f"{len(known):,}", "video" if len(known) == 1 else "videos"),
        (_hours(sum(video.duration_s for video in known)), "of video"),
        (f"{sum(catalogue.counts.values()):,}", "records"),
    ]
    if disk_bytes is not None:
        stats.append((_bytes(disk_bytes), "on disk"))
    return _render("library_totals.html.j2", {"stats": stats})


def render_details(catalogue: Catalogue, *, shows_paths: bool = True) -> str:
    """The folders that were indexed, the records by kind, and the models."""
    manifest = catalogue.manifest
    models = [(role, spec) for role, (spec, _) in manifest.models.items()] if manifest else []
    facts = {
        "counts": [(MODALITY_NAMES[name], catalogue.counts[name]) for name in _MODALITIES if name in catalogue.counts],
        "profile": manifest.profile if manifest else "",
        "models": models if shows_paths else [(role, model_placeless(spec)) for role, spec in models],
        "folders": _folders(catalogue, shows_paths),
    }
    return _render("library_details.html.j2", facts)


def folder_named(catalogue: Catalogue, key: str, *, shows_paths: bool = True) -> Path | None:
    """The indexed folder whose button says ``key`` in what ``render_details`` shows, None if there is none (more)."""
    return next((root for own_key, root in _keyed_roots(catalogue, shows_paths) if own_key == key), None)


def render_trouble(commits: Iterable[Commit], *, shows_paths: bool = True) -> str:
    """What failed, with the first reasons; empty if nothing did."""
    failed = _sorted([commit for commit in commits if commit.state == "failed"], "name")
    if not failed:
        return ""
    reasons = [
        (_clipped(commit.video.path.name, _LONGEST_TITLE), _reason(commit, shows_paths))
        for commit in failed[:_MOST_REASONS]
    ]
    return _render("library_trouble.html.j2", {"count": len(failed), "reasons": reasons})


def render_job(job: JobProgress, *, shows_paths: bool = True) -> str:
    """The progress bar of a running job, or how the last one ended; empty if there was none."""
    if job.state == "idle":
        return ""
    if not shows_paths:
        job = _placeless_job(job)
    facts = {
        **job_facts(job),
        "phase": _phase(job),
        "speed": _speed(job.speed),
        "current": _clipped(job.current.name, _LONGEST_TITLE) if job.current else "",
        "outcome": _account(job),
    }
    return _render("library_job.html.j2", facts)


def render_removal(what: str, count: int, *, is_folder: bool) -> str:
    """The question before a video or a folder is taken out of the index."""
    facts = {"what": _clipped(what, _LONGEST_PATH), "count": count, "is_folder": is_folder}
    return _render("library_removal.html.j2", facts)


def render_message(error: SceneseekError, *, shows_paths: bool = True) -> str:
    """An error in words, and what to do about it; a wrong input is told of as it was typed."""
    message, hint = error.message, error.hint
    if not shows_paths and not isinstance(error, UsageError) and tells_place(f"{message} {hint}"):
        message, hint = "That does not work just now.", _ASK_AT_THE_SERVER
    return _render("library_message.html.j2", {"message": message, "hint": hint})


@dataclass(frozen=True, slots=True)
class _Row:
    id: str
    title: str
    folder: str
    path: str
    duration: str
    label: str
    kinds: tuple[tuple[str, int], ...]
    indexed_at: str
    indexed_on: str
    state: str
    state_name: str
    reasons: tuple[str, ...]
    has_picture: bool
    has_audio: bool


@dataclass(frozen=True, slots=True)
class _Folder:
    key: str
    name: str
    videos: int
    amount: str
    is_there: bool


def _row(commit: Commit, roots: Sequence[Path], is_working: bool, shows_paths: bool) -> _Row:
    video, state = commit.video, _state(commit)
    made = [name for name in _MODALITIES if name in commit.modalities and commit.modalities[name].count]
    name = "Being indexed" if state == "unfinished" and is_working else _STATES[state]
    when = _local_time(commit.indexed_at)
    return _Row(
        id=video.id,
        title=_clipped(video.title or video.path.name, _LONGEST_TITLE),
        folder=_clipped(_place(video.path, roots, shows_paths), _LONGEST_FOLDER),
        path=_clipped(str(video.path), _LONGEST_PATH) if shows_paths else "",
        duration=format_time(video.duration_s) if video.duration_s else "",
        label=_clipped(video.label, _LONGEST_LABEL),
        kinds=tuple((MODALITY_NAMES[name], commit.modalities[name].count) for name in made),
        indexed_at=when.isoformat() if when else "",
        indexed_on=f"{when:%Y-%m-%d}" if when else "",
        state=state,
        state_name=name,
        reasons=_reasons(commit, is_working, shows_paths),
        has_picture="frames" in made,
        has_audio=video.has_audio,
    )


def _state(commit: Commit) -> Show:
    if commit.state == "committed":
        return "noted" if commit.warnings else "ready"
    return "failed" if commit.state == "failed" else "unfinished"


def _reasons(commit: Commit, is_working: bool, shows_paths: bool) -> tuple[str, ...]:
    if commit.state == "failed":
        return (_reason(commit, shows_paths),)
    if commit.state == "pending":
        return () if is_working else ("A run was cut off here. Reindex finishes it.",)
    missing = () if commit.video.path.exists() else ("The file is not where it was. Reindex brings the list in line.",)
    told = commit.warnings if shows_paths else [placeless(warning, commit.video.path) for warning in commit.warnings]
    notes = tuple(_clipped(warning, _LONGEST_REASON) for warning in told)
    return (*missing, *notes)[:_MOST_NOTES]


def _reason(commit: Commit, shows_paths: bool) -> str:
    """Why a video failed; the path that the reason begins with is shown beside it."""
    path, text = f"{commit.video.path} ", commit.failure
    it = f"It {text.removeprefix(path)}" if text.startswith(path) else text
    return _clipped(it if shows_paths else placeless(it, commit.video.path), _LONGEST_REASON)


def _place(path: Path, roots: Sequence[Path], shows_paths: bool) -> str:
    """The folder of a video as people know it: from the indexed folder's own name on."""
    root = next((root for root in roots if root != path and path.is_relative_to(root)), None)
    if root is None:
        return str(path.parent) if shows_paths else path.parent.name
    return str(path.parent.relative_to(root.parent))


def _holds_all(commit: Commit, words: Sequence[str], within: Sequence[Path] | None) -> bool:
    video = commit.video
    place = str(video.path) if within is None else f"{_place(video.path, within, shows_paths=False)}/{video.path.name}"
    text = _folded(f"{video.title}\n{place}\n{video.label}")
    return all(word in text for word in words)


def _sorted(commits: Collection[Commit], sort: ListSort) -> list[Commit]:
    by_name = sorted(commits, key=lambda commit: (_natural(_name(commit)), str(commit.video.path)))
    if sort == "folder":
        by_name.sort(key=lambda commit: _natural(str(commit.video.path.parent)))
    elif sort == "newest":
        by_name.sort(key=lambda commit: commit.indexed_at, reverse=True)
    elif sort in ("longest", "shortest"):
        by_name.sort(key=lambda commit: commit.video.duration_s, reverse=sort == "longest")
    elif sort == "trouble":
        by_name.sort(key=lambda commit: _TROUBLE_ORDER.index(_state(commit)))
    return by_name


def _name(commit: Commit) -> str:
    return commit.video.title or commit.video.path.name


@lru_cache(_MOST_REMEMBERED)
def _folded(text: str) -> str:
    return fold(text)


@lru_cache(_MOST_REMEMBERED)
def _natural(name: str) -> list[tuple[int, str]]:
    """A sort key that puts clip 2 before clip 10, whatever the case."""
    parts = re.findall(r"\d+|\D+", name.casefold())
    return [(int(part), "") if part.isdecimal() and len(part) < 20 else (-1, part) for part in parts]


def _keyed_roots(catalogue: Catalogue, shows_paths: bool) -> list[tuple[str, Path]]:
    """The indexed folders, sorted, each with what its button says: its path, or where that is not told a number."""
    roots = sorted(catalogue.manifest.roots) if catalogue.manifest else []
    return [(_shown(root) if shows_paths else str(number), root) for number, root in enumerate(roots)]


def _folders(catalogue: Catalogue, shows_paths: bool) -> list[_Folder]:
    videos: Counter[Path] = Counter()
    seconds: Counter[Path] = Counter()
    for commit in catalogue.commits.values():
        for root in {place.root for place in commit.locations}:
            videos[root] += 1
            seconds[root] += round(commit.video.duration_s)
    return [
        _Folder(key, _shown(root if shows_paths else root.name), videos[root], _hours(seconds[root]), root.exists())
        for key, root in _keyed_roots(catalogue, shows_paths)
    ]


def _placeless_job(job: JobProgress) -> JobProgress:
    """The job without what tells where files lie; ``job.what`` names no paths where jobs come from the network."""
    notes = tuple(note for note in job.notes if not tells_place(note))
    if not tells_place(f"{job.message} {job.hint}"):
        return replace(job, notes=notes)
    return replace(job, notes=notes, message="It broke off.", hint=_ASK_AT_THE_SERVER)


def _phase(job: JobProgress) -> str:
    if job.state == "stopping":
        return "Stopping after what is being written"
    if not job.is_ready:
        return "Loading models and looking for videos"
    return f"{job.videos_done:,} of {job.videos_total:,} {'video' if job.videos_total == 1 else 'videos'}"


def _account(job: JobProgress) -> str:
    """What a job that has ended did, in one line."""
    if job.state != "done":
        return ""
    if job.report is None:
        return f"{job.removed:,} removed from the index. The files are where they were."
    return counts_in_words(job.report) or "There was nothing to do."


def _speed(speed: float | None) -> str:
    if speed is None:
        return ""
    return f"{speed:.0f}× real time" if speed >= 10 else f"{speed:.1f}× real time"


def _hours(seconds: float) -> str:
    return length_in_words(seconds) if seconds else "0 s"


def _bytes(size: int) -> str:
    for unit, amount in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if size >= amount:
            return f"{size / amount:.1f} {unit}"
    return f"{size / 1e3:.0f} kB"


def _local_time(indexed_at: str) -> datetime | None:
    try:
        return datetime.fromisoformat(indexed_at).astimezone()
    except ValueError:
        return None


def _shown(text: object) -> str:
    """A name for a page: undecodable bytes and control characters of file names have no place in one."""
    return printable(str(text), instead="�")


def _clipped(text: str, longest: int) -> str:
    """At most so many letters, fewer where they take many bytes in HTML: pages stay small whatever files are called."""
    shown = _shown(text[: longest + 1])
    sizes = accumulate(len(escape(letter).encode()) for letter in shown)
    fitting = sum(size <= _MOST_BYTES_PER_LETTER * longest for size in sizes)
    return shown if fitting == len(shown) <= longest else f"{shown[: min(fitting, longest) - 1]}…"


def _render(name: str, facts: Mapping[str, Any]) -> str:
    return rendered("ui.web", name, facts)
