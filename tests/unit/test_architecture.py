"""The house: which way imports point, who may import what, what importing costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import indexer.core.errors

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("indexer", "search", "ui", "sceneseek")
# The rooms of each package: one imports only those named before it.
ROOMS = {
    "indexer": (
        *("core", "corpus", "media", "shots", "models", "store", "modalities", "config", "progress"),
        *("plan", "manifest", "video", "map_videos", "run", "maintenance"),
    ),
    "search": (
        *("html", "modalities", "moments", "query", "catalogue", "match", "rank", "confidence", "engine", "evaluate"),
    ),
    "ui": ("services", "export", "demo", "web", "server", "cli"),
}
# The command line and the page know nothing of each other; ``ui.server`` brings them together.
STRANGERS = (("ui.cli", "ui.web"), ("ui.export", "ui.demo"), ("ui.web", "ui.demo"))
HOMES = {
    "ai_edge_litert": "indexer/models/yamnet.py",
    "av": "indexer/media/",
    "chromadb": "indexer/store/chroma.py",
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
    "sklearn": ("indexer/shots/", "search/evaluate/actions.py"),
    "timm": "indexer/models/",
    "torch": "indexer/models/",
    "transformers": "indexer/models/",
    "typer": ("ui/cli/app.py", "ui/cli/evaluate.py", "ui/cli/options.py"),
    "ultralytics": "indexer/models/",
}
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
    """Every module that a file imports, also lazily, and every name that may be one."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


IMPORTS = {module_of(path): set(imported(path)) for path in sources()}


def room(module: str) -> str:
    return ".".join(module.split(".")[:2])


def test_packages_import_downwards_only() -> None:
    for module, names in IMPORTS.items():
        level = PACKAGES.index(module.split(".")[0])
        upwards = {name for name in names if name.split(".")[0] in PACKAGES[level + 1 :]}
        assert not upwards, f"{module} imports {upwards}"


def test_rooms_import_downwards_only() -> None:
    order = {f"{package}.{name}": place for package, names in ROOMS.items() for place, name in enumerate(names)}
    assert {room(module) for module in IMPORTS if module.count(".")} - {"sceneseek.__init__"} == order.keys()
    for module, names in IMPORTS.items():
        package = module.split(".")[0]
        for name in names:
            if room(name) in order and name.split(".")[0] == package:
                assert order[room(name)] <= order.get(room(module), -1), f"{module} imports {name}"


def test_command_line_and_page_do_not_import_each_other() -> None:
    for module, names in IMPORTS.items():
        for one, other in STRANGERS:
            assert not (room(module) == one and any(room(name) == other for name in names)), f"{module} and {other}"
            assert not (room(module) == other and any(room(name) == one for name in names)), f"{module} and {one}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    left = {module: {name for name in names if name in IMPORTS and name != module} for module, names in IMPORTS.items()}
    while free := [module for module, names in left.items() if not names & left.keys()]:
        for module in free:
            del left[module]
    assert not left, f"a circle among {sorted(left)}"


def test_heavy_libraries_have_one_home() -> None:
    used = set()
    for path in sources():
        where = path.relative_to(ROOT).as_posix()
        for top in {name.split(".")[0] for name in IMPORTS[module_of(path)]} & HOMES.keys():
            used.add(top)
            assert where.startswith(HOMES[top]), f"{where} imports {top}"
    assert used == HOMES.keys(), "a home that is never used"


def test_no_two_public_classes_share_a_name() -> None:
    names = [
        node.name
        for path in sources()
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    assert [name for name, count in Counter(names).items() if count > 1] == []


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
