"""Facts about a video that indexing finds out, to filter and sort by.

===================  =====================================================================================
cuts                 how many cuts were found
cuts_per_minute      the same for each minute
resolution           width and height as displayed, such as "1920x1080"
frame_rate           average frames per second
loudness             integrated loudness in LUFS (EBU R128), at most about 0
speech_ratio         the share of the video with speech, in [0, 1]
language             the language spoken for the longest time, an ISO 639-1 code such as "en"
===================  =====================================================================================

An unknown fact (no sound, no speech recognition, no cut detection) is absent. Subtitles that replace speech recognition
also give ``speech_ratio`` and ``language``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from indexer.core.types import Cue, Facet, Video

OF_SPEECH = ("speech_ratio", "language")
"""The facts that come from speech recognition or subtitles."""


def describe_picture(video: Video) -> dict[str, Facet]:
    """The picture's facts from the container; none without a picture."""
    if not video.has_picture:
        return {}
    rate: dict[str, Facet] = {"frame_rate": round(float(video.frame_rate), 3)} if video.frame_rate else {}
    return {"resolution": f"{video.width}x{video.height}", **rate}


def describe_shots(shots: int, duration_s: float) -> dict[str, Facet]:
    """The cuts between so many shots; none without shots or duration."""
    if shots < 1 or duration_s <= 0:
        return {}
    cuts = shots - 1
    return {"cuts": cuts, "cuts_per_minute": round(60 * cuts / duration_s, 2)}


def describe_sound(
    *, loudness_lufs: float | None, spoken_s: float | None, language: str, duration_s: float
) -> dict[str, Facet]:
    """The sound's facts; ``spoken_s`` are seconds of speech. None and an empty language are unknown."""
    facts: dict[str, Facet] = {}
    if loudness_lufs is not None:
        facts["loudness"] = round(loudness_lufs, 1)
    if spoken_s is not None and duration_s > 0:
        facts["speech_ratio"] = round(min(1.0, spoken_s / duration_s), 3)
    return facts | ({"language": language} if language else {})


def describe_subtitles(cues: Sequence[Cue], *, language: str, duration_s: float) -> dict[str, Facet]:
    """The speech's facts from subtitles; none without subtitles.

    Cues come in any order. Simultaneous ones count once, those after ``duration_s`` not at all.
    """
    if not cues:
        return {}
    spoken_s = _covered_s(cues, duration_s)
    return describe_sound(loudness_lufs=None, spoken_s=spoken_s, language=language, duration_s=duration_s)


def _covered_s(cues: Sequence[Cue], until_s: float) -> float:
    covered_s = last_s = 0.0
    for start_s, end_s in sorted((cue.start_s, min(cue.end_s, until_s)) for cue in cues):
        covered_s += max(0.0, end_s - max(start_s, last_s))
        last_s = max(last_s, end_s)
    return covered_s


def with_descriptors(video: Video, *found: Mapping[str, Facet]) -> Video:
    """The video with more facts; later ones replace those of the same name."""
    merged = dict(video.descriptors)
    for facts in found:
        merged.update(facts)
    return replace(video, descriptors=merged)
