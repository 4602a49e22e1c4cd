"""What the page's script and links ask for besides Gradio: a video's time line, news, and an answer as a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from indexer.core.errors import SceneseekError
from ui.export import EXPORT_FORMATS, MEDIA_TYPES, ExportFormat, export_ranking
from ui.web.search_form import SearchForm
from ui.web.search_page import SearchPage


def answers_router(page: SearchPage) -> APIRouter:
    """The routes ``/moments/VIDEO?FORM``, ``/news`` and ``/export/FORMAT?FORM``, answered by a page."""
    router = APIRouter()

    @router.get("/moments/{video_id}")
    def moments(video_id: str, request: Request) -> dict[str, Any]:
        """Every moment of one video that answers the form in the address."""
        with _as_http(page):
            marks = page.timeline(SearchForm.from_address(request.url.query), video_id)
        return {"moments": [asdict(mark) for mark in marks]}

    @router.get("/news")
    def news() -> JSONResponse:
        """What the library is like, and what is being done to it."""
        return JSONResponse(page.news(), headers={"Cache-Control": "no-store"})

    @router.get("/export/{name}")
    def export(name: str, request: Request) -> Response:
        """The moments that answer the form in the address, best first or in order of time, as a file."""
        form = _export_format(name)
        asked = SearchForm.from_address(request.url.query)
        with _as_http(page):
            ranking = page.whole_ranking(asked)
            content = export_ranking(ranking, page.question(asked), form, shows_paths=page.shows_paths)
        headers = {
            "Content-Disposition": f'attachment; filename="moments.{form}"',
            "Cache-Control": "private, no-store",
        }
        return Response(content, media_type=MEDIA_TYPES[form], headers=headers)

    return router


def _export_format(name: str) -> ExportFormat:
    for form in EXPORT_FORMATS:
        if form == name:
            return form
    raise HTTPException(404, f"There are {', '.join(EXPORT_FORMATS)}, and no '{name[:20]}'.")


@contextmanager
def _as_http(page: SearchPage) -> Iterator[None]:
    """Turns our errors into answers in the words of the page."""
    try:
        yield
    except SceneseekError as error:
        panel = page.panel_of(error)
        message = " ".join(part for part in (panel.title, panel.text, panel.hint) if part)
        raise HTTPException(400 if error.exit_code == 2 else 500, message) from error
