"""How hits become moments.

A moment has to begin at the right second, so no hit may widen it that does not mean the same span. Hits are put
together in two steps, best first and without chains.

**Runs**: hits of one modality in one video. The best hit that is still free starts a run. The run widens by free hits
that overlap it, or that touch it and lie in the same shot as its best, as long as their cosine is within
``tolerance`` of that best: a static shot of thirty keyframes is one run, and a change within a long shot starts its
own. Weaker hits that overlap a finished run belong to it without widening it. So the runs of one modality never
overlap, and captions that each overlap the next do not glue a whole video together. A modality ranks its runs, not
its hits: thirty keyframes of one shot take one place. Where a query's words were found, "cosine" is here the cosine
plus the lexical score, so that the line that holds the phrase is a run's best; but the two rankings stay apart.

**Moments**: runs of several modalities in one video. The run with the most evidence that is still free leads a
moment, and the moment has its span, the hull of the hits that widened it. Free runs of other modalities support it if
they share with it at least ``min_overlap`` of the shorter of the two: a subtitle that runs over a cut belongs to the
shot it is mostly in. Support adds to the score and never moves the span: a spoken phrase found within a shot of ten
seconds begins where it is spoken.

**Whole-video hits**: a text about a whole video (at least ``whole_share`` of it) says what, not where. It supports
its video's best moment, and no other, lest one good description fill the page with the rest of that video. Where the
video has no other moment, it is one itself, from the start.

Every hit is in exactly one moment, whatever order the hits come in.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from indexer.core.types import SPACE_OF_MODALITY, ModalityName, Video
from search.moments import Hit, Moment, fused_score
from search.rank.fusion import Fusion, mean_ranks

__all__ = ["MergeRules", "Run", "Span", "Timeline", "form_runs", "merge_runs", "overlap_s", "rank_runs"]

JITTER_S = 0.001  # spans that tile a shot may miss or cover each other by a rounding error
FLASH_S = 0.01  # a span shorter than this counts as this long, so that an instant can lie within something


@dataclass(frozen=True, slots=True)
class MergeRules:
    """When hits belong together; see the module's docstring.

    Args:
        tolerance: By how much a hit's cosine may fall short of its run's best and still widen the run.
        min_overlap: How much of the shorter of two runs they must share to be one moment, in (0, 1].
        whole_share: The share of a video from which on a text counts as about the whole video, in (0, 1].
    """

    tolerance: float = 0.02
    min_overlap: float = 0.5
    whole_share: float = 0.95


class Span(NamedTuple):
    """An interval in seconds."""

    start_s: float
    end_s: float


class Spanned(Protocol):
    """Whatever lasts from ``start_s`` to ``end_s``."""

    @property
    def start_s(self) -> float: ...
    @property
    def end_s(self) -> float: ...


T = TypeVar("T", bound=Spanned)
RunKey: TypeAlias = tuple[str, ModalityName, bool]


@dataclass(frozen=True, slots=True)
class Run:
    """Hits of one modality that mean one span; ``hits`` are best first, ``whole`` says they are about all of it."""

    hits: tuple[Hit, ...]
    start_s: float
    end_s: float
    whole: bool = False

    @property
    def best(self) -> Hit:
        """The hit the run was built around."""
        return self.hits[0]

    @property
    def cosine(self) -> float:
        """The best of its hits'."""
        return max(hit.score for hit in self.hits)

    @property
    def lexical(self) -> float:
        """The best of its hits'."""
        return max(hit.lexical for hit in self.hits)

    @property
    def key(self) -> RunKey:
        """What runs must have in common to meet: the video, the modality and whether they are about all of it."""
        return self.best.video_id, self.best.modality, self.whole

    def takes(self, hit: Hit, tolerance: float) -> bool:
        """Whether a hit of the same key, found later, belongs to this run."""
        near_best = hit.likeness >= self.best.likeness - tolerance
        return overlap_s(self, hit) > JITTER_S or (near_best and _continues(self, self.best, hit))


class Timeline(Generic[T]):
    """Spans of one video in time order, to ask which may meet another."""

    def __init__(self, spans: Iterable[T]) -> None:
        self._spans = sorted(spans, key=lambda span: span.start_s)
        self._starts = [span.start_s for span in self._spans]
        self._longest = max((span.end_s - span.start_s for span in self._spans), default=0.0) + FLASH_S

    def near(self, span: Spanned) -> Sequence[T]:
        """Every span that overlaps or touches ``span``, and perhaps some that do not."""
        first = bisect_left(self._starts, span.start_s - self._longest)
        last = bisect_right(self._starts, max(span.end_s, span.start_s + FLASH_S) + JITTER_S)
        return self._spans[first:last]


def overlap_s(one: Spanned, other: Spanned) -> float:
    """How many seconds two spans share; negative by the gap between them."""
    return min(_end_s(one), _end_s(other)) - max(one.start_s, other.start_s)


def form_runs(hits: Iterable[Hit], videos: Mapping[str, Video], rules: MergeRules) -> list[Run]:
    """The runs of hits of any videos and modalities; every hit is in exactly one."""
    groups: dict[RunKey, list[Hit]] = defaultdict(list)
    for hit in hits:
        groups[run_key(hit, videos, rules)].append(hit)
    return [run for key, group in groups.items() for run in _runs_of(group, key[2], rules)]


