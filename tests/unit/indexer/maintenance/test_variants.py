"""Copies of an index, to be indexed in another way."""

from __future__ import annotations

from dataclasses import replace

from indexer.maintenance.variants import copy_without_keyframes
from indexer.models.base import Fingerprint
from indexer.store.base import Manifest
from indexer.store.memory import MemoryStore
from tests.unit.search.library import put, record, shots, video


def test_a_copy_of_an_index_has_all_but_what_is_made_of_keyframes() -> None:
    source, target = MemoryStore(), MemoryStore()
    spoken = [record("v1", "speech", 0, 2, "so many words"), record("v1", "sounds", 0, 2, "rain")]
    put(source, video("v1"), [*shots("v1", ["red bus"]), record("v1", "captions", 0, 9, "a bus"), *spoken])
    put(source, video("v2"), shots("v2", ["blue car"]))
    put(source, video("v3"), [], state="pending")
    source.write_manifest(Manifest("embedded", {"frames": ("a:b", Fingerprint("a", "b", "1", "none", 3))}, "now"))
    copy_without_keyframes(source, target)
    assert target.read_manifest() == source.read_manifest()
    assert {key: set(commit.modalities) for key, commit in target.commits().items()} == {
        "v1": {"speech", "sounds"},
        "v2": set(),
    }
    copied = [found for space in ("frames", "text", "audio") for found in target.records(space, vectors=True)]
    assert {found.id: found.vector.tolist() for found in copied} == {sent.id: sent.vector.tolist() for sent in spoken}


def test_copying_again_leaves_what_is_there_alone_and_redoes_what_was_cut_off() -> None:
    source, target = MemoryStore(), MemoryStore()
    for name in ("v1", "v2"):
        put(source, video(name), [record(name, "speech", 0, 2, "so many words")])
    put(target, video("v1"), shots("v1", ["red bus"]))
    half = replace(source.commits()["v2"], state="pending", modalities={})
    target.write_commit(half)
    copy_without_keyframes(source, target)
    found = target.commits()
    assert set(found["v1"].modalities) == {"frames"}
    assert (found["v2"].state, set(found["v2"].modalities)) == ("committed", {"speech"})
    assert {known.video_id for known in target.records("text")} == {"v2"}
