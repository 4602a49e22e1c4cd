"""Ways of telling actions, compared on libraries whose pictures are bags of words: differences as arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from indexer.core.errors import UsageError
from indexer.core.types import Record
from indexer.store.memory import MemoryStore
from search.evaluate.actions import labelled_videos
from search.evaluate.compare import (
    OF_ACTIONS,
    Setup,
    action_setups,
    check_setups,
    compared,
    figures_by_video,
    parse_setups,
    ranks_by_setup,
)
from search.evaluate.prompts import ClassNames, encode_classes, read_templates
from tests.unit.search.library import BagOfWords, put, shots, video

CLASSES = ClassNames("file", ("diving", "fencing", "knitting", "rowing"))


class CountingStore(MemoryStore):
    """Counts how often frames are read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    def records(self, *args: Any, **kwargs: Any) -> Iterator[Record]:
        self.reads += 1
        return super().records(*args, **kwargs)


def store_of(shown: dict[str, tuple[str, Sequence[str]]]) -> CountingStore:
    store = CountingStore()
    for key, (label, texts) in shown.items():
        put(store, video(key, label=label), shots(key, texts))
    return store


def ranked(store: CountingStore, *axes: str) -> dict[str, dict[str, float]]:
    setups = action_setups(parse_setups(axes))
    names = {setup.value("templates") or "clip" for setup in setups}
    texts = {name: encode_classes(BagOfWords(), CLASSES, read_templates(name)) for name in names}
    return ranks_by_setup(store, labelled_videos(store, CLASSES), setups, texts)


def test_poolings_differ_by_what_arithmetic_says_and_frames_are_read_once() -> None:
    # "a": two frames of fencing outweigh one of diving in the mean; in the maximum both classes have 1 and tie.
    # "b": right in any case. "c": nothing of its class, and one frame for each of the others, which tie.
    store = store_of(
        {
            "a": ("diving", ["diving", "fencing", "fencing"]),
            "b": ("fencing", ["fencing"]),
            "c": ("rowing", ["diving", "fencing", "knitting"]),
            "other": ("chess", ["diving"]),
            "unlabelled": ("", ["diving"]),
        }
    )
    ranks = ranked(store, "pooling=mean,max", "templates=plain")
    assert store.reads == 3
    mean, most = "pooling=mean templates=plain", "pooling=max templates=plain"
    assert ranks == {mean: {"a": 2, "b": 1, "c": 4}, most: {"a": 1.5, "b": 1, "c": 4}}
    base, other = compared([(name, figures_by_video(found), 3) for name, found in ranks.items()])
    assert [metric.name for metric in base.metrics] == ["P@1", "hit@3", "MRR"]
    assert base.metric("P@1").value == pytest.approx(1 / 3)
    assert base.metric("hit@3").value == pytest.approx(2 / 3)
    assert base.metric("MRR").value == pytest.approx((1 / 2 + 1 + 1 / 4) / 3)
    assert other.differences["P@1"].value == 0
    assert other.differences["MRR"].value == pytest.approx((1 / 1.5 - 1 / 2) / 3)
    # One video of three differs: every swap differs as much, and a draw of videos holds it 0 to 3 times.
    assert other.differences["MRR"].p == 1
    assert other.differences["MRR"].interval.low == 0
    assert other.differences["MRR"].interval.high == pytest.approx(3 * (1 / 1.5 - 1 / 2) / 3)


def test_two_indexes_are_paired_by_video() -> None:
    first = store_of({"a": ("diving", ["fencing"]), "b": ("rowing", ["rowing"]), "c": ("fencing", ["fencing"])})
    second = store_of({"c": ("fencing", ["fencing"]), "a": ("diving", ["diving"])})
    labelled = labelled_videos(first, CLASSES)
    texts = {"clip": encode_classes(BagOfWords(), CLASSES, read_templates("plain"))}
    found = [ranks_by_setup(store, labelled, [Setup()], texts)["as it is"] for store in (first, second)]
    base, other = compared([(str(number), figures_by_video(ranks), 0) for number, ranks in enumerate(found)])
    # "a" ties with the two classes that it is not taken for, at 3; "b" is not in the second index.
    assert found == [{"a": (2 + 3 + 4) / 3, "b": 1, "c": 1}, {"a": 1, "c": 1}]
    assert other.metric("P@1").queries == 2
    assert base.metric("P@1").value == 1 / 2
    assert other.differences["P@1"].value == ((1 - 0) + (1 - 1)) / 2
    assert other.differences["MRR"].value == pytest.approx((1 - 1 / 3) / 2)


def test_tau_counts_for_the_pooling_query_alone() -> None:
    setups = action_setups(parse_setups(["pooling=mean,query", "tau=0.05,0.1"]))
    assert [setup.name for setup in setups] == ["pooling=mean", "pooling=query tau=0.05", "pooling=query tau=0.1"]
    assert [setup.tau for setup in setups] == [0.1, 0.05, 0.1]
    with pytest.raises(UsageError, match="Add pooling=query"):
        action_setups(parse_setups(["tau=0.05,0.1"]))


def test_a_small_tau_is_the_maximum_and_a_large_one_the_mean() -> None:
    store = store_of({"a": ("diving", ["diving", "fencing", "fencing"]), "b": ("rowing", ["rowing"])})
    ranks = ranked(store, "pooling=query", "tau=0.001,1000", "templates=plain")
    assert [found["a"] for found in ranks.values()] == [1.5, 2]


def test_the_templates_are_compared_too() -> None:
    # "dans" is a word of the French sentence only, so that it speaks for no class, but takes nothing from any either.
    store = store_of({"a": ("diving", ["diving fencing fencing"]), "b": ("rowing", ["rowing"])})
    ranks = ranked(store, "templates=plain,french")
    assert store.reads == 2
    assert ranks == {"templates=plain": {"a": 2, "b": 1}, "templates=french": {"a": 2, "b": 1}}


@pytest.mark.parametrize(
    ("axes", "told"),
    [
        (["pooling=median,mean"], "no pooling 'median'"),
        (["tau=sharp", "pooling=query"], "'sharp' is not a number"),
        (["tau=0", "pooling=query"], "above 0"),
        (["tau=nan", "pooling=query"], "above 0"),
    ],
)
def test_values_that_cannot_be_are_refused_as_they_are_typed(axes: list[str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        parse_setups(axes)


@pytest.mark.parametrize("axis", ["pooling=mean,max", "templates=clip,plain"])
def test_what_makes_no_difference_to_a_search_is_refused_with_where_it_does(axis: str) -> None:
    with pytest.raises(UsageError, match="evaluate actions"):
        check_setups(parse_setups([axis]), OF_ACTIONS, "See sceneseek evaluate actions.")


def test_an_index_without_labels_says_what_to_do() -> None:
    with pytest.raises(UsageError, match="--labels"):
        labelled_videos(store_of({"a": ("", ["diving"])}))
    with pytest.raises(UsageError, match="4 classes in file"):
        labelled_videos(store_of({"a": ("chess", ["diving"])}), CLASSES)
    labelled = labelled_videos(store_of({"a": ("Diving", ["x"]), "b": ("chess", ["x"])}), CLASSES)
    assert ([one.id for one in labelled.videos], labelled.right) == (["a"], (0,))
    assert [one.id for one in labelled.left_out.of_no_class] == ["b"]
