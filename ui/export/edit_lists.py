"""Moments as a cut for editing suites: CMX3600 edit decision lists, and OpenTimelineIO.

Each moment is a clip, in the order of the ranking, one after the other. A clip begins with the frame that is shown
when the moment begins and ends with the last one shown in it. Positions are counted in frames from the file's own start
time code, or from zero where it has none; where the file cannot be opened, its time code is unknown, which the list
says of each clip. The index knows a moment's place in seconds. In a file of constant frame
rate that is one certain frame; in a file with a varying one it is the frame at that second once the file plays at its
average rate, which is how editing suites take such files in.

An EDL knows one frame rate, eight characters to name a reel, and 999 events. Its rate is the commonest of the videos
listed that a time code can count; clips of other rates are placed by their second, with a note of their own rate. At
29.97 and 59.94 its time code drops numbers, unless the files of that rate carry one that does not. Where some do and
others do not, each clip's place in its file is counted as the file counts, with an ``FCM`` line at every change, and
the places in the cut drop numbers. OpenTimelineIO has none of these limits: every clip keeps the rate of its file.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from indexer.core.errors import UsageError
from ui.services.answers import best_hits

if TYPE_CHECKING:
    from pathlib import Path

    from opentimelineio.opentime import TimeRange
    from opentimelineio.schema import Clip, Gap, Timeline

    from indexer.core.types import Video
    from search.engine import Ranking
    from search.moments import Moment

__all__ = ["MOST_EVENTS", "Cut", "as_edl", "as_otio", "cuts_of", "list_rate", "start_timecodes"]

MOST_EVENTS = 999
"""Event numbers of an EDL have three digits."""

_RATES = tuple(
    Fraction(frames, 1001 if frames % 1000 == 0 else 1)
    for frames in (24000, 24, 25, 30000, 30, 48000, 48, 50, 60000, 60)
)
"""Frames per second that a time code can count."""
_USUAL_RATE = Fraction(25)
_REEL_LENGTH = 8
_RESERVED_REELS = frozenset({"AX", "BL", "BLACK", "BARS"})
_LONGEST_NAME = 120
_LONGEST_TEXT = 200
_UNKNOWN_START = "START TIME CODE UNKNOWN, COUNTED FROM ZERO"
# As much as a container's rounding blurs a rate; 24 and 24000/1001 are 1/1000 apart.
_SAME_RATE = Fraction(1, 5000)
# A time that should fall on a frame's first instant may miss it by as much, as a share of a frame.
_JITTER = Fraction(1, 100)
_TIMECODE = re.compile(r"(\d{2}):(\d{2}):(\d{2})([:;.])(\d{2,3})")
_EVENT = re.compile(r"(?m)^(\d{3}  \S+ +)V    ( C +)\S+ \S+( \S+ \S+)$")


@dataclass(frozen=True, slots=True)
class Cut:
    """A moment's place in its file, in frames of ``rate`` a second.

    ``first`` is the first frame shown and ``end`` the one after the last; ``origin`` is the number that the file's own
    time code gives its first frame, ``timecode`` how the file writes it ("" for none, None where the file cannot be
    opened), and ``length`` how many frames the file has.
    """

    rank: int
    moment: Moment
    rate: Fraction
    first: int
    end: int
    origin: int
    length: int
    timecode: str | None = ""


def as_edl(ranking: Ranking, question: str, starts: Mapping[str, str | None] = MappingProxyType({})) -> bytes:
    """The ranking as a CMX3600 edit decision list, in UTF-8; see the module for what it can hold.

    The channel says whether a clip has picture (``V``), sound (``A``) or both (``B``). The reel is the video's title,
    or its file's name, cut to eight letters and digits, and differs between any two videos.

    Args:
        ranking: What was found.
        question: What was asked, in words.
        starts: The time codes that the files begin with, by the videos' ids; a file without one begins at zero.

    Raises:
        UsageError: there are more moments than an EDL has numbers for, or they last a day or longer together.
    """
    from opentimelineio import adapters

    if len(ranking.moments) > MOST_EVENTS:
        raise UsageError(
            f"An EDL holds {MOST_EVENTS} moments, and there are {len(ranking.moments)}.",
            hint="Ask for fewer with --top-k, or write an .otio file.",
        )
    rate = list_rate(moment.video for moment in ranking.moments)
    cuts = [_recounted(cut, rate) for cut in cuts_of(ranking, starts)]
    marks = {_mark(cut) for cut in cuts}
    drops = _drops(rate) and (";" in marks or ":" not in marks)
    _check_length(cuts, rate, drops)
    header = f"TITLE: {_title(question)}\n{_counting(drops)}"
    if not cuts:
        return header.encode()
    counted = _counted(rate, drops)
    events = adapters.write_to_string(_edl_timeline(cuts, counted), "cmx_3600", rate=float(counted), style="nucoda")
    return f"{header}\n{_as_in_their_files(events, cuts, drops)}".encode()


def as_otio(ranking: Ranking, question: str, starts: Mapping[str, str | None] = MappingProxyType({})) -> bytes:
    """The ranking as an OpenTimelineIO timeline: a track of pictures and, where any file has sound, one of sounds.

    A clip's ``metadata["sceneseek"]`` says why it is there: rank, query, score, confidence, evidence, and the times
    in seconds as they are in the index.

    Args:
        ranking: What was found.
        question: What was asked, in words.
        starts: The time codes that the files begin with, by the videos' ids; a file without one begins at zero.
    """
    from opentimelineio import adapters, schema

    cuts = cuts_of(ranking, starts)
    timeline = schema.Timeline(name=_title(question))
    timeline.metadata["sceneseek"] = {"query": _plain(question), "moments": len(cuts)}
    for kind, name in (("Video", "V1"), ("Audio", "A1")):
        if any(_has(cut, kind) for cut in cuts):
            clips = [_clip(cut, question) if _has(cut, kind) else _gap(cut) for cut in cuts]
            timeline.tracks.append(schema.Track(name=name, kind=kind, children=clips))
    return f"{adapters.write_to_string(timeline, 'otio_json')}\n".encode()


def start_timecodes(ranking: Ranking) -> dict[str, str | None]:
    """The time codes that the files themselves begin with, by the videos' ids, such as ``01:00:00:00``.

    "" stands for none; None for a file that cannot be opened, so that it is unknown.
    """
    from indexer.media.read.probe import start_timecode

    paths = {moment.video.id: moment.video.path for moment in ranking.moments}
    return {video_id: start_timecode(path) for video_id, path in paths.items()}


def cuts_of(ranking: Ranking, starts: Mapping[str, str | None] = MappingProxyType({})) -> list[Cut]:
    """The moments in frames of their own files; files of sound alone are counted at the rate of the list."""
    usual = list_rate(moment.video for moment in ranking.moments)
    return [
        _cut(rank, moment, _rate_of(moment.video) or usual, starts.get(moment.video.id, ""))
        for rank, moment in enumerate(ranking.moments, start=ranking.query.offset + 1)
    ]


def list_rate(videos: Iterable[Video]) -> Fraction:
    """The commonest frame rate that a time code can count; the nearest to the commonest of all if there is none."""
    rates = [rate for rate in map(_rate_of, videos) if rate is not None]
    countable = [rate for rate in rates if rate in _RATES] or [_countable(rate) for rate in rates]
    return Counter(countable).most_common(1)[0][0] if countable else _USUAL_RATE


def _rate_of(video: Video) -> Fraction | None:
    """A video's frame rate, as the time code's where it is one but for rounding; None where there is no picture."""
    if not video.frame_rate or not video.has_picture:
        return None
    nearest = min(_RATES, key=lambda rate: abs(rate - video.frame_rate))  # type: ignore[operator]  # not None
    return nearest if abs(nearest - video.frame_rate) <= nearest * _SAME_RATE else video.frame_rate


def _countable(rate: Fraction) -> Fraction:
    """A rate that shows every frame of another if there is one, else the nearest."""
    multiples = [known for known in _RATES if (known / rate).denominator == 1]
    return multiples[0] if multiples else min(_RATES, key=lambda known: abs(known - rate))


def _drops(rate: Fraction) -> bool:
    return rate in (Fraction(30000, 1001), Fraction(60000, 1001))


def _mark(cut: Cut) -> str:
    """How the file's own time code counts: ``;`` where it drops numbers, ``:`` where it could and does not; else ""."""
    found = _TIMECODE.fullmatch(cut.timecode or "")
    if found is None or not _drops(_rate_of(cut.moment.video) or Fraction(0)):
        return ""
    return ":" if found[4] == ":" else ";"


