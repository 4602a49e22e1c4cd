"""Settings: the defaults below, overridden by config.toml, then by SCENESEEK_* variables, then by flags.

Each setting is one field with its default, its comment and its choices. The commented ``config.toml``, the checks and
``sceneseek config`` all come from these fields. pydantic-settings is not used: it does not say where a value came from.
"""

from __future__ import annotations

import difflib
import json
import textwrap
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeAlias

from indexer.core.errors import ConfigError
from indexer.modalities.registry import all_roles, modality_names

_CONFIG_FILE = "config.toml"
_ENV_PREFIX = "SCENESEEK_"
_TRUTHS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", tuple: "a list of texts"}

Value: TypeAlias = str | int | float | bool | tuple[str, ...] | Mapping[str, float]


def _setting(default: Any, comment: str, choices: tuple[str, ...] = ()) -> Any:
    """A field with its comment; a function as the default is called for each instance."""
    metadata = {"comment": comment, "choices": choices}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


def _even_weights() -> dict[str, float]:
    return dict.fromkeys(modality_names(), 1.0)


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """[index]: where the index is kept."""

    path: str = _setting("chroma_db", "Folder of the index, with its thumbnails.")
    name: str = _setting("sceneseek", "Name of the index: several can share one folder or server.")
    url: str = _setting("", "A Chroma server such as http://localhost:8000; empty: the database is in the folder.")


@dataclass(frozen=True, slots=True)
class CorpusSettings:
    """[corpus]: which files are indexed, and their labels."""

    labels: str = _setting(
        "auto",
        "Where labels come from: auto (annotation files if there are any, else folders), folders (the name of the "
        "folder a video is in), none, or the path of a CSV or JSON file.",
    )
    exclude: tuple[str, ...] = _setting((), 'Glob patterns of files and folders to leave out, such as "*.proxy.mp4".')
    follow_links: bool = _setting(
        True, "Whether to enter folders that are symbolic links; each folder is entered once."
    )


@dataclass(frozen=True, slots=True)
class ShotSettings:
    """[shots]: how keyframes are chosen."""

    strategy: str = _setting(
        "shots",
        "shots: the sharpest frame of every shot. middle: one frame per video. uniform: evenly spaced. kmeans: evenly "
        "spaced, then clustered. codec: only the frames the file stores whole; by far the fastest.",
        ("shots", "middle", "uniform", "kmeans", "codec"),
    )
    count: int = _setting(8, "How many frames 'uniform' takes.")
    clusters: int = _setting(32, "How many frames 'kmeans' keeps (of 400 evenly spaced ones).")
    max_span_s: float = _setting(5.0, "Longest time, in seconds, that one keyframe stands for (at most 10).")
    detector: str = _setting(
        "adaptive",
        "How cuts are found: adaptive finds fewer false cuts in fast motion; content is simpler.",
        ("adaptive", "content"),
    )
    max_side: int = _setting(1280, "Keyframes are scaled down to at most this many pixels on the longer side.")


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """[models]: the models for each kind of evidence."""

    profile: str = _setting(
        "auto",
        "embedded: models that come with the installation. standard, best: better models, downloaded once from the "
        "Hugging Face hub. auto: standard if available, else embedded; decided when an index is created.",
        ("auto", "embedded", "standard", "best"),
    )
    device: str = _setting("auto", "Where models run.", ("auto", "cpu", "cuda", "mps"))
    batch_size: int = _setting(4, "Pictures encoded at once; on a GPU, 32 or more is faster.")
    specs: Mapping[str, str] = field(default_factory=dict)
    """``FAMILY:NAME`` by role, where the settings name a model; each role is a key of the section."""

    def spec(self, role: str) -> str:
        """The model that the settings name for a role; empty if they name none."""
        return self.specs.get(role, "")


