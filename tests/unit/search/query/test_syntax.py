from __future__ import annotations

import unicodedata
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.core.errors import QueryError
from indexer.modalities.registry import modality_names
from search.query.filters import FacetCondition, Filters
from search.query.query import ObjectCondition
from search.query.syntax import ParsedQuery, parse_query

NAMES = frozenset({"camera"})


def parse(text: str) -> ParsedQuery:
    return parse_query(text, NAMES)


@pytest.mark.parametrize(
    "text",
    [
        "a red car",
        "Spider-Man: no way home",
        "3 < 4 apples",
        "3<4 apples",
        "re-entry",
        "12:30",
        "http://x",
        "title: the return",
        "label : diving",
        'a 12" record and a 7" one',
        "5'10\" tall",
        '"unbalanced',
        'un"balanced"quotes',
        '"…"',
        '""',
        "rock -n- roll",
        "- word",
        "--word",
        "-5 degrees",
        "pre- and post-war",
        "mood:happy",
        "only: the brave",
        "weight:heavy",
        "only:,",
        "objects: a still life",
        "objects:>=2",
        " two  spaces ",
        "",
    ],
)
def test_prose_stays_as_it_was_typed(text: str) -> None:
    assert parse(text) == ParsedQuery(text)


@pytest.mark.parametrize(
    ("text", "left", "phrases", "without"),
    [
        ('"with our passion"', "with our passion", ("with our passion",), ()),
        ('red "buck bunny" car', "red buck bunny car", ("buck bunny",), ()),
        ("“big bunny”, small", "big bunny , small", ("big bunny",), ()),
        ("„Guten Tag“ «bon jour»", "Guten Tag bon jour", ("Guten Tag", "bon jour"), ()),
        ("man -hat", "man", (), ("hat",)),
        ("-hat man -shoes,", "man", (), ("hat", "shoes")),
        ('man -"red hat"', "man", (), ("red hat",)),
        ("-re-entry -don't", "", (), ("re-entry", "don't")),
        ("street -http://x", "street", (), ("http://x",)),
        ('"one" "two" "', 'one two "', ("one", "two"), ()),
    ],
)
def test_phrases_and_negated_words(text: str, left: str, phrases: tuple[str, ...], without: tuple[str, ...]) -> None:
    assert parse(text) == ParsedQuery(left, phrases=phrases, without=without)


@pytest.mark.parametrize(
    ("text", "filters"),
    [
        ("label:diving", Filters(labels=("diving",))),
        ('label:"high jump" LABEL=diving', Filters(labels=("high jump", "diving"))),
        ("-label:diving", Filters(facets=(FacetCondition("label", "!=", "diving"),))),
        ("label!=diving", Filters(facets=(FacetCondition("label", "!=", "diving"),))),
        ("duration<60", Filters(facets=(FacetCondition("duration", "<", "60"),))),
        ("duration:<60", Filters(facets=(FacetCondition("duration", "<", "60"),))),
        ("-duration<60", Filters(facets=(FacetCondition("duration", ">=", "60"),))),
        ("width>=1280 height==720", Filters(facets=(
            FacetCondition("width", ">=", "1280"), FacetCondition("height", "=", "720")
        ))),
        ("language:en,", Filters(facets=(FacetCondition("language", "=", "en"),))),
        ('camera>"GoPro 9"', Filters(facets=(FacetCondition("camera", ">", "GoPro 9"),))),
        ("path:holiday/ -path:*.avi", Filters(paths=("holiday/",), not_paths=("*.avi",))),
        ("has_audio:no", Filters(facets=(FacetCondition("has_audio", "=", "no"),))),
    ],
)  # fmt: skip
def test_facts_about_videos(text: str, filters: Filters) -> None:
    assert parse(text) == ParsedQuery("", filters=filters)
    assert parse(f"a {text} red car") == ParsedQuery("a red car", filters=filters)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("objects:bus", ObjectCondition("bus")),
        ("objects:bus>=2", ObjectCondition("bus", 2)),
        ("objects:bus>2", ObjectCondition("bus", 3)),
        ("objects:bus=2", ObjectCondition("bus", 2, 2)),
        ("objects:bus<3", ObjectCondition("bus", 1, 2)),
        ("objects:bus<=3", ObjectCondition("bus", 1, 3)),
        ("objects:bus=0", ObjectCondition("bus", negated=True)),
        ("objects:bus<1", ObjectCondition("bus", negated=True)),
        ("-objects:bus", ObjectCondition("bus", negated=True)),
        ("-objects:bus>=3", ObjectCondition("bus", 3, negated=True)),
        ('objects:"traffic light"', ObjectCondition("traffic light")),
        ('objects:"traffic light">=2', ObjectCondition("traffic light", 2)),
    ],
)
def test_objects(text: str, condition: ObjectCondition) -> None:
    assert parse(text) == ParsedQuery("", objects=(condition,))


