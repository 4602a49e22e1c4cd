"""Which indexed videos the rows of a file of queries mean."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from indexer.core.types import Video
from search.catalogue import Catalogue
from search.evaluate.qrels import Judgement, Qrels, Queries, SkippedRow, Span, moment_id

__all__ = ["Topics", "VideoNames", "match_queries"]


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
    """Finds indexed videos by name: by id, by path, by the end of a path, with the file's ending or without.

    As ``Catalogue.find`` does, which knows no names without endings, but prepared for thousands of names.

    Args:
        catalogue: What is indexed.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._videos = catalogue.videos
        self._by_tail: dict[tuple[str, ...], set[str]] = defaultdict(set)
        self._by_stem: dict[tuple[str, ...], set[str]] = defaultdict(set)
        for video_id in catalogue.videos:
            for path in {self._videos[video_id].path, *(at.path for at in catalogue.commits[video_id].locations)}:
                self._add(video_id, path)

    def find(self, named: str) -> Video:
        """The video of this name.

        Raises:
            LookupError: there is none, or several.
        """
        if named in self._videos:
            return self._videos[named]
        found = self._by_tail.get(_absolute(named)) or self._by_tail.get(PurePath(named).parts)
        found = found or self._by_stem.get(PurePath(named).parts, set())
        if not found:
            raise LookupError("there is no such video in the index")
        if len(found) > 1:
            places = sorted(str(self._videos[key].path) for key in found)
            raise LookupError(f"it could be {' or '.join(places[:2])}")
        return self._videos[next(iter(found))]

    def _add(self, video_id: str, path: Path) -> None:
        parts, stem = path.parts, path.with_suffix("").parts
        for start in range(len(parts)):
            self._by_tail[parts[start:]].add(video_id)
            self._by_stem[stem[start:]].add(video_id)


def match_queries(queries: Queries, catalogue: Catalogue) -> Topics:
    """The queries by the ids of indexed videos; those without an answer in the index are left out.

    Several rows that say how relevant one video is to one query count as the highest of them.
    """
    find = _remembering(VideoNames(catalogue).find)
    videos: dict[str, dict[str, int]] = defaultdict(dict)
    moments: dict[str, dict[str, int]] = defaultdict(dict)
    unmatched: Counter[tuple[str, str]] = Counter()
    for row in queries.judgements:
        found = find(row)
        if isinstance(found, str):
            unmatched[row.video, found] += 1
            continue
        judged = videos[row.query_id]
        judged[found.video_id] = max(row.relevance, judged.get(found.video_id, 0))
        if found.end_s:
            moments[row.query_id][moment_id(found)] = row.relevance
    answerable = Qrels(videos).answerable
    return Topics(
        {query: text for query, text in queries.texts.items() if query in answerable.by_query},
        answerable,
        Qrels(moments).answerable,
        tuple(_unmatched_rows(unmatched)),
    )


def _remembering(find: Callable[[str], Video]) -> Callable[[Judgement], Span | str]:
    """Finds the span that a row means, empty for a whole video, or says why there is none; each name once."""
    known: dict[str, Video | str] = {}

    def video(name: str) -> Video | str:
        if name not in known:
            try:
                known[name] = find(name)
            except LookupError as error:
                known[name] = str(error)
        return known[name]

    def span(row: Judgement) -> Span | str:
        clip = video(row.video)
        if isinstance(clip, Video):
            return _span(clip, row) if not row.film else Span(clip.id, 0.0, 0.0)
        film = video(row.film) if row.film else clip
        return _span(film, row) if isinstance(film, Video) else clip

    return span


def _span(video: Video, row: Judgement) -> Span:
    return Span(video.id, row.start_s or 0.0, row.end_s or 0.0)


def _absolute(named: str) -> tuple[str, ...]:
    try:
        return Path(named).expanduser().absolute().parts
    except RuntimeError:
        return Path(named).absolute().parts


def _unmatched_rows(counts: Mapping[tuple[str, str], int]) -> Iterable[SkippedRow]:
    for (name, reason), count in counts.items():
        rows = "1 row" if count == 1 else f"{count} rows"
        yield SkippedRow(name, f"{reason} ({rows})")
