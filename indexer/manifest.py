"""Which models an index is made with: decided once, kept in its manifest, checked ever after."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from indexer.config import CorpusSettings, LoadedSettings, ModelSettings, ShotSettings
from indexer.core.errors import IndexDamagedError, IndexIncompatibleError
from indexer.corpus.find import Corpus
from indexer.modalities.registry import all_roles, optional_roles
from indexer.models.base import Fingerprint, Models, Role, RoleName
from indexer.models.build import build_models
from indexer.models.profiles import (
    AUTO,
    OFF,
    PROFILES,
    ModelChoice,
    choose_profile,
    parse_choice,
)
from indexer.shots.sampling import Sampling
from indexer.store.base import Manifest, VectorStore

__all__ = [
    "RoleChanges",
    "changed_manifest",
    "choices_in_force",
    "choices_of",
    "found_index",
    "listens_always",
    "models_of",
    "new_manifest",
    "outermost",
    "remembering",
    "sampling_of",
    "set_aside",
    "settled",
]

_REQUIRED = ("frames", "text")


@dataclass(frozen=True, slots=True)
class RoleChanges:
    """The roles that a run takes into the index, or makes anew with another model, and those that it takes out."""

    add: tuple[RoleName, ...] = ()
    without: tuple[RoleName, ...] = ()


def settled(store: VectorStore, loaded: LoadedSettings, changes: RoleChanges) -> tuple[Manifest, Models, str]:
    """The manifest and models of a run and, for a new index, the reason for this choice.

    Raises:
        ConfigError, IndexIncompatibleError, WeightsMissingError: as for ``new_manifest`` and ``changed_manifest``.
    """
    settings = loaded.settings.models
    manifest = store.read_manifest()
    if manifest is None:
        return new_manifest(settings, sampling_of(loaded.settings.shots), changes)
    found_index(manifest, settings, changes)
    return *changed_manifest(manifest, settings, changes), ""


def choices_in_force(manifest: Manifest, loaded: LoadedSettings) -> tuple[Sampling, CorpusSettings]:
    """How keyframes and files are chosen: as when the index was last written, unless asked for otherwise now."""
    sampling = Sampling(**manifest.sampling) if _is_silent_about("shots", loaded) else None
    before: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in manifest.corpus.items()
    }
    choosing = CorpusSettings(**before) if _is_silent_about("corpus", loaded) else loaded.settings.corpus
    return sampling if sampling and manifest.sampling else sampling_of(loaded.settings.shots), choosing


def _is_silent_about(section: str, loaded: LoadedSettings) -> bool:
    return all(origin == "default" for name, origin in loaded.origins.items() if name.startswith(f"{section}."))


def listens_always(manifest: Manifest, loaded: LoadedSettings) -> bool:
    """Whether to listen also where there are subtitles: as before, unless asked for otherwise now."""
    return manifest.speech_always if _is_silent_about("speech", loaded) else loaded.settings.speech.always


def new_manifest(
    settings: ModelSettings, sampling: Sampling, changes: RoleChanges = RoleChanges()
) -> tuple[Manifest, Models, str]:
    """The manifest of an index about to be made, its models, and, for people, the reason for this choice.

    Raises:
        ConfigError: the settings name no model.
        WeightsMissingError: a model is not here and cannot be fetched.
    """
    decision = choose_profile(settings.profile)
    choices = _chosen(decision.profile.choices, settings, changes)
    models = build_models(choices, all_roles(), device=settings.device)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    manifest = Manifest(decision.profile.name, _described(choices, models), now, sampling=asdict(sampling))
    return manifest, models, decision.reason


def changed_manifest(manifest: Manifest, settings: ModelSettings, changes: RoleChanges) -> tuple[Manifest, Models]:
    """The manifest with roles taken in or out, and the models; those that stay are checked against their fingerprints.

    Raises:
        ConfigError: the settings name no model.
        IndexIncompatibleError: a model here gives other vectors than the index holds.
        WeightsMissingError: a model is not here and cannot be fetched.
    """
    kept = {role: choice for role, choice in choices_of(manifest).items() if role not in changes.without}
    profile = PROFILES[manifest.profile].choices if manifest.profile in PROFILES else {}
    choices = kept | _additions(changes, settings, {**profile, **kept})
    models = build_models(choices, all_roles(), device=settings.device)
    for role, choice in choices.items():
        if kept.get(role) == choice and role not in changes.add:
            _check_same(role, manifest.models[role], models.by_role[role].fingerprint)
    return replace(manifest, models=_described(choices, models)), models


def models_of(manifest: Manifest, *, device: str = "auto", roles: Collection[RoleName] | None = None) -> Models:
    """The models an index was made with. Those of pictures and texts are checked against their fingerprints.

    Args:
        manifest: The index's.
        device: Where they run.
        roles: Which of them to build besides ``frames`` and ``text``; None builds all.

    Raises:
        IndexIncompatibleError: a model here gives other vectors than the index holds.
        WeightsMissingError: a model is not here and cannot be fetched.
    """
    choices = choices_of(manifest)
    if roles is not None:
        choices = {role: choice for role, choice in choices.items() if role in {*roles, *_REQUIRED}}
    models = build_models(choices, all_roles(), device=device)
    for role in _REQUIRED:
        _check_same(role, manifest.models[role], models.by_role[role].fingerprint)
    return models


def choices_of(manifest: Manifest) -> dict[RoleName, ModelChoice]:
    """The choices that the manifest's models are.

    Raises:
        IndexDamagedError: it does not name a model for pictures and texts.
        ConfigError: it names a model that this version does not know.
    """
    choices = {
        name: parse_choice(role, manifest.models[name][0])
        for name, role in all_roles().items()
        if name in manifest.models
    }
    if not choices.keys() >= set(_REQUIRED):
        raise IndexDamagedError("The index does not name its models.", hint="Index into a new folder.")
    return choices


def found_index(manifest: Manifest, asked: ModelSettings, changes: RoleChanges = RoleChanges()) -> None:
    """Check that what was asked for is what the index is made with; ``auto`` and an empty setting match any index.

    Raises:
        IndexIncompatibleError: it is not.
        ConfigError: a setting names no model.
    """
    if asked.profile not in (AUTO, manifest.profile):
        wanted = choose_profile(asked.profile).profile.choices
        if any(manifest.models[role][0] != str(wanted[role]) for role in _REQUIRED):
            raise _other_models(f"the profile '{manifest.profile}'", f"'{asked.profile}'")
    for name, role in all_roles().items():
        spec = asked.spec(name)
        if spec not in ("", OFF):
            parse_choice(role, spec)
        if spec not in ("", OFF) and name in manifest.models and name not in changes.add:
            _check_spec(role, manifest.models[name][0], spec)


def set_aside(manifest: Manifest, asked: ModelSettings) -> tuple[str, ...]:
    """One sentence for each model that the settings name but the index lacks, with how to add it."""
    return tuple(
        f"models.{role} is set, and this index does without {role}. To take it in: sceneseek index --add {role}"
        for role in optional_roles()
        if asked.spec(role) not in ("", OFF) and role not in manifest.models
    )


def _check_spec(role: Role, before: str, asked: str) -> None:
    if before in (asked, str(parse_choice(role, asked))):
        return
    if not role.is_optional:
        raise _other_models(before, asked)
    raise IndexIncompatibleError(
        f"The index was made with {before}, and {asked} was asked for.",
        hint=f"To make the {role.name} of all videos anew with it: sceneseek index --add {role.name}",
    )


def _chosen(
    profile: Mapping[RoleName, ModelChoice], settings: ModelSettings, changes: RoleChanges
) -> dict[RoleName, ModelChoice]:
    """The profile's models, those that the settings or the changes put in their place, and those that are added."""
    choices = dict(profile)
    for name, role in all_roles().items():
        spec = settings.spec(name)
        if name in changes.without or (spec == OFF and name not in changes.add):
            choices.pop(name, None)
        elif spec not in ("", OFF):
            choices[name] = parse_choice(role, spec)
    return choices | _additions(changes, settings, choices)


