"""Which models an index is made with: decided once, kept in its manifest, checked ever after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from indexer.config import CorpusSettings, ModelSettings, ShotSettings
from indexer.corpus.find import Corpus
from indexer.errors import IndexDamagedError, IndexIncompatibleError
from indexer.models.base import Fingerprint
from indexer.models.profiles import AUTO, PROFILES, Models, Profile, Role, build_models, choose_profile, parse_choice
from indexer.shots.select import Sampling
from indexer.store.base import Manifest

__all__ = ["found_index", "models_of", "new_manifest", "outermost", "remembering", "sampling_of"]

_ROLES: tuple[Role, ...] = get_args(Role)


def new_manifest(settings: ModelSettings, sampling: Sampling) -> tuple[Manifest, Models, str]:
    """The manifest of an index about to be made, its models, and in a sentence why these.

    Raises:
        ConfigError: the settings name no model.
        WeightsMissingError: a model is not here and cannot be fetched.
    """
    decision = choose_profile(settings.profile)
    frames, text = settings.frames or str(decision.profile.frames), settings.text or str(decision.profile.text)
    models = build_models(decision.profile, device=settings.device, frames=settings.frames, text=settings.text)
    prints = models.fingerprints
    specs = {"frames": (frames, prints["frames"]), "text": (text, prints["text"])}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    manifest = Manifest(decision.profile.name, specs, now, sampling=asdict(sampling))
    return manifest, models, decision.reason


def models_of(manifest: Manifest, *, device: str = "auto") -> Models:
    """The models an index was made with, once they are shown to be the same.

    Raises:
        IndexIncompatibleError: a model here gives other vectors than the index holds.
        WeightsMissingError: a model is not here and cannot be fetched.
    """
    chosen = {role: parse_choice(role, spec) for role, (spec, _) in manifest.models.items() if role in _ROLES}
    if set(chosen) != set(_ROLES):
        raise IndexDamagedError("The index does not name its models.", hint="Index into a new folder.")
    models = build_models(Profile(manifest.profile, **chosen), device=device)
    for role, now in models.fingerprints.items():
        _check_same(role, manifest.models[role], now)
    return models


def found_index(manifest: Manifest, asked: ModelSettings) -> None:
    """Check that what was asked for is what the index is made with; ``auto`` and nothing ask for nothing.

    Raises:
        IndexIncompatibleError: it is not.
    """
    if asked.profile not in (AUTO, manifest.profile):
        wanted = {"frames": str(PROFILES[asked.profile].frames), "text": str(PROFILES[asked.profile].text)}
        if any(manifest.models[role][0] != spec for role, spec in wanted.items()):
            raise _other_models(f"the profile '{manifest.profile}'", f"'{asked.profile}'")
    for role, spec in (("frames", asked.frames), ("text", asked.text)):
        if spec and spec != manifest.models[role][0]:
            raise _other_models(manifest.models[role][0], spec)


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
