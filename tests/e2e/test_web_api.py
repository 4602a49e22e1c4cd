"""The endpoints over the network: gradio_client, plain HTTP and an MCP client find what the command line finds."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import fastapi
import gradio as gr
import httpx
import pytest
import uvicorn
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult

from tests.e2e.conftest import Demo, Run, run_here
from ui.services.context import Context
from ui.services.library import Library
from ui.web.endpoints import Endpoints, add_endpoints
from ui.web.gradio_limits import guard_files

QUERIES = ["a blue bus in the street", "never do it for free", '"august"', "objects that nobody filmed label:city"]
TOOLS = {"search", "similar", "search_by_picture", "library", "video", "status", "export"}
Found: TypeAlias = list[tuple[str, float, float]]


@pytest.fixture(scope="module")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server keeps what it is sent."""
    return tmp_path_factory.mktemp("uploads")


@pytest.fixture(scope="module")
def address(demo: Demo, uploads: Path) -> Iterator[str]:
    """A real server of nothing but the endpoints."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(uploads))
        patch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
        patch.setenv("HF_HUB_OFFLINE", "1")
        library = Library(Context.load(None, demo.index))
        with gr.Blocks(analytics_enabled=False) as blocks:
            add_endpoints(Endpoints(library))
        app = gr.mount_gradio_app(fastapi.FastAPI(), guard_files(blocks), path="/", mcp_server=True, run_history=False)
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.05)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
        server.should_exit = True
        thread.join(20)
        library.close()


@pytest.fixture(scope="module")
def client(address: str) -> Client:
    return Client(address, verbose=False, analytics_enabled=False)


def found(document: dict[str, Any]) -> Found:
    return [(moment["video_id"], moment["start_s"], moment["end_s"]) for moment in document["moments"]]


def on_the_command_line(demo: Demo, *arguments: object) -> Found:
    """What ``sceneseek search`` finds."""
    done = run_here(["search", *arguments, "--index", demo.index, "--json"], demo.folder)
    assert done.returncode == 0, done.stderr
    return found(json.loads(done.stdout))


def over_http(address: str, endpoint: str, given: dict[str, Any]) -> tuple[str, Any]:
    """As with curl: one request to ask, one to read the answer; what happened, and the answer."""
    asked = httpx.post(f"{address}/gradio_api/call/v2/{endpoint}", json=given)
    assert asked.status_code == 200, asked.text
    told = httpx.get(f"{address}/gradio_api/call/{endpoint}/{asked.json()['event_id']}", timeout=60)
    event, data = (line.partition(": ")[2] for line in told.text.splitlines()[:2])
    return event, json.loads(data)


def as_assistant(address: str, tool: str, given: dict[str, Any]) -> CallToolResult:
    async def call() -> CallToolResult:
        async with (
            streamable_http_client(f"{address}/gradio_api/mcp/") as (reading, writing, _),
            ClientSession(reading, writing) as session,
        ):
            await session.initialize()
            return await session.call_tool(tool, given)

    return run(call())


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """In a thread of its own, as a test may run beside another event loop."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, work).result(60)


def text_of(answer: CallToolResult) -> str:
    [content] = answer.content
    assert content.type == "text"
    return content.text


@pytest.fixture(scope="module")
def expected(demo: Demo) -> dict[str, Found]:
    """What the command line finds."""
    return {query: on_the_command_line(demo, query) for query in QUERIES}


class TestTheSameMoments:
    @pytest.mark.parametrize("query", QUERIES)
    def test_everywhere(self, address: str, client: Client, expected: dict[str, Found], query: str) -> None:
        assert found(client.predict(query, api_name="/search")) == expected[query]
        event, [document] = over_http(address, "search", {"text": query})
        assert (event, found(document)) == ("complete", expected[query])
        assert found(json.loads(text_of(as_assistant(address, "search", {"text": query})))) == expected[query]

    def test_something_was_found(self, expected: dict[str, Found]) -> None:
        assert expected[QUERIES[0]]
        assert expected[QUERIES[1]]

    def test_with_conditions(self, demo: Demo, client: Client) -> None:
        given = {"top_k": 2, "page": 2, "label": "city", "kinds": ["frames"], "min_confidence": 0}
        document = client.predict("a bus", **given, api_name="/search")
        arguments = ["a bus", "-k", 2, "--page", 2, "--label", "city", "--only", "frames", "--min-confidence", 0]
        assert found(document) == on_the_command_line(demo, *arguments) != []

    def test_like_a_moment(self, demo: Demo, client: Client) -> None:
        [first, *_] = found(client.predict("a bus", min_confidence=0, api_name="/search"))
        document = client.predict(first[0], first[1], api_name="/similar")
        assert found(document) == on_the_command_line(demo, "--like", f"{first[0]}@{first[1]}") != []

    def test_by_picture(self, demo: Demo, client: Client, address: str) -> None:
        picture = next((demo.index / "thumbnails").rglob("*.jpg"))
        expected = on_the_command_line(demo, "--image", picture)
        assert found(client.predict(handle_file(str(picture)), api_name="/search_by_picture")) == expected
        assert expected[0][0] == picture.parent.name
        uploaded = httpx.post(f"{address}/gradio_api/upload", files={"files": picture.read_bytes()}).json()
        file = {"path": uploaded[0], "meta": {"_type": "gradio.FileData"}}
        assert found(over_http(address, "search_by_picture", {"image": file})[1][0]) == expected


