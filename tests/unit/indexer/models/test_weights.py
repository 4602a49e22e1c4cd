from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from indexer.core.errors import WeightsDamagedError, WeightsMissingError
from indexer.models.weights import HubFile, cached_path, can_download, digest_files, fetch, fetch_folder, loading
from tests.unit.indexer.models.tiny import save_in_hub_cache

FILE = HubFile("owner/name", "model.safetensors")


def test_a_cached_file_is_found(hub_cache: Path, tmp_path: Path) -> None:
    assert cached_path(FILE) is None
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "model.safetensors").write_text("weights")
    save_in_hub_cache(hub_cache, "owner/name", tmp_path / "source")
    found = cached_path(FILE)
    assert found is not None
    assert found.read_text() == "weights"
    assert fetch(FILE) == found
    assert fetch_folder("owner/name", ["model.safetensors"], ["*"]) == found.parent


def test_a_missing_file_names_the_file_the_command_and_the_way_without_a_network(hub_cache: Path) -> None:
    with pytest.raises(WeightsMissingError) as caught:
        fetch(FILE)
    text = str(caught.value)
    assert "'model.safetensors' of 'owner/name'" in text
    assert "hf download owner/name model.safetensors" in text
    assert "copy the model's folder" in text
    assert "HF_HUB_OFFLINE" in text


def test_offline_nothing_can_be_downloaded(hub_cache: Path) -> None:
    assert not can_download([FILE])


class Hub(BaseHTTPRequestHandler):
    """Answers the question that the Hub's client asks about a file; only model.safetensors is there."""

    def do_HEAD(self) -> None:
        self.send_response(200 if self.path.endswith("model.safetensors") else 404)
        self.send_header("X-Repo-Commit", "a" * 40)
        self.send_header("ETag", '"abc"')
        self.send_header("Content-Length", "3")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def ask(endpoint: str, cache: Path, expression: str) -> str:
    """What a new process answers: the Hub's address is read when its library is imported."""
    code = f"from indexer.models.weights import HubFile, can_download\nprint({expression})"
    taken = ("HF_HUB_OFFLINE", "HF_HUB_CACHE", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY")
    environment = {key: value for key, value in os.environ.items() if key not in taken}
    environment |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(cache), "NO_PROXY": "*"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    return run.stdout.strip()


def test_what_the_hub_offers_can_be_downloaded_and_nothing_else(hub: str, tmp_path: Path) -> None:
    there = "HubFile('owner/name', 'model.safetensors')"
    absent = "HubFile('owner/name', 'other.bin')"
    assert ask(hub, tmp_path, f"can_download([{there}]), can_download([{there}, {absent}])") == "True False"


def test_a_hub_that_never_answers_does_not_hold_anyone_up(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        assert ask(endpoint, tmp_path, "can_download([HubFile('owner/name', 'x')], deadline_s=0.5)") == "False"
        # The deadline, and the start of Python with the Hub's library on a busy machine.
        assert time.monotonic() - began < 10


def test_digests_follow_content_and_order_not_names(tmp_path: Path) -> None:
    for name, content in {"a": b"one", "b": b"one", "c": b"two"}.items():
        (tmp_path / name).write_bytes(content)
    a, b, c = (tmp_path / name for name in "abc")
    assert digest_files([a]) == digest_files([b]) != digest_files([c])
    assert digest_files([a, c]) != digest_files([c, a])
    assert len(digest_files([a])) == 32


def test_a_changed_file_has_another_digest(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    before = digest_files([path])
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert digest_files([path]) != before


def test_big_files_are_sampled_from_end_to_end(tmp_path: Path) -> None:
    path, size = tmp_path / "big", 300 * 2**20
    digests = set()
    for at in (0, size // 2, size - 1):
        with path.open("wb") as stream:
            stream.truncate(size)
            # A whole 3 MiB changes, as training changes everything; samples are 2.4 MiB apart.
            stream.seek(min(at, size - 3 * 2**20))
            stream.write(b"\1" * (3 * 2**20))
        os.utime(path, ns=(at + 1, at + 1))
        digests.add(digest_files([path]))
    assert len(digests) == 3


def test_the_digest_of_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissingError, match="gone"):
        digest_files([tmp_path / "gone"])


@pytest.mark.parametrize("error", [OSError("x"), RuntimeError("x"), ValueError("x"), KeyError("x"), EOFError()])
def test_failures_to_load_are_damage_with_the_place_named(error: Exception, tmp_path: Path) -> None:
    with pytest.raises(WeightsDamagedError, match="cannot be loaded") as caught, loading(tmp_path / "here"):
        raise error
    assert "here" in str(caught.value)
    assert caught.value.__cause__ is error


def test_errors_of_our_own_pass_through(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissingError, match="mine"), loading(tmp_path):
        raise WeightsMissingError("mine")
