"""Turns recognised speech into segments of 5 to 20 seconds that can be embedded.

Segments end where a sentence ends or the speaker pauses. If neither happens (small recognisers write no full stops), a
segment is cut at its longest pause before it grows too long.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from indexer.core.text import clean
from indexer.core.types import Cue, Segment
from indexer.models.base import Utterance

SHORTEST_S, LONGEST_S = 5.0, 20.0
"""The length of a segment, in seconds; speech between two silences may be shorter."""
SILENCE_S = 2.0
"""The longest pause within a segment, in seconds."""

# The shortest pause at which a segment may end.
_PAUSE_S = 0.5

_SENTENCE_ENDS = (".", "?", "!", "…", "。", "？", "！", "।", "؟")
_CLAUSE_ENDS = (",", ";", ":", "–", "—", "、", "，", "；", "：", "،")
_CLOSING = "\"'”’»)]）」』"
# A comma counts as this much more pause.
_COMMA_S = 0.2


def speech_segments(video_id: str, utterances: Iterable[Utterance]) -> Iterator[Segment]:
    """Merge and split utterances in time order into segments of kind ``speech`` in time order.

    Every word comes once and in order. An utterance without timed words is cut as if it were spoken evenly, and its
    words are not in ``Segment.words``. Memory does not grow with the number of utterances.

    Yields:
        Segments of at most ``LONGEST_S`` seconds, each from the start of its first word to the end of its last.
    """
    builder = _SegmentBuilder()
    for utterance in utterances:
        for unit in _units(utterance):
            yield from (_segment(video_id, units) for units in builder.add(unit))
    yield from (_segment(video_id, units) for units in builder.close())


class SpeechTally:
    """Sums up a stream of utterances.

    Attributes:
        spoken_s: Seconds of speech; simultaneous speech counts once.
    """

    def __init__(self) -> None:
        self.spoken_s = 0.0
        self._counted_until_s = 0.0
        self._spoken_in: dict[str, float] = {}

    def counting(self, utterances: Iterable[Utterance]) -> Iterator[Utterance]:
        """The utterances, unchanged, counted as they pass."""
        for utterance in utterances:
            self._count(utterance)
            yield utterance

    def _count(self, utterance: Utterance) -> None:
        new_s = max(0.0, utterance.end_s - max(utterance.start_s, self._counted_until_s))
        self._counted_until_s = max(self._counted_until_s, utterance.end_s)
        self.spoken_s += new_s
        if utterance.language:
            self._spoken_in[utterance.language] = self._spoken_in.get(utterance.language, 0.0) + new_s

    @property
    def language(self) -> str:
        """The language spoken for the longest time, an ISO 639-1 code; empty if unknown."""
        return max(self._spoken_in, key=lambda language: self._spoken_in[language], default="")


@dataclass(frozen=True, slots=True)
class _Unit:
    """A word with the text up to the next one; ``cue`` is None if its times are estimated."""

    start_s: float
    end_s: float
    text: str
    cue: Cue | None

    @property
    def ends_sentence(self) -> bool:
        return self.text.rstrip(_CLOSING + " ").endswith(_SENTENCE_ENDS)

    @property
    def ends_clause(self) -> bool:
        return self.text.rstrip(_CLOSING + " ").endswith(_CLAUSE_ENDS)


class _SegmentBuilder:
    """Gathers words: a piece that is long enough, and the words since.

    The piece is held back because the words since may be too short for a segment and then join it.
    """

    def __init__(self) -> None:
        self._piece: list[_Unit] = []
        self._since: list[_Unit] = []

    def add(self, unit: _Unit) -> Iterator[list[_Unit]]:
        """The pieces that the next word completes."""
        if self._since and _pause_s(self._since[-1], unit) > SILENCE_S:
            yield from self.close()
        if self._may_end_before(unit):
            yield from _some(self._piece)
            self._piece, self._since = self._since, []
        self._since.append(unit)
        if _span_s([*self._piece, *self._since]) > LONGEST_S:
            yield from _some(self._piece)
            self._piece = []
        while len(self._since) > 1 and _span_s(self._since) > LONGEST_S:
            cut = _best_cut(self._since)
            yield self._since[:cut]
            del self._since[:cut]

    def close(self) -> Iterator[list[_Unit]]:
        """The remaining pieces, before a silence or the end."""
        whole = [*self._piece, *self._since]
        if _span_s(self._since) < SHORTEST_S and _span_s(whole) <= LONGEST_S:
            yield from _some(whole)
        else:
            yield from _some(self._piece)
            yield from _some(self._since)
        self._piece, self._since = [], []

    def _may_end_before(self, unit: _Unit) -> bool:
        if not self._since or _span_s(self._since) < SHORTEST_S:
            return False
        return self._since[-1].ends_sentence or _pause_s(self._since[-1], unit) >= _PAUSE_S


def _some(units: list[_Unit]) -> Iterator[list[_Unit]]:
    if units:
        yield units


def _best_cut(units: Sequence[_Unit]) -> int:
    """The unit to cut before: at the longest pause, if possible with a long enough first part; the last of equals."""

    def worth(index: int) -> tuple[bool, float, int]:
        before, after = units[index - 1], units[index]
        pause_s = _pause_s(before, after) + (_COMMA_S if before.ends_clause or before.ends_sentence else 0.0)
        return _span_s(units[:index]) >= SHORTEST_S, round(pause_s, 3), index

    return max(range(1, len(units)), key=worth)


def _pause_s(before: _Unit, after: _Unit) -> float:
    return after.start_s - before.end_s


def _span_s(units: Sequence[_Unit]) -> float:
    return _end_s(units) - units[0].start_s if units else 0.0


def _end_s(units: Sequence[_Unit]) -> float:
    return max(unit.end_s for unit in units)


def _segment(video_id: str, units: Sequence[_Unit]) -> Segment:
    words = tuple(unit.cue for unit in units if unit.cue is not None)
    text = clean("".join(unit.text for unit in units))
    return Segment(video_id, units[0].start_s, _end_s(units), text, "speech", words=words)


def _units(utterance: Utterance) -> list[_Unit]:
    """The words of an utterance, each with the text up to the next one, so that no text is lost."""
    text = clean(utterance.text)
    cues = [_short(Cue(cue.start_s, cue.end_s, cleaned)) for cue in utterance.words if (cleaned := clean(cue.text))]
    if not cues:
        return [_Unit(cue.start_s, cue.end_s, f"{cue.text} ", None) for cue in _spoken_evenly(utterance, text)]
    pieces = _pieces(text, [cue.text for cue in cues])
    return [_Unit(cue.start_s, cue.end_s, piece, cue) for cue, piece in zip(cues, pieces, strict=True)]


def _pieces(text: str, words: Sequence[str]) -> list[str]:
    """The text cut before each word but the first; the words alone if the text does not contain them."""
    starts, position = [], 0
    for word in words:
        found = text.find(word, position)
        if found < 0:
            return [f"{word} " for word in words]
        starts.append(found)
        position = found + len(word)
    text += " "
    return [text[start:end] for start, end in pairwise([0, *starts[1:], len(text)])]


def _spoken_evenly(utterance: Utterance, text: str) -> Iterator[Cue]:
    words = text.split()
    letters = sum(map(len, words))
    start_s, said = utterance.start_s, 0
    for word in words:
        said += len(word)
        end_s = utterance.start_s + (utterance.end_s - utterance.start_s) * said / letters
        yield _short(Cue(start_s, end_s, word))
        start_s = end_s


def _short(cue: Cue) -> Cue:
    """Shorten a word that lasts longer than a segment may: a recogniser's mistake."""
    return cue if cue.end_s - cue.start_s <= LONGEST_S else Cue(cue.start_s, cue.start_s + LONGEST_S, cue.text)
