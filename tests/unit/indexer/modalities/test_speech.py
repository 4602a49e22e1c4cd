"""Utterances become segments of 5 to 20 seconds; nothing that was said is lost."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.core.types import Cue, Segment
from indexer.modalities.speech.segments import LONGEST_S, SHORTEST_S, SILENCE_S, SpeechTally, speech_segments
from indexer.models.base import Utterance


def say(text: str, start_s: float, *, word_s: float = 0.5, gap_s: float = 0.0, language: str = "en") -> Utterance:
    """Words of one length, one after the other."""
    step_s = word_s + gap_s
    words = tuple(
        Cue(start_s + index * step_s, start_s + index * step_s + word_s, word)
        for index, word in enumerate(text.split())
    )
    return Utterance(start_s, words[-1].end_s, text, words, language)


def texts(*utterances: Utterance) -> list[str]:
    return [segment.text for segment in speech_segments("v", utterances)]


def test_a_short_utterance_that_stands_alone_stays_short() -> None:
    (segment,) = speech_segments("v", [say("Hello there.", 7.0)])
    assert segment == Segment(
        "v", 7.0, 8.0, "Hello there.", "speech", (Cue(7.0, 7.5, "Hello"), Cue(7.5, 8.0, "there."))
    )


def test_short_utterances_are_joined_until_five_seconds() -> None:
    # Each sentence lasts 2 s, so three of them are the first that last 5.
    said = [say(f"This is sentence {number}.", 2.0 * number) for number in range(6)]
    assert texts(*said) == [
        "This is sentence 0. This is sentence 1. This is sentence 2.",
        "This is sentence 3. This is sentence 4. This is sentence 5.",
    ]


def test_what_is_left_joins_what_came_before() -> None:
    said = [say(f"This is sentence {number}.", 2.0 * number) for number in range(4)]
    assert texts(*said) == [" ".join(utterance.text for utterance in said)]


def test_nothing_is_joined_over_a_long_pause() -> None:
    first = say("One two.", 0.0)
    assert len(texts(first, say("Three four.", first.end_s + SILENCE_S + 0.01))) == 2
    assert len(texts(first, say("Three four.", first.end_s + SILENCE_S))) == 1


def test_a_pause_ends_a_segment_where_there_is_no_full_stop() -> None:
    said = [
        say("so we went on and on and on and on", 0.0),
        say("until we were there and rested for a very long while", 5.6),
    ]
    assert texts(*said) == [utterance.text for utterance in said]


def test_a_long_utterance_is_cut_at_its_longest_pause() -> None:
    before, after = say("word " * 30, 0.0).words, say("word " * 30, 15.3).words
    whole = Utterance(0.0, 30.3, "word " * 60, (*before, *after), "en")
    assert [(one.start_s, one.end_s) for one in speech_segments("v", [whole])] == [(0.0, 15.0), (15.3, 30.3)]


def test_a_comma_is_better_than_no_pause() -> None:
    text = " ".join(["word"] * 29 + ["word,"] + ["word"] * 30)
    first, _ = texts(say(text, 0.0))
    assert first.endswith("word,")
    assert len(first.split()) == 30


def test_a_sentence_may_end_within_quotation_marks() -> None:
    said = 'Then she told all, loudly and clearly: "Stop it at once!" And nobody moved for very long after all of this.'
    first, _ = texts(say(said, 0.0))
    assert first.endswith('"Stop it at once!"')


def test_languages_without_spaces_stay_without() -> None:
    words = tuple(Cue(index, index + 1.0, character) for index, character in enumerate("今日はいい天気ですね。"))
    assert texts(Utterance(0.0, 11.0, "今日はいい天気ですね。", words, "ja")) == ["今日はいい天気ですね。"]


def test_text_between_words_is_kept() -> None:
    words = (Cue(0.0, 1.0, "well"), Cue(1.0, 2.0, "yes"))
    assert texts(Utterance(0.0, 2.0, "(well), yes...", words)) == ["(well), yes..."]


def test_words_that_are_not_in_the_text_are_the_text() -> None:
    words = (Cue(0.0, 1.0, "well"), Cue(1.0, 2.0, "yes"))
    assert texts(Utterance(0.0, 2.0, "something else", words)) == ["well yes"]


def test_text_without_words_is_cut_as_if_spoken_evenly() -> None:
    segments = list(speech_segments("v", [Utterance(0.0, 60.0, "abcde " * 60)]))
    assert " ".join(segment.text for segment in segments).split() == ["abcde"] * 60
    assert all(segment.words == () and segment.end_s - segment.start_s <= LONGEST_S for segment in segments)
    assert (segments[0].start_s, segments[-1].end_s) == (0.0, 60.0)
    # Every word takes a second, so a segment of n words lasts n seconds.
    for segment in segments:
        assert segment.end_s - segment.start_s == pytest.approx(len(segment.text.split()))


def test_a_word_that_never_ends_is_cut_off() -> None:
    (segment,) = speech_segments("v", [Utterance(3.0, 99.0, "well", (Cue(3.0, 99.0, "well"),))])
    assert (segment.start_s, segment.end_s) == (3.0, 3.0 + LONGEST_S)


def test_text_is_one_clean_line() -> None:
    words = (Cue(0, 1, " a\0b\n"), Cue(1, 2, " \n "), Cue(2, 3, "\ud800"))
    (segment,) = speech_segments("v", [Utterance(0, 3, " a\0b\n\ud800 ", words)])
    # Half a character is written in three bytes, none of which can be read.
    assert segment.text == "a b ���"
    assert [word.text for word in segment.words] == ["a b", "���"]


def test_no_words_no_segments() -> None:
    assert list(speech_segments("v", [])) == []
    assert list(speech_segments("v", [Utterance(0, 5, " \n")])) == []


def test_segments_come_while_the_utterances_are_still_coming() -> None:
    pulled = 0

    def utterances() -> Iterator[Utterance]:
        nonlocal pulled
        for number in range(1000):
            pulled += 1
            yield say("This is a sentence of four seconds, really.", 4.0 * number)

    next(speech_segments("v", utterances()))
    # Two sentences make a piece, two more the next one, and the fifth begins another.
    assert pulled == 5


@st.composite
def talks(draw: st.DrawFn, lengths: tuple[float, ...] = (0.0, 0.1, 0.3, 0.8, 6.0, 20.0)) -> list[Utterance]:
    """Utterances in order, their words in order and of the given lengths, with pauses of all kinds."""
    utterances, now_s, number = [], draw(st.floats(0, 100)), 0
    for _ in range(draw(st.integers(0, 12))):
        words = []
        for _ in range(draw(st.integers(1, 40))):
            now_s += draw(st.sampled_from([0.0, 0.0, 0.05, 0.5, 1.0, 1.99, 2.01, 30.0]))
            length_s = draw(st.sampled_from(lengths))
            words.append(Cue(now_s, now_s + length_s, f"w{number}{draw(st.sampled_from(['', '', '', ',', '.', '?']))}"))
            now_s, number = now_s + length_s, number + 1
        text = " ".join(word.text for word in words)
        utterances.append(Utterance(words[0].start_s, words[-1].end_s, text, tuple(words), "en"))
    return utterances


@given(talks())
def test_words_are_neither_lost_nor_doubled_nor_moved(utterances: list[Utterance]) -> None:
    said = [word for utterance in utterances for word in utterance.words]
    segments = list(speech_segments("v", utterances))
    heard = [word for segment in segments for word in segment.words]
    assert [word.text for word in heard] == [word.text for word in said]
    assert all(ours.start_s == theirs.start_s for ours, theirs in zip(heard, said, strict=True))
    assert " ".join(segment.text for segment in segments).split() == [word.text for word in said]


@given(talks())
def test_segments_are_in_order_and_of_a_good_length(utterances: list[Utterance]) -> None:
    segments = list(speech_segments("v", utterances))
    for segment in segments:
        assert segment.kind == "speech"
        assert segment.end_s - segment.start_s <= LONGEST_S + 1e-9
        assert segment.start_s == segment.words[0].start_s
        assert segment.end_s == max(word.end_s for word in segment.words)
        assert all(after.start_s - before.end_s <= SILENCE_S for before, after in pairwise(segment.words))
    assert all(before.end_s <= after.start_s for before, after in pairwise(segments))


@given(talks(lengths=(0.1, 0.3, 0.8)))
def test_a_short_segment_has_no_room_beside_it(utterances: list[Utterance]) -> None:
    """Two short neighbours that a short pause divides would have been joined."""
    for before, after in pairwise(speech_segments("v", utterances)):
        short = max(before.end_s - before.start_s, after.end_s - after.start_s) < SHORTEST_S
        assert not (short and after.start_s - before.end_s <= SILENCE_S)


def test_the_tally_counts_seconds_and_languages() -> None:
    tally = SpeechTally()
    said = [say("one two", 0.0), say("drei vier fünf", 10.0, language="de"), say("six", 20.0)]
    assert list(tally.counting(said)) == said
    assert tally.spoken_s == pytest.approx(1.0 + 1.5 + 0.5)
    # English and German are spoken for 1.5 s each; one more word decides.
    list(tally.counting([say("sieben", 30.0, language="de")]))
    assert tally.language == "de"


def test_the_tally_counts_what_is_said_at_once_only_once() -> None:
    tally = SpeechTally()
    list(tally.counting([Utterance(0, 10, "a"), Utterance(5, 12, "b"), Utterance(6, 8, "c")]))
    assert tally.spoken_s == 12
    assert tally.language == ""


def test_the_tally_of_nothing() -> None:
    tally = SpeechTally()
    assert list(tally.counting([])) == []
    assert (tally.spoken_s, tally.language) == (0.0, "")
