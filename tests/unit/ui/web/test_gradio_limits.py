"""What Gradio leaves open beside the page, seen on a real if small Gradio page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from fastapi import FastAPI
from gradio import processing_utils
from starlette.testclient import TestClient

from ui.web.access import SafeHeaders
from ui.web.gradio_limits import CloseDoors, LimitUploads, guard_files

FILE_META = {"_type": "gradio.FileData"}


def name_of(file: str | None) -> str:
    return Path(file).name if file else "none"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        with gr.Blocks(analytics_enabled=False) as blocks:
            gr.File().change(name_of, gr.File(type="filepath"), gr.Textbox(), api_name="name_of", queue=False)
        outer = FastAPI(openapi_url=None)
        yield gr.mount_gradio_app(outer, guard_files(blocks), path="/", run_history=False, show_error=True)


def client(app: Any, address: str = "10.0.0.1") -> TestClient:
    return TestClient(app, base_url="http://localhost:7860", client=(address, 1))


def upload(to: TestClient, size: int = 10) -> int:
    return to.post("/gradio_api/upload", files={"files": ("a.bin", b"x" * size)}).status_code


def ask(page: FastAPI, path: str) -> Any:
    given = {"data": [{"path": path, "meta": FILE_META}]}
    return client(page).post("/gradio_api/run/name_of", json=given)


class Clock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now_s = 5_000.0

    def __call__(self) -> float:
        return self.now_s


class TestClosedDoors:
    @pytest.mark.parametrize("path", ["/openapi.json", "//openapi.json", "/openapi.json/"])
    def test_the_list_of_inner_addresses_is_not_served(self, page: FastAPI, path: str) -> None:
        assert client(CloseDoors(page)).get(f"http://localhost:7860{path}").status_code == 404

    def test_nor_are_recordings_converted(self, page: FastAPI) -> None:
        files = {"file": ("a.webm", b"x")}
        assert client(CloseDoors(page)).post("/gradio_api/process_recording", files=files).status_code == 404

    def test_the_page_and_what_programs_read_of_it_stay(self, page: FastAPI) -> None:
        for path in ("/", "/config", "/gradio_api/info"):
            assert client(CloseDoors(page)).get(path).status_code == 200

    def test_without_it_the_list_is_there(self, page: FastAPI) -> None:
        """Should this fail, Gradio has closed it itself."""
        assert client(page).get("/openapi.json").status_code == 200


class TestOtherOrigins:
    @pytest.mark.parametrize("path", ["/config", "/gradio_api/info", "/"])
    def test_no_other_page_reads_an_answer(self, page: FastAPI, path: str) -> None:
        address, origin = "http://192.168.0.2:7860", "https://evil.example"
        asked = {"origin": origin, "host": "192.168.0.2:7860"}
        assert client(page).get(path, headers=asked).headers["access-control-allow-origin"] == origin
        guarded = TestClient(SafeHeaders(page), base_url=address)
        answer = guarded.get(path, headers={"origin": origin})
        assert [name for name in answer.headers if name.startswith("access-control")] == []
        preflight = guarded.options(path, headers={"origin": origin, "access-control-request-method": "GET"})
        assert [name for name in preflight.headers if name.startswith("access-control")] == []
        own = guarded.get(path, headers={"origin": address})
        assert (own.status_code, own.headers["access-control-allow-origin"]) == (200, address)


class TestUploads:
    def test_one_address_uploads_so_often_in_a_minute(self, page: FastAPI) -> None:
        clock = Clock()
        app = LimitUploads(page, per_minute=3, clock=clock)
        assert [upload(client(app)) for _ in range(5)] == [200] * 3 + [429] * 2
        assert upload(client(app, "10.0.0.2")) == 200
        assert client(app).get("/config").status_code == 200
        clock.now_s += 19
        refused = client(app).post("/gradio_api/upload/", files={"files": b"x"})
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        clock.now_s += 1.1
        assert upload(client(app)) == 200

    def test_the_addresses_of_one_home_count_as_one(self, page: FastAPI) -> None:
        app = LimitUploads(page, per_minute=1, clock=Clock())
        answers = [upload(client(app, f"2001:db8:0:{net}::{host}")) for net, host in ((1, 1), (1, 2), (2, 1))]
        assert answers == [200, 429, 200]

    def test_all_together_upload_so_much_in_an_hour(self, page: FastAPI) -> None:
        clock = Clock()
        app = LimitUploads(page, bytes_per_hour=25_000, clock=clock)
        answers = [upload(client(app, f"10.0.1.{number}"), 10_000) for number in range(4)]
        assert answers == [200, 200, 429, 429]
        clock.now_s += 3_601
        assert upload(client(app), 10_000) == 200

    def test_nothing_too_large_and_nothing_of_unknown_size_is_read(self, page: FastAPI) -> None:
        app = LimitUploads(page, largest_bytes=1_000_000, clock=Clock())
        assert upload(client(app), 1_000_001) == 413
        untold = client(app).post("/gradio_api/upload", content=iter([b"x"]))
        assert untold.status_code == 411


class TestFilesOfVisitors:
    def test_what_was_uploaded_is_taken_by_its_path_or_its_address_here(self, page: FastAPI) -> None:
        [path] = client(page).post("/gradio_api/upload", files={"files": ("my cat.bin", b"x")}).json()
        for given in (path, f"http://localhost:7860/gradio_api/file={path.replace(' ', '%20')}"):
            answer = ask(page, given)
            assert answer.status_code == 200, answer.text
            assert answer.json()["data"] == [Path(path).name]

    @pytest.mark.parametrize(
        "address", ["https://example.org/a.jpg", "HTTP://127.0.0.1:9/a.jpg", "https://example.org/gradio_api/file="]
    )
    def test_no_address_is_fetched(self, page: FastAPI, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
        fetched = list[str]()

        async def fetch(url: str) -> Any:
            fetched.append(url)
            raise OSError(url)

        monkeypatch.setattr(processing_utils, "async_ssrf_protected_get", fetch)
        answer = ask(page, address)
        assert answer.status_code == 500
        assert "not fetched from addresses" in answer.text
        assert fetched == []

    @pytest.mark.parametrize(
        "path", ["x", "/etc/hostname", "../x", "", "a\0b", "~root/x", "http://localhost/gradio_api/file=/etc/hostname"]
    )
    def test_no_other_file_is_taken_and_nothing_told_of_where_it_was_looked_for(self, page: FastAPI, path: str) -> None:
        answer = ask(page, path)
        assert answer.status_code == 500
        assert "was not uploaded by a user" in answer.text
        assert str(Path.cwd()) not in answer.text

    def test_no_file_is_no_trouble(self, page: FastAPI) -> None:
        answer = client(page).post("/gradio_api/run/name_of", json={"data": [None]})
        assert answer.json()["data"] == ["none"]
