"""What a moment must contain and what it must not: phrases, words, objects, and things that are seen.

A condition is a set of spans. A hit meets ``"a phrase"`` and ``objects:bus`` if it shares time with a record that holds
the phrase or shows the bus, and fails ``-word`` if it shares time with a text that holds the word or with a frame that
shows it. A phrase that runs from one record into the next is held by both together (``cross_segment``). So ``-hat``
leaves out a moment with a hat in it, whatever is said meanwhile: the word is compared with the frames separately and
never becomes part of the query's vector, which knows no "without".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from indexer.core.errors import QueryError
from indexer.core.types import Embedding, ModalityName, Record, Space, Video
from indexer.modalities.registry import modality_names
from indexer.store.base import VectorStore
from search.catalogue import Catalogue
from search.match.candidates import MAX_IDS_PASSED, exact_cosines, hit_of
from search.match.cross_segment import SEAMED, Joined, SeamFinder
from search.match.lexical import match_phrase
from search.modalities import how_to_add, in_words, text_modalities
from search.moments import JITTER_S, Hit, Spanned, covers_video, overlap_s
from search.query.query import ObjectCondition, Query

_TEXT_SPACES: tuple[Space, ...] = ("text", "audio")

T = TypeVar("T", Hit, Record)


class UnwantedRecords:
    """Records that no hit may share time with; each video is looked up once, when it is first asked for.

    ``look_up`` finds the records in some videos.
    """

    def __init__(self, look_up: Callable[[Sequence[str]], Iterable[Record]]) -> None:
        self._look_up = look_up
        self._known: dict[str, list[Record]] = {}

    def of(self, video_ids: Collection[str]) -> Mapping[str, Sequence[Record]]:
        """The records by video, of these videos and perhaps of others."""
        unknown = sorted(set(video_ids).difference(self._known))
        self._known.update({video_id: [] for video_id in unknown})
        for record in self._look_up(unknown) if unknown else ():
            self._known[record.video_id].append(record)
        return self._known


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the hits of one query must meet.

    Args:
        wanted: For each condition, the hits that meet it by themselves; a hit must share time with one of each.
        without: What no hit may share time with.
        unwanted: Further records that no hit may share time with, by video.
        barred: Videos in which nothing meets the conditions.
        joined: The records that hold a phrase of ``wanted`` together.
        modalities: What to list where nothing is ranked; empty to list what meets the first condition.
    """

    videos: Mapping[str, Video]
    wanted: tuple[Mapping[str, Sequence[Hit]], ...] = ()
    without: tuple[UnwantedRecords, ...] = ()
    unwanted: Mapping[str, Sequence[Record]] = field(default_factory=dict)
    barred: frozenset[str] = frozenset()
    joined: tuple[Joined, ...] = ()
    modalities: frozenset[ModalityName] = frozenset()

    def narrow(self, video_ids: frozenset[str]) -> frozenset[str]:
        """Those of the videos in which anything can meet the conditions."""
        return video_ids.intersection(*self.wanted) - self.barred

    def accepted(self, hits: Iterable[Hit]) -> list[Hit]:
        """Those of the hits that meet all conditions, in their order."""
        meeting = [hit for hit in hits if all(_shares_time(hit, spans.get(hit.video_id, ())) for spans in self.wanted)]
        video_ids = {hit.video_id for hit in meeting}
        against = [self.unwanted, *(unwanted.of(video_ids) for unwanted in self.without)]
        return [hit for hit in meeting if not any(self._fails(hit, some.get(hit.video_id, ())) for some in against)]

    def _fails(self, hit: Hit, unwanted: Iterable[Record]) -> bool:
        if covers_video(hit, self.videos[hit.video_id]):
            # One frame does not contradict a text about the whole video.
            unwanted = [span for span in unwanted if overlap_s(hit, span) >= 0.5 * (hit.end_s - hit.start_s)]
        return _shares_time(hit, unwanted)


