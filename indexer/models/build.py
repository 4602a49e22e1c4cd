"""From choices to models not yet loaded. A family's module is imported only here, and only when it is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from indexer.core.errors import ConfigError
from indexer.models.base import BuildContext, FrameEncoder, Model, Models, Role, RoleName, TextEncoder
from indexer.models.profiles import EMBEDDED, ModelChoice

__all__ = [
    "FRAMES_ROLE",
    "TEXT_ROLE",
    "blip",
    "build_models",
    "clap",
    "detr",
    "pocketsphinx",
    "rapidocr",
    "whisper",
    "yamnet",
    "yolo",
]


def build_models(
    choices: Mapping[RoleName, ModelChoice],
    roles: Mapping[RoleName, Role],
    *,
    device: str = "auto",
    cache_folder: Path | None = None,
) -> Models:
    """The models that fill the roles chosen, not yet loaded.

    Args:
        choices: From a profile, or as ``parse_choice`` reads them; ``frames`` and ``text`` are always among them.
        roles: The roles there are.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        cache_folder: Where derived vectors are kept; the user's cache folder by default.

    Raises:
        ConfigError: a choice names no model.
        ModelError: this machine lacks the device (for devices other than ``auto`` and ``cpu``).
    """
    _check_device(device)
    context = BuildContext(device, cache_folder or _cache_folder())
    text = cast("TextEncoder", _build(roles["text"], choices["text"], context))
    context = BuildContext(device, context.cache_folder, text)
    models = {name: _build(roles[name], choice, context) for name, choice in choices.items() if name != "text"}
    return Models(cast("FrameEncoder", models.pop("frames")), text, **models)


def _build(role: Role, choice: ModelChoice, context: BuildContext) -> Model:
    return role.families[choice.family](choice.name, context)


def _concepts(name: str, context: BuildContext) -> Model:
    from indexer.models.concepts import ConceptsEncoder

    _check_embedded("concepts", name)
    return ConceptsEncoder(_text_of(context), device=context.device, cache_folder=context.cache_folder)


def _open_clip(name: str, context: BuildContext) -> Model:
    from indexer.models.open_clip import OpenClipEncoder

    return OpenClipEncoder(name, device=context.device)


def _sentence(name: str, context: BuildContext) -> Model:
    from indexer.models import sentence

    return sentence.SentenceEncoder(sentence.EMBEDDED if name == EMBEDDED else name, device=context.device)


def pocketsphinx(name: str, context: BuildContext) -> Model:  # noqa: ARG001 - it runs on the processor
    """See ``Builder``."""
    from indexer.models.pocketsphinx import PocketsphinxRecognizer

    _check_embedded("pocketsphinx", name)
    return PocketsphinxRecognizer()


def whisper(name: str, context: BuildContext) -> Model:
    """See ``Builder``."""
    from indexer.models.whisper import WhisperRecognizer

    return WhisperRecognizer(name, device=context.device)


def rapidocr(name: str, context: BuildContext) -> Model:  # noqa: ARG001 - it runs on the processor
    """See ``Builder``."""
    from indexer.models.rapidocr import RapidOcrReader

    _check_embedded("rapidocr", name)
    return RapidOcrReader()


def yamnet(name: str, context: BuildContext) -> Model:
    """See ``Builder``."""
    from indexer.models.yamnet import YamnetEncoder

    return YamnetEncoder(name, _text_of(context), cache_folder=context.cache_folder)


def clap(name: str, context: BuildContext) -> Model:
    """See ``Builder``."""
    from indexer.models.clap import ClapEncoder

    return ClapEncoder(name, device=context.device)


def detr(name: str, context: BuildContext) -> Model:
    """See ``Builder``."""
    from indexer.models.detr import DetrDetector

    return DetrDetector(name, device=context.device)


def yolo(name: str, context: BuildContext) -> Model:
    """See ``Builder``."""
    from indexer.models.yolo import YoloDetector

    return YoloDetector(name, device=context.device)


def blip(name: str, context: BuildContext) -> Model:
    """See ``Builder``."""
    from indexer.models.blip import BlipCaptioner

    return BlipCaptioner(name, device=context.device)


FRAMES_ROLE = Role(
    "frames",
    {"concepts": _concepts, "open_clip": _open_clip},
    help='Instead of the profile\'s picture model: "open_clip:NAME" or "open_clip:/folder".',
)
TEXT_ROLE = Role(
    "text",
    {"sentence": _sentence},
    help='Instead of the profile\'s text model: "sentence:NAME" or "sentence:/folder".',
)


def _text_of(context: BuildContext) -> TextEncoder:
    if context.text is None:
        raise ValueError("this family needs the index's text model")
    return context.text


def _check_embedded(family: str, name: str) -> None:
    if name != EMBEDDED:
        raise ConfigError(f"The family '{family}' has no model '{name}'.", hint=f"Write {family}:{EMBEDDED}.")


def _check_device(device: str) -> None:
    """Ask PyTorch only where the answer can be no: importing it takes seconds."""
    from indexer.models.devices import resolve_device

    if device not in ("auto", "cpu"):
        resolve_device(device)


def _cache_folder() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("sceneseek", appauthor=False)
