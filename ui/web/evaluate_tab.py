"""The Evaluate tab: how good the search is on one's own videos, drawn alike for every browser.

Its routes serve the files of finished evaluations and the styles of their reports, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import gradio as gr
from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse

from indexer.core.errors import SceneseekError
from search.evaluate.actions import TAU
from search.evaluate.report import STYLESHEET
from search.html import printable, rendered
from ui.services.evaluation import CAPTION_SUFFIXES, EvaluationKind, EvaluationProgress, Evaluations, FinishedEvaluation
from ui.web.library_view import render_message
from ui.web.polling import BUSY_S, Fresh, Updates, cancel_button, timer

_CLASS_LISTS = [
    ("The labels of my videos", "labels"),
    ("49 actions of Kinetics-700", "kinetics50"),
    ("UCF101's 101 actions", "ucf101"),
]
_TEMPLATES = [
    ("28 English sentences, their mean (CLIP)", "clip"),
    ("The name alone", "plain"),
    ("One French sentence", "french"),
]
_POOLINGS = [
    ("The mean of all frames", "mean"),
    ("The frame that fits best", "max"),
    ("Fitting frames count more", "query"),
]
_START: Mapping[str, Any] = {"variant": "primary", "min_width": 180, "scale": 0}
_UPLOAD: Mapping[str, Any] = {**_START, "file_types": list(CAPTION_SUFFIXES)}
_QUIET: Mapping[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
_SHARED: Mapping[str, Any] = {**_QUIET, "concurrency_limit": 4, "concurrency_id": "evaluate"}
_HEADERS = {
    # A report holds everything it shows, so it may fetch nothing.
    "Content-Security-Policy": "default-src 'none'; img-src data: 'self'; style-src 'unsafe-inline'; "
    "frame-ancestors 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-store",
}


@dataclass(frozen=True, slots=True, eq=False)
class _Section:
    """The part of the tab for one kind of evaluation."""

    kind: EvaluationKind
    inputs: list[Any]
    start: Any
    cancel: gr.Button
    message: gr.HTML
    job: gr.HTML
    report: gr.HTML


def evaluation_router(evaluations: Evaluations) -> APIRouter:
    """The routes ``/evaluation/report.css`` and ``/evaluation/KIND/NAME`` for the files of each kind's last run."""
    router = APIRouter()

    @router.get("/evaluation/report.css")
    def styles() -> FileResponse:
        return FileResponse(STYLESHEET, media_type="text/css")

    @router.get("/evaluation/{kind}/{name}")
    def file(kind: str, name: str) -> FileResponse:
        path = evaluations.file(kind, name)
        if path is None or not path.is_file():
            raise HTTPException(404, "No evaluation has such a file; the next one may have replaced it.")
        return FileResponse(
            path,
            media_type="text/plain" if path.suffix == ".trec" else None,  # else by its name
            filename=path.name,
            content_disposition_type="inline" if path.suffix in (".html", ".png") else "attachment",
            headers=_HEADERS,
        )

    return router


def evaluate_tab(evaluations: Evaluations) -> None:
    """Build the tab inside the ``gr.Tab`` that is open."""
    with gr.Column(elem_id="evaluate", elem_classes="ev"):
        self_test = _section("self-test", lambda: gr.Button("Test my library", **_START))
        retrieval = _section("retrieval", lambda: gr.UploadButton("Choose a file of queries", **_UPLOAD))
        actions = _section("actions", lambda: gr.Button("Compare pictures with texts", **_START), _action_inputs)
        seen, clock = gr.State({}), gr.Timer(BUSY_S)
    sections = [self_test, retrieval, actions]
    parts = [(section.job, section.cancel, section.start, section.report) for section in sections]
    painted = [seen, clock, *chain.from_iterable(parts)]

    def paint_on(trigger: Callable[..., Any], paint: Callable[[dict[str, Any]], Updates]) -> None:
        trigger(paint, inputs=[seen], outputs=painted, trigger_mode="always_last", **_SHARED)

    def paint(seen: dict[str, Any]) -> Updates:
        fresh, is_busy = Fresh(seen), evaluations.running is not None
        ticking = fresh.of("timer", is_busy, lambda: [timer(is_busy=is_busy)], 1)
        updates = (_updates(section.kind, evaluations, fresh) for section in sections)
        return [fresh.seen, *ticking, *chain.from_iterable(updates)]

    def attempt_on(trigger: Callable[..., Any], action: Callable[..., None], inputs: list[Any], out: gr.HTML) -> None:
        def attempt(*given: Any) -> str:
            try:
                action(*given)
            except SceneseekError as error:
                return render_message(error)
            return ""

        paint_on(trigger(attempt, inputs=inputs, outputs=[out], **_SHARED).then, paint)

    paint_on(clock.tick, paint)
    if (root := gr.context.Context.root_block) is not None:
        paint_on(root.load, lambda _seen: paint({}))
    attempt_on(self_test.start.click, evaluations.start_self_test, [], self_test.message)
    attempt_on(retrieval.start.upload, evaluations.start_retrieval, [retrieval.start], retrieval.message)
    attempt_on(actions.start.click, evaluations.start_actions, actions.inputs, actions.message)
    for section in sections:
        attempt_on(section.cancel.click, evaluations.cancel, [], section.message)