@dataclass(frozen=True, slots=True)
class ConditionFinder:
    """Finds where the conditions of a query are met.

    ``encode_shown`` gives the vectors ``(n, dim)`` of frames that show some texts, and the cosine from which on a frame
    shows one of them; it is called only for words that must not be seen.
    """

    store: VectorStore
    catalogue: Catalogue
    encode_shown: Callable[[Sequence[str]], tuple[Embedding, float]]

    def find(self, query: Query) -> Conditions:
        """Look up all conditions of a query.

        Raises:
            QueryError: the index has nothing that a condition could be met by.
            ModelError: a model cannot encode what must not be seen.
        """
        texts = _texts_that_count(query)
        found = (self._seams(texts).find(phrase) for phrase in query.phrases)
        joined = [[one for one in together if one.record.video_id in self.catalogue.ids] for together in found]
        said = [
            [*self._holding(phrase, texts), *(one.hit() for one in together)]
            for phrase, together in zip(query.phrases, joined, strict=True)
        ]
        shown = ([hit_of(record, 0.0) for record in self._showing(one)] for one in query.objects if not one.negated)
        unwanted = [record for objects in query.objects if objects.negated for record in self._showing(objects)]
        return Conditions(
            videos=self.catalogue.videos,
            wanted=tuple(_by_video(hits) for hits in (*said, *shown)),
            unwanted=_by_video(unwanted),
            without=tuple(self._without(query.without)) if query.without else (),
            barred=frozenset(key for word in query.without for key in self._named(word)),
            joined=tuple(one for together in joined for one in together),
            modalities=self._listed(query) if query.is_browsing else frozenset(),
        )

    def _listed(self, query: Query) -> frozenset[ModalityName]:
        """The modalities that count, if frames do not; frames stand for the whole video."""
        counting = [name for name in modality_names() if query.weight(name) > 0]
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
        if not any(name in self.catalogue.counts for name in text_modalities()):
            raise QueryError(f"This index has no text to look for “{phrase}” in.", hint=how_to_add("speech"))
        records = (one for space in self._text_spaces() for one in self._looked_up(space, [phrase], modalities))
        matches = ((one, match_phrase(one.text, phrase, one.modality)) for one in records)
        return [hit_of(record, 0.0, match) for record, match in matches if match is not None]

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
        self, space: Space, words: Collection[str], modalities: frozenset[ModalityName] | None
    ) -> Iterable[Record]:
        found = self.store.containing(space, words, None, modalities=modalities, vectors=False)
        return [record for record in found if record.video_id in self.catalogue.ids]

    def _without(self, phrases: Sequence[str]) -> Iterator[UnwantedRecords]:
        yield UnwantedRecords(lambda video_ids: self._texts_with(phrases, video_ids))
        if "frames" in self.catalogue.counts:
            vectors, least = self.encode_shown(phrases)
            yield UnwantedRecords(lambda video_ids: self._frames_like(vectors, least, video_ids))

    def _texts_with(self, phrases: Sequence[str], video_ids: Sequence[str]) -> Iterator[Record]:
        seams = self._seams(None)
        for start in range(0, len(video_ids), MAX_IDS_PASSED):
            some = video_ids[start : start + MAX_IDS_PASSED]
            for space in self._text_spaces():
                for one in self.store.containing(space, phrases, None, video_ids=some, vectors=False):
                    if any(match_phrase(one.text, phrase, one.modality) for phrase in phrases):
                        yield one
            yield from (joined.record for phrase in phrases for joined in seams.find(phrase, some))

    def _frames_like(self, vectors: Embedding, least: float, video_ids: Sequence[str]) -> Iterator[Record]:
        for video_id in video_ids:
            frames = list(self.store.records("frames", video_id=video_id, vectors=True))
            best = np.max([exact_cosines(frames, vector) for vector in vectors], axis=0)
            yield from (frame for frame, cosine in zip(frames, best, strict=True) if cosine >= least)


def _texts_that_count(query: Query) -> frozenset[ModalityName] | None:
    """The modalities with a text that count, None for all; also if none does, since only frames are looked in then."""
    counting = frozenset(name for name in text_modalities() if query.weight(name) > 0)
    return None if len(counting) in (0, len(text_modalities())) else counting


def _by_video(spans: Iterable[T]) -> Mapping[str, Sequence[T]]:
    found: dict[str, list[T]] = defaultdict(list)
    for span in spans:
        found[span.video_id].append(span)
    return dict(found)


def _shares_time(hit: Hit, spans: Iterable[Spanned]) -> bool:
    return any(overlap_s(hit, span) > JITTER_S for span in spans)
