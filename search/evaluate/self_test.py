"""How well the search finds what is in one's own library, measured without any labels.

Queries with one known answer are drawn from the texts of the index (``search.evaluate.self_test_queries``). Each is
searched for twice. Without its source: the kind of text it was drawn from is left out of the search, so that what is
measured is whether pictures, sounds and the other texts find the place. And with everything, as a person searches who
types the very words: the upper line.

A video that is found is right if it is the one the text is of; which moments are is said in
``search.evaluate.self_test_searches``. Descriptions are of whole videos and have no moment.

Where the subtitles of a film and its speech are both in the index, each is what finds the other.

In a small library many searches are right by accident. So beside each figure, of videos and of moments, stands what
the searches for something in other videos would give if they were judged by the same answer; where all queries are of
one video, there is no such thing. Queries of one video are alike, so the intervals draw whole videos anew; where there
are few of them, the truth may lie further out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from indexer.core.errors import QueryError
from indexer.core.types import ModalityName
from indexer.store.base import VectorStore
from search.catalogue import Catalogue
from search.engine import SearchEngine
from search.evaluate.expectation import expectation_of
from search.evaluate.files import write_csv, write_json
from search.evaluate.metrics import QueryValues, first_ranks
from search.evaluate.progress import ReportProgress
from search.evaluate.qrels import write_qrels
from search.evaluate.retrieval import MetricValue, summed_up
from search.evaluate.runs import DEFAULT_RUN, LEVELS, Level, Run, RunOptions, write_run
from search.evaluate.self_test_queries import SOURCES, KnownItem, draw_known_items
from search.evaluate.self_test_searches import SELF_TEST_METRICS, SelfTestSearches
from search.modalities import in_words

__all__ = [
    "FEWEST_QUERIES",
    "SELF_TEST_METRICS",
    "Chance",
    "LeftOut",
    "Measured",
    "SelfTestOptions",
    "SelfTestReport",
    "SelfTestRow",
    "run_self_test",
]

FEWEST_QUERIES = 10
"""With fewer, an interval would reach from nothing to nearly everything."""

_OF_SOUND: tuple[ModalityName, ...] = ("speech", "sounds")
_ROLES: tuple[ModalityName, ...] = ("speech", "ocr", "captions", "sounds", "objects")
_HEADING = ("query_id", "query", "source", "video", "start_s", "end_s", "text", "rank", "rank_with_source", "first")


@dataclass(frozen=True, slots=True)
class SelfTestOptions:
    """How to test.

    Args:
        queries: How many to draw, if there are so many.
        seed: Which of all possible ones.
        run: How to search; a kind of evidence without weight is not searched in.

    Raises:
        QueryError: there would be too few to say anything.
    """

    queries: int = 200
    seed: int = 0
    run: RunOptions = DEFAULT_RUN

    def __post_init__(self) -> None:
        if self.queries < FEWEST_QUERIES:
            raise QueryError(
                f"{self.queries} queries are too few to say anything.", hint=f"Ask for {FEWEST_QUERIES} or more."
            )


@dataclass(frozen=True, slots=True)
class Measured:
    """The metrics of a number of queries in one way of searching; of moments, none where no query has one."""

    by_video: tuple[MetricValue, ...]
    by_moment: tuple[MetricValue, ...] = ()


@dataclass(frozen=True, slots=True)
class Chance:
    """What the searches without the source would give if they were for something else, by metric.

    Empty where all queries are of one video; of moments also where no query has one.
    """

    by_video: Mapping[str, float] = field(default_factory=dict)
    by_moment: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SelfTestRow:
    """Queries of some sources: how well they find their place without their source, with everything, and by chance."""

    sources: tuple[ModalityName, ...]
    queries: int
    without_source: Measured
    with_source: Measured
    chance: Chance = field(default_factory=Chance)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A kind of text that the index holds and that was not asked for, and why."""

    source: ModalityName
    reason: str