def _section(
    kind: EvaluationKind, make_start: Callable[[], Any], make_inputs: Callable[[], list[Any]] = list
) -> _Section:
    with gr.Column(elem_id=f"evaluate-{kind}", elem_classes="ev-section"):
        introduction = rendered("ui.web", "evaluate_introduction.html.j2", {"kind": kind})
        gr.HTML(introduction, apply_default_css=False, elem_classes="ev-intro")
        inputs = make_inputs()
        with gr.Row(elem_classes="ev-buttons"):
            start = make_start()
            cancel = gr.Button("Cancel", visible=False, min_width=110, scale=0)
        message, job, report = (gr.HTML(apply_default_css=False, elem_classes="ev-part") for _ in range(3))
    return _Section(kind, inputs, start, cancel, message, job, report)


def _action_inputs() -> list[Any]:
    """The inputs of ``Evaluations.start_actions``, in its order."""
    with gr.Row(elem_classes="ev-choices"):
        classes = gr.Radio(_CLASS_LISTS, value="labels", label="Classes to tell apart")
        templates = gr.Radio(_TEMPLATES, value="clip", label="How a class is put into words")
        pooling = gr.Radio(_POOLINGS, value="mean", label="From frames to a video")
    label, info = "How sharply fitting frames are preferred (τ)", "The smaller, the more the best frames count."
    tau = gr.Slider(0.01, 1.0, value=TAU, step=0.01, visible=False, label=label, info=info)
    pooling.change(lambda name: gr.update(visible=name == "query"), inputs=[pooling], outputs=[tau], **_QUIET)
    return [classes, templates, pooling, tau]


def render_progress(progress: EvaluationProgress, *, is_waiting: bool = False) -> str:
    """The progress bar of a running evaluation, or how the last one ended; empty if there was none.

    ``is_waiting`` says whether an evaluation of another kind is running, which has to end first.
    """
    facts = {"job": progress, "is_waiting": is_waiting}
    return printable(rendered("ui.web", "evaluate_job.html.j2", facts), instead="�").strip()


def render_finished(finished: FinishedEvaluation | None, kind: EvaluationKind, number: int) -> str:
    """The report of an evaluation; its ``number`` in the links to its files keeps browsers from showing older ones."""
    return finished.render(lambda name: f"/evaluation/{kind}/{name}?n={number}") if finished else ""


def _updates(kind: EvaluationKind, evaluations: Evaluations, fresh: Fresh) -> Updates:
    running, progress = evaluations.running, evaluations.progress(kind)
    finished, number = progress.result, progress.number
    is_waiting = running is not None and running != kind
    bar = progress if progress.is_active else (number, progress.state, is_waiting)
    buttons = [cancel_button(progress), gr.update(interactive=running is None)]
    return [
        *fresh.of(f"{kind} bar", bar, lambda: [render_progress(progress, is_waiting=is_waiting)], 1),
        *fresh.of(f"{kind} buttons", (progress.state, running is not None), lambda: buttons, 2),
        *fresh.of(f"{kind} report", finished and number, lambda: [render_finished(finished, kind, number)], 1),
    ]
