"""Ways to search that are to be compared: every combination of the values given for some axes.

Ways that need another index have one, found or made beside the results.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from indexer.config import LoadedSettings
from indexer.core.errors import IndexDamagedError, UsageError
from indexer.core.types import ModalityName
from indexer.maintenance.variants import index_variant
from indexer.manifest import models_of
from indexer.modalities.registry import modality_names
from indexer.models.base import FrameEncoder
from indexer.models.profiles import choose_profile
from indexer.progress import IndexReport, ProgressReport
from indexer.shots.sampling import STRATEGIES
from indexer.store import open_store
from indexer.store.base import Manifest, VectorStore
from search.engine import SearchEngine
from search.evaluate.action_figures import POOLINGS, TAU, check_pooling
from search.modalities import modality_named

OF_SEARCHES = ("only", "weights")
"""Axes that make a difference to searches alone."""
OF_ACTIONS = ("pooling", "templates", "tau")
"""Axes that make a difference to the zero-shot evaluation of actions alone."""
AXES = ("profile", "keyframes", *OF_SEARCHES, *OF_ACTIONS)


@dataclass(frozen=True, slots=True)
class Setup:
    """One way to search; ``chosen`` has one value for each axis."""

    chosen: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """As it is shown: ``profile=embedded keyframes=middle``."""
        return " ".join(f"{axis}={value}" for axis, value in self.chosen.items()) or "as it is"

    @property
    def slug(self) -> str:
        """The name for a file."""
        return re.sub(r"[^\w.+-]+", "-", self.name).strip("-")

    def value(self, axis: str) -> str:
        """The value chosen for an axis; empty if it is not varied."""
        return self.chosen.get(axis, "")

    @property
    def tau(self) -> float:
        """The temperature of the pooling ``query``: the one chosen, or the usual one.

        Raises:
            UsageError: it is not a number above 0.
        """
        text = self.value("tau")
        try:
            tau = float(text) if text else TAU
        except ValueError as error:
            raise UsageError(f"'{text}' is not a number for tau.", hint="Write it as tau=0.05,0.1.") from error
        check_pooling("query", tau)
        return tau

    def weights(self, usual: Mapping[ModalityName, float]) -> dict[ModalityName, float]:
        """How much each modality counts: as usual, except for what ``weights`` and ``only`` say.

        Raises:
            UsageError: a weight cannot be read.
            QueryError: there is no such modality.
        """
        weights = {name: usual.get(name, 1.0) for name in modality_names()}
        weights.update(_weights(self.value("weights")))
        only = {modality_named(name) for name in _parts(self.value("only"), "all")}
        return {name: (weight or 1.0) if name in only else 0.0 for name, weight in weights.items()} if only else weights


def parse_setups(texts: Sequence[str]) -> tuple[Setup, ...]:
    """Every combination of the values of some axes, as people type them; the first values of all come first.

    Axes are typed as ``profile=embedded,standard``, ``keyframes=shots,middle``, ``only=all,frames,speech``,
    ``weights=default,subtitle:2+ocr:0.5``, ``pooling=mean,max,query``, ``templates=clip,plain`` and ``tau=0.05,0.1``.
    Parts of one value are joined by ``+``.

    Raises:
        UsageError: an axis is unknown, named twice, has no values or an unknown one.
        QueryError: there is no such modality.
    """
    axes: dict[str, Sequence[str]] = {}
    for text in texts:
        typed, _, listed = text.partition("=")
        name = typed.strip().casefold()
        if name not in AXES:
            hint = f"Write NAME=A,B with {', '.join(AXES)}."
            raise UsageError(f"'{text}' cannot be compared.", hint=hint)
        if name in axes:
            raise UsageError(f"'{name}' is given twice.", hint=f"Write all values at once: {name}=A,B.")
        axes[name] = list(dict.fromkeys(value.strip() for value in listed.split(",") if value.strip()))
        if not axes[name]:
            raise UsageError(f"'{text}' names no values to compare.", hint=f"Write {name}=A,B.")
    for value in axes.get("keyframes", ()):
        if value not in STRATEGIES:
            hint = f"There are: {', '.join(STRATEGIES)}."
            raise UsageError(f"There is no way to choose keyframes called '{value}'.", hint=hint)
    setups = tuple(Setup(dict(zip(axes, values, strict=True))) for values in product(*axes.values()))
    for setup in setups:
        setup.weights({})
        check_pooling(setup.value("pooling") or POOLINGS[0], setup.tau)
    return setups


@dataclass(frozen=True, slots=True)
class IndexVariants:
    """Finds or makes the index for each setup; methods raise a StoreError if an index is not there or unreadable.

    ``loaded`` says where the existing index is. The others are kept in ``folder``, and found there again.
    """

    loaded: LoadedSettings
    folder: Path

    def grouped(self, setups: Sequence[Setup]) -> list[list[Setup]]:
        """The setups in groups of the same index.

        Raises:
            ConfigError: there is no such profile.
        """
        groups: dict[Path | None, list[Setup]] = {}
        for setup in setups:
            groups.setdefault(self._place(setup), []).append(setup)
        return list(groups.values())

    def prepare(self, setup: Setup, progress: ProgressReport | None = None) -> IndexReport | None:
        """Make the index for a setup, or bring it up to date; does nothing to the existing index.

        Raises:
            SceneseekError: as indexing raises it.
        """
        place = self._place(setup)
        if place is None:
            return None
        manifest = self._manifest()
        profile, strategy = _profile(setup, manifest), setup.value("keyframes")
        return index_variant(self.loaded, manifest, place, profile=profile, strategy=strategy, on_progress=progress)

    def open(self, setup: Setup) -> SearchEngine:
        """Search the index for a setup."""
        index, place = self.loaded.settings.index, self._place(setup)
        device = self.loaded.settings.models.device
        return SearchEngine.open(place or index.path, name=index.name, url="" if place else index.url, device=device)

    def open_store(self, setup: Setup) -> VectorStore:
        """Read the index for a setup, without a search engine; the caller closes it."""
        return self._store(self._place(setup))

    def frame_encoder(self, store: VectorStore) -> FrameEncoder:
        """The picture model that the index in a store was made with, not loaded yet.

        Raises:
            ModelError: the model is not here, or has changed since.
        """
        return models_of(_manifest_of(store), device=self.loaded.settings.models.device, roles=()).frames

    def _place(self, setup: Setup) -> Path | None:
        """The folder of the index for a setup, made or not; None for the existing index."""
        manifest = self._manifest()
        before = (manifest.profile, str(manifest.sampling.get("strategy", "")))
        wanted = (_profile(setup, manifest), setup.value("keyframes") or before[1])
        return None if wanted == before else self.folder / "-".join(wanted)

    def _store(self, place: Path | None) -> VectorStore:
        index = self.loaded.settings.index
        return open_store(place or Path(index.path), name=index.name, url="" if place else index.url)

    def _manifest(self) -> Manifest:
        with closing(self._store(None)) as store:
            return _manifest_of(store)


def _weights(text: str) -> Iterator[tuple[ModalityName, float]]:
    for part in _parts(text, "default"):
        name, _, number = part.partition(":")
        try:
            weight = float(number)
        except ValueError:
            weight = math.nan
        if not (math.isfinite(weight) and weight >= 0):
            raise UsageError(f"'{part}' is not a weight.", hint="Write it as weights=default,subtitle:2+ocr:0.5.")
        yield modality_named(name.strip()), weight


def _parts(text: str, none: str) -> list[str]:
    return [part.strip() for part in text.split("+") if part.strip() not in ("", none)]


def _profile(setup: Setup, manifest: Manifest) -> str:
    asked = setup.value("profile")
    return choose_profile(asked).profile.name if asked else manifest.profile


def _manifest_of(store: VectorStore) -> Manifest:
    manifest = store.read_manifest()
    if manifest is None:
        raise IndexDamagedError("The index does not say how it was made.", hint="Index into a new folder.")
    return manifest
