"""Folds texts for comparison: without case and accents, and optionally without all but letters.

A *squeezed* text consists of its folded letters and digits only. So a phrase is found by plain comparison, also where
OCR has lost spaces ("withour passion") or the script has none. ``squeeze`` also keeps the place of each letter and the
breaks between words. Done by hand, because no library keeps these places.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

# Letters whose stroke or missing dot is no accent in Unicode.
_STROKED = str.maketrans("łøđħŧı", "lodhti")
_VOICED_MARKS = "\u3099\u309a"  # "ga" and "ka" are two letters, not one with an accent
# Signs within a word: apostrophes, soft hyphens, joiners.
_JOINERS = frozenset("'’ʼ`´\u00ad\u200b\u200c\u200d\u2060\ufeff")
_NO_LETTERS = re.compile(r"[^a-z0-9]+")
_ASCII_WORD = re.compile(r"[A-Za-z0-9](?:['`]*[A-Za-z0-9])*")
# Scripts that write words without spaces: Thai to Khmer, kana, ideographs.
_SPACELESS = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff]"
)


@dataclass(frozen=True, slots=True)
class SqueezedText:
    """A text's letters and their places.

    Args:
        text: The original text.
        letters: Its folded letters and digits, nothing else.
        places: For each letter the half-open range of ``text`` that it comes from.
        breaks: The positions between letters, from 0 to ``len(letters)``, at which a word may begin or end.
    """

    text: str
    letters: str
    places: tuple[tuple[int, int], ...]
    breaks: frozenset[int]

    def written(self, start: int, end: int) -> str:
        """The original text of the letters from ``start`` up to ``end``."""
        return self.text[self.places[start][0] : self.places[end - 1][1]]


def clean(text: str) -> str:
    """The text as one valid line for models and the database; undecodable bytes become "�"."""
    whole = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return " ".join(whole.replace("\0", " ").split())


def fold(text: str) -> str:
    """The text without case and accents: "Élan" becomes "elan"."""
    spelled = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold()).casefold()
    plain = "".join(
        sign for sign in spelled.translate(_STROKED) if not unicodedata.combining(sign) or sign in _VOICED_MARKS
    )
    return unicodedata.normalize("NFC", plain).strip()


def squeezed(text: str) -> str:
    """Only the folded letters and digits of a text; squeezing twice changes nothing."""
    if text.isascii():
        return _NO_LETTERS.sub("", text.lower())
    return "".join(_letters(text[start:end]) for start, end in _signs(text))


def squeeze(text: str) -> SqueezedText:
    """The letters of ``squeezed`` with their places and the breaks between words."""
    return _squeeze_ascii(text) if text.isascii() else _squeeze_any(text)


def is_spaceless(letter: str) -> bool:
    """Whether a letter's script puts no spaces between words."""
    return _SPACELESS.match(letter) is not None


def _squeeze_ascii(text: str) -> SqueezedText:
    """About ten times as fast as ``_squeeze_any``; most of the time of a search by words is spent here."""
    places: list[tuple[int, int]] = []
    breaks = {0}
    words = []
    for word in _ASCII_WORD.finditer(text):
        inner = [place for place in range(word.start(), word.end()) if text[place].isalnum()]
        places += [(place, place + 1) for place in inner]
        breaks.add(len(places))
        words.append(word[0])
    return SqueezedText(text, squeezed("".join(words)), tuple(places), frozenset(breaks))


def _squeeze_any(text: str) -> SqueezedText:
    letters: list[str] = []
    places: list[tuple[int, int]] = []
    breaks = {0}
    apart = False
    for start, end in _signs(text):
        found = _letters(text[start:end])
        if found and (apart or is_spaceless(found[0]) or (letters and is_spaceless(letters[-1]))):
            breaks.add(len(letters))
        apart = not found and (apart or text[start] not in _JOINERS)
        letters += found
        places += [(start, end)] * len(found)
    return SqueezedText(text, "".join(letters), tuple(places), frozenset(breaks | {len(letters)}))


def _signs(text: str) -> Iterator[tuple[int, int]]:
    """The ranges of a text that are one letter with its accents."""
    start = 0
    for place in range(1, len(text) + 1):
        if place == len(text) or not _is_attached(text[place]):
            yield start, place
            start = place


def _is_attached(sign: str) -> bool:
    """Whether a sign belongs to the previous one: an accent, or a later part of a Korean syllable."""
    return not sign.isascii() and (unicodedata.combining(sign) != 0 or "\u1160" <= sign <= "\u11ff")


@lru_cache(maxsize=8192)
def _letters(sign: str) -> str:
    return "".join(letter for letter in fold(sign) if _is_letter(letter))


def _is_letter(sign: str) -> bool:
    """Letters, digits and the vowel signs of Indian scripts; no punctuation, symbols or invisible selectors."""
    kind = unicodedata.category(sign)
    invisible = "\ufe00" <= sign <= "\ufe0f" or "\U000e0100" <= sign <= "\U000e01ef" or sign in "\u034fʼ"
    return (kind[0] in "LN" or kind in ("Mc", "Mn")) and not invisible
