"""Which models a benchmark measures, and what it says of the others."""

from __future__ import annotations

from benchmarks.modalities import configured, left_out
from indexer.config import load_settings
from indexer.modalities.registry import optional_roles


def models(**settings: str) -> dict[str, str]:
    flags = {f"models.{role}": spec for role, spec in settings.items()}
    return configured(load_settings(None, {}, flags).settings.models)


def test_the_models_of_the_settings_are_measured_and_the_embedded_ones() -> None:
    found = models(objects="yolo:/models/yolo11n.pt", captions="blip:/models/blip", ocr="off")
    assert found["objects"] == "yolo:/models/yolo11n.pt"
    assert found["captions"] == "blip:/models/blip"
    assert found["speech"] == "pocketsphinx:embedded"
    assert "ocr" not in found


def test_what_no_model_is_configured_for_is_said_to_be_left_out() -> None:
    absent = [role for role in optional_roles() if role not in models(sounds="off")]
    assert absent == ["captions", "objects", "sounds"]
    lines = list(left_out(absent))
    assert [line.split()[0] for line in lines] == absent
    assert all(line.endswith(f"--add {role}") for role, line in zip(absent, lines, strict=True))
