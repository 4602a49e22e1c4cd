"""Which indexed videos the rows of a file of queries mean."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath

from indexer.core.errors import QueryError
from indexer.core.types import Video
from search.catalogue import Catalogue, expanded
from search.evaluate.qrels import Judgement, Qrels, Queries, RelevantSpan, SkippedRow, answerable, moment_id


@dataclass(frozen=True, slots=True)
class Topics:
    """Queries whose answers are in the index: their texts, the videos and, for some, the moments that answer them.

    ``unmatched`` are the names of videos that mean none here or several, each with the reason and the number of rows.
    """

    texts: Mapping[str, str]
    videos: Qrels
    moments: Qrels
    unmatched: tuple[SkippedRow, ...] = ()


def video_finder(catalogue: Catalogue) -> Callable[[str], Video]:
    """A function that finds a video by id, path, or the end of a path, with the file's ending or without.

    ``Catalogue.find`` takes no names without endings and would be slow for thousands of names.

    Raises:
        LookupError: by the function, where there is no such video, or several.
    """
    by_tail: dict[tuple[str, ...], set[str]] = defaultdict(set)
    by_stem: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for video_id, video in catalogue.videos.items():
        for path in {video.path, *(place.path for place in catalogue.commits[video_id].locations)}:
            for start in range(len(path.parts)):
                by_tail[path.parts[start:]].add(video_id)
                by_stem[path.with_suffix("").parts[start:]].add(video_id)

    def find(named: str) -> Video:
        if named in catalogue.videos:
            return catalogue.videos[named]
        parts = PurePath(named).parts
        found = by_tail.get(expanded(named).parts) or by_tail.get(parts) or by_stem.get(parts, set())
        if not found:
            raise LookupError("there is no such video in the index")
        if len(found) > 1:
            places = sorted(str(catalogue.videos[key].path) for key in found)
            raise LookupError(f"it could be {' or '.join(places[:2])}")
        return catalogue.videos[next(iter(found))]

    return find


def match_queries(queries: Queries, catalogue: Catalogue) -> Topics:
    """The queries by the ids of indexed videos; those without an answer in the index are left out.

    Of several rows that judge one video for one query, the highest relevance counts.

    Raises:
        QueryError: no query has an answer in the index.
    """
    videos: dict[str, dict[str, int]] = defaultdict(dict)
    moments: dict[str, dict[str, int]] = defaultdict(dict)
    unmatched: Counter[tuple[str, str]] = Counter()
    find = video_finder(catalogue)
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
    rows = tuple(
        SkippedRow(name, f"{reason} ({count} row{'' if count == 1 else 's'})")
        for (name, reason), count in unmatched.items()
    )
    if not found:
        raise QueryError(
            f"None of the videos named in {queries.source or 'the queries'} answers a query in this index."
            f"{f' {rows[0]}.' if rows else ''}",
            hint="'sceneseek list' shows what is indexed; a video may be named by its path, its file name or its id.",
        )
    texts = {query: text for query, text in queries.texts.items() if query in found}
    return Topics(texts, found, answerable(moments), rows)


def _span(row: Judgement, find: Callable[[str], Video]) -> RelevantSpan:
    """The span that a row means, empty for a whole video: of the film where the clip itself is not indexed."""
    try:
        video, is_whole = find(row.video), bool(row.film)
    except LookupError as unknown:
        try:
            video, is_whole = find(row.film), False
        except LookupError:
            raise unknown from None
    return RelevantSpan(video.id, 0, 0) if is_whole else RelevantSpan(video.id, row.start_s or 0, row.end_s or 0)
