"""The files beside a video: ``NAME.srt`` or ``.vtt``, ``NAME.txt`` (a description), ``NAME.json`` (facts)."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from indexer.core.errors import MediaError
from indexer.core.languages import language_code
from indexer.core.types import Facet

_LARGEST_BYTES = 200_000
_SUBTITLES = (".srt", ".vtt", ".ass", ".ssa")


@dataclass(frozen=True, slots=True)
class Sidecars:
    """The paths of the files beside a video."""

    subtitles: tuple[Path, ...] = ()
    description: Path | None = None
    facts: Path | None = None

    @property
    def stamp(self) -> str:
        """A digest of the files' names, sizes and times; empty without files."""
        present = [*self.subtitles, *(path for path in (self.description, self.facts) if path)]
        if not present:
            return ""
        facts = [(path.name, *_size_and_time(path)) for path in present]
        return hashlib.blake2b(repr(facts).encode("utf-8", "backslashreplace"), digest_size=8).hexdigest()


def _size_and_time(path: Path) -> tuple[int, int]:
    """Zeros for a broken link or a file deleted meanwhile."""
    try:
        facts = path.stat()
    except OSError:
        return 0, 0
    return facts.st_size, facts.st_mtime_ns


@dataclass(frozen=True, slots=True)
class Facts:
    """The content of ``NAME.json``; all plain values but title, description and label are facets."""

    title: str = ""
    description: str = ""
    label: str = ""
    facets: Mapping[str, Facet] = field(default_factory=dict)


class Folder:
    """The files of one folder, listed once to find the files beside each video.

    Args:
        names: The names of all files in the folder.
    """

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        self._folder = folder
        self._names = frozenset(names)
        self._subtitles: dict[str, list[str]] = {}
        for name in sorted(self._names):
            stem, suffix = _split(name)
            if suffix.lower() in _SUBTITLES:
                for owner in dict.fromkeys((stem, _split(stem)[0])):
                    self._subtitles.setdefault(owner, []).append(name)

    def sidecars(self, video: Path) -> Sidecars:
        """The files with the video's name; subtitles without a language (``NAME.srt``) before ``NAME.en.srt``."""
        names = sorted(self._subtitles.get(video.stem, ()), key=lambda name: (_split(name)[0] != video.stem, name))
        subtitles = tuple(self._folder / name for name in names if name != video.name)
        return Sidecars(subtitles, self._beside(video, ".txt"), self._beside(video, ".json"))

    def _beside(self, video: Path, suffix: str) -> Path | None:
        name = video.stem + suffix
        return self._folder / name if name in self._names and name != video.name else None


def _split(name: str) -> tuple[str, str]:
    path = PurePath(name)
    return path.stem, path.suffix


def subtitle_language(subtitles: Path, video: Path) -> str:
    """The ISO 639-1 code in a subtitle file's name, as in ``NAME.en.srt`` or ``NAME.pt-BR.srt``.

    Empty for ``NAME.srt`` and for other words (``NAME.forced.srt``).
    """
    stem, tag = _split(subtitles.stem)
    return language_code(tag.removeprefix(".")) if stem == video.stem else ""


def read_text(path: Path, *, largest_bytes: int = _LARGEST_BYTES) -> str:
    """A text file in any encoding, without surrounding blanks.

    Raises:
        MediaError: the file cannot be read, is larger than ``largest_bytes``, or is no text.
    """
    try:
        if path.stat().st_size > largest_bytes:
            raise MediaError(f"{path} is too large to be a text about a video.", hint="It was left out.")
        content = path.read_bytes()
    except OSError as error:
        raise MediaError(f"{path} cannot be read: {error.strerror}.", hint="Check the file's permissions.") from error
    text = _decoded(content)
    if text is None:
        raise MediaError(f"{path} is no text in any known encoding.", hint="Save it as UTF-8.")
    return text.strip()


def _is_facet(value: object) -> bool:
    """Whether a value is a text, a truth or a finite number; JSON files may hold NaN and Infinity."""
    return isinstance(value, Facet) and (not isinstance(value, float) or math.isfinite(value))


def _decoded(content: bytes) -> str | None:
    """UTF-8 if valid, else the most likely encoding; Windows-1252 if equally likely."""
    from charset_normalizer import from_bytes

    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        likeliest, western = from_bytes(content).best(), from_bytes(content, cp_isolation=["cp1252"]).best()
    if western is not None and (likeliest is None or western.coherence >= likeliest.coherence):
        return str(western)
    return None if likeliest is None else str(likeliest)


def read_facts(path: Path) -> Facts:
    """The facts in a ``NAME.json``.

    Raises:
        MediaError: the file cannot be read or is no JSON object.
    """
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise MediaError(
            f"{path} is not valid JSON: {error}.", hint="Mend the file; the video is indexed without it."
        ) from error
    if not isinstance(content, dict):
        raise MediaError(f"{path} holds no JSON object.", hint='Write it as {"title": "...", "label": "..."}.')
    texts = {name: str(content[name]) for name in ("title", "description", "label") if content.get(name) is not None}
    facets = {str(name): value for name, value in content.items() if name not in texts and _is_facet(value)}
    return Facts(**texts, facets=facets)
