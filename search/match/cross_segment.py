"""Phrases that begin in one record and end in a later one.

Speech is cut into segments of some seconds and subtitles into lines, so a phrase may run over the seam of two records,
or of more. No record holds such a phrase.

However it is cut, its longest word lies whole in one of them, so that word is looked up. If very many records hold it,
a few longer parts of the phrase are looked up instead, one of which lies whole in a record if there are fewer seams
than parts. Few of the records found are of use, since a record takes part only if it ends with how the phrase begins,
begins with how it ends, or is a middle of it and nothing else. The neighbours of these few are then looked up in their
videos by the words that must come next, or came before.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from types import MappingProxyType

from indexer.core.text import squeeze, squeezed
from indexer.core.types import Cue, ModalityName, Record
from indexer.store.base import VectorStore
from search.match.candidates import MAX_IDS_PASSED, hit_of
from search.match.lexical import FUNCTION_WORDS, match_phrase, worth
from search.moments import JITTER_S, Hit

LONGEST_GAPS_S: Mapping[ModalityName, float] = MappingProxyType({"speech": 2.0, "subtitle": 1.0})
"""The modalities that are one running text, cut; the longest gap between two neighbours, in seconds."""

SEAMED: frozenset[ModalityName] = frozenset(LONGEST_GAPS_S)

_PART_WORTH = 10  # so many letters of a phrase are rare enough to be looked up
_MOST_PARTS = 4
_LEAST_WORD = 3
_BESIDE_WORTH = 6  # a neighbour of fewer letters is found only if there is no more of the phrase on its side
_MOST_SEAMS = 8
_FEW_RECORDS = 500  # reading a thousand takes the database some 80 ms
_MOST_RECORDS = 4000


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """Neighbouring records of one video and modality, in order, that hold a phrase together.

    ``start_s`` is when the first word of the phrase begins and ``end_s`` when its last word ends; if the words' times
    are unknown, when the first record begins and the last one ends.
    """

    parts: tuple[Record, ...]
    phrase: str
    start_s: float
    end_s: float

    @property
    def record(self) -> Record:
        """The parts as one record: the first, up to the end of the last."""
        first = self.parts[0]
        text = " ".join(part.text for part in self.parts)
        return replace(first, end_s=max(part.end_s for part in self.parts), text=text, words=())

    def hit(self, cosine: float = 0.0) -> Hit:
        """A hit that lasts as long as the phrase, with the text of all parts."""
        hit = hit_of(self.record, cosine, match_phrase(self.record.text, self.phrase))
        return replace(hit, start_s=self.start_s, end_s=self.end_s, time_s=self.start_s)


@dataclass(frozen=True, slots=True)
class SeamFinder:
    """Finds phrases over seams, in those of the modalities that are ``SEAMED``."""

    store: VectorStore
    modalities: frozenset[ModalityName] = SEAMED

    def find(self, phrase: str, video_ids: Collection[str] | None = None) -> list[Joined]:
        """Every place where a phrase runs over a seam; the records come without vectors.

        A phrase of one word takes no look-up; others take one or two, and one more for each seam of those found. A
        short phrase of nothing but function words ("of the") is not looked for, and if no videos are named, only some
        of the records with a very common word are read. ``video_ids`` are at most ``MAX_IDS_PASSED``.
        """
        if not self.modalities & SEAMED:
            return []
        sought = _Phrase(squeezed(phrase), sorted(squeeze(phrase).breaks))
        most = _MOST_RECORDS if video_ids is None else None
        pieces = self._with_neighbours(sought, self._first_pieces(sought, video_ids, most), most)
        return [_joined(chain, phrase) for chain in _chains(pieces, sought)]

    def _first_pieces(self, sought: _Phrase, video_ids: Collection[str] | None, most: int | None) -> set[_Piece]:
        """One or more of every chain of pieces: those with the longest word or, if it is common, with some part."""
        records: Sequence[Record] = ()
        anchors: Sequence[str] = ()
        for anchors, limit in sought.lookups(most):
            records = self._containing(anchors, video_ids, limit)
            if limit is None or len(records) < limit:
                break
        pieces = (one for record in records for one in sought.pieces(record))
        return {one for one in pieces if any(anchor in sought.letters[one.start : one.end] for anchor in anchors)}

    def _with_neighbours(self, sought: _Phrase, pieces: set[_Piece], most: int | None) -> set[_Piece]:
        """The pieces, their neighbours that continue the phrase, the neighbours of these and so on."""
        fresh = pieces
        for _ in range(_MOST_SEAMS):
            beside = _Beside(pieces)
            loose = {one: words for one in fresh if (words := [*beside.loose_ends(one, sought)])}
            if not loose:
                break
            fresh = {one for one in self._continuing(sought, loose, most) if one not in pieces and beside.adjoin(one)}
            pieces = pieces | fresh
        return pieces

    def _continuing(self, sought: _Phrase, loose: Mapping[_Piece, Sequence[str]], most: int | None) -> Iterator[_Piece]:
        """The pieces that hold the words at the loose ends, anywhere in the videos of the loose pieces."""
        words = sorted({word for ends in loose.values() for word in ends})
        video_ids = sorted({one.record.video_id for one in loose})
        for start in range(0, len(video_ids), MAX_IDS_PASSED):
            for record in self._containing(words, video_ids[start : start + MAX_IDS_PASSED], most):
                yield from sought.pieces(record)

    def _containing(
        self, words: Sequence[str], video_ids: Collection[str] | None, most: int | None
    ) -> Sequence[Record]:
        modalities = self.modalities & SEAMED
        return self.store.containing("text", words, most, video_ids=video_ids, modalities=modalities, vectors=False)


@dataclass(frozen=True, slots=True)
class _Piece:
    """What one record holds of a phrase: its letters from ``start`` up to ``end``."""

    record_id: str
    start: int
    end: int
    record: Record = field(compare=False)

    @property
    def place(self) -> tuple[str, ModalityName]:
        return self.record.video_id, self.record.modality

    def continues(self, other: _Piece) -> bool:
        """Whether the piece goes on where another in the same place ends, in the phrase and in time."""
        gap_s = self.record.start_s - other.record.end_s
        in_order = other.record.start_s <= self.record.start_s and other.record_id != self.record_id
        return self.start == other.end and in_order and gap_s <= LONGEST_GAPS_S[self.record.modality] + JITTER_S


@dataclass(frozen=True)
class _Phrase:
    """The letters of a phrase, and the ``breaks`` between words where it may be cut, from 0 to the last letter."""

    letters: str
    breaks: Sequence[int]

    def lookups(self, most: int | None) -> Iterator[tuple[Sequence[str], int | None]]:
        """What to look up, and how many records of it to read at most; the first that has no more is enough."""
        if self.longest_word:
            yield (self.longest_word,), _FEW_RECORDS if self.parts and most is not None else most
        if self.parts:
            yield self.parts, most

    @cached_property
    def longest_word(self) -> str:
        """The longest word that says something; "" if none does, or if the phrase is a single word."""
        words = [self.letters[start:end] for start, end in pairwise(self.breaks)]
        telling = [word for word in words if word not in FUNCTION_WORDS and worth(word) >= _LEAST_WORD]
        return max(telling, key=lambda word: (worth(word), word), default="") if len(words) > 1 else ""

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """Some parts of about the same length that are rare enough; none if there would be fewer than two."""
        count = min(worth(self.letters) // _PART_WORTH, _MOST_PARTS)
        if not self.longest_word and worth(self.letters) >= _PART_WORTH:
            count = max(count, 2)
        ideal = [len(self.letters) * part / count for part in range(1, count)]
        cuts = sorted({0, len(self.letters), *(min(self.breaks, key=lambda cut: abs(cut - place)) for place in ideal)})
        return tuple(self.letters[start:end] for start, end in pairwise(cuts)) if len(cuts) > 2 else ()

    def before(self, place: int) -> str:
        """The last words before a place."""
        starts = reversed(self.breaks[: bisect_left(self.breaks, place)])
        return _first_long((self.letters[start:place] for start in starts), self.letters[:place])

    def after(self, place: int) -> str:
        """The first words from a place on."""
        ends = self.breaks[bisect_right(self.breaks, place) :]
        return _first_long((self.letters[place:end] for end in ends), self.letters[place:])

    def pieces(self, record: Record) -> Iterator[_Piece]:
        """Everything that a record can be of the phrase: its beginning, its end, or a middle of it."""
        letters = squeezed(record.text)
        ranges = list(self._ranges(letters))
        breaks = squeeze(record.text).breaks if ranges else frozenset()
        for start, end in ranges:
            begins = len(letters) - end if start == 0 else 0
            if breaks.issuperset((begins, begins + end - start)):
                yield _Piece(record.id, start, end, record)

    def _ranges(self, letters: str) -> Iterator[tuple[int, int]]:
        """Which letters of the phrase these can be, word boundaries aside."""
        length, inner = len(self.letters), self.breaks[1:-1]
        if letters.endswith(self._beginnings):
            yield from ((0, cut) for cut in inner if letters.endswith(self.letters[:cut]))
        if letters.startswith(self._endings):
            yield from ((cut, length) for cut in inner if letters.startswith(self.letters[cut:]))
        if letters and letters in self.letters:
            yield from (
                (start, start + len(letters))
                for start in inner
                if start + len(letters) in inner and self.letters.startswith(letters, start)
            )

    @cached_property
    def _beginnings(self) -> tuple[str, ...]:
        return tuple(self.letters[:cut] for cut in self.breaks[1:-1])

    @cached_property
    def _endings(self) -> tuple[str, ...]:
        return tuple(self.letters[cut:] for cut in self.breaks[1:-1])


class _Beside:
    """Pieces by their place, to look up which of them another one continues, or is continued by."""

    def __init__(self, pieces: Iterable[_Piece]) -> None:
        self._starting: dict[tuple[object, int], list[_Piece]] = defaultdict(list)
        self._ending: dict[tuple[object, int], list[_Piece]] = defaultdict(list)
        for one in pieces:
            self._starting[one.place, one.start].append(one)
            self._ending[one.place, one.end].append(one)

    def after(self, piece: _Piece) -> list[_Piece]:
        """Those that continue a piece, the nearest in time first."""
        found = [one for one in self._starting.get((piece.place, piece.end), ()) if one.continues(piece)]
        return sorted(found, key=lambda one: (one.record.start_s, one.record_id))

    def adjoin(self, piece: _Piece) -> bool:
        """Whether a piece continues one of them or is continued by one."""
        return self._has_before(piece) or bool(self.after(piece))

    def loose_ends(self, piece: _Piece, sought: _Phrase) -> Iterator[str]:
        """The words of the phrase next to a piece, on the sides where no other piece is."""
        if piece.start > 0 and not self._has_before(piece):
            yield sought.before(piece.start)
        if piece.end < len(sought.letters) and not self.after(piece):
            yield sought.after(piece.end)

    def _has_before(self, piece: _Piece) -> bool:
        return any(piece.continues(one) for one in self._ending.get((piece.place, piece.start), ()))


def _first_long(growing: Iterable[str], longest: str) -> str:
    return next((letters for letters in growing if worth(letters) >= _BESIDE_WORTH), longest)


def _chains(pieces: Collection[_Piece], sought: _Phrase) -> Iterator[tuple[_Piece, ...]]:
    """For every piece that the phrase begins in, the pieces up to its end, if there are such."""
    beside = _Beside(pieces)
    chains: dict[_Piece, tuple[_Piece, ...]] = {}
    for one in sorted(pieces, key=lambda piece: (-piece.start, piece.record_id)):
        if one.end == len(sought.letters):
            chains[one] = (one,)
        elif complete := [after for after in beside.after(one) if after in chains]:
            chains[one] = (one, *chains[complete[0]])
    for one in sorted(chains, key=lambda piece: (piece.record_id, piece.end)):
        if one.start == 0:
            yield chains[one]


def _joined(chain: Sequence[_Piece], phrase: str) -> Joined:
    first, last = chain[0], chain[-1]
    opening = _spoken(first.record)[-first.end :]
    closing = _spoken(last.record)[: last.end - last.start]
    start_s = opening[0].start_s if opening else first.record.start_s
    end_s = max(closing[-1].end_s if closing else last.record.end_s, start_s)
    return Joined(tuple(one.record for one in chain), phrase, start_s, end_s)


def _spoken(record: Record) -> Sequence[Cue]:
    """For each letter of a text the word it belongs to, with its times; empty unless all are known."""
    speaking = [word for word in record.words for _ in squeezed(word.text)]
    return speaking if len(speaking) == len(squeezed(record.text)) else ()
