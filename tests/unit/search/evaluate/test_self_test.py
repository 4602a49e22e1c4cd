"""The self-test: a library whose pictures answer half of the queries, and what is said of it."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from indexer.core.errors import QueryError, UsageError
from indexer.core.types import ModalityName
from indexer.store.memory import MemoryStore
from search.engine import SearchEngine
from search.evaluate.qrels import RelevantSpan, moment_id, read_qrels
from search.evaluate.retrieval import MetricValue, measure_run, summarise
from search.evaluate.runs import RetrievalOptions, Run, read_run
from search.evaluate.self_test import (
    Chance,
    SelfTestFigures,
    SelfTestReport,
    SelfTestRow,
    chance_values,
    expectation_of,
    is_right_moment,
    run_self_test,
)
from search.evaluate.self_test_queries import KnownItem
from search.evaluate.significance import Interval
from search.query.query import Query
from tests.unit.search.library import engine_of, put, record, shots, video

WORDS = (
    *("lion", "zebra", "giraffe", "camel", "ostrich", "badger", "heron", "walrus", "beetle", "donkey", "falcon"),
    *("turtle", "monkey", "rabbit", "salmon", "spider", "jaguar", "lizard", "magpie", "weasel"),
)
VIDEOS = 20


def library(answered: int = VIDEOS // 2) -> MemoryStore:
    """Twenty films of three shots; someone names an animal in the second one, and the first films show it there."""
    store = MemoryStore()
    for number, animal in enumerate(WORDS):
        key = f"v{number:02}"
        shown = animal if number < answered else "nothing"
        records = shots(key, ["empty street", shown, "quiet sea"])
        said = record(key, "subtitle", 12.0, 18.0, f"{animal} crosses meadow{animal}")
        put(store, video(key), [*records, said])
    return store


def report_on(store: MemoryStore, out: Path) -> SelfTestReport:
    return run_self_test(engine_of(store), store, options=RetrievalOptions(), out=out)


def by_name(metrics: Sequence[MetricValue]) -> dict[str, float]:
    return {metric.name: metric.value for metric in metrics}


def test_without_the_source_only_what_the_pictures_show_is_found(tmp_path: Path) -> None:
    report = report_on(library(), tmp_path)
    [row] = report.rows
    assert (row.sources, row.queries, report.videos, report.videos_asked) == (("subtitle",), 20, 20, 20)
    # Ten of the twenty are shown, each in one film alone and right there; the others are not found at all.
    half = {"hit@1": 10 / 20, "hit@5": 10 / 20, "hit@10": 10 / 20, "MRR": 10 / 20}
    assert by_name(row.without_source.by_video) == pytest.approx(half)
    assert by_name(row.without_source.by_moment) == pytest.approx(half)
    everything = dict.fromkeys(half, 1.0)
    assert by_name(row.with_source.by_video) == by_name(row.with_source.by_moment) == everything
    # All of twenty, each of another film: (20 + 0) / (20 + 1.96 ** 2) at the least, by Wilson.
    assert row.with_source.by_video[0].interval.low == pytest.approx(20 / (20 + 1.96**2), abs=1e-4)
    assert all(one.interval.low < one.value < one.interval.high for one in row.without_source.by_video)


def test_each_source_has_a_row_and_is_left_out_by_itself(tmp_path: Path) -> None:
    store = MemoryStore()
    for number, animal in enumerate(WORDS[:10]):
        key = f"v{number:02}"
        # What is written is also said, so each finds the other; what is described is nowhere else.
        words = f"{animal} crosses meadow{animal}"
        said, written = (record(key, name, 12.0, 18.0, words) for name in ("speech", "ocr"))
        about = record(key, "description", 0.0, 30.0, f"holiday with uncle{animal}")
        put(store, video(key), [*shots(key, ["empty street"] * 3), said, written, about])
    report = report_on(store, tmp_path)
    everything, *sources = report.rows
    # The same words are asked for once, be they of speech or of the picture.
    queries = {row.sources: row.queries for row in report.rows}
    assert queries[everything.sources] == sum(row.queries for row in sources) == 20
    assert queries["speech",] + queries["ocr",] == queries["description",] == 10
    found = {row.sources: by_name(row.without_source.by_video)["hit@1"] for row in sources}
    assert found == {("speech",): 1.0, ("ocr",): 1.0, ("description",): 0.0}
    assert by_name(everything.without_source.by_video)["hit@1"] == pytest.approx(10 / 20)
    described = next(row for row in sources if row.sources == ("description",))
    assert described.without_source.by_moment == ()


def known_item(name: str, video_id: str, start_s: float = 12.0) -> KnownItem:
    return KnownItem(name, name, "subtitle", RelevantSpan(video_id, start_s, start_s + 6.0), name)


def ranked(*documents: str) -> list[tuple[str, float]]:
    return [(document, 1 / place) for place, document in enumerate(documents, 1)]


def test_chance_is_what_queries_of_other_videos_find_of_the_answer() -> None:
    # Film "a" has three of four texts, and comes first whatever is searched for.
    drawn = [*(known_item(f"a{n}", "a", 40.0 * n) for n in range(3)), known_item("b0", "b")]
    videos = Run({"a0": ranked("a", "c", "b"), "a1": ranked("a", "b"), "a2": ranked("a"), "b0": ranked("a", "b")})
    right, wrong = moment_id(RelevantSpan("a", 40.0, 46.0)), moment_id(RelevantSpan("a", 200.0, 206.0))
    moments = Run({"b0": ranked(wrong, right)})
    chance = chance_values(drawn, {"videos": videos, "moments": moments})
    assert chance["videos"]["hit@1"] == {"a0": 1.0, "a1": 1.0, "a2": 1.0, "b0": 0.0}
    # The queries of "a" have "b" in third place, in second place, and not at all.
    assert chance["videos"]["hit@5"]["b0"] == pytest.approx(2 / 3)
    assert chance["videos"]["MRR"]["b0"] == pytest.approx((1 / 3 + 1 / 2) / 3)
    assert chance["moments"]["hit@1"] == {"a0": 0.0, "a1": 0.0, "a2": 0.0, "b0": 0.0}
    assert chance["moments"]["MRR"] == {"a0": 0.0, "a1": 1 / 2, "a2": 0.0, "b0": 0.0}


def test_chance_of_videos_that_are_alike_is_that_of_a_random_order() -> None:
    count = 120
    drawn = [known_item(f"q{n}", f"v{n}") for n in range(count)]
    tied = [(f"v{n}", 1.0) for n in range(count)]
    chance = chance_values(drawn, {"videos": Run({f"q{n}": tied for n in range(count)}), "moments": Run()})["videos"]
    assert chance["hit@5"] == pytest.approx({f"q{n}": 5 / count for n in range(count)})


def test_of_queries_of_one_video_there_is_no_chance() -> None:
    drawn = [known_item("a0", "a"), known_item("a1", "a", 90.0)]
    chance = chance_values(drawn, {"videos": Run({"a0": ranked("a"), "a1": ranked("a")}), "moments": Run()})
    assert not any(of_query for level in chance.values() for of_query in level.values())


def test_chance_stands_beside_the_figures_of_videos_and_of_moments(tmp_path: Path) -> None:
    report = report_on(library(), tmp_path)
    # Who asks for one animal is shown that one alone, if any: never the film of another.
    nothing = dict.fromkeys(("hit@1", "hit@5", "hit@10", "MRR"), 0.0)
    assert report.rows[0].chance.by_video == report.rows[0].chance.by_moment == nothing
    assert json.loads((tmp_path / "self-test.json").read_text())["rows"][0]["chance"]["by_moment"] == nothing


def test_intervals_draw_whole_videos(tmp_path: Path) -> None:
    """Ten films of two texts each: both are found, or none, so that ten draws tell all that there is to know."""
    store = MemoryStore()
    for number in range(10):
        animals = WORDS[2 * number : 2 * number + 2]
        pictures = [*animals] if number < 5 else ["nothing"] * 2
        key = f"v{number:02}"
        texts = [
            record(key, "subtitle", 10.0 * n, 10.0 * n + 9, f"{name} crosses meadow{name}")
            for n, name in enumerate(animals)
        ]
        put(store, video(key, 20.0), [*shots(key, pictures), *texts])
    first = report_on(store, tmp_path).rows[0].without_source.by_video[0]
    assert (first.name, first.queries, first.value) == ("hit@1", 20, 10 / 20)
    # A binomial of 10 draws has its 2.5% and 97.5% at 2 and 8; one of 20 draws, at 6 and 14.
    assert (first.interval.low, first.interval.high) == pytest.approx((2 / 10, 8 / 10))


def test_everything_is_written_and_agrees(tmp_path: Path) -> None:
    report = report_on(library(), tmp_path / "out")
    assert {path.name for path in report.files} == {path.name for path in (tmp_path / "out").iterdir()}
    told = json.loads((tmp_path / "out" / "self-test.json").read_text())
    assert told == json.loads(json.dumps(report.as_json()))
    assert told["expectation"] == report.expectation
    with (tmp_path / "out" / "queries.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["query"] for row in rows] == [known.query for known in report.drawn]
    assert {(row["rank"], row["rank_with_source"]) for row in rows[:10]} == {("1.0", "1.0")}
    # Not found among those returned, so somewhere among all the others.
    assert all(float(row["rank"]) > 1 for row in rows[10:])
    for ending, of_row in (("", report.rows[0].without_source), ("-with-source", report.rows[0].with_source)):
        run = read_run(tmp_path / "out" / f"run{ending}.trec")
        again = summarise(measure_run(run, read_qrels(tmp_path / "out" / "qrels.trec"), corpus_size=VIDEOS))
        assert {one.name: one for one in again}["MRR"] == {one.name: one for one in of_row.by_video}["MRR"]
    windows = read_qrels(tmp_path / "out" / "qrels-moments.trec")
    moments = measure_run(read_run(tmp_path / "out" / "run-moments.trec"), windows, corpus_size=VIDEOS)
    # [12, 18) lies within the shot from 10 to 20: an intersection of 6 over a union of 10.
    assert sum(moments["R@1 IoU=0.5"].values()) == 10
    assert sum(moments["R@1 IoU=0.7"].values()) == 0


@pytest.mark.parametrize(
    ("found", "is_right"),
    [
        ((10.0, 20.0), True),
        ((2.0, 40.0), True),
        ((1.9, 40.0), False),  # more than ten seconds to wait
        ((15.0, 30.0), True),  # three seconds of six
        ((15.1, 30.0), False),
        ((13.0, 13.0), True),  # an instant within
        ((18.0, 30.0), False),
    ],
)
def test_a_moment_is_right_if_it_shares_half_and_leads_there_soon(found: tuple[float, float], is_right: bool) -> None:
    known = RelevantSpan("v", 12.0, 18.0)
    assert is_right_moment(RelevantSpan("v", *found), known) is is_right
    assert not is_right_moment(RelevantSpan("w", *found), known)


class StoppedError(Exception):
    """What Ctrl-C is in these tests."""


class CountingEngine:
    """Answers so many searches and stops."""

    def __init__(self, engine: SearchEngine, searches: int) -> None:
        self.left = searches
        self.catalogue = engine.catalogue
        self._engine = engine

    def search(self, query: Query) -> object:
        if self.left == 0:
            raise StoppedError
        self.left -= 1
        return self._engine.search(query)


def test_a_test_that_was_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    store = library()
    stopping = CountingEngine(engine_of(store), 50)
    with pytest.raises(StoppedError):
        run_self_test(stopping, store, options=RetrievalOptions(), out=tmp_path / "out")  # type: ignore[arg-type]
    # 20 queries, each in two ways, each for videos and for moments; 25 of these pairs are done.
    going_on = CountingEngine(engine_of(store), 80 - 50)
    report = run_self_test(going_on, store, options=RetrievalOptions(), out=tmp_path / "out")  # type: ignore[arg-type]
    assert going_on.left == 0
    assert replace(report, files=()) == replace(report_on(store, tmp_path / "other"), files=())
    assert not list((tmp_path / "out").glob("searched-*"))


def test_progress_counts_the_queries_and_then_both_ways_of_searching(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    store = library()
    run_self_test(
        engine_of(store),
        store,
        options=RetrievalOptions(),
        out=tmp_path,
        queries=12,
        progress=lambda *each: told.append(each),
    )
    assert told[:12] == [("choosing queries", number, 12) for number in range(1, 13)]
    searches = [done for what, done, total in told[12:] if (what, total) == ("searching", 24)]
    assert searches == sorted(searches)
    assert (searches[0], searches[-1], len(told) - 12) == (0, 24, len(searches))


def only(source: ModalityName, count: int, *, pictures: bool = True) -> MemoryStore:
    store = MemoryStore()
    for number, animal in enumerate(WORDS[:count]):
        key = f"v{number:02}"
        one = video(key) if pictures else replace(video(key), width=0, height=0, frame_rate=None)
        frames = shots(key, [animal]) if pictures else []
        put(store, one, [*frames, record(key, source, 0.0, 10.0, f"{animal} crosses meadow")])
    return store


@pytest.mark.parametrize(
    ("store", "told"),
    [
        (only("ocr", 9), r"Only 9 queries .* fewer than 10 nothing can be said.*--add speech'"),
        (only("ocr", 1), r"Only 1 query with"),
        (only("objects", 12), r"holds no texts.*--add speech,ocr'"),
        (only("speech", 12, pictures=False), r"nothing but speech, and without that .*--add sounds'"),
        (only("subtitle", 12, pictures=False), r"nothing but subtitles, .*--add speech,sounds'"),
    ],
)
def test_where_nothing_can_be_said_the_way_out_is_named(store: MemoryStore, told: str, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match=told):
        report_on(store, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_kinds_without_weight_are_not_searched_in(tmp_path: Path) -> None:
    options, store = RetrievalOptions(weights={"frames": 0.0}), library()
    with pytest.raises(QueryError, match="nothing but subtitles"):
        run_self_test(engine_of(store), store, out=tmp_path, options=options)


def test_a_kind_that_nothing_could_be_drawn_from_is_named(tmp_path: Path) -> None:
    store = library()
    put(store, video("w1"), [record("w1", "ocr", 0.0, 4.0, "EXIT")])
    report = report_on(store, tmp_path)
    assert report.left_out == {"ocr": "none of its 1 texts has some words that stand nowhere else"}


def test_too_few_queries_to_ask_for_and_a_folder_that_cannot_be_written_are_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = library()
    stopping = CountingEngine(engine_of(store), 0)
    with pytest.raises(QueryError, match="9 queries are too few"):
        run_self_test(stopping, store, options=RetrievalOptions(), out=tmp_path / "out", queries=9)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="cannot be written"):
        run_self_test(stopping, store, options=RetrievalOptions(), out=tmp_path / "file" / "out")  # type: ignore[arg-type]


def sentence_of(
    value: float, low: float, high: float, chance: dict[str, float], queries: int, *sources: ModalityName
) -> str:
    found = tuple(MetricValue(name, value, Interval(low, high), queries) for name in ("hit@1", "hit@5"))
    upper = tuple(MetricValue(name, 1.0, Interval(0.9, 1.0), queries) for name in ("hit@1", "hit@5"))
    return expectation_of(SelfTestRow(sources, queries, SelfTestFigures(found), SelfTestFigures(upper), Chance(chance)))


def expected(value: float, low: float, high: float, chance: dict[str, float]) -> str:
    return sentence_of(value, low, high, chance, 50, "speech", "subtitle")


def of_few(chance: dict[str, float]) -> str:
    return sentence_of(1.0, 0.7, 1.0, chance, 9, "speech")


def test_the_sentence_says_how_many_of_ten_and_what_chance_would_give() -> None:
    assert expected(0.62, 0.43, 0.78, {"hit@1": 0.04, "hit@5": 0.2}) == (
        "Type some of what is said: even without that text, the other evidence puts the right video among the first 5 "
        "in about 6 of 10 searches (between 4 and 8); by chance it would be 2 of 10. With that text: 10 of 10."
    )


@pytest.mark.parametrize(
    ("sentence", "told"),
    [
        # Among few videos the first five are no feat.
        (expected(0.6, 0.4, 0.8, {"hit@1": 1 / 6, "hit@5": 5 / 6}), "the right video first in about 6 of 10"),
        # Shares that tenths cannot tell from nothing or everything are told in hundredths.
        (expected(0.62, 0.5, 0.7, {"hit@5": 0.01}), "in about 62 of 100 searches (between 50 and 70)"),
        (expected(0.97, 0.9, 1.0, {"hit@5": 0.1}), "in about 97 of 100 searches (between 90 and 100)"),
        (expected(0.62, 0.5, 0.7, {"hit@5": 0.001}), "by chance it would be hardly ever"),
        (expected(0.3, 0.1, 0.5, {"hit@5": 0.2}), "That is not surely better than chance."),
        (
            expected(0.6, 0.4, 0.8, {}),
            "puts the right video among the first 5 in about 6 of 10 searches (between 4 and 8). W",
        ),
        (
            of_few({"hit@5": 0.2}),
            "in about 10 of 10 searches; by chance it would be 2 of 10. That is not surely better",
        ),
        (of_few({}), "in about 10 of 10 searches. These are too few searches to be sure of it."),
        (
            expectation_of(SelfTestRow(("description",), 0, SelfTestFigures(()), SelfTestFigures(()))),
            "There is only one video",
        ),
    ],
)
def test_the_sentence_is_honest_at_the_edges(sentence: str, told: str) -> None:
    assert told in sentence


def test_of_a_single_video_only_moments_are_told(tmp_path: Path) -> None:
    store = MemoryStore()
    texts = [record("v", "subtitle", 4.0 * n, 4.0 * n + 4, f"{name} crosses meadow") for n, name in enumerate(WORDS)]
    put(store, video("v", 80.0), [*shots("v", [*WORDS], 4.0), *texts])
    report = report_on(store, tmp_path)
    assert by_name(report.rows[0].without_source.by_moment)["hit@1"] == 1.0
    assert "puts the right moment among the first 5 in about 10 of 10" in report.expectation
    assert "chance" not in report.expectation
