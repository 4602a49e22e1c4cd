"""The Library tab: what is indexed, and indexing from the page while others search.

What the page shows is computed from the index and the running job alone, so that every browser sees the same, and one
opened in the middle of a job sees that job.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any

import gradio as gr

from indexer.core.errors import SceneseekError, UsageError
from indexer.models.base import OPTIONAL_ROLES
from ui.services.index_jobs import JobProgress, Jobs
from ui.services.library import Library
from ui.services.wording import MODALITY_NAMES
from ui.web.library_view import (
    SHOWS,
    SORTS,
    ListRequest,
    ListSort,
    Show,
    folder_named,
    list_videos,
    render_details,
    render_job,
    render_list,
    render_message,
    render_removal,
    render_totals,
    render_trouble,
)
from ui.web.polling import BUSY_S, Fresh, Updates, cancel_button, timer

if TYPE_CHECKING:
    from indexer.models.base import OptionalRole
    from search.catalogue import Catalogue

__all__ = ["library_tab"]

_MEASURED_EVERY_S = 15.0
_PATIENCE_S = 0.2
_LONGEST_WORDS = 200
# So that 20,000 videos are listed anew every ten seconds of a job, and a few hundred at once.
_PAUSE_PER_VIDEO_S = 0.0005
# How many components show what the index holds.
_OF_LIBRARY = 11
_COSTS: Mapping[str, str] = {
    "speech": "what is said. 0.6 s for a minute of video where nobody speaks, to 20 s where somebody always does",
    "ocr": "text that is shown. 9 to 12 s for a minute of video",
    "sounds": "what is heard. 0.4 to 2 s for a minute of video; needs a sound model, named in the settings",
    "objects": "what is seen, and how many. Decodes the pictures once more; needs a detector (extra 'objects')",
    "captions": "a sentence about each picture. Decodes the pictures once more; slow without a GPU",
}
# Passes on which button of the HTML was pressed.
_TELL_PRESSED = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-action]');
  if (button && element.contains(button) && !button.disabled) trigger('click', {...button.dataset});
});
"""
_KEEP_ON_ESCAPE = """
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') document.querySelector('#library-keep')?.click();
});
"""
# The bar is at the top, the buttons that start some jobs are far below.
_SHOW_JOB = "() => document.querySelector('#library-add')?.scrollIntoView({block: 'nearest', behavior: 'smooth'})"
# The question takes a moment to be there.
_FOCUS_KEEP = """
() => {
  const focus = (tries) => {
    const keep = document.querySelector('#library-keep');
    if (keep) keep.focus();
    if (tries > 0 && document.activeElement !== keep) setTimeout(() => focus(tries - 1), 50);
  };
  focus(20);
}
"""


def library_tab(library: Library, jobs: Jobs, *, shows_paths: bool = True) -> None:
    """Build the tab inside the ``gr.Tab`` that is open.

    Args:
        library: The index.
        jobs: Where jobs are started and watched.
        shows_paths: Whether visitors may know where files lie on this machine; else videos and folders go by name.
    """
    _LibraryTab(library, jobs, shows_paths=shows_paths).build()


@dataclass(frozen=True, slots=True)
class _Removal:
    """What the visitor is asked about: videos by id, or a folder."""

    video_id: str = ""
    root: Path | None = None


