"""Keeps the model libraries from writing to the terminal while they load."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

__all__ = ["quiet_libraries"]


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence progress bars, load reports and the root logger; the old settings return afterwards."""
    with ExitStack() as stack:
        stack.enter_context(_quiet_root_logger())
        if "transformers" in sys.modules:
            stack.enter_context(_quiet_transformers())
        yield


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    from transformers.utils import logging as transformers_logging

    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]


@contextmanager
def _quiet_root_logger() -> Iterator[None]:
    """Stop open_clip's calls of ``logging.info``, which would install a handler on an unconfigured root logger."""
    root, handler = logging.getLogger(), logging.NullHandler()
    root.addHandler(handler)
    root.addFilter(_not_from_open_clip)
    try:
        yield
    finally:
        root.removeFilter(_not_from_open_clip)
        root.removeHandler(handler)


def _not_from_open_clip(record: logging.LogRecord) -> bool:
    return Path(record.pathname).parent.name != "open_clip"
