"""The whole page: tabs, media, exports, the API, and what protects them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from ui.services.evaluation_jobs import Evaluations
from ui.services.index_jobs import Jobs
from ui.services.library import Library
from ui.web.answers_router import answers_router
from ui.web.endpoints import Endpoints, add_endpoints, guard_files
from ui.web.evaluate_router import evaluation_router
from ui.web.evaluate_tab import evaluate_tab
from ui.web.gradio_limits import CloseDoors, LimitUploads
from ui.web.library_tab import library_tab
from ui.web.media import media_router
from ui.web.search_page import SearchPage
from ui.web.search_tab import search_tab
from ui.web.theme import page_theme

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["LARGEST_UPLOAD", "build_app", "build_blocks"]

STATIC = Path(__file__).parent / "static"
LARGEST_UPLOAD = "25mb"
_HEAD = """
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="/page/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/page/style.css">
<link rel="stylesheet" href="/page/library.css">
<link rel="stylesheet" href="/page/evaluate.css">
<link rel="stylesheet" href="/evaluation/report.css">
<script src="/page/library.js"></script>
"""
# Gradio's own templates need inline code; nothing at all may come from, or go to, anywhere else.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self' data:; connect-src 'self'; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
)


def build_blocks(
    library: Library, jobs: Jobs, evaluations: Evaluations, page: SearchPage, *, is_local: bool = True
) -> gr.Blocks:
    """The tabs and the named endpoints."""
    blocks: gr.Blocks
    with gr.Blocks(title="sceneseek", analytics_enabled=False, fill_width=True, delete_cache=(600, 3600)) as blocks:
        gr.HTML('<h1 class="ss-brand">sceneseek</h1>', apply_default_css=False, container=False, js_on_load=None)
        # First, because what comes first keeps its name: /search is everybody's, not a handler of the tab.
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
    """The page as a web application, without a login.

    Args:
        library: What is searched.
        jobs: What indexes.
        evaluations: What evaluates.
        is_local: Whether only this machine can reach the page, so that paths may be shown.
    """
    app = FastAPI(title="sceneseek", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(media_router(library, shares=not is_local))
    page = SearchPage(library, shows_paths=is_local, growing=jobs.activity)
    app.include_router(answers_router(page))
    app.include_router(evaluation_router(evaluations))
    app.mount("/page", StaticFiles(directory=STATIC), name="page")
    app.add_middleware(_SafeHeaders)
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
        max_file_size=LARGEST_UPLOAD,
        show_error=is_local,
        ssr_mode=False,
        mcp_server=True,
        enable_monitoring=False,
        pwa=False,
    )
    return mounted


class _SafeHeaders:
    """Adds to every answer what keeps a browser from taking it for anything else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                known = {name.lower() for name, _ in message.get("headers", ())}
                message["headers"] = [
                    *message.get("headers", ()),
                    *((name, value) for name, value in _HEADERS if name not in known),
                ]
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)
