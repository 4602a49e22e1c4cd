"""Queries with one known answer: which pieces of a text are asked for, and of which texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.core.text import squeezed
from indexer.core.types import ModalityName
from indexer.store.memory import MemoryStore
from search.catalogue import Catalogue
from search.evaluate.self_test_queries import SOURCES, KnownItem, draw_known_items, pieces_to_remember
from search.match.lexical import FUNCTION_WORDS, Wording
from tests.unit.search.library import put, record, video

WORDS = ("lion", "zebra", "giraffe", "camel", "ostrich", "badger", "heron", "walrus", "beetle", "donkey", "falcon")


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("blue birds sing songs", ["blue birds sing", "birds sing songs"]),
        # The whole text only where there is no other piece, and never fewer than three words.
        ("Big Buck Bunny", ["Big Buck Bunny"]),
        ("EXIT ONLY", []),
        ("", []),
        # No word of grammar, no filler, no number at either end.
        ("The ferry left us in the fog again", ["ferry left us in the fog", "left us in the fog"]),
        ("to be or not to be", []),
        ("12 golden 34 eagles 56", ["golden 34 eagles"]),
        # Nothing across punctuation.
        ("My fellow Americans, ask not what your country does", ["ask not what your country"]),
        ("l'amour-propre toujours vivant", ["l'amour-propre toujours", "propre toujours vivant"]),
        # Two ideographs are about a word; three words are six.
        ("火星の上を歩", ["火星の上を歩"]),
        ("火星、上", []),
    ],
)
def test_pieces_are_short_parts_of_one_clause_with_telling_ends(text: str, pieces: list[str]) -> None:
    assert pieces_to_remember(text) == pieces


def test_words_that_are_common_in_their_company_are_no_ends() -> None:
    assert pieces_to_remember("und gelbe Vögel singen", ["und"]) == ["gelbe Vögel singen"]


@given(st.text(alphabet=st.sampled_from("abc dé'-,.! 12火の\u0301"), max_size=60) | st.text(max_size=60))
def test_a_piece_stands_in_its_text_and_is_of_three_to_eight_words(text: str) -> None:
    for piece in pieces_to_remember(text):
        assert squeezed(piece) in squeezed(text)
        words = Wording.of(piece).words
        assert words[0] not in FUNCTION_WORDS
        assert words[-1] not in FUNCTION_WORDS
        if piece.isascii():
            assert 3 <= len(words) <= 8


def texts_of(video_id: str, source: ModalityName, texts: Sequence[str]) -> list:
    return [record(video_id, source, 4.0 * place, 4.0 * place + 4, text) for place, text in enumerate(texts)]


def phrases(first: int, count: int) -> list[str]:
    """So many texts of three words, no two alike."""
    pairs = [(one, other) for one in WORDS for other in WORDS if one != other]
    return [f"{one} meets {other}" for one, other in pairs[first : first + count]]


def draw(store: MemoryStore, count: int, seed: int = 0, sources: Sequence[ModalityName] = SOURCES) -> list[KnownItem]:
    return list(draw_known_items(store, Catalogue.read(store), sources, count=count, seed=seed))


def queries(drawn: Sequence[KnownItem]) -> set[str]:
    return {known.query for known in drawn}


def test_the_seed_alone_decides_what_is_drawn() -> None:
    forward, backward = MemoryStore(), MemoryStore()
    videos = [(f"v{number}", phrases(10 * number, 10)) for number in range(4)]
    for store, order in ((forward, videos), (backward, videos[::-1])):
        for key, texts in order:
            put(store, video(key), texts_of(key, "subtitle", texts))
    assert draw(forward, 8) == draw(backward, 8)
    assert queries(draw(forward, 8, seed=1)) != queries(draw(forward, 8))
    assert queries(draw(forward, 40)) == {text for _, texts in videos for text in texts}


def test_every_video_and_every_source_has_its_turn() -> None:
    store = MemoryStore()
    put(store, video("long"), texts_of("long", "subtitle", phrases(0, 25)))
    for number in range(3):
        put(store, video(f"v{number}"), texts_of(f"v{number}", "subtitle", phrases(50 + number, 1)))
    put(store, video("signs"), texts_of("signs", "ocr", phrases(60, 3)))
    assert Counter(known.span.video_id for known in draw(store, 4, sources=["subtitle"])) == dict.fromkeys(
        ("long", "v0", "v1", "v2"), 1
    )
    by_source = Counter(known.source for known in draw(store, 6))
    assert by_source == {"subtitle": 3, "ocr": 3}
    # Where one source has no more, the others fill up.
    assert Counter(known.source for known in draw(store, 20)) == {"subtitle": 17, "ocr": 3}


def test_what_another_place_holds_as_well_is_not_asked_for() -> None:
    store = MemoryStore()
    texts = ["lion meets zebra", "camel meets heron", "lion meets zebra"]
    put(store, video("v1"), texts_of("v1", "subtitle", texts))
    put(store, video("v2"), texts_of("v2", "ocr", ["NO CAMEL MEETS-HERON TODAY", "beetle meets donkey"]))
    assert queries(draw(store, 10)) == {"beetle meets donkey"}


def test_what_is_said_and_written_at_one_place_has_one_answer_and_is_asked_for_once() -> None:
    store = MemoryStore()
    here, there = texts_of("v1", "subtitle", ["lion meets zebra"]), texts_of("v1", "ocr", ["LION MEETS ZEBRA"])
    put(store, video("v1"), [*here, *there])
    [known] = draw(store, 10)
    assert (known.span.video_id, known.span.start_s, known.span.end_s) == ("v1", 0.0, 4.0)


def test_videos_that_are_not_committed_are_neither_asked_for_nor_in_the_way() -> None:
    store = MemoryStore()
    put(store, video("half"), texts_of("half", "subtitle", ["lion meets zebra", "camel meets heron"]), "pending")
    put(store, video("v1"), texts_of("v1", "subtitle", ["lion meets zebra"]))
    assert queries(draw(store, 10)) == {"lion meets zebra"}


def test_only_descriptions_are_no_moments() -> None:
    store = MemoryStore()
    records = [
        record("v1", name, 0.0, 30.0, f"{word} meets walrus") for name, word in zip(SOURCES, WORDS, strict=False)
    ]
    put(store, video("v1"), records)
    assert {known.source for known in draw(store, 10) if not known.has_moment} == {"description"}
    assert len(draw(store, 10)) == len(SOURCES)
