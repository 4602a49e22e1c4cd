from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from indexer.core.errors import ConfigError, WeightsMissingError
from indexer.modalities.registry import all_roles, optional_roles
from indexer.models.build import build_models
from indexer.models.profiles import (
    PROFILES,
    ModelChoice,
    choose_profile,
    missing_files,
    parse_choice,
)
from tests.unit.indexer.models.tiny import save_in_hub_cache

ROLES = all_roles()


def test_importing_and_choosing_load_no_model_library() -> None:
    code = (
        "import sys\n"
        "from indexer.modalities.registry import all_roles\n"
        "from indexer.models.build import build_models\n"
        "from indexer.models.profiles import PROFILES, choose_profile\n"
        "assert len(build_models(PROFILES['embedded'].choices, all_roles()).fingerprints) == 4\n"
        "choose_profile('standard')\n"
        "heavy = {'torch', 'transformers', 'timm', 'open_clip', 'sentence_transformers', 'onnxruntime'}\n"
        "print((heavy | {'ctranslate2', 'pocketsphinx'}) & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_a_profile_asked_for_is_given() -> None:
    decision = choose_profile("best")
    assert decision.profile is PROFILES["best"]
    assert "asked for" in decision.reason


def test_an_unknown_profile_names_those_there_are() -> None:
    with pytest.raises(ConfigError, match="auto, embedded, standard, best"):
        choose_profile("fast")


def test_auto_without_cache_and_network_takes_what_is_installed_and_says_why(hub_cache: Path) -> None:
    began = time.monotonic()
    decision = choose_profile("auto")
    assert time.monotonic() - began < 5
    assert decision.profile is PROFILES["embedded"]
    assert "HF_HUB_OFFLINE" in decision.reason
    assert "hf download timm/vit_base_patch32_clip_224.openai open_clip_model.safetensors" in decision.reason


def test_auto_with_every_weight_cached_takes_standard(hub_cache: Path, tmp_path: Path) -> None:
    standard = PROFILES["standard"]
    for repo in {file.repo for file in standard.files}:
        folder = tmp_path / repo.replace("/", "-")
        folder.mkdir()
        for file in standard.files:
            (folder / file.name).write_text("x")
        assert choose_profile("auto").profile.name == "embedded"
        save_in_hub_cache(hub_cache, repo, folder)
    assert missing_files(standard) == ()
    decision = choose_profile("auto")
    assert decision.profile is standard
    assert "on this machine" in decision.reason


def test_a_choice_reads_family_and_name_or_folder() -> None:
    choice = parse_choice(ROLES["frames"], "open_clip:hf-hub:owner/name")
    assert (choice.family, choice.name) == ("open_clip", "hf-hub:owner/name")
    assert str(choice) == "open_clip:hf-hub:owner/name"
    assert parse_choice(ROLES["text"], "sentence:~/model").name == str(Path.home() / "model")


def test_a_path_is_made_absolute_for_those_who_use_the_index_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "yamnet.tflite").touch()
    (tmp_path / "embedded").mkdir()
    assert parse_choice(ROLES["sounds"], "yamnet:yamnet.tflite").name == str(tmp_path / "yamnet.tflite")
    assert parse_choice(ROLES["sounds"], "yamnet:owner/name").name == "owner/name"
    assert parse_choice(ROLES["speech"], "pocketsphinx:embedded").name == "embedded"


@pytest.mark.parametrize(
    ("role", "text"), [("frames", "sentence:x"), ("text", "open_clip:x"), ("frames", "open_clip:"), ("text", "x")]
)
def test_a_choice_that_is_none_says_how_to_write_one(role: str, text: str) -> None:
    with pytest.raises(ConfigError, match="Write FAMILY:NAME"):
        parse_choice(ROLES[role], text)


def test_overrides_replace_one_role_each(clip_folder: Path, sentence_folder: Path) -> None:
    embedded = PROFILES["embedded"]
    clip = parse_choice(ROLES["frames"], f"open_clip:{clip_folder}")
    sentence = parse_choice(ROLES["text"], f"sentence:{sentence_folder}")
    plain = build_models(embedded.choices, ROLES).fingerprints
    frames = build_models({**embedded.choices, "frames": clip}, ROLES).fingerprints
    text = build_models({**embedded.choices, "text": sentence}, ROLES).fingerprints
    assert frames["frames"].family == "open_clip"
    assert frames["text"] == plain["text"]
    assert text["text"].name == sentence_folder.name
    # Concepts live in the space of the text encoder, so both change.
    assert text["frames"].dim == text["text"].dim
    assert text["frames"] != plain["frames"]


def test_concepts_have_one_model() -> None:
    with pytest.raises(ConfigError, match="concepts:embedded"):
        build_models({**PROFILES["embedded"].choices, "frames": ModelChoice("concepts", "other")}, ROLES)


def test_models_that_are_not_here_are_missed_when_used_not_when_built(hub_cache: Path) -> None:
    models = build_models(PROFILES["standard"].choices, ROLES, device="cpu")
    for use in (lambda: models.text.encode_queries(["x"]), lambda: models.frames.encode_texts(["x"])):
        with pytest.raises(WeightsMissingError, match="hf download"):
            use()


def test_every_profile_names_families_that_can_fill_the_role() -> None:
    for profile in PROFILES.values():
        assert {"frames", "text", "speech", "ocr"} <= set(profile.choices)
        for role, choice in profile.choices.items():
            assert parse_choice(ROLES[role], str(choice)).family == choice.family


def test_what_a_role_is_filled_with_by_default_can_fill_it() -> None:
    for role in optional_roles().values():
        assert parse_choice(role, role.default).family in role.families
