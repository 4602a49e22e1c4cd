from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from indexer.core.errors import IndexDamagedError, IndexIncompatibleError, IndexMissingError, ModelError, QueryError
from indexer.core.types import Embedding, ModalityName, Record, Space
from indexer.store import open_store
from indexer.store.base import Manifest
from indexer.store.memory import MemoryStore
from indexer.store.thumbnails import ThumbnailFolder
from search.engine import SearchEngine
from search.query.filters import Filters, parse_condition
from search.query.query import Query
from tests.unit.search.library import (
    OPTIONS,
    BagOfWords,
    Models,
    engine_of,
    found,
    picture_of,
    put,
    record,
    shots,
    video,
)


class CountingStore(MemoryStore):
    """The store in memory, noting what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[Space, int, int | None]] = []
        self.changed = False

    def nearest(
        self,
        space: Space,
        vector: Embedding,
        limit: int,
        *,
        video_ids: Collection[str] | None = None,
        modalities: Collection[ModalityName] | None = None,
    ) -> list[Record]:
        self.asked.append((space, limit, None if video_ids is None else len(video_ids)))
        return super().nearest(space, vector, limit, video_ids=video_ids, modalities=modalities)

    def refresh(self) -> bool:
        return self.changed


@pytest.fixture
def store() -> CountingStore:
    """Three films: a cat's with pictures only, a cook's with subtitles, a sailor's with a description."""
    store = CountingStore()
    put(store, video("cat", label="animals"), shots("cat", ["a big cat", "a small cat", "an empty street"]))
    cook = shots("cook", ["a kitchen", "a pot of soup", "a table"])
    said = [(2, 4, "cut the onions very fine"), (12, 14, "now the soup must rest"), (22, 24, "enjoy your meal")]
    put(
        store,
        video("cook", label="food", year=1999),
        [*cook, *(record("cook", "subtitle", start, end, text) for start, end, text in said)],
    )
    sea = [*shots("sea", ["a boat", "the waves", "a harbour"]), record("sea", "description", 0, 30, "sailing home")]
    put(store, video("sea", label="sport", year=2005), sea)
    return store


def test_what_only_pictures_show_is_led_by_frames(store: CountingStore) -> None:
    ranking = engine_of(store).search("a big cat")
    best = ranking.moments[0]
    assert found(ranking)[:2] == [("cat", 0), ("cat", 10)]
    assert best.modalities == ("frames",)
    assert best.hits[0].score == pytest.approx(1.0)
    assert best.score == pytest.approx(1 / (60 + 1))
    assert all(hit.modality == "frames" for moment in ranking.moments for hit in moment.hits)


def test_a_spoken_phrase_is_led_by_its_subtitle(store: CountingStore) -> None:
    best = engine_of(store).search("cut the onions very fine").moments[0]
    assert (best.video.id, best.start_s, best.end_s, best.time_s) == ("cook", 2, 4, 2)
    assert best.modalities[0] == "subtitle"
    assert best.hits[0].text == "cut the onions very fine"


def test_what_is_both_seen_and_said_is_fused(store: CountingStore) -> None:
    put(store, video("more"), shots("more", ["a soup"]))
    best = engine_of(store).search("soup must rest").moments[0]
    soup, rest = 1 / np.sqrt(4 * 3), 3 / np.sqrt(5 * 3)
    frames = engine_of(store).search(Query("soup must rest", weights={"subtitle": 0})).moments
    assert [moment.video.id for moment in frames] == ["more", "cook"]
    assert (best.video.id, best.start_s) == ("cook", 12)
    assert best.modalities == ("subtitle", "frames")
    assert best.best_hit("frames").score == pytest.approx(soup)
    by_meaning, by_words = 1.0 / (60 + 1), 1.0 / (60 + 1)
    assert best.score == pytest.approx(by_meaning + by_words + (soup / 0.5) / (60 + 2))
    assert rest > 0.7


