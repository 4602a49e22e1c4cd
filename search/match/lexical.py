"""Matching words as they are written, besides matching meanings.

Cosines between sentences are poor at names, numbers and exact wording, so the words of the texts are a second kind of
evidence. The idea is BM25's (Robertson and Zaragoza, 2009: rare words count more), without its length normalisation,
since records are sentences of similar length, and without a second index: the store's own full-text index gives the
candidates, and looking up a word tells how often it occurs.

A record's **lexical score** is 1 if it holds the whole query as a phrase. Otherwise it is below 1: nearly the share of
the query's words that it holds, each weighted by its rarity, function words ("the", "to be") by a tenth of that, and a
little more if several stand together in order. A query of function words alone counts as a phrase or not at all.

Words are letters and digits between spaces and punctuation, without case, accents and apostrophes. A word of at least
four letters counts half if it is found within a longer one ("onion" in "onions"). In scripts without spaces a word is
any two neighbouring letters. Text recognition loses spaces, so in its texts a phrase may begin and end within what
looks like one word ("withour passion" holds "our passion").
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, pairwise

from indexer.core.text import SqueezedText, is_spaceless, squeeze, squeezed
from indexer.core.types import Cue, ModalityName

FUNCTION_WORDS = frozenset(
    """
    a about after all also am an and any are as at be because been but by can could did do does for from had has
    have he her hers him his how i if im in into is it its just let may me might mine more most must my no nor not
    of off on or our ours out over own shall she should so some such than that thats the their them then there these
    they this those to too under up upon us very was we were what when where which while who whom whose why will
    with would you your yours
    """.split()  # noqa: SIM905
)
"""English words that say little by themselves; those of other languages are recognised by how common they are."""

_GRAMMAR_SHARE = 0.1
_WITHIN_SHARE = 0.5
_LEAST_WITHIN = 4
_LEAST_RUN_TOGETHER = 5
_IDEOGRAPH_WORTH = 3
_MOST_WORDS = 32
_ENOUGH_LETTERS = 12
_BAG, _ORDER = 0.9, 0.09  # their sum lies below the 1 of a whole phrase


@dataclass(frozen=True)
class Wording:
    """A query as words to find: all its letters as one ``phrase``, and its first 32 ``words``, squeezed."""

    phrase: str
    words: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Wording:
        """The wording of a text; empty for one without letters and digits."""
        seen = squeeze(text)
        return cls(seen.letters, tuple(islice(_words(seen), _MOST_WORDS)))

    @cached_property
    def telling(self) -> tuple[str, ...]:
        """The distinct words that say something, the longest first."""
        distinct = dict.fromkeys(word for word in self.words if word not in FUNCTION_WORDS)
        return tuple(sorted(distinct, key=lambda word: (-worth(word), word)))

    @property
    def distinctness(self) -> float:
        """How unlikely the wording is found by accident, in [0, 1]: low for "man", 1 from a dozen letters on."""
        return min(1.0, worth(self.phrase) / _ENOUGH_LETTERS)


@dataclass(frozen=True, slots=True)
class LexicalMatch:
    """The words of a query that a text holds.

    ``score`` is in (0, 1], 1 for the whole phrase. ``matched`` are the words found, or the phrase, as they stand in the
    text. ``sequence`` are those that stand together there, squeezed, and ``sequence_share`` in [0, 1] their share of
    the query.
    """

    score: float
    matched: tuple[str, ...]
    sequence: str = ""
    sequence_share: float = 0.0


@dataclass(frozen=True)
class WordScorer:
    """Scores texts for one wording; ``found`` says how many of so many ``records`` hold each telling word."""

    wording: Wording
    found: Mapping[str, int]
    records: int

    def match(self, text: str, modality: ModalityName) -> LexicalMatch | None:
        """The words of the query that a text holds, None if only function words."""
        seen = squeeze(text)
        return _match_squeezed(seen, self.wording.phrase, modality) or self._match_words(seen)

    def rarity(self, word: str) -> float:
        """The weight of a word of the query, more than 0."""
        known = self.found.get(word, 0) if word not in FUNCTION_WORDS else self.records
        share = _GRAMMAR_SHARE if word in FUNCTION_WORDS else 1.0
        return share * math.log(1 + max(self.records, known, 1) / max(known, 0.5))

    def _match_words(self, seen: SqueezedText) -> LexicalMatch | None:
        places = {word: _find_word(seen, word) for word in dict.fromkeys(self.wording.words)}
        if not any(place for word, place in places.items() if word not in FUNCTION_WORDS):
            return None
        weight = sum(self.rarity(word) for word in places)
        share = sum(self.rarity(word) * place.quality for word, place in places.items() if place) / weight
        spans = sorted({(place.start, place.end) for place in places.values() if place})
        matched = dict.fromkeys(seen.written(*span) for span in spans)
        sequence = self._sequence(seen, [place is not None for place in map(places.get, self.wording.words)])
        order = sum(self.rarity(word) for word in set(sequence)) / weight if len(sequence) > 1 else 0.0
        return LexicalMatch(_BAG * share + _ORDER * order, tuple(matched), "".join(sequence), order)

    def _sequence(self, seen: SqueezedText, is_found: Sequence[bool]) -> Sequence[str]:
        """The words of the query of most weight that stand together in the text in the query's order."""
        words = self.wording.words
        runs = [
            words[start:end]
            for start, end in _stretches(is_found)
            if _find_phrase(seen, "".join(words[start:end])) is not None
        ]
        return max(runs, key=lambda run: sum(map(self.rarity, set(run))), default=())


