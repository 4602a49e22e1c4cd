"""Serving media: whole files in ranges, streams, thumbnails and clips; and everything that is not served."""

from __future__ import annotations

import io
import os
import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI, HTTPException, Request
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from indexer.core.types import Video
from indexer.media.deliver.write import ClipOptions, write_clip
from indexer.store import open_store
from indexer.store.base import Commit, Location, Manifest
from indexer.store.thumbnails import ThumbnailFolder
from ui.services.context import Context
from ui.services.library import Library
from ui.web.byte_ranges import file_response, requested_range
from ui.web.media import Media

RATE = 25
FRAMES = 50
INVISIBLE = {"pending": "11" * 16, "failed": "22" * 16}


@dataclass
class Films:
    """A folder of films and the index that names them."""

    folder: Path
    index: Path
    ids: dict[str, str] = field(default_factory=dict)

    def path(self, name: str) -> Path:
        return self.folder / name

    def address(self, name: str) -> str:
        return f"/media/{self.ids[name]}"


def film(path: Path, **options: object) -> Path:
    """Two seconds in which every frame's grey tells its number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = [np.full((48, 64, 3), 20 + 4 * i, np.uint8) for i in range(FRAMES)]
    write_clip(path, pictures, options=ClipOptions(**{"gop": 10, "preset": "ultrafast", **options}))  # type: ignore[arg-type]
    return path


OLD_CODEC = {"codec": "mpeg4", "crf": None, "bitrate": 900_000, "preset": None}
NAMES = (
    "direct.mp4",
    "remux.mkv",
    "old.avi",
    "vanished.mp4",
    "changed.mp4",
    "folder.mp4",
    "pipe.mp4",
    "linked-out.mp4",
    "linked-inside.mp4",
    "linked-before.mp4",
    "linked-then-swapped.mp4",
    "text.mp4",
    "twice.mp4",
    "Ein „Film“: 100% süß\n.mp4",
)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Films:
    """Indexed, and then changed behind the index's back."""
    base = tmp_path_factory.mktemp("films")
    made = Films(base / "films", base / "index")
    first = film(made.path("direct.mp4"))
    film(made.path("remux.mkv"))
    film(made.path("old.avi"), **OLD_CODEC)
    outside = shutil.copy(first, base / "outside.mp4")
    for name in NAMES:
        if name.startswith(("linked-before", "linked-then")):
            made.path(name).symlink_to(outside)
        elif not made.path(name).exists():
            shutil.copy(first, made.path(name))
    shutil.copy(first, base / "copy.mp4")
    write_index(made, base)
    tamper(made, base)
    return made


def write_index(films: Films, base: Path) -> None:
    store = open_store(films.index, create=True)
    store.write_manifest(Manifest("embedded", {}, "2026-01-01T00:00:00Z"))
    for number, name in enumerate(NAMES):
        video_id = films.ids[name] = f"{number + 1000:032x}"
        commit(store, video_id, films.path(name), films.folder, *([base / "copy.mp4"] if name == "twice.mp4" else []))
    for state, video_id in INVISIBLE.items():
        commit(store, video_id, films.path("direct.mp4"), films.folder, state=state)
    ThumbnailFolder(films.index).save(films.ids["direct.mp4"], 1.0, np.full((48, 64, 3), 200, np.uint8))
    store.close()


def commit(store: object, video_id: str, path: Path, root: Path, *copies: Path, state: str = "committed") -> None:
    facts = path.stat()
    video = Video(video_id, path, facts.st_size, facts.st_mtime_ns, 2.0, Fraction(RATE), 64, 48, False)
    places = [Location(path, root, facts.st_size, facts.st_mtime_ns)]
    places += [Location(copy, copy, copy.stat().st_size, copy.stat().st_mtime_ns) for copy in copies]
    store.write_commit(Commit(video, state, tuple(places)))  # type: ignore[attr-defined]


def tamper(films: Films, base: Path) -> None:
    secret = base / "secret.mp4"
    film(secret, gop=5)
    for name in ("vanished", "folder", "pipe", "linked-out", "linked-inside", "linked-then-swapped", "twice"):
        films.path(f"{name}.mp4").unlink()
    film(films.path("changed.mp4"), gop=7)
    films.path("folder.mp4").mkdir()
    os.mkfifo(films.path("pipe.mp4"))
    films.path("linked-out.mp4").symlink_to(secret)
    films.path("linked-then-swapped.mp4").symlink_to(secret)
    films.path("linked-inside.mp4").symlink_to(films.path("direct.mp4"))
    films.path("text.mp4").write_text("no video, only words")


