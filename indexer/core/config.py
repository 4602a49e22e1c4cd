"""Settings: the defaults below, overridden by config.toml, then by SCENESEEK_* variables, then by flags.

Every setting is a field of a section, and its comment stands beside it, so that the commented ``config.toml``, the
checks and ``sceneseek config`` all come from one place.
"""

from __future__ import annotations

import difflib
import json
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeAlias

from indexer.core.errors import ConfigError
from indexer.core.types import SPACE_OF_MODALITY

__all__ = [
    "CONFIG_FILE",
    "CorpusSettings",
    "IndexSettings",
    "LoadedSettings",
    "ModelSettings",
    "SearchSettings",
    "Settings",
    "ShotSettings",
    "SpeechSettings",
    "Value",
    "config_text",
    "load_settings",
    "setting_names",
]

CONFIG_FILE = "config.toml"
ENV_PREFIX = "SCENESEEK_"
_SHARES = frozenset({"search.min_confidence"})

Value: TypeAlias = str | int | float | bool | tuple[str, ...] | Mapping[str, float]


def _setting(default: Value, comment: str, choices: tuple[str, ...] = ()) -> Any:
    metadata = {"comment": comment, "choices": choices}
    if isinstance(default, Mapping):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """[index]: where the index lives."""

    path: str = _setting("chroma_db", "Folder of the index. Thumbnails are kept in it too.")
    name: str = _setting("sceneseek", "Name of the index: several can share one folder or server.")
    url: str = _setting(
        "", "A Chroma server such as http://localhost:8000; empty: the database is in the folder itself."
    )


@dataclass(frozen=True, slots=True)
class CorpusSettings:
    """[corpus]: which files are videos, and what is known about them."""

    labels: str = _setting(
        "auto",
        "Where labels come from: auto (annotation files if there are any, else folders), folders (the name of the "
        "folder a video is in), none, or the path of a CSV or JSON file.",
    )
    exclude: tuple[str, ...] = _setting((), 'Glob patterns of files and folders to leave out, such as "*.proxy.mp4".')
    follow_links: bool = _setting(True, "Whether to look into folders that are symbolic links; loops are noticed.")


@dataclass(frozen=True, slots=True)
class ShotSettings:
    """[shots]: which frames stand for a video."""

    strategy: str = _setting(
        "shots",
        "shots: the sharpest frame of every shot. middle: one frame per video. uniform: evenly spaced. kmeans: evenly "
        "spaced, then clustered. codec: only the frames the file stores whole; by far the fastest.",
        ("shots", "middle", "uniform", "kmeans", "codec"),
    )
    count: int = _setting(8, "How many frames 'uniform' takes.")
    clusters: int = _setting(32, "How many frames 'kmeans' keeps (of 400 evenly spaced ones).")
    max_span_s: float = _setting(5.0, "A long shot gets a frame for at most this many seconds (at most 10).")
    detector: str = _setting(
        "adaptive",
        "How cuts are found: adaptive is calm with fast motion; content is simpler.",
        ("adaptive", "content"),
    )
    max_side: int = _setting(1280, "Keyframes are scaled down to at most this many pixels on the longer side.")


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """[models]: what understands pictures and texts."""

    profile: str = _setting(
        "auto",
        "embedded: models that come with the installation. standard, best: better ones, fetched once from the Hugging "
        "Face hub. auto: standard if it can be had, else embedded; decided when an index is created.",
        ("auto", "embedded", "standard", "best"),
    )
    frames: str = _setting("", 'Instead of the profile\'s picture model: "open_clip:NAME" or "open_clip:/folder".')
    text: str = _setting("", 'Instead of the profile\'s text model: "sentence:NAME" or "sentence:/folder".')
    speech: str = _setting(
        "",
        'What listens to speech: "whisper:small", "whisper:/folder", "pocketsphinx:embedded"; "off" for a new index '
        "without. Empty, here and below: the profile's.",
    )
    ocr: str = _setting("", 'What reads on-screen text: "rapidocr:embedded", or "off".')
    sounds: str = _setting(
        "", 'What knows sounds: "yamnet:/path/yamnet.tflite", "clap:NAME", "clap:/folder", or "off".'
    )
    objects: str = _setting("", 'What finds objects: "yolo:/path/weights.pt", "yolo:NAME", or "off".')
    captions: str = _setting("", 'What describes keyframes in a sentence: "blip:NAME", "blip:/folder", or "off".')
    device: str = _setting("auto", "Where models run.", ("auto", "cpu", "cuda", "mps"))
    batch_size: int = _setting(4, "How many pictures are encoded at once; on a GPU, 32 or more is faster.")


