"""Text on screen: which frames are read, and what their lines say over time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from indexer.core.types import Segment
from indexer.modalities.base import Extractor, Modality
from indexer.models.base import Role, TextReader
from indexer.models.build import rapidocr

if TYPE_CHECKING:
    from indexer.modalities.ocr.text_tracking import TextFrame, TextTracker

__all__ = ["OCR"]


@dataclass(slots=True)
class OcrExtractor(Extractor):
    """Reads frames that may hold text and follows their lines over time; the segments are made at the end."""

    _tracker: TextTracker | None = None

    def on_text_frames(self, frames: Sequence[TextFrame]) -> None:
        """See ``Extractor``."""
        from indexer.modalities.ocr.text_tracking import TextTracker

        reader = cast("TextReader", self.context.model("ocr"))
        self._tracker = self._tracker or TextTracker(self.context.video_id)
        for frame in frames:
            self._tracker.see(frame, reader.read(frame.image))

    def on_end(self, duration_s: float) -> Iterable[Segment]:
        """See ``Extractor``."""
        return self._tracker.segments() if self._tracker else ()


OCR = Modality(
    "ocr",
    "text",
    "text in the picture",
    "text_frames",
    OcrExtractor,
    role=Role(
        "ocr",
        {"rapidocr": rapidocr},
        default="rapidocr:embedded",
        help='On-screen text: "rapidocr:embedded", or "off".',
    ),
    version="2",
    heading="Text on screen",
    cost="text that is shown. 9 to 12 s for a minute of video",
)
