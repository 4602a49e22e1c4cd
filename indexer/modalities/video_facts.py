"""Facts about a video that come from watching and listening to it: facets to filter and sort by.

===================  =====================================================================================
cuts                 how many cuts were found
cuts_per_minute      the same for each minute
resolution           width and height as displayed, such as "1920x1080"
frame_rate           frames per second, on average
loudness             integrated loudness in LUFS (EBU R128), 0 being the loudest there can be
speech_ratio         the share of the video in which somebody speaks, in [0, 1]
language             the language spoken for the longest time, an ISO 639-1 code such as "en"
===================  =====================================================================================

A fact that is not known (no sound, nobody listened, cuts not sought) is absent. Where nobody listened because there are
subtitles, these say for how long and in which language somebody speaks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from indexer.core.types import Cue, Facet, Video

__all__ = [
    "OF_SPEECH",
    "describe_picture",
    "describe_shots",
    "describe_sound",
    "describe_subtitles",
    "with_descriptors",
]

OF_SPEECH = ("speech_ratio", "language")
"""The facts that are known only where somebody listened for speech, or where there are subtitles."""


def describe_picture(video: Video) -> dict[str, Facet]:
    """What the container says of the picture; nothing for a video without one."""
    if not video.has_picture:
        return {}
    rate: dict[str, Facet] = {"frame_rate": round(float(video.frame_rate), 3)} if video.frame_rate else {}
    return {"resolution": f"{video.width}x{video.height}", **rate}


def describe_shots(shots: int, duration_s: float) -> dict[str, Facet]:
    """The cuts between so many shots; nothing where there is none or no time."""
    if shots < 1 or duration_s <= 0:
        return {}
    cuts = shots - 1
    return {"cuts": cuts, "cuts_per_minute": round(60 * cuts / duration_s, 2)}


def describe_sound(
    *, loudness_lufs: float | None, spoken_s: float | None, language: str, duration_s: float
) -> dict[str, Facet]:
    """What listening has found; None for what is not known.

    Args:
        loudness_lufs: Integrated loudness.
        spoken_s: For how long somebody speaks, in seconds; None where nobody listened for speech.
        language: The main language, or empty.
        duration_s: Of the video, in seconds.
    """
    facts: dict[str, Facet] = {}
    if loudness_lufs is not None:
        facts["loudness"] = round(loudness_lufs, 1)
    if spoken_s is not None and duration_s > 0:
        facts["speech_ratio"] = round(min(1.0, spoken_s / duration_s), 3)
    return facts | ({"language": language} if language else {})


def describe_subtitles(cues: Sequence[Cue], *, language: str, duration_s: float) -> dict[str, Facet]:
    """What subtitles tell of the speech: nothing where there are none.

    Args:
        cues: In any order; what is shown at the same time counts once.
        language: That of the subtitles, or empty.
        duration_s: Of the video, in seconds; what is shown after its end does not count.
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
    """The video with what was found about it, on top of what it had."""
    merged = dict(video.descriptors)
    for facts in found:
        merged.update(facts)
    return replace(video, descriptors=merged)
