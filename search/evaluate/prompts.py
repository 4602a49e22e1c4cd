"""What a class is called in a text: names as people say them, and the templates they are put into."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from indexer.core.errors import MediaError, UsageError
from indexer.core.text import squeezed
from indexer.corpus.sidecars import read_text

__all__ = [
    "CLASS_LISTS",
    "TEMPLATES",
    "ClassNames",
    "Templates",
    "classes_of_labels",
    "read_classes",
    "read_templates",
    "readable",
]

_SLOT = "{}"
_CLASSES = Path(__file__).with_name("classes")
_RUN_TOGETHER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NUMBERED = re.compile(r"\d+[\s,;]+(?=\S)")
_WHAT = ("photo", "video", "example", "demonstration")
_DOING = (
    "",
    "a person ",
    *(f"a person {doing} " for doing in ("using", "doing", "during", "performing", "practicing")),
)


@dataclass(frozen=True, slots=True)
class Templates:
    """Sentences about a class, with ``{}`` where its name goes.

    Args:
        name: What to call them: ``french``, ``clip``, ``plain``, or the file they are from.
        patterns: At least one, each with ``{}`` once.
        broken: The lines of the file that could not be used, and why.

    Raises:
        ValueError: there is no pattern, or one without its slot.
    """

    name: str
    patterns: tuple[str, ...]
    broken: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.patterns or any(pattern.count(_SLOT) != 1 for pattern in self.patterns):
            raise ValueError("every template needs {} once, and there has to be one")

    def prompts(self, class_name: str) -> tuple[str, ...]:
        """The sentences about one class."""
        return tuple(pattern.replace(_SLOT, class_name) for pattern in self.patterns)


@dataclass(frozen=True, slots=True)
class ClassNames:
    """The classes to tell apart, in readable form, each once.

    Args:
        source: Where they come from: ``labels``, ``kinetics50``, ``ucf101``, or a file.
        names: At least two.
        broken: The lines of the file that could not be used, and why.
    """

    source: str
    names: tuple[str, ...]
    broken: tuple[str, ...] = ()

    def places(self) -> dict[str, int]:
        """Each class's place in ``names`` by its squeezed name: case, spaces and punctuation do not matter."""
        return {squeezed(name): place for place, name in enumerate(self.names)}


def _clip_templates() -> tuple[str, ...]:
    """The 28 that CLIP was evaluated with on Kinetics-700 (Radford et al., 2021), "a example" and all."""
    return tuple(f"a {what} of {doing}{{}}." for what in _WHAT for doing in _DOING)


TEMPLATES: Mapping[str, Templates] = MappingProxyType(
    {
        "plain": Templates("plain", (_SLOT,)),
        "clip": Templates("clip", _clip_templates()),
        "french": Templates("french", ("Une personne effectuant l'action de {} dans un cadre typique",)),
    }
)
CLASS_LISTS: Mapping[str, Path] = MappingProxyType(
    {name: _CLASSES / f"{name}.txt" for name in ("kinetics50", "ucf101")}
)


def readable(name: str) -> str:
    """A class's name as it is said: ``ApplyEyeMakeup`` and ``apply_eye_makeup`` become ``apply eye makeup``."""
    return " ".join(_RUN_TOGETHER.sub(" ", name).replace("_", " ").split()).lower()


def read_templates(source: str) -> Templates:
    """The templates called so, or those of a file with one on a line; blank lines and ``#`` lines are left out.

    Raises:
        UsageError: the file cannot be read, or none of its lines is a template.
    """
    if source in TEMPLATES:
        return TEMPLATES[source]
    rows = _rows(source, f"Use {', '.join(TEMPLATES)}, or a file with one sentence on a line.")
    usable, broken = _sorted_out(source, rows, _template_fault)
    if not usable:
        raise UsageError(
            f"There is no template in {source}{_first_fault(broken)}.",
            hint="Write one sentence on a line, with {} where the class goes.",
        )
    return Templates(source, tuple(dict.fromkeys(usable)), broken)


def read_classes(source: str) -> ClassNames:
    """The class list called so, or that of a file with one class on a line; blank lines and ``#`` lines are left out.

    A file whose every line begins with a number, as UCF101's own ``classInd.txt``, is read without the numbers.

    Raises:
        UsageError: the file cannot be read, or names fewer than two classes.
    """
    rows = _rows(
        str(CLASS_LISTS.get(source, source)), f"Use {', '.join(CLASS_LISTS)}, or a file with a class on a line."
    )
    if rows and all(_NUMBERED.match(text) for _, text in rows):
        rows = [(line, _NUMBERED.sub("", text, count=1)) for line, text in rows]
    usable, broken = _sorted_out(source, rows, _name_fault)
    return _class_names(source, usable, broken)


def classes_of_labels(labels: Iterable[str]) -> ClassNames:
    """The classes that some labels name, in alphabetical order; empty labels name none.

    Raises:
        UsageError: they name fewer than two.
    """
    return _class_names(
        "labels",
        sorted((label for label in set(labels) if squeezed(label)), key=lambda label: (readable(label), label)),
        (),
    )


def _class_names(source: str, names: Sequence[str], broken: tuple[str, ...]) -> ClassNames:
    distinct: dict[str, str] = {}
    for name in names:
        distinct.setdefault(squeezed(name), readable(name))
    if len(distinct) < 2:
        raise UsageError(
            f"There have to be at least two classes to tell apart; {_place(source)} there are {len(distinct)}.",
            hint="Index with --labels, or name the classes: --classes FILE, one on a line.",
        )
    return ClassNames(source, tuple(distinct.values()), broken)


def _place(source: str) -> str:
    return "among the labels of the indexed videos" if source == "labels" else f"in {source}"


def _rows(source: str, hint: str) -> list[tuple[int, str]]:
    """The lines of a file that say something, with their numbers from 1."""
    path = Path(source)
    if not path.is_file():
        raise UsageError(f"There is no file {source}.", hint=hint)
    try:
        lines = read_text(path).splitlines()
    except MediaError as error:
        raise UsageError(error.message, hint=error.hint) from error
    stripped = [(number, line.strip()) for number, line in enumerate(lines, start=1)]
    return [(number, line) for number, line in stripped if line and not line.startswith("#")]


def _sorted_out(
    source: str, rows: Iterable[tuple[int, str]], fault: Callable[[str], str]
) -> tuple[list[str], tuple[str, ...]]:
    """The usable rows, and for each other one where it is and what is wrong."""
    usable: list[str] = []
    broken: list[str] = []
    for number, text in rows:
        wrong = fault(text)
        if wrong:
            broken.append(f"{source}, line {number}: {wrong}")
        else:
            usable.append(text)
    return usable, tuple(broken)


def _template_fault(text: str) -> str:
    count = text.count(_SLOT)
    if count == 1:
        return ""
    return "no {} for the class" if count == 0 else f"{{}} stands {count} times instead of once"


def _name_fault(text: str) -> str:
    return "" if squeezed(text) else "no letter or digit in it"


def _first_fault(broken: Sequence[str]) -> str:
    return f" ({broken[0]})" if broken else ""
