"""The library as HTML: what is indexed, what failed and why, and how far the running job is.

``shows_paths`` says whether visitors may see paths of this machine; over the network they see names only. Names, labels
and reasons come from untrusted files; the templates escape all of them.
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
from indexer.modalities.registry import modality_names
from search.html import printable, rendered
from search.modalities import heading
from ui.services.indexing import counts_in_words, speed_in_words
from ui.services.job_status import length_in_words
from ui.services.wording import format_time
from ui.web.redaction import model_without_path, names_path, without_paths

if TYPE_CHECKING:
    from indexer.core.errors import SceneseekError
    from indexer.store.base import Commit
    from search.catalogue import Catalogue
    from ui.services.index_jobs import IndexProgress

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
_TROUBLE_ORDER = ("failed", "unfinished", "noted", "ready")
_MOST_REASONS = 3
_MOST_NOTES = 2
# Turning pages needs the same names again and again.
_CACHED_NAMES = 1 << 15
_LONGEST_TITLE, _LONGEST_FOLDER, _LONGEST_PATH, _LONGEST_LABEL, _LONGEST_REASON = 100, 140, 240, 60, 180
_MOST_BYTES_PER_LETTER = 2
_ASK_AT_THE_SERVER = "The person who runs this page finds the reason with 'sceneseek status'."


_cached_fold = lru_cache(_CACHED_NAMES)(fold)


@dataclass(frozen=True, slots=True)
class VideoListRequest:
    """Which page of the list to show; ``words`` are looked for in names, folders and labels, pages count from 1."""

    words: str = ""
    show: Show = "all"
    sort: ListSort = "name"
    page: int = 1


@dataclass(frozen=True, slots=True)
class VideoList:
    """One page of the list; ``found`` counts the videos on all pages, ``known`` all videos of the index."""

    request: VideoListRequest
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
    commits: Collection[Commit], request: VideoListRequest, *, within: Sequence[Path] | None = None
) -> VideoList:
    """The videos asked for; a page beyond the last one is the last one.

    Args:
        commits: All there are.
        request: Which of them.
        within: Look for words only in the part of paths that begins with the names of these folders; None for all.
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
    """The list as a table, or what to do if it is empty; ``is_working`` says that a job is running."""
    rows = [_row(commit, roots, is_working, shows_paths) for commit in videos.commits]
    return _render("library_list.html.j2", list=videos, rows=rows, is_working=is_working)


def render_totals(catalogue: Catalogue, disk_bytes: int | None) -> str:
    """What the index holds altogether; the size on disk is left out while it is unknown."""
    known = catalogue.videos.values()
    length = _length(sum(video.duration_s for video in known))
    records = sum(catalogue.counts.values())
    return _render("library_totals.html.j2", videos=len(known), length=length, records=records, disk_bytes=disk_bytes)


def render_details(catalogue: Catalogue, *, shows_paths: bool = True) -> str:
    """The indexed folders, the records by modality, and the models."""
    manifest = catalogue.manifest
    models = [(role, spec) for role, (spec, _) in manifest.models.items()] if manifest else []
    counted = [name for name in modality_names() if name in catalogue.counts]
    return _render(
        "library_details.html.j2",
        counts=[(heading(name), catalogue.counts[name]) for name in counted],
        profile=manifest.profile if manifest else "",
        models=models if shows_paths else [(role, model_without_path(spec)) for role, spec in models],
        folders=_folders(catalogue, shows_paths),
    )


def root_of_button(catalogue: Catalogue, key: str, *, shows_paths: bool = True) -> Path | None:
    """The indexed folder whose button in ``render_details`` says ``key``; None if there is none (any more)."""
    return next((root for own_key, root in _keyed_roots(catalogue, shows_paths) if own_key == key), None)


def render_trouble(commits: Iterable[Commit], *, shows_paths: bool = True) -> str:
    """How many videos failed, with the first reasons; empty if none did."""
    failed = _sorted([commit for commit in commits if commit.state == "failed"], "name")
    if not failed:
        return ""
    reasons = [
        (_clipped(commit.video.path.name, _LONGEST_TITLE), _reason(commit, shows_paths))
        for commit in failed[:_MOST_REASONS]
    ]
    return _render("library_trouble.html.j2", count=len(failed), reasons=reasons)


def render_job(job: IndexProgress, *, shows_paths: bool = True) -> str:
    """The progress bar of a running job, or how the last one ended; empty if there was none."""
    if job.state == "idle":
        return ""
    return _render(
        "library_job.html.j2",
        job=job if shows_paths else _job_without_paths(job),
        speed=speed_in_words(job.speed),
        current=_clipped(job.current.name, _LONGEST_TITLE) if job.current else "",
        result=_result_in_words(job),
    )


def render_removal(what: str, count: int, *, is_folder: bool) -> str:
    """The question before a video or a folder is removed from the index."""
    return _render("library_removal.html.j2", what=_clipped(what, _LONGEST_PATH), count=count, is_folder=is_folder)


def render_message(error: SceneseekError, *, shows_paths: bool = True) -> str:
    """An error in words, and what to do about it; a wrong input is shown as it was typed."""
    message, hint = error.message, error.hint
    if not shows_paths and not isinstance(error, UsageError) and names_path(f"{message} {hint}"):
        message, hint = "That does not work just now.", _ASK_AT_THE_SERVER
    return _render("library_message.html.j2", message=message, hint=hint)


