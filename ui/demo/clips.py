"""What the clips of the sample library are: their sources, cuts, words and what each shot shows.

This is the truth that tests, benchmarks and the guide rely on; ``ui.demo.library`` turns it into files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate
from types import MappingProxyType
from typing import TypeAlias

from indexer.core.types import Cue, Facet

__all__ = [
    "DEMO_ANSWERS",
    "DEMO_QUERIES",
    "SAMPLE_CLIPS",
    "FilmShot",
    "SampleClip",
    "SampleShot",
    "SoundPart",
    "Source",
    "StillShot",
    "Title",
    "View",
    "WaveShot",
]


@dataclass(frozen=True, slots=True)
class Source:
    """A file that an installed package carries; ``path`` is relative to the package's folder."""

    package: str
    path: str


@dataclass(frozen=True, slots=True)
class View:
    """The part of a picture that a camera sees: its centre and width as fractions of the picture's sides."""

    x: float
    y: float
    width: float


@dataclass(frozen=True, slots=True)
class StillShot:
    """A photograph filmed by a camera that glides from one view to another."""

    picture: Source
    shows: str
    seconds: Fraction
    start: View
    end: View


@dataclass(frozen=True, slots=True)
class FilmShot:
    """An excerpt of a film, from its second ``from_s``."""

    film: Source
    shows: str
    seconds: Fraction
    from_s: float = 0.0


@dataclass(frozen=True, slots=True)
class WaveShot:
    """The clip's own sound drawn as a row of bars that fills as it is heard."""

    shows: str
    seconds: Fraction


SampleShot: TypeAlias = StillShot | FilmShot | WaveShot


