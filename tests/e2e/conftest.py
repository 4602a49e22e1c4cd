"""The sample library, built and indexed once for all tests by the real command."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from ui.cli import main

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
        timeout=300,
        check=False,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``sceneseek`` in this process: the same command, without importing PyTorch anew each time."""

    def run_here(*arguments: object, **environment: str) -> Answer:
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path)
            patch.setattr(sys, "argv", ["sceneseek", *map(str, arguments)])
            for name, value in {**OFFLINE, **environment}.items():
                patch.setenv(name, value)
            capsys.readouterr()
            with pytest.raises(SystemExit) as leaving:
                main()
        printed = capsys.readouterr()
        return Answer(int(leaving.value.code or 0), printed.out, printed.err)

    return run_here


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    folder = tmp_path_factory.mktemp("demo")
    done = run_process(["demo", "--out", folder], folder)
    assert done.returncode == 0, done.stderr
    return Demo(folder, done.stdout)
