"""Vectors of classes: what a picture model makes of the sentences about each class."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from indexer.core.types import Embedding
from indexer.models.base import Fingerprint, FrameEncoder
from indexer.models.long_texts import normalised
from indexer.models.vector_cache import cached_documents
from search.evaluate.progress import ReportProgress
from search.evaluate.prompts import ClassNames, Templates

_SENTENCES_AT_ONCE = 256


def encode_classes(
    encoder: FrameEncoder,
    classes: ClassNames,
    templates: Templates,
    *,
    cache: Path | None = None,
    report_progress: ReportProgress | None = None,
) -> Embedding:
    """``(classes, dim)`` float32, L2-normalised: the mean of the vectors of each class's sentences, normalised again.

    Batches that are in the folder ``cache`` are not encoded again; ``report_progress`` is called after every batch.
    """
    ensemble, names = _PromptEnsemble(encoder, templates), classes.names
    step = max(1, _SENTENCES_AT_ONCE // len(templates.patterns))
    batches = []
    for start in range(0, len(names), step):
        batches.append(cached_documents(names[start : start + step], ensemble, cache))
        if report_progress is not None:
            report_progress("class texts", min(start + step, len(names)), len(names))
    return np.concatenate(batches)


@dataclass(frozen=True, slots=True)
class _PromptEnsemble:
    """Encodes names of classes through templates."""

    encoder: FrameEncoder
    templates: Templates

    @property
    def fingerprint(self) -> Fingerprint:
        """That of the encoder; other templates make other vectors."""
        own = self.encoder.fingerprint
        return replace(own, preprocessing=json.dumps([own.preprocessing, *self.templates.patterns]))

    def encode_documents(self, texts: Sequence[str]) -> Embedding:
        """``(n, dim)`` float32, L2-normalised: one vector for each name."""
        vectors = self.encoder.encode_texts([prompt for name in texts for prompt in self.templates.prompts(name)])
        return normalised(vectors.reshape(len(texts), len(self.templates.patterns), -1).mean(axis=1))