@dataclass(frozen=True, slots=True)
class SelfTestReport:
    """What a self-test found.

    Args:
        rows: All queries, then those of each source if there are several.
        drawn: The queries.
        videos: How many videos there are to find.
        left_out: Kinds of text that nothing was drawn from, and why.
        files: What was written.
    """

    rows: tuple[SelfTestRow, ...]
    drawn: tuple[KnownItem, ...]
    videos: int
    left_out: tuple[LeftOut, ...] = ()
    files: tuple[Path, ...] = ()

    @property
    def videos_asked(self) -> int:
        """How many videos the queries were drawn from."""
        return len({known.span.video_id for known in self.drawn})

    @property
    def expectation(self) -> str:
        """In a sentence or two, what a person can expect of a search in this library."""
        row = self.rows[0]
        alone = self.videos < 2
        found, upper = row.without_source, row.with_source
        return expectation_of(
            row.sources,
            {metric.name: metric for metric in (found.by_moment if alone else found.by_video)},
            {metric.name: metric.value for metric in (upper.by_moment if alone else upper.by_video)},
            row.chance.by_moment if alone else row.chance.by_video,
            of_moments=alone,
        )

    def as_json(self) -> dict[str, Any]:
        """All of it but the queries, as JSON has it."""
        return {
            "queries": len(self.drawn),
            "videos": self.videos,
            "videos_asked": self.videos_asked,
            "expectation": self.expectation,
            "rows": [asdict(row) for row in self.rows],
            "left_out": [asdict(one) for one in self.left_out],
            "files": [str(path) for path in self.files],
        }


def run_self_test(
    engine: SearchEngine,
    store: VectorStore,
    *,
    out: Path,
    options: SelfTestOptions = SelfTestOptions(),
    progress: ReportProgress | None = None,
) -> SelfTestReport:
    """Draw queries, search, measure, and write what came of it to a folder.

    A test that is stopped goes on where it was when it is started again with the same index and options.

    Args:
        engine: What to search with.
        store: The same index, to read texts from.
        out: The folder for ``self-test.json``, ``queries.csv``, and in TREC's form ``run.trec``, ``qrels.trec``, the
            same of moments, and ``run-with-source.trec``.
        options: How to test.
        progress: Told after every query.

    Raises:
        QueryError: the index holds no text, nothing besides the texts to find them by, or too few texts.
        UsageError: the folder cannot be written.
        StoreError: the index cannot be read.
        ModelError: a model cannot encode a query.
    """
    catalogue = engine.catalogue()
    sources = _sources(catalogue, options.run)
    drawn = draw_known_items(store, catalogue, sources, count=options.queries, seed=options.seed, progress=progress)
    _check_enough(drawn, catalogue)
    test = SelfTestSearches(engine, drawn, out, options.run, progress)
    # Before any search, so that a folder that cannot be written is known at once.
    qrels = tuple(_write_qrels(out, test))
    runs, upper = test.without_source(), test.with_source()
    videos = len(catalogue.videos)
    report = SelfTestReport(
        rows=tuple(_rows(test, runs, upper)),
        drawn=drawn,
        videos=videos,
        left_out=tuple(_left_out(catalogue, sources, test.sources)),
        files=(
            out / "self-test.json",
            _write_queries(out, test, runs, upper, catalogue),
            *qrels,
            *_write_runs(out, test, runs, ""),
            *_write_runs(out, test, upper, "-with-source"),
        ),
    )
    write_json(out / "self-test.json", report.as_json())
    test.forget()
    return report


def _sources(catalogue: Catalogue, options: RunOptions) -> tuple[ModalityName, ...]:
    """The kinds of text there are, if there is anything besides each to search in.

    Raises:
        QueryError: there is no text, or nothing else.
    """
    held = [name for name in SOURCES if catalogue.counts.get(name)]
    if not held:
        raise QueryError("This index holds no texts to draw queries from.", hint=_how_to_get_texts(catalogue))
    searched = [name for name in catalogue.counts if options.weights.get(name, 1.0) > 0]
    usable = [name for name in held if set(searched) - {name}]
    if not usable:
        raise QueryError(
            f"This index holds nothing but {in_words(held)}, and without that there is nothing to search in.",
            hint=_how_to_get_more(catalogue),
        )
    return tuple(usable)


def _check_enough(drawn: Sequence[KnownItem], catalogue: Catalogue) -> None:
    if len(drawn) >= FEWEST_QUERIES:
        return
    count = f"Only {len(drawn)}" if drawn else "No"
    raise QueryError(
        f"{count} {'query' if len(drawn) == 1 else 'queries'} with one right answer could be drawn from the texts of "
        f"this index; of fewer than {FEWEST_QUERIES} nothing can be said.",
        hint=f"Index more videos. {_how_to_get_texts(catalogue)}",
    )


