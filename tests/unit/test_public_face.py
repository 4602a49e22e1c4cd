from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import sceneseek
from indexer.store import open_store
from tests.unit.search.library import put, record, video


def test_an_index_opens_by_its_folder(tmp_path: Path) -> None:
    store = open_store(tmp_path, create=True)
    put(store, video("a"), [record("a", "speech", 0, 5, "a red car")])
    store.close()
    with sceneseek.open(tmp_path) as engine:
        assert engine.catalogue().counts == {"speech": 1}


def test_a_folder_without_an_index_says_so(tmp_path: Path) -> None:
    with pytest.raises(sceneseek.SceneseekError, match="no index"):
        sceneseek.open(tmp_path)


def test_the_version_is_that_of_the_package() -> None:
    assert sceneseek.__version__ == version("sceneseek")


def test_importing_it_loads_no_model_library() -> None:
    code = "import sceneseek, sys; print({'torch', 'chromadb', 'av', 'gradio', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