def _row(commit: Commit, roots: Sequence[Path], is_working: bool, shows_paths: bool) -> dict[str, Any]:
    video, state = commit.video, _state(commit)
    made = [name for name in modality_names() if name in commit.modalities and commit.modalities[name].count]
    return {
        "id": video.id,
        "title": _clipped(_title(commit), _LONGEST_TITLE),
        "folder": _clipped(_place(video.path, roots, shows_paths), _LONGEST_FOLDER),
        "path": _clipped(str(video.path), _LONGEST_PATH) if shows_paths else "",
        "duration": format_time(video.duration_s) if video.duration_s else "",
        "label": _clipped(video.label, _LONGEST_LABEL),
        "kinds": [(heading(name), commit.modalities[name].count) for name in made],
        "indexed_at": datetime.fromisoformat(commit.indexed_at).astimezone() if commit.indexed_at else None,
        "state": state,
        "reasons": _reasons(commit, is_working, shows_paths),
        "has_picture": "frames" in made,
        "has_audio": video.has_audio,
    }


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
    warnings = commit.warnings
    shown = warnings if shows_paths else [without_paths(warning, commit.video.path) for warning in warnings]
    notes = tuple(_clipped(warning, _LONGEST_REASON) for warning in shown)
    return (*missing, *notes)[:_MOST_NOTES]


def _reason(commit: Commit, shows_paths: bool) -> str:
    """Why a video failed, without the path at the beginning, which the list shows beside it."""
    path, text = f"{commit.video.path} ", commit.failure
    it = f"It {text.removeprefix(path)}" if text.startswith(path) else text
    return _clipped(it if shows_paths else without_paths(it, commit.video.path), _LONGEST_REASON)


def _place(path: Path, roots: Sequence[Path], shows_paths: bool) -> str:
    """The folder of a video, from the name of the indexed folder on."""
    root = next((root for root in roots if root != path and path.is_relative_to(root)), None)
    if root is None:
        return str(path.parent) if shows_paths else path.parent.name
    return str(path.parent.relative_to(root.parent))


def _holds_all(commit: Commit, words: Sequence[str], within: Sequence[Path] | None) -> bool:
    video = commit.video
    place = str(video.path) if within is None else f"{_place(video.path, within, shows_paths=False)}/{video.path.name}"
    text = _cached_fold(f"{video.title}\n{place}\n{video.label}")
    return all(word in text for word in words)


def _sorted(commits: Collection[Commit], sort: ListSort) -> list[Commit]:
    by_name = sorted(commits, key=lambda commit: (_natural(_title(commit)), str(commit.video.path)))
    if sort == "folder":
        by_name.sort(key=lambda commit: _natural(str(commit.video.path.parent)))
    elif sort == "newest":
        by_name.sort(key=lambda commit: commit.indexed_at, reverse=True)
    elif sort in ("longest", "shortest"):
        by_name.sort(key=lambda commit: commit.video.duration_s, reverse=sort == "longest")
    elif sort == "trouble":
        by_name.sort(key=lambda commit: _TROUBLE_ORDER.index(_state(commit)))
    return by_name


def _title(commit: Commit) -> str:
    return commit.video.title or commit.video.path.name


@lru_cache(_CACHED_NAMES)
def _natural(name: str) -> list[tuple[int, str]]:
    """A sort key that ignores case and puts clip 2 before clip 10."""
    parts = re.findall(r"\d+|\D+", name.casefold())
    return [(int(part), "") if part.isdecimal() and len(part) < 20 else (-1, part) for part in parts]


def _keyed_roots(catalogue: Catalogue, shows_paths: bool) -> list[tuple[str, Path]]:
    """The indexed folders, sorted, each with the key of its button: its path, or a number where paths are not shown."""
    roots = sorted(catalogue.manifest.roots) if catalogue.manifest else []
    return [(_shown(root) if shows_paths else str(number), root) for number, root in enumerate(roots)]


def _folders(catalogue: Catalogue, shows_paths: bool) -> list[dict[str, Any]]:
    videos: Counter[Path] = Counter()
    seconds: Counter[Path] = Counter()
    for commit in catalogue.commits.values():
        for root in {place.root for place in commit.locations}:
            videos[root] += 1
            seconds[root] += round(commit.video.duration_s)
    return [
        {
            "key": key,
            "name": _shown(root if shows_paths else root.name),
            "videos": videos[root],
            "length": _length(seconds[root]),
            "is_there": root.exists(),
        }
        for key, root in _keyed_roots(catalogue, shows_paths)
    ]


def _job_without_paths(job: IndexProgress) -> IndexProgress:
    """The job without paths; ``job.what`` has none over the network anyway."""
    notes = tuple(note for note in job.notes if not names_path(note))
    if not names_path(f"{job.message} {job.hint}"):
        return replace(job, notes=notes)
    return replace(job, notes=notes, message="It broke off.", hint=_ASK_AT_THE_SERVER)


def _result_in_words(job: IndexProgress) -> str:
    if job.result is None:
        return ""
    if isinstance(job.result, int):
        return f"{job.result:,} removed from the index. The files are where they were."
    return counts_in_words(job.result) or "There was nothing to do."


def _length(seconds: float) -> str:
    return length_in_words(seconds) if seconds else "0 s"


def _shown(text: object) -> str:
    """A file name for a page, without undecodable bytes and control characters."""
    return printable(str(text), instead="�")


def _clipped(text: str, longest: int) -> str:
    """At most ``longest`` letters, fewer where they take many bytes in HTML, so that pages stay small."""
    shown = _shown(text[: longest + 1])
    sizes = accumulate(len(escape(letter).encode()) for letter in shown)
    fitting = sum(size <= _MOST_BYTES_PER_LETTER * longest for size in sizes)
    return shown if fitting == len(shown) <= longest else f"{shown[: min(fitting, longest) - 1]}…"


def _render(template: str, **values: Any) -> str:
    return rendered("ui.web", template, values)