def _additions(
    changes: RoleChanges, settings: ModelSettings, known: Mapping[RoleName, ModelChoice]
) -> dict[RoleName, ModelChoice]:
    """The model for each added role: from the settings, else the index or its profile, else the default."""
    roles = optional_roles()

    def choice(name: RoleName) -> ModelChoice:
        spec = settings.spec(name)
        if spec in ("", OFF):
            return known.get(name) or parse_choice(roles[name], roles[name].default)
        return parse_choice(roles[name], spec)

    return {name: choice(name) for name in changes.add}


def _described(choices: Mapping[RoleName, ModelChoice], models: Models) -> dict[str, tuple[str, Fingerprint]]:
    return {role: (str(choices[role]), model.fingerprint) for role, model in models.by_role.items()}


def sampling_of(settings: ShotSettings) -> Sampling:
    """The sampling options that settings describe.

    Raises:
        ConfigError: an option is out of range.
    """
    names = {key.name for key in fields(Sampling)} & {key.name for key in fields(ShotSettings)}
    return Sampling(**{name: getattr(settings, name) for name in names})


def remembering(
    manifest: Manifest, corpus: Corpus, sampling: Sampling, choosing: CorpusSettings, *, forget_missing: bool
) -> Manifest:
    """The manifest after this run: what the next one indexes if it is not told otherwise, and how.

    Roots that were never seen are not taken in; those that have gone are forgotten only when asked to.
    """
    seen = [root for root in corpus.roots if root.exists()]
    before = [root for root in manifest.roots if root.exists() or not forget_missing]
    return replace(manifest, roots=outermost((*before, *seen)), sampling=asdict(sampling), corpus=asdict(choosing))


def outermost(roots: Sequence[Path]) -> tuple[Path, ...]:
    """The roots that lie in no other one, in order."""
    distinct = tuple(dict.fromkeys(roots))
    return tuple(
        root for root in distinct if not any(root != other and root.is_relative_to(other) for other in distinct)
    )


def _check_same(role: str, then: tuple[str, Fingerprint], now: Fingerprint) -> None:
    spec, before = then
    if before.digest == now.digest:
        return
    parts = ("family", "weights", "preprocessing", "dim")
    changed = [part for part in parts if getattr(before, part) != getattr(now, part)]
    raise IndexIncompatibleError(
        f"The index was made with the {role} model {spec} ({before.digest}); the one here is another ({now.digest}): "
        f"its {' and '.join(changed)} differ.",
        hint="Bring the former model back, or index into a new folder with --index DIR.",
    )


def _other_models(before: str, now: str) -> IndexIncompatibleError:
    return IndexIncompatibleError(
        f"The index was made with {before}, and {now} was asked for.",
        hint="Vectors of two models cannot be compared: index into a new folder with --index DIR.",
    )
