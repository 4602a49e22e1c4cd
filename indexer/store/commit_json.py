"""Commits and manifests as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

from indexer.core.errors import IndexDamagedError
from indexer.core.types import Video
from indexer.models.base import Fingerprint
from indexer.store.base import Commit, Location, Manifest, ModalityState


def encode_commit(commit: Commit) -> str:
    """A commit as one line of ASCII JSON, in which undecodable bytes of a file name survive as escapes."""
    return json.dumps(asdict(commit), default=_plain)


def decode_commit(text: str) -> Commit:
    """The commit that ``encode_commit`` wrote; older ones lack the object vectors.

    Raises:
        IndexDamagedError: the text is no commit.
    """
    with _damage_of("a video's commit"):
        fields = json.loads(text)
        return Commit(
            **fields
            | {
                "video": _decode_video(fields["video"]),
                "locations": tuple(_decode_location(place) for place in fields["locations"]),
                "modalities": {name: ModalityState(**state) for name, state in fields["modalities"].items()},
                "warnings": tuple(fields["warnings"]),
                "object_maximum": tuple(fields.get("object_maximum", ())),
                "object_mean": tuple(fields.get("object_mean", ())),
            }
        )


def encode_manifest(manifest: Manifest) -> str:
    """A manifest as one line of JSON."""
    return json.dumps(asdict(manifest), default=_plain)


def decode_manifest(text: str) -> Manifest:
    """The manifest that ``encode_manifest`` wrote.

    Raises:
        IndexDamagedError: the text is no manifest.
    """
    with _damage_of("the index's manifest"):
        fields = json.loads(text)
        models = {role: (spec, Fingerprint(**fingerprint)) for role, (spec, fingerprint) in fields["models"].items()}
        roots = tuple(Path(root) for root in fields["roots"])
        return Manifest(**fields | {"models": models, "roots": roots})


def _plain(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    raise TypeError(f"cannot store a {type(value).__name__}")


def _decode_video(fields: dict[str, Any]) -> Video:
    rate = fields["frame_rate"]
    return Video(**fields | {"path": Path(fields["path"]), "frame_rate": Fraction(rate) if rate else None})


def _decode_location(fields: dict[str, Any]) -> Location:
    return Location(**fields | {"path": Path(fields["path"]), "root": Path(fields["root"])})


@contextmanager
def _damage_of(what: str) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        raise IndexDamagedError(
            f"The database holds {what} that cannot be read ({error}).",
            hint="It was written by another version or damaged: run 'sceneseek verify', or index into a new folder.",
        ) from error
