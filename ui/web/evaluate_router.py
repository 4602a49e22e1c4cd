"""Gives out the files of finished evaluations, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse

from ui.services.evaluation_jobs import Evaluations

__all__ = ["evaluation_router"]

_MEDIA_TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".png": "image/png",
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
    ".trec": "text/plain; charset=utf-8",
}
_SHOWN = frozenset({".html", ".png"})
# A report has everything in it and needs nothing from anywhere, so it is allowed nothing.
_POLICY = "default-src 'none'; img-src data: 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"


def evaluation_router(evaluations: Evaluations) -> APIRouter:
    """The route ``/evaluation/KIND/NAME``: only the exact names that the last evaluation of a kind has written.

    Raises:
        HTTPException: from the route, where there is no such file.
    """
    router = APIRouter()

    @router.get("/evaluation/{kind}/{name}")
    def file(kind: str, name: str) -> FileResponse:
        """A file of the last evaluation of this kind."""
        path = evaluations.file(kind, name)
        if path is None or not path.is_file():
            raise HTTPException(404, "No evaluation has such a file; the next one may have replaced it.")
        return _sent(path)

    return router


def _sent(path: Path) -> FileResponse:
    headers = {
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-store",
    }
    return FileResponse(
        path,
        media_type=_MEDIA_TYPES.get(path.suffix, "application/octet-stream"),
        filename=path.name,
        content_disposition_type="inline" if path.suffix in _SHOWN else "attachment",
        headers=headers,
    )
