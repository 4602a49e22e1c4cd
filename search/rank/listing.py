"""The moments of one query in order: by rank, or without anything to rank by in the order of paths."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from indexer.core.types import ModalityName, Record, Space, Video
from indexer.modalities.registry import space_of
from indexer.store.base import VectorStore
from search.match.candidates import hit_of
from search.match.conditions import Conditions
from search.moments import Hit, Moment
from search.rank.fusion import Fusion
from search.rank.merging import GroupKey, HitGroup, form_groups, group_key, merge_groups, rank_groups, supports

_BROWSED: tuple[Space, ...] = ("frames", "text", "audio")


@dataclass(eq=False)
class Listing:
    """Moments best first, growing by levels of hits, each deeper than the last.

    The order of what is listed never changes: the moments of a deeper level come after all earlier ones, so that a
    page of the ranking is the same however far the search went. A deeper hit of a moment already listed is not listed
    again.

    ``rate`` gives a moment its confidence, if that is known; moments with less than ``min_confidence`` go to
    ``unlikely``. ``by_video`` holds the moments of each video, the videos in the order of their best moments.
    """

    videos: Mapping[str, Video]
    fusion: Fusion
    rate: Callable[[Moment], Moment] = lambda moment: moment
    min_confidence: float = 0.0
    moments: list[Moment] = field(default_factory=list, init=False)
    unlikely: list[Moment] = field(default_factory=list, init=False)
    by_video: dict[str, list[Moment]] = field(default_factory=dict, init=False)
    _listed: dict[str, list[Moment]] = field(default_factory=lambda: defaultdict(list), init=False)
    _groups: dict[GroupKey, list[HitGroup]] = field(default_factory=lambda: defaultdict(list), init=False)
    _passed: Counter[ModalityName] = field(default_factory=Counter, init=False)

    def add(self, hits: Iterable[Hit]) -> None:
        """List the next level of hits, of any modalities."""
        groups = form_groups([hit for hit in hits if not self._is_known(hit)], self.videos)
        ranked = rank_groups(groups, self.fusion, self._passed)
        moments = merge_groups([group for group in ranked if not self._is_listed(group)], self.videos)
        for group in ranked:
            self._groups[group.key].append(group)
            self._passed[group.best.modality] += self.fusion.weight(group.best.modality, group.cosine) > 0
        for moment in map(self.rate, moments):
            self._listed[moment.video.id].append(moment)
            if moment.confidence is not None and moment.confidence < self.min_confidence:
                self.unlikely.append(moment)
            else:
                self.by_video.setdefault(moment.video.id, []).append(moment)
                self.moments.append(moment)

    def best_of_videos(self) -> list[Moment]:
        """The best moment of each video."""
        return [moments[0] for moments in self.by_video.values()]

    def best_unlikely_of_videos(self) -> list[Moment]:
        """The best unlikely moment of each video that has no likely one."""
        best: dict[str, Moment] = {}
        for moment in self.unlikely:
            if moment.video.id not in self.by_video:
                best.setdefault(moment.video.id, moment)
        return list(best.values())

    def _is_known(self, hit: Hit) -> bool:
        return any(group.takes(hit) for group in self._groups[group_key(hit, self.videos)])

    def _is_listed(self, group: HitGroup) -> bool:
        listed = self._listed[group.best.video_id]
        return bool(listed) if group.whole else any(supports(group, moment) for moment in listed)


def browse(
    store: VectorStore, videos: Iterable[Video], conditions: Conditions, *, group_by_video: bool
) -> Iterator[Moment]:
    """The moments of these videos that meet the conditions, in the order of paths; read lazily, video by video.

    These are the records that meet the first condition by themselves (the shots with two buses), or all records of the
    modalities asked for. If no condition says what a moment must contain, a video is answered by its first shot that
    meets them; with ``group_by_video`` each video is answered once.
    """
    for video in sorted(videos, key=lambda video: (video.path.as_posix(), video.id)):
        hits = conditions.accepted(_browsed(store, video, conditions))
        for hit in hits[: 1 if group_by_video or not (conditions.wanted or conditions.modalities) else None]:
            yield Moment(video, hit.start_s, hit.end_s, hit.time_s, 0.0, (hit,))


def _browsed(store: VectorStore, video: Video, conditions: Conditions) -> Sequence[Hit]:
    """The hits of a video to choose from, in the order of time."""
    if conditions.modalities:
        spaces = sorted({space_of(name) for name in conditions.modalities})
        records = (one for space in spaces for one in store.records(space, video_id=video.id))
        hits = [hit_of(record, 0.0) for record in records if record.modality in conditions.modalities]
    elif conditions.wanted:
        hits = list(conditions.wanted[0].get(video.id, ()))
    else:
        hits = [hit_of(record, 0.0) for record in _first_records(store, video)]
    return sorted(hits, key=lambda hit: (hit.start_s, hit.record_id))


def _first_records(store: VectorStore, video: Video) -> Sequence[Record]:
    """A video's frames, or else its texts, or else its sounds."""
    found = (list(store.records(space, video_id=video.id)) for space in _BROWSED)
    return next((records for records in found if records), [])