@dataclass(frozen=True, slots=True)
class SpeechSettings:
    """[speech]: when speech is recognised."""

    always: bool = _setting(False, "Whether to recognise speech also in videos that have subtitles.")


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """[search]: what a search returns."""

    top_k: int = _setting(10, "How many moments a search shows.")
    weights: Mapping[str, float] = _setting(
        _even_weights,
        "How much each kind of evidence counts; 0 leaves it out.",
    )
    min_confidence: float = _setting(
        0.58,
        "Lowest confidence of a moment that is shown: 0 shows everything, 0.9 only what is hardly found by chance. "
        "Confidence compares a score with the scores of unrelated queries; these are measured once, and again when "
        "the index changes. The default is the highest value that lost at most a tenth of the answerable queries.",
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """All that can be set."""

    index: IndexSettings = field(default_factory=IndexSettings)
    corpus: CorpusSettings = field(default_factory=CorpusSettings)
    shots: ShotSettings = field(default_factory=ShotSettings)
    models: ModelSettings = field(default_factory=ModelSettings)
    speech: SpeechSettings = field(default_factory=SpeechSettings)
    search: SearchSettings = field(default_factory=SearchSettings)


_SECTIONS: Mapping[str, Any] = {section.name: section.default_factory for section in fields(Settings)}


@dataclass(frozen=True, slots=True)
class _Key:
    default: Value
    comment: str
    choices: tuple[str, ...] = ()


def _keys() -> dict[str, _Key]:
    """Every setting by ``section.key``; those of models follow from the roles, those of weights from the modalities."""
    keys: dict[str, _Key] = {}
    for section, settings in _SECTIONS.items():
        for key in fields(settings):
            if key.name == "specs":
                continue
            default: Any = key.default_factory() if callable(key.default_factory) else key.default
            keys[f"{section}.{key.name}"] = _Key(default, key.metadata["comment"], key.metadata["choices"])
            if key.name == "profile":
                keys |= {f"models.{role.name}": _Key("", role.help) for role in all_roles().values()}
    return keys


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """The settings in force, and where each ``section.key`` came from."""

    settings: Settings
    origins: Mapping[str, str]


def load_settings(
    config: Path | None, environ: Mapping[str, str], flags: Mapping[str, Value | None] | None = None
) -> LoadedSettings:
    """The settings in force.

    Args:
        config: The settings file; None reads ``config.toml`` in the current folder if it exists.
        environ: The environment; ``SCENESEEK_SECTION_KEY`` sets ``section.key``.
        flags: Values from the command line by ``section.key``; None stands for a flag that was not given.

    Raises:
        ConfigError: a file that is missing or not TOML, an unknown key, or a value of the wrong type or not allowed.
    """
    given = [(name, value, "flag") for name, value in (flags or {}).items() if value is not None]
    chosen: dict[str, dict[str, Value]] = {name: {} for name in _SECTIONS}
    origins = dict.fromkeys(_keys(), "default")
    for name, value, origin in [*_from_file(config), *_from_environment(environ), *given]:
        section, key = name.split(".")
        chosen[section][key] = _checked(name, value, origin)
        origins[name] = origin
    models: dict[str, Any] = chosen["models"]
    specs = {role: spec for role in all_roles() if (spec := models.pop(role, ""))}
    sections = {name: _SECTIONS[name](**values) for name, values in chosen.items() if name != "models"}
    return LoadedSettings(Settings(**sections, models=ModelSettings(**models, specs=specs)), origins)


def setting_values(settings: Settings) -> dict[str, Value]:
    """The values in force by ``section.key``."""
    return {
        name: settings.models.spec(key) if section == "models" and key in all_roles() else _get(settings, section, key)
        for name in _keys()
        for section, key in [name.split(".")]
    }


def _get(settings: Settings, section: str, key: str) -> Value:
    value: Value = getattr(getattr(settings, section), key)
    return value


def config_text() -> str:
    """A ``config.toml`` with every key, its comment and its default."""
    lines = [
        "# Settings of sceneseek. Every key is shown with its default; remove or change what you like.",
        "# SCENESEEK_SECTION_KEY in the environment and the flags of a command override this file.",
    ]
    section = ""
    for name, key in _keys().items():
        if not name.startswith(f"{section}."):
            section = name.partition(".")[0]
            lines += ["", f"[{section}]"]
        lines += [f"# {line}" for line in textwrap.wrap(key.comment, 110)]
        lines.append(f"{name.partition('.')[2]} = {_toml(key.default)}")
    return "\n".join([*lines, ""])


def _from_file(config: Path | None) -> Iterator[tuple[str, object, str]]:
    path = config or Path(_CONFIG_FILE)
    if config is None and not path.is_file():
        return
    for section, content in _read_toml(path).items():
        if not isinstance(content, dict):
            raise _unknown(section, str(path))
        for key, value in content.items():
            yield f"{section}.{key}", value, str(path)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.", hint="Check --config.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.", hint="See https://toml.io for the syntax.") from error


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, object, str]]:
    known = {_ENV_PREFIX + name.replace(".", "_").upper(): name for name in _keys()}
    for variable in sorted(environ):
        if variable.startswith(_ENV_PREFIX):
            if variable not in known:
                raise ConfigError(f"There is no setting {variable}.", hint=_nearest(variable, known))
            yield known[variable], environ[variable], variable


