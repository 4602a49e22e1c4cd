"""Which objects are seen, and how many."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from indexer.core.types import Keyframe, Record, Segment
from indexer.modalities.base import Extractor, Modality
from indexer.models.base import ObjectDetector, Role
from indexer.models.build import detr, yolo

if TYPE_CHECKING:
    from indexer.modalities.objects.segments import SeenFrame

__all__ = ["OBJECTS"]


@dataclass(slots=True)
class ObjectExtractor(Extractor):
    """Detects objects in keyframes; a shot's are one segment, made at the end."""

    _seen: list[SeenFrame] = field(default_factory=list)

    @property
    def class_probabilities(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """See ``Extractor``."""
        from indexer.modalities.objects.segments import object_vectors

        if not self._seen:
            return (), ()
        sightings = [sighting for frame in self._seen for sighting in frame.sightings]
        maximum, mean = object_vectors(sightings, len(self._seen), len(self._detector.labels))
        return tuple(maximum.tolist()), tuple(mean.tolist())

    @property
    def _detector(self) -> ObjectDetector:
        return cast("ObjectDetector", self.context.model("objects"))

    def on_keyframes(self, keyframes: Sequence[Keyframe]) -> list[Record]:
        """See ``Extractor``."""
        from indexer.modalities.objects.segments import SeenFrame

        detected = self._detector.detect([keyframe.image for keyframe in keyframes])
        self._seen += [
            SeenFrame(keyframe.shot, keyframe.start_s, keyframe.end_s, keyframe.time_s, tuple(detections))
            for keyframe, detections in zip(keyframes, detected, strict=True)
        ]
        return []

    def on_end(self, duration_s: float) -> Iterable[Segment]:
        """See ``Extractor``."""
        from indexer.modalities.objects.segments import object_segments

        return object_segments(self.context.video_id, self._seen)


OBJECTS = Modality(
    "objects",
    "text",
    "objects",
    "keyframes",
    ObjectExtractor,
    role=Role(
        "objects",
        {"detr": detr, "yolo": yolo},
        default="detr:ustc-community/dfine-small-coco",
        help='Objects: "detr:NAME", "detr:/folder", "yolo:/path/weights.onnx" (or .pt), or "off".',
    ),
    version="1",
    cost="what is seen, and how many. Decodes the pictures once more",
)