def test_weak_texts_ranked_behind_an_exact_one_do_not_pass_a_good_frame(store: CountingStore) -> None:
    lines = ["red car", *(f"red sky number {n}" for n in range(20))]
    subtitles = [record("talk", "subtitle", n, n + 1, line) for n, line in enumerate(lines)]
    put(store, video("talk"), subtitles)
    put(store, video("race"), shots("race", ["one red car"]))
    ranking = engine_of(store).search("red car", top_k=3)
    assert found(ranking)[:2] == [("talk", 0), ("race", 0)]
    assert ranking.moments[1].score == pytest.approx(1 / (60 + 1))
    assert ranking.moments[2].score < 0.5 / (60 + 1)
    assert ranking.has_more


def test_a_query_that_nothing_matches_finds_nothing(store: CountingStore) -> None:
    ranking = engine_of(store).search("zebra")
    assert ranking.moments == ()
    assert ranking.total == 0
    assert not ranking.has_more


def test_a_description_leads_to_its_video(store: CountingStore) -> None:
    best, *_ = engine_of(store).search("sailing home with the waves").moments
    assert (best.video.id, best.start_s) == ("sea", 10)
    assert set(best.modalities) == {"description", "frames"}


def test_a_picture_finds_frames_only(store: CountingStore) -> None:
    ranking = engine_of(store).search(Query(image=picture_of("the waves"), weights={"speech": 1, "subtitle": 1}))
    assert found(ranking)[0] == ("sea", 10)
    assert ranking.searched == ("frames",)
    assert ranking.missing == ("speech",)


def test_it_says_what_was_searched_and_what_is_missing(store: CountingStore) -> None:
    ranking = engine_of(store).search(Query("soup", weights={"frames": 2, "ocr": 1, "speech": 0, "description": 0}))
    assert ranking.searched == ("frames", "subtitle")
    assert ranking.missing == ("ocr",)
    assert ranking.took_s > 0


def test_facts_found_by_indexing_are_filtered_by_like_others(store: CountingStore) -> None:
    described = {"language": "en", "cuts": 3, "loudness": -23.5, "speech_ratio": 0.25, "resolution": "640x360"}
    own = replace(video("own", camera="GoPro"), descriptors=described)
    put(store, own, shots("own", ["a cat"]))
    engine = engine_of(store)
    for condition in (
        "language:en",
        "cuts>=3",
        "loudness>-24",
        "speech_ratio<=0.25",
        "resolution:640x360",
        "camera:gopro",
    ):
        assert found(engine.search(f"cat {condition}")) == [("own", 0)]
    assert engine.search("cat cuts<3").total == 0
    with pytest.raises(QueryError, match="frame_rate of no video"):
        engine.search("cat frame_rate>20")


def test_sounds_around_a_moment_are_compared_too(store: CountingStore) -> None:
    for key, tags in (("jazz", "Saxophone Music"), ("band", "Saxophone Music Drum"), ("talk", "Speech")):
        put(store, video(key), [record(key, "sounds", 0, 10, tags)])
    ranking = engine_of(store).search(Query(like=("jazz", 3.0)))
    assert ranking.searched == ("sounds",)
    assert found(ranking) == [("band", 0)]


def test_a_weight_counts_and_zero_leaves_out(store: CountingStore) -> None:
    engine = engine_of(store)
    assert engine.search(Query("a boat", weights={"frames": 3})).moments[0].score == pytest.approx(3 / (60 + 1))
    store.asked.clear()
    only_frames = engine.search(Query("soup", weights={"subtitle": 0, "description": 0}))
    assert only_frames.searched == ("frames",)
    assert {space for space, _, _ in store.asked} == {"frames"}
    one_text = engine.search(Query("sailing home", weights={"frames": 0, "subtitle": 0}))
    assert one_text.searched == ("description",)
    assert found(one_text) == [("sea", 0)]


