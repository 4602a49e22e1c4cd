"""The clips of the sample library, as ``clips.toml`` describes them; ``ui.demo.library`` makes them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from importlib.resources import files
from itertools import accumulate
from typing import Any, NamedTuple

from indexer.core.types import Cue, Facet


@dataclass(frozen=True, slots=True)
class ClipSource:
    """A file that an installed package carries; ``path`` is relative to the package's folder."""

    package: str
    path: str


class View(NamedTuple):
    """The part of a picture that a camera sees: its centre and width as fractions of the picture's sides."""

    x: float
    y: float
    width: float


@dataclass(frozen=True, slots=True)
class SampleShot:
    """A shot of a clip: a picture, a film, or without either the clip's sound drawn as bars."""

    seconds: Fraction
    picture: ClipSource | None = None
    views: tuple[View, ...] = ()  # where the camera that films the picture looks first and last
    film: ClipSource | None = None
    from_s: float = 0.0  # where the excerpt of the film begins


@dataclass(frozen=True, slots=True)
class SoundPart:
    """A recording that starts at ``at_s`` in the clip, played from its own second ``from_s``."""

    source: ClipSource
    at_s: float = 0.0
    from_s: float = 0.0


@dataclass(frozen=True, slots=True)
class SampleClip:
    """One clip of the sample library."""

    name: str  # its path inside the library
    shots: tuple[SampleShot, ...]
    sound: tuple[SoundPart, ...] = ()
    title: Cue | None = None  # burnt into the picture
    subtitles: tuple[Cue, ...] = ()  # for an .srt file beside the clip
    inner_subtitles: tuple[Cue, ...] = ()  # for a stream of the file
    description: str = ""  # for a .txt file beside the clip
    facts: Mapping[str, Facet] = field(default_factory=dict)  # for a .json file beside the clip
    rate: Fraction = Fraction(24)  # frames per second
    width: int = 640
    height: int = 360
    irregular: bool = False  # whether the frame rate varies; ``rate`` is then the average

    @property
    def length(self) -> Fraction:
        """Length in seconds."""
        return sum((shot.seconds for shot in self.shots), Fraction(0))

    @property
    def cuts_s(self) -> tuple[float, ...]:
        """When each shot but the first begins, in seconds."""
        return tuple(float(end) for end in accumulate(shot.seconds for shot in self.shots[:-1]))

    @property
    def sources(self) -> frozenset[ClipSource]:
        """Every file that the clip is made from."""
        shown = {source for shot in self.shots for source in (shot.picture, shot.film) if source is not None}
        return frozenset(shown | {part.source for part in self.sound})


def _clip(entry: Mapping[str, Any], sources: Mapping[str, ClipSource]) -> SampleClip:
    made: dict[str, Any] = {
        "shots": tuple(_shot(shot, sources) for shot in entry["shots"]),
        "sound": tuple(SoundPart(**{**part, "source": sources[part["source"]]}) for part in entry.get("sound", ())),
        "rate": Fraction(entry.get("rate", 24)),
        "title": _cue(entry["title"]) if "title" in entry else None,
    }
    for name in ("subtitles", "inner_subtitles"):
        made[name] = tuple(map(_cue, entry.get(name, ())))
    return SampleClip(**{**entry, **made})


def _shot(entry: Mapping[str, Any], sources: Mapping[str, ClipSource]) -> SampleShot:
    return SampleShot(
        Fraction(entry["seconds"]),
        picture=sources[entry["picture"]] if "picture" in entry else None,
        views=tuple(View(*entry[name]) for name in ("from", "to") if name in entry),
        film=sources[entry["film"]] if "film" in entry else None,
        from_s=entry.get("from_s", 0.0),
    )


def _cue(entry: tuple[float, float, str]) -> Cue:
    return Cue(*entry)


_TABLE = tomllib.loads(files("ui.demo").joinpath("clips.toml").read_text(encoding="utf-8"))
_SOURCES = {name: ClipSource(*path.split("/", 1)) for name, path in _TABLE["sources"].items()}

SAMPLE_CLIPS: tuple[SampleClip, ...] = tuple(_clip(entry, _SOURCES) for entry in _TABLE["clips"])

DEMO_ANSWERS: Mapping[str, tuple[str, float, float]] = {
    query: tuple(answer) for query, answer in _TABLE["answers"].items()
}
"""Where the answer to each demo query is: the clip, and the span in seconds."""
