"""From choices to models not yet loaded; a family's module is imported only here, and only when it is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from indexer.core.errors import ConfigError
from indexer.models.base import (
    Captioner,
    FrameEncoder,
    Models,
    ObjectDetector,
    Role,
    SoundEncoder,
    SpeechRecognizer,
    TextEncoder,
    TextReader,
)
from indexer.models.profiles import EMBEDDED, Family, ModelChoice

__all__ = ["build_models"]


def build_models(
    choices: Mapping[Role, ModelChoice], *, device: str = "auto", cache_folder: Path | None = None
) -> Models:
    """The models that fill the roles chosen, not yet loaded.

    Args:
        choices: From a profile, or as ``parse_choice`` reads them; ``frames`` and ``text`` are always among them.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        cache_folder: Where derived vectors are kept; the user's cache folder by default.

    Raises:
        ConfigError: a choice names no model.
        ModelError: this machine lacks the device (for devices other than ``auto`` and ``cpu``).
    """
    _check_device(device)
    text = _text_encoder(choices["text"], device)
    workshop = _Workshop(text, device, cache_folder or _cache_folder())
    return Models(
        frames=workshop.frame_encoder(choices["frames"]),
        text=text,
        speech=workshop.speech_recognizer(choices["speech"]) if "speech" in choices else None,
        ocr=workshop.text_reader(choices["ocr"]) if "ocr" in choices else None,
        sounds=workshop.sound_encoder(choices["sounds"]) if "sounds" in choices else None,
        objects=workshop.object_detector(choices["objects"]) if "objects" in choices else None,
        captions=workshop.captioner(choices["captions"]) if "captions" in choices else None,
    )


@dataclass(frozen=True, slots=True)
class _Workshop:
    """Makes models that run on one device and, where they use its space, share one text encoder."""

    text: TextEncoder
    device: str
    cache_folder: Path

    def frame_encoder(self, choice: ModelChoice) -> FrameEncoder:
        if choice.family == "open_clip":
            from indexer.models.open_clip import OpenClipEncoder

            return OpenClipEncoder(choice.name, device=self.device)
        _check_embedded(choice)
        from indexer.models.concepts import ConceptsEncoder

        return ConceptsEncoder(self.text, device=self.device, cache_folder=self.cache_folder)

    def speech_recognizer(self, choice: ModelChoice) -> SpeechRecognizer:
        if choice.family == "whisper":
            from indexer.models.whisper import WhisperRecognizer

            return WhisperRecognizer(choice.name, device=self.device)
        _check_embedded(choice)
        from indexer.models.pocketsphinx import PocketsphinxRecognizer

        return PocketsphinxRecognizer()

    def text_reader(self, choice: ModelChoice) -> TextReader:
        from indexer.models.rapidocr import RapidOcrReader

        _check_embedded(choice)
        return RapidOcrReader()

    def sound_encoder(self, choice: ModelChoice) -> SoundEncoder:
        if choice.family == "clap":
            from indexer.models.clap import ClapEncoder

            return ClapEncoder(choice.name, device=self.device)
        from indexer.models.yamnet import YamnetEncoder

        return YamnetEncoder(choice.name, self.text, cache_folder=self.cache_folder)

    def object_detector(self, choice: ModelChoice) -> ObjectDetector:
        from indexer.models.yolo import YoloDetector

        return YoloDetector(choice.name, device=self.device)

    def captioner(self, choice: ModelChoice) -> Captioner:
        from indexer.models.blip import BlipCaptioner

        return BlipCaptioner(choice.name, device=self.device)


_ONLY_EMBEDDED: tuple[Family, ...] = ("concepts", "pocketsphinx", "rapidocr")


def _check_embedded(choice: ModelChoice) -> None:
    if choice.family in _ONLY_EMBEDDED and choice.name != EMBEDDED:
        raise ConfigError(
            f"The family '{choice.family}' has no model '{choice.name}'.", hint=f"Write {choice.family}:{EMBEDDED}."
        )


def _check_device(device: str) -> None:
    """Ask PyTorch only where the answer can be no: importing it takes seconds."""
    from indexer.models.devices import resolve_device

    if device not in ("auto", "cpu"):
        resolve_device(device)


def _text_encoder(choice: ModelChoice, device: str) -> TextEncoder:
    from indexer.models import sentence

    name = sentence.EMBEDDED if choice.name == EMBEDDED else choice.name
    return sentence.SentenceEncoder(name, device=device)


def _cache_folder() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("sceneseek", appauthor=False)