@pytest.fixture(scope="module")
def library(films: Films) -> Iterator[Library]:
    opened = Library(Context.load(None, films.index))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def client(library: Library) -> Iterator[TestClient]:
    app = FastAPI()
    app.include_router(Media(library).router())
    with TestClient(app, raise_server_exceptions=True) as connected:
        yield connected


@pytest.fixture
def content(films: Films) -> bytes:
    return films.path("direct.mp4").read_bytes()


def test_a_file_is_sent_whole(client: TestClient, films: Films, content: bytes) -> None:
    answer = client.get(films.address("direct.mp4"))
    assert (answer.status_code, answer.content) == (200, content)
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["content-length"] == str(len(content))
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "private" in answer.headers["cache-control"]


def test_head_says_what_get_would(client: TestClient, films: Films) -> None:
    told, sent = client.head(films.address("direct.mp4")), client.get(films.address("direct.mp4"))
    assert (told.status_code, told.content) == (200, b"")
    assert dict(told.headers) == dict(sent.headers)


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-99", 0, 99),
        ("bytes=100-", 100, -1),
        ("bytes=-77", -77, -1),
        ("bytes=5-5", 5, 5),
        ("Bytes=9-12", 9, 12),
    ],
)
def test_a_part_is_sent(client: TestClient, films: Films, content: bytes, asked: str, first: int, last: int) -> None:
    size = len(content)
    answer = client.get(films.address("direct.mp4"), headers={"range": asked})
    assert answer.status_code == 206
    assert answer.content == content[first % size : last % size + 1]
    assert answer.headers["content-range"] == f"bytes {first % size}-{last % size}/{size}"
    assert answer.headers["content-length"] == str(len(answer.content))


@pytest.mark.parametrize("asked", ["bytes={size}-", "bytes={size}-{size}", "bytes=-0", "bytes=999999999999-"])
def test_what_lies_behind_the_end_is_refused(client: TestClient, films: Films, content: bytes, asked: str) -> None:
    answer = client.get(films.address("direct.mp4"), headers={"range": asked.format(size=len(content))})
    assert (answer.status_code, answer.content) == (416, b"")
    assert answer.headers["content-range"] == f"bytes */{len(content)}"


@pytest.mark.parametrize(
    "asked", ["bytes=0-1,5-6", "bytes=9-3", "bytes=-", "bytes=a-b", "seconds=0-1", "bytes", "bytes=1_0-", "bytes=²-3"]
)
def test_other_ranges_are_ignored(client: TestClient, films: Films, content: bytes, asked: str) -> None:
    answer = client.get(films.address("direct.mp4"), headers={"range": asked.encode("utf-8")})
    assert (answer.status_code, answer.content) == (200, content)


@given(size=st.integers(1, 1000), first=st.integers(0, 1200), last=st.integers(0, 1200))
def test_ranges_lie_within_the_file(size: int, first: int, last: int) -> None:
    everything = range(size)
    assert requested_range(f"bytes={first}-", size) == everything[first:]
    between = requested_range(f"bytes={first}-{last}", size)
    assert between == (everything[first : last + 1] if first <= last else None)
    assert requested_range(f"bytes=-{last}", size) == everything[max(0, size - last) :]


def test_a_part_of_another_version_is_sent_whole(client: TestClient, films: Films, content: bytes) -> None:
    address = films.address("direct.mp4")
    known = client.head(address).headers
    for same in (known["etag"], known["last-modified"]):
        assert client.get(address, headers={"range": "bytes=0-9", "if-range": same}).status_code == 206
    other = client.get(address, headers={"range": "bytes=0-9", "if-range": '"another"'})
    assert (other.status_code, other.content) == (200, content)


def test_what_is_known_is_not_sent_again(client: TestClient, films: Films) -> None:
    address = films.address("direct.mp4")
    answer = client.get(address, headers={"if-none-match": client.head(address).headers["etag"]})
    assert (answer.status_code, answer.content) == (304, b"")


