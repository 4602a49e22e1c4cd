"""Which model fills which role. Importing this is cheap: no model library is loaded before a model is used.

========  =============================  ===================================  =======================================
role      embedded                       standard                             best
========  =============================  ===================================  =======================================
frames    EfficientNet-Lite0's concepts  OpenCLIP ViT-B-32, OpenAI's weights  OpenCLIP ViT-L-16 SigLIP 2, 256 pixels
text      all-MiniLM-L6-v2               all-mpnet-base-v2                    snowflake-arctic-embed-l-v2.0
speech    pocketsphinx, US English       Whisper small                        Whisper large-v3-turbo
ocr       RapidOCR                       RapidOCR                             RapidOCR
sounds    none                           CLAP HTSAT unfused                   CLAP larger, music and speech
objects   none                           D-FINE small, COCO                   D-FINE extra large, Objects365 and COCO
captions  none                           none                                 none
========  =============================  ===================================  =======================================

Everything of ``embedded`` comes with the installed packages. ``auto`` is ``standard`` where every weight is cached or
can be downloaded, else ``embedded``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from indexer.core.errors import ConfigError
from indexer.models.base import Role, RoleName
from indexer.models.weights import HubFile, cached_path, can_download, offline

__all__ = [
    "AUTO",
    "EMBEDDED",
    "OFF",
    "PROFILES",
    "ModelChoice",
    "Profile",
    "ProfileDecision",
    "choose_profile",
    "missing_files",
    "parse_choice",
]

AUTO = "auto"
EMBEDDED = "embedded"
OFF = "off"


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model by family and name.

    Args:
        family: The module beside this one that loads it.
        name: ``embedded``, a name on the Hub, or a file or folder.
        files: What must be cached or downloadable for it to work, one repository file each.
    """

    family: str
    name: str
    files: tuple[HubFile, ...] = ()

    def __str__(self) -> str:
        return f"{self.family}:{self.name}"


@dataclass(frozen=True, slots=True)
class Profile:
    """A model for every role that it fills; ``frames`` and ``text`` are always among them."""

    name: str
    choices: Mapping[RoleName, ModelChoice]

    @property
    def files(self) -> tuple[HubFile, ...]:
        """Every file that the profile needs from the Hub."""
        return tuple(file for choice in self.choices.values() for file in choice.files)


@dataclass(frozen=True, slots=True)
class ProfileDecision:
    """A profile and, in a sentence for people, why it was taken."""

    profile: Profile
    reason: str


def _hub(family: str, name: str, repo: str, *files: str) -> ModelChoice:
    return ModelChoice(family, name, tuple(HubFile(repo, file) for file in files))


_SENTENCE_FILES = ("modules.json", "config.json", "tokenizer.json", "model.safetensors")
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
_WHISPER_FILES = ("model.bin", "config.json", "tokenizer.json")
_DETECTOR_FILES = ("config.json", "preprocessor_config.json", "model.safetensors")
_PROCESSOR_FILES = ("config.json", "preprocessor_config.json", "tokenizer.json", "model.safetensors")

_RAPIDOCR = ModelChoice("rapidocr", EMBEDDED)
_CLAP = _hub("clap", "laion/clap-htsat-unfused", "laion/clap-htsat-unfused", *_PROCESSOR_FILES)
_DETR = _hub("detr", "ustc-community/dfine-small-coco", "ustc-community/dfine-small-coco", *_DETECTOR_FILES)

PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        EMBEDDED: Profile(
            EMBEDDED,
            {
                "frames": ModelChoice("concepts", EMBEDDED),
                "text": ModelChoice("sentence", EMBEDDED),
                "speech": ModelChoice("pocketsphinx", EMBEDDED),
                "ocr": _RAPIDOCR,
            },
        ),
        "standard": Profile(
            "standard",
            {
                "frames": _hub(
                    "open_clip",
                    "ViT-B-32/openai",
                    "timm/vit_base_patch32_clip_224.openai",
                    "open_clip_model.safetensors",
                ),
                "text": _hub(
                    "sentence",
                    "sentence-transformers/all-mpnet-base-v2",
                    "sentence-transformers/all-mpnet-base-v2",
                    *_SENTENCE_FILES,
                ),
                "speech": _hub("whisper", "small", "Systran/faster-whisper-small", *_WHISPER_FILES),
                "ocr": _RAPIDOCR,
                "sounds": _CLAP,
                "objects": _DETR,
            },
        ),
        "best": Profile(
            "best",
            {
                "frames": _hub(
                    "open_clip",
                    "ViT-L-16-SigLIP2-256/webli",
                    "timm/ViT-L-16-SigLIP2-256",
                    "open_clip_model.safetensors",
                    *_TOKENIZER_FILES,
                ),
                "text": _hub(
                    "sentence",
                    "Snowflake/snowflake-arctic-embed-l-v2.0",
                    "Snowflake/snowflake-arctic-embed-l-v2.0",
                    *_SENTENCE_FILES,
                ),
                "speech": _hub(
                    "whisper",
                    "large-v3-turbo",
                    "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
                    *_WHISPER_FILES,
                    "preprocessor_config.json",
                ),
                "ocr": _RAPIDOCR,
                "sounds": _hub("clap", "laion/larger_clap_general", "laion/larger_clap_general", *_PROCESSOR_FILES),
                "objects": _hub(
                    "detr",
                    "ustc-community/dfine-xlarge-obj2coco",
                    "ustc-community/dfine-xlarge-obj2coco",
                    *_DETECTOR_FILES,
                ),
            },
        ),
    }
)


def choose_profile(name: str) -> ProfileDecision:
    """The profile of that name; for ``auto``, the best one that this machine can have, decided within 5 seconds.

    Raises:
        ConfigError: there is no such profile.
    """
    if name == AUTO:
        return _decide()
    if name not in PROFILES:
        names = ", ".join([AUTO, *PROFILES])
        raise ConfigError(f"There is no profile '{name}'.", hint=f"Use one of: {names}.")
    return ProfileDecision(PROFILES[name], f"The profile '{name}' was asked for.")


def _decide() -> ProfileDecision:
    standard, embedded = PROFILES["standard"], PROFILES[EMBEDDED]
    absent = missing_files(standard)
    if not absent:
        return ProfileDecision(standard, "Every model of the profile 'standard' is on this machine.")
    if can_download(absent):
        repos = " and ".join(dict.fromkeys(file.repo for file in absent))
        return ProfileDecision(standard, f"The models of the profile 'standard' can be downloaded ({repos}).")
    why = "HF_HUB_OFFLINE is set" if offline() else "the Hugging Face Hub cannot be reached"
    return ProfileDecision(
        embedded,
        f"The models of the profile 'standard' are not on this machine and {why}, so the smaller models that come "
        f"with the installation are used. For better results: {absent[0].command}",
    )


def missing_files(profile: Profile) -> tuple[HubFile, ...]:
    """The files of the profile that are not in the local cache."""
    return tuple(file for file in profile.files if cached_path(file) is None)


def parse_choice(role: Role, text: str) -> ModelChoice:
    """A model as people write it: ``FAMILY:NAME`` or ``FAMILY:FOLDER``, such as ``open_clip:/models/clip``.

    A relative path that leads to something here becomes absolute.

    Raises:
        ConfigError: no such family, one that cannot fill the role, or no name.
    """
    family, _, name = text.partition(":")
    if family not in role.families or not name.strip():
        raise ConfigError(
            f"'{text}' is no model for {role.name}.",
            hint=f"Write FAMILY:NAME or FAMILY:FOLDER, with the family one of: {', '.join(role.families)}.",
        )
    return ModelChoice(family, _full_name(name.strip()))


def _full_name(name: str) -> str:
    """The name, made absolute if it is a path: an index is used from other folders, too."""
    path = Path(name).expanduser() if name.startswith("~") else Path(name)
    is_path = name.startswith("~") or (name != EMBEDDED and path.exists())
    return str(path.absolute()) if is_path else name
