import codecs
import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.core.errors import SubtitleError
from indexer.core.types import Cue
from indexer.media.read.probe import probe
from indexer.media.read.subtitles import read_embedded, read_sidecar

FRENCH = "L'été dernier, à la plage, nous avons mangé des crêpes et bu du café très noir près du château."


def srt(*lines: tuple[str, str, str]) -> str:
    return "\n".join(f"{i}\n{start} --> {end}\n{text}\n" for i, (start, end, text) in enumerate(lines, start=1))


@pytest.fixture
def sidecar(tmp_path):
    def make(contents: str | bytes, name: str = "film.srt", encoding: str = "utf-8") -> Path:
        path = tmp_path / name
        path.write_bytes(contents if isinstance(contents, bytes) else contents.encode(encoding))
        return path

    return make


def test_subrip(sidecar):
    text = srt(("00:00:01,500", "00:00:02,750", "Hello\nthere"), ("01:02:03,004", "01:02:05,000", "Bye"))
    start_s = 3600 + 2 * 60 + 3.004
    assert read_sidecar(sidecar(text)) == [Cue(1.5, 2.75, "Hello there"), Cue(start_s, start_s + 1.996, "Bye")]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "film.vtt",
            "WEBVTT\n\nNOTE a note\n\n00:01.000 --> 00:02.000 align:start\n<v Ann>Hi <c.loud>you</c> &amp; me\n",
        ),
        ("film.srt", srt(("00:00:01,000", "00:00:02,000", '<font color="red">Hi</font> <i>you</i> &amp; me'))),
        (
            "film.ass",
            "[Script Info]\nScriptType: v4.00+\n\n[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, "
            "MarginV, Effect, Text\nComment: 0,0:00:00.00,0:00:09.00,Default,,0,0,0,,not shown\n"
            "Dialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,{\\i1\\pos(1,2)}Hi{\\i0}\\Nyou & me\n"
            "Dialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,{\\p1}m 0 0 l 10 10{\\p0}\n",
        ),
    ],
)
def test_markup_is_removed(sidecar, name, text):
    assert read_sidecar(sidecar(text, name)) == [Cue(1.0, 2.0, "Hi you & me")]


def test_less_than_is_no_markup(sidecar):
    path = sidecar(srt(("00:00:01,000", "00:00:02,000", "1 < 2 and 4 > 3")))
    assert read_sidecar(path) == [Cue(1.0, 2.0, "1 < 2 and 4 > 3")]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252"]
)
def test_encodings(sidecar, encoding):
    marks = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}
    text = srt(("00:00:01,000", "00:00:02,000", FRENCH))
    path = sidecar(marks.get(encoding, b"") + text.encode(encoding))
    assert read_sidecar(path) == [Cue(1.0, 2.0, FRENCH)]


def test_cyrillic_in_its_old_encoding(sidecar):
    line = "Прошлым летом мы часто ездили на море и подолгу сидели у костра."
    path = sidecar(srt(("00:00:01,000", "00:00:02,000", line)), encoding="cp1251")
    assert read_sidecar(path) == [Cue(1.0, 2.0, line)]


def test_contents_of_another_format_than_the_name_says(sidecar):
    header = "[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\n\n[Events]\n"
    path = sidecar(header + "Dialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,Hi\n", "film.srt")
    assert read_sidecar(path) == [Cue(1.0, 2.0, "Hi")]


def test_cues_are_put_in_order_and_may_overlap(sidecar):
    text = srt(("00:00:05,000", "00:00:09,000", "b"), ("00:00:01,000", "00:00:06,000", "a"))
    assert read_sidecar(sidecar(text)) == [Cue(1.0, 6.0, "a"), Cue(5.0, 9.0, "b")]


def test_cues_without_length_get_a_reading_time(sidecar):
    text = srt(
        ("00:00:01,000", "00:00:01,000", "next comes first"),
        ("00:00:02,500", "00:00:01,000", "ends before it starts"),
        ("00:00:09,000", "00:00:10,000", "whole"),
    )
    assert read_sidecar(sidecar(text)) == [
        Cue(1.0, 2.5, "next comes first"),
        Cue(2.5, 2.5 + 2.0, "ends before it starts"),
        Cue(9.0, 10.0, "whole"),
    ]


def test_cues_without_text_are_left_out(sidecar):
    text = srt(("00:00:01,000", "00:00:02,000", "<i> </i>"), ("00:00:03,000", "00:00:04,000", "said"))
    assert read_sidecar(sidecar(text)) == [Cue(3.0, 4.0, "said")]


