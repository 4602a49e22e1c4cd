"""How hits become moments.

A moment has to begin at the right second, so a hit may widen it only if it means the same span. Hits are joined in two
steps, best first and without chains.

**Groups**: hits of one modality in one video. The best free hit starts a group. The group widens by free hits that
overlap it, or that touch it and lie in the same shot as its best, as long as their cosine is within ``TOLERANCE`` of
that best: a static shot of thirty keyframes is one group, and a change within a long shot starts its own. Weaker hits
that overlap a finished group belong to it without widening it. So the groups of one modality never overlap, and
captions that each overlap the next do not join a whole video together. A modality ranks its groups, not its hits:
thirty keyframes of one shot take one place. Where words of the query were found, "cosine" means the cosine plus the
lexical score, so that the line that holds the phrase is a group's best; but the two rankings stay apart.

**Moments**: groups of several modalities in one video. The free group with the most evidence leads a moment and gives
it its span. Free groups of other modalities support it if they share with it at least ``_MIN_OVERLAP`` of the shorter
of the two: a subtitle that runs over a cut belongs to the shot it is mostly in. Support adds to the score and never
moves the span: a phrase spoken within a shot of ten seconds begins where it is spoken.

**Whole-video hits**: a text about a whole video says what, not where. It supports its video's best moment only, since
one good description would otherwise fill the page with the rest of that video. Where the video has no other moment, it
is one itself, from the start.

Every hit is in exactly one moment, whatever order the hits come in.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from indexer.core.types import ModalityName, Video
from search.moments import FLASH_S, JITTER_S, Hit, Moment, Spanned, covers_video, end_of, fused_score, overlap_s
from search.rank.fusion import Fusion, mean_ranks

TOLERANCE = 0.02  # how far below its group's best a hit's similarity may lie and still widen the group
_MIN_OVERLAP = 0.5  # how much of the shorter of two groups they must share to be one moment

T = TypeVar("T", bound=Spanned)
GroupKey: TypeAlias = tuple[str, ModalityName, bool]


@dataclass(frozen=True, slots=True)
class HitGroup:
    """Hits of one modality that mean one span; ``hits`` are best first, ``whole`` says they are about all of it."""

    hits: tuple[Hit, ...]
    start_s: float
    end_s: float
    whole: bool = False

    @property
    def best(self) -> Hit:
        """The hit the group was built around."""
        return self.hits[0]

    @property
    def cosine(self) -> float:
        """The highest cosine of its hits."""
        return max(hit.score for hit in self.hits)

    @property
    def lexical(self) -> float:
        """The highest lexical score of its hits."""
        return max(hit.lexical for hit in self.hits)

    @property
    def key(self) -> GroupKey:
        """The video, the modality, and whether the group is about the whole video."""
        return self.best.video_id, self.best.modality, self.whole

    def takes(self, hit: Hit) -> bool:
        """Whether a hit of the same key, found later, belongs to this group."""
        near_best = hit.similarity >= self.best.similarity - TOLERANCE
        return overlap_s(self, hit) > JITTER_S or (near_best and _continues(self, self.best, hit))


def form_groups(hits: Iterable[Hit], videos: Mapping[str, Video]) -> list[HitGroup]:
    """The groups of hits of any videos and modalities; every hit is in exactly one."""
    by_key: dict[GroupKey, list[Hit]] = defaultdict(list)
    for hit in hits:
        by_key[group_key(hit, videos)].append(hit)
    return [group for (_, _, whole), some in by_key.items() for group in _groups_of(some, whole)]


def rank_groups(groups: Iterable[HitGroup], fusion: Fusion, passed: Mapping[ModalityName, int]) -> list[HitGroup]:
    """The same groups with every hit's ``rank`` and ``evidence``; ``passed`` groups of a modality rank before.

    ``rank`` is that by cosine. Groups without a word of the query share the last rank by words, which is worth nothing.
    """
    by_modality: dict[ModalityName, list[HitGroup]] = defaultdict(list)
    for group in groups:
        by_modality[group.best.modality].append(group)
    return [
        _ranked(group, passed.get(modality, 0) + rank, lexical_rank, fusion)
        for modality, own in by_modality.items()
        for group, rank, lexical_rank in zip(
            own, mean_ranks([one.cosine for one in own]), mean_ranks([one.lexical for one in own]), strict=True
        )
    ]


def merge_groups(groups: Iterable[HitGroup], videos: Mapping[str, Video]) -> list[Moment]:
    """The moments that ranked groups make up, best first; every group is in exactly one."""
    by_video: dict[str, list[HitGroup]] = defaultdict(list)
    for group in groups:
        by_video[group.best.video_id].append(group)
    moments = [moment for key, own in by_video.items() for moment in _moments_of(videos[key], own)]
    return sorted(moments, key=lambda moment: moment.best_first)


def group_key(hit: Hit, videos: Mapping[str, Video]) -> GroupKey:
    """Which groups a hit may belong to."""
    return hit.video_id, hit.modality, covers_video(hit, videos[hit.video_id])


def supports(group: Spanned, lead: Spanned) -> bool:
    """Whether two spans share enough of the shorter one to be one moment."""
    shorter = min(end_of(group) - group.start_s, end_of(lead) - lead.start_s)
    return overlap_s(group, lead) >= _MIN_OVERLAP * shorter - JITTER_S * _MIN_OVERLAP


class _Interval(NamedTuple):
    start_s: float
    end_s: float


class _IntervalIndex(Generic[T]):
    """Spans of one video in time order, to look up which may meet another."""

    def __init__(self, spans: Iterable[T]) -> None:
        self._spans = sorted(spans, key=lambda span: span.start_s)
        self._starts = [span.start_s for span in self._spans]
        self._longest = max((span.end_s - span.start_s for span in self._spans), default=0.0) + FLASH_S

    def near(self, span: Spanned) -> Sequence[T]:
        """Every span that overlaps or touches ``span``, and perhaps some that do not."""
        first = bisect_left(self._starts, span.start_s - self._longest)
        last = bisect_right(self._starts, end_of(span) + JITTER_S)
        return self._spans[first:last]


def _groups_of(hits: Sequence[Hit], whole: bool) -> Iterator[HitGroup]:
    index = _IntervalIndex(hits)
    free = {hit.record_id: hit for hit in hits}
    for seed in sorted(hits, key=_most_similar_first):
        if seed.record_id in free:
            yield _grow(seed, index, free, whole)


def _grow(seed: Hit, index: _IntervalIndex[Hit], free: dict[str, Hit], whole: bool) -> HitGroup:
    """Take from the free hits all that belong to the group of ``seed``."""
    members = [free.pop(seed.record_id)]
    span = _Interval(seed.start_s, seed.end_s)
    while joining := [hit for hit in index.near(span) if hit.record_id in free and _widens(span, seed, hit)]:
        members += [free.pop(hit.record_id) for hit in joining]
        span = _Interval(
            min(span.start_s, *(hit.start_s for hit in joining)), max(span.end_s, *(hit.end_s for hit in joining))
        )
    weaker = [hit for hit in index.near(span) if hit.record_id in free and overlap_s(span, hit) > JITTER_S]
    members += [free.pop(hit.record_id) for hit in weaker]
    members.sort(key=_most_similar_first)
    return HitGroup(tuple(members), *span, whole=whole)


def _widens(span: Spanned, seed: Hit, hit: Hit) -> bool:
    meets = overlap_s(span, hit) > JITTER_S or _continues(span, seed, hit)
    return meets and hit.similarity >= seed.similarity - TOLERANCE


def _continues(span: Spanned, best: Hit, hit: Hit) -> bool:
    """Whether a hit touches a span and lies in the shot of its best hit."""
    return hit.shot >= 0 and hit.shot == best.shot and overlap_s(span, hit) >= -JITTER_S


def _most_similar_first(hit: Hit) -> tuple[float, float, str]:
    return -hit.similarity, hit.start_s, hit.record_id


def _ranked(group: HitGroup, rank: float, lexical_rank: float, fusion: Fusion) -> HitGroup:
    return replace(
        group,
        hits=tuple(replace(hit, rank=rank, evidence=fusion.evidence(hit, rank, lexical_rank)) for hit in group.hits),
    )


def _moments_of(video: Video, groups: Sequence[HitGroup]) -> Iterator[Moment]:
    best_first = sorted(groups, key=lambda group: group.best.best_first)
    whole = [group for group in best_first if group.whole]
    merged = list(_led([group for group in best_first if not group.whole]))
    if merged and whole:
        merged.sort(key=lambda groups: _moment(video, groups).best_first)
        merged[0] += whole
    yield from (_moment(video, groups) for groups in merged or [whole])


def _led(groups: Sequence[HitGroup]) -> Iterator[list[HitGroup]]:
    """The groups (best first) as the lead of each moment, followed by its support."""
    index = _IntervalIndex(groups)
    free = {group.best.record_id for group in groups}
    for lead in groups:
        if lead.best.record_id in free:
            free.remove(lead.best.record_id)
            support = [one for one in index.near(lead) if one.best.record_id in free and supports(one, lead)]
            free.difference_update(one.best.record_id for one in support)
            yield [lead, *support]


def _moment(video: Video, groups: Sequence[HitGroup]) -> Moment:
    lead = groups[0]
    hits = tuple(sorted((hit for group in groups for hit in group.hits), key=lambda hit: hit.best_first))
    return Moment(video, lead.start_s, lead.end_s, lead.best.time_s, fused_score(hits), hits)