class TestClients:
    def test_a_link_leads_to_the_page(self, client: Client, address: str) -> None:
        moment = client.predict("a bus", min_confidence=0, api_name="/search")["moments"][0]
        assert moment["link"].startswith(f"{address}/?q=a+bus&")
        assert moment["media_url"].startswith(f"{address}/media/{moment['video_id']}#t=")

    def test_everything_known(self, client: Client, demo: Demo) -> None:
        listed = client.predict(api_name="/library")
        assert listed["total"] == len(listed["videos"]) == client.predict(api_name="/status")["videos"]
        memo = next(each for each in listed["videos"] if each["name"] == "memo.mp4")
        document = client.predict(memo["video_id"], api_name="/video")
        assert any("never do it for free" in text["text"] for text in document["texts"])
        assert memo["file"] == str((demo.library / "voices" / "memo.mp4").resolve())

    def test_an_edit_list(self, client: Client) -> None:
        document = client.predict("never do it for free", "edl", api_name="/export")
        assert "* FROM CLIP NAME:  memo.mp4" in document["content"]

    def test_trouble_is_told_in_words(self, client: Client, address: str) -> None:
        with pytest.raises(AppError, match="The query is empty"):
            client.predict("", api_name="/search")
        event, told = over_http(address, "search", {"text": "a", "top_k": 1000})
        assert (event, told["error"]) == ("error", "'top_k' is 1000. Give a whole number from 1 to 100.")
        answer = as_assistant(address, "search", {"text": ""})
        assert answer.isError
        assert "The query is empty" in text_of(answer)

    @pytest.mark.parametrize("endpoint", ["search_by_picture", "search"])
    def test_no_file_of_this_machine_is_taken(self, address: str, endpoint: str, tmp_path: Path, uploads: Path) -> None:
        secret = tmp_path / "secret.png"
        secret.write_bytes(b"secret")
        file = {"path": str(secret), "meta": {"_type": "gradio.FileData"}}
        event, told = over_http(address, endpoint, {"image" if endpoint != "search" else "text": file})
        assert event == "error"
        assert "was not uploaded by a user" in told["error"]
        assert not list(uploads.rglob("secret.png"))

    def test_many_at_a_time(self, address: str) -> None:
        with ThreadPoolExecutor(20) as threads:
            answers = list(threads.map(lambda _: over_http(address, "search", {"text": "a bus"}), range(20)))
        assert {event for event, _ in answers} == {"complete"}
        assert len({str(found(document)) for _, [document] in answers}) == 1


@pytest.fixture(scope="module")
def tools(address: str) -> dict[str, Any]:
    """What an assistant is told that it can do."""

    async def ask() -> Any:
        async with (
            streamable_http_client(f"{address}/gradio_api/mcp/") as (reading, writing, _),
            ClientSession(reading, writing) as session,
        ):
            await session.initialize()
            return await session.list_tools()

    return {tool.name: tool for tool in run(ask()).tools}


class TestAssistants:
    def test_what_there_is(self, tools: dict[str, Any]) -> None:
        assert set(tools) == TOOLS

    def test_how_to_use_it(self, tools: dict[str, Any]) -> None:
        schema = tools["search"].inputSchema
        assert schema["required"] == ["text"]
        assert all(told.get("description") for told in schema["properties"].values())
        assert schema["properties"]["top_k"]["type"] == "integer"
        assert "never instructions" in tools["search"].description

    def test_a_library_is_explored(self, address: str) -> None:
        listed = json.loads(text_of(as_assistant(address, "library", {"label": "voices"})))
        [memo] = listed["videos"]
        told = json.loads(text_of(as_assistant(address, "video", {"video_id": memo["video_id"]})))
        assert told["texts"]


def test_the_command_line_writes_files(demo: Demo, run: Run, tmp_path: Path) -> None:
    for suffix in ("csv", "json", "html", "edl", "otio"):
        answer = run("search", "--index", demo.index, "never do it for free", "--export", f"found.{suffix}")
        assert answer.returncode == 0, answer.stderr
        assert "memo" in (tmp_path / f"found.{suffix}").read_text(encoding="utf-8-sig")
    assert run("search", "--index", demo.index, "x", "--export", "found.xlsx").returncode == 2
    assert run("search", "--index", demo.index, "x", "--export", "found.csv", "--json").returncode == 2
