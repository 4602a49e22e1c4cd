"""The Search tab: controls, and what happens when they are used."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any, cast

import gradio as gr

from indexer.core.errors import SceneseekError
from indexer.core.types import ModalityName
from indexer.modalities.registry import modality_names
from search.modalities import heading
from ui.services.library import Library
from ui.web.result_view import folder_shown, render, render_panel
from ui.web.search_form import LONGEST_TEXT, SearchForm, Sort
from ui.web.search_page import SearchPage

_SCRIPT = Path(__file__).parent / "static" / "page.js"
_MOST_LABELS = 50
_SORTS: Sequence[tuple[str, Sort]] = [("Best first", "relevance"), ("In order of time", "time")]
_BOUNDS = ("longer", "shorter", "since", "until")
_PLAIN: dict[str, Any] = {"apply_default_css": False, "container": False}
_QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal", "concurrency_limit": None}


def search_tab(library: Library, page: SearchPage) -> None:
    """Put the search into the tab that is open."""
    asked = gr.State(SearchForm())
    controls, button, picture = _build_controls()
    gr.HTML('<p class="ss-news" hidden></p>', elem_id="news", js_on_load=None, **_PLAIN)
    with gr.Row(elem_classes="ss-columns"):
        with gr.Column(scale=3, min_width=320):
            answer = gr.HTML(elem_id="answer", js_on_load=_SCRIPT.read_text(encoding="utf-8"), **_PLAIN)
        with gr.Column(scale=2, min_width=320, elem_classes="ss-side"):
            gr.HTML(render("player.html.j2"), elem_id="player", js_on_load=None, **_PLAIN)
    _connect(page, library, controls, button, picture, asked, answer)


def _build_controls() -> tuple[dict[str, Any], gr.Button, gr.Image]:
    """The controls of the form, in the order that events pass their values; the button; the picture to search by."""
    with gr.Row(elem_classes="ss-ask"):
        text = gr.Textbox(
            label="What do you remember?",
            show_label=False,
            placeholder='A picture, a sentence, a sign, a sound …  "exact words", -without, label:x, duration<60',
            elem_id="query",
            max_length=LONGEST_TEXT,
            lines=1,
            max_lines=1,
            scale=8,
            container=False,
            html_attributes=gr.InputHTMLAttributes(autocomplete="off", spellcheck=True, enterkeyhint="search"),
        )
        button = gr.Button("Search", variant="primary", scale=1, min_width=110, elem_id="search")
    with gr.Row(elem_classes="ss-more"):
        with gr.Accordion("Filters", open=False):
            filters = _build_filters()
        with gr.Accordion("By picture", open=False):
            picture = gr.Image(
                label="Find what looks like this picture",
                sources=["upload", "clipboard"],
                type="filepath",
                height=180,
                elem_id="picture",
            )
        with gr.Accordion("Advanced", open=False):
            advanced = _build_advanced()
    return {"text": text, **filters, **advanced}, button, picture


def _build_filters() -> dict[str, Any]:
    made: dict[str, Any] = {}
    with gr.Row():
        made["labels"] = gr.Dropdown([], multiselect=True, label="Labels", info="Any of these", allow_custom_value=True)
        made["folder"] = gr.Dropdown([], label="Folder", info="And all below it", allow_custom_value=True)
    made["kinds"] = gr.CheckboxGroup(_kinds(), label="Look only in", elem_id="kinds")
    day: dict[str, Any] = {"placeholder": "2024-05-31", "max_length": 10, "min_width": 120}
    with gr.Row():
        made["longer"] = gr.Number(label="At least (minutes)", minimum=0, value=None, min_width=120)
        made["shorter"] = gr.Number(label="At most (minutes)", minimum=0, value=None, min_width=120)
        made["since"] = gr.Textbox(label="File changed since", **day)
        made["until"] = gr.Textbox(label="File changed until", **day)
    return made


def _build_advanced() -> dict[str, Any]:
    made: dict[str, Any] = {"sort": gr.Radio(_SORTS, value="relevance", label="Order", elem_id="sort")}
    with gr.Row():
        made["by_video"] = gr.Checkbox(label="Each video once", info="By its best moment")
        made["unlikely"] = gr.Checkbox(label="Also unlikely moments", info="Do not say “nothing found”")
    gr.Markdown("How much each kind of evidence counts:")
    with gr.Row():
        for label, name in _kinds():
            slider = gr.Slider(0, 4, value=1, step=0.25, label=label, min_width=240, elem_id=f"weight-{name}")
            made[f"weight-{name}"] = slider
    return made


def _connect(
    page: SearchPage,
    library: Library,
    controls: Mapping[str, Any],
    button: gr.Button,
    picture: gr.Image,
    asked: gr.State,
    answer: gr.HTML,
) -> None:
    def go_to(event: gr.EventData) -> list[Any]:
        """An address was opened: show its form and its answer, which says which address it is of."""
        address = str(event.address)
        form = SearchForm.from_address(address)
        html = f'<div data-asked="{escape(address)}">{page.answer(form)}</div>'
        if event._data.get("again"):
            return [*_offered(form, library, page), gr.skip(), gr.skip(), html]
        return [*_shown(form, library, page), form, gr.skip() if form.picture else None, html]

    def fill_in(before: SearchForm, *values: Any) -> tuple[SearchForm, Any, str]:
        """The form was filled in. What else was asked by, a moment or a picture, stays while only filters change."""
        form = _form(values)
        if form.text == before.text:
            form = replace(form, like=before.like, picture=before.picture)
        return form, gr.skip() if form.picture else None, page.answer(form)

    def leave(before: SearchForm, *values: Any) -> list[Any]:
        """A field was left: what was typed into it counts without Enter, and nothing is asked twice."""
        form = replace(_form(values), like=before.like, picture=before.picture)
        return [gr.skip()] * 3 if form == before.on_page(1) else list(fill_in(before, *values))

    def show_picture(path: str | None, *values: Any) -> tuple[SearchForm, str, str]:
        """A picture was chosen, or taken away."""
        form = replace(_form(values), text="")
        try:
            form = replace(form, picture=page.pictures.keep(Path(path)) if path else "")
        except SceneseekError as error:
            return form, "", render_panel(page.panel_of(error))
        return form, "", page.answer(form)

    quiet: dict[str, Any] = {**_QUIET, "trigger_mode": "always_last"}
    # The script asks one address at a time; Gradio's "always_last" would repeat an earlier one's.
    opened: dict[str, Any] = {**_QUIET, "trigger_mode": "multiple"}
    everything = list(controls.values())
    answer.select(go_to, None, [*everything, asked, picture, answer], queue=False, **opened)
    events = (
        button.click,
        *(controls[name].submit for name in ("text", *_BOUNDS)),
        *(controls[name].input for name in ("labels", "folder", "kinds", "sort", "by_video", "unlikely")),
        *(controls[f"weight-{name}"].release for name in modality_names()),
    )
    for name in _BOUNDS:
        controls[name].blur(leave, [asked, *everything], [asked, picture, answer], **quiet)
    for event in events:
        event(fill_in, [asked, *everything], [asked, picture, answer], **quiet)
    for event in (picture.upload, picture.clear):
        event(show_picture, [picture, *everything], [asked, controls["text"], answer], **quiet)


def _kinds() -> list[tuple[str, ModalityName]]:
    """The modalities to choose from: what people call them, and their names."""
    return [(heading(name), name) for name in modality_names()]


def _form(values: Sequence[Any]) -> SearchForm:
    """The form that the values of the controls make, from its first page."""
    text, labels, folder, kinds, longer, shorter, since, until, sort, by_video, unlikely, *weights = values
    return SearchForm(
        text=(text or "")[:LONGEST_TEXT],
        labels=tuple(str(label)[:LONGEST_TEXT] for label in (labels or ())[:_MOST_LABELS]),
        folder=(folder or "")[:LONGEST_TEXT],
        kinds=tuple(name for name in modality_names() if name in (kinds or ())),
        longer_s=_seconds(longer),
        shorter_s=_seconds(shorter),
        since=(since or "")[:10],
        until=(until or "")[:10],
        weights={name: float(w) for name, w in zip(modality_names(), weights, strict=True) if w is not None and w != 1},
        sort=cast("Sort", sort or "relevance"),
        by_video=bool(by_video),
        unlikely=bool(unlikely),
    )


def _offered(form: SearchForm, library: Library, page: SearchPage) -> list[Any]:
    """The controls, offering what the library has now, with whatever a visitor is typing meanwhile."""
    return [{key: fact for key, fact in update.items() if key != "value"} for update in _shown(form, library, page)]


def _shown(form: SearchForm, library: Library, page: SearchPage) -> list[Any]:
    """The controls as a form fills them in, offering what the library has now."""
    labels, folders, known = _choices(library, page)
    return [
        gr.update(value=form.text),
        gr.update(value=list(form.labels), choices=sorted({*labels, *form.labels})),
        gr.update(value=form.folder or None, choices=folders),
        gr.update(value=list(form.kinds), choices=[kind for kind in _kinds() if kind[1] in known] or _kinds()),
        gr.update(value=form.longer_s / 60 or None),
        gr.update(value=form.shorter_s / 60 or None),
        gr.update(value=form.since),
        gr.update(value=form.until),
        gr.update(value=form.sort),
        gr.update(value=form.by_video),
        gr.update(value=form.unlikely),
        *(gr.update(value=form.weights.get(name, 1.0), visible=name in known) for name in modality_names()),
    ]


def _choices(library: Library, page: SearchPage) -> tuple[list[str], list[str], set[ModalityName]]:
    """The labels, the folders and the kinds of evidence that the library has."""
    try:
        catalogue = library.catalogue()
    except SceneseekError:
        logging.getLogger(__name__).debug("the answer says what is wrong with the index", exc_info=True)
        catalogue = None
    if catalogue is None:
        return [], [], set()
    videos = catalogue.videos.values()
    labels = sorted({video.label for video in videos if video.label})
    roots = page.roots(catalogue)
    folders = sorted({folder_shown(video.path, roots) for video in videos} - {""})[:500]
    return labels, folders, set(catalogue.counts)


def _seconds(minutes: float | None) -> float:
    """As they were given: seconds that become minutes and seconds again are else now and then others."""
    return round(60.0 * (minutes or 0), 6)