def rank_runs(runs: Iterable[Run], fusion: Fusion, passed: Mapping[ModalityName, int]) -> list[Run]:
    """The same runs with every hit's ``rank`` and ``evidence`` known; ``passed`` runs of a modality rank before.

    ``rank`` is that by cosine. Runs without a word of the query share the last rank by words, which is worth nothing.
    """
    by_modality: dict[ModalityName, list[Run]] = defaultdict(list)
    for run in runs:
        by_modality[run.best.modality].append(run)
    return [
        _ranked(run, passed.get(modality, 0) + rank, lexical_rank, fusion)
        for modality, group in by_modality.items()
        for run, rank, lexical_rank in zip(
            group, mean_ranks([run.cosine for run in group]), mean_ranks([run.lexical for run in group]), strict=True
        )
    ]


def merge_runs(runs: Iterable[Run], videos: Mapping[str, Video], rules: MergeRules) -> list[Moment]:
    """The moments that ranked runs make up, best first; every run is in exactly one."""
    by_video: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_video[run.best.video_id].append(run)
    moments = [moment for key, group in by_video.items() for moment in _moments_of(videos[key], group, rules)]
    return sorted(moments, key=lambda moment: moment.best_first)


def run_key(hit: Hit, videos: Mapping[str, Video], rules: MergeRules) -> RunKey:
    """Which runs a hit may belong to."""
    covers = hit.end_s - hit.start_s >= rules.whole_share * videos[hit.video_id].duration_s > 0
    return hit.video_id, hit.modality, covers and SPACE_OF_MODALITY[hit.modality] != "frames"


def supports(run: Spanned, lead: Spanned, rules: MergeRules) -> bool:
    """Whether two spans share enough of the shorter one to be one moment."""
    shorter = min(_end_s(run) - run.start_s, _end_s(lead) - lead.start_s)
    return overlap_s(run, lead) >= rules.min_overlap * shorter - JITTER_S * rules.min_overlap


def _end_s(span: Spanned) -> float:
    return max(span.end_s, span.start_s + FLASH_S)


def _continues(run: Spanned, best: Hit, hit: Hit) -> bool:
    return hit.shot >= 0 and hit.shot == best.shot and overlap_s(run, hit) >= -JITTER_S


def _runs_of(hits: Sequence[Hit], whole: bool, rules: MergeRules) -> Iterator[Run]:
    timeline = Timeline(hits)
    free = {hit.record_id: hit for hit in hits}
    for seed in sorted(hits, key=_likest_first):
        if seed.record_id in free:
            yield _grow(seed, timeline, free, whole, rules)


def _grow(seed: Hit, timeline: Timeline[Hit], free: dict[str, Hit], whole: bool, rules: MergeRules) -> Run:
    """Take from the free hits all that belong to the run of ``seed``."""
    members = [free.pop(seed.record_id)]
    span = Span(seed.start_s, seed.end_s)
    while joining := [hit for hit in timeline.near(span) if hit.record_id in free and _widens(span, seed, hit, rules)]:
        members += [free.pop(hit.record_id) for hit in joining]
        span = _hull([span, *joining])
    weaker = [hit for hit in timeline.near(span) if hit.record_id in free and overlap_s(span, hit) > JITTER_S]
    members += [free.pop(hit.record_id) for hit in weaker]
    members.sort(key=_likest_first)
    return Run(tuple(members), *span, whole=whole)


def _widens(span: Span, seed: Hit, hit: Hit, rules: MergeRules) -> bool:
    meets = overlap_s(span, hit) > JITTER_S or _continues(span, seed, hit)
    return meets and hit.likeness >= seed.likeness - rules.tolerance


def _hull(spans: Sequence[Spanned]) -> Span:
    return Span(min(span.start_s for span in spans), max(span.end_s for span in spans))


def _ranked(run: Run, rank: float, lexical_rank: float, fusion: Fusion) -> Run:
    def evidence(hit: Hit) -> float:
        by_words = fusion.lexical_evidence(hit.modality, hit.lexical, lexical_rank)
        return fusion.evidence(hit.modality, hit.score, rank, hit.text) + by_words

    return replace(run, hits=tuple(replace(hit, rank=rank, evidence=evidence(hit)) for hit in run.hits))


def _likest_first(hit: Hit) -> tuple[float, float, str]:
    return -hit.likeness, hit.start_s, hit.record_id


def _moments_of(video: Video, runs: Sequence[Run], rules: MergeRules) -> Iterator[Moment]:
    whole = [run for run in runs if run.whole]
    local = sorted((run for run in runs if not run.whole), key=lambda run: run.best.best_first)
    groups = list(_groups_of(local, rules))
    if groups and whole:
        groups.sort(key=lambda group: _moment(video, group).best_first)
        groups[0] += whole
    elif whole:
        groups = [sorted(whole, key=lambda run: run.best.best_first)]
    yield from (_moment(video, group) for group in groups)


def _groups_of(runs: Sequence[Run], rules: MergeRules) -> Iterator[list[Run]]:
    """Runs (best first) as the lead of each moment followed by its support."""
    timeline = Timeline(runs)
    free = {run.best.record_id for run in runs}
    for lead in runs:
        if lead.best.record_id in free:
            free.remove(lead.best.record_id)
            group = [run for run in timeline.near(lead) if run.best.record_id in free and supports(run, lead, rules)]
            free.difference_update(run.best.record_id for run in group)
            yield [lead, *group]


def _moment(video: Video, runs: Sequence[Run]) -> Moment:
    lead = runs[0]
    hits = tuple(sorted((hit for run in runs for hit in run.hits), key=lambda hit: hit.best_first))
    return Moment(video, lead.start_s, lead.end_s, lead.best.time_s, fused_score(hits), hits)
