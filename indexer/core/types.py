"""The vocabulary: what the parts of the project say to each other.

Times are seconds from a video's first frame (``_s``); intervals are half-open ``[start_s, end_s)``.
Images are uint8 ``(H, W, 3)`` RGB; sound is float32 samples, nominally in [-1, 1]. Embeddings are float32 and
L2-normalised, so that a dot product is a true cosine in [-1, 1]; a higher score is always better.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Cue",
    "Embedding",
    "Facet",
    "Image",
    "Keyframe",
    "ModalityName",
    "Record",
    "Samples",
    "Segment",
    "Shot",
    "Sighting",
    "Space",
    "Video",
]

Image: TypeAlias = NDArray[np.uint8]
Embedding: TypeAlias = NDArray[np.float32]
Facet: TypeAlias = str | int | float | bool
Samples: TypeAlias = NDArray[np.float32]
ModalityName: TypeAlias = str
"""The name of a modality in ``indexer.modalities.registry``, such as ``ocr``."""
Space: TypeAlias = Literal["frames", "text", "audio"]


def _check_interval(start_s: float, end_s: float) -> None:
    if not 0 <= start_s <= end_s:
        raise ValueError(f"not an interval: [{start_s}, {end_s})")


@dataclass(frozen=True, slots=True)
class Video:
    """One file's facts.

    ``id`` is the 128-bit BLAKE2b of the content in hexadecimal: a renamed file is the same video.
    ``width`` and ``height`` are as displayed (rotation and pixel aspect applied), 0 without a picture;
    ``frame_rate`` is the stream's average, None without a picture. ``facets`` are free facts to filter by,
    ``descriptors`` those that ``indexer.modalities.video_facts`` has found by itself.
    """

    id: str
    path: Path
    size: int
    mtime_ns: int
    duration_s: float
    frame_rate: Fraction | None
    width: int
    height: int
    has_audio: bool
    title: str = ""
    description: str = ""
    label: str = ""
    facets: Mapping[str, Facet] = field(default_factory=dict)
    descriptors: Mapping[str, Facet] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("a video needs an id")
        _check_interval(0.0, self.duration_s)

    @property
    def has_picture(self) -> bool:
        """Whether there is anything to see."""
        return self.width > 0 and self.height > 0


@dataclass(frozen=True, slots=True)
class Shot:
    """An uninterrupted run of frames between two cuts; ``index`` counts from 0."""

    video_id: str
    index: int
    start_s: float
    end_s: float

    def __post_init__(self) -> None:
        _check_interval(self.start_s, self.end_s)


@dataclass(frozen=True, slots=True, eq=False)
class Keyframe:
    """A frame that stands for the span ``[start_s, end_s)`` of a shot; ``time_s`` lies in that span.

    ``image`` is RGB, upright, square-pixelled, and never stored in the database.
    """

    video_id: str
    shot: int
    start_s: float
    end_s: float
    time_s: float
    image: Image

    def __post_init__(self) -> None:
        _check_interval(self.start_s, self.end_s)


@dataclass(frozen=True, slots=True)
class Cue:
    """A timed line of text before anyone says what kind it is."""

    start_s: float
    end_s: float
    text: str

    def __post_init__(self) -> None:
        _check_interval(self.start_s, self.end_s)


@dataclass(frozen=True, slots=True)
class Sighting:
    """One object seen in the keyframe at ``time_s``.

    ``label`` is the class's name and ``class_index`` its number in the detector; ``confidence`` is in [0, 1];
    ``box`` is left, top, right, bottom as shares of the picture's width and height, in [0, 1].
    """

    time_s: float
    label: str
    class_index: int
    confidence: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Segment:
    """A timed piece of text about a video.

    ``words`` are the words of a speech segment with their own times, as far as they are known; ``sightings`` what an
    objects segment counts.
    """

    video_id: str
    start_s: float
    end_s: float
    text: str
    kind: ModalityName
    words: tuple[Cue, ...] = ()
    sightings: tuple[Sighting, ...] = ()

    def __post_init__(self) -> None:
        _check_interval(self.start_s, self.end_s)


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """What the database holds: one vector, the span it stands for, and its text.

    ``space`` is the embedding space of the vector, and so the collection that holds the record. ``time_s`` is the
    instant to show (a keyframe's own time, a segment's start). ``shot`` is the shot's index, -1 without one. ``vector``
    is ``(dim,)`` float32, L2-normalised. ``words`` and ``sightings`` are those of the segment it was made of.
    """

    id: str
    video_id: str
    modality: ModalityName
    space: Space
    start_s: float
    end_s: float
    time_s: float
    vector: Embedding
    text: str = ""
    shot: int = -1
    words: tuple[Cue, ...] = ()
    sightings: tuple[Sighting, ...] = ()

    def __post_init__(self) -> None:
        _check_interval(self.start_s, self.end_s)
