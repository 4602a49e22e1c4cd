"""Combines the lines of text read in a video's frames: each text once, with its start and end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from indexer.core.text import squeezed
from indexer.core.types import Image, Segment
from indexer.models.base import Line
from indexer.models.rapidocr import in_reading_order

_Box: TypeAlias = tuple[float, float, float, float]

BRIDGE_S = 2.0
"""A text that is missing for at most this many seconds was visible all the time."""

# Readers are sometimes confident about short junk, hardly ever about long junk.
_MIN_CONFIDENCE, _MIN_SHORT_CONFIDENCE = 0.75, 0.8
_SHORT = 3
# Two different readings with this confidence are two texts; with less, one may be a misreading of the other.
_SURE = 0.95
_LETTERS_PER_MISREADING = 5
_MIN_PART = 3
_IN_PLACE = 0.5
_MAX_LINE_GAP = 0.8
_MAX_WORD_GAP = 2.0
_MAX_HEIGHT_RATIO = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class TextFrame:
    """A picture to read, taken at ``time_s``; its text looked the same over ``[start_s, end_s)``.

    ``image`` is ``(H, W, 3)`` uint8 RGB. No picture was read from ``since_s`` to ``start_s``, so the text of that time
    is unknown; None if there is no such time.
    """

    video_id: str
    start_s: float
    end_s: float
    time_s: float
    image: Image
    since_s: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.start_s <= self.end_s:
            raise ValueError(f"not an interval: [{self.start_s}, {self.end_s})")


def is_text(line: Line) -> bool:
    """Whether a line is text and not junk: two or more different letters or digits, read with confidence."""
    folded = squeezed(line.text)
    if len(set(folded)) < 2 or len(folded) < len(line.text.replace(" ", "")) / 2:
        return False
    return line.confidence >= (_MIN_SHORT_CONFIDENCE if len(folded) <= _SHORT else _MIN_CONFIDENCE)


@dataclass(eq=False, slots=True)
class _LineTrack:
    """One line over time: all its readings, the newest last."""

    readings: list[Line]

    @property
    def newest(self) -> Line:
        return self.readings[-1]

    @property
    def best(self) -> Line:
        """The most confident of the readings that are almost complete."""
        longest = max(len(squeezed(reading.text)) for reading in self.readings)
        misreadings = longest // _LETTERS_PER_MISREADING
        complete = [reading for reading in self.readings if len(squeezed(reading.text)) >= longest - misreadings]
        return max(complete, key=lambda reading: reading.confidence)

    def is_covered_by(self, tracks: Iterable[_LineTrack]) -> bool:
        """Whether a still line, which has grown, now covers the place of this one."""
        return any(track.is_still and _overlap(self.newest.box, track.newest.box) > _IN_PLACE for track in tracks)

    @property
    def is_still(self) -> bool:
        """Whether it is in the place of its previous reading."""
        return len(self.readings) < 2 or _overlap(self.readings[-2].box, self.newest.box) > _IN_PLACE

    def likeness(self, line: Line) -> float:
        """How likely the line is this one again: 1 for the same letters, 0 for another line."""
        return max(_likeness(reading, line) for reading in (self.newest, self.best))


@dataclass(eq=False, slots=True)
class _Block:
    """Lines that are visible together, with their start and end."""

    start_s: float
    end_s: float
    tracks: list[_LineTrack]

    def count_of(self, tracks: Iterable[_LineTrack]) -> int:
        """How many of these lines it has."""
        return sum(track in self.tracks for track in tracks)

    def continues_in(self, tracks: Sequence[_LineTrack]) -> bool:
        """Whether these lines are the block again: some added or not read, but none replaced."""
        missing = [track for track in self.tracks if track not in tracks]
        added = [track for track in tracks if track not in self.tracks]
        is_replaced = any(_overlap(old.newest.box, new.newest.box) > 0 for old in missing for new in added)
        return 0 < self.count_of(tracks) >= len(missing) and not is_replaced

    def take_over(self, tracks: Sequence[_LineTrack], end_s: float) -> None:
        """Continue until ``end_s`` with these lines; older lines that one of them covers were parts of it."""
        kept = [track for track in self.tracks if track in tracks or not track.is_covered_by(tracks)]
        self.tracks = kept + [track for track in tracks if track not in self.tracks]
        self.end_s = max(self.end_s, end_s)

    @property
    def text(self) -> str:
        """The best readings of its lines, in reading order."""
        lines = [replace(track.newest, text=track.best.text) for track in self.tracks]
        return " ".join(line.text for line in in_reading_order(lines))


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    """The lines read in one frame; ``aspect`` is its picture's width over height."""

    start_s: float
    end_s: float
    since_s: float
    aspect: float
    lines: tuple[Line, ...]


@dataclass(slots=True, eq=False)
class TextTracker:
    """Turns the lines read in a video's frames into segments of kind ``ocr``.

    Readings of the same line in neighbouring frames are one line with the best reading, even if some are misread. Lines
    that stand together are one text, and so is a text that builds up word by word. Gaps of up to ``BRIDGE_S`` are
    filled. Memory grows with the number of lines alone.
    """

    video_id: str
    _readings: list[_Reading] = field(default_factory=list)

    def see(self, frame: TextFrame, lines: Sequence[Line]) -> None:
        """Add the lines read in a frame; frames come in any order."""
        texts = tuple(line for line in lines if is_text(line))
        if texts:
            since_s = frame.start_s if frame.since_s is None else frame.since_s
            aspect = frame.image.shape[1] / frame.image.shape[0]
            self._readings.append(_Reading(frame.start_s, frame.end_s, since_s, aspect, texts))

    def segments(self) -> list[Segment]:
        """The texts in order of time, without those that are part of another one over the same time."""
        blocks = sorted(_blocks(self._readings), key=lambda block: (block.start_s, block.end_s))
        found = [Segment(self.video_id, block.start_s, block.end_s, block.text, "ocr") for block in blocks]
        return _without_parts(_merged(found))