def _counted(rate: Fraction, drops: bool) -> Fraction:
    """The rate that makes a time code count so: a whole one gives each frame a number and drops none."""
    return rate if drops or not _drops(rate) else Fraction(round(rate))


def _counting(drops: bool) -> str:
    return f"FCM: {'DROP' if drops else 'NON-DROP'} FRAME\n"


def _check_length(cuts: Sequence[Cut], rate: Fraction, drops: bool) -> None:
    """Time codes begin anew after a day: a cut as long as that would end before it begins."""
    frames = sum(cut.end - cut.first for cut in cuts)
    if frames >= _origin(f"24:00:00{';' if drops else ':'}00", rate):
        raise UsageError(
            f"An EDL holds less than 24 hours, and these moments last {float(frames / rate / 3600):.1f}.",
            hint="Ask for fewer with --top-k, or write an .otio file.",
        )


def _cut(rank: int, moment: Moment, rate: Fraction, timecode: str | None) -> Cut:
    first, end = _frames(moment.start_s, moment.end_s, rate)
    length = max(end, math.ceil(Fraction(moment.video.duration_s) * rate - _JITTER))
    return Cut(rank, moment, rate, first, end, _origin(timecode, rate), length, timecode)


def _frames(start_s: float, end_s: float, rate: Fraction) -> tuple[int, int]:
    """The frame shown at the start and the one after the last shown; at least one frame."""
    first = math.floor(Fraction(start_s) * rate + _JITTER)
    return first, max(first + 1, math.ceil(Fraction(end_s) * rate - _JITTER))