def _how_to_get_texts(catalogue: Catalogue) -> str:
    """Where more texts of these videos could come from."""
    beside = "put subtitles or descriptions beside the videos"
    absent = _absent(catalogue, ("speech", "ocr")) or _absent(catalogue, ("captions",))
    if absent:
        return f"Let their texts be found, with 'sceneseek index --add {absent}', or {beside}."
    return f"To have more texts, {beside}."


def _how_to_get_more(catalogue: Catalogue) -> str:
    """What else these videos could be found by."""
    absent = _absent(catalogue, _ROLES)
    if absent:
        return f"Let more be found, with 'sceneseek index --add {absent}'."
    return "Give other kinds of evidence a weight above 0 in the settings."


def _absent(catalogue: Catalogue, roles: Sequence[ModalityName]) -> str:
    """Which of these kinds the index lacks, of those that such videos can have at all."""
    pictured = any(video.has_picture for video in catalogue.videos.values())
    heard = any(video.has_audio for video in catalogue.videos.values())
    possible = [name for name in roles if (heard if name in _OF_SOUND else pictured)]
    return ",".join(name for name in possible if not catalogue.counts.get(name))


def _left_out(catalogue: Catalogue, usable: Sequence[ModalityName], drawn: Sequence[ModalityName]) -> Iterator[LeftOut]:
    for name in SOURCES:
        if catalogue.counts.get(name) and name not in usable:
            yield LeftOut(name, "there is nothing else to search in")
        elif catalogue.counts.get(name) and name not in drawn:
            yield LeftOut(name, f"none of its {catalogue.counts[name]} texts has some words that stand nowhere else")


def _rows(test: SelfTestSearches, runs: Mapping[Level, Run], upper: Mapping[Level, Run]) -> Iterator[SelfTestRow]:
    """Of all queries, and of each source if there are several."""
    sources = test.sources
    without, everything, chance = test.values(runs), test.values(upper), test.chance(runs)
    for names in [sources] if len(sources) == 1 else [sources, *((name,) for name in sources)]:
        asked = {known.id: known.span.video_id for known in test.drawn if known.source in names}
        yield SelfTestRow(
            names, len(asked), _measured(without, asked), _measured(everything, asked), _chance(chance, asked)
        )


def _measured(values: Mapping[Level, QueryValues], asked: Mapping[str, str]) -> Measured:
    """The metrics of the queries asked, which are given with their videos."""
    by_video, by_moment = (summed_up(_kept(values[level], asked), groups=asked) for level in LEVELS)
    return Measured(by_video, by_moment)


def _chance(values: Mapping[Level, QueryValues], asked: Collection[str]) -> Chance:
    by_video, by_moment = (
        {name: fmean(of_query.values()) for name, of_query in _kept(values[level], asked).items()} for level in LEVELS
    )
    return Chance(by_video, by_moment)


def _kept(values: QueryValues, asked: Collection[str]) -> QueryValues:
    """The values of some queries, without metrics that none of them has."""
    kept = {name: {key: one for key, one in of_query.items() if key in asked} for name, of_query in values.items()}
    return {name: of_query for name, of_query in kept.items() if of_query}


def _write_qrels(out: Path, test: SelfTestSearches) -> Iterator[Path]:
    yield write_qrels(out / "qrels.trec", test.videos)
    if len(test.moments):
        yield write_qrels(out / "qrels-moments.trec", test.moments)


def _write_runs(out: Path, test: SelfTestSearches, runs: Mapping[Level, Run], ending: str) -> Iterator[Path]:
    yield write_run(out / f"run{ending}.trec", runs["videos"])
    if len(test.moments):
        yield write_run(out / f"run{ending}-moments.trec", runs["moments"])


def _write_queries(
    out: Path, test: SelfTestSearches, runs: Mapping[Level, Run], upper: Mapping[Level, Run], catalogue: Catalogue
) -> Path:
    """One row per query: what was typed, what it was drawn from, and where its video stands in both searches."""
    size = len(catalogue.videos)
    without, everything = (first_ranks(each["videos"], test.videos, corpus_size=size) for each in (runs, upper))
    found = runs["videos"]
    rows = (
        (
            known.id,
            known.query,
            known.source,
            catalogue.videos[known.span.video_id].path,
            f"{known.span.start_s:.3f}",
            f"{known.span.end_s:.3f}",
            known.text,
            without[known.id],
            everything[known.id],
            catalogue.videos[found[known.id][0][0]].path if found[known.id] else "",
        )
        for known in test.drawn
    )
    return write_csv(out / "queries.csv", _HEADING, rows)