def _blocks(readings: Iterable[_Reading]) -> list[_Block]:
    closed: list[_Block] = []
    current: list[_Block] = []
    for reading in sorted(readings, key=lambda reading: reading.start_s):
        closed += [block for block in current if block.end_s < reading.since_s - BRIDGE_S]
        current = [block for block in current if block.end_s >= reading.since_s - BRIDGE_S]
        known = dict.fromkeys(track for block in current for track in block.tracks)
        for group in _groups(_assign(reading.lines, list(known)), reading.aspect):
            _add_group(current, reading, group)
    return closed + current


def _add_group(current: list[_Block], reading: _Reading, tracks: list[_LineTrack]) -> None:
    same = [block for block in current if block.continues_in(tracks)]
    if same:
        max(same, key=lambda block: (block.count_of(tracks), block.end_s)).take_over(tracks, reading.end_s)
    else:
        current.append(_Block(reading.start_s, reading.end_s, tracks))


def _assign(lines: Sequence[Line], known: Sequence[_LineTrack]) -> list[_LineTrack]:
    """The track of each line, a known or a new one; the most likely pairs come first."""
    pairs = [(track.likeness(line), number, track) for number, line in enumerate(lines) for track in known]
    owners: dict[int, _LineTrack] = {}
    for likeness, number, track in sorted(pairs, key=lambda pair: -pair[0]):
        if likeness and number not in owners and track not in owners.values():
            owners[number] = track
    for number, track in owners.items():
        track.readings.append(lines[number])
    return [owners.get(number) or _LineTrack([line]) for number, line in enumerate(lines)]


def _likeness(before: Line, line: Line) -> float:
    one, other = squeezed(before.text), squeezed(line.text)
    shorter, longer = sorted((one, other), key=len)
    is_in_place = _overlap(before.box, line.box) > _IN_PLACE
    if one == other:
        return 1.0 if is_in_place else 0.95
    if is_in_place and (longer.startswith(shorter) or (len(shorter) >= _MIN_PART and shorter in longer)):
        return 0.9
    allowed = len(longer) // _LETTERS_PER_MISREADING or int(len(longer) > _SHORT)
    is_sure = min(before.confidence, line.confidence) >= _SURE
    if is_sure or not is_in_place:
        return 0.0
    edits = _edits(one, other) if len(longer) - len(shorter) <= allowed else len(longer)
    return 0.8 * (1 - edits / len(longer)) if edits <= allowed else 0.0


def _edits(one: str, other: str) -> int:
    """The edit distance of two texts (Levenshtein, 1966)."""
    row = list(range(len(other) + 1))
    for index, letter in enumerate(one, start=1):
        previous, row = row, [index]
        for column, another in enumerate(other, start=1):
            row.append(min(previous[column] + 1, row[-1] + 1, previous[column - 1] + (letter != another)))
    return row[-1]


def _overlap(one: _Box, other: _Box) -> float:
    """The area that both boxes cover, as a share of the smaller one."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    smaller = min(_area(one), _area(other))
    return width * height / smaller if width > 0 and height > 0 and smaller > 0 else 0.0


def _area(box: _Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _groups(tracks: Sequence[_LineTrack], aspect: float) -> Iterator[list[_LineTrack]]:
    """The lines grouped by text; ``aspect`` is the picture's width over its height."""
    left = list(tracks)
    while left:
        group = [left.pop(0)]
        for member in group:
            group += (near := [track for track in left if _stand_together(member.newest, track.newest, aspect)])
            left = [track for track in left if track not in near]
        yield group


def _stand_together(one: Line, other: Line, aspect: float) -> bool:
    """Whether two lines follow each other in one text: below each other, or beside each other."""
    heights = sorted(box[3] - box[1] for box in (one.box, other.box))
    if heights[1] > _MAX_HEIGHT_RATIO * heights[0]:
        return False
    gap_x = (max(one.box[0], other.box[0]) - min(one.box[2], other.box[2])) * aspect
    gap_y = max(one.box[1], other.box[1]) - min(one.box[3], other.box[3])
    is_below = gap_x < 0 and gap_y < _MAX_LINE_GAP * heights[1]
    return is_below or (gap_y < -heights[0] / 2 and gap_x < _MAX_WORD_GAP * heights[1])


def _merged(segments: Iterable[Segment]) -> list[Segment]:
    """Segments in order of their start, merged if they have one text and overlap or nearly touch."""
    merged: dict[str, list[Segment]] = {}
    for segment in segments:
        same = merged.setdefault(squeezed(segment.text), [])
        if same and segment.start_s <= same[-1].end_s + BRIDGE_S:
            same[-1] = replace(same[-1], end_s=max(same[-1].end_s, segment.end_s))
        else:
            same.append(segment)
    return sorted((segment for same in merged.values() for segment in same), key=lambda segment: segment.start_s)


def _without_parts(segments: Sequence[Segment]) -> list[Segment]:
    return [segment for segment in segments if not any(_is_part(segment, other) for other in segments)]


def _is_part(segment: Segment, other: Segment) -> bool:
    one, whole = squeezed(segment.text), squeezed(other.text)
    return len(one) < len(whole) and one in whole and other.start_s <= segment.start_s and segment.end_s <= other.end_s
