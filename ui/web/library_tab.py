"""The Library tab: what is indexed, and indexing from the page while others search.

All that it shows comes from the index and the running job, so that every browser sees the same, also one opened in the
middle of a job.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import gradio as gr

from indexer.core.errors import SceneseekError, UsageError
from indexer.modalities.registry import modality, optional_roles
from search.catalogue import Catalogue
from search.modalities import heading
from ui.services.index_jobs import IndexProgress, Jobs
from ui.services.library import Library
from ui.web.library_view import (
    SHOWS,
    SORTS,
    ListSort,
    Show,
    VideoListRequest,
    list_videos,
    render_details,
    render_job,
    render_list,
    render_message,
    render_removal,
    render_totals,
    render_trouble,
    root_of_button,
)
from ui.web.polling import BUSY_S, Fresh, Updates, cancel_button, timer

__all__ = ["library_tab"]

_MEASURED_EVERY_S = 15.0
# So long a paint waits for the measurement; a small index is measured by then.
_MEASURING_S = 0.2
_LONGEST_WORDS = 200
# While a job runs, 20,000 videos are listed anew every ten seconds, and a few hundred at once.
_PAUSE_PER_VIDEO_S = 0.0005
_EMPTY = Catalogue({})
_SCRIPT = Path(__file__).parent / "static" / "library.js"
_SEND_PRESSED = "libraryTab.sendPressed(element, trigger)"
_SHOW_JOB = "() => libraryTab.showJob()"
_FOCUS_KEEP = "() => libraryTab.focusKeep()"


def library_tab(library: Library, jobs: Jobs, *, shows_paths: bool = True) -> None:
    """Build the tab inside the ``gr.Tab`` that is open.

    Args:
        library: The index.
        jobs: Starts and watches jobs.
        shows_paths: Whether visitors may see paths of this machine; else videos and folders are shown by name.
    """
    _LibraryTab(library, jobs, shows_paths=shows_paths).build()


class _LibraryTab:
    def __init__(self, library: Library, jobs: Jobs, *, shows_paths: bool) -> None:
        self._library = library
        self._jobs = jobs
        self._shows_paths = shows_paths
        self._versions = _Versions()
        self._disk = _DiskUse(library.folder)

    def build(self) -> None:
        """Lay out the tab and connect its controls."""
        with gr.Column(elem_id="library", elem_classes="lib"):
            self._add_controls()
            self._job = _html("job")
            self._cancel = gr.Button("Cancel", visible=False, size="sm", elem_id="library-cancel")
            self._message = _html("message")
            self._totals = _html("totals")
            self._trouble = _html("trouble")
            self._retry = gr.Button("Try again", visible=False, size="sm", elem_id="library-retry")
            self._add_list()
            with gr.Accordion("Folders and models", open=False, visible=False, elem_id="library-more") as self._more:
                self._details = _html("details", _SEND_PRESSED)
            self._add_roles()
            self._add_question()
            self._page = gr.State(1)
            self._removal = gr.State(None)
            self._seen = gr.State({})
            self._timer = gr.Timer(BUSY_S)
        self._connect()

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
        self._list = _html("list", _SEND_PRESSED)

    def _add_question(self) -> None:
        with gr.Group(visible=False, elem_id="library-question") as self._question:
            self._asked = _html("asked", "libraryTab.keepOnEscape()")
            with gr.Row():
                self._keep = gr.Button("Keep it", elem_id="library-keep", min_width=110)
                self._remove = gr.Button("Remove from the index", variant="stop", min_width=190)

    def _connect(self) -> None:
        """Say what the controls do; after every action the page is painted anew."""
        self._on(self._timer.tick, self._paint)
        root = gr.context.Context.root_block
        if root is not None:
            self._on(root.load, lambda words, show, sort, page, _seen: self._paint(words, show, sort, page, {}))
        for changed in (self._words.change, self._show.change, self._sort.change):
            self._on(changed, lambda words, show, sort, _page, seen: self._paint(words, show, sort, 1, seen))
        self._act(self._add.click, self._start_adding, [self._path], [self._path])
        self._act(self._path.submit, self._start_adding, [self._path], [self._path])
        self._act(self._reindex.click, lambda: self._attempt(self._jobs.start), [], [])
        self._act(self._retry.click, lambda: self._attempt(lambda: self._jobs.start(retry_failed=True)), [], [])
        self._act(self._cancel.click, lambda: self._attempt(self._jobs.cancel), [], [])
        self._act(self._find.click, self._start_finding, [self._roles], [self._roles], then=_SHOW_JOB)
        question = [self._question, self._asked, self._removal]
        self._act(self._list.click, self._press_in_list, [self._page], [self._page, *question], then=_FOCUS_KEEP)
        self._act(self._details.click, self._press_in_details, [], question, then=_FOCUS_KEEP)
        self._act(self._keep.click, lambda: ["", *_closed_question()], [], question)
        self._act(self._remove.click, self._start_removing, [self._removal], question, then=_SHOW_JOB)

    def _on(self, trigger: Callable[..., Any], paint: Callable[..., Updates]) -> None:
        trigger(
            paint,
            inputs=[self._words, self._show, self._sort, self._page, self._seen],
            outputs=[self._seen, *self._parts_of_job(), *self._parts_of_library()],
            show_progress="hidden",
            trigger_mode="always_last",
            concurrency_limit=4,
            concurrency_id="library",
            api_visibility="private",
        )

    def _parts_of_job(self) -> list[Any]:
        return [self._job, self._cancel, self._add, self._timer]

    def _parts_of_library(self) -> list[Any]:
        return [
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
        ]

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
        commit = self._read().commits.get(_pressed(event, "id"))
        if commit is None:
            return ["", page, *_closed_question()]
        path, title = commit.video.path, commit.video.title
        question = render_removal(str(path) if self._shows_paths else title or path.name, 1, is_folder=False)
        return ["", page, gr.update(visible=True), question, {"video_ids": [commit.video.id]}]

    def _press_in_details(self, event: gr.EventData) -> Updates:
        catalogue = self._read()
        root = root_of_button(catalogue, _pressed(event, "folder"), shows_paths=self._shows_paths)
        if root is None:
            return ["", *_closed_question()]
        count = sum(any(at.path.is_relative_to(root) for at in c.locations) for c in catalogue.commits.values())
        name = str(root) if self._shows_paths else root.name
        return ["", gr.update(visible=True), render_removal(name, count, is_folder=True), {"root": root}]

    def _start_removing(self, removal: dict[str, Any] | None) -> Updates:
        message = self._attempt(lambda: self._jobs.remove(**removal)) if removal else ""
        return [message, *_closed_question()]

    def _paint(self, words: str | None, show: Show, sort: ListSort, page: int, seen: dict[str, Any]) -> Updates:
        """Update all that has changed since this browser was last shown it."""
        fresh = Fresh(seen)
        job = self._jobs.progress()
        request = VideoListRequest((words or "")[:_LONGEST_WORDS], show, sort, page)
        controls = fresh.of("controls", job.state, lambda: _controls(job), 3)
        bar_key = job if job.is_active else (job.number, job.state)
        bar = fresh.of("job", bar_key, lambda: [render_job(job, shows_paths=self._shows_paths)], 1)
        count = len(self._parts_of_library())
        try:
            catalogue = self._library.catalogue() or _EMPTY
        except SceneseekError as error:
            problem = render_message(error, shows_paths=self._shows_paths)
            library = fresh.of("library", problem, lambda: _unreadable(problem), count)
        else:
            version = self._versions.number_of(catalogue, is_growing=job.is_active)
            key = (version, request, job.is_active, job.number, self._disk.bytes())
            library = fresh.of("library", key, lambda: self._painted(catalogue, request, job), count)
        return [fresh.seen, *bar, *controls, *library]

    def _painted(self, catalogue: Catalogue, request: VideoListRequest, job: IndexProgress) -> Updates:
        commits, manifest = list(catalogue.commits.values()), catalogue.manifest
        roots = manifest.roots if manifest else ()
        missing = [role for role in optional_roles() if manifest and role not in manifest.models]
        videos = list_videos(commits, request, within=None if self._shows_paths else roots)
        trouble = render_trouble(commits, shows_paths=self._shows_paths)
        return [
            videos.request.page,
            gr.update(visible=bool(roots), interactive=not job.is_active),
            render_totals(catalogue, self._disk.bytes()) if commits else "",
            gr.update(visible=bool(roots)),
            render_details(catalogue, shows_paths=self._shows_paths),
            gr.update(visible=bool(missing and roots)),
            gr.update(choices=[(f"{heading(role)}: {modality(role).cost}", role) for role in missing]),
            trouble,
            gr.update(visible=bool(trouble), interactive=not job.is_active),
            gr.update(visible=bool(commits)),
            render_list(videos, roots, is_working=job.is_active, shows_paths=self._shows_paths),
        ]

    def _read(self) -> Catalogue:
        try:
            return self._library.catalogue() or _EMPTY
        except SceneseekError:
            return _EMPTY  # the list shows the error


class _Versions:
    """Numbers the states of the catalogue; the engine makes a new catalogue when it reads the index anew."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._last: Catalogue | None = None
        self._number = 0
        self._changed_at = 0.0

    def number_of(self, catalogue: Catalogue, *, is_growing: bool) -> int:
        """The number of this state; while the index grows, a large one gets a new number every few seconds only."""
        with self._lock:
            pause_s = len(catalogue.commits) * _PAUSE_PER_VIDEO_S if is_growing else 0.0
            if catalogue is not self._last and time.monotonic() >= self._changed_at + pause_s:
                self._last, self._number, self._changed_at = catalogue, self._number + 1, time.monotonic()
            return self._number


