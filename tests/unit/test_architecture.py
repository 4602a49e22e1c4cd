"""The house: which way imports point, who may import what, what importing costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import indexer.core.errors

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("indexer", "search", "ui")
HOMES = {
    "ai_edge_litert": "indexer/models/yamnet.py",
    "av": "indexer/media/",
    "chromadb": "indexer/store/chroma.py",
    "ctranslate2": "indexer/models/whisper.py",
    "faster_whisper": "indexer/models/",
    "fastapi": "ui/web/",
    "filelock": "indexer/store/lock.py",
    "gradio": "ui/web/",
    "gradio_client": "ui/web/",
    "jinja2": ("search/html.py",),
    "matplotlib": "search/evaluate/",
    "open_clip": "indexer/models/open_clip.py",
    "opentimelineio": "ui/export/",
    "pocketsphinx": "indexer/models/pocketsphinx.py",
    "pysubs2": "indexer/media/read/subtitles.py",
    "rapidocr_onnxruntime": "indexer/models/rapidocr.py",
    "rich": "ui/",
    "scenedetect": "indexer/shots/detect.py",
    "sentence_transformers": "indexer/models/sentence.py",
    "sklearn": ("indexer/shots/", "search/evaluate/action_figures.py"),
    "timm": "indexer/models/",
    "torch": "indexer/models/",
    "transformers": "indexer/models/",
    "typer": ("ui/cli/app.py", "ui/cli/evaluate.py", "ui/cli/options.py"),
    "ultralytics": "indexer/models/",
}
SEARCH_LAYERS = ("modalities", "moments", "query", "catalogue", "match", "rank", "confidence", "engine", "evaluate")
HEAVY = (
    "av",
    "chromadb",
    "ctranslate2",
    "cv2",
    "onnxruntime",
    "open_clip",
    "scenedetect",
    "sentence_transformers",
    "sklearn",
    "timm",
    "torch",
)


def sources() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module


@pytest.mark.parametrize("path", list(sources()), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_point_down_and_heavy_libraries_have_one_home(path: Path) -> None:
    where = path.relative_to(ROOT).as_posix()
    level = PACKAGES.index(where.split("/")[0])
    for name in imported(path):
        top = name.split(".")[0]
        assert top not in PACKAGES or PACKAGES.index(top) <= level, f"{where} imports {name}"
        assert where.startswith(HOMES.get(top, "")), f"{where} imports {name}"


def test_layers_of_search_import_only_lower_ones() -> None:
    for path in sorted((ROOT / "search").rglob("*.py")):
        own = path.relative_to(ROOT / "search").with_suffix("").parts[0]
        for name in imported(path):
            parts = name.split(".")
            if own in SEARCH_LAYERS and parts[0] == "search" and parts[1] in SEARCH_LAYERS:
                assert SEARCH_LAYERS.index(parts[1]) <= SEARCH_LAYERS.index(own), f"{path} imports {name}"


@pytest.mark.parametrize(
    "module",
    [
        "indexer.core.types",
        "indexer.config",
        "indexer.models.profiles",
        "indexer.store",
        "search.engine",
        "ui.cli.app",
    ],
)
def test_importing_is_light(module: str) -> None:
    code = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_every_error_is_ours_and_has_an_exit_code() -> None:
    errors = [one for one in vars(indexer.core.errors).values() if isinstance(one, type)]
    assert all(issubclass(error, indexer.core.errors.SceneseekError) for error in errors)
    assert {error.exit_code for error in errors} == {1, 2, 3}


def test_no_registry_and_no_machine_is_named_in_any_file() -> None:
    names = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True, cwd=ROOT).stdout.split("\n")
    for name in ("pyproject.toml", "constraints.txt", "Makefile"):
        assert name in names
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "index-url" not in text
        assert "find-links" not in text
        assert "://" not in text or name == "pyproject.toml"