@dataclass(frozen=True, slots=True)
class SoundPart:
    """A recording that starts at ``at_s`` in the clip, played from its own second ``from_s``."""

    source: Source
    at_s: float = 0.0
    from_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Title:
    """Words burnt into the picture over ``[start_s, end_s)``."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class SampleClip:
    """One clip of the sample library.

    ``name`` is the path inside the library. ``subtitles`` go into an .srt beside the clip, ``inner_subtitles`` into
    a stream of the file, ``description`` into a .txt and ``facts`` into a .json beside it. ``spoken`` is what is said
    aloud, where that is known. ``irregular`` clips have a variable frame rate; ``rate`` is
    then their average.
    """

    name: str
    shots: tuple[SampleShot, ...]
    sound: tuple[SoundPart, ...] = ()
    title: Title | None = None
    subtitles: tuple[Cue, ...] = ()
    inner_subtitles: tuple[Cue, ...] = ()
    description: str = ""
    facts: Mapping[str, Facet] = field(default_factory=dict)
    spoken: str = ""
    rate: Fraction = Fraction(24)
    width: int = 640
    height: int = 360
    irregular: bool = False

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return float(sum(shot.seconds for shot in self.shots))

    @property
    def cuts_s(self) -> tuple[float, ...]:
        """When each shot but the first begins, in seconds."""
        return tuple(float(end) for end in accumulate(shot.seconds for shot in self.shots[:-1]))

    @property
    def shows(self) -> tuple[str, ...]:
        """What is to be seen, in words, one for each shot."""
        return tuple(shot.shows for shot in self.shots)

    @property
    def sources(self) -> frozenset[Source]:
        """Every file that the clip is made from."""
        pictures = {shot.picture for shot in self.shots if isinstance(shot, StillShot)}
        films = {shot.film for shot in self.shots if isinstance(shot, FilmShot)}
        return frozenset(pictures | films | {part.source for part in self.sound})


def _gradio(path: str) -> Source:
    return Source("gradio", f"media_assets/{path}")


_CHEETAH_RUNNING = _gradio("images/cheetah.jpg")
_CHEETAH_FACE = _gradio("images/cheetah1.jpg")
_LION = _gradio("images/lion.jpg")
_TOWER = _gradio("images/tower.jpg")
_TREE_CREATURE = _gradio("images/groot.jpeg")
_EARTH = _gradio("videos/world.mp4")
_OUTRO = _gradio("videos/a.mp4")
_SAXOPHONE = _gradio("audio/sax.wav")
_DANCE_BAND = _gradio("audio/cantina.wav")
_LOW_VOICE = _gradio("audio/heath_ledger.mp3")
_CLEAR_VOICE = _gradio("audio/cate_blanch.mp3")
_CLEAR_VOICE_AGAIN = _gradio("audio/cate_blanch_2.mp3")
_PAVILION = Source("sklearn", "datasets/images/china.jpg")
_FLOWER = Source("sklearn", "datasets/images/flower.jpg")
_BUS = Source("ultralytics", "assets/bus.jpg")
_COACHES = Source("ultralytics", "assets/zidane.jpg")

_SAFARI = SampleClip(
    name="animals/safari.mp4",
    shots=(
        StillShot(_CHEETAH_RUNNING, "a cheetah running", Fraction(4), View(0.42, 0.50, 0.74), View(0.52, 0.48, 0.66)),
        StillShot(_CHEETAH_FACE, "a cheetah's face", Fraction(4), View(0.50, 0.35, 1.0), View(0.50, 0.38, 0.88)),
        StillShot(_LION, "a lion on a rock", Fraction(4), View(0.50, 0.38, 0.98), View(0.48, 0.31, 0.90)),
    ),
    sound=tuple(SoundPart(_DANCE_BAND, at_s=start_s) for start_s in (0.0, 3.0, 6.0, 9.0)),
    title=Title("SAVANNAH AT NOON", 0.5, 3.5),
)

_STREET = SampleClip(
    name="city/morning.mp4",
    shots=(
        StillShot(_BUS, "a blue bus in a street", Fraction(5), View(0.46, 0.44, 0.90), View(0.55, 0.44, 0.90)),
        StillShot(_BUS, "people walking past a bus", Fraction(5), View(0.28, 0.47, 0.56), View(0.31, 0.50, 0.62)),
    ),
    sound=(SoundPart(_SAXOPHONE, from_s=6.0),),
)

_EVENING = SampleClip(
    name="city/evening.mp4",
    shots=(StillShot(_TOWER, "the Eiffel tower lit up", Fraction(8), View(0.53, 0.56, 0.78), View(0.55, 0.42, 0.72)),),
    sound=(SoundPart(_SAXOPHONE),),
    rate=Fraction(30),
    width=360,
    height=640,
)

_TOUCHLINE = SampleClip(
    name="sport/touchline.mp4",
    shots=(
        StillShot(_COACHES, "two men in dark suits", Fraction(3), View(0.50, 0.50, 1.0), View(0.52, 0.50, 0.90)),
        StillShot(_COACHES, "a man in a suit shouting", Fraction(3), View(0.43, 0.52, 0.56), View(0.45, 0.48, 0.48)),
        StillShot(_COACHES, "a grey-haired man in a suit", Fraction(3), View(0.75, 0.27, 0.44), View(0.75, 0.30, 0.50)),
    ),
)

_LETTERS = SampleClip(
    name="travel/letters.mp4",
    shots=(
        StillShot(_PAVILION, "a pavilion above a lake", Fraction(8), View(0.40, 0.48, 0.80), View(0.60, 0.50, 0.80)),
        StillShot(_PAVILION, "the roofs of a pavilion", Fraction(6), View(0.33, 0.60, 0.44), View(0.33, 0.30, 0.44)),
        StillShot(_FLOWER, "an orange dahlia", Fraction(6), View(0.48, 0.52, 0.62), View(0.48, 0.50, 0.50)),
    ),
    sound=(SoundPart(_SAXOPHONE), SoundPart(_SAXOPHONE, at_s=16.0)),
    title=Title("Letters from the valley", 0.5, 4.0),
    subtitles=(
        Cue(1.0, 3.6, "We reached the pavilion just before the rain."),
        Cue(4.2, 7.4, "My grandmother carved her name under the third roof."),
        Cue(8.4, 11.0, "Below us the ferry left without anyone noticing."),
        Cue(11.4, 13.8, "So we shared our last sandwich and waited for the fog."),
        Cue(14.4, 17.0, "In the garden she told me that dahlias wake up late."),
        Cue(17.4, 19.6, "Write back before the first snow, will you?"),
    ),
)

_GARDEN = SampleClip(
    name="garden/august.mov",
    shots=(StillShot(_FLOWER, "an orange dahlia", Fraction(8), View(0.50, 0.50, 0.92), View(0.48, 0.52, 0.66)),),
    description=(
        "The first dahlia of August in our back garden, filmed on a still evening just after watering.\n"
        "Petals the colour of ripe apricots against dark leaves.\n"
    ),
    rate=Fraction(25),
)

_NIGHT_SIDE = SampleClip(
    name="space/night-side.mkv",
    shots=(FilmShot(_EARTH, "the Earth at night from space", Fraction(12), from_s=10.0),),
    sound=(SoundPart(_SAXOPHONE, from_s=3.0),),
    inner_subtitles=(
        Cue(0.5, 3.5, "Every thread of light down there is a motorway."),
        Cue(4.0, 7.0, "The dark patch in the south is the rainforest."),
        Cue(7.5, 11.0, "Next comes the Pacific, and nothing to see for an hour."),
    ),
)

_LISTENER = SampleClip(
    name="film/listener.mp4",
    shots=(
        StillShot(
            _TREE_CREATURE, "a creature made of wood", Fraction(8), View(0.50, 0.50, 0.98), View(0.46, 0.44, 0.70)
        ),
    ),
    sound=(SoundPart(_CLEAR_VOICE),),
    facts=MappingProxyType(
        {
            "title": "The listener",
            "description": "Someone made of bark and moss hears his name called at the foot of a waterfall.",
            "label": "film",
            "mood": "quiet",
            "year": 2014,
        }
    ),
)

_MEMO = SampleClip(
    name="voices/memo.mp4",
    shots=(WaveShot("the bars of a voice message", Fraction(9)),),
    sound=(SoundPart(_LOW_VOICE, at_s=0.5), SoundPart(_CLEAR_VOICE_AGAIN, at_s=4.5)),
    spoken="if you're good at something never do it for free",
    rate=Fraction(20),
    irregular=True,
)

_CREDITS = SampleClip(
    name="film/credits.mp4",
    shots=(FilmShot(_OUTRO, 'the words "thanks for watching"', Fraction(13, 2)),),
    sound=tuple(SoundPart(_DANCE_BAND, at_s=start_s) for start_s in (0.0, 3.0, 6.0)),
    width=1280,
    height=720,
)

SAMPLE_CLIPS: tuple[SampleClip, ...] = (
    _SAFARI,
    _STREET,
    _EVENING,
    _TOUCHLINE,
    _LETTERS,
    _GARDEN,
    _NIGHT_SIDE,
    _LISTENER,
    _MEMO,
    _CREDITS,
)

DEMO_QUERIES: tuple[str, ...] = (
    "a big cat",
    "a man in a suit",
    "the ferry left without us",
    "never do it for free",
    "thanks for watching",
)

DEMO_ANSWERS: Mapping[str, tuple[str, float, float]] = MappingProxyType(
    {
        "a big cat": (_SAFARI.name, 0.0, 12.0),
        "a man in a suit": (_TOUCHLINE.name, 0.0, 9.0),
        "the ferry left without us": (_LETTERS.name, 8.4, 11.0),
        "never do it for free": (_MEMO.name, 0.9, 3.2),
        "thanks for watching": (_CREDITS.name, 2.0, 6.0),
    }
)
"""Where the answer to each demo query is: the clip, and the span in seconds."""