@pytest.mark.parametrize(
    "guess",
    [
        "0" * 32,
        "..%2F..%2Fetc%2Fpasswd",
        "%2e%2e",
        "../../../etc/passwd",
        "%2Fetc%2Fpasswd",
        "direct.mp4",
        "a%00b",
        "{id}%00",
        "{id}%20",
        "{upper}",
        *INVISIBLE.values(),
    ],
)
@pytest.mark.parametrize("rest", ["", "/info", "/stream.mp4", "/picture.jpg", "/clip?start=0&end=1"])
def test_only_the_exact_ids_are_answered(client: TestClient, films: Films, guess: str, rest: str) -> None:
    # An id with letters, so that its upper case is another text.
    guess = guess.format(id=films.ids["direct.mp4"], upper="000000000000000000000000000003E8")
    assert client.get(f"/media/{guess}{rest}").status_code == 404


def test_a_films_own_name_leads_nowhere(client: TestClient, films: Films) -> None:
    assert client.get(f"/media/{films.path('direct.mp4')}").status_code == 404


@pytest.mark.parametrize(
    ("name", "status", "message"),
    [
        ("vanished.mp4", 410, "vanished.mp4 is no longer where it was indexed."),
        ("folder.mp4", 410, "folder.mp4 is no longer a file."),
        ("pipe.mp4", 410, "pipe.mp4 is no longer a file."),
        ("linked-out.mp4", 403, "linked-out.mp4 now leads out of the folder that was indexed."),
        ("linked-then-swapped.mp4", 403, "linked-then-swapped.mp4 now leads out of the folder that was indexed."),
    ],
)
@pytest.mark.parametrize("rest", ["", "/info", "/stream.mp4", "/clip?start=0&end=1"])
def test_what_has_become_something_else_is_refused(
    client: TestClient, films: Films, name: str, status: int, message: str, rest: str
) -> None:
    answer = client.get(films.address(name) + rest)
    assert (answer.status_code, answer.json()["detail"]) == (status, message)


@pytest.mark.parametrize("rest", ["", "/info", "/stream.mp4", "/clip?start=0&end=1"])
def test_a_message_names_no_folder(client: TestClient, films: Films, rest: str) -> None:
    answer = client.get(films.address("text.mp4") + rest)
    assert answer.status_code == 415
    assert "text.mp4" in answer.text
    assert str(films.folder) not in answer.text


@pytest.mark.parametrize("name", ["linked-before.mp4", "linked-inside.mp4", "twice.mp4"])
def test_links_that_lead_to_what_was_indexed_are_followed(
    client: TestClient, films: Films, content: bytes, name: str
) -> None:
    assert client.get(films.address(name)).content == content


def test_a_link_put_in_place_after_the_check_is_not_followed(films: Films, tmp_path: Path) -> None:
    link = tmp_path / "film.mp4"
    link.symlink_to(films.path("direct.mp4"))
    request = Request({"type": "http", "method": "GET", "headers": []})
    with pytest.raises(HTTPException) as refused:
        file_response(request, link, "video/mp4")
    assert refused.value.status_code == 410


def test_a_device_is_not_served(films: Films, client: TestClient) -> None:
    path = films.path("vanished.mp4")
    path.symlink_to("/dev/zero")
    try:
        assert client.get(films.address("vanished.mp4")).status_code == 410
    finally:
        path.unlink()


def test_a_changed_file_is_said_to_have_changed(client: TestClient, films: Films) -> None:
    assert client.get(films.address("changed.mp4") + "/info").json()["is_changed"] is True
    assert client.get(films.address("changed.mp4")).content == films.path("changed.mp4").read_bytes()
    assert client.get(films.address("direct.mp4") + "/info").json()["is_changed"] is False


def test_info_says_how_to_play(client: TestClient, films: Films) -> None:
    assert client.get(films.address("direct.mp4") + "/info").json() == {
        "duration_s": 2.0,
        "way": "direct",
        "mime": "video/mp4",
        "src": films.address("direct.mp4"),
        "reason": "",
        "title": "direct",
        "stream_start_s": 0.0,
        "has_picture": True,
        "has_sound": False,
        "is_changed": False,
    }
    told = client.get(films.address("remux.mkv") + "/info?start=1").json()
    assert (told["way"], told["stream_start_s"]) == ("remux", pytest.approx(20 / RATE))
    assert told["src"] == films.address("remux.mkv") + "/stream.mp4?start=1.000"
    assert told["reason"] == "Browsers do not play Matroska files."
    told = client.get(films.address("old.avi") + "/info?start=1").json()
    assert (told["way"], told["stream_start_s"]) == ("transcode", 1.0)
    told = client.get(films.address("direct.mp4") + "/info?start=1&way=transcode").json()
    assert (told["way"], told["stream_start_s"]) == ("transcode", 1.0)
    assert told["src"].endswith("?start=1.000&way=transcode")


