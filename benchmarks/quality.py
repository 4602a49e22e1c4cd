"""Known-item search on real clips: hit@1 and hit@3 by video and by moment. ``python -m benchmarks.quality [MEDIA]``.

MEDIA is a folder of clips with a ``queries.csv`` (query, file, start_s, end_s). A moment counts if it is of the right
file and starts inside the window, a second of slack on either side.
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from indexer.config import load_settings
from indexer.run import run_indexing
from search.engine import SearchEngine
from search.moments import Moment
from search.query import Query

SLACK_S = 1.0
DEFAULT_MEDIA = Path(__file__).resolve().parents[2] / "shared" / "data" / "media"


@dataclass(frozen=True)
class KnownMoment:
    """A query and the only moment that answers it."""

    query: str
    file: str
    start_s: float
    end_s: float

    def is_of(self, moment: Moment) -> bool:
        """Whether a moment is of the right video."""
        return moment.video.path.as_posix().endswith(self.file)

    def is_it(self, moment: Moment) -> bool:
        """Whether a moment is of the right video and begins in the window."""
        return self.is_of(moment) and self.start_s - SLACK_S <= moment.start_s <= self.end_s + SLACK_S


def read_queries(path: Path) -> list[KnownMoment]:
    """The rows of a ``queries.csv``."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            KnownMoment(row["query"], row["file"], float(row["start_s"]), float(row["end_s"]))
            for row in csv.DictReader(file)
        ]


def main() -> None:
    """Index the media with the embedded profile in a temporary folder, search, and print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("media", type=Path, nargs="?", default=DEFAULT_MEDIA)
    options.add_argument("--profile", default="embedded")
    options.add_argument("--strategy", default="shots")
    given = options.parse_args()
    known = read_queries(given.media / "queries.csv")
    with tempfile.TemporaryDirectory() as index:
        flags = {"index.path": index, "models.profile": given.profile, "shots.strategy": given.strategy}
        report = run_indexing([given.media], load_settings(None, os.environ, flags))
        print(f"{len(report.indexed)} videos, {report.frames} frames, {report.segments} texts; {len(known)} queries\n")
        with SearchEngine.open(index) as engine:
            print("\n".join(table(engine, known)))


def table(engine: SearchEngine, known: Sequence[KnownMoment]) -> Iterator[str]:
    """One line per query with its ranks, then the shares of queries answered."""
    ranks = [(ranks_of(engine, moment), moment) for moment in known]
    yield f"{'query':52} {'file':38} video moment"
    for (by_video, by_moment), moment in ranks:
        yield f"{moment.query:52} {moment.file:38} {by_video or '-':>5} {by_moment or '-':>6}"
    yield ""
    yield f"{'':20} {'hit@1':>6} {'hit@3':>6}"
    for name, place in (("by video", 0), ("by moment", 1)):
        found = [pair[place] for pair, _ in ranks]
        yield f"{name:20} {share(found, 1):6.2f} {share(found, 3):6.2f}"


def ranks_of(engine: SearchEngine, known: KnownMoment) -> tuple[int, int]:
    """The rank of the right video among videos and of the right moment among moments; 0 if not among the first 20."""
    videos = engine.search(Query(text=known.query, top_k=20, group_by_video=True)).moments
    moments = engine.search(Query(text=known.query, top_k=20)).moments
    by_video = next((rank for rank, moment in enumerate(videos, 1) if known.is_of(moment)), 0)
    return by_video, next((rank for rank, moment in enumerate(moments, 1) if known.is_it(moment)), 0)


def share(ranks: Sequence[int], depth: int) -> float:
    """The share of queries answered within ``depth``."""
    return sum(0 < rank <= depth for rank in ranks) / len(ranks)


if __name__ == "__main__":
    main()
