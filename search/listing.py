"""One query's ranking of moments, listed as far as somebody reads it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from indexer.types import Modality, Video
from search.fusion import Fusion
from search.merging import MergeRules, Run, RunKey, form_runs, merge_runs, rank_runs, run_key, supports
from search.moments import Hit, Moment

__all__ = ["Listing"]


class Listing:
    """Moments best first, growing by levels of hits that each lie deeper than the last.

    What is listed stays as it is: the moments of a deeper level come after all of those before, so that a page of
    the ranking is the same however far it was asked for. A deeper hit that belongs to a moment already listed is
    not listed again.
    """

    def __init__(self, videos: Mapping[str, Video], fusion: Fusion, rules: MergeRules) -> None:
        self._videos = videos
        self._fusion = fusion
        self._rules = rules
        self._runs: dict[RunKey, list[Run]] = defaultdict(list)
        self._passed: Counter[Modality] = Counter()
        self._by_video: dict[str, list[Moment]] = {}
        self.moments: list[Moment] = []

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
            self._by_video.setdefault(moment.video.id, []).append(moment)
        self.moments += moments

    def _is_known(self, hit: Hit) -> bool:
        earlier = self._runs[run_key(hit, self._videos, self._rules)]
        return any(run.takes(hit, self._rules.tolerance) for run in earlier)

    def _is_listed(self, run: Run) -> bool:
        listed = self._by_video.get(run.best.video_id, [])
        if run.whole:
            return bool(listed)
        return any(supports(run, moment, self._rules) for moment in listed)
