import pytest

from indexer.store.memory import MemoryStore
from search.query.examples import example_queries
from tests.unit.search.library import engine_of, put, record, shots, video


@pytest.fixture
def store():
    store = MemoryStore()
    put(store, video("a", label="old city"), shots("a", ["bus"]))
    put(store, video("b", label="sea"), [record("b", "subtitle", 0, 4, "Well, the ferry left without us. 3, 2, 1")])
    put(
        store,
        video("c", label="sea"),
        [record("c", "description", 0, 30, "A harbour in the rain; by <b>Ann</b>")],
    )
    put(store, video("d"), [record("d", "ocr", 2, 3, "NO ENTRY!")], state="pending")
    return store


def test_examples_come_from_the_library_and_are_answered(store):
    engine = engine_of(store)
    examples = engine.examples(10)
    assert set(examples) == {'label:"old city"', "label:sea", '"the ferry left without us"', "A harbour in the rain"}
    for example in examples:
        assert engine.search(example).moments


def test_no_more_than_wanted_and_always_the_same(store):
    engine = engine_of(store)
    assert engine.examples(2) == engine.examples(10)[:2]
    assert example_queries(MemoryStore(), [], 6) == ()