class _DiskUse:
    """Measures the size of the index's folder in the background: a large one has many thumbnails."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        self._bytes: int | None = None
        self._next_at = 0.0

    def bytes(self) -> int | None:
        """The size as last measured; None before the first time."""
        with self._lock:
            now = time.monotonic()
            is_due = now >= self._next_at
            if is_due:
                self._next_at = now + (_MEASURED_EVERY_S if self._bytes else BUSY_S)
        if is_due:
            measuring = Thread(target=self._measure, name="disk-use", daemon=True)
            measuring.start()
            measuring.join(_MEASURING_S)
        return self._bytes

    def _measure(self) -> None:
        size = 0
        for folder, _, names in os.walk(self._folder):
            for name in names:
                with suppress(OSError):  # the database's files come and go
                    size += Path(folder, name).stat().st_size
        self._bytes = size or None


def _html(name: str, js: str | None = None) -> gr.HTML:
    # With the script itself: fetched by the page's head, it might come after this is run.
    script = f"{_SCRIPT.read_text(encoding='utf-8')}\n{js}" if js else None
    return gr.HTML(elem_id=f"library-{name}", apply_default_css=False, js_on_load=script)


def _controls(job: IndexProgress) -> Updates:
    return [cancel_button(job), gr.update(interactive=not job.is_active), timer(is_busy=job.is_active)]


def _unreadable(problem: str) -> Updates:
    """The problem in place of the list of an index that cannot be read."""
    hidden = gr.update(visible=False)
    return [gr.skip(), hidden, "", hidden, "", hidden, gr.skip(), "", hidden, hidden, problem]


def _closed_question() -> Updates:
    return [gr.update(visible=False), "", None]


def _pressed(event: gr.EventData, name: str) -> str:
    """An attribute of the button that was pressed; browsers may send anything, so it is made a text."""
    sent = event._data
    return str(sent.get(name, "")) if isinstance(sent, dict) else ""


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 9 else 1
