"""Names of classes, and sentences about them with their vectors."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from indexer.core.errors import MediaError, UsageError
from indexer.core.text import squeezed
from indexer.core.types import Embedding
from indexer.corpus.sidecars import read_text
from indexer.models.base import Fingerprint, FrameEncoder
from indexer.models.long_texts import normalised
from indexer.models.vector_cache import cached_documents
from search.evaluate import ReportProgress, no_progress

_SLOT = "{}"
_SENTENCES_AT_ONCE = 256
_WORD_STARTS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NUMBERED = re.compile(r"\d+[\s,;]+(?=\S)")


@dataclass(frozen=True, slots=True)
class Templates:
    """Sentences about a class, at least one, each with ``{}`` once for its name.

    ``name`` is one of ``TEMPLATES`` or their file; ``broken`` are the lines of that file that are no template, and why.
    """

    name: str
    patterns: tuple[str, ...]
    broken: tuple[str, ...] = ()

    def prompts(self, class_name: str) -> tuple[str, ...]:
        """The sentences about one class."""
        return tuple(pattern.replace(_SLOT, class_name) for pattern in self.patterns)


@dataclass(frozen=True, slots=True)
class ClassNames:
    """The classes to tell apart, at least two, in readable form, each once.

    ``source`` is ``labels``, one of ``CLASS_LISTS`` or their file; ``broken`` are its lines without a name.
    """

    source: str
    names: tuple[str, ...]
    broken: tuple[str, ...] = ()

    def places(self) -> dict[str, int]:
        """Each class's place in ``names`` by its squeezed name: case, spaces and punctuation do not matter."""
        return {squeezed(name): place for place, name in enumerate(self.names)}


_KINDS = ("photo", "video", "example", "demonstration")
_DOINGS = ("using", "doing", "during", "performing", "practicing")
_SUBJECTS = ("", "a person ", *(f"a person {doing} " for doing in _DOINGS))
TEMPLATES: Mapping[str, Templates] = {
    "plain": Templates("plain", (_SLOT,)),
    # The 28 that CLIP was evaluated with on Kinetics-700 (Radford et al., 2021), "a example" included.
    "clip": Templates("clip", tuple(f"a {kind} of {subject}{{}}." for kind in _KINDS for subject in _SUBJECTS)),
    "french": Templates("french", ("Une personne effectuant l'action de {} dans un cadre typique",)),
}
_CLASSES = Path(__file__).with_name("classes")
CLASS_LISTS: Mapping[str, Path] = {name: _CLASSES / f"{name}.txt" for name in ("kinetics50", "ucf101")}


def readable(name: str) -> str:
    """A class's name in plain words: ``ApplyEyeMakeup`` and ``apply_eye_makeup`` become ``apply eye makeup``."""
    return " ".join(_WORD_STARTS.sub(" ", name).replace("_", " ").split()).lower()


def read_templates(source: str) -> Templates:
    """The templates of this name, or those of a file, one per line; blank lines and ``#`` lines are ignored.

    Raises:
        UsageError: the file cannot be read, or none of its lines is a template.
    """
    if source in TEMPLATES:
        return TEMPLATES[source]
    lines = _lines(Path(source), f"Use {', '.join(TEMPLATES)}, or a file with one sentence on a line.")
    usable, broken = _usable(source, lines, _template_fault)
    if not usable:
        first = f" ({broken[0]})" if broken else ""
        hint = "Write one sentence on a line, with {} where the class goes."
        raise UsageError(f"There is no template in {source}{first}.", hint=hint)
    return Templates(source, tuple(dict.fromkeys(usable)), broken)


def read_classes(source: str) -> ClassNames:
    """The class list of this name, or that of a file, one per line; a UsageError if it has fewer than two.

    Blank lines and ``#`` lines are ignored, and numbers that begin every line, as in UCF101's ``classInd.txt``.
    """
    path = CLASS_LISTS.get(source, Path(source))
    lines = _lines(path, f"Use {', '.join(CLASS_LISTS)}, or a file with a class on a line.")
    if lines and all(_NUMBERED.match(text) for text in lines.values()):
        lines = {number: _NUMBERED.sub("", text, count=1) for number, text in lines.items()}
    usable, broken = _usable(source, lines, lambda text: "" if squeezed(text) else "no letter or digit in it")
    return _class_names(source, f"in {source}", usable, broken)


def classes_of_labels(labels: Iterable[str]) -> ClassNames:
    """The classes that labels name, in alphabetical order; a UsageError if there are fewer than two."""
    named = sorted((label for label in set(labels) if squeezed(label)), key=lambda label: (readable(label), label))
    return _class_names("labels", "among the labels of the indexed videos", named)


def encode_classes(
    encoder: FrameEncoder,
    classes: ClassNames,
    templates: Templates,
    *,
    cache: Path | None = None,
    progress: ReportProgress = no_progress,
) -> Embedding:
    """``(classes, dim)`` float32, L2-normalised: the mean of the vectors of each class's sentences, normalised again.

    Batches that are in the folder ``cache`` are not encoded again; ``progress`` is called after every batch.
    """
    ensemble, names = _PromptEnsemble(encoder, templates), classes.names
    step = max(1, _SENTENCES_AT_ONCE // len(templates.patterns))
    batches = []
    for start in range(0, len(names), step):
        batches.append(cached_documents(names[start : start + step], ensemble, cache))
        progress("class texts", min(start + step, len(names)), len(names))
    return np.concatenate(batches)


@dataclass(frozen=True, slots=True)
class _PromptEnsemble:
    """Encodes names of classes through templates, which are part of its fingerprint."""

    encoder: FrameEncoder
    templates: Templates

    @property
    def fingerprint(self) -> Fingerprint:
        own = self.encoder.fingerprint
        return replace(own, preprocessing=json.dumps([own.preprocessing, *self.templates.patterns]))

    def encode_documents(self, texts: Sequence[str]) -> Embedding:
        vectors = self.encoder.encode_texts([prompt for name in texts for prompt in self.templates.prompts(name)])
        return normalised(vectors.reshape(len(texts), len(self.templates.patterns), -1).mean(axis=1))


def _class_names(source: str, place: str, names: Iterable[str], broken: tuple[str, ...] = ()) -> ClassNames:
    distinct: dict[str, str] = {}
    for name in names:
        distinct.setdefault(squeezed(name), readable(name))
    if len(distinct) < 2:
        raise UsageError(
            f"There have to be at least two classes to tell apart; {place} there are {len(distinct)}.",
            hint="Index with --labels, or name the classes: --classes FILE, one on a line.",
        )
    return ClassNames(source, tuple(distinct.values()), broken)


def _lines(path: Path, hint: str) -> dict[int, str]:
    if not path.is_file():
        raise UsageError(f"There is no file {path}.", hint=hint)
    try:
        text = read_text(path)
    except MediaError as error:
        raise UsageError(error.message, hint=error.hint) from error
    lines = {number: line.strip() for number, line in enumerate(text.splitlines(), start=1)}
    return {number: line for number, line in lines.items() if line and not line.startswith("#")}


def _usable(source: str, lines: Mapping[int, str], fault: Callable[[str], str]) -> tuple[list[str], tuple[str, ...]]:
    broken = tuple(f"{source}, line {number}: {fault(text)}" for number, text in lines.items() if fault(text))
    return [text for text in lines.values() if not fault(text)], broken


def _template_fault(text: str) -> str:
    count = text.count(_SLOT)
    faults = {0: "no {} for the class", 1: ""}
    return faults.get(count, f"{{}} stands {count} times instead of once")