def test_nothing_to_compare_with_is_said(store: CountingStore) -> None:
    weights = dict.fromkeys(("frames", "subtitle", "description"), 0.0)
    with pytest.raises(QueryError, match="nothing that such a query"):
        engine_of(store).search(Query("soup", weights=weights))


def test_an_empty_index_says_to_index_something() -> None:
    store = MemoryStore()
    put(store, video("later"), shots("later", ["a cat"]), state="pending")
    with pytest.raises(QueryError, match="Index something first"):
        engine_of(store).search("cat")


def test_only_committed_videos_are_searched(store: CountingStore) -> None:
    for state in ("pending", "failed"):
        put(store, video(state), shots(state, ["a big cat"] * 3), state=state)
    assert found(engine_of(store).search("a big cat"))[:2] == [("cat", 0), ("cat", 10)]


def test_uncommitted_records_never_crowd_out_committed_ones() -> None:
    store = MemoryStore()
    put(store, video("wip", 9000), shots("wip", ["cat"] * 500, 10), state="pending")
    put(store, video("done"), shots("done", ["a cat asleep"]))
    assert found(engine_of(store, replace(OPTIONS, depth=4)).search("cat")) == [("done", 0)]


@pytest.mark.parametrize("wanted", [40, 100, 101, 150])
def test_no_match_is_lost_to_a_filter(wanted: int) -> None:
    store = CountingStore()
    for n in range(300):
        kind = "small" if n < wanted else "big"
        texts = ["a cat with some words more"] if kind == "small" else ["a cat"]
        put(store, video(f"v{n:03d}", label=kind), shots(f"v{n:03d}", texts))
    engine = engine_of(store, replace(OPTIONS, depth=10))
    ranking = engine.search(Query("a cat", filters=Filters(labels=("small",)), top_k=500))
    assert {moment.video.id for moment in ranking.moments} == {f"v{n:03d}" for n in range(wanted)}
    passed = {count for _, _, count in store.asked}
    assert passed == ({wanted} if wanted <= 100 else {None})


def test_filters_restrict_and_a_filter_that_nothing_meets_finds_nothing(store: CountingStore) -> None:
    engine = engine_of(store)

    def videos(filters: Filters) -> set[str]:
        return {moment.video.id for moment in engine.search(Query("a the an", filters=filters)).moments}

    assert videos(Filters()) == {"cat", "cook", "sea"}
    assert videos(Filters(facets=(parse_condition("year<2000"),))) == {"cook"}
    assert videos(Filters(paths=("sport/*",))) == {"sea"}
    assert videos(Filters(labels=("Animals", "sport"))) == {"cat", "sea"}
    assert videos(Filters(labels=("none",))) == set()


def test_an_unknown_facet_names_the_nearest(store: CountingStore) -> None:
    for wrong, right in (("yaer=1999", "year"), ("duratoin<5", "duration"), ("lable=x", "label")):
        with pytest.raises(QueryError, match=f"'{right}'"):
            engine_of(store).search(Query("cat", filters=Filters(facets=(parse_condition(wrong),))))


def many(count: int, per_video: int = 4) -> MemoryStore:
    """Videos of several shots and subtitles whose similarity to "cat" falls slowly, with ties."""
    store = MemoryStore()
    for n in range(count):
        texts = ["cat " + " ".join(f"w{k}" for k in range((n * 7 + s * 3) % 11)) for s in range(per_video)]
        key = f"v{n:03d}"
        spoken = [record(key, "subtitle", 10 * s + 2, 10 * s + 6, text) for s, text in enumerate(reversed(texts))]
        put(store, video(key, 10.0 * per_video), [*shots(key, texts), *spoken])
    return store


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("size", [1, 7, 10, 33])
def test_pages_continue_each_other_exactly(grouped: bool, size: int) -> None:
    engine = engine_of(many(30), replace(OPTIONS, depth=8))
    query = Query("cat", top_k=1000, group_by_video=grouped)
    whole = engine.search(query)
    pages, offset = [], 0
    while True:
        page = engine.search(replace(query, offset=offset, top_k=size))
        pages += page.moments
        offset += size
        if not page.has_more:
            break
    assert pages == list(whole.moments)
    assert page.total == whole.total == len(pages)
    assert len({hit.record_id for moment in pages for hit in moment.hits}) == sum(len(m.hits) for m in pages)


