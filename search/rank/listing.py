"""One query's ranking of moments, listed as far as somebody reads it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

from indexer.core.types import ModalityName, Video
from search.moments import Hit, Moment
from search.rank.fusion import Fusion
from search.rank.merging import MergeRules, Run, RunKey, form_runs, merge_runs, rank_runs, run_key, supports

__all__ = ["Listing"]


class Listing:
    """Moments best first, growing by levels of hits that each lie deeper than the last.

    What is listed stays as it is: the moments of a deeper level come after all of those before, so that a page of
    the ranking is the same however far it was asked for. A deeper hit that belongs to a moment already listed is
    not listed again.

    Args:
        videos: What the hits' videos are.
        fusion: What hits are worth.
        rules: When they are one moment.
        judge: Gives a moment its confidence; None leaves it unknown.
        min_confidence: Moments with less go to ``unlikely``.
    """

    def __init__(
        self,
        videos: Mapping[str, Video],
        fusion: Fusion,
        rules: MergeRules,
        judge: Callable[[Moment], Moment] | None = None,
        min_confidence: float = 0.0,
    ) -> None:
        self._videos = videos
        self._fusion = fusion
        self._rules = rules
        self._judge = judge
        self._min_confidence = min_confidence
        self._runs: dict[RunKey, list[Run]] = defaultdict(list)
        self._passed: Counter[ModalityName] = Counter()
        self._by_video: dict[str, list[Moment]] = {}
        self._left_out: dict[str, list[Moment]] = defaultdict(list)
        self.moments: list[Moment] = []
        self.unlikely: list[Moment] = []

    @property
    def by_video(self) -> Mapping[str, Sequence[Moment]]:
        """The moments of each video, best first; the videos in the order of their best moments."""
        return self._by_video

    def add(self, hits: Sequence[Hit]) -> None:
        """List the next level of hits, of any modalities."""
        runs = form_runs([hit for hit in hits if not self._is_known(hit)], self._videos, self._rules)
        ranked = rank_runs(runs, self._fusion, self._passed)
        moments = merge_runs([run for run in ranked if not self._is_listed(run)], self._videos, self._rules)
        for run in ranked:
            self._runs[run.key].append(run)
            self._passed[run.best.modality] += self._fusion.weight(run.best.modality, run.cosine) > 0
        for moment in moments:
            self._list(moment if self._judge is None else self._judge(moment))

    def _list(self, moment: Moment) -> None:
        if moment.confidence is not None and moment.confidence < self._min_confidence:
            self._left_out[moment.video.id].append(moment)
            self.unlikely.append(moment)
        else:
            self._by_video.setdefault(moment.video.id, []).append(moment)
            self.moments.append(moment)

    def _is_known(self, hit: Hit) -> bool:
        earlier = self._runs[run_key(hit, self._videos, self._rules)]
        return any(run.takes(hit, self._rules.tolerance) for run in earlier)

    def _is_listed(self, run: Run) -> bool:
        video_id = run.best.video_id
        listed = [*self._by_video.get(video_id, []), *self._left_out.get(video_id, [])]
        if run.whole:
            return bool(listed)
        return any(supports(run, moment, self._rules) for moment in listed)
