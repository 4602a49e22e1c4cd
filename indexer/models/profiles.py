"""Which model fills which role. Importing this is cheap: no model library is loaded before a model is used.

===========  ================================================  =============================================
profile      frames                                            text
===========  ================================================  =============================================
embedded     EfficientNet-Lite0's concepts (from packages)     all-MiniLM-L6-v2 (from a package)
standard     OpenCLIP ViT-B-32, OpenAI's weights               all-mpnet-base-v2
best         OpenCLIP ViT-L-16 SigLIP 2, 256 pixels            snowflake-arctic-embed-l-v2.0 (multilingual)
auto         ``standard`` where every weight is cached or can be downloaded, else ``embedded``
===========  ================================================  =============================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias

from indexer.errors import ConfigError
from indexer.models.base import Fingerprint, FrameEncoder, TextEncoder
from indexer.models.weights import HubFile, cached_path, can_download, offline

__all__ = [
    "AUTO",
    "FAMILIES_OF_ROLE",
    "PROFILES",
    "Family",
    "ModelChoice",
    "Models",
    "Profile",
    "ProfileDecision",
    "Role",
    "build_models",
    "choose_profile",
    "missing_files",
    "parse_choice",
]

Family: TypeAlias = Literal["concepts", "open_clip", "sentence"]
Role: TypeAlias = Literal["frames", "text"]
FAMILIES_OF_ROLE: Mapping[Role, tuple[Family, ...]] = MappingProxyType(
    {"frames": ("concepts", "open_clip"), "text": ("sentence",)}
)
AUTO = "auto"
EMBEDDED = "embedded"


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model by family and name.

    Args:
        family: The module beside this one that loads it.
        name: ``embedded``, a name on the Hub, or a folder.
        files: What must be cached or downloadable for it to work, one repository file each.
    """

    family: Family
    name: str
    files: tuple[HubFile, ...] = ()

    def __str__(self) -> str:
        return f"{self.family}:{self.name}"


@dataclass(frozen=True, slots=True)
class Profile:
    """A model for every role."""

    name: str
    frames: ModelChoice
    text: ModelChoice

    @property
    def files(self) -> tuple[HubFile, ...]:
        """Every file that the profile needs from the Hub."""
        return self.frames.files + self.text.files


@dataclass(frozen=True, slots=True)
class ProfileDecision:
    """A profile and, in a sentence for people, why it was taken."""

    profile: Profile
    reason: str


@dataclass(frozen=True, slots=True)
class Models:
    """The models of an index, each loading its weights when it is first used."""

    frames: FrameEncoder
    text: TextEncoder

    @property
    def fingerprints(self) -> dict[str, Fingerprint]:
        """Each role's fingerprint."""
        return {"frames": self.frames.fingerprint, "text": self.text.fingerprint}

    def unload(self) -> None:
        """Give all memory back."""
        self.frames.unload()
        self.text.unload()


def _hub_files(repo: str, *names: str) -> tuple[HubFile, ...]:
    return tuple(HubFile(repo, name) for name in names)


_SENTENCE_FILES = ("modules.json", "config.json", "tokenizer.json", "model.safetensors")
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")

PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        EMBEDDED: Profile(EMBEDDED, frames=ModelChoice("concepts", EMBEDDED), text=ModelChoice("sentence", EMBEDDED)),
        "standard": Profile(
            "standard",
            frames=ModelChoice(
                "open_clip",
                "ViT-B-32/openai",
                _hub_files("timm/vit_base_patch32_clip_224.openai", "open_clip_model.safetensors"),
            ),
            text=ModelChoice(
                "sentence",
                "sentence-transformers/all-mpnet-base-v2",
                _hub_files("sentence-transformers/all-mpnet-base-v2", *_SENTENCE_FILES),
            ),
        ),
        "best": Profile(
            "best",
            frames=ModelChoice(
                "open_clip",
                "ViT-L-16-SigLIP2-256/webli",
                _hub_files("timm/ViT-L-16-SigLIP2-256", "open_clip_model.safetensors", *_TOKENIZER_FILES),
            ),
            text=ModelChoice(
                "sentence",
                "Snowflake/snowflake-arctic-embed-l-v2.0",
                _hub_files("Snowflake/snowflake-arctic-embed-l-v2.0", *_SENTENCE_FILES),
            ),
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

    Raises:
        ConfigError: no such family, one that cannot fill the role, or no name.
    """
    families = FAMILIES_OF_ROLE[role]
    found, _, name = text.partition(":")
    family = next((known for known in families if known == found), None)
    if family is None or not name.strip():
        raise ConfigError(
            f"'{text}' is no model for {role}.",
            hint=f"Write FAMILY:NAME or FAMILY:FOLDER, with the family one of: {', '.join(families)}.",
        )
    return ModelChoice(family, str(Path(name).expanduser()) if name.startswith("~") else name.strip())


def build_models(
    profile: Profile,
    *,
    device: str = "auto",
    frames: str = "",
    text: str = "",
    cache_folder: Path | None = None,
) -> Models:
    """The models of a profile, not yet loaded.

    Args:
        profile: From ``choose_profile``.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        frames: A model to use in place of the profile's for frames, as ``parse_choice`` reads it.
        text: The same for text.
        cache_folder: Where derived vectors are kept; the user's cache folder by default.

    Raises:
        ConfigError: an override names no model.
        ModelError: this machine lacks the device (for devices other than ``auto`` and ``cpu``).
    """
    chosen = replace(
        profile,
        frames=parse_choice("frames", frames) if frames else profile.frames,
        text=parse_choice("text", text) if text else profile.text,
    )
    _check_device(device)
    text_encoder = _text_encoder(chosen.text, device)
    return Models(_frame_encoder(chosen.frames, text_encoder, device, cache_folder or _cache_folder()), text_encoder)


def _check_device(device: str) -> None:
    """Ask PyTorch only where the answer can be no: importing it takes seconds."""
    from indexer.models.devices import resolve_device

    if device not in ("auto", "cpu"):
        resolve_device(device)


def _text_encoder(choice: ModelChoice, device: str) -> TextEncoder:
    from indexer.models import sentence

    name = sentence.EMBEDDED if choice.name == EMBEDDED else choice.name
    return sentence.SentenceEncoder(name, device=device)


def _frame_encoder(choice: ModelChoice, text: TextEncoder, device: str, cache_folder: Path) -> FrameEncoder:
    if choice.family == "open_clip":
        from indexer.models.open_clip import OpenClipEncoder

        return OpenClipEncoder(choice.name, device=device)
    if choice.name != EMBEDDED:
        raise ConfigError(f"The family 'concepts' has no model '{choice.name}'.", hint="Write concepts:embedded.")
    from indexer.models.concepts import ConceptsEncoder

    return ConceptsEncoder(text, device=device, cache_folder=cache_folder)


def _cache_folder() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("sceneseek", appauthor=False)