def numbers_in(content: bytes) -> list[int]:
    with av.open(io.BytesIO(content)) as container:
        frames = [float(frame.to_ndarray(format="gray").mean()) for frame in container.decode(video=0)]
    return [round((grey - 20) / 4) for grey in frames]


@pytest.mark.parametrize(("name", "first"), [("remux.mkv", 20), ("old.avi", 25), ("direct.mp4", 20)])
def test_a_stream_begins_where_info_says(client: TestClient, films: Films, name: str, first: int) -> None:
    answer = client.get(films.address(name) + "/stream.mp4?start=1")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")
    assert numbers_in(answer.content) == list(range(first, FRAMES))
    assert client.head(films.address(name) + "/stream.mp4?start=1").content == b""


@pytest.mark.parametrize("start", ["-1", "nan", "inf", "x", "1e99"])
def test_a_start_is_a_second(client: TestClient, films: Films, start: str) -> None:
    assert client.get(films.address("old.avi") + f"/stream.mp4?start={start}").status_code == 422


def test_a_start_behind_the_end_is_refused(client: TestClient, films: Films) -> None:
    answer = client.get(films.address("old.avi") + "/stream.mp4?start=99")
    assert (answer.status_code, answer.json()["detail"]) == (400, "old.avi has ended before 99.0 s.")


def test_a_thumbnail_is_sent(client: TestClient, films: Films) -> None:
    answer = client.get(films.address("direct.mp4") + "/picture.jpg?t=1.5")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    assert answer.content[:2] == b"\xff\xd8"
    assert client.get(films.address("remux.mkv") + "/picture.jpg?t=1").status_code == 404
    assert client.get(films.address("direct.mp4") + "/picture.jpg?t=nan").status_code == 422


