"""The Evaluate tab: how well the search does on one's own videos, with tables, pictures and files.

What the page shows is computed from the evaluations alone, so that every browser sees the same, and one opened in the
middle of an evaluation, or after it, sees that one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from indexer.core.errors import SceneseekError
from search.evaluate.pooling import TAU
from search.evaluate.prompts import CLASS_LISTS, TEMPLATES
from ui.services.evaluation_jobs import CAPTION_SUFFIXES, KINDS, EvaluationKind, EvaluationProgress, Evaluations
from ui.web.evaluate_view import render_finished, render_progress
from ui.web.library_view import render_message
from ui.web.polling import BUSY_S, Fresh, Updates, cancel_button, timer

__all__ = ["evaluate_tab"]

_NAMES_OF_LISTS: Mapping[str, str] = {"kinetics50": "49 actions of Kinetics-700", "ucf101": "UCF101's 101 actions"}
_NAMES_OF_TEMPLATES: Mapping[str, str] = {
    "clip": "28 English sentences, their mean (CLIP)",
    "plain": "The name alone",
    "french": "One French sentence",
}
_POOLINGS = (
    ("The mean of all frames", "mean"),
    ("The frame that fits best", "max"),
    ("Fitting frames count more", "query"),
)


def evaluate_tab(evaluations: Evaluations) -> None:
    """Build the tab inside the ``gr.Tab`` that is open.

    Args:
        evaluations: Where evaluations are started and watched.
    """
    _EvaluateTab(evaluations).build()


@dataclass(frozen=True, slots=True, eq=False)
class _Section:
    """The parts of the page that show how one kind of evaluation is."""

    start: gr.Button | gr.UploadButton
    cancel: gr.Button
    message: gr.HTML
    job: gr.HTML
    report: gr.HTML

    @property
    def painted(self) -> list[Any]:
        """What changes by itself, in the order that ``_EvaluateTab`` paints it."""
        return [self.job, self.cancel, self.start, self.report]


class _EvaluateTab:
    def __init__(self, evaluations: Evaluations) -> None:
        self._evaluations = evaluations
        self._sections: dict[EvaluationKind, _Section] = {}

    def build(self) -> None:
        """Lay out the tab and say what its controls do."""
        with gr.Column(elem_id="evaluate", elem_classes="ev"):
            self._add_self_test()
            self._add_retrieval()
            self._add_actions()
            self._seen = gr.State({})
            self._timer = gr.Timer(BUSY_S)
        self._answer()

    def _add_self_test(self) -> None:
        with gr.Column(elem_id="evaluate-self-test", elem_classes="ev-section"):
            _explain(
                "How well does my library answer?",
                "Needs nothing from you: a few words of what is said, shown or described in your videos are searched "
                "for by everything else that is known of them.",
            )
            self._sections["self-test"] = _add_section("Test my library")

    def _add_retrieval(self) -> None:
        with gr.Column(elem_id="evaluate-retrieval", elem_classes="ev-section"):
            _explain(
                "My own queries",
                "A file with queries and the videos that answer them: a CSV table with the columns query, file and, "
                "if known, start_s and end_s; or the JSON of MSR-VTT, QuerYD and others.",
            )
            with gr.Row(elem_classes="ev-buttons"):
                self._captions = gr.UploadButton(
                    "Choose a file of queries",
                    file_types=list(CAPTION_SUFFIXES),
                    variant="primary",
                    min_width=180,
                    scale=0,
                )
                cancel = _cancel_button()
            self._sections["retrieval"] = _section(self._captions, cancel)

    def _add_actions(self) -> None:
        with gr.Column(elem_id="evaluate-actions", elem_classes="ev-section"):
            _explain(
                "Actions",
                "Whether pictures alone tell what a video shows: each labelled video is compared with a text about "
                "every class, and nothing is learned from the labels.",
            )
            lists = [(_NAMES_OF_LISTS.get(name, name), name) for name in CLASS_LISTS]
            sentences = [(_NAMES_OF_TEMPLATES.get(name, name), name) for name in TEMPLATES]
            sentences.sort(key=lambda choice: choice[1] != "clip")
            with gr.Row(elem_classes="ev-choices"):
                self._classes = gr.Radio(
                    [("The labels of my videos", "labels"), *lists], value="labels", label="Classes to tell apart"
                )
                self._templates = gr.Radio(sentences, value="clip", label="How a class is put into words")
                self._pooling = gr.Radio(list(_POOLINGS), value="mean", label="From frames to a video")
            self._tau = gr.Slider(
                0.01,
                1.0,
                value=TAU,
                step=0.01,
                visible=False,
                label="How sharply fitting frames are preferred (τ)",
                info="The smaller, the more the best frames count.",
            )
            self._sections["actions"] = _add_section("Compare pictures with texts")

    def _answer(self) -> None:
        """What happens when: every action ends with the page painted anew."""
        self._on(self._timer.tick, self._paint)
        root = gr.context.Context.root_block
        if root is not None:
            self._on(root.load, lambda _seen: self._paint({}))
        self._pooling.change(
            lambda pooling: gr.update(visible=pooling == "query"),
            inputs=[self._pooling],
            outputs=[self._tau],
            show_progress="hidden",
            api_visibility="private",
        )
        evaluations = self._evaluations
        choices = [self._classes, self._templates, self._pooling, self._tau]
        self._act("self-test", self._sections["self-test"].start.click, evaluations.start_self_test, [])
        self._act("retrieval", self._captions.upload, evaluations.start_retrieval, [self._captions])
        self._act("actions", self._sections["actions"].start.click, evaluations.start_actions, choices)

    def _on(self, trigger: Callable[..., Any], paint: Callable[[dict[str, Any]], Updates]) -> None:
        trigger(
            paint,
            inputs=[self._seen],
            outputs=[
                self._seen,
                self._timer,
                *(part for kind in KINDS for part in self._sections[kind].painted),
            ],
            show_progress="hidden",
            trigger_mode="always_last",
            concurrency_limit=4,
            concurrency_id="evaluate",
            api_visibility="private",
        )

    def _act(
        self, kind: EvaluationKind, started: Callable[..., Any], start: Callable[..., None], inputs: list[Any]
    ) -> None:
        """Start or cancel, show the message, and paint the page."""
        section = self._sections[kind]
        for trigger, action, taken in (
            (started, start, inputs),
            (section.cancel.click, self._evaluations.cancel, []),
        ):
            done = trigger(
                _attempt(action),
                inputs=taken,
                outputs=[section.message],
                show_progress="hidden",
                concurrency_limit=4,
                concurrency_id="evaluate",
                api_visibility="private",
            )
            self._on(done.then, self._paint)

    def _paint(self, seen: dict[str, Any]) -> Updates:
        """Everything that has changed since this browser was last shown it."""
        running, fresh = self._evaluations.running, Fresh(seen)
        is_busy = running is not None
        clock = fresh.of("timer", is_busy, lambda: [timer(is_busy=is_busy)], 1)
        shown = [update for kind in KINDS for update in self._painted(kind, running, fresh)]
        return [fresh.seen, *clock, *shown]

    def _painted(self, kind: EvaluationKind, running: EvaluationKind | None, fresh: Fresh) -> Updates:
        progress, finished = self._evaluations.progress(kind), self._evaluations.finished(kind)
        is_waiting = running is not None and running != kind
        bar_key = progress if progress.is_active else (progress.number, progress.state, is_waiting)
        number = finished.number if finished else 0
        return [
            *fresh.of(f"{kind} bar", bar_key, lambda: [render_progress(progress, is_waiting=is_waiting)], 1),
            *fresh.of(f"{kind} buttons", (progress.state, running is not None), lambda: _buttons(progress, running), 2),
            *fresh.of(f"{kind} report", number, lambda: [render_finished(finished) if finished else ""], 1),
        ]


def _explain(title: str, text: str) -> None:
    gr.HTML(f"<h2>{title}</h2><p>{text}</p>", apply_default_css=False, elem_classes="ev-intro")


def _add_section(text: str) -> _Section:
    with gr.Row(elem_classes="ev-buttons"):
        start = gr.Button(text, variant="primary", min_width=180, scale=0)
        cancel = _cancel_button()
    return _section(start, cancel)


def _cancel_button() -> gr.Button:
    return gr.Button("Cancel", visible=False, min_width=110, scale=0)


def _section(start: gr.Button | gr.UploadButton, cancel: gr.Button) -> _Section:
    """What is below the buttons: a message, the bar, and what was found."""
    message, job, report = (gr.HTML(apply_default_css=False, elem_classes="ev-part") for _ in range(3))
    return _Section(start, cancel, message, job, report)


def _attempt(action: Callable[..., None]) -> Callable[..., str]:
    """The action with its error as a message; an empty one if all is well."""

    def attempted(*inputs: Any) -> str:
        try:
            action(*inputs)
        except SceneseekError as error:
            return render_message(error)
        return ""

    return attempted


def _buttons(progress: EvaluationProgress, running: EvaluationKind | None) -> Updates:
    """Cancel, which is there as long as this evaluation goes on, and start, which waits for any to end."""
    return [cancel_button(progress), gr.update(interactive=running is None)]
