"""How evaluations report their progress."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

ReportProgress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is going on, how much of it is done, and how much there is."""
