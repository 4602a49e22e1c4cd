"""What is written beside a video or inside it: subtitles, title and description."""

from __future__ import annotations

from collections.abc import Iterable

from indexer.core.types import Segment
from indexer.modalities.base import Extractor, Modality

__all__ = ["DESCRIPTION", "SUBTITLE"]


class SubtitleExtractor(Extractor):
    """One segment for each subtitle."""

    def on_end(self, duration_s: float) -> Iterable[Segment]:
        """See ``Extractor``."""
        return self.context.texts.subtitles(self.context.video_id)


class DescriptionExtractor(Extractor):
    """Title and description as one segment over the whole video."""

    def on_end(self, duration_s: float) -> Iterable[Segment]:
        """See ``Extractor``."""
        return self.context.texts.descriptions(self.context.video_id, duration_s)


SUBTITLE = Modality("subtitle", "text", "subtitles", "texts", SubtitleExtractor)
DESCRIPTION = Modality("description", "text", "descriptions", "texts", DescriptionExtractor, heading="Description")
