"""Ways to search that are to be compared: every combination of the values given for some axes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from indexer.core.errors import UsageError
from indexer.core.types import ModalityName
from indexer.modalities.registry import modality_names
from indexer.shots.sampling import STRATEGIES
from search.evaluate.pooling import POOLINGS, TAU, check_pooling
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
            UsageError: it is no number above 0.
        """
        text = self.value("tau")
        try:
            tau = float(text) if text else TAU
        except ValueError as error:
            raise UsageError(f"'{text}' is no number for tau.", hint="Write it as tau=0.05,0.1.") from error
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
            raise UsageError(f"'{text}' is nothing that can be compared.", hint=hint)
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


def _weights(text: str) -> Iterator[tuple[ModalityName, float]]:
    for part in _parts(text, "default"):
        name, _, number = part.partition(":")
        try:
            weight = float(number)
        except ValueError:
            weight = math.nan
        if not (math.isfinite(weight) and weight >= 0):
            raise UsageError(f"'{part}' is no weight.", hint="Write it as weights=default,subtitle:2+ocr:0.5.")
        yield modality_named(name.strip()), weight


def _parts(text: str, none: str) -> list[str]:
    return [part.strip() for part in text.split("+") if part.strip() not in ("", none)]
