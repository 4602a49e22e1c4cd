"""Which indexed videos the rows of a file of queries mean."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from indexer.core.errors import QueryError
from indexer.core.types import Video
from search.catalogue import Catalogue
from search.evaluate.qrels import Judgement, Qrels, Queries, RelevantSpan, SkippedRow, answerable, moment_id


@dataclass(frozen=True, slots=True)
class Topics:
    """Queries whose answers are in the index.

    Args:
        texts: What each query asks, by its id.
        videos: The videos that answer it, by their ids in the index.
        moments: The spans that answer it, as ids of moments; only queries that have any.
        unmatched: The names of videos that mean none here or several, each with the reason and the number of rows.
    """

    texts: Mapping[str, str]
    videos: Qrels
    moments: Qrels
    unmatched: tuple[SkippedRow, ...] = ()


class VideoNames:
    """Finds indexed videos by id, by path, or by the end of a path, with the file's ending or without.

    Does what ``Catalogue.find`` does, which takes no names without endings, but is prepared for thousands of names.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._videos = catalogue.videos
        self._by_tail: dict[tuple[str, ...], set[str]] = defaultdict(set)
        self._by_stem: dict[tuple[str, ...], set[str]] = defaultdict(set)
        for video_id, video in catalogue.videos.items():
            for path in {video.path, *(at.path for at in catalogue.commits[video_id].locations)}:
                parts, stem = path.parts, path.with_suffix("").parts
                for start in range(len(parts)):
                    self._by_tail[parts[start:]].add(video_id)
                    self._by_stem[stem[start:]].add(video_id)

    def find(self, named: str) -> Video:
        """The video of this name.

        Raises:
            LookupError: there is none, or several.
        """
        if named in self._videos:
            return self._videos[named]
        parts = PurePath(named).parts
        found = self._by_tail.get(_absolute(named)) or self._by_tail.get(parts) or self._by_stem.get(parts, set())
        if not found:
            raise LookupError("there is no such video in the index")
        if len(found) > 1:
            places = sorted(str(self._videos[key].path) for key in found)
            raise LookupError(f"it could be {' or '.join(places[:2])}")
        return self._videos[next(iter(found))]


def match_queries(queries: Queries, catalogue: Catalogue) -> Topics:
    """The queries by the ids of indexed videos; those without an answer in the index are left out.

    Of several rows that judge one video for one query, the highest relevance counts.

    Raises:
        QueryError: no query has an answer in the index.
    """
    videos: dict[str, dict[str, int]] = defaultdict(dict)
    moments: dict[str, dict[str, int]] = defaultdict(dict)
    unmatched: Counter[tuple[str, str]] = Counter()
    find = VideoNames(catalogue).find
    for row in queries.judgements:
        try:
            span = _span(row, find)
        except LookupError as error:
            unmatched[row.video, str(error)] += 1
            continue
        judged = videos[row.query_id]
        judged[span.video_id] = max(row.relevance, judged.get(span.video_id, 0))
        if span.end_s:
            moments[row.query_id][moment_id(span)] = row.relevance
    found = answerable(videos)
    rows = tuple(SkippedRow(name, f"{reason} ({_rows(count)})") for (name, reason), count in unmatched.items())
    if not found:
        raise QueryError(
            f"None of the videos named in {queries.source or 'the queries'} answers a query in this index."
            f"{f' {rows[0]}.' if rows else ''}",
            hint="'sceneseek list' shows what is indexed; a video may be named by its path, its file name or its id.",
        )
    texts = {query: text for query, text in queries.texts.items() if query in found}
    return Topics(texts, found, answerable(moments), rows)


def _span(row: Judgement, find: Callable[[str], Video]) -> RelevantSpan:
    """The span that a row means, empty for a whole video: of the film where the clip itself is not indexed.

    Raises:
        LookupError: the index has neither, or several.
    """
    try:
        video, is_clip = find(row.video), bool(row.film)
    except LookupError as unknown:
        try:
            video, is_clip = find(row.film), False
        except LookupError:
            raise unknown from None
    return RelevantSpan(video.id, 0.0 if is_clip else row.start_s or 0.0, 0.0 if is_clip else row.end_s or 0.0)


def _absolute(named: str) -> tuple[str, ...]:
    try:
        return Path(named).expanduser().absolute().parts
    except RuntimeError:
        return Path(named).absolute().parts


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"
