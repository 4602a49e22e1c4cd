"""Answering conditions without a question: nothing to rank by, so moments come in the order of the files' paths."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from indexer.core.types import SPACE_OF_MODALITY, Record, Space, Video
from indexer.store.base import VectorStore
from search.catalogue import Catalogue
from search.match.candidates import hit_of
from search.match.conditions import Conditions
from search.moments import Hit, Moment

__all__ = ["browse"]

_SPACES: tuple[Space, ...] = ("frames", "text", "audio")


def browse(
    store: VectorStore, catalogue: Catalogue, video_ids: Iterable[str], conditions: Conditions, *, once: bool
) -> Iterator[Moment]:
    """The moments of these videos that meet the conditions, read video by video as they are asked for.

    They are the records that meet the first condition by themselves (the shots with two buses), or all those of the
    kinds asked for. Where nothing says what must be in a moment, it is each video's first shot that is not left out.

    Args:
        store: The index.
        catalogue: What is in it.
        video_ids: Which videos.
        conditions: What the moments must meet.
        once: Whether each video is to be answered with once.
    """
    videos = (catalogue.videos[key] for key in video_ids)
    for video in sorted(videos, key=lambda video: (video.path.as_posix(), video.id)):
        hits = conditions.accepted(_candidates(store, video, conditions))
        for hit in hits[: 1 if once or not (conditions.wanted or conditions.kinds) else None]:
            yield Moment(video, hit.start_s, hit.end_s, hit.time_s, 0.0, (hit,))


def _candidates(store: VectorStore, video: Video, conditions: Conditions) -> Sequence[Hit]:
    """In the order of time."""
    if conditions.kinds:
        spaces = sorted({SPACE_OF_MODALITY[name] for name in conditions.kinds})
        records = (one for space in spaces for one in store.records(space, video_id=video.id))
        hits = [hit_of(record, 0.0) for record in records if record.modality in conditions.kinds]
    elif conditions.wanted:
        hits = list(conditions.wanted[0].get(video.id, ()))
    else:
        hits = [hit_of(record, 0.0) for record in _records(store, video)]
    return sorted(hits, key=lambda hit: (hit.start_s, hit.record_id))


def _records(store: VectorStore, video: Video) -> Sequence[Record]:
    """What the index holds of a video: its frames, or else its texts, or else its sounds."""
    for space in _SPACES:
        records = list(store.records(space, video_id=video.id))
        if records:
            return records
    return ()
