"""What a moment must have in it, and what it must not: phrases, words, objects, and things to be seen.

A condition is a set of spans. A hit meets ``"a phrase"`` and ``objects:bus`` if it shares time with a record that holds
the one or shows the other, and fails ``-word`` if it shares time with a text that holds the word or with a frame that
shows it. A phrase that runs over the seam of two records is held by both together (``cross_segment``). So ``-hat``
leaves out a moment with a hat in it, whatever is said meanwhile: the word is compared with the frames by itself and
never becomes part of the query's vector, which knows no "without".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np

from indexer.core.errors import QueryError
from indexer.core.types import SPACE_OF_MODALITY, Embedding, ModalityName, Record, Space, Video
from indexer.store.base import VectorStore
from search.catalogue import Catalogue
from search.match.candidates import MAX_IDS_PASSED, exact_cosines, hit_of
from search.match.cross_segment import SEAMED, Joined, SeamFinder
from search.match.lexical import match_phrase
from search.modalities import TEXT_MODALITIES, how_to_add, in_words
from search.moments import Hit
from search.query.query import ObjectCondition, Query
from search.rank.merging import JITTER_S, MergeRules, Spanned, overlap_s, run_key

__all__ = ["ConditionFinder", "Conditions", "ShownFrames", "TextsWith"]

_TEXT_SPACES: tuple[Space, ...] = ("text", "audio")


class Unwanted(Protocol):
    """Records of a video that no hit may share time with, looked up when they are first asked for."""

    def prepare(self, video_ids: Collection[str]) -> None:
        """Look up several videos at once, which takes less time."""

    def of(self, video_id: str) -> Sequence[Record]:
        """Those of one video."""


class TextsWith:
    """Where some phrases are said or written.

    Args:
        store: The index.
        spaces: Those that have texts.
        phrases: What not to hear or read.
        seams: Finds the phrases that run over a seam.
    """

    def __init__(self, store: VectorStore, spaces: Sequence[Space], phrases: Sequence[str], seams: SeamFinder) -> None:
        self._store = store
        self._spaces = spaces
        self._phrases = phrases
        self._seams = seams
        self._known: dict[str, list[Record]] = {}

    def prepare(self, video_ids: Collection[str]) -> None:
        """Look up several videos at once, which takes less time."""
        unknown = sorted(set(video_ids).difference(self._known))
        self._known.update({video_id: [] for video_id in unknown})
        for start in range(0, len(unknown), MAX_IDS_PASSED):
            some = unknown[start : start + MAX_IDS_PASSED]
            for space in self._spaces:
                self._look_up(space, some)
            for joined in (one.record for phrase in self._phrases for one in self._seams.find(phrase, some)):
                self._known[joined.video_id].append(joined)

    def of(self, video_id: str) -> Sequence[Record]:
        """The records of a video with one of the phrases in them."""
        self.prepare([video_id])
        return self._known[video_id]

    def _look_up(self, space: Space, video_ids: Sequence[str]) -> None:
        for one in self._store.containing(space, self._phrases, None, video_ids=video_ids, vectors=False):
            if any(match_phrase(one.text, phrase, one.modality) for phrase in self._phrases):
                self._known[one.video_id].append(one)


class ShownFrames:
    """Where some things are seen.

    Args:
        store: The index.
        vectors: What not to see, ``(n, dim)`` in the space of the frames.
        shown_from: The cosine with one of them from which on a frame is held to show it.
    """

    def __init__(self, store: VectorStore, vectors: Embedding, shown_from: float) -> None:
        self._store = store
        self._vectors = vectors
        self._shown_from = shown_from
        self._known: dict[str, list[Record]] = {}

    def prepare(self, video_ids: Collection[str]) -> None:
        """Nothing: a video's frames are read when it is first asked for."""

    def of(self, video_id: str) -> Sequence[Record]:
        """The frames of a video that show one of them.

        Raises:
            IndexDamagedError: a stored vector is no direction.
        """
        if video_id not in self._known:
            frames = list(self._store.records("frames", video_id=video_id, vectors=True))
            self._known[video_id] = [frame for frame, shows in zip(frames, self._shows(frames), strict=True) if shows]
        return self._known[video_id]

    def _shows(self, frames: Sequence[Record]) -> Sequence[bool]:
        best = np.max([exact_cosines(frames, vector) for vector in self._vectors], axis=0)
        return [float(cosine) >= self._shown_from for cosine in best]


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the hits of one query must meet.

    Args:
        videos: Every searchable video by id.
        rules: Which texts are about a whole video.
        wanted: For each condition, the hits that meet it by themselves; a hit must share time with one of each.
        without: What no hit may share time with.
        unwanted: Further records that no hit may share time with.
        barred: Videos in which nothing meets them.
        joined: The records that hold a phrase of ``wanted`` together.
        kinds: The kinds of evidence to list where nothing is ranked; none to list what meets the first condition.
    """

    videos: Mapping[str, Video]
    rules: MergeRules
    wanted: tuple[Mapping[str, Sequence[Hit]], ...] = ()
    without: tuple[Unwanted, ...] = ()
    unwanted: Mapping[str, Sequence[Record]] = field(default_factory=dict)
    barred: frozenset[str] = frozenset()
    joined: tuple[Joined, ...] = ()
    kinds: frozenset[ModalityName] = frozenset()

    def narrow(self, video_ids: frozenset[str]) -> frozenset[str]:
        """Those of the videos in which anything can meet the conditions."""
        return video_ids.intersection(*self.wanted) - self.barred

    def accepted(self, hits: Iterable[Hit]) -> list[Hit]:
        """Those of the hits that meet all conditions, in their order."""
        meeting = [hit for hit in hits if all(_shares_time(hit, spans.get(hit.video_id, ())) for spans in self.wanted)]
        for unwanted in self.without:
            unwanted.prepare({hit.video_id for hit in meeting})
        return [hit for hit in meeting if not self._is_unwanted(hit)]

    def _is_unwanted(self, hit: Hit) -> bool:
        lazily = (record for unwanted in self.without for record in unwanted.of(hit.video_id))
        against = [*self.unwanted.get(hit.video_id, ()), *lazily]
        if run_key(hit, self.videos, self.rules)[2]:
            # What is said about a whole video is not wrong for one frame of it.
            against = [span for span in against if overlap_s(hit, span) >= 0.5 * (hit.end_s - hit.start_s)]
        return _shares_time(hit, against)


@dataclass(frozen=True, slots=True)
class ConditionFinder:
    """Finds where the conditions of a query are met.

    Args:
        store: The index.
        catalogue: What is in it.
        rules: Which texts are about a whole video.
        see: Gives what frames that show some texts are like: their vectors ``(n, dim)``, and the cosine from which on a
            frame shows one of them; called only for words that must not be seen.
    """

    store: VectorStore
    catalogue: Catalogue
    rules: MergeRules
    see: Callable[[Sequence[str]], tuple[Embedding, float]]

    def find(self, query: Query) -> Conditions:
        """Look up all conditions of a query.

        Raises:
            QueryError: the index has nothing that a condition could be met by.
            ModelError: a model cannot encode what must not be seen.
        """
        joined = [self._joined(phrase, query) for phrase in query.phrases]
        wanted = [
            [*self._holding(phrase, _speaking(query)), *(one.hit() for one in together)]
            for phrase, together in zip(query.phrases, joined, strict=True)
        ]
        shown = ([hit_of(record, 0.0) for record in self._showing(one)] for one in query.objects if not one.negated)
        unwanted = [record for objects in query.objects if objects.negated for record in self._showing(objects)]
        return Conditions(
            videos=self.catalogue.videos,
            rules=self.rules,
            wanted=tuple(_by_video(hits) for hits in (*wanted, *shown)),
            unwanted=_by_video(unwanted),
            without=tuple(self._without(query.without)),
            barred=frozenset(key for word in query.without for key in self._named(word)),
            joined=tuple(one for together in joined for one in together),
            kinds=self._kinds(query) if query.is_browsing else frozenset(),
        )

    def _kinds(self, query: Query) -> frozenset[ModalityName]:
        """What counts, if pictures do not; these stand for the whole video where all counts, or nothing does."""
        counting = [name for name in SPACE_OF_MODALITY if query.weight(name) > 0]
        if not counting or "frames" in counting:
            return frozenset()
        if not any(name in self.catalogue.counts for name in counting):
            raise QueryError(f"This index has no {in_words(counting)} to list.", hint=how_to_add(counting[0]))
        return frozenset(counting)

    def _named(self, word: str) -> Iterator[str]:
        """The videos whose title or label holds a word."""
        for key, video in self.catalogue.videos.items():
            if match_phrase(video.title, word) or match_phrase(video.label, word):
                yield key

    def _holding(self, phrase: str, modalities: frozenset[ModalityName] | None) -> list[Hit]:
        if not any(name in self.catalogue.counts for name in TEXT_MODALITIES):
            raise QueryError(f"This index has no text to look for “{phrase}” in.", hint=how_to_add("speech"))
        spaces = self._text_spaces()
        records = (one for space in spaces for one in self._looked_up(space, [phrase], modalities))
        matches = ((one, match_phrase(one.text, phrase, one.modality)) for one in records)
        return [hit_of(record, 0.0, match) for record, match in matches if match is not None]

    def _joined(self, phrase: str, query: Query) -> list[Joined]:
        found = self._seams(_speaking(query)).find(phrase)
        return [one for one in found if one.record.video_id in self.catalogue.ids]

    def _seams(self, modalities: frozenset[ModalityName] | None) -> SeamFinder:
        held = SEAMED.intersection(self.catalogue.counts)
        return SeamFinder(self.store, held if modalities is None else held & modalities)

    def _text_spaces(self) -> list[Space]:
        return [space for space in _TEXT_SPACES if self.catalogue.modalities(space)]

    def _showing(self, objects: ObjectCondition) -> list[Record]:
        if "objects" not in self.catalogue.counts:
            raise QueryError(f"This index does not know where to see '{objects.label}'.", hint=how_to_add("objects"))
        records = self._looked_up("text", objects.spellings, frozenset({"objects"}))
        return [record for record in records if objects.holds(record.sightings)]

    def _looked_up(
        self, space: Space, words: Iterable[str], modalities: frozenset[ModalityName] | None
    ) -> Iterable[Record]:
        found = self.store.containing(space, [*words], None, modalities=modalities, vectors=False)
        return [record for record in found if record.video_id in self.catalogue.ids]

    def _without(self, words: Sequence[str]) -> Iterator[Unwanted]:
        if words:
            yield TextsWith(self.store, self._text_spaces(), words, self._seams(None))
        if words and "frames" in self.catalogue.counts:
            yield ShownFrames(self.store, *self.see(words))


def _speaking(query: Query) -> frozenset[ModalityName] | None:
    """The kinds of text that count, None for all; also where none does, since then only pictures are looked for."""
    counting = frozenset(name for name in TEXT_MODALITIES if query.weight(name) > 0)
    return None if len(counting) in (0, len(TEXT_MODALITIES)) else counting


T = TypeVar("T", Hit, Record)


def _by_video(spans: Iterable[T]) -> Mapping[str, Sequence[T]]:
    found: dict[str, list[T]] = defaultdict(list)
    for span in spans:
        found[span.video_id].append(span)
    return dict(found)


def _shares_time(hit: Hit, spans: Iterable[Spanned]) -> bool:
    return any(overlap_s(hit, span) > JITTER_S for span in spans)
