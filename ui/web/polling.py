"""What the tabs that watch a job share: how often they look, and that only changes are sent."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import gradio as gr

from ui.services.job_status import JobStatus

__all__ = ["BUSY_S", "Fresh", "Updates", "cancel_button", "timer"]

BUSY_S = 1.0
"""How often a tab looks while a job is running."""

_IDLE_S = 5.0

Updates: TypeAlias = list[Any]


class Fresh:
    """Finds what of the page has changed for one browser.

    Args:
        seen: What the browser was last shown: the attribute ``seen`` of the last ``Fresh``.
    """

    def __init__(self, seen: Mapping[str, Any]) -> None:
        self.seen = dict(seen)

    def of(self, name: str, key: object, make: Callable[[], Updates], count: int) -> Updates:
        """The ``count`` updates of a part of the page, made if its key has changed; those seen are skipped."""
        if self.seen.get(name) == repr(key):
            return [gr.skip()] * count
        self.seen[name] = repr(key)
        return [self._unless_seen(f"{name} {place}", update) for place, update in enumerate(make())]

    def _unless_seen(self, name: str, update: object) -> Any:
        digest = hashlib.blake2b(repr(update).encode("utf-8", "backslashreplace"), digest_size=8).hexdigest()
        if self.seen.get(name) == digest:
            return gr.skip()
        self.seen[name] = digest
        return update


def timer(*, is_busy: bool) -> gr.Timer:
    """The clock that says when to look again."""
    return gr.Timer(BUSY_S if is_busy else _IDLE_S)


def cancel_button(job: JobStatus) -> Any:
    """The button that cancels a job: visible while the job runs, and pressed once."""
    is_stopping = job.state == "stopping"
    value = "Stopping…" if is_stopping else "Cancel"
    return gr.update(visible=job.is_active, interactive=not is_stopping, value=value)