def test_kinds_of_evidence() -> None:
    assert parse("only:speech,OCR hello weight:ocr=2.5") == ParsedQuery(
        "hello", only=("speech", "ocr"), weights={"ocr": 2.5}
    )
    assert parse("-only:speech hello").query().weights == {"speech": 0.0}
    query = parse("hello only:speech,ocr weight:ocr=2").query(weights={"speech": 3.0, "frames": 5.0})
    assert query.weights == {**dict.fromkeys(modality_names(), 0.0), "speech": 3.0, "ocr": 2.0}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("only:speach", "'speech'"),
        ("only:speech,subtitles", "'subtitle'"),
        ("weight:orc=2", "'ocr'"),
        ("weight:ocr=two", "no weight"),
        ("-weight:ocr=2", "no weight"),
        ("weight:ocr=-1", "no weight"),
        ("duration<short", "no number"),
        ("size:large", "no number"),
        ("objects:bus>=two", "no number of objects"),
        ("objects:bus!=2", "no number of objects"),
        ('objects:"traffic light"2', "no number of objects"),
    ],
)
def test_what_reads_as_a_condition_and_is_none_is_explained(text: str, says: str) -> None:
    with pytest.raises(QueryError, match=says) as error:
        parse(text)
    assert error.value.hint


def test_what_is_given_besides_the_text_is_joined_with_it() -> None:
    query = parse("cat label:b weight:ocr=2 -hat").query(
        filters=Filters(labels=("a",)), weights={"ocr": 1.0, "frames": 3.0}, top_k=7, offset=14, group_by_video=True
    )
    assert (query.text, query.without, query.filters.labels) == ("cat", ("hat",), ("a", "b"))
    assert query.weights == {"ocr": 2.0, "frames": 3.0}
    assert (query.top_k, query.offset, query.group_by_video) == (7, 14, True)
    assert parse("label:a").query(like=("v", 3.0)).like == ("v", 3.0)


def test_a_phrase_beside_a_moment_is_a_condition_and_other_words_are_refused() -> None:
    query = parse('"the end" label:a "so long"').query(like=("v", 3.0))
    assert (query.text, query.phrases, query.filters.labels) == ("", ("the end", "so long"), ("a",))
    with pytest.raises(QueryError, match="several things"):
        parse('"the end" of it').query(like=("v", 3.0))


@pytest.mark.parametrize("text", ["", "  ", "\u200b\u2060", "\u0301", "\u3164 \u2800", "only:ocr"])
def test_nothing_to_ask_for_is_an_empty_query(text: str) -> None:
    with pytest.raises(QueryError, match="empty"):
        parse(text).query()


def test_text_is_normalised() -> None:
    assert parse("cafe\u0301 -e\u0301lan") == ParsedQuery("caf\u00e9", without=("\u00e9lan",))


PIECES = st.one_of(
    st.text(max_size=6),
    st.sampled_from(
        [*"-\":<>=!“”„«»,'  ", "only:", "weight:ocr=", "objects:", "label:", "duration", "path:", "bus", "7"]
    ),
)


@given(st.lists(PIECES, max_size=12).map("".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(QueryError):
        parsed = parse(text)
        letters = iter(unicodedata.normalize("NFC", text))
        assert all(sign in letters for sign in parsed.text if not sign.isspace()), "in the order typed, nothing added"
        assert parsed.text.strip() == parsed.text or parsed == ParsedQuery(parsed.text)


@given(
    st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1), max_size=6),
    st.sampled_from([" ", "  ", ", ", "-"]),
)
def test_words_without_syntax_come_back_unchanged(words: list[str], between: str) -> None:
    text = unicodedata.normalize("NFC", between.join(words))
    assert parse(text) == ParsedQuery(text)


@given(st.text())
def test_what_has_no_sign_of_syntax_comes_back_unchanged(text: str) -> None:
    plain = unicodedata.normalize("NFC", text.translate(dict.fromkeys(map(ord, '-":<>=!“”„«»'))))
    assert parse(plain) == ParsedQuery(plain)


@pytest.mark.parametrize(
    ("text", "left", "only"),
    [
        ("only:speech, ocr", "", ("speech", "ocr")),
        ("only:speech , OCR,sounds, hello", "hello", ("speech", "ocr", "sounds")),
        ("a sign ONLY:speech, ocr", "a sign", ("speech", "ocr")),
        ("only:speech, music", "music", ("speech",)),
        ("only:speech, ocrs", "ocrs", ("speech",)),
    ],
)
def test_kinds_of_evidence_may_have_spaces_between_them(text: str, left: str, only: tuple[str, ...]) -> None:
    parsed = parse(text)
    assert parsed.only == only
    assert parsed.text == left


def test_several_kinds_may_be_left_out_at_once() -> None:
    assert parse("-only:speech, ocr hello").weights == {"speech": 0.0, "ocr": 0.0}
    assert parse("hello -only:speech,").text == "hello"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cuts>x", "cuts>10"),
        ("-loudness<quiet", "loudness>-20"),
        ("cuts_per_minute<=few", "cuts_per_minute>5"),
        ("duration<abc", "duration<60"),
        ("date>=2024-13", "date>=2024-05"),
        ("date:2023-02-29", "date>=2024-05"),
        ("has_audio:maybe", "has_audio=yes"),
        ("has_audio>no", "has_audio=yes"),
    ],
)
def test_a_comparison_that_nothing_could_meet_is_refused(text: str, says: str) -> None:
    with pytest.raises(QueryError, match=r"no number|no date|yes or no") as error:
        parse(f"{text} beach")
    assert says in error.value.hint


def test_numbers_may_be_negative_and_own_facts_texts() -> None:
    assert parse("loudness<-20.5").filters.facets == (FacetCondition("loudness", "<", "-20.5"),)
    assert parse("loudness:quiet").filters.facets == (FacetCondition("loudness", "=", "quiet"),)