@dataclass(frozen=True, slots=True)
class SpeechSettings:
    """[speech]: when speech is recognised."""

    always: bool = _setting(False, "Whether to listen also to videos that have subtitles.")


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """[search]: what a search answers with."""

    top_k: int = _setting(10, "How many moments a search shows.")
    weights: Mapping[str, float] = _setting(
        dict.fromkeys(SPACE_OF_MODALITY, 1.0),
        "How much each kind of evidence counts; 0 leaves it out.",
    )
    min_confidence: float = _setting(
        0.58,
        "Leave out what a query without an answer would as soon have found: 0 keeps everything, 0.9 only what is "
        "hardly found by chance. How high such queries score is measured once, and again when the index changes. "
        "The default is the highest that lost at most a tenth of the queries with an answer when it was measured.",
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


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """The settings in force, and where each ``section.key`` came from."""

    settings: Settings
    origins: Mapping[str, str]


def setting_names() -> Iterator[tuple[str, Any]]:
    """Every ``section.key`` with its dataclass field."""
    for section in fields(Settings):
        for key in fields(_section_type(section.name)):
            yield f"{section.name}.{key.name}", key


def load_settings(
    config: Path | None, environ: Mapping[str, str], flags: Mapping[str, Value | None] | None = None
) -> LoadedSettings:
    """The settings in force.

    Args:
        config: The file asked for; None means ``config.toml`` in the current folder, if there is one.
        environ: The environment; ``SCENESEEK_SECTION_KEY`` sets ``section.key``.
        flags: ``section.key`` to the value given on the command line; None stands for a flag not given.

    Raises:
        ConfigError: a file that is missing or no TOML, an unknown key, a value of the wrong type or not allowed.
    """
    chosen: dict[str, Value] = {}
    origins = {name: "default" for name, _ in setting_names()}
    for origin, name, value in [*_from_file(config), *_from_environment(environ), *_from_flags(flags or {})]:
        chosen[name] = _checked(name, value, origin)
        origins[name] = origin
    return LoadedSettings(_assemble(chosen), origins)


def config_text(settings: Settings | None = None) -> str:
    """A ``config.toml`` with every key and its comment; the defaults unless settings are given."""
    return "\n".join(_config_lines(settings or Settings()))


def _section_type(name: str) -> type:
    sections: dict[str, type] = {
        "index": IndexSettings,
        "corpus": CorpusSettings,
        "shots": ShotSettings,
        "models": ModelSettings,
        "speech": SpeechSettings,
        "search": SearchSettings,
    }
    return sections[name]


def _from_file(config: Path | None) -> Iterator[tuple[str, str, object]]:
    path = config or Path(CONFIG_FILE)
    if config is None and not path.is_file():
        return
    for section, content in _read_toml(path).items():
        if not isinstance(content, dict):
            raise _unknown(section, str(path))
        for key, value in content.items():
            yield str(path), f"{section}.{key}", value


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.", hint="Check --config.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.", hint="See https://toml.io for the syntax.") from error


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, str, object]]:
    known = {ENV_PREFIX + name.replace(".", "_").upper(): name for name, _ in setting_names()}
    for variable in sorted(environ):
        if variable.startswith(ENV_PREFIX):
            if variable not in known:
                raise ConfigError(f"There is no setting {variable}.", hint=_nearest(variable, list(known)))
            yield variable, known[variable], environ[variable]


def _from_flags(flags: Mapping[str, Value | None]) -> Iterator[tuple[str, str, object]]:
    for name, value in flags.items():
        if value is not None:
            yield "flag", name, value


