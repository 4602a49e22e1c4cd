"""Rankings as files: read back by the libraries that other programs read them with."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import opentimelineio as otio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentimelineio.opentime import RationalTime

from indexer.core.errors import UsageError
from indexer.core.types import Video
from search.engine import Ranking
from search.moments import Hit, Moment
from search.query.query import Query
from tests.unit.search.library import video
from ui.cli.search import about_unopened
from ui.export import EXPORT_FORMATS, export_ranking, format_of, write_export
from ui.export.edit_lists import MOST_EVENTS, as_edl, as_otio, events_of, list_rate
from ui.export.tables import COLUMNS, as_csv
from ui.services.answers import as_json

NTSC = Fraction(30000, 1001)
FILM = Fraction(24000, 1001)
RATES = [FILM, Fraction(24), Fraction(25), NTSC, Fraction(30), Fraction(50), Fraction(60000, 1001), Fraction(60)]
BOM = b"\xef\xbb\xbf"


def film(video_id: str, rate: Fraction | None = Fraction(25), duration_s: float = 3600.0, **changes: object) -> Video:
    size = {} if rate else {"width": 0, "height": 0}
    return replace(video(video_id, duration_s), frame_rate=rate, **size, **changes)  # type: ignore[arg-type]


def moment(of: Video, start_s: float, end_s: float, text: str = "said so") -> Moment:
    hit = Hit(f"{of.id}/speech/1", of.id, "speech", start_s, end_s, start_s, 0.4, text=text, evidence=0.01)
    return Moment(of, start_s, end_s, start_s, 0.01, (hit,))


def ranking(*moments: Moment, offset: int = 0) -> Ranking:
    return Ranking(Query("a question", offset=offset), moments, len(moments), ("speech",), ())


def read_edl(content: bytes, rate: Fraction) -> otio.schema.Timeline:
    return otio.adapters.read_from_string(content.decode(), "cmx_3600", rate=float(rate))


def clips(timeline: otio.schema.Timeline, kind: str = "Video") -> list[otio.schema.Clip]:
    tracks = [track for track in timeline.tracks if track.kind == kind]
    return [clip for clip in tracks[0] if isinstance(clip, otio.schema.Clip)] if tracks else []


def table(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


class TestTables:
    def test_a_row_a_moment(self) -> None:
        found = ranking(moment(film("a", title="Été"), 3661.5, 3665.0), moment(film("b"), 0.0, 1.0), offset=10)
        content = as_csv(found)
        assert content.startswith(BOM)
        assert content.count(b"\r\n") == 3
        first, second = table(content)
        assert tuple(first) == COLUMNS
        assert (first["rank"], second["rank"]) == ("11", "12")
        assert (first["title"], first["start"], first["end"]) == ("Été", "1:01:01", "1:01:05")
        assert (float(first["start_s"]), float(first["end_s"])) == (3661.5, 3665.0)
        assert (first["modalities"], first["text"], first["confidence"]) == ("speech", "said so", "")

    def test_confidence_where_it_is_known(self) -> None:
        sure = replace(moment(film("a"), 0.0, 1.0), confidence=0.75)
        assert [row["confidence"] for row in table(as_csv(ranking(sure)))] == ["0.75"]

    @pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "  =1", "\r=1", "＝1", '=HYPERLINK("x")'])
    def test_no_cell_is_a_formula(self, text: str) -> None:
        [row] = table(as_csv(ranking(moment(film("a", title=text, label=text), 0.0, 1.0, text))))
        for column in ("title", "label", "text"):
            assert row[column].startswith("'"), column

    def test_a_row_is_one_line_whatever_is_said(self) -> None:
        content = as_csv(ranking(moment(film("a"), 0.0, 1.0, 'two\nlines,\r\n"quoted"\u2028')))
        assert content.count(b"\n") == 2
        assert table(content)[0]["text"] == 'two lines, "quoted" '

    def test_json_is_the_document_of_the_command_line(self) -> None:
        found = ranking(moment(film("a"), 1.0, 2.0))
        document = json.loads(export_ranking(found, "what?", "json"))
        assert document == json.loads(json.dumps(as_json(found, "what?")))
        assert document["moments"][0]["start_s"] == 1.0

    def test_names_that_are_no_text_can_be_written(self) -> None:
        odd = film("a", path=Path("/films/\udcff.mp4"), title="\udcff")
        for form in EXPORT_FORMATS:
            export_ranking(ranking(moment(odd, 0.0, 1.0)), "q\udcff", form).decode("utf-8")


class TestEditLists:
    @given(
        rate=st.sampled_from(RATES),
        spans=st.lists(st.tuples(st.floats(0, 3500), st.floats(0, 60)), min_size=1, max_size=5),
    )
    @settings(max_examples=60, deadline=None)
    def test_times_come_back_to_the_frame(self, rate: Fraction, spans: Sequence[tuple[float, float]]) -> None:
        found = ranking(
            *(moment(film(f"v{place}", rate), start, start + long) for place, (start, long) in enumerate(spans))
        )
        for timeline in (
            read_edl(as_edl(found, "q"), rate),
            otio.adapters.read_from_string(as_otio(found, "q").decode(), "otio_json"),
        ):
            cuts = clips(timeline)
            assert len(cuts) == len(found.moments)
            for cut, one in zip(cuts, found.moments, strict=True):
                start, end = cut.source_range.start_time, cut.source_range.end_time_exclusive()
                frame_s = float(1 / rate)
                # The first frame is the one on screen at the start, the last the one on screen before the end.
                assert -0.011 * frame_s <= one.start_s - start.value * frame_s < 1.01 * frame_s
                assert (
                    -0.011 * frame_s <= end.value * frame_s - one.end_s < 1.01 * frame_s or end.value - start.value == 1
                )

    @pytest.mark.parametrize("rate", RATES)
    def test_a_moment_between_frames_is_those_frames(self, rate: Fraction) -> None:
        [event] = events_of(ranking(moment(film("a", rate), float(100 / rate), float(130 / rate))))
        assert (event.first, event.end, event.rate) == (100, 130, rate)

    def test_a_moment_of_no_length_is_one_frame(self) -> None:
        [event] = events_of(ranking(moment(film("a"), 2.0, 2.0)))
        assert (event.first, event.end) == (50, 51)

    def test_clips_follow_each_other_in_the_order_of_the_list(self) -> None:
        found = ranking(moment(film("b"), 50.0, 52.0), moment(film("a"), 10.0, 11.0), moment(film("b"), 0.0, 4.0))
        timeline = read_edl(as_edl(found, "q"), Fraction(25))
        assert [clip.name for clip in clips(timeline)] == ["b.mp4", "a.mp4", "b.mp4"]
        begins = [clip.range_in_parent().start_time.value for clip in clips(timeline)]
        assert begins == [0, 2 * 25, (2 + 1) * 25]

    @pytest.mark.parametrize(
        ("rate", "drops"), [(NTSC, True), (Fraction(60000, 1001), True), (FILM, False), (30, False)]
    )
    def test_drop_frame_is_said_and_counted(self, rate: Fraction, drops: bool) -> None:
        text = as_edl(ranking(moment(film("a", Fraction(rate)), 3600.0, 3601.0)), "q").decode()
        assert f"FCM: {'DROP' if drops else 'NON-DROP'} FRAME\n" in text
        # Drop-frame time code agrees with the clock; 23.976 counted as 24 falls 3.6 s behind in an hour.
        expected = {True: "01:00:00;", False: "00:59:56:" if rate == FILM else "01:00:00:"}[drops]
        assert f" C        {expected}" in text

    def test_the_files_own_time_code_is_where_it_starts(self) -> None:
        found = ranking(moment(film("a"), 10.0, 12.0))
        starts = {"a": "10:00:00:05"}
        [clip] = clips(read_edl(as_edl(found, "q", starts), Fraction(25)))
        assert clip.source_range.start_time.value == (10 * 3600 + 10) * 25 + 5
        [cut] = clips(otio.adapters.read_from_string(as_otio(found, "q", starts).decode(), "otio_json"))
        available = cut.media_reference.available_range
        assert available.start_time.value == 10 * 3600 * 25 + 5
        assert available.duration.value == 3600 * 25
        assert cut.source_range.start_time - available.start_time == RationalTime(10 * 25, 25)

    def test_time_code_that_drops_nothing_is_kept_so(self) -> None:
        found = ranking(moment(film("a", NTSC), 60.06, 61.0))  # 1800 frames in
        text = as_edl(found, "q", {"a": "01:00:00:00"}).decode()
        assert "FCM: NON-DROP FRAME" in text
        assert " C        01:01:00:00 " in text
        dropping = as_edl(found, "q", {"a": "01:00:00;00"}).decode()
        assert " C        01:01:00;02 " in dropping

    def test_a_rounded_rate_counts_as_the_rate_it_stands_for(self) -> None:
        found = ranking(moment(film("a", Fraction(2997, 100)), 3600.0, 3601.0))
        text = as_edl(found, "q", {"a": "01:00:00:00"}).decode()
        first = 3600 * 30 + math.floor(3600 * NTSC)  # each frame has a number
        assert "FCM: NON-DROP FRAME" in text
        assert f" C        {first // 108000:02}:{first // 1800 % 60:02}:{first // 30 % 60:02}:{first % 30:02} " in text
        [clip] = clips(read_edl(as_edl(found, "q", {"a": "01:00:00:00"}), NTSC))
        assert clip.source_range.start_time.value == first

    def test_each_file_is_counted_as_it_counts(self) -> None:
        starts = {"all": "01:00:00:00", "some": "01:00:00;00", "none": ""}
        videos = [film(name, NTSC) for name in ("all", "some", "none", "all")]
        found = ranking(*(moment(one, float(1800 / NTSC), float(1860 / NTSC)) for one in videos))
        content = as_edl(found, "q", starts)
        lines = [line for line in content.decode().splitlines() if line.startswith("FCM") or line[:3].isdigit()]
        kinds = [line if line.startswith("FCM") else line[:3] for line in lines]
        drop, all_ = "FCM: DROP FRAME", "FCM: NON-DROP FRAME"
        assert kinds == [drop, all_, "001", drop, "002", "003", all_, "004"]
        places = [line.split()[4] for line in lines if line[:3].isdigit()]
        assert places == ["01:01:00:00", "01:01:00;02", "00:01:00;02", "01:01:00:00"]
        records = [line.split()[6:] for line in lines if line[:3].isdigit()]
        assert records[0] == ["00:00:00;00", "00:00:02;00"]
        assert [out for _, out in records[:-1]] == [into for into, _ in records[1:]]
        origins = [event.origin for event in events_of(found, starts)]
        assert origins == [108000, 108000 - 108, 0, 108000]
        starts_read = [clip.source_range.start_time.value for clip in clips(read_edl(content, NTSC))]
        assert starts_read == [origin + 1800 for origin in origins]

    def test_a_time_code_of_a_file_that_cannot_be_opened_is_unknown(self, tmp_path: Path) -> None:
        found = ranking(moment(film("gone", path=tmp_path / "gone.mp4"), 1.0, 2.0))
        for starts, times in (({"gone": None}, 1), ({"gone": ""}, 0), ({}, 0)):
            assert as_edl(found, "q", starts).count(b"\n* START TIME CODE UNKNOWN") == times
            [clip] = clips(otio.adapters.read_from_string(as_otio(found, "q", starts).decode(), "otio_json"))
            assert ("start_timecode" in clip.metadata["sceneseek"]) == bool(times)
        for form in ("edl", "otio"):
            assert write_export(tmp_path / f"found.{form}", found, "q") == 1
        assert b"START TIME CODE UNKNOWN" in (tmp_path / "found.edl").read_bytes()
        assert write_export(tmp_path / "found.csv", found, "q") == 0

    def test_what_is_told_of_files_that_cannot_be_opened(self) -> None:
        assert about_unopened(1).endswith("its own time code is unknown, and positions in it count from zero.")
        assert "3 files cannot be opened" in about_unopened(3)

    @pytest.mark.parametrize("rate", [Fraction(25), NTSC, FILM])
    def test_an_edl_is_shorter_than_a_day(self, rate: Fraction) -> None:
        hour = moment(film("a", rate, duration_s=7200.0), 0.0, 3600.0)
        as_edl(ranking(*[hour] * 23), "q")
        with pytest.raises(UsageError, match=r"less than 24 hours, and these moments last 25\.0"):
            as_edl(ranking(*[hour] * 25), "q")

    def test_a_day_to_the_frame(self) -> None:
        hour = moment(film("a"), 0.0, 3600.0)
        with pytest.raises(UsageError, match="24 hours"):
            as_edl(ranking(*[hour] * 24), "q")
        last = moment(film("a"), 0.0, 3600.0 - 1 / 25)
        assert b" 23:59:59:24\n" in as_edl(ranking(*[hour] * 23, last), "q")

    @pytest.mark.parametrize("timecode", ["", "nonsense", "1:2", "01:00:00"])
    def test_what_is_no_time_code_is_zero(self, timecode: str) -> None:
        [event] = events_of(ranking(moment(film("a"), 1.0, 2.0)), {"a": timecode})
        assert event.origin == 0

    def test_other_rates_are_placed_by_their_second(self) -> None:
        found = ranking(moment(film("a"), 4.0, 5.0), moment(film("b"), 8.0, 9.0), moment(film("c", FILM), 10.0, 11.0))
        content = as_edl(found, "q")
        *_, other = clips(read_edl(content, Fraction(25)))
        assert other.source_range.start_time.value == 10 * 25
        assert content.count(b"SOURCE FRAME RATE 24000/1001") == 1
        *_, kept = clips(otio.adapters.read_from_string(as_otio(found, "q").decode(), "otio_json"))
        assert kept.source_range.start_time.rate == pytest.approx(24000 / 1001)
        assert kept.source_range.start_time.value == math.floor(10 * FILM)

    def test_the_rate_of_a_list(self) -> None:
        assert list_rate([film("a"), film("b", NTSC), film("c", NTSC)]) == NTSC
        assert list_rate([film("a", Fraction(1739, 100)), film("b", NTSC)]) == NTSC
        assert list_rate([film("a", Fraction(15))]) == 30
        assert list_rate([film("a", Fraction(1739, 100))]) == FILM
        assert list_rate([film("a", Fraction(19001, 634))]) == NTSC
        assert list_rate([film("a", None)]) == list_rate([]) == 25

    def test_sound_alone_is_on_a_track_of_sounds(self) -> None:
        silent = film("silent", has_audio=False)
        found = ranking(moment(film("radio", None), 3.0, 5.0), moment(film("film"), 0.0, 1.0), moment(silent, 0.0, 4.0))
        content = as_edl(found, "q")
        assert [line.split()[2] for line in content.decode().splitlines() if line[:3].isdigit()] == ["A", "B", "V"]
        for timeline in (
            read_edl(content, Fraction(25)),
            otio.adapters.read_from_string(as_otio(found, "q").decode(), "otio_json"),
        ):
            seen, heard = clips(timeline), clips(timeline, "Audio")
            assert len(seen) == len(heard) == 2
            assert heard[0].source_range.start_time.value == 3 * 25
            assert heard[1].range_in_parent().start_time.value == 2 * 25

    def test_reels_have_eight_letters_and_differ(self) -> None:
        titles = ["Holiday in Rome", "Holiday in Rome", "Holiday in Paris", "AX", "日本", "日本", "a-b c"]
        found = ranking(*(moment(film(f"v{place}", title=title), 0.0, 1.0) for place, title in enumerate(titles)))
        lines = [line.split() for line in as_edl(found, "q").decode().splitlines() if line[:3].isdigit()]
        assert [line[1] for line in lines] == ["HOLIDAYI", "HOLIDAY2", "HOLIDAY3", "AX2", "VIDEO", "VIDEO2", "ABC"]

    def test_an_edl_has_999_events(self) -> None:
        one = moment(film("a"), 0.0, 1.0)
        text = as_edl(ranking(*[one] * MOST_EVENTS), "q").decode()
        assert "\n999  " in text
        with pytest.raises(UsageError, match="999 moments, and there are 1000"):
            as_edl(ranking(*[one] * (MOST_EVENTS + 1)), "q")

    def test_no_name_breaks_out_of_its_line(self) -> None:
        evil = "a\n001  X        V     C        00:00:00:00 00:00:01:00 00:00:00:00 00:00:01:00\r\n* FROM CLIP NAME: b"
        found = ranking(moment(film("v", title=evil, path=Path(f"/films/{evil}.mp4")), 0.0, 1.0, evil))
        content = as_edl(found, evil)
        assert sum(line[:3].isdigit() for line in content.decode().splitlines()) == 1
        assert len(clips(read_edl(content, Fraction(25)))) == 1

    def test_the_media_and_why(self) -> None:
        there = film("v", path=Path("/films/été 1.mp4"), title="Été", label="sea")
        found = ranking(replace(moment(there, 1.0, 2.0), confidence=0.9))
        timeline = otio.adapters.read_from_string(as_otio(found, "a question").decode(), "otio_json")
        [clip] = clips(timeline)
        assert clip.media_reference.target_url == "file:///films/%C3%A9t%C3%A9%201.mp4"
        assert clip.name == "Été"
        why = clip.metadata["sceneseek"]
        assert (why["query"], why["rank"], why["confidence"], why["label"]) == ("a question", 1, 0.9, "sea")
        assert (why["start_s"], why["end_s"]) == (1.0, 2.0)
        assert why["why"][0]["text"] == "said so"
        [event] = clips(read_edl(as_edl(found, "q"), Fraction(25)))
        assert event.media_reference.target_url == "/films/été 1.mp4"


class TestFiles:
    @pytest.mark.parametrize("form", EXPORT_FORMATS)
    def test_nothing_found_is_a_file_all_the_same(self, form: str, tmp_path: Path) -> None:
        path = tmp_path / f"found.{form}"
        write_export(path, ranking(), "q")
        assert path.stat().st_size > 0
        if form == "edl":
            assert not list(read_edl(path.read_bytes(), Fraction(25)).tracks)

    def test_the_name_says_the_format(self) -> None:
        assert format_of(Path("a/B.OTIO")) == "otio"
        for name in ("found", "found.xlsx", "found.csv.bak"):
            with pytest.raises(UsageError, match="which format"):
                format_of(Path(name))

    def test_a_file_is_written_whole_or_not_at_all(self, tmp_path: Path) -> None:
        found = ranking(moment(film("a"), 0.0, 1.0))
        with pytest.raises(UsageError, match="cannot be written"):
            write_export(tmp_path / "missing" / "found.csv", found, "q")
        (tmp_path / "folder.csv").mkdir()
        with pytest.raises(UsageError, match="cannot be written"):
            write_export(tmp_path / "folder.csv", found, "q")
        assert [path.name for path in tmp_path.iterdir()] == ["folder.csv"]

    def test_a_neighbour_of_a_like_name_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "found.csv.tmp").write_text("mine")
        write_export(tmp_path / "found.csv", ranking(moment(film("a"), 0.0, 1.0)), "q")
        assert (tmp_path / "found.csv.tmp").read_text() == "mine"
        assert {path.name for path in tmp_path.iterdir()} == {"found.csv", "found.csv.tmp"}

    @pytest.mark.parametrize("form", EXPORT_FORMATS)
    def test_others_do_not_learn_where_files_lie(self, form: str) -> None:
        hidden = film("0123", path=Path("/home/secret/plan.mp4"), title="Ocean")
        picture = Path("/home/secret/thumbnails/1.jpg")
        found = ranking(
            replace(moment(hidden, 0.0, 1.0), thumbnail=picture), moment(replace(hidden, title=""), 2.0, 3.0)
        )
        content = export_ranking(found, "q", form, shows_paths=False).decode()  # type: ignore[arg-type]
        assert "secret" not in content
        assert "plan" not in content
        assert "Ocean" in content
        assert "0123" in content
