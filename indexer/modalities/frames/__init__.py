"""What is seen: one vector for each keyframe."""

from __future__ import annotations

from collections.abc import Sequence

from indexer.core.types import Keyframe, Record
from indexer.modalities.base import Extractor, Modality
from indexer.models.build import FRAMES_ROLE

__all__ = ["FRAMES"]


class FrameExtractor(Extractor):
    """Encodes keyframes with the picture model."""

    def on_keyframes(self, keyframes: Sequence[Keyframe]) -> list[Record]:
        """See ``Extractor``."""
        vectors = self.context.models.frames.encode_images([keyframe.image for keyframe in keyframes])
        return [self.records.of_keyframe(keyframe, vector) for keyframe, vector in zip(keyframes, vectors, strict=True)]


FRAMES = Modality("frames", "frames", "pictures", "keyframes", FrameExtractor, role=FRAMES_ROLE, heading="Picture")
