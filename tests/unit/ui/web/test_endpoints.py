"""The endpoints as functions: what they answer, what they refuse, and what strangers do not learn."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from gradio.utils import get_function_description, get_function_params
from PIL import Image

from indexer.core.errors import IndexDamagedError, QueryError
from indexer.store import open_store
from indexer.store.base import Commit, Location
from search.engine import SearchEngine
from tests.unit.search.library import OPTIONS, BagOfWords, Models, put, record, shots, video
from ui.services.context import Context
from ui.services.library import Library
from ui.web.arguments import kinds_of, number_of, text_of, weights_of, whole_of
from ui.web.documents import MOST_TEXTS, plain_json, texts_document
from ui.web.endpoints import Endpoints, add_endpoints
from ui.web.gradio_limits import guard_files


def word_library(context: Context) -> Library:
    """A real index in a folder, searched with a real if tiny model."""
    words = BagOfWords()
    models = Models(words, words, words)
    return Library(context, lambda: SearchEngine(context.open_store(), lambda: models, options=OPTIONS))


def keeping_everything(context: Context) -> Context:
    """The settings, but for calling nothing unlikely: the tiny model has no sense of that."""
    settings = context.settings
    search = replace(settings.search, min_confidence=0.0)
    return Context(replace(context.loaded, settings=replace(settings, search=search)))


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    context = keeping_everything(Context.load(None, tmp_path / "index"))
    with closing(open_store(context.index_folder, create=True)) as store:
        ship = replace(video("ship", label="sea", path="/home/secret/sea/ship.mp4"), title="A ship")
        put(
            store,
            ship,
            [*shots("ship", ["a ship", "a wave", "a gull"]), record("ship", "speech", 1.0, 4.0, "ahoy there")],
        )
        put(
            store,
            video("dog", 90.0, label="land", path="/home/secret/land/hound.mp4"),
            shots("dog", ["a dog", "a bone"]),
        )
        broken = video("broken", path="/home/secret/broken.mp4")
        place = Location(broken.path, broken.path.parent, broken.size, broken.mtime_ns)
        store.write_commit(Commit(broken, "failed", (place,), failure=f"{broken.path} is empty."))
    opened = word_library(context)
    yield opened
    opened.close()


@pytest.fixture
def local(library: Library) -> Endpoints:
    return Endpoints(library)


@pytest.fixture
def public(library: Library) -> Endpoints:
    return Endpoints(library, shows_paths=False)


def found(document: dict[str, Any]) -> list[tuple[str, float]]:
    return [(moment["video_id"], moment["start_s"]) for moment in document["moments"]]


class TestSearch:
    def test_the_moments_and_where_to_play_them(self, local: Endpoints) -> None:
        document = local.search("a wave")
        assert found(document)[0] == ("ship", 10.0)
        first = document["moments"][0]
        assert first["file"] == "/home/secret/sea/ship.mp4"
        assert first["link"] == "/?q=a+wave&v=ship&t=10.5"
        assert first["media_url"] == "/media/ship#t=10.500"
        assert first["picture_url"] == "/media/ship/picture.jpg?t=10.500"

    def test_nothing_in_an_answer_is_a_file_to_gradios_client(self, local: Endpoints) -> None:
        answers = [
            local.search("a ship"),
            local.library(),
            local.video("ship"),
            local.status(),
            local.similar("dog", 1.0),
        ]
        assert '"path"' not in json.dumps(answers)

    def test_pages_follow_each_other(self, local: Endpoints) -> None:
        whole = found(local.search("a", top_k=5))
        assert found(local.search("a", top_k=2, page=2)) == whole[2:4]
        assert local.search("a", top_k=2, page=2)["moments"][0]["rank"] == 3

    def test_every_filter_narrows(self, local: Endpoints) -> None:
        everything = {key for key, _ in found(local.search("a"))}
        assert everything == {"ship", "dog"}
        for given in ({"label": "sea"}, {"folder": "sea/"}, {"max_duration_s": 60}):
            assert {key for key, _ in found(local.search("a", **given))} == {"ship"}, given
        assert {key for key, _ in found(local.search("a", min_duration_s=60))} == {"dog"}
        assert found(local.search("ahoy there", kinds=["speech"])) == [("ship", 1.0)]
        assert local.search("ahoy", kinds=["speech"])["searched"] == ["speech"]
        assert "frames" not in local.search("ahoy", weights={"frames": 0})["searched"]
        assert len(found(local.search("a", by_video=True))) == 2

    def test_conditions_may_be_typed(self, local: Endpoints) -> None:
        assert {key for key, _ in found(local.search("a label:land date>=1970"))} == {"dog"}

    def test_moments_like_a_moment(self, local: Endpoints) -> None:
        document = local.similar("dog", 5.0)
        assert document["query"] == "like hound.mp4@0:00:05"
        assert ("dog", 0.0) not in found(document)
        assert document["moments"][0]["link"].startswith("/?like=dog%405&v=")

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"text": ""}, "query is empty"),
            ({"text": "x" * 501}, "'text' has 501 characters"),
            ({"text": ["a"]}, "'text' is no text"),
            ({"text": "a", "top_k": 101}, "'top_k' is 101"),
            ({"text": "a", "top_k": 0}, "'top_k' is 0"),
            ({"text": "a", "top_k": 2.5}, "'top_k' is 2.5"),
            ({"text": "a", "top_k": "10"}, "'top_k' is no number"),
            ({"text": "a", "top_k": True}, "'top_k' is no number"),
            ({"text": "a", "page": 1001}, "'page' is 1001"),
            ({"text": "a", "label": {"path": "/etc/passwd"}}, "'label' is no text"),
            ({"text": "a", "folder": "*a" * 9}, "too many stars"),
            ({"text": "a", "kinds": "speech"}, "'kinds' is no list"),
            ({"text": "a", "kinds": ["smell"]}, "no kind of evidence called 'smell'"),
            ({"text": "a", "kinds": [1]}, "'kinds' is no text"),
            ({"text": "a", "kinds": ["speech"] * 9}, "'kinds' is no list"),
            ({"text": "a", "weights": {"smell": 1}}, "no kind of evidence called 'smell'"),
            ({"text": "a", "weights": {"speech": -1}}, "'weights.speech' is no number"),
            ({"text": "a", "weights": [1]}, "'weights' is no table"),
            ({"text": "a", "min_duration_s": float("nan")}, "'min_duration_s' is no number"),
            ({"text": "a", "min_duration_s": 10**400}, "'min_duration_s' is no number"),
            ({"text": "a", "min_confidence": 1.5}, "'min_confidence' is 1.5"),
            ({"text": "date:tonight"}, "no date"),
        ],
    )
    def test_what_makes_no_sense_is_refused_in_words(self, local: Endpoints, given: Any, message: str) -> None:
        with pytest.raises(QueryError, match=message):
            local.search(**given)

    def test_what_is_refused_can_be_written(self, local: Endpoints) -> None:
        odd: Any = "a\ud800"
        for ask in (lambda: local.video(odd), lambda: local.export("a", odd), lambda: local.search("a", kinds=[odd])):
            with pytest.raises(QueryError) as refused:
                ask()
            local.explain(refused.value).encode("utf-8")
        assert local.search(odd)["query"] == "a\ufffd"

    @pytest.mark.parametrize("video_id", ["", "/home/secret/sea/ship.mp4", "ship.mp4", "../ship", "broken", "nobody"])
    def test_videos_are_known_by_their_ids_alone(self, local: Endpoints, video_id: str) -> None:
        for ask in (lambda: local.video(video_id), lambda: local.similar(video_id, 1.0)):
            with pytest.raises(QueryError, match="no video"):
                ask()


class TestLibrary:
    def test_the_videos_in_the_order_of_their_paths(self, local: Endpoints) -> None:
        document = local.library()
        assert (document["total"], document["has_more"]) == (2, False)
        dog, ship = document["videos"]
        assert (dog["name"], dog["duration_s"], dog["frame_rate"], dog["records"]) == (
            "hound.mp4",
            90.0,
            "25",
            {"frames": 2},
        )
        assert (ship["name"], ship["records"]) == ("A ship", {"frames": 3, "speech": 1})
        assert local.library(page=2)["videos"] == []

    @pytest.mark.parametrize("given", [{"label": "sea"}, {"folder": "sea/"}, {"text": "SHIP"}])
    def test_the_videos_asked_for(self, local: Endpoints, given: dict[str, str]) -> None:
        assert [each["video_id"] for each in local.library(**given)["videos"]] == ["ship"]

    def test_one_video_with_its_texts(self, local: Endpoints) -> None:
        document = local.video("ship")
        assert document["texts"] == [{"kind": "speech", "start_s": 1.0, "end_s": 4.0, "text": "ahoy there"}]
        assert document["texts_left_out"] == 0

    def test_a_very_long_video_has_only_so_many_texts(self) -> None:
        records = [record("v", "speech", float(second), second + 1.0, "word", number=second) for second in range(2_003)]
        document = texts_document(reversed(records))
        assert (len(document["texts"]), document["texts_left_out"]) == (MOST_TEXTS, 3)
        assert document["texts"][0]["start_s"] == 0.0

    def test_the_whole_library(self, local: Endpoints) -> None:
        status = local.status()
        assert (status["videos"], status["failed"], status["media_s"]) == (2, 1, 30.0 + 90.0)
        assert status["failures"] == [
            {"file": "/home/secret/broken.mp4", "reason": "/home/secret/broken.mp4 is empty."}
        ]

    def test_no_index_yet(self, tmp_path: Path) -> None:
        empty = Endpoints(Library(Context.load(None, tmp_path / "none")))
        assert empty.status() == {"is_indexed": False, "videos": 0}


class TestExport:
    @pytest.mark.parametrize("form", ["csv", "json", "html", "edl", "otio"])
    def test_every_format(self, local: Endpoints, form: Any) -> None:
        document = local.export("a wave", form, top_k=1)
        assert document["name"] == f"sceneseek.{form}"
        assert "ship" in document["content"]

    def test_no_other(self, local: Endpoints) -> None:
        with pytest.raises(QueryError, match="no format 'exe'"):
            local.export("a wave", "exe")  # type: ignore[arg-type]


class TestStrangers:
    def test_nobody_learns_where_files_lie(self, public: Endpoints) -> None:
        answers = [
            public.search("a ship"),
            public.similar("ship", 1.0),
            public.library(),
            public.video("ship"),
            public.status(),
            *(public.export("a ship", form) for form in ("csv", "json", "html", "edl", "otio")),  # type: ignore[arg-type]
        ]
        told = json.dumps(answers)
        assert "secret" not in told
        assert "hound" not in told
        assert "A ship" in told

    @pytest.mark.parametrize("guess", ["/home", "secret", "/home/secret/sea", "**/secret/**"])
    def test_nor_by_guessing(self, public: Endpoints, local: Endpoints, guess: str) -> None:
        assert local.library(folder=guess)["total"] > 0
        assert public.library(folder=guess)["total"] == 0
        assert public.search("ship", folder=guess)["moments"] == []
        assert public.search(f'ship path:"{guess}"')["moments"] == []
        assert public.library(folder="ship.mp4")["total"] == 1

    def test_nor_from_errors(self, public: Endpoints, local: Endpoints) -> None:
        damaged = IndexDamagedError("The index at /home/secret cannot be read.", hint="Delete /home/secret.")
        assert "secret" not in public.explain(damaged)
        assert local.explain(damaged) == "The index at /home/secret cannot be read. Delete /home/secret."
        assert public.explain(QueryError("No.", hint="Try.")) == "No. Try."

    @pytest.mark.parametrize(
        "image",
        [
            None,
            "photo.jpg",
            {"path": "/etc/hostname"},
            {"path": "/etc/hostname", "meta": {"_type": "gradio.FileData"}},
            {"path": "https://example.org/a.jpg", "meta": {"_type": "gradio.FileData"}},
        ],
    )
    def test_only_pictures_that_were_uploaded(self, local: Endpoints, image: Any) -> None:
        with pytest.raises(QueryError, match=r"no picture|not uploaded"):
            local.search_by_picture(image)

    def test_an_upload_that_is_no_picture(
        self, local: Endpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
        (tmp_path / "uploads").mkdir()
        upload = tmp_path / "uploads" / "a.jpg"
        upload.write_text("no picture")
        image: Any = {"path": str(upload), "meta": {"_type": "gradio.FileData"}}
        with pytest.raises(QueryError, match="no picture that can be read") as refused:
            local.search_by_picture(image)
        assert str(tmp_path) not in str(refused.value)
        outside = tmp_path / "outside.png"
        Image.new("RGB", (8, 8)).save(outside)
        (tmp_path / "uploads" / "link.png").symlink_to(outside)
        with pytest.raises(QueryError, match="not uploaded"):
            local.search_by_picture(image | {"path": str(tmp_path / "uploads" / "link.png")})


class TestDocumentation:
    """Gradio makes the API's pages and the MCP tools from signatures and docstrings, by its own simple rules."""

    @pytest.fixture
    def blocks(self, local: Endpoints) -> gr.Blocks:
        with gr.Blocks(analytics_enabled=False) as blocks:
            add_endpoints(local)
        return blocks

    def test_every_parameter_has_a_type_and_a_description(self, blocks: gr.Blocks) -> None:
        names = set()
        for endpoint in blocks.fns.values():
            names.add(endpoint.api_name)
            description, parameters, returns = get_function_description(endpoint.fn)
            assert len(description) > 40
            assert len(returns) == 1
            for name, _, _, hint in get_function_params(endpoint.fn):
                assert hint is not None
                assert len(parameters[name]) > 15, (endpoint.api_name, name)
        assert names == {"search", "similar", "search_by_picture", "library", "video", "status", "export"}

    def test_docstrings_are_of_the_parameters_there_are(self, blocks: gr.Blocks) -> None:
        for endpoint in blocks.fns.values():
            known = [name for name, *_ in get_function_params(endpoint.fn)]
            told = (inspect.getdoc(endpoint.fn) or "").partition("Args:")[2].partition("Returns:")[0]
            assert [line.split(":")[0].strip() for line in told.splitlines() if line.strip()] == known

    def test_no_search_waits_for_another(self, blocks: gr.Blocks) -> None:
        assert all(endpoint.queue is False and endpoint.concurrency_limit is None for endpoint in blocks.fns.values())

    def test_a_mounted_page_is_guarded(self, blocks: gr.Blocks) -> None:
        assert guard_files(blocks).has_launched is True


class TestArguments:
    def test_what_is_left_out(self) -> None:
        assert (text_of("t", None), kinds_of(None), weights_of(None), number_of("n", None)) == ("", (), {}, 0.0)

    def test_what_is_given(self) -> None:
        assert kinds_of(["OCR", "speech"]) == ("ocr", "speech")
        assert weights_of({"ocr": 2}) == {"ocr": 2.0}
        assert whole_of("n", 3.0, 1, 5) == 3

    def test_halves_of_letters_are_replaced(self) -> None:
        assert text_of("t", "a\ud800b\udfff") == "a\ufffdb\ufffd"

    def test_documents_are_plain(self) -> None:
        assert plain_json({"a": ("\udcff", 1), "b": {"c": None}}) == {"a": ["\ufffd", 1], "b": {"c": None}}
