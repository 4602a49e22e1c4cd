"""Queries with known answers: every form is told by its content, a broken row is named, videos are found by name."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.core.errors import QueryError, UsageError
from indexer.core.types import Video
from indexer.store.base import Commit, Location
from search.catalogue import Catalogue
from search.evaluate.captions import read_queries, seconds_of
from search.evaluate.qrels import (
    Judgement,
    Queries,
    RelevantSpan,
    escape_id,
    match_queries,
    moment_id,
    read_qrels,
    span_of,
    video_finder,
    write_qrels,
)
from tests.unit.search.library import video

MEDIA = Path(__file__).resolve().parents[4] / ".." / "shared" / "data" / "media"


def written(folder: Path, content: str | bytes | object, name: str = "queries") -> Path:
    path = folder / name
    if not isinstance(content, str | bytes):
        content = json.dumps(content)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(folder: Path, content: str | bytes | object) -> Queries:
    return read_queries(written(folder, content))


def facts(queries: Queries) -> list[tuple[str, str, float | None, float | None]]:
    return [(row.text, row.video, row.start_s, row.end_s) for row in queries.judgements]


def catalogue(*videos: Video, copies: dict[str, str] | None = None) -> Catalogue:
    commits = {}
    for known in videos:
        places = [known.path, *([Path(copies[known.id])] if copies and known.id in copies else [])]
        locations = tuple(Location(path, path.parent, 1, 1) for path in places)
        commits[known.id] = Commit(known, "committed", locations)
    return Catalogue(commits)


@pytest.mark.parametrize("sign", [",", ";", "\t", ", "])
def test_a_table_with_a_heading_in_any_order(tmp_path: Path, sign: str) -> None:
    rows = [
        ("start_s", "file", "end_s", "query", "note"),
        ("1.5", "a.mp4", "0:00:04", "a bird", "x"),
        ("", "b", "", "two"),
    ]
    found = read(tmp_path, "\ufeff" + "\r\n".join(sign.join(row) for row in rows) + "\r\n")
    assert facts(found) == [("a bird", "a.mp4", 1.5, 4.0), ("two", "b", None, None)]
    assert found.form == "a table with a heading"
    assert not found.skipped


def test_rows_of_one_text_are_one_query_with_several_answers_unless_ids_say_otherwise(tmp_path: Path) -> None:
    found = read(tmp_path, "query,file\na bird,a.mp4\na dog,b.mp4\na bird,c.mp4\n")
    assert [row.query_id for row in found.judgements] == ["1", "2", "1"]
    assert found.texts == {"1": "a bird", "2": "a dog"}
    found = read(tmp_path, "key,vid_key,video_id,sentence\nret0,msr1,video1,a bird\nret1,msr2,video2,a bird\n")
    assert [row.query_id for row in found.judgements] == ["ret0", "ret1"]
    assert [row.video for row in found.judgements] == ["video1", "video2"]


def test_broken_rows_are_named_by_line_and_counted_and_stop_nothing(tmp_path: Path) -> None:
    lines = [
        b"query,file,start_s,end_s,query_id,relevance",
        b"good,a.mp4,0,1,1,2",
        b"",
        b"no file,,0,1,2,1",
        b" ,a.mp4,0,1,3,1",
        b"backwards,a.mp4,5,1,4,1",
        b"half,a.mp4,5,,5,1",
        b"noon,a.mp4,soon,9,6,1",
        b"many,a.mp4,0,1,7,1,8,9",
        b'"open,a.mp4,0,1,8,1',
        b"\xe9t\xe9,a.mp4,0,1,9,1",
        b"another,a.mp4,0,1,1,1",
        b"nan,a.mp4,nan,1,10,1",
        b"graded,a.mp4,0,1,11,high",
        b"also good,b.mp4,0,1,12,0",
    ]
    found = read(tmp_path, b"\n".join(lines))
    assert [(row.text, row.relevance) for row in found.judgements] == [("good", 2), ("also good", 0)]
    assert [row.place for row in found.skipped] == [f"line {number}" for number in range(4, 15)]
    reasons = [
        *(
            "lacks the query or the video",
            "lacks the query",
            "not a span",
            "only one of start and end",
            "'soon' is not a time",
        ),
        *("8 columns instead of 6", "quotation marks", "UTF-8", "stands for another text", "not a span", "'high'"),
    ]
    for row, reason in zip(found.skipped, reasons, strict=True):
        assert reason in row.reason


def test_a_quotation_mark_that_stays_open_does_not_swallow_the_rows_after_it(tmp_path: Path) -> None:
    found = read(tmp_path, 'query,file\n"a bird,a.mp4\na dog,b.mp4\n"a cat, asleep",c.mp4\n')
    assert [row.text for row in found.judgements] == ["a dog", "a cat, asleep"]
    assert str(found.skipped[0]).startswith("line 2: its quotation marks do not match")


def test_in_a_table_of_tabs_quotation_marks_are_text(tmp_path: Path) -> None:
    found = read(tmp_path, 'query\tfile\n"Stop", he says\ta.mp4\n')
    assert found.judgements[0].text == '"Stop", he says'


def test_msr_vtt(tmp_path: Path) -> None:
    content = {
        "info": {},
        "videos": [{"video_id": "video7", "start time": 1.0, "end time": 9.0}],
        "sentences": [
            {"caption": "a man sings", "video_id": "video7", "sen_id": 0},
            {"video_id": "video7", "sen_id": 1},
            {"caption": "a man sings", "video_id": "video8", "sen_id": 140},
        ],
    }
    found = read(tmp_path, content)
    assert found.form == "MSR-VTT"
    assert facts(found) == [("a man sings", "video7", None, None), ("a man sings", "video8", None, None)]
    assert [row.query_id for row in found.judgements] == ["0", "140"]
    assert [str(row) for row in found.skipped] == ["sentences 2: it lacks the query"]


def test_msvd(tmp_path: Path) -> None:
    found = read(tmp_path, "# captions\n\n-4wsuPCjDBc_5_15 a squirrel eats a nut\nabc_1_2\ta cat\nlonely\n")
    assert found.form == "MSVD"
    assert facts(found) == [("a squirrel eats a nut", "-4wsuPCjDBc_5_15", None, None), ("a cat", "abc_1_2", None, None)]
    assert [str(row) for row in found.skipped] == ["line 5: it lacks the query"]


def test_lsmdc(tmp_path: Path) -> None:
    clip = "0001_American_Beauty_00.00.51.926-00.00.54.129"
    times = ("00.00.51.926", "00.00.54.129", "00.00.51.000", "00.00.55.000")
    found = read(tmp_path, "\t".join((clip, *times, "SOMEONE wakes.")) + "\nbroken row\nanother\t0\t1.5\tA door.\n")
    assert found.form == "LSMDC"
    row, other = found.judgements
    assert (other.video, other.film, other.start_s, other.end_s) == ("another", "", 0, 1.5)
    assert (row.video, row.film, row.text) == (clip, "0001_American_Beauty", "SOMEONE wakes.")
    assert (row.start_s, row.end_s) == (pytest.approx(51.926), pytest.approx(54.129))
    assert [str(row) for row in found.skipped] == ["line 2: it has fewer than four columns"]


@pytest.mark.parametrize(
    "content",
    [
        {
            "v1": [{"text": "one", "start": 1, "end": 2}],
            "v2": [{"caption": "two", "start_time": 3, "end_time": "0:04"}],
        },
        {"v1": {"description": "one", "times": [1, 2]}, "v2": [{"query": "two", "times": [[3, 4]]}]},
        {"v1": {"sentences": ["one"], "timestamps": [[1, 2]]}, "v2": {"captions": ["two"], "times": [[3, 4]]}},
        [{"video": "v1", "description": "one", "start": 1, "end": 2}, {"vid": "v2", "query": "two", "times": [3, 4]}],
        '{"video": "v1", "text": "one", "start": 1, "end": 2}\n\n{"file": "v2", "text": "two", "times": [3, 4]}\n',
    ],
)
def test_json_with_times_as_queryd_and_others_have_them(tmp_path: Path, content: object) -> None:
    assert facts(read(tmp_path, content)) == [("one", "v1", 1, 2), ("two", "v2", 3, 4)]


def test_captions_of_a_data_set_are_queries_of_their_own(tmp_path: Path) -> None:
    found = read(tmp_path, {"v1": ["a bird", "a dog"], "v2": "a bird"})
    assert facts(found) == [("a bird", "v1", None, None), ("a dog", "v1", None, None), ("a bird", "v2", None, None)]
    assert len(found.texts) == 3


def test_broken_json_rows_are_named(tmp_path: Path) -> None:
    found = read(
        tmp_path, {"v1": ["a bird", 7, {"text": "x", "times": [1]}], "v2": {"sentences": ["a"], "times": [1, 2]}}
    )
    assert [str(row) for row in found.skipped] == [
        "v1 2: it is neither a text nor an object",
        "v1 3: '[1]' is not a start and an end",
        "v2 1: there are 1 captions and 2 times",
    ]
    found = read(tmp_path, '{"video": "a", "text": "b"}\n{"video": "a",\n{"video": "c", "text": "d"}\n')
    assert [str(row) for row in found.skipped] == ["line 2: it is not a JSON object"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "no query that can be used"),
        ("query,file\n", "no query that can be used"),
        ("query,file\nx,\n", "Line 2: it lacks the query or the video."),
        ("{}", "no query that can be used"),
        ('{"a": \n', "not valid JSON"),
    ],
)
def test_a_file_without_a_usable_row_is_an_error_that_says_why(tmp_path: Path, content: str, told: str) -> None:
    with pytest.raises(QueryError, match=told):
        read(tmp_path, content)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match=r"absent\.csv cannot be read"):
        read_queries(tmp_path / "absent.csv")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (7, 7.0),
        ("7.5", 7.5),
        ("1:02:03.5", 3723.5),
        ("02:03", 123.0),
        ("01.02.03.500", 3723.5),
        ("", None),
        (None, None),
    ],
)
def test_times(text: object, seconds: float | None) -> None:
    assert seconds_of(text) == (pytest.approx(seconds) if seconds is not None else None)


@pytest.mark.parametrize("text", ["soon", "1:x", "1.2.3", ":"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="not a time"):
        seconds_of(text)


@pytest.mark.skipif(not MEDIA.is_dir(), reason="the shared media are not beside this checkout")
def test_the_shared_queries_are_read_whole() -> None:
    found = read_queries(MEDIA / "queries.csv")
    assert len(found.judgements) == len(found.texts) == 15
    assert not found.skipped


def test_videos_are_found_by_id_path_tail_and_name_without_its_ending() -> None:
    known = catalogue(
        video("id1", path="/films/holiday/bird.mp4"),
        video("id2", path="/films/work/bird.avi"),
        video("id3", path="/films/work/talk.part.mp4"),
        copies={"id3": "/copies/speech.mp4"},
    )
    find = video_finder(known)
    for name, expected in {
        "id1": "id1",
        "/films/holiday/bird.mp4": "id1",
        "holiday/bird.mp4": "id1",
        "bird.avi": "id2",
        "holiday/bird": "id1",
        "talk.part": "id3",
        "speech": "id3",
    }.items():
        assert find(name).id == expected
    for name, reason in {
        "bird": r"it could be /films/holiday/bird.mp4 or",
        "ird.mp4": "no such",
        "": "no such",
    }.items():
        with pytest.raises(LookupError, match=reason):
            find(name)


def test_where_the_catalogue_finds_one_the_same_is_found_here() -> None:
    known = catalogue(*(video(f"id{number}", path=f"/a/{number % 3}/{number % 4}.mp4") for number in range(10)))
    find = video_finder(known)
    for path in [f"{folder}/{name}.mp4" for folder in "012" for name in "0123"] + [f"{name}.mp4" for name in "0123"]:
        try:
            expected = known.find(path).id
        except QueryError:
            with pytest.raises(LookupError):
                find(path)
        else:
            assert find(path).id == expected


def test_judgements_become_ids_and_what_is_unknown_is_named_and_counted() -> None:
    known = catalogue(video("id1", path="/films/a.mp4"), video("id2", path="/films/b.mp4"))
    rows = (
        Judgement("1", "a bird", "a.mp4", 1.0, 2.5),
        Judgement("1", "a bird", "a.mp4", 4.0, 5.0, relevance=3),
        Judgement("1", "a bird", "b", relevance=0),
        Judgement("2", "a dog", "c.mp4"),
        Judgement("3", "a cow", "c.mp4"),
        Judgement("4", "a cat", "b.mp4"),
        Judgement("5", "nothing", "b.mp4", relevance=0),
    )
    topics = match_queries(Queries(rows), known)
    assert topics.texts == {"1": "a bird", "4": "a cat"}
    assert topics.videos == {"1": {"id1": 3, "id2": 0}, "4": {"id2": 1}}
    assert topics.moments == {"1": {"id1@1.000-2.500": 1, "id1@4.000-5.000": 3}}
    assert [str(row) for row in topics.unmatched] == ["c.mp4: there is no such video in the index (2 rows)"]


def test_a_clip_is_found_as_a_file_or_in_its_film() -> None:
    row = Judgement("1", "SOMEONE wakes", "film_clip", 51.0, 54.0, film="film")
    whole = match_queries(Queries((row,)), catalogue(video("id1", path="/clips/film_clip.avi")))
    assert (dict(whole.videos["1"]), len(whole.moments)) == ({"id1": 1}, 0)
    within = match_queries(Queries((row,)), catalogue(video("id2", path="/films/film.mkv")))
    assert dict(within.moments["1"]) == {"id2@51.000-54.000": 1}


@given(st.text(min_size=1))
def test_ids_are_written_without_blanks_and_read_back(name: str) -> None:
    assert unquote(escape_id(name), errors="surrogatepass") == name
    assert escape_id(name).split() == [escape_id(name)]


@given(st.text(min_size=1), st.integers(0, 10**7), st.integers(0, 10**7))
def test_moments_are_read_back_to_the_millisecond(name: str, start_ms: int, more_ms: int) -> None:
    span = RelevantSpan(name, start_ms / 1000, (start_ms + more_ms) / 1000)
    found = span_of(moment_id(span))
    assert found is not None
    assert found.video_id == name
    assert (found.start_s, found.end_s) == (pytest.approx(span.start_s), pytest.approx(span.end_s))


@pytest.mark.parametrize("name", ["video", "video@home", "video@1-2", "@1.000-2.000", "video@1.000-2.000.mp4"])
def test_other_ids_are_no_moments(name: str) -> None:
    assert span_of(name) is None


@given(st.floats(0, 100), st.floats(0.01, 100), st.floats(0, 100), st.floats(0.01, 100))
def test_the_overlap_is_the_same_both_ways_and_one_only_of_a_span_with_itself(
    start: float, length: float, other_start: float, other_length: float
) -> None:
    one, other = RelevantSpan("v", start, start + length), RelevantSpan("v", other_start, other_start + other_length)
    assert one.iou(other) == other.iou(one)
    assert 0 <= one.iou(other) <= 1
    assert one.iou(one) == 1
    assert one.iou(RelevantSpan("w", start, start + length)) == 0


def test_judgements_are_written_and_read_in_trec_form(tmp_path: Path) -> None:
    qrels = {"a query": {"my film.mp4": 1, "100%": 0}, "2": {"v@1.000-2.000": 3, "bad\udce9": 1}}
    path = write_qrels(tmp_path / "new" / "qrels.trec", qrels)
    assert path.read_text().splitlines()[0] == "a%20query 0 my%20film.mp4 1"
    assert read_qrels(path) == qrels
    assert [entry.name for entry in path.parent.iterdir()] == ["qrels.trec"]


@pytest.mark.parametrize("line", ["1 0 a", "1 0 a b", "1 0 a 1 2"])
def test_a_line_that_is_no_judgement_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(QueryError, match="line 2 is not a judgement"):
        read_qrels(written(tmp_path, f"1 0 a 1\n{line}\n"))


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        write_qrels(written(tmp_path, "") / "qrels.trec", {})
