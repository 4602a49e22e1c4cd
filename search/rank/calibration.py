"""Where the cosines of each model family stand (see ``search.rank.fusion``).

A family's entry is found by its fingerprint: ``family:name`` first, then ``family``, then the general default of the
comparison. Measured with the embedded profile: a sentence and an unrelated photograph reach 0.13 in the median and 0.32
at the 95th percentile, but true answers may lie as low as 0.23, so the floor for frames lies below the median; a query
and an unrelated line of speech reach 0.07 and 0.18, and paraphrases begin at 0.25. Between
unrelated single words it is 0.29 and 0.43, between a word and a saying of three 0.21 and 0.34, hence ``brevity``. The
other figures are provisional.

``shown_from`` is stricter, since it decides by one cosine alone. Measured with the embedded profile on 200 photographs
of 200 classes: a class's name reaches 0.5 with 95 of 100 photographs of it and with 1.4 of 100 others.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

from indexer.models.base import Fingerprint
from search.rank.fusion import Calibration

__all__ = ["CALIBRATIONS", "DEFAULTS", "SHOWN_FROM", "Comparison", "calibration_of", "shown_from"]

Comparison: TypeAlias = Literal["text-frames", "image-frames", "text-text", "text-audio", "audio-audio"]

DEFAULTS: Mapping[Comparison, Calibration] = MappingProxyType(
    {
        "text-frames": Calibration(0.0, 0.5),
        "image-frames": Calibration(0.0, 1.0),
        "text-text": Calibration(0.25, 0.7),
        "text-audio": Calibration(0.1, 0.5),
        "audio-audio": Calibration(0.2, 1.0),
    }
)

CALIBRATIONS: Mapping[tuple[str, Comparison], Calibration] = MappingProxyType(
    {
        ("concepts", "text-frames"): Calibration(0.1, 0.5),
        ("open_clip", "text-frames"): Calibration(0.15, 0.30),
        ("sentence", "text-text"): Calibration(0.18, 0.7, brevity=0.25),
        ("yamnet", "text-audio"): Calibration(0.45, 0.75),
        ("clap", "text-audio"): Calibration(0.1, 0.5),
    }
)


SHOWN_FROM: Mapping[str, float] = MappingProxyType({"concepts": 0.5, "open_clip": 0.25})


def calibration_of(fingerprint: Fingerprint | None, comparison: Comparison) -> Calibration:
    """The calibration of a model for one kind of comparison; the general default for None and unknown families."""
    if fingerprint is None:
        return DEFAULTS[comparison]
    named = (f"{fingerprint.family}:{fingerprint.name}", comparison)
    return CALIBRATIONS.get(named) or CALIBRATIONS.get((fingerprint.family, comparison)) or DEFAULTS[comparison]


def shown_from(fingerprint: Fingerprint | None) -> float:
    """The cosine with a word from which on a frame is held to show it; by default where good matches begin."""
    default = calibration_of(fingerprint, "text-frames").ceiling
    return default if fingerprint is None else SHOWN_FROM.get(fingerprint.family, default)
