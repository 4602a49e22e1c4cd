"""A sentence about each keyframe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import cast

from indexer.core.types import Keyframe, Record, Segment
from indexer.modalities.base import Extractor, Modality
from indexer.models.base import Captioner, Role
from indexer.models.build import blip

__all__ = ["CAPTIONS"]


@dataclass(slots=True)
class CaptionExtractor(Extractor):
    """Describes keyframes; the sentences are encoded together at the end."""

    _captions: list[Segment] = field(default_factory=list)

    def on_keyframes(self, keyframes: Sequence[Keyframe]) -> list[Record]:
        """See ``Extractor``."""
        captioner = cast("Captioner", self.context.model("captions"))
        texts = captioner.describe([keyframe.image for keyframe in keyframes])
        self._captions += [
            Segment(keyframe.video_id, keyframe.start_s, keyframe.end_s, text, "captions")
            for keyframe, text in zip(keyframes, texts, strict=True)
            if text
        ]
        return []

    def on_end(self, duration_s: float) -> Iterable[Segment]:
        """See ``Extractor``."""
        return self._captions


CAPTIONS = Modality(
    "captions",
    "text",
    "captions",
    "keyframes",
    CaptionExtractor,
    role=Role(
        "captions",
        {"blip": blip},
        default="blip:Salesforce/blip-image-captioning-base",
        help='Captions of keyframes: "blip:NAME", "blip:/folder", or "off".',
    ),
    version="1",
    heading="Caption",
    cost="a sentence about each picture. Decodes the pictures once more; slow without a GPU",
)
