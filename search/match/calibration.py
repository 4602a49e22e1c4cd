"""How to read a model's cosines: where unrelated pairs lie, and where good matches begin.

A model's entry is found by its fingerprint: ``family:name`` first, then ``family``, then the default of the comparison.
Measured with the embedded profile: a sentence and an unrelated photograph reach 0.13 in the median and 0.32 at the 95th
percentile, but true answers may lie as low as 0.23, so the floor for frames lies below the median; a query and an
unrelated line of speech reach 0.07 and 0.18, and paraphrases begin at 0.25. Between unrelated single words it is 0.29
and 0.43, between a word and a saying of three 0.21 and 0.34, hence ``brevity``. The other figures are provisional.

``shown_from`` is stricter, since one cosine alone decides. Measured with the embedded profile on 200 photographs of 200
classes: a class's name reaches 0.5 with 95 of 100 photographs of it and with 1.4 of 100 others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

from indexer.models.base import Fingerprint

Comparison: TypeAlias = Literal["text-frames", "image-frames", "text-text", "text-audio", "audio-audio"]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Unrelated pairs lie at ``floor`` and below, good matches from ``ceiling`` up.

    ``brevity`` is how much higher the floor lies between two single words than between sentences.

    Raises:
        ValueError: ``floor`` is not below ``ceiling``, with ``brevity`` or without.
    """

    floor: float
    ceiling: float
    brevity: float = 0.0

    def __post_init__(self) -> None:
        if not (self.brevity >= 0 and self.floor + self.brevity < self.ceiling):
            above = f" and {self.brevity} above it" if self.brevity else ""
            raise ValueError(f"a floor of {self.floor}{above} is not below a ceiling of {self.ceiling}")

    def rise(self, query: str, text: str) -> float:
        """How much brevity raises the floor for a query and a record's text, 0 or more; 0 for a record without text."""
        return self.brevity * shortness(query) * shortness(text) if self.brevity and text else 0.0

    def strength(self, cosine: float, query: str = "", text: str = "") -> float:
        """How strong evidence a cosine is: 0 up to the floor, 1 from the ceiling on, linear between."""
        floor = self.floor + self.rise(query, text)
        return min(1.0, max(0.0, (cosine - floor) / (self.ceiling - floor)))


DEFAULTS: Mapping[Comparison, Calibration] = MappingProxyType(
    {
        "text-frames": Calibration(0.0, 0.5),
        "image-frames": Calibration(0.0, 1.0),
        "text-text": Calibration(0.25, 0.7),
        "text-audio": Calibration(0.1, 0.5),
        "audio-audio": Calibration(0.2, 1.0),
    }
)

_CALIBRATIONS: Mapping[tuple[str, Comparison], Calibration] = MappingProxyType(
    {
        ("concepts", "text-frames"): Calibration(0.1, 0.5),
        ("open_clip", "text-frames"): Calibration(0.15, 0.30),
        ("sentence", "text-text"): Calibration(0.18, 0.7, brevity=0.25),
        ("yamnet", "text-audio"): Calibration(0.45, 0.75),
        ("clap", "text-audio"): Calibration(0.1, 0.5),
    }
)

_SHOWN_FROM: Mapping[str, float] = MappingProxyType({"concepts": 0.5, "open_clip": 0.25})


def calibration_of(fingerprint: Fingerprint | None, comparison: Comparison) -> Calibration:
    """The calibration of a model for one kind of comparison; the default for None and unknown families."""
    if fingerprint is None:
        return DEFAULTS[comparison]
    named = (f"{fingerprint.family}:{fingerprint.name}", comparison)
    return _CALIBRATIONS.get(named) or _CALIBRATIONS.get((fingerprint.family, comparison)) or DEFAULTS[comparison]


def shown_from(fingerprint: Fingerprint | None) -> float:
    """The cosine with a word from which on a frame shows it; by default the one where good matches begin."""
    default = calibration_of(fingerprint, "text-frames").ceiling
    return default if fingerprint is None else _SHOWN_FROM.get(fingerprint.family, default)


def shortness(text: str) -> float:
    """1 for a single word, less the longer the text is; without spaces, six bytes count as about one word."""
    words = max(1, len(text.split()), len(text.encode("utf-8", "replace")) // 6)
    return float(words**-0.7)