def _find_phrase(seen: SqueezedText, phrase: str, *, run_together: bool = False) -> tuple[int, int] | None:
    """The half-open range of letters at which a squeezed phrase stands, None if it does not.

    With ``run_together``, a phrase of some length may begin and end within words.
    """
    tolerant = run_together and worth(phrase) >= _LEAST_RUN_TOGETHER
    places = [(start, start + len(phrase)) for start in _occurrences(seen.letters, phrase)]
    aligned = (place for place in places if seen.breaks.issuperset(place))
    return next(aligned, places[0] if places and tolerant else None)


def match_phrase(text: str, phrase: str, modality: ModalityName | None = None) -> LexicalMatch | None:
    """The phrase as it stands in a text, in whole words (see the module's docstring for recognised text)."""
    return _match_squeezed(squeeze(text), squeezed(phrase), modality)


def spoken_span(words: Sequence[Cue], sequence: str) -> tuple[float, float] | None:
    """The start and end of a squeezed sequence of words in seconds; None if these words do not hold it."""
    seen = squeeze(" ".join(word.text for word in words))
    place = _find_phrase(seen, sequence) if sequence else None
    if place is None:
        return None
    speaking = [number for number, word in enumerate(words) for _ in squeezed(word.text)]
    first, last = words[speaking[place[0]]], words[speaking[place[1] - 1]]
    return first.start_s, max(first.end_s, last.end_s)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a word was found, and how well it matches, in (0, 1]."""

    start: int
    end: int
    quality: float


def _find_word(seen: SqueezedText, word: str) -> _Place | None:
    whole = _find_phrase(seen, word)
    if whole is not None:
        return _Place(*whole, 1.0)
    within = seen.letters.find(word) if worth(word) >= _LEAST_WITHIN else -1
    return _Place(within, within + len(word), _WITHIN_SHARE) if within >= 0 else None


def _match_squeezed(seen: SqueezedText, phrase: str, modality: ModalityName | None) -> LexicalMatch | None:
    place = _find_phrase(seen, phrase, run_together=modality == "ocr")
    return LexicalMatch(1.0, (seen.written(*place),), phrase, 1.0) if place is not None else None


def _words(seen: SqueezedText) -> Iterator[str]:
    """The words between the breaks; in scripts without spaces, every two neighbouring letters."""
    ends = sorted(seen.breaks)
    pieces = [seen.letters[start:end] for start, end in pairwise(ends)]
    lone = [len(piece) == 1 and is_spaceless(piece) for piece in pieces]
    for place, piece in enumerate(pieces):
        follows = place > 0 and lone[place - 1]
        if not lone[place]:
            yield piece
        elif place + 1 < len(pieces) and lone[place + 1]:
            yield piece + pieces[place + 1]
        elif not follows:
            yield piece


def _stretches(is_found: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """Every range of at least two neighbouring words that were all found."""
    for start in range(len(is_found)):
        for end in range(start + 1, len(is_found) + 1):
            if not is_found[end - 1]:
                break
            if end - start > 1:
                yield start, end


def _occurrences(letters: str, phrase: str) -> Iterator[int]:
    place = letters.find(phrase) if phrase else -1
    while place >= 0:
        yield place
        place = letters.find(phrase, place + 1)


def worth(letters: str) -> int:
    """How many letters of an alphabet these are worth: an ideograph or a Korean syllable counts as three."""
    return sum(_IDEOGRAPH_WORTH if is_spaceless(letter) or "\uac00" <= letter <= "\ud7a3" else 1 for letter in letters)
