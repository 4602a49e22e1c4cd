"""Facts that indexing finds out: what subtitles tell of the speech, and which language a file's name says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.core.languages import language_code
from indexer.core.types import Cue, Video
from indexer.corpus.sidecars import subtitle_language
from indexer.modalities.video_facts import describe_subtitles
from indexer.plan import SUBTITLED
from indexer.run import _described
from indexer.store.base import Commit, ModalityState


def cues(*spans: tuple[float, float]) -> list[Cue]:
    return [Cue(start_s, end_s, "words") for start_s, end_s in spans]


def test_what_is_shown_together_counts_once_and_what_comes_after_the_end_not_at_all() -> None:
    spans = cues((6, 7), (1, 3), (2, 4), (2, 2.5), (9, 14), (12, 13))
    # 1 to 4, 6 to 7 and 9 to the end at 10.
    assert describe_subtitles(spans, language="en", duration_s=10) == {"speech_ratio": 0.5, "language": "en"}


def test_what_is_not_known_is_absent() -> None:
    assert describe_subtitles([], language="en", duration_s=10) == {}
    assert describe_subtitles(cues((0, 1)), language="", duration_s=4) == {"speech_ratio": 0.25}
    assert describe_subtitles(cues((0, 1)), language="fr", duration_s=0) == {"language": "fr"}


tenths = st.integers(0, 60).map(lambda number: number / 10)


@given(st.lists(st.tuples(tenths, tenths).map(sorted), min_size=1))
def test_the_share_is_that_of_the_tenths_of_seconds_with_something_to_read(spans: list[list[float]]) -> None:
    duration_s = 5.0
    shown = {tenth for start_s, end_s in spans for tenth in range(round(start_s * 10), round(end_s * 10)) if tenth < 50}
    found = describe_subtitles(cues(*((start, end) for start, end in spans)), language="", duration_s=duration_s)
    assert found["speech_ratio"] == pytest.approx(len(shown) / 50, abs=0.0006)


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        *(("en", "en"), ("EN", "en"), ("eng", "en"), ("pt-BR", "pt"), ("zh_Hans", "zh"), (" de ", "de")),
        *(("ger", "de"), ("deu", "de"), ("fre", "fr"), ("fra", "fr"), ("chi", "zh"), ("cze", "cs"), ("jpn", "ja")),
        *(("", ""), ("und", ""), ("mul", ""), ("fil", ""), ("forced", ""), ("sdh", ""), ("xx", ""), ("english", "")),
    ],
)
def test_every_kind_of_code_becomes_the_short_one(tag: str, code: str) -> None:
    assert language_code(tag) == code


def test_whispers_languages_keep_their_codes() -> None:
    from faster_whisper.tokenizer import _LANGUAGE_CODES

    # "jw" was Javanese's code until 1989.
    short = {name for name in _LANGUAGE_CODES if len(name) == 2} - {"jw"}
    assert {language_code(name) for name in short} == short


@pytest.mark.parametrize(
    ("name", "video", "code"),
    [
        *(("a.en.srt", "a.mp4", "en"), ("a.pt-BR.vtt", "a.mp4", "pt"), ("a.GER.ass", "a.mkv", "de")),
        *(("a.srt", "a.mp4", ""), ("a.forced.srt", "a.mp4", ""), ("a..srt", "a.mp4", "")),
        # The video's own name ends so.
        *(("how to.en.srt", "how to.en.mp4", ""), ("a.b.en.srt", "a.b.mp4", "en")),
    ],
)
def test_the_name_of_a_subtitle_file_says_its_language(name: str, video: str, code: str) -> None:
    assert subtitle_language(Path("/films") / name, Path("/films") / video) == code


def test_what_subtitles_told_goes_with_them_where_nobody_has_listened() -> None:
    said = {"speech_ratio": 0.5, "language": "en"}
    video = Video("v", Path("/f.mp4"), 1, 1, 100.0, None, 0, 0, True)
    modalities = {"speech": ModalityState(SUBTITLED, 0), "subtitle": ModalityState("s", 9)}
    before = Commit(replace(video, descriptors={**said, "cuts": 3}), "committed", (), modalities, told=said)
    assert _described(video, {}, before, {"subtitle"}).descriptors == {"cuts": 3}
