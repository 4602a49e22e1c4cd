"""How well the search finds what is in one's own library, measured without any labels.

Queries with one known answer are drawn from the texts of the index. Each is searched for twice: without the kind of
text it was drawn from, which measures whether pictures, sounds and the other texts find the place, and with
everything, which gives the upper line. Where a film has subtitles and speech, each finds the other.

A moment is right if it shares half of the shorter of itself and the text, and begins at most ten seconds before the
text does: otherwise a whole film would always be right. Descriptions are of whole videos and have no moment.

In a small library many searches are right by accident, and a video with many texts is found more often whatever is
searched for. So each figure stands beside what the answers to queries of other videos are worth, judged by the same
answer. Queries of one video are alike, so the intervals draw whole videos.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any, TypeAlias

from indexer.core.errors import QueryError
from indexer.core.types import ModalityName
from indexer.store.base import VectorStore
from search.catalogue import Catalogue
from search.engine import SearchEngine
from search.evaluate import ReportProgress, no_progress, write_csv, write_json
from search.evaluate.metrics import QueryValues, per_query
from search.evaluate.qrels import Qrels, RelevantSpan, moment_id, span_of
from search.evaluate.retrieval import MetricValue, summarise, write_topics
from search.evaluate.runs import LEVELS, Level, RetrievalOptions, Run, Runs, Scored, run_queries, write_runs
from search.evaluate.self_test_queries import SOURCES, KnownItem, draw_known_items
from search.modalities import in_words
from search.moments import overlap_s

SELF_TEST_METRICS = ("hit@1", "hit@5", "hit@10", "MRR")
FEW_QUERIES = 10  # with fewer, an interval would reach from nothing to nearly everything
FEW_VIDEOS = 10  # queries from fewer are so alike that intervals may miss the truth

_HEADING = ("query_id", "query", "source", "video", "start_s", "end_s", "text", "rank", "rank_with_source", "first")
_REMEMBERED: Mapping[ModalityName, str] = {
    "speech": "said",
    "subtitle": "said",
    "ocr": "written in the picture",
    "description": "described",
    "captions": "described",
}
Spans: TypeAlias = Mapping[str, RelevantSpan]

_SMALLEST_OF_TEN = 0.05
_HARDLY = 0.005
_SHARED = 0.5
_NEAR_S = 10.0
_INSTANT_S = 0.001
_MOST_OTHERS = 50


@dataclass(frozen=True, slots=True)
class SelfTestFigures:
    """The metrics of some queries in one way of searching."""

    by_video: tuple[MetricValue, ...]
    by_moment: tuple[MetricValue, ...] = ()


@dataclass(frozen=True, slots=True)
class Chance:
    """What searches for something else would give, by metric; empty where all queries are of one video."""

    by_video: Mapping[str, float] = field(default_factory=dict)
    by_moment: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SelfTestRow:
    """How well the queries of some sources find their place."""

    sources: tuple[ModalityName, ...]
    queries: int
    without_source: SelfTestFigures
    with_source: SelfTestFigures
    chance: Chance = field(default_factory=Chance)


@dataclass(frozen=True, slots=True)
class SelfTestReport:
    """A row of all queries, then one of each source if there are several; ``videos`` are all to find.

    ``left_out`` has the kinds of text that no query was drawn from, with the reasons.
    """

    rows: tuple[SelfTestRow, ...]
    drawn: tuple[KnownItem, ...]
    videos: int
    left_out: Mapping[ModalityName, str] = field(default_factory=dict)
    files: tuple[Path, ...] = ()

    @property
    def videos_asked(self) -> int:
        """How many videos the queries were drawn from."""
        return len({known.span.video_id for known in self.drawn})

    @property
    def expectation(self) -> str:
        """What a person can expect of a search in this library."""
        return expectation_of(self.rows[0], of_moments=self.videos < 2)

    def as_json(self) -> dict[str, Any]:
        """All of it but the queries."""
        return {
            "queries": len(self.drawn),
            "videos": self.videos,
            "videos_asked": self.videos_asked,
            "expectation": self.expectation,
            "rows": [asdict(row) for row in self.rows],
            "left_out": [{"source": source, "reason": reason} for source, reason in self.left_out.items()],
            "files": [str(path) for path in self.files],
        }


def run_self_test(
    engine: SearchEngine,
    store: VectorStore,
    *,
    out: Path,
    options: RetrievalOptions,
    queries: int = 200,
    seed: int = 0,
    progress: ReportProgress = no_progress,
) -> SelfTestReport:
    """Draw at most ``queries`` queries, search for them, measure, and write to ``out``.

    The files are ``self-test.json``, ``queries.csv``, and in TREC's form ``run.trec``, ``qrels.trec``, the same of
    moments, and ``run-with-source.trec``. A stopped test continues where it was with the same index and options.

    Raises:
        QueryError: too few queries are asked for, or the index holds no text, too few, or nothing else to search in.
        SceneseekError: as searching and writing raise it.
    """
    if queries < FEW_QUERIES:
        raise QueryError(f"{queries} queries are too few to say anything.", hint=f"Ask for {FEW_QUERIES} or more.")
    catalogue = engine.catalogue()
    sources = _sources(catalogue, options)
    drawn = draw_known_items(store, catalogue, sources, count=queries, seed=seed, progress=progress)
    if len(drawn) < FEW_QUERIES:
        count = f"Only {len(drawn)}" if drawn else "No"
        raise QueryError(
            f"{count} {'query' if len(drawn) == 1 else 'queries'} with one right answer could be drawn from the texts "
            f"of this index; of fewer than {FEW_QUERIES} nothing can be said.",
            hint=f"Index more videos. {_how_to_get_texts(catalogue)}",
        )
    videos, moments = (right_answers(drawn, level, Run()) for level in LEVELS)
    qrels = write_topics(out, videos, moments)  # first, to fail early if the folder cannot be written
    without, everything = search_both_ways(engine, drawn, out, options, progress)
    report = SelfTestReport(
        rows=tuple(_rows(drawn, without, everything)),
        drawn=drawn,
        videos=len(catalogue.videos),
        left_out=_left_out(catalogue, sources, {known.source for known in drawn}),
        files=(
            out / "self-test.json",
            _write_queries(out / "queries.csv", drawn, without, everything, catalogue),
            *qrels,
            *write_runs(out, "run", without, with_moments=bool(moments)),
            *write_runs(out, "run-with-source", everything, with_moments=bool(moments)),
        ),
    )
    write_json(out / "self-test.json", report.as_json())
    for checkpoint in out.glob("searched-*.json"):
        checkpoint.unlink()
    return report


def _sources(catalogue: Catalogue, options: RetrievalOptions) -> tuple[ModalityName, ...]:
    """The kinds of text there are, if there is anything besides each to search in."""
    held = [name for name in SOURCES if catalogue.counts.get(name)]
    if not held:
        raise QueryError("This index holds no texts to draw queries from.", hint=_how_to_get_texts(catalogue))
    searched = {name for name in catalogue.counts if options.weights.get(name, 1.0) > 0}
    usable = tuple(name for name in held if searched - {name})
    if not usable:
        absent = _absent(catalogue, "speech", "ocr", "captions", "sounds", "objects")
        add = f"Let more be found, with 'sceneseek index --add {absent}'."
        raise QueryError(
            f"This index holds nothing but {in_words(held)}, and without that there is nothing to search in.",
            hint=add if absent else "Give other kinds of evidence a weight above 0 in the settings.",
        )
    return usable


def _how_to_get_texts(catalogue: Catalogue) -> str:
    beside = "put subtitles or descriptions beside the videos"
    absent = _absent(catalogue, "speech", "ocr") or _absent(catalogue, "captions")
    if absent:
        return f"Let their texts be found, with 'sceneseek index --add {absent}', or {beside}."
    return f"To have more texts, {beside}."


def _absent(catalogue: Catalogue, *roles: ModalityName) -> str:
    """The modalities that the index lacks, of those that its videos can have."""
    pictured = any(video.has_picture for video in catalogue.videos.values())
    sounding = any(video.has_audio for video in catalogue.videos.values())
    possible = [name for name in roles if (sounding if name in ("speech", "sounds") else pictured)]
    return ",".join(name for name in possible if not catalogue.counts.get(name))


def _left_out(catalogue: Catalogue, usable: Collection[str], drawn: Collection[str]) -> dict[ModalityName, str]:
    counts = {name: count for name in SOURCES if name not in drawn and (count := catalogue.counts.get(name))}
    nothing_unique = "none of its {} texts has some words that stand nowhere else"
    return {
        name: nothing_unique.format(count) if name in usable else "there is nothing else to search in"
        for name, count in counts.items()
    }


def _rows(drawn: Sequence[KnownItem], without: Runs, everything: Runs) -> Iterator[SelfTestRow]:
    sources = tuple(dict.fromkeys(known.source for known in drawn))
    alone, upper = (
        {level: _values(runs[level], right_answers(drawn, level, runs[level])) for level in LEVELS}
        for runs in (without, everything)
    )
    chance = chance_values(drawn, without)
    for names in [sources] if len(sources) == 1 else [sources, *((name,) for name in sources)]:
        videos = {known.id: known.span.video_id for known in drawn if known.source in names}
        by_chance = (
            {name: fmean(each.values()) for name, each in _only(chance[level], videos).items()} for level in LEVELS
        )
        yield SelfTestRow(names, len(videos), _figures(alone, videos), _figures(upper, videos), Chance(*by_chance))


def _figures(values: Mapping[Level, QueryValues], videos: Mapping[str, str]) -> SelfTestFigures:
    return SelfTestFigures(*(summarise(_only(values[level], videos), groups=videos) for level in LEVELS))


def _only(values: QueryValues, queries: Collection[str]) -> QueryValues:
    kept = {name: {key: one for key, one in of_query.items() if key in queries} for name, of_query in values.items()}
    return {name: of_query for name, of_query in kept.items() if of_query}


def _write_queries(
    path: Path, drawn: Sequence[KnownItem], without: Runs, everything: Runs, catalogue: Catalogue
) -> Path:
    right, size = right_answers(drawn, "videos", Run()), len(catalogue.videos)
    rank, rank_with_source = (
        per_query(runs["videos"], right, ["MnR"], corpus_size=size)["MnR"] for runs in (without, everything)
    )
    rows = []
    for known in drawn:
        found, video = without["videos"][known.id], catalogue.videos[known.span.video_id]
        first = catalogue.videos[found[0][0]].path if found else ""
        where = (video.path, f"{known.span.start_s:.3f}", f"{known.span.end_s:.3f}", known.text)
        ranks = (rank[known.id], rank_with_source[known.id])
        rows.append((known.id, known.query, known.source, *where, *ranks, first))
    return write_csv(path, _HEADING, rows)


def search_both_ways(
    engine: SearchEngine, drawn: Sequence[KnownItem], out: Path, options: RetrievalOptions, progress: ReportProgress
) -> tuple[Runs, Runs]:
    """What is found for each query without its source, and with everything; the caller deletes the checkpoints."""

    def search(name: str, asked: Sequence[KnownItem], weights: Mapping[ModalityName, float], before: int) -> Runs:
        chosen = replace(options, weights={**options.weights, **weights}, name=name)
        checkpoint, texts = out / f"searched-{name}.json", {known.id: known.query for known in asked}

        def report(what: str, done: int, _: int) -> None:
            progress(what, before + done, 2 * len(drawn))

        return run_queries(engine, texts, options=chosen, checkpoint=checkpoint, progress=report)

    found: dict[Level, dict[str, Sequence[Scored]]] = {level: {} for level in LEVELS}
    for source in dict.fromkeys(known.source for known in drawn):
        asked = [known for known in drawn if known.source == source]
        runs = search(f"without-{source}", asked, {source: 0.0}, len(found["videos"]))
        for level in LEVELS:
            found[level].update(runs[level].by_query)
    without = {level: Run(found[level], "without-source") for level in LEVELS}
    return without, search("with-source", drawn, {}, len(drawn))


def right_answers(drawn: Sequence[KnownItem], level: Level, run: Run) -> Qrels:
    """The video of each query; or the known moment, and those of a run that lead to it."""
    spans = _spans(run)
    asked = [known for known in drawn if level == "videos" or known.has_moment]
    return {known.id: _right(known, level, run[known.id], spans) for known in asked}


def is_right_moment(found: RelevantSpan, known: RelevantSpan) -> bool:
    """Whether playing what was found leads to what is known to be there."""
    shorter = min(found.end_s - found.start_s, known.end_s - known.start_s)
    if found.video_id != known.video_id or known.start_s > found.start_s + _NEAR_S:
        return False
    return overlap_s(found, known) >= max(_SHARED * shorter, _INSTANT_S)


def chance_values(drawn: Sequence[KnownItem], runs: Runs) -> Mapping[Level, QueryValues]:
    """For each query, what the answers to at most 50 queries of other videos are worth as answers to it, on average."""
    values: dict[Level, dict[str, dict[str, float]]] = {level: defaultdict(dict) for level in LEVELS}
    for level in LEVELS:
        run, spans = runs[level], _spans(runs[level])
        for known in drawn:
            others = [each.id for each in drawn if each.span.video_id != known.span.video_id]
            step = max(1.0, len(others) / _MOST_OTHERS)  # All, or as many as are enough, evenly among them.
            asked = [others[int(place * step)] for place in range(min(len(others), _MOST_OTHERS))]
            if asked and (level == "videos" or known.has_moment):
                right = {other: _right(known, level, run[other], spans) for other in asked}
                # Where nothing right was found, every metric is 0.
                found = {
                    other: judged for other, judged in right.items() if any(name in judged for name, _ in run[other])
                }
                for name, of_query in _values(run, found).items():
                    values[level][name][known.id] = sum(of_query.values()) / len(asked)
    return values


def _spans(run: Run) -> Spans:
    return {document: span for document in run.documents if (span := span_of(document))}


def _right(known: KnownItem, level: Level, answers: Sequence[Scored], spans: Spans) -> dict[str, int]:
    """Which of the answers to some query would be right for this one, besides the known one."""
    if level == "videos":
        return {known.span.video_id: 1}
    found = [document for document, _ in answers if document in spans and is_right_moment(spans[document], known.span)]
    return dict.fromkeys([moment_id(known.span), *found], 1)


def _values(run: Run, right: Qrels) -> QueryValues:
    return per_query(run, right, SELF_TEST_METRICS, corpus_size=0)


def expectation_of(row: SelfTestRow, *, of_moments: bool = False) -> str:
    """What a search can be expected to find, in plain words: so many of ten videos, or moments of the only video.

    It speaks of the first 5 where chance finds the right one among them in at most half of the searches, and of the
    first one elsewhere.
    """
    ways = (row.without_source, row.with_source)
    found, upper = ({each.name: each for each in (way.by_moment if of_moments else way.by_video)} for way in ways)
    if not found:
        return "There is only one video, so that nothing can be said of finding it."
    chance = row.chance.by_moment if of_moments else row.chance.by_video
    metric = "hit@5" if chance.get("hit@5", 0.0) <= 0.5 else "hit@1"
    value, likely = found[metric], chance.get(metric)
    of = 10 if _in_tenths(value.value) and (likely is None or _in_tenths(likely)) else 100
    low, high = round(of * value.interval.low), round(of * value.interval.high)
    between = f" (between {low} and {high})" if value.queries >= FEW_QUERIES else ""
    by_chance = ""
    if likely is not None:
        often = f"{round(of * likely)} of {of}" if likely >= _HARDLY else "hardly ever"
        by_chance = f"; by chance it would be {often}"
    *others, last = dict.fromkeys(_REMEMBERED[name] for name in row.sources)
    remembered = f"{', '.join(others)} or {last}" if others else last
    return (
        f"Type some of what is {remembered}: even without that text, the other evidence puts the right "
        f"{'moment' if of_moments else 'video'} {'among the first 5' if metric == 'hit@5' else 'first'} in about "
        f"{round(of * value.value)} of {of} searches{between}{by_chance}.{_caution(value, likely)} "
        f"With that text: {round(of * upper[metric].value)} of {of}."
    )


def _caution(value: MetricValue, chance: float | None) -> str:
    if chance is None:
        return " These are too few searches to be sure of it." if value.queries < FEW_QUERIES else ""
    is_sure = value.queries >= FEW_QUERIES and value.interval.low > chance
    return "" if is_sure else " That is not surely better than chance."


def _in_tenths(share: float) -> bool:
    """Whether a share is nothing, everything, or at least one half of a tenth away from both."""
    return share in (0.0, 1.0) or _SMALLEST_OF_TEN <= share <= 1 - _SMALLEST_OF_TEN
