"""Moments as a cut for editing suites: CMX3600 edit decision lists, and OpenTimelineIO.

Each moment is an event, in the order of the ranking, one after the other. An event begins with the frame that is shown
when the moment begins and ends with the last one shown in it. Positions are counted in frames from the file's own start
time code, or from zero where it has none; where the file cannot be opened, its time code is unknown, and the list says
so. The index knows a moment's place in seconds. In a file of constant frame rate that is one certain frame; in a file
of varying rate it is the frame at that second once the file plays at its average rate, as editing suites play it.

An EDL has one frame rate, eight characters to name a reel, and 999 events. Its rate is the commonest of the videos
listed that a time code can count; events of other rates are placed by their second, with a note of their own rate. At
29.97 and 59.94 its time code drops numbers, unless the files of that rate carry one that does not. Where some do and
others do not, each event's place in its file is counted as the file counts, with an ``FCM`` line at every change, and
the places in the cut drop numbers. OpenTimelineIO has none of these limits: every clip keeps the rate of its file.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from indexer.core.errors import UsageError
from ui.services.answers import MomentView, best_hits, moment_views

if TYPE_CHECKING:
    from pathlib import Path

    from opentimelineio.opentime import TimeRange
    from opentimelineio.schema import Clip, Gap

    from indexer.core.types import Video
    from search.engine import Ranking
    from search.moments import Moment

MOST_EVENTS = 999
"""Event numbers of an EDL have three digits."""

_RATES = tuple(
    Fraction(frames, 1001 if frames % 1000 == 0 else 1)
    for frames in (24000, 24, 25, 30000, 30, 48000, 48, 50, 60000, 60)
)
"""Frames per second that a time code can count."""
_DEFAULT_RATE = Fraction(25)
_REEL_LENGTH = 8
_RESERVED_REELS = frozenset({"AX", "BL", "BLACK", "BARS"})
_LONGEST_NAME = 120
_LONGEST_TEXT = 200
# The rounding of containers changes a rate by no more than this; 24 and 24000/1001 are 1/1000 apart.
_SAME_RATE = Fraction(1, 5000)
# A time that should be a frame's first instant may miss it by this share of a frame.
_JITTER = Fraction(1, 100)
_TIMECODE = re.compile(r"(\d{2}):(\d{2}):(\d{2})([:;.])(\d{2,3})")
_NO_STARTS: Mapping[str, str | None] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Event:
    """A moment's place in its file, in frames of ``rate`` a second."""

    rank: int
    moment: Moment
    rate: Fraction
    first: int  # the first frame shown
    end: int  # the frame after the last one shown
    origin: int  # the number that the file's own time code gives its first frame
    length: int  # how many frames the file has
    timecode: str | None  # that the file begins with; "" for none, None where the file cannot be opened

    @property
    def video(self) -> Video:
        """The video that the moment is in."""
        return self.moment.video


def as_edl(ranking: Ranking, question: str, starts: Mapping[str, str | None] = _NO_STARTS) -> bytes:
    """Write the ranking as a CMX3600 edit decision list, in UTF-8; the module's docstring says what it can hold.

    The channel says whether an event has picture (``V``), sound (``A``) or both (``B``). The reel is the video's title,
    or its file's name, cut to eight letters and digits; no two videos have the same. ``starts`` are the time codes that
    the files begin with, by the videos' ids; a file without one begins at zero.

    Raises:
        UsageError: there are more moments than an EDL has numbers for, or they last a day or longer together.
    """
    if len(ranking.moments) > MOST_EVENTS:
        raise UsageError(
            f"An EDL holds {MOST_EVENTS} moments, and there are {len(ranking.moments)}.",
            hint="Ask for fewer with --top-k, or write an .otio file.",
        )
    rate = list_rate(moment.video for moment in ranking.moments)
    events = events_of(ranking, starts, rate)
    marks = set(map(_mark, events))
    drops = _can_drop(rate) and (";" in marks or ":" not in marks)
    _check_length(events, rate, drops)
    head = [f"TITLE: {_title(question)}", _counting(drops), *([""] if events else [])]
    return "".join(f"{line}\n" for line in (*head, *_edl_lines(events, rate, drops))).encode()


def as_otio(ranking: Ranking, question: str, starts: Mapping[str, str | None] = _NO_STARTS) -> bytes:
    """Write the ranking as an OpenTimelineIO timeline: a track of pictures and one of sounds, each if a file has any.

    A clip's ``metadata["sceneseek"]`` says why it is there: rank, query, score, confidence, evidence, and the times
    in seconds as they are in the index. ``starts`` is as for ``as_edl``.
    """
    from opentimelineio import adapters, schema

    events = events_of(ranking, starts)
    timeline = schema.Timeline(name=_title(question))
    timeline.metadata["sceneseek"] = {"query": _plain(question), "moments": len(events)}
    for kind, name in (("Video", "V1"), ("Audio", "A1")):
        if any(_has(event, kind) for event in events):
            clips = [_clip(event, question) if _has(event, kind) else _gap(event) for event in events]
            timeline.tracks.append(schema.Track(name=name, kind=kind, children=clips))
    return f"{adapters.write_to_string(timeline, 'otio_json')}\n".encode()


