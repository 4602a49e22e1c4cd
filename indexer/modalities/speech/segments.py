"""From what a recogniser hears to pieces of text that can be embedded: sentences of 5 to 20 seconds.

Segments end where a sentence ends or the speaker pauses. Both can be missing (a small recogniser knows no full stops,
a hurried speaker no pauses): then a segment is cut at its longest pause before it grows too long.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from indexer.core.text import clean
from indexer.core.types import Cue, Segment
from indexer.models.base import Utterance

__all__ = ["LONGEST_S", "PAUSE_S", "SHORTEST_S", "SILENCE_S", "SpeechTally", "speech_segments"]

SHORTEST_S, LONGEST_S = 5.0, 20.0
"""How long a segment is, in seconds; what stands alone may be shorter."""
PAUSE_S = 0.5
"""A pause at which a segment may end, in seconds."""
SILENCE_S = 2.0
"""No segment reaches over a longer pause than this, in seconds."""

_SENTENCE_ENDS = (".", "?", "!", "…", "。", "？", "！", "।", "؟")
_CLAUSE_ENDS = (",", ";", ":", "–", "—", "、", "，", "；", "：", "،")
_CLOSING = "\"'”’»)]）」』"
# A comma draws a cut like a pause that is longer by this.
_COMMA_S = 0.2


def speech_segments(video_id: str, utterances: Iterable[Utterance]) -> Iterator[Segment]:
    """Merge and split utterances into segments of kind ``speech``, in time order, each as soon as it is known.

    Every word comes once and in order. An utterance without words of its own is cut as if it were spoken evenly, and
    its text has no part in a segment's ``words``.

    Args:
        video_id: The video's.
        utterances: In time order; pulled as they are needed, and memory does not grow with their number.

    Yields:
        Segments of at most ``LONGEST_S`` seconds, each from the start of its first word to the end of its last.
    """
    gathering = _Gathering()
    for utterance in utterances:
        for unit in _units(utterance):
            yield from (_segment(video_id, units) for units in gathering.add(unit))
    yield from (_segment(video_id, units) for units in gathering.close())


class SpeechTally:
    """What a stream of utterances says about the whole: for how long somebody speaks, and in which language."""

    def __init__(self) -> None:
        self._spoken_s = 0.0
        self._heard_until_s = 0.0
        self._spoken_in: dict[str, float] = {}

    def counting(self, utterances: Iterable[Utterance]) -> Iterator[Utterance]:
        """The utterances, unchanged, counted as they pass."""
        for utterance in utterances:
            self._count(utterance)
            yield utterance

    def _count(self, utterance: Utterance) -> None:
        new_s = max(0.0, utterance.end_s - max(utterance.start_s, self._heard_until_s))
        self._heard_until_s = max(self._heard_until_s, utterance.end_s)
        self._spoken_s += new_s
        if utterance.language:
            self._spoken_in[utterance.language] = self._spoken_in.get(utterance.language, 0.0) + new_s

    @property
    def spoken_s(self) -> float:
        """In seconds; what is said at the same time counts once."""
        return self._spoken_s

    @property
    def language(self) -> str:
        """The language spoken for the longest time, an ISO 639-1 code; empty where none is known."""
        return max(self._spoken_in, key=lambda language: self._spoken_in[language], default="")


@dataclass(frozen=True, slots=True)
class _Unit:
    """A word with what stands between it and the next one; ``cue`` is None where its times are a guess."""

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


class _Gathering:
    """The words not yet given out: a piece that is long enough, and what has come since.

    The piece waits, because what has come since may be too short to stand alone and joins it then.
    """

    def __init__(self) -> None:
        self._piece: list[_Unit] = []
        self._since: list[_Unit] = []

    def add(self, unit: _Unit) -> Iterator[list[_Unit]]:
        """The pieces that one more word completes."""
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
        """What is left, before a silence or the end."""
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
        return self._since[-1].ends_sentence or _pause_s(self._since[-1], unit) >= PAUSE_S


def _some(units: list[_Unit]) -> Iterator[list[_Unit]]:
    if units:
        yield units


def _best_cut(units: Sequence[_Unit]) -> int:
    """Before which unit to cut: at the longest pause of those that leave neither side's rules broken, late if equal.

    The units without the last one are short enough, so there is always such a place.
    """

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
    """The words of an utterance; each takes along the text up to the next one, so that all text has its place."""
    text = clean(utterance.text)
    cues = [_short(Cue(cue.start_s, cue.end_s, cleaned)) for cue in utterance.words if (cleaned := clean(cue.text))]
    if not cues:
        return [_Unit(cue.start_s, cue.end_s, f"{cue.text} ", None) for cue in _spoken_evenly(utterance, text)]
    pieces = _pieces(text, [cue.text for cue in cues])
    return [_Unit(cue.start_s, cue.end_s, piece, cue) for cue, piece in zip(cues, pieces, strict=True)]


def _pieces(text: str, words: Sequence[str]) -> list[str]:
    """The text cut before every word but the first; the words alone where they are not those of the text."""
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
    """A single word that lasts longer than a segment may is a recogniser's mistake."""
    return cue if cue.end_s - cue.start_s <= LONGEST_S else Cue(cue.start_s, cue.start_s + LONGEST_S, cue.text)
