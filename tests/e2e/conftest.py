"""The sample library, built and indexed once for all tests by the real command."""

from __future__ import annotations

import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.conftest import Begun
from ui.cli.app import main

OFFLINE = {"HF_HUB_OFFLINE": "1", "COLUMNS": "80"}
Run = Callable[..., "Answer"]


@dataclass(frozen=True)
class Answer:
    """What a command printed, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Demo:
    """Where ``sceneseek demo`` put things, and what it said."""

    folder: Path
    output: str

    @property
    def library(self) -> Path:
        return self.folder / "library"

    @property
    def index(self) -> Path:
        return self.folder / "chroma_db"


def run_process(arguments: Sequence[object], folder: Path, **environment: str) -> Answer:
    """Run the installed ``sceneseek`` as a process of its own, as a person would, with no way to any model hub."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("sceneseek")), *map(str, arguments)],
        cwd=folder,
        env={**os.environ, **OFFLINE, **environment},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def run_here(arguments: Sequence[object], folder: Path, **environment: str) -> Answer:
    """Run ``sceneseek`` in this process: the same command, without importing PyTorch anew each time."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["sceneseek", *map(str, arguments)])
        for name, value in {**OFFLINE, **environment}.items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as leaving:
            main()
    return Answer(int(leaving.value.code or 0), _printed(out), _printed(err))


def _printed(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run ``sceneseek`` in this process, in a folder of the test's own."""
    return lambda *arguments, **environment: run_here(arguments, tmp_path, **environment)


def make_demo(folder: Path) -> Demo:
    """Build, index and search the sample library."""
    done = run_process(["demo", "--out", folder], folder)
    assert done.returncode == 0, done.stderr
    return Demo(folder, done.stdout)


@pytest.fixture(scope="session")
def demo(begun: Begun) -> Demo:
    return begun["demo"].result()


@dataclass(frozen=True)
class Served:
    """A server that ``sceneseek serve`` runs, and the folder whose index it shows."""

    address: str
    index: Path


def free_port() -> int:
    """A port nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(index: Path, folder: Path, *arguments: object) -> Iterator[Served]:
    """The real command, serving an index until the block ends; Ctrl-C ends it."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("sceneseek")), "serve", "--index", index, "--port", port, *arguments]
    log = folder / "serve.log"
    with log.open("w", encoding="utf-8") as output:
        server = subprocess.Popen(
            list(map(str, command)), cwd=folder, env={**os.environ, **OFFLINE}, stdout=output, stderr=output
        )
        try:
            _wait_for(port, server, log)
            yield Served(f"http://127.0.0.1:{port}", index)
        finally:
            server.send_signal(signal.SIGINT)
            try:
                server.wait(timeout=30)
            except subprocess.TimeoutExpired:
                server.kill()
                raise
    assert "Traceback" not in log.read_text(encoding="utf-8"), log.read_text(encoding="utf-8")


def _wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if server.poll() is not None:
            break
        time.sleep(0.1)
    raise AssertionError(log.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def served(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The sample library in the browser, for tests that do not change it."""
    with serving(demo.index, tmp_path_factory.mktemp("served")) as page:
        yield page


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser without a screen; not for the whole session, because its event loop would be in others' way."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--autoplay-policy=no-user-gesture-required",
            ],
        )
        yield browser
        browser.close()