def test_a_clip_is_sent_and_nothing_left_behind(
    client: TestClient, films: Films, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    answer = client.get(films.address("remux.mkv") + "/clip?start=1&end=1.6")
    assert answer.status_code == 200
    assert numbers_in(answer.content) == list(range(20, 40))
    assert answer.headers["content-disposition"].startswith('attachment; filename="remux 0.00.01.mkv"')
    assert float(answer.headers["x-clip-start"]) == pytest.approx(0.8)
    assert list(tmp_path.iterdir()) == []


def test_a_clips_name_is_safe(client: TestClient, films: Films) -> None:
    answer = client.get(films.address(NAMES[-1]) + "/clip?start=0&end=1")
    told = answer.headers["content-disposition"]
    assert re.fullmatch(r"""attachment; filename="[\w .%_]+\.mp4"; filename\*=UTF-8''[\w.%]+""", told), told
    assert "s%C3%BC%C3%9F" in told


@pytest.mark.parametrize(("span", "status"), [("start=1&end=1", 400), ("start=0&end=601", 400), ("start=0", 422)])
def test_a_clip_has_a_length(client: TestClient, films: Films, span: str, status: int) -> None:
    assert client.get(films.address("direct.mp4") + f"/clip?{span}").status_code == status


@pytest.mark.parametrize("start", [2.0, 2.5, 1000.0])
def test_a_clip_begins_before_the_end(client: TestClient, films: Films, start: float) -> None:
    answer = client.get(films.address("direct.mp4") + f"/clip?start={start}&end={start + 1}")
    assert (answer.status_code, "has ended" in answer.json()["detail"]) == (400, True)


def test_without_an_index_there_is_nothing(tmp_path: Path) -> None:
    app = FastAPI()
    app.include_router(Media(Library(Context.load(None, tmp_path / "none"))).router())
    assert TestClient(app).get("/media/" + "0" * 32).status_code == 404


@contextmanager
def serving(media: Media) -> Iterator[str]:
    """A real server; its address."""
    app = FastAPI()
    app.include_router(media.router())
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join(timeout=10)
    assert not thread.is_alive()


@pytest.fixture
def served(films: Films, library: Library) -> Iterator[str]:
    """A real server that converts two films at a time, one for each visitor; its address."""
    film_of_noise(films)
    with serving(Media(library, transcodes=2)) as address:
        yield address


def film_of_noise(films: Films) -> Path:
    """In place of the old film one whose stream is larger than what a connection buffers."""
    path = films.path("old.avi")
    picture = np.random.default_rng(1).integers(0, 255, (240, 320, 3), np.uint8)
    options = ClipOptions(codec="mjpeg", pixel_format="yuvj420p", crf=None, bitrate=20_000_000)
    write_clip(path, (np.roll(picture, 3 * i, axis=1) for i in range(300)), options=options)
    return path


def is_open(path: Path) -> bool:
    """Whether this very process holds the file open."""
    return any(entry.exists() and entry.resolve() == path for entry in Path("/proc/self/fd").iterdir())


def from_address(address: str) -> dict[str, str]:
    """The headers of a request that a proxy on this computer passes on for somebody else."""
    return {"x-forwarded-for": address}


def test_so_many_are_converted_at_a_time(served: str, films: Films) -> None:
    address = f"{served}{films.address('old.avi')}/stream.mp4"
    with httpx.Client() as browser:
        with (
            browser.stream("GET", address, headers=from_address("10.0.0.1")) as first,
            browser.stream("GET", address, headers=from_address("10.0.0.2")) as second,
        ):
            for stream in (first, second):
                assert stream.status_code == 200
                next(stream.iter_bytes())
            assert is_open(films.path("old.avi"))
            third = browser.get(address, headers=from_address("10.0.0.3"))
            assert (third.status_code, third.headers["retry-after"]) == (503, "10")
            assert "Too many videos" in third.json()["detail"]
            # What needs no conversion is sent all the same.
            assert browser.get(f"{served}{films.address('direct.mp4')}").status_code == 200
        # They have left: their places are free, and the file closed.
        assert wait_for(lambda: browser.head(address).status_code == 200)
    assert wait_for(lambda: not is_open(films.path("old.avi")))


def test_one_visitor_leaves_places_for_others(served: str, films: Films) -> None:
    address = f"{served}{films.address('old.avi')}/stream.mp4"
    home, neighbour, other = (from_address(text) for text in ("2001:db8::1", "2001:db8::2:1", "2001:db8:0:1::1"))
    with httpx.Client() as browser, browser.stream("GET", address, headers=home) as first:
        next(first.iter_bytes())
        for ask in (browser.get, browser.head):
            again = ask(address, headers=neighbour)
            assert (again.status_code, again.headers["retry-after"]) == (503, "2")
        assert "for you already" in browser.get(address, headers=home).json()["detail"]
        clip = f"{served}{films.address('direct.mp4')}/clip?start=0&end=1"
        assert [browser.get(clip, headers=whose).status_code for whose in (home, other)] == [503, 200]
        with browser.stream("GET", address, headers=other) as second:
            assert second.status_code == 200


def test_head_converts_nothing(client: TestClient, films: Films, library: Library) -> None:
    def refuse(*_: object, **__: object) -> Any:
        raise AssertionError("HEAD is answered without any work")

    app = FastAPI()
    app.include_router(Media(library, stream=refuse, cut=refuse).router())
    idle = TestClient(app)
    stream, clip = (films.address("remux.mkv") + rest for rest in ("/stream.mp4?start=1", "/clip?start=1&end=1.6"))
    sent = {address: client.get(address).headers for address in (stream, clip)}
    for address, headers in sent.items():
        told = idle.head(address)
        assert (told.status_code, told.content) == (200, b"")
        assert set(told.headers) <= set(headers)
        assert dict(told.headers) == {name: headers[name] for name in told.headers}
        assert {"content-type", "cache-control", "x-content-type-options"} <= set(told.headers)
    assert idle.head(films.address("text.mp4") + "/stream.mp4").status_code == 415
    assert idle.head(films.address("vanished.mp4") + "/clip?start=0&end=1").status_code == 410


def wait_for(condition: object, patience_s: float = 5.0) -> bool:
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.05)
    return False


def test_who_takes_nothing_makes_room(films: Films, library: Library) -> None:
    film_of_noise(films)
    with serving(Media(library, transcodes=2, stalled_s=0.2)) as served, httpx.Client() as browser:
        address = f"{served}{films.address('old.avi')}/stream.mp4"
        with browser.stream("GET", address) as first:
            next(first.iter_bytes())
            assert wait_for(lambda: browser.head(address).status_code == 200)
            with browser.stream("GET", address) as second:
                assert second.status_code == 200
                assert next(second.iter_bytes())
