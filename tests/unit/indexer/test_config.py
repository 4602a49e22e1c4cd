"""Settings: precedence, checks, and the commented file."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from indexer.config import Settings, config_text, load_settings
from indexer.core.errors import ConfigError
from indexer.modalities.registry import modality_names

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(text: str) -> Path:
    path = Path("my.toml")
    path.write_text(text, encoding="utf-8")
    return path


def test_without_anything_the_defaults_hold() -> None:
    loaded = load_settings(None, {})
    assert loaded.settings == Settings()
    assert set(loaded.origins.values()) == {"default"}
    written = tomllib.loads(config_text())
    assert list(loaded.origins) == [f"{section}.{key}" for section, keys in written.items() for key in keys]


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default() -> None:
    path = write("[search]\ntop_k = 3\n[shots]\nmax_span_s = 4\n[models]\nprofile = 'embedded'\n")
    environ = {"SCENESEEK_SEARCH_TOP_K": "4", "SCENESEEK_SHOTS_MAX_SPAN_S": "6.5", "HOME": "/"}
    loaded = load_settings(path, environ, {"search.top_k": 5, "index.path": None})
    assert loaded.settings.search.top_k == 5
    assert loaded.settings.shots.max_span_s == 6.5
    assert loaded.settings.models.profile == "embedded"
    chosen = ("search.top_k", "shots.max_span_s", "models.profile", "index.path")
    assert [loaded.origins[name] for name in chosen] == ["flag", "SCENESEEK_SHOTS_MAX_SPAN_S", "my.toml", "default"]


def test_config_toml_of_the_current_folder_is_read() -> None:
    Path("config.toml").write_text("[index]\npath = 'films'\n", encoding="utf-8")
    assert load_settings(None, {}).settings.index.path == "films"


def test_the_commented_text_says_the_defaults() -> None:
    assert load_settings(write(config_text()), {}).settings == Settings()


def test_the_repository_ships_the_commented_defaults() -> None:
    assert (ROOT / "config.toml").read_text(encoding="utf-8") == config_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[models]\nprofil = 'auto'", "Did you mean 'models.profile'"),
        ("[modells]\nprofile = 'auto'", "Did you mean 'models.profile'"),
        ("top_k = 3", "no setting 'top_k'"),
        ("[search]\ntop_k = 'many'", "a whole number"),
        ("[search]\ntop_k = true", "a whole number"),
        ("[search]\ntop_k = 0", "greater than 0"),
        ("[models]\nprofile = 'huge'", "Use one of: auto, embedded"),
        ("[search]\nweights = { framez = 1 }", "Did you mean 'frames'"),
        ("[search]\nweights = { frames = -1 }", "must not be negative"),
        ("[corpus]\nexclude = [1]", "a list of texts"),
        ("[search\n", "not valid TOML"),
    ],
)
def test_a_mistake_is_named(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_settings(write(text), {})


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read"):
        load_settings(Path("none.toml"), {})


def test_an_unknown_variable_is_named() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'SCENESEEK_SEARCH_TOP_K'"):
        load_settings(None, {"SCENESEEK_SEARCH_TOPK": "3"})


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("SCENESEEK_CORPUS_FOLLOW_LINKS", "no", False),
        ("SCENESEEK_CORPUS_FOLLOW_LINKS", "TRUE", True),
        ("SCENESEEK_CORPUS_EXCLUDE", "*.tmp, old/*", ("*.tmp", "old/*")),
        ("SCENESEEK_SEARCH_WEIGHTS", "subtitle=2", {**dict.fromkeys(modality_names(), 1.0), "subtitle": 2.0}),
    ],
)
def test_the_environment_is_read_in_the_type_of_the_setting(variable: str, text: str, value: object) -> None:
    settings = load_settings(None, {variable: text}).settings
    assert value in (settings.corpus.follow_links, settings.corpus.exclude, settings.search.weights)
