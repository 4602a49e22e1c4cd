"""The whole page: tabs, media, exports, the API, and what protects them."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from ui.services.evaluation import Evaluations
from ui.services.index_jobs import Jobs
from ui.services.library import Library
from ui.web.access import SafeHeaders
from ui.web.answers_router import answers_router
from ui.web.endpoints import Endpoints, add_endpoints
from ui.web.evaluate_tab import evaluate_tab, evaluation_router
from ui.web.gradio_limits import CloseDoors, LimitUploads, guard_files
from ui.web.library_tab import library_tab
from ui.web.media import Media
from ui.web.search_page import SearchPage
from ui.web.search_tab import search_tab
from ui.web.theme import page_theme

_STATIC = Path(__file__).parent / "static"
_HEAD = """
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="/page/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/page/style.css">
<link rel="stylesheet" href="/page/library.css">
<link rel="stylesheet" href="/page/evaluate.css">
<link rel="stylesheet" href="/evaluation/report.css">
"""


def build_blocks(
    library: Library, jobs: Jobs, evaluations: Evaluations, page: SearchPage, *, is_local: bool = True
) -> gr.Blocks:
    """The tabs and the named endpoints."""
    blocks: gr.Blocks
    with gr.Blocks(title="sceneseek", analytics_enabled=False, fill_width=True, delete_cache=(600, 3600)) as blocks:
        gr.HTML('<h1 class="ss-brand">sceneseek</h1>', apply_default_css=False, container=False, js_on_load=None)
        # First, because the first of a name keeps it: /search is this endpoint, not a handler of the tab.
        add_endpoints(Endpoints(library, shows_paths=is_local))
        with gr.Tabs(elem_id="tabs"):
            with gr.Tab("Search", id="search"):
                search_tab(library, page)
            with gr.Tab("Library", id="library"):
                library_tab(library, jobs, shows_paths=is_local)
            with gr.Tab("Evaluate", id="evaluate"):
                evaluate_tab(evaluations)
    return blocks


def build_app(library: Library, jobs: Jobs, evaluations: Evaluations, *, is_local: bool = True) -> FastAPI:
    """The page as a web application, without a login; paths are shown if ``is_local``: only this machine reaches it."""
    app = FastAPI(title="sceneseek", docs_url=None, redoc_url=None, openapi_url=None)
    page = SearchPage(library, shows_paths=is_local, growing=jobs.activity)
    app.include_router(Media(library, is_shared=not is_local).router())
    app.include_router(answers_router(page))
    app.include_router(evaluation_router(evaluations))
    app.mount("/page", StaticFiles(directory=_STATIC), name="page")
    app.add_middleware(SafeHeaders)
    app.add_middleware(CloseDoors)
    if not is_local:
        app.add_middleware(LimitUploads)
    mounted: FastAPI = gr.mount_gradio_app(
        app,
        guard_files(build_blocks(library, jobs, evaluations, page, is_local=is_local)),
        path="/",
        theme=page_theme(),
        head=_HEAD,
        footer_links=["api"],
        run_history=False,
        max_file_size="25mb",
        show_error=is_local,
        ssr_mode=False,
        mcp_server=True,
        enable_monitoring=False,
        pwa=False,
    )
    return mounted
