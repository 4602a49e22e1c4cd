"""The vectors of classes: what a picture model makes of the sentences about each, kept for the next run."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from indexer.core.types import Embedding
from indexer.models.base import FrameEncoder
from search.evaluate.files import write_bytes_whole
from search.evaluate.progress import ReportProgress
from search.evaluate.prompts import ClassNames, Templates

__all__ = ["KeptVectors", "encode_classes"]

_SENTENCES_AT_ONCE = 256


def encode_classes(
    encoder: FrameEncoder,
    classes: ClassNames,
    templates: Templates,
    *,
    kept: KeptVectors | None = None,
    report_progress: ReportProgress | None = None,
) -> Embedding:
    """``(classes, dim)`` float32, L2-normalised: for each class the mean of its sentences' vectors, normalised again.

    Args:
        encoder: The picture model of the index.
        classes: What to encode.
        templates: The sentences.
        kept: Where finished classes are kept; those found there are not encoded again.
        report_progress: Told after every batch.

    Raises:
        ModelError: the model cannot encode texts.
        UsageError: the vectors cannot be kept there.
    """
    key = _key(encoder, classes, templates)
    done = np.zeros((0, encoder.fingerprint.dim), np.float32) if kept is None else kept.read(key, encoder)
    step = max(1, _SENTENCES_AT_ONCE // len(templates.patterns))
    while len(done) < len(classes.names):
        names = classes.names[len(done) : len(done) + step]
        done = np.concatenate([done, _ensemble(encoder, names, templates)])
        if kept is not None:
            kept.write(key, done)
        if report_progress is not None:
            report_progress("class texts", len(done), len(classes.names))
    return done


@dataclass(frozen=True, slots=True)
class KeptVectors:
    """A file of finished class vectors; those of another model, other sentences or other classes do not count."""

    path: Path

    def read(self, key: str, encoder: FrameEncoder) -> Embedding:
        """``(k, dim)``: the vectors of the first k classes, for as many as are finished."""
        nothing = np.zeros((0, encoder.fingerprint.dim), np.float32)
        try:
            with self.path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                return archive["vectors"].astype(np.float32) if str(archive["key"]) == key else nothing
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):  # none yet, or none that can be used
            return nothing

    def write(self, key: str, vectors: Embedding) -> None:
        """Keep what is finished, whole or not at all.

        Raises:
            UsageError: it cannot be written there.
        """
        archive = io.BytesIO()
        np.savez(archive, key=np.array(key), vectors=vectors)
        write_bytes_whole(self.path, archive.getvalue())


def _ensemble(encoder: FrameEncoder, names: Sequence[str], templates: Templates) -> Embedding:
    sentences = [sentence for name in names for sentence in templates.prompts(name)]
    vectors = encoder.encode_texts(sentences)
    means = vectors.reshape(len(names), len(templates.patterns), -1).mean(axis=1)
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    mixed: Embedding = (means / np.maximum(lengths, 1e-12)).astype(np.float32)
    return mixed


def _key(encoder: FrameEncoder, classes: ClassNames, templates: Templates) -> str:
    """What the vectors depend on, in 32 hexadecimal digits."""
    parts = [encoder.fingerprint.digest, list(classes.names), list(templates.patterns)]
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()
