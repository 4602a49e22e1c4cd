"""What the page's script and links ask for besides Gradio: a video's time line, news, and an answer as a file."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from indexer.core.errors import SceneseekError
from ui.export import EXPORT_FORMATS, MEDIA_TYPES, export_ranking
from ui.web.search_form import SearchForm
from ui.web.search_page import SearchPage

__all__ = ["answers_router"]


def answers_router(page: SearchPage) -> APIRouter:
    """The routes ``/moments/VIDEO?FORM``, ``/news`` and ``/export/FORMAT?FORM``.

    Args:
        page: What answers.

    Raises:
        HTTPException: from the routes, where there is no such export, or the form cannot be answered.
    """
    router = APIRouter()

    @router.get("/moments/{video_id}")
    def moments(video_id: str, request: Request) -> dict[str, Any]:
        """Every moment of one video that answers the form in the address."""
        try:
            found = page.timeline(SearchForm.from_address(request.url.query), video_id)
        except SceneseekError as error:
            raise _refused(page, error) from error
        return {"moments": [asdict(mark) for mark in found]}

    @router.get("/news")
    def news() -> JSONResponse:
        """What the library is like, and what is being done to it."""
        return JSONResponse(page.news(), headers={"Cache-Control": "no-store"})

    @router.get("/export/{form}")
    def export(form: str, request: Request) -> Response:
        """The moments that answer the form in the address, best first or in order of time, as a file."""
        if form not in EXPORT_FORMATS:
            raise HTTPException(404, f"There are {', '.join(EXPORT_FORMATS)}, and no '{form[:20]}'.")
        asked = SearchForm.from_address(request.url.query)
        try:
            content = export_ranking(
                page.whole_ranking(asked), page.question(asked), form, shows_paths=page.shows_paths
            )
        except SceneseekError as error:
            raise _refused(page, error) from error
        headers = {
            "Content-Disposition": f'attachment; filename="moments.{form}"',
            "Cache-Control": "private, no-store",
        }
        return Response(content, media_type=MEDIA_TYPES[form], headers=headers)

    return router


def _refused(page: SearchPage, error: SceneseekError) -> HTTPException:
    panel = page.panel_of(error)
    said = " ".join(part for part in (panel.title, panel.text, panel.hint) if part)
    return HTTPException(400 if error.exit_code == 2 else 500, said)