def test_a_page_beyond_the_end_is_empty() -> None:
    ranking = engine_of(many(3)).search(Query("cat", offset=100))
    assert ranking.moments == ()
    assert not ranking.has_more


def test_grouping_gives_each_video_once_with_its_other_moments() -> None:
    engine = engine_of(many(12))
    plain = engine.search(Query("cat", top_k=1000)).moments
    grouped = engine.search(Query("cat", top_k=1000, group_by_video=True))
    best = {moment.video.id: moment for moment in reversed(plain)}
    assert {moment.video.id: moment for moment in grouped.moments} == best
    assert grouped.total == 12
    for key, others in grouped.others.items():
        assert list(others) == [moment for moment in plain if moment.video.id == key][1:]


def test_grouping_looks_past_a_video_that_fills_the_first_hits() -> None:
    store = CountingStore()
    put(store, video("long", 9000), shots("long", ["cat"] * 300))
    for n in range(5):
        put(store, video(f"short{n}"), shots(f"short{n}", ["cat and dog"]))
    ranking = engine_of(store, replace(OPTIONS, depth=10)).search(Query("cat", group_by_video=True))
    assert [moment.video.id for moment in ranking.moments] == ["long", *(f"short{n}" for n in range(5))]
    assert store.asked == [("frames", 10, None), ("frames", 20, 5)]


def test_one_long_static_shot_does_not_hide_other_pictures_behind_weak_texts() -> None:
    store = MemoryStore()
    static = [record("long", "frames", 10 * n, 10 * n + 10, "cat", shot=0, number=n) for n in range(60)]
    weak = [record("long", "subtitle", 10 * n, 10 * n + 2, f"cat is w{n} x{n} y{n} z{n}") for n in range(60)]
    put(store, video("long", 600), [*static, *weak])
    put(store, video("other"), shots("other", ["a cat"]))
    ranking = engine_of(store, replace(OPTIONS, depth=20)).search("cat", top_k=2)
    assert [moment.video.id for moment in ranking.moments] == ["long", "other"]


def test_similar_moments_are_found_without_the_moment_itself(store: CountingStore) -> None:
    words = BagOfWords()
    engine = SearchEngine(store, lambda: Models(words, words), options=OPTIONS)
    put(store, video("lion"), [*shots("lion", ["a big lion"]), record("lion", "subtitle", 1, 3, "the onions fine")])
    by_picture = engine.search(Query(like=("cat", 3.0)))
    assert [moment.video.id for moment in by_picture.moments][:2] == ["cat", "lion"]
    assert by_picture.moments[0].start_s == 10
    assert ("cat", 0) not in found(by_picture)
    by_both = engine.search(Query(like=("/films/food/cook.mp4", 3.0)))
    assert by_both.moments[0].video.id == "lion"
    assert "subtitle" in by_both.moments[0].modalities
    assert words.encoded == 0


def test_the_whole_shot_of_a_moment_is_left_out() -> None:
    store = MemoryStore()
    same_shot = [record("v", "frames", 10 * n, 10 * n + 10, "cat", shot=0, number=n) for n in range(3)]
    put(store, video("v", 40), [*same_shot, record("v", "frames", 30, 40, "cat dog", shot=1)])
    assert found(engine_of(store).search(Query(like=("v", 12.0)))) == [("v", 30)]


def test_the_second_asked_for_may_lie_between_frames() -> None:
    store = MemoryStore()
    frames = [record("v", "frames", 0, 1, "cat", shot=0), record("v", "frames", 20, 21, "dog", shot=1)]
    put(store, video("v", 40), frames)
    put(store, video("w", 40), shots("w", ["cat here", "dog there"]))
    assert found(engine_of(store).search(Query(like=("v", 8.0))))[0] == ("w", 0)
    assert found(engine_of(store).search(Query(like=("v", 35.0))))[0] == ("w", 10)