def _checked(name: str, value: object, origin: str) -> Value:
    keys = _keys()
    if name not in keys:
        raise _unknown(name, origin)
    default, choices = keys[name].default, keys[name].choices
    try:
        converted = _converted(_parsed(value, default) if isinstance(value, str) else value, default)
    except (TypeError, ValueError) as error:
        wanted = _KINDS.get(type(default), "a table of numbers")
        raise ConfigError(f"{name} must be {wanted}, not {value!r} ({origin}).") from error
    if choices and converted not in choices:
        raise ConfigError(f"{name} cannot be {converted!r} ({origin}).", hint=f"Use one of: {', '.join(choices)}.")
    _check_range(name, converted, origin)
    return converted


def _check_range(name: str, value: Value, origin: str) -> None:
    if name == "search.min_confidence":
        if not (isinstance(value, float) and 0 <= value <= 1):
            raise ConfigError(f"{name} must be from 0 to 1, not {value} ({origin}).")
    elif isinstance(value, int | float) and not isinstance(value, bool) and value <= 0:
        raise ConfigError(f"{name} must be greater than 0, not {value} ({origin}).")
    for modality, weight in value.items() if isinstance(value, Mapping) else ():
        if modality not in modality_names():
            raise ConfigError(f"{name} knows no '{modality}' ({origin}).", hint=_nearest(modality, modality_names()))
        if weight < 0:
            raise ConfigError(f"{name}: the weight of '{modality}' must not be negative ({origin}).")


def _parsed(text: str, default: Value) -> object:
    """A text from the environment as TOML would have given it."""
    if isinstance(default, bool):
        return _TRUTHS.get(text.lower())
    if isinstance(default, int | float):
        return type(default)(text)
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if isinstance(default, tuple):
        return parts
    if isinstance(default, Mapping):
        return {name.strip(): weight for name, _, weight in (part.partition("=") for part in parts)}
    return text


def _converted(value: object, default: Value) -> Value:
    """A value from TOML in the type of the default.

    Raises:
        TypeError, ValueError: it is of another type.
    """
    if isinstance(default, tuple) and isinstance(value, list | tuple):
        if not all(isinstance(part, str) for part in value):
            raise TypeError
        return tuple(value)
    if isinstance(default, Mapping) and isinstance(value, Mapping):
        return {**default, **{str(key): float(weight) for key, weight in value.items()}}
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if type(value) is not type(default):
        raise TypeError
    return value


def _unknown(name: str, origin: str) -> ConfigError:
    return ConfigError(f"There is no setting '{name}' ({origin}).", hint=_nearest(name, _keys()))


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"Did you mean '{near[0]}'?" if near else "'sceneseek config' lists all settings."


def _toml(value: Value) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {weight}" for key, weight in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)
