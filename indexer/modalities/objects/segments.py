"""Turns the objects detected in keyframes into segments of shots and vectors of a video."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexer.core.types import Segment, Sighting
from indexer.models.base import Detection

_IRREGULAR = """
child:children deer:deer fish:fish foot:feet gas:gases goose:geese knife:knives leaf:leaves lens:lenses man:men
mouse:mice ox:oxen potato:potatoes scarf:scarves sheep:sheep shelf:shelves skis:skis tomato:tomatoes tooth:teeth
wolf:wolves woman:women
"""
_PLURALS: Mapping[str, str] = dict(pair.split(":", 1) for pair in _IRREGULAR.split())


@dataclass(frozen=True, slots=True)
class SeenFrame:
    """The detections in the keyframe at ``time_s``, which stands for ``[start_s, end_s)`` of a shot."""

    shot: int
    start_s: float
    end_s: float
    time_s: float
    detections: tuple[Detection, ...]

    @property
    def sightings(self) -> tuple[Sighting, ...]:
        """The detections with the keyframe's time, most confident first."""
        ordered = sorted(self.detections, key=lambda seen: -seen.confidence)
        return tuple(Sighting(self.time_s, seen.label, seen.class_index, seen.confidence, seen.box) for seen in ordered)


def object_segments(video_id: str, seen: Iterable[SeenFrame]) -> list[Segment]:
    """One segment for each shot with detections, in time order; ``seen`` are a video's keyframes, in any order.

    It spans all of the shot's keyframes. Its text counts each class by the most objects in one keyframe: the same
    object in five keyframes counts once. Its sightings are all of the shot's, in time order.
    """
    shots: dict[int, list[SeenFrame]] = defaultdict(list)
    for frame in seen:
        shots[frame.shot].append(frame)
    segments = [_segment(video_id, shots[shot]) for shot in shots if any(frame.detections for frame in shots[shot])]
    return sorted(segments, key=lambda segment: (segment.start_s, segment.end_s))


def _segment(video_id: str, frames: Sequence[SeenFrame]) -> Segment:
    in_order = sorted(frames, key=lambda frame: frame.time_s)
    sightings = tuple(sighting for frame in in_order for sighting in frame.sightings)
    return Segment(
        video_id=video_id,
        start_s=min(frame.start_s for frame in frames),
        end_s=max(frame.end_s for frame in frames),
        text=objects_text(sightings),
        kind="objects",
        sightings=sightings,
    )


def objects_text(sightings: Iterable[Sighting]) -> str:
    """The objects in words, as "2 persons, 1 bus": by number, then by confidence; empty without objects."""
    sightings = list(sightings)
    surest: dict[str, float] = defaultdict(float)
    for sighting in sightings:
        surest[sighting.label] = max(surest[sighting.label], sighting.confidence)
    counts = object_counts(sightings)
    order = sorted(counts, key=lambda label: (-counts[label], -surest[label], label))
    return ", ".join(f"{counts[label]} {label if counts[label] == 1 else _plural(label)}" for label in order)


def _plural(label: str) -> str:
    """The English plural of a class; only the last word changes ("wine glasses")."""
    before, space, word = label.rpartition(" ")
    return f"{before}{space}{_plural_word(word)}"


def _plural_word(word: str) -> str:
    if word.lower() in _PLURALS:
        return _PLURALS[word.lower()]
    if re.search(r"([^su]s|[^aeiou]es)$", word):
        return word  # plural already: "scissors", "jeans"; not "bus" or "glass"
    if re.search(r"(s|x|z|ch|sh)$", word):
        return f"{word}es"
    return f"{word[:-1]}ies" if re.search(r"[^aeiou]y$", word) else f"{word}s"


def object_counts(sightings: Iterable[Sighting]) -> dict[str, int]:
    """For each class, the largest number of its objects in one keyframe; sightings in any order."""
    largest: dict[str, int] = {}
    for (_, label), count in Counter((sighting.time_s, sighting.label) for sighting in sightings).items():
        largest[label] = max(largest.get(label, 0), count)
    return largest


def object_vectors(
    sightings: Iterable[Sighting], keyframes: int, classes: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Two vectors ``(classes,)`` float32 in [0, 1] of a video: each class's maximum and mean confidence.

    A keyframe's confidence in a class is that of its most confident sighting, 0 without one.

    Args:
        sightings: All of the video's, in any order.
        keyframes: How many keyframes were searched, including those without objects.
        classes: How many classes the detector has.

    Raises:
        ValueError: a class number is out of range, or the sightings are of more keyframes than there are.
    """
    best: dict[tuple[float, int], float] = {}
    for sighting in sightings:
        if not 0 <= sighting.class_index < classes:
            raise ValueError(f"a sighting is of class {sighting.class_index}; there are {classes}")
        key = (sighting.time_s, sighting.class_index)
        best[key] = max(best.get(key, 0.0), sighting.confidence)
    if (frames := len({time_s for time_s, _ in best})) > keyframes:
        raise ValueError(f"the sightings are of {frames} keyframes; there are {keyframes}")
    maximum, total = np.zeros(classes), np.zeros(classes)
    for (_, number), confidence in sorted(best.items()):
        maximum[number] = max(maximum[number], confidence)
        total[number] += confidence
    return maximum.astype(np.float32), (total / max(1, keyframes)).astype(np.float32)