@pytest.mark.parametrize(
    ("like", "says"),
    [
        (("nobody.mp4", 1.0), "nobody.mp4"),
        (("cat", 31.0), "ends at 30.0 s"),
        (("twin.mp4", 1.0), "could be"),
        (("bare", 1.0), "holds nothing"),
    ],
)
def test_a_moment_that_cannot_be_looked_up_is_explained(
    store: CountingStore, like: tuple[str, float], says: str
) -> None:
    for folder in "ab":
        put(store, video(folder, path=f"/films/{folder}/twin.mp4"), [])
    put(store, video("bare"), [])
    with pytest.raises(QueryError, match=says):
        engine_of(store).search(Query(like=like))


def test_a_video_is_named_by_the_end_of_its_path_too(store: CountingStore) -> None:
    names = ("cat", "cat.mp4", "animals/cat.mp4", "/films/animals/cat.mp4")
    rankings = [engine_of(store).search(Query(like=(name, 3.0))) for name in names]
    assert all(found(ranking) == found(rankings[0]) for ranking in rankings)


def test_thumbnails_are_looked_up_for_the_page_only(store: CountingStore) -> None:
    asked: list[tuple[str, float]] = []

    def find(video_id: str, time_s: float) -> Path:
        asked.append((video_id, time_s))
        return Path(f"{video_id}.jpg")

    words = BagOfWords()
    engine = SearchEngine(store, lambda: Models(words, words), thumbnails=find, options=OPTIONS)
    [moment] = engine.search("a big cat", top_k=1).moments
    assert moment.thumbnail == Path("cat.jpg")
    assert asked == [("cat", 0.5)]


def test_new_videos_are_found_once_the_store_has_seen_them(store: CountingStore) -> None:
    engine = engine_of(store)
    assert engine.search("zebra").total == 0
    put(store, video("zoo"), shots("zoo", ["zebra"]))
    assert engine.search("zebra").total == 0
    store.changed = True
    assert found(engine.search("zebra")) == [("zoo", 0)]


def test_vectors_of_another_model_are_never_compared(store: CountingStore) -> None:
    made_with = BagOfWords("older").fingerprint
    store.write_manifest(Manifest("embedded", {"frames": ("bag:older", made_with)}, "2026-01-01"))
    with pytest.raises(IndexIncompatibleError, match=r"older.*words"):
        engine_of(store).search("cat")
    with pytest.raises(IndexIncompatibleError, match=r"older.*words"):
        engine_of(store).search(Query(image=picture_of("cat")))


def test_a_space_without_a_model_is_said(store: CountingStore) -> None:
    engine = SearchEngine(store, lambda: Models(BagOfWords(), None), options=OPTIONS)
    with pytest.raises(ModelError, match="no text model"):
        engine.search("cat")


def test_a_damaged_vector_is_said(store: CountingStore) -> None:
    broken = replace(record("bad", "frames", 0, 5, "cat"), vector=np.full(4096, np.nan, np.float32))
    put(store, video("bad"), [broken])
    with pytest.raises(IndexDamagedError, match="bad"):
        engine_of(store).search("cat")


def test_equal_vectors_tie_exactly_wherever_they_stand() -> None:
    store = MemoryStore()
    for n in range(23):
        put(store, video(f"v{n:02d}"), shots(f"v{n:02d}", ["cat dog bird"]))
    moments = engine_of(store).search("cat bird", top_k=50).moments
    assert [moment.video.id for moment in moments] == [f"v{n:02d}" for n in range(23)]
    assert {moment.hits[0].rank for moment in moments} == {(1 + 23) / 2}
    assert len({moment.score for moment in moments}) == 1


