"""Queries with one known answer each, drawn from the texts that an index holds.

A query is a piece of a text: a few words within one clause that begin and end with words that say something. The
answer is the place that the text is of; pieces that a text of another place holds as well, say a refrain, are not
asked for. Texts are taken from every kind and every video in turn, so that one long film does not stand for a library.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice, pairwise
from typing import TypeVar

from indexer.core.text import SqueezedText, clean, is_spaceless, squeeze, squeezed
from indexer.core.types import ModalityName, Record
from indexer.store.base import VectorStore
from search.catalogue import Catalogue
from search.evaluate import ReportProgress, no_progress
from search.evaluate.qrels import RelevantSpan
from search.match.lexical import FUNCTION_WORDS
from search.moments import overlap_s

T = TypeVar("T")

# The kinds of text that people remember the wording of.
SOURCES: tuple[ModalityName, ...] = ("speech", "subtitle", "ocr", "description", "captions")

_CLAUSE_END = re.compile(r"[.,;:!?…—–()\[\]{}\"«»“”„|/\\•♪♫*=<>\n、。！？「」]| - ")
# No memory begins or ends with these, besides the words of grammar that searching knows.
_FILLERS = frozenset(
    """
    again always another anybody anything around away back before behind below between both down each else even ever
    every everybody everything first get gets going gone got here last like many much near never next nobody nothing
    now often once only other others per said same say says second see seen since somebody something soon still
    three today until went while without yes yet
    """.split()  # noqa: SIM905
)
_FEWEST_WORDS, _MOST_WORDS = 3, 8
_LEAST_TELLING = 2
_LEAST_LETTERS = 3
_SPACELESS_WORD = 0.5  # ideographs and the like: two of them are about a word
_ENOUGH_TEXTS = 30
_COMMON_SHARE = 0.1
_MOST_ELSEWHERE = 50
_TRIES_PER_TEXT = 3
_LOOKUPS_PER_QUERY = 20


@dataclass(frozen=True, slots=True)
class KnownItem:
    """A query and the only place that answers it; ``id``, ``source`` and ``text`` are those of a record there."""

    id: str
    query: str
    source: ModalityName
    span: RelevantSpan
    text: str

    @property
    def has_moment(self) -> bool:
        """Whether the answer is a moment and not a whole video."""
        return self.source != "description" and self.span.end_s > self.span.start_s


def draw_known_items(
    store: VectorStore,
    catalogue: Catalogue,
    sources: Sequence[ModalityName],
    *,
    count: int,
    seed: int = 0,
    progress: ReportProgress = no_progress,
) -> tuple[KnownItem, ...]:
    """At most ``count`` queries, from the sources and the videos in turn; the same seed draws the same ones."""
    draw = _Draw(store, catalogue, seed, lookups=_LOOKUPS_PER_QUERY * count)
    drawn = []
    for known in islice(_in_turn(draw.of_source(source) for source in sources), count):
        drawn.append(known)
        progress("choosing queries", len(drawn), count)
    return tuple(sorted(drawn, key=lambda known: (SOURCES.index(known.source), known.id)))


def pieces_to_remember(text: str, common: Iterable[str] = ()) -> list[str]:
    """The pieces of a text that a person might remember: 3 to 8 words of a clause, with telling ones at both ends.

    The whole text is one only where there is no other. The words of ``common``, squeezed, are not telling.
    """
    squeezed_text = squeeze(clean(text))
    little = FUNCTION_WORDS.union(_FILLERS, common)
    pieces = [piece for clause in _clauses(squeezed_text) for piece in _pieces(clause, little)]
    parts = [piece for piece in pieces if piece != (0, len(squeezed_text.letters))]
    return list(dict.fromkeys(squeezed_text.written(*piece) for piece in parts or pieces))


@dataclass(slots=True)
class _Draw:
    """Draws from one index; keeps what was drawn, and how many more texts may be looked up."""

    store: VectorStore
    catalogue: Catalogue
    seed: int
    lookups: int
    asked: set[str] = field(default_factory=set)
    texts: dict[str, list[Record]] = field(default_factory=dict)

    def of_source(self, source: ModalityName) -> Iterator[KnownItem]:
        """Queries of one source, from every video in turn."""
        states = {key: self.catalogue.commits[key].modalities.get(source) for key in self.catalogue.videos}
        videos = [key for key, state in states.items() if state is not None and state.count]
        return _in_turn(self._of_video(key, source) for key in self._shuffled(videos, source))

    def _shuffled(self, names: Iterable[str], of: str = "") -> list[str]:
        return sorted(names, key=lambda name: blake2b(f"{self.seed}/{of}/{name}".encode(), digest_size=8).digest())

    def _of_video(self, video_id: str, source: ModalityName) -> Iterator[KnownItem]:
        if video_id not in self.texts:
            self.texts[video_id] = list(self.store.records("text", video_id=video_id))
        records = {record.id: record for record in self.texts[video_id] if record.modality == source}
        common = _common_words(records.values())
        for record in (records[key] for key in self._shuffled(records)):
            if piece := self._piece(record, common):
                span = RelevantSpan(video_id, record.start_s, record.end_s)
                yield KnownItem(record.id, piece, source, span, record.text)

    def _piece(self, record: Record, common: Collection[str]) -> str:
        pieces = pieces_to_remember(record.text, common)
        for piece in self._shuffled(pieces, record.id)[:_TRIES_PER_TEXT]:
            if squeezed(piece) not in self.asked and self._is_only_there(piece, record):
                self.asked.add(squeezed(piece))
                return piece
        return ""

    def _is_only_there(self, piece: str, record: Record) -> bool:
        """Whether no text of another place holds the piece; too many lookups, and it counts as not known to be so."""
        self.lookups -= 1
        if self.lookups < 0:
            return False
        holding = self.store.containing("text", [piece], _MOST_ELSEWHERE, modalities=SOURCES, vectors=False)
        others = [other for other in holding if other.id != record.id and other.video_id in self.catalogue.videos]
        return all(other.video_id == record.video_id and overlap_s(other, record) > 0 for other in others)


def _in_turn(sequences: Iterable[Iterator[T]]) -> Iterator[T]:
    """One of each, then a second one of each, and so on."""
    waiting = deque(sequences)
    while waiting:
        sequence = waiting.popleft()
        for one in islice(sequence, 1):
            yield one
            waiting.append(sequence)


def _common_words(records: Collection[Record]) -> Collection[str]:
    """The words of a language's grammar, as far as many texts of a video show it."""
    if len(records) < _ENOUGH_TEXTS:
        return ()
    held = Counter(letters for one in records for letters in {word.letters for word in _words_of(squeeze(one.text))})
    return [letters for letters, count in held.items() if count > _COMMON_SHARE * len(records)]