def start_timecodes(ranking: Ranking) -> dict[str, str | None]:
    """Read the time codes that the files begin with, such as ``01:00:00:00``, by the videos' ids.

    "" stands for none, None for a file that cannot be opened.
    """
    from indexer.media.read.probe import start_timecode

    paths = {moment.video.id: moment.video.path for moment in ranking.moments}
    return {video_id: start_timecode(path) for video_id, path in paths.items()}


def events_of(
    ranking: Ranking, starts: Mapping[str, str | None] = _NO_STARTS, rate: Fraction | None = None
) -> list[Event]:
    """The moments in frames of one rate, by default of their own files; sound is counted at the rate of the list."""
    usual = list_rate(moment.video for moment in ranking.moments)
    events = []
    for view in moment_views(ranking):
        own, timecode = _rate_of(view.moment.video) or usual, starts.get(view.moment.video.id, "")
        origin = _origin(timecode, own)
        events.append(_event(view, rate or own, origin if rate is None else round(origin / own * rate), timecode))
    return events


def list_rate(videos: Iterable[Video]) -> Fraction:
    """The commonest frame rate that a time code can count; the nearest to the commonest of all if there is none."""
    rates = [rate for rate in map(_rate_of, videos) if rate is not None]
    countable = [rate for rate in rates if rate in _RATES] or [_countable(rate) for rate in rates]
    return Counter(countable).most_common(1)[0][0] if countable else _DEFAULT_RATE


def _rate_of(video: Video) -> Fraction | None:
    """A video's frame rate without the container's rounding; None where there is no picture."""
    rate = video.frame_rate
    if not rate or not video.has_picture:
        return None
    nearest = min(_RATES, key=lambda known: abs(known - rate))
    return nearest if abs(nearest - rate) <= nearest * _SAME_RATE else rate


def _countable(rate: Fraction) -> Fraction:
    """A rate that shows every frame of another if there is one, else the nearest."""
    multiples = [known for known in _RATES if (known / rate).denominator == 1]
    return multiples[0] if multiples else min(_RATES, key=lambda known: abs(known - rate))


def _can_drop(rate: Fraction) -> bool:
    return rate in (Fraction(30000, 1001), Fraction(60000, 1001))


def _mark(event: Event) -> str:
    """How the file's own time code counts: ``;`` where it drops numbers, ``:`` where it could and does not; else ""."""
    found = _TIMECODE.fullmatch(event.timecode or "")
    if found is None or not _can_drop(_rate_of(event.video) or Fraction(0)):
        return ""
    return ":" if found[4] == ":" else ";"


def _counting(drops: bool) -> str:
    return f"FCM: {'DROP' if drops else 'NON-DROP'} FRAME"


def _check_length(events: Sequence[Event], rate: Fraction, drops: bool) -> None:
    """Time codes begin anew after a day: a cut that long would end before it begins."""
    frames = sum(event.end - event.first for event in events)
    if frames >= _origin(f"24:00:00{';' if drops else ':'}00", rate):
        raise UsageError(
            f"An EDL holds less than 24 hours, and these moments last {float(frames / rate / 3600):.1f}.",
            hint="Ask for fewer with --top-k, or write an .otio file.",
        )


def _event(view: MomentView, rate: Fraction, origin: int, timecode: str | None) -> Event:
    """The event begins with the frame shown at the start and ends with the last one shown; at least one frame."""
    moment = view.moment
    first = math.floor(Fraction(moment.start_s) * rate + _JITTER)
    end = max(first + 1, math.ceil(Fraction(moment.end_s) * rate - _JITTER))
    length = max(end, math.ceil(Fraction(moment.video.duration_s) * rate - _JITTER))
    return Event(view.rank, moment, rate, first, end, origin, length, timecode)