def test_searches_run_side_by_side(store: CountingStore) -> None:
    meeting = threading.Barrier(4, timeout=5)

    class Meeting(BagOfWords):
        def encode_texts(self, texts: list[str]) -> Embedding:
            meeting.wait()
            return super().encode_texts(texts)

        encode_queries = BagOfWords.encode_texts

    encoder = Meeting()
    engine = SearchEngine(store, lambda: Models(encoder, encoder), options=OPTIONS)
    alone = engine_of(store)
    queries = ["a big cat", "the waves", "soup", "onions"]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(engine.search, queries))
    assert [ranking.moments for ranking in together] == [alone.search(query).moments for query in queries]


def test_nobody_waits_for_a_catalogue_being_read(store: CountingStore) -> None:
    engine = engine_of(store)
    engine.search("cat")
    reading, finish = threading.Event(), threading.Event()
    read: Callable[[], bool] = store.refresh

    def slow() -> bool:
        reading.set()
        finish.wait(5)
        return read()

    store.refresh = slow  # type: ignore[method-assign]
    slow_search = threading.Thread(target=engine.search, args=("cat",))
    slow_search.start()
    assert reading.wait(5)
    assert engine.search("a big cat").total > 0
    assert slow_search.is_alive()
    finish.set()
    slow_search.join()


def test_a_search_does_not_change_with_depth_where_it_sees_everything(store: CountingStore) -> None:
    rankings = [engine_of(store, replace(OPTIONS, depth=depth)).search("soup and waves") for depth in (20, 50, 500)]
    assert all(ranking.moments == rankings[0].moments for ranking in rankings)


def test_the_database_answers_like_the_store_in_memory(store: CountingStore, tmp_path: Path) -> None:
    with closing(open_store(tmp_path, create=True)) as database:
        for key, commit in store.commits().items():
            kept = [one for space in ("frames", "text") for one in store.records(space, video_id=key, vectors=True)]
            put(database, commit.video, kept)
        chroma, memory = engine_of(database), engine_of(store)
        queries = [
            Query("a big cat"),
            Query("now the soup must rest"),
            Query("sailing home", weights={"subtitle": 0}),
            Query("a the an", filters=Filters(labels=("food", "sport")), group_by_video=True),
            Query(like=("cook", 3.0)),
            Query("soup must rest", phrases=("must rest",)),
            Query("a the an", without=("onions",), weights={"frames": 0.5}),
            Query(without=("waves",)),
        ]
        with ThreadPoolExecutor(4) as pool:
            rankings = list(pool.map(chroma.search, queries))
    for query, ranking in zip(queries, rankings, strict=True):
        expected = memory.search(query)
        assert found(ranking) == found(expected)
        assert [m.score for m in ranking.moments] == pytest.approx([m.score for m in expected.moments], rel=1e-5)


def test_an_index_is_opened_with_its_thumbnails_and_without_loading_models(
    store: CountingStore, tmp_path: Path
) -> None:
    with closing(open_store(tmp_path, create=True)) as database:
        for key, commit in store.commits().items():
            put(database, commit.video, list(store.records("frames", video_id=key, vectors=True)))
    ThumbnailFolder(tmp_path).save("cat", 10.5, np.zeros((36, 64, 3), np.uint8))
    with SearchEngine.open(tmp_path) as engine:
        best = engine.search(Query(like=("cat", 3.0))).moments[0]
        assert (best.video.id, best.start_s) == ("cat", 10)
        assert best.thumbnail == ThumbnailFolder(tmp_path).find("cat", 10.5)
        assert best.thumbnail.is_file()
        with pytest.raises(IndexDamagedError, match="which models"):
            engine.search("cat")


def test_opening_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(IndexMissingError):
        SearchEngine.open(tmp_path / "none")


def test_importing_the_engine_imports_no_heavyweight() -> None:
    heavy = ["torch", "chromadb", "cv2", "av", "transformers", "sentence_transformers", "open_clip", "timm", "sklearn"]
    code = f"import sys, search.engine; print([name for name in {heavy} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