@dataclass(frozen=True, slots=True)
class _Word:
    """A word's letters, and where they stand among those of the text."""

    letters: str
    start: int
    end: int

    @property
    def size(self) -> float:
        return _SPACELESS_WORD if is_spaceless(self.letters[0]) else 1.0

    def is_telling(self, little: Collection[str]) -> bool:
        """Whether it says something: no word of grammar, no number, no stray letter."""
        if is_spaceless(self.letters[0]):
            return True
        return self.letters not in little and sum(letter.isalpha() for letter in self.letters) >= _LEAST_LETTERS


def _words_of(text: SqueezedText) -> Iterator[_Word]:
    yield from (_Word(text.letters[start:end], start, end) for start, end in pairwise(sorted(text.breaks)))


def _clauses(text: SqueezedText) -> Iterator[list[_Word]]:
    """The words between one punctuation mark and the next."""
    clause: list[_Word] = []
    for word in _words_of(text):
        if clause and _CLAUSE_END.search(text.text, text.places[word.start - 1][1], text.places[word.start][0]):
            yield clause
            clause = []
        clause.append(word)
    if clause:
        yield clause


def _pieces(clause: Sequence[_Word], little: Collection[str]) -> Iterator[tuple[int, int]]:
    """The ranges of letters of all pieces of a clause that are short, long and telling enough."""
    for first, word in enumerate(clause):
        length = telling = 0.0
        for last in clause[first:] if word.is_telling(little) else ():
            length += last.size
            if length > _MOST_WORDS:
                break
            if last.is_telling(little):
                telling += last.size
                if length >= _FEWEST_WORDS and telling >= _LEAST_TELLING:
                    yield word.start, last.end