def _origin(timecode: str | None, rate: Fraction) -> int:
    """The number of frames that a start time code stands for; 0 where it is none at this rate."""
    found = _TIMECODE.fullmatch(timecode or "")
    if found is None:
        return 0
    hours, minutes, seconds, frames = (int(found[group]) for group in (1, 2, 3, 5))
    whole = round(rate)
    count = ((hours * 60 + minutes) * 60 + seconds) * whole + frames
    if found[4] == ":" or not _can_drop(rate):
        return count
    dropped = hours * 60 + minutes - (hours * 60 + minutes) // 10
    return count - dropped * (whole // 15)


def _edl_lines(events: Sequence[Event], rate: Fraction, drops: bool) -> Iterator[str]:
    """The events, each counted as its file counts; ``drops`` says whether the places in the cut drop numbers.

    OpenTimelineIO's CMX3600 adapter cannot write this: it knows one channel, and counts all files in one way.
    """
    reels = _reels(event.video for event in events)
    position, drops_now = 0, drops
    for number, event in enumerate(events, start=1):
        source_drops = _mark(event) == ";" if _can_drop(rate) and _mark(event) else drops
        if source_drops != drops_now:
            yield _counting(source_drops)
            drops_now = source_drops
        after = position + event.end - event.first
        source = _timecodes(event.origin + event.first, event.origin + event.end, rate, source_drops)
        record = _timecodes(position, after, rate, drops)
        yield f"{number:03}  {reels[event.video.id]:8} {_channel(event.video):5} C        {source} {record}"
        yield from (f"* {comment}" for comment in _comments(event))
        position = after


def _timecodes(first: int, end: int, rate: Fraction, drops: bool) -> str:
    """Two frame numbers as time codes."""
    from opentimelineio.opentime import RationalTime, to_timecode

    # A whole rate gives each frame a number and drops none.
    counted = float(rate if drops or not _can_drop(rate) else round(rate))
    return " ".join(to_timecode(RationalTime(frame, counted), counted) for frame in (first, end))


def _channel(video: Video) -> str:
    if not video.has_picture:
        return "A"
    return "B" if video.has_audio else "V"


def _comments(event: Event) -> Iterator[str]:
    """What an EDL says of an event: the file's name, which editing suites look for, and why it is there."""
    yield f"FROM CLIP NAME:  {_plain(event.video.path.name)[:_LONGEST_NAME]}"
    yield f"FROM FILE: {_plain(event.video.path)}"
    yield f"RANK {event.rank} SCORE {event.moment.score:.6f}"
    if _rate_of(event.video) not in (None, event.rate):
        yield f"SOURCE FRAME RATE {event.video.frame_rate}"
    if event.timecode is None:
        yield "START TIME CODE UNKNOWN, COUNTED FROM ZERO"
    for hit in best_hits(event.moment):
        if hit.text:
            yield f"FOUND IN {f'{hit.modality}: {_plain(hit.text)}'[:_LONGEST_TEXT]}"


def _reels(videos: Iterable[Video]) -> dict[str, str]:
    """A reel name for each video by its id: eight letters and digits at most, no two the same."""
    reels: dict[str, str] = {}
    for video in videos:
        if video.id not in reels:
            reels[video.id] = _reel(video, {*reels.values(), *_RESERVED_REELS})
    return reels


def _reel(video: Video, taken: set[str]) -> str:
    plain = re.sub(r"[^A-Z0-9]", "", (video.title or video.path.stem).upper())[:_REEL_LENGTH] or "VIDEO"
    reel, number = plain, 1
    while reel in taken:
        number += 1
        reel = f"{plain[: _REEL_LENGTH - len(str(number))]}{number}"
    return reel


def _has(event: Event, kind: str) -> bool:
    return event.video.has_picture if kind == "Video" else event.video.has_audio


def _clip(event: Event, question: str) -> Clip:
    from opentimelineio import schema

    path = event.video.path
    file = schema.ExternalReference(
        target_url=_address(path),
        available_range=_range(event.origin, event.origin + event.length, event.rate),
    )
    file.name = _plain(path.name)
    return schema.Clip(
        name=_plain(event.video.title or path.name)[:_LONGEST_NAME],
        media_reference=file,
        source_range=_range(event.origin + event.first, event.origin + event.end, event.rate),
        metadata={"sceneseek": _reasons(event, question)},
    )


def _gap(event: Event) -> Gap:
    from opentimelineio import schema

    return schema.Gap(source_range=_range(0, event.end - event.first, event.rate))


def _range(first: int, end: int, rate: Fraction) -> TimeRange:
    from opentimelineio.opentime import RationalTime, TimeRange

    return TimeRange(RationalTime(first, float(rate)), RationalTime(end - first, float(rate)))


def _reasons(event: Event, question: str) -> dict[str, Any]:
    moment = event.moment
    return {
        "rank": event.rank,
        "query": _plain(question),
        "score": round(moment.score, 6),
        **({} if moment.confidence is None else {"confidence": round(moment.confidence, 4)}),
        "video_id": moment.video.id,
        "label": _plain(moment.video.label),
        "start_s": round(moment.start_s, 3),
        "end_s": round(moment.end_s, 3),
        "frame_rate": str(moment.video.frame_rate or ""),
        **({"start_timecode": "unknown"} if event.timecode is None else {}),
        "why": [
            {"modality": hit.modality, "cosine": round(hit.score, 6), "words": hit.lexical, "text": _plain(hit.text)}
            for hit in best_hits(moment)
        ],
    }


def _address(path: Path) -> str:
    """A ``file:`` address; a relative path stays one, so that the file is found beside the list."""
    return path.as_uri() if path.is_absolute() else quote(os.fsencode(path))


def _title(question: str) -> str:
    return f"sceneseek {_plain(question)}".strip()[:70]


def _plain(text: object) -> str:
    """One line without control characters and undecodable bytes."""
    shown = str(text).encode("utf-8", "replace").decode("utf-8")
    return " ".join("".join(letter if letter.isprintable() else " " for letter in shown).split())
