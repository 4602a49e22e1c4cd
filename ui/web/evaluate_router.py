"""Serves the files of finished evaluations and the styles of their reports, and nothing else."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse

from search.evaluate.report import STYLESHEET
from ui.services.evaluation import Evaluations

_HEADERS = {
    # A report holds everything it shows, so it may fetch nothing.
    "Content-Security-Policy": "default-src 'none'; img-src data: 'self'; style-src 'unsafe-inline'; "
    "frame-ancestors 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-store",
}


def evaluation_router(evaluations: Evaluations) -> APIRouter:
    """The routes ``/evaluation/report.css`` and ``/evaluation/KIND/NAME`` for the files of each kind's last run."""
    router = APIRouter()

    @router.get("/evaluation/report.css")
    def styles() -> FileResponse:
        return FileResponse(STYLESHEET, media_type="text/css")

    @router.get("/evaluation/{kind}/{name}")
    def file(kind: str, name: str) -> FileResponse:
        return _served(evaluations.file(kind, name))

    return router


def _served(path: Path | None) -> FileResponse:
    if path is None or not path.is_file():
        raise HTTPException(404, "No evaluation has such a file; the next one may have replaced it.")
    return FileResponse(
        path,
        media_type="text/plain" if path.suffix == ".trec" else None,  # else by its name
        filename=path.name,
        content_disposition_type="inline" if path.suffix in (".html", ".png") else "attachment",
        headers=_HEADERS,
    )