def _checked(name: str, value: object, origin: str) -> Value:
    known = dict(setting_names())
    if name not in known:
        raise _unknown(name, origin)
    allowed = known[name].metadata["choices"]
    converted = _converted(name, value, _default(known[name]), origin)
    if allowed and converted not in allowed:
        raise ConfigError(f"{name} cannot be {converted!r} ({origin}).", hint=f"Use one of: {', '.join(allowed)}.")
    _check_range(name, converted, origin)
    return converted


def _check_range(name: str, value: Value, origin: str) -> None:
    if name in _SHARES:
        if not (isinstance(value, float) and 0 <= value <= 1):
            raise ConfigError(f"{name} must be from 0 to 1, not {value} ({origin}).")
        return
    if isinstance(value, int | float) and not isinstance(value, bool) and value <= 0:
        raise ConfigError(f"{name} must be greater than 0, not {value} ({origin}).")
    for modality, weight in value.items() if isinstance(value, Mapping) else ():
        if modality not in SPACE_OF_MODALITY:
            raise ConfigError(
                f"{name} knows no '{modality}' ({origin}).", hint=_nearest(modality, list(SPACE_OF_MODALITY))
            )
        if weight < 0:
            raise ConfigError(f"{name}: the weight of '{modality}' must not be negative ({origin}).")


def _default(key: Any) -> Value:
    value: Value = key.default_factory() if callable(key.default_factory) else key.default
    return value


def _converted(name: str, value: object, default: Value, origin: str) -> Value:
    """The value in the type of the default; text from the environment is read as that type."""
    try:
        return _from_text(value, default) if isinstance(value, str) else _from_toml(value, default)
    except (TypeError, ValueError) as error:
        kind = {
            bool: "true or false",
            int: "a whole number",
            float: "a number",
            str: "a text",
            tuple: "a list of texts",
        }
        wanted = kind.get(type(default), "a table of numbers")
        raise ConfigError(f"{name} must be {wanted}, not {value!r} ({origin}).") from error


def _from_text(text: str, default: Value) -> Value:
    if isinstance(default, bool):
        return _truth(text)
    if isinstance(default, int | float):
        return type(default)(text)
    if isinstance(default, tuple):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if isinstance(default, Mapping):
        pairs = (part.partition("=") for part in text.split(",") if part.strip())
        return {**default, **{name.strip(): float(weight) for name, _, weight in pairs}}
    return text


def _from_toml(value: object, default: Value) -> Value:
    if isinstance(default, tuple) and isinstance(value, list | tuple):
        return tuple(_text(part) for part in value)
    if isinstance(default, Mapping) and isinstance(value, Mapping):
        return {**default, **{str(key): float(weight) for key, weight in value.items()}}
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(default):
        raise TypeError
    return value


def _truth(text: str) -> bool:
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in words:
        raise ValueError(text)
    return words[text.lower()]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _assemble(chosen: Mapping[str, Value]) -> Settings:
    sections: dict[str, Any] = {}
    for section in fields(Settings):
        own = {name.split(".")[1]: value for name, value in chosen.items() if name.startswith(f"{section.name}.")}
        sections[section.name] = _section_type(section.name)(**own)
    return Settings(**sections)


def _unknown(name: str, origin: str) -> ConfigError:
    return ConfigError(
        f"There is no setting '{name}' ({origin}).", hint=_nearest(name, [known for known, _ in setting_names()])
    )


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"Did you mean '{near[0]}'?" if near else "'sceneseek config' lists all settings."


def _config_lines(settings: Settings) -> Iterator[str]:
    yield "# Settings of sceneseek. Every key is shown with its default; remove or change what you like."
    yield "# SCENESEEK_SECTION_KEY in the environment and the flags of a command override this file."
    for section in fields(Settings):
        yield ""
        yield f"[{section.name}]"
        values = getattr(settings, section.name)
        for key in fields(values):
            yield from (f"# {line}" for line in _wrapped(key.metadata["comment"]))
            yield f"{key.name} = {_toml(getattr(values, key.name))}"
    yield ""


def _wrapped(comment: str) -> list[str]:
    return textwrap.wrap(comment, 110)


def _toml(value: Value) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {weight}" for key, weight in value.items()) + " }"
    if isinstance(value, tuple):
        return json.dumps(list(value), ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False)