def _recounted(cut: Cut, rate: Fraction) -> Cut:
    """The same cut in frames of another rate."""
    if cut.rate == rate:
        return cut
    first, end = _frames(cut.moment.start_s, cut.moment.end_s, rate)
    origin = round(cut.origin / cut.rate * rate)
    return replace(cut, rate=rate, first=first, end=end, origin=origin, length=math.ceil(cut.length / cut.rate * rate))


def _origin(timecode: str | None, rate: Fraction) -> int:
    """The number of frames that a start time code stands for; 0 where it is none at this rate."""
    found = _TIMECODE.fullmatch(timecode or "")
    if found is None:
        return 0
    hours, minutes, seconds, frames = (int(found[group]) for group in (1, 2, 3, 5))
    whole = round(rate)
    count = ((hours * 60 + minutes) * 60 + seconds) * whole + frames
    if found[4] == ":" or not _drops(rate):
        return count
    dropped = hours * 60 + minutes - (hours * 60 + minutes) // 10
    return count - dropped * (whole // 15)


def _range(first: int, end: int, rate: Fraction) -> TimeRange:
    from opentimelineio.opentime import RationalTime, TimeRange

    return TimeRange(RationalTime(first, float(rate)), RationalTime(end - first, float(rate)))


def _has(cut: Cut, kind: str) -> bool:
    return cut.moment.video.has_picture if kind == "Video" else cut.moment.video.has_audio


def _clip(cut: Cut, question: str) -> Clip:
    from opentimelineio import schema

    file = schema.ExternalReference(
        target_url=_address(cut.moment.video.path),
        available_range=_range(cut.origin, cut.origin + cut.length, cut.rate),
    )
    file.name = _plain(cut.moment.video.path.name)
    return schema.Clip(
        name=_plain(cut.moment.video.title or cut.moment.video.path.name)[:_LONGEST_NAME],
        media_reference=file,
        source_range=_range(cut.origin + cut.first, cut.origin + cut.end, cut.rate),
        metadata={"sceneseek": _why(cut, question)},
    )


def _gap(cut: Cut) -> Gap:
    from opentimelineio import schema

    return schema.Gap(source_range=_range(0, cut.end - cut.first, cut.rate))


def _why(cut: Cut, question: str) -> dict[str, Any]:
    moment = cut.moment
    return {
        "rank": cut.rank,
        "query": _plain(question),
        "score": round(moment.score, 6),
        **({} if moment.confidence is None else {"confidence": round(moment.confidence, 4)}),
        "video_id": moment.video.id,
        "label": _plain(moment.video.label),
        "start_s": round(moment.start_s, 3),
        "end_s": round(moment.end_s, 3),
        "frame_rate": str(moment.video.frame_rate or ""),
        **({"start_timecode": "unknown"} if cut.timecode is None else {}),
        "why": [
            {"modality": hit.modality, "cosine": round(hit.score, 6), "words": hit.lexical, "text": _plain(hit.text)}
            for hit in best_hits(moment)
        ],
    }


def _edl_timeline(cuts: Sequence[Cut], counted: Fraction) -> Timeline:
    from opentimelineio import schema

    reels = _reels([cut.moment.video for cut in cuts])
    clips = [_edl_clip(cut, reels[cut.moment.video.id], counted) for cut in cuts]
    return schema.Timeline(tracks=[schema.Track(kind="Video", children=clips)])


def _edl_clip(cut: Cut, reel: str, counted: Fraction) -> Clip:
    """A clip as an EDL can name it: by its file's name, which is what editing suites look for."""
    from opentimelineio import schema

    path = cut.moment.video.path
    return schema.Clip(
        name=_plain(path.name)[:_LONGEST_NAME],
        media_reference=schema.ExternalReference(target_url=_plain(path)),
        source_range=_range(cut.origin + cut.first, cut.origin + cut.end, counted),
        metadata={"cmx_3600": {"reel": reel, "comments": _comments(cut)}},
    )


def _comments(cut: Cut) -> list[str]:
    video = cut.moment.video
    own = _rate_of(video)
    texts = [f"{hit.modality}: {_plain(hit.text)}" for hit in best_hits(cut.moment) if hit.text]
    return [
        f"RANK {cut.rank} SCORE {cut.moment.score:.6f}",
        *([f"SOURCE FRAME RATE {video.frame_rate}"] if own not in (None, cut.rate) else []),
        *([_UNKNOWN_START] if cut.timecode is None else []),
        *(f"FOUND IN {text[:_LONGEST_TEXT]}" for text in texts),
    ]


def _as_in_their_files(events: str, cuts: Sequence[Cut], drops: bool) -> str:
    """The events, each with the channels its file has and counted as its file counts.

    The adapter writes one track, and so one kind, and counts in one way.
    """
    changes = iter(list(_changes(cuts, drops)))

    def changed(event: re.Match[str]) -> str:
        before, channel, place = next(changes)
        return f"{before}{event[1]}{channel:5}{event[2]}{place}{event[3]}"

    return _EVENT.sub(changed, events)


def _changes(cuts: Sequence[Cut], drops: bool) -> Iterator[tuple[str, str, str]]:
    """What stands before each event, its channels, and its place in its file."""
    counts_now = drops
    for cut in cuts:
        counts = _mark(cut) == ";" if _drops(cut.rate) and _mark(cut) else drops
        before, counts_now = _counting(counts) if counts != counts_now else "", counts
        yield before, _channel(cut.moment.video), _place(cut, _counted(cut.rate, counts))


def _place(cut: Cut, counted: Fraction) -> str:
    from opentimelineio.opentime import RationalTime, to_timecode

    frames = (cut.origin + cut.first, cut.origin + cut.end)
    return " ".join(to_timecode(RationalTime(frame, float(counted)), float(counted)) for frame in frames)


def _channel(video: Video) -> str:
    if not video.has_picture:
        return "A"
    return "B" if video.has_audio else "V"


def _reels(videos: Iterable[Video]) -> dict[str, str]:
    """A reel name for each video by its id: eight letters and digits at most, no two the same."""
    reels: dict[str, str] = {}
    for video in videos:
        if video.id not in reels:
            reels[video.id] = _reel(video, {*reels.values(), *_RESERVED_REELS})
    return reels


def _reel(video: Video, taken: set[str]) -> str:
    plain = re.sub(r"[^A-Z0-9]", "", (video.title or video.path.stem).upper())[:_REEL_LENGTH] or "VIDEO"
    number = 1
    reel = plain
    while reel in taken:
        number += 1
        reel = f"{plain[: _REEL_LENGTH - len(str(number))]}{number}"
    return reel


def _address(path: Path) -> str:
    """A ``file:`` address; of a path that is not whole, that path, so that it is found beside the list."""
    return path.as_uri() if path.is_absolute() else quote(os.fsencode(path))


def _title(question: str) -> str:
    return f"sceneseek {_plain(question)}".strip()[:70]


def _plain(text: object) -> str:
    """One line without control characters or bytes that are no text."""
    shown = str(text).encode("utf-8", "replace").decode("utf-8")
    return " ".join("".join(letter if letter.isprintable() else " " for letter in shown).split())