class _LibraryTab:
    def __init__(self, library: Library, jobs: Jobs, *, shows_paths: bool) -> None:
        self._library = library
        self._jobs = jobs
        self._shows_paths = shows_paths
        self._versions = _Versions()
        self._disk = _DiskUse(library.folder)

    def build(self) -> None:
        """Lay out the tab and say what its controls do."""
        self._lay_out()
        self._answer()

    def _lay_out(self) -> None:
        with gr.Column(elem_id="library", elem_classes="lib"):
            self._add_controls()
            self._job = gr.HTML(elem_id="library-job", apply_default_css=False)
            self._cancel = gr.Button("Cancel", visible=False, size="sm", elem_id="library-cancel")
            self._message = gr.HTML(elem_id="library-message", apply_default_css=False)
            self._totals = gr.HTML(elem_id="library-totals", apply_default_css=False)
            self._trouble = gr.HTML(elem_id="library-trouble", apply_default_css=False)
            self._retry = gr.Button("Try again", visible=False, size="sm", elem_id="library-retry")
            self._add_list()
            with gr.Accordion("Folders and models", open=False, visible=False, elem_id="library-more") as self._more:
                self._details = gr.HTML(elem_id="library-details", apply_default_css=False, js_on_load=_TELL_PRESSED)
            self._add_roles()
            self._add_question()
            self._page = gr.State(1)
            self._removal = gr.State(None)
            self._seen = gr.State({})
            self._timer = gr.Timer(BUSY_S)

    def _add_controls(self) -> None:
        with gr.Row(elem_id="library-add", equal_height=False):
            self._path = gr.Textbox(
                label="Add a folder or a video of the computer that runs sceneseek",
                placeholder="/home/me/Videos",
                max_lines=1,
                scale=6,
                min_width=220,
            )
            self._add = gr.Button("Add", variant="primary", scale=0, min_width=110)
            self._reindex = gr.Button("Reindex what changed", scale=0, min_width=230, visible=False)

    def _add_roles(self) -> None:
        with gr.Accordion("Also find…", open=False, visible=False, elem_id="library-also") as self._also:
            self._roles = gr.CheckboxGroup(label="In all videos, from now on", choices=[], elem_id="library-roles")
            gr.Markdown(
                "Times are for two processor cores and the models that come with the installation. "
                "Nothing that is in the index is done again.",
                elem_classes="lib-fine",
            )
            self._find = gr.Button("Find these in all videos", size="sm", elem_id="library-find")

    def _add_list(self) -> None:
        with gr.Row(elem_id="library-filter", visible=False) as self._filter:
            self._words = gr.Textbox(label="Search in the list", placeholder="name, folder or label", max_lines=1)
            self._show = gr.Dropdown([(name, key) for key, name in SHOWS.items()], value="all", label="Show")
            self._sort = gr.Dropdown([(name, key) for key, name in SORTS.items()], value="name", label="Sort by")
        self._list = gr.HTML(elem_id="library-list", apply_default_css=False, js_on_load=_TELL_PRESSED)

    def _add_question(self) -> None:
        with gr.Group(visible=False, elem_id="library-question") as self._question:
            self._asked = gr.HTML(apply_default_css=False, js_on_load=_KEEP_ON_ESCAPE)
            with gr.Row():
                self._keep = gr.Button("Keep it", elem_id="library-keep", min_width=110)
                self._remove = gr.Button("Remove from the index", variant="stop", min_width=190)

    def _answer(self) -> None:
        """What happens when: every action ends with the page painted anew."""
        self._on(self._timer.tick, self._paint)
        root = gr.context.Context.root_block
        if root is not None:
            self._on(root.load, self._paint_afresh)
        for changed in (self._words.change, self._show.change, self._sort.change):
            self._on(changed, self._paint_first_page)
        self._act(self._add.click, self._start_adding, [self._path], [self._path])
        self._act(self._path.submit, self._start_adding, [self._path], [self._path])
        self._act(self._reindex.click, lambda: self._attempt(self._jobs.start), [], [])
        self._act(self._retry.click, lambda: self._attempt(lambda: self._jobs.start(retry_failed=True)), [], [])
        self._act(self._cancel.click, lambda: self._attempt(self._jobs.cancel), [], [])
        self._act(self._find.click, self._start_finding, [self._roles], [self._roles], then=_SHOW_JOB)
        question = [self._question, self._asked, self._removal]
        self._act(self._list.click, self._press_in_list, [self._page], [self._page, *question], then=_FOCUS_KEEP)
        self._act(self._details.click, self._press_in_details, [], question, then=_FOCUS_KEEP)
        self._act(self._keep.click, lambda: ["", *_unasked()], [], question)
        self._act(self._remove.click, self._start_removing, [self._removal], question, then=_SHOW_JOB)

    def _on(self, trigger: Callable[..., Any], paint: Callable[..., Updates]) -> None:
        trigger(
            paint,
            inputs=[self._words, self._show, self._sort, self._page, self._seen],
            outputs=[
                self._seen,
                self._job,
                self._cancel,
                self._add,
                self._timer,
                self._page,
                self._reindex,
                self._totals,
                self._more,
                self._details,
                self._also,
                self._roles,
                self._trouble,
                self._retry,
                self._filter,
                self._list,
            ],
            show_progress="hidden",
            trigger_mode="always_last",
            concurrency_limit=4,
            concurrency_id="library",
            api_visibility="private",
        )

    def _act(
        self,
        trigger: Callable[..., Any],
        action: Callable[..., Any],
        inputs: list[Any],
        outputs: list[Any],
        then: str | None = None,
    ) -> None:
        """Do something, show its message, and paint the page."""
        done = trigger(
            action,
            inputs=inputs,
            outputs=[self._message, *outputs],
            show_progress="hidden",
            concurrency_limit=4,
            concurrency_id="library",
            api_visibility="private",
        )
        if then is not None:
            done.then(fn=None, js=then)
        self._on(done.then, self._paint)

    # What the controls do.

    def _attempt(self, action: Callable[[], None]) -> str:
        try:
            action()
        except SceneseekError as error:
            return render_message(error, shows_paths=self._shows_paths)
        return ""

    def _start_adding(self, path: str | None) -> Updates:
        message = self._attempt(lambda: self._jobs.start([path or ""]))
        return [message, gr.skip() if message else ""]

    def _start_finding(self, roles: list[str]) -> Updates:
        if not roles:
            return [render_message(UsageError("Nothing is ticked.", hint="Tick what to look for.")), gr.skip()]
        message = self._attempt(lambda: self._jobs.start(add=roles))
        return [message, gr.skip() if message else []]

    def _press_in_list(self, page: int, event: gr.EventData) -> Updates:
        if _pressed(event, "action") == "page":
            return ["", _number(_pressed(event, "page")), *(gr.skip() for _ in range(3))]
        catalogue = self._read()
        commit = catalogue.commits.get(_pressed(event, "id")) if catalogue else None
        if commit is None:
            return ["", page, *_unasked()]
        path, title = commit.video.path, commit.video.title
        question = render_removal(str(path) if self._shows_paths else title or path.name, 1, is_folder=False)
        return ["", page, gr.update(visible=True), question, _Removal(video_id=commit.video.id)]

    def _press_in_details(self, event: gr.EventData) -> Updates:
        catalogue = self._read()
        key = _pressed(event, "folder")
        root = folder_named(catalogue, key, shows_paths=self._shows_paths) if catalogue else None
        if catalogue is None or root is None:
            return ["", *_unasked()]
        count = sum(any(at.path.is_relative_to(root) for at in c.locations) for c in catalogue.commits.values())
        name = str(root) if self._shows_paths else root.name
        return ["", gr.update(visible=True), render_removal(name, count, is_folder=True), _Removal(root=root)]

    def _start_removing(self, removal: _Removal | None) -> Updates:
        if removal is None:
            return ["", *_unasked()]
        ids = [removal.video_id] if removal.video_id else []
        return [self._attempt(lambda: self._jobs.remove(video_ids=ids, root=removal.root)), *_unasked()]

    # What the page shows.

    def _paint_afresh(self, words: str | None, show: Show, sort: ListSort, page: int, _seen: dict[str, Any]) -> Updates:
        return self._paint(words, show, sort, page, {})

    def _paint_first_page(
        self, words: str | None, show: Show, sort: ListSort, _page: int, seen: dict[str, Any]
    ) -> Updates:
        return self._paint(words, show, sort, 1, seen)

    def _paint(self, words: str | None, show: Show, sort: ListSort, page: int, seen: dict[str, Any]) -> Updates:
        """Everything that has changed since this browser was last shown it."""
        fresh = Fresh(seen)
        job = self._jobs.progress()
        request = ListRequest((words or "")[:_LONGEST_WORDS], show, sort, page)
        cancel, add, timer = fresh.of("controls", job.state, lambda: _controls(job), 3)
        (bar,) = fresh.of("job", job if job.is_active else (job.number, job.state), lambda: [self._bar(job)], 1)
        try:
            catalogue = self._library.catalogue()
        except SceneseekError as error:
            problem = render_message(error, shows_paths=self._shows_paths)
            shown = fresh.of("library", problem, lambda: _broken(problem), _OF_LIBRARY)
        else:
            key = (
                self._versions.of(catalogue, is_growing=job.is_active),
                request,
                job.is_active,
                job.number,
                self._disk.bytes(),
            )
            shown = fresh.of("library", key, lambda: self._painted(catalogue, request, job), _OF_LIBRARY)
        return [fresh.seen, bar, cancel, add, timer, *shown]

    def _bar(self, job: JobProgress) -> str:
        return render_job(job, shows_paths=self._shows_paths)

    def _painted(self, catalogue: Catalogue | None, request: ListRequest, job: JobProgress) -> Updates:
        commits = list(catalogue.commits.values()) if catalogue else []
        roots = catalogue.manifest.roots if catalogue and catalogue.manifest else ()
        missing = _missing_roles(catalogue)
        videos = list_videos(commits, request, within=None if self._shows_paths else roots)
        trouble = render_trouble(commits, shows_paths=self._shows_paths)
        return [
            videos.request.page,
            gr.update(visible=bool(roots), interactive=not job.is_active),
            render_totals(catalogue, self._disk.bytes()) if catalogue and commits else "",
            gr.update(visible=bool(roots)),
            render_details(catalogue, shows_paths=self._shows_paths) if catalogue else "",
            gr.update(visible=bool(missing and roots)),
            gr.update(choices=[(f"{MODALITY_NAMES[role]}: {_COSTS[role]}", role) for role in missing]),
            trouble,
            gr.update(visible=bool(trouble), interactive=not job.is_active),
            gr.update(visible=bool(commits)),
            render_list(videos, roots, is_working=job.is_active, shows_paths=self._shows_paths),
        ]

    def _read(self) -> Catalogue | None:
        try:
            return self._library.catalogue()
        except SceneseekError:
            return None  # the list says so


