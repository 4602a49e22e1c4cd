from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.models.base import Fingerprint
from search.match.calibration import DEFAULTS, Calibration, calibration_of, shown_from


def test_strength_runs_from_the_floor_to_the_ceiling() -> None:
    calibration = Calibration(0.25, 0.75)
    assert [calibration.strength(cosine) for cosine in (-1, 0.25, 0.5, 0.75, 1)] == [0, 0, 0.5, 1, 1]


def test_the_floor_is_higher_between_short_texts() -> None:
    calibration = Calibration(0.2, 0.7, brevity=0.25)
    assert calibration.rise("car", "work") == pytest.approx(0.25)
    assert calibration.rise("car", "we go on") == pytest.approx(0.25 / 3**0.7)
    assert calibration.rise("a red car", "he goes on") == pytest.approx(0.25 / 9**0.7)
    assert calibration.rise("car", "\u732b" * 6) == pytest.approx(0.25 / 3**0.7)
    assert calibration.rise("car", "") == 0
    assert Calibration(0.2, 0.7).rise("car", "work") == 0
    assert calibration.strength(0.45, "car", "work") == pytest.approx(0)
    assert calibration.strength(0.575, "car", "work") == pytest.approx(0.5)
    assert calibration.strength(0.45, "car", "") == pytest.approx(0.5)
    with pytest.raises(ValueError, match="above it"):
        Calibration(0.2, 0.4, brevity=0.2)


@pytest.mark.parametrize("floor", [0.5, 0.6, float("nan")])
def test_a_floor_lies_below_its_ceiling(floor: float) -> None:
    with pytest.raises(ValueError, match="floor"):
        Calibration(floor, 0.5)


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_strength_never_falls_with_the_cosine(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert Calibration(0.1, 0.4).strength(low) <= Calibration(0.1, 0.4).strength(high)


def test_calibrations_are_found_by_family_with_a_default() -> None:
    def fingerprint(family: str) -> Fingerprint:
        return Fingerprint(family, "some", "w", "p", 4)

    assert calibration_of(fingerprint("unheard-of"), "text-text") == DEFAULTS["text-text"]
    assert calibration_of(None, "image-frames") == DEFAULTS["image-frames"]
    assert calibration_of(fingerprint("open_clip"), "text-frames") != DEFAULTS["text-frames"]
    assert calibration_of(fingerprint("yamnet"), "text-audio") == Calibration(0.45, 0.75)
    assert calibration_of(fingerprint("clap"), "text-audio") == Calibration(0.1, 0.5)


def test_a_frame_shows_what_its_family_is_known_to_reach_or_else_a_good_match() -> None:
    assert shown_from(Fingerprint("concepts", "some", "w", "p", 4)) == 0.5
    assert shown_from(Fingerprint("unheard-of", "some", "w", "p", 4)) == DEFAULTS["text-frames"].ceiling
    assert shown_from(None) == DEFAULTS["text-frames"].ceiling
