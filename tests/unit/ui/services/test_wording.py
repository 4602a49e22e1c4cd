"""Times and paths as people read them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ui.services.wording import format_span, format_time, short_path


@given(st.floats(min_value=0, max_value=1e6))
def test_a_time_names_the_second_it_falls_in(seconds: float) -> None:
    hours, minutes, rest = format_time(seconds).split(":")
    assert int(hours) * 3600 + int(minutes) * 60 + int(rest) == math.floor(seconds)
    assert len(minutes) == len(rest) == 2
    assert int(minutes) < 60
    assert int(rest) < 60


def test_times_as_people_write_them() -> None:
    assert [format_time(seconds) for seconds in (0, 59.999, 60, 3600, 36_061)] == [
        "0:00:00",
        "0:00:59",
        "0:01:00",
        "1:00:00",
        "10:01:01",
    ]
    assert format_span(8.4, 10.2) == "0:00:08 – 0:00:11"
    assert format_span(3.0, 4.0) == "0:00:03 – 0:00:04"


@pytest.mark.parametrize("seconds", [-0.1, math.inf, math.nan])
def test_what_is_no_time_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="not a time"):
        format_time(seconds)
    with pytest.raises(ValueError, match="not a time"):
        format_span(0.0, seconds)


def test_a_span_does_not_gain_a_second_from_the_last_bit_of_a_float() -> None:
    assert format_span(5.0, 10.000000000000002) == "0:00:05 – 0:00:10"
    assert format_span(5.0, 10.002) == "0:00:05 – 0:00:11"


def test_paths_are_written_from_the_current_folder_or_from_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    (home / "films").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)
    assert short_path(tmp_path / "a.mp4") == "a.mp4"
    monkeypatch.chdir(home / "films")
    assert short_path(home / "films" / "b.mp4") == "b.mp4"
    assert short_path(home / "c.mp4") == "~/c.mp4"
    assert short_path(tmp_path / "a.mp4") == str(tmp_path / "a.mp4")
