from pathlib import Path

import pytest

from indexer.config import ModelSettings
from indexer.core.errors import IndexIncompatibleError
from indexer.manifest import found_index
from indexer.models.base import Fingerprint
from indexer.store.base import Manifest

NO_MATTER = Fingerprint("yamnet", "x", "0", "{}", 4)


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    """Of an index whose sounds were made with ``yamnet.tflite``, in the current folder, which is also the home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "yamnet.tflite").touch()
    return Manifest("embedded", {"sounds": (f"yamnet:{tmp_path}/yamnet.tflite", NO_MATTER)}, "2020-01-01")


@pytest.mark.parametrize("spelling", ["yamnet.tflite", "./yamnet.tflite", "~/yamnet.tflite"])
def test_a_model_may_be_spelled_otherwise_than_the_index_has_it(manifest: Manifest, spelling: str) -> None:
    found_index(manifest, ModelSettings(specs={"sounds": f"yamnet:{spelling}"}))


def test_another_model_is_told_from_it(manifest: Manifest) -> None:
    with pytest.raises(IndexIncompatibleError, match=r"and yamnet:.* was asked for"):
        found_index(manifest, ModelSettings(specs={"sounds": "yamnet:~/other.tflite"}))