@pytest.mark.parametrize("contents", ["", "  \n\n", "WEBVTT\n\n", "\ufeff"])
def test_nothing_said(sidecar, contents):
    assert read_sidecar(sidecar(contents, "film.vtt")) == []


@pytest.mark.parametrize(
    "contents", [b"just some words\n", bytes(range(256)) * 20, b"\x00" * 500, b'{"json": true}', b"-->\n-->\n"]
)
@pytest.mark.parametrize("name", ["film.srt", "film.vtt", "film.ass"])
def test_garbage_names_the_file(sidecar, contents, name):
    with pytest.raises(SubtitleError, match=name):
        read_sidecar(sidecar(contents, name))


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(SubtitleError, match=r"nowhere\.srt"):
        read_sidecar(tmp_path / "nowhere.srt")
    with pytest.raises(SubtitleError, match="cannot be read"):
        read_sidecar(tmp_path)


LINES = st.sampled_from(
    [
        *("1", "", "\x00", "-->", "00:00:01,000 --> 00:00:02,000", "00:00:05.0 --> 99:99:99.99", "WEBVTT", "<i"),
        *("[Script Info]", "[V4+ Styles]", "[Events]", "Format: Start, Text", "Dialogue: 0,0:00:01.00,x", "Style: "),
        *("Dialogue: ", "{\\p1}", "{1}{2}x", "<tt xmlns='http://www.w3.org/ns/ttml'>", '{"segments": [{}]}'),
    ]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    contents=st.one_of(st.binary(max_size=200), st.lists(st.one_of(LINES, st.text(max_size=20))).map("\n".join)),
    name=st.sampled_from(["film.srt", "film.vtt", "film.ass", "film.ssa", "film.sub"]),
)
def test_nothing_else_is_ever_raised(sidecar, contents, name):
    data = contents if isinstance(contents, bytes) else contents.encode(errors="surrogatepass")
    with contextlib.suppress(SubtitleError):
        cues = read_sidecar(sidecar(data, name))
        assert all(0 <= cue.start_s < cue.end_s and cue.text.strip() for cue in cues)
        assert [cue.start_s for cue in cues] == sorted(cue.start_s for cue in cues)


CUES = (Cue(0.5, 1.0, "hello there"), Cue(1.2, 1.9, "two\nlines, with {braces} & <i>slant</i>"))
PLAIN = ["hello there", "two lines, with & slant"]


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mov", "libx264"), ("a.mkv", "libx264")])
def test_embedded(make_clip, greys, name, codec):
    path = make_clip(name, greys(50), codec=codec, subtitles=CUES)
    (stream,) = probe(path).text_subtitle_streams
    cues = read_embedded(path, stream)
    assert [cue.start_s for cue in cues] == pytest.approx([0.5, 1.2], abs=0.002)
    assert [cue.end_s for cue in cues] == pytest.approx([1.0, 1.9], abs=0.002)
    assert [cue.text for cue in cues] == PLAIN


def test_embedded_webvtt(make_clip, greys):
    path = make_clip("a.webm", greys(50), codec="libvpx", subtitles=CUES[:1])
    assert read_embedded(path, 1) == [CUES[0]]


def test_embedded_times_count_from_the_first_frame(make_clip, greys):
    path = make_clip("late.mkv", greys(50), times_s=[5 + i / 25 for i in range(50)], subtitles=(Cue(5.5, 6.0, "now"),))
    assert read_embedded(path, 1) == [Cue(0.5, 1.0, "now")]


def test_embedded_before_the_first_frame_is_left_out(make_clip, greys):
    spoken = (Cue(1.0, 2.0, "too early"), Cue(4.5, 5.5, "half"))
    path = make_clip("late.mkv", greys(50), times_s=[5 + i / 25 for i in range(50)], subtitles=spoken)
    assert read_embedded(path, 1) == [Cue(0.0, 0.5, "half")]


def test_embedded_stream_that_is_not_there(clip, tmp_path):
    for index in (0, 1, 7):
        with pytest.raises(SubtitleError, match=rf"no text subtitles in stream {index}"):
            read_embedded(clip, index)
    with pytest.raises(SubtitleError, match=r"nowhere\.mkv"):
        read_embedded(tmp_path / "nowhere.mkv", 1)


def test_embedded_text_that_is_damaged(make_clip, greys):
    path = make_clip("a.mkv", greys(50), subtitles=(Cue(0.5, 1.0, "ABCDEFGH"), Cue(1.2, 1.9, "whole")))
    path.write_bytes(path.read_bytes().replace(b"ABCDEFGH", b"AB\xff\x00\x01\xfeGH"))
    cues = read_embedded(path, 1)
    assert cues[-1] == Cue(1.2, 1.9, "whole")