class _Versions:
    """Numbers the states of the catalogue, which the engine replaces when it reads the index anew."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._last: Catalogue | None = None
        self._number = 0
        self._changed_at = 0.0

    def of(self, catalogue: Catalogue | None, *, is_growing: bool) -> int:
        """The number of this state; while the index grows, a large one gets a new number only every few seconds."""
        with self._lock:
            pause_s = len(catalogue.commits) * _PAUSE_PER_VIDEO_S if catalogue is not None and is_growing else 0.0
            if catalogue is not self._last and time.monotonic() >= self._changed_at + pause_s:
                self._last, self._number, self._changed_at = catalogue, self._number + 1, time.monotonic()
            return self._number


class _DiskUse:
    """The size of the index's folder, measured in the background: a large one has many thumbnails."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        self._bytes: int | None = None
        self._next = 0.0

    def bytes(self) -> int | None:
        """The size as last measured, some seconds ago; None before the first time."""
        with self._lock:
            is_due, now = time.monotonic() >= self._next, time.monotonic()
            if is_due:
                self._next = now + (_MEASURED_EVERY_S if self._bytes else BUSY_S)
        if is_due:
            measuring = Thread(target=self._measure, name="disk-use", daemon=True)
            measuring.start()
            measuring.join(_PATIENCE_S)
        return self._bytes

    def _measure(self) -> None:
        size = 0
        for folder, _, names in os.walk(self._folder):
            for name in names:
                with suppress(OSError):  # the database's files come and go
                    size += Path(folder, name).stat().st_size
        self._bytes = size or None


def _controls(job: JobProgress) -> Updates:
    return [cancel_button(job), gr.update(interactive=not job.is_active), timer(is_busy=job.is_active)]


def _broken(problem: str) -> Updates:
    """The tab of an index that cannot be read: what is wrong, in place of the list."""
    hidden = gr.update(visible=False)
    return [gr.skip(), hidden, "", hidden, "", hidden, gr.skip(), "", hidden, hidden, problem]


def _missing_roles(catalogue: Catalogue | None) -> list[OptionalRole]:
    if catalogue is None or catalogue.manifest is None:
        return []
    models = catalogue.manifest.models
    return [role for role in OPTIONAL_ROLES if role not in models]


def _unasked() -> Updates:
    """The question is closed."""
    return [gr.update(visible=False), "", None]


def _pressed(event: gr.EventData, name: str) -> str:
    """What a button of the HTML says about itself; whatever a browser sends is taken for text."""
    told = event._data
    return str(told.get(name, "")) if isinstance(told, dict) else ""


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 9 else 1
