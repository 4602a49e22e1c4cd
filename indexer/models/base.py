"""The roles a model can fill. A family (one module beside this one) implements a role.

Models are built with everything they need, load their weights on first use (or by ``load``), and can be unloaded.
Nothing is read from settings here, and no heavyweight library is imported.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol, TypeAlias, cast, runtime_checkable

from indexer.core.types import Cue, Embedding, Image, Samples

__all__ = [
    "BuildContext",
    "Builder",
    "Captioner",
    "Detection",
    "Fingerprint",
    "FrameEncoder",
    "Line",
    "Model",
    "Models",
    "ObjectDetector",
    "Role",
    "RoleName",
    "SoundBatch",
    "SoundEncoder",
    "SpeechRecognizer",
    "Tag",
    "TextEncoder",
    "TextReader",
    "Utterance",
]


RoleName: TypeAlias = str
"""The name of a role, such as ``frames`` or ``ocr``."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What makes two vectors comparable: the same family, weights, preprocessing and dimension.

    ``weights`` is a digest of the weight files, ``preprocessing`` says in words and numbers how pictures or texts are
    prepared. Two models with equal digests give equal vectors. ``name`` is for people and not part of the digest: the
    same weights from the Hub, the cache or a folder are the same model.
    """

    family: str
    name: str
    weights: str
    preprocessing: str
    dim: int

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that stand for the whole."""
        text = json.dumps({**asdict(self), "name": ""}, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class BuildContext:
    """What a family's builder may use: the device, the folder for derived vectors, and the index's text model."""

    device: str
    cache_folder: Path
    text: TextEncoder | None = None


Builder: TypeAlias = Callable[[str, BuildContext], "Model"]
"""Makes a model, not loaded yet, from its name or path."""


@dataclass(frozen=True, slots=True)
class Role:
    """A job that one model does in an index.

    Args:
        name: Also the key under ``[models]`` in config.toml.
        families: The model families that can fill it, each with its builder.
        default: ``FAMILY:NAME`` of the model that fills it where neither the settings nor the profile name one; empty
            for a role that every profile fills.
        help: The comment of its key in config.toml.
    """

    name: RoleName
    families: Mapping[str, Builder]
    default: str = ""
    help: str = ""

    @property
    def is_optional(self) -> bool:
        """Whether an index may do without it."""
        return bool(self.default)


class Model(Protocol):
    """What every family offers, whatever its role."""

    @property
    def fingerprint(self) -> Fingerprint:
        """Known without loading the weights onto a device; reading the weight file's digest is allowed."""

    def load(self) -> None:
        """Bring the weights into memory; does nothing the second time and is safe from several threads.

        Raises:
            WeightsMissingError: a file is not here and cannot be fetched.
            WeightsDamagedError: a file is here and is no such model.
        """

    def unload(self) -> None:
        """Give the memory back; the next use loads again."""


@runtime_checkable
class FrameEncoder(Model, Protocol):
    """Pictures and the texts that describe them, in one space."""

    def encode_images(self, images: Sequence[Image]) -> Embedding:
        """``(n, dim)`` float32, L2-normalised; images may differ in size. ``(0, dim)`` for none."""

    def encode_texts(self, texts: Sequence[str]) -> Embedding:
        """``(n, dim)`` float32, L2-normalised, in the space of the images."""


@runtime_checkable
class TextEncoder(Model, Protocol):
    """Texts and the queries that look for them, in one space."""

    def encode_documents(self, texts: Sequence[str]) -> Embedding:
        """``(n, dim)`` float32, L2-normalised."""

    def encode_queries(self, texts: Sequence[str]) -> Embedding:
        """``(n, dim)`` float32, L2-normalised."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """Something said without a pause. ``words`` carry their own times; ``language`` is an ISO 639-1 code or empty.

    Times are seconds from the first sample that the recogniser was given.
    """

    start_s: float
    end_s: float
    text: str
    words: tuple[Cue, ...] = ()
    language: str = ""


@runtime_checkable
class SpeechRecognizer(Model, Protocol):
    """What is said."""

    @property
    def sample_rate(self) -> int:
        """In Hz."""

    def transcribe(self, windows: Iterable[Samples]) -> Iterator[Utterance]:
        """The utterances of a sound, in time order, each as soon as it is known.

        Args:
            windows: The sound as consecutive pieces ``(n,)`` of any length, one channel at ``sample_rate``. They are
                pulled as they are needed, and memory does not grow with their number.
        """


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text in a picture.

    ``box`` is left, top, right, bottom as shares of the picture's width and height; ``confidence`` is in [0, 1].
    """

    text: str
    box: tuple[float, float, float, float]
    confidence: float


@runtime_checkable
class TextReader(Model, Protocol):
    """What is written."""

    def read(self, image: Image) -> list[Line]:
        """The lines in a picture, from top to bottom; none for a picture without text."""


@dataclass(frozen=True, slots=True)
class Tag:
    """A class of sounds with its score in [0, 1]."""

    label: str
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class SoundBatch:
    """What a sound encoder makes of ``n`` windows.

    ``vectors`` is ``(n, dim)`` float32, L2-normalised; ``tags`` are each window's classes, best first, empty for a
    model that knows no classes.
    """

    vectors: Embedding
    tags: tuple[tuple[Tag, ...], ...]


@runtime_checkable
class SoundEncoder(Model, Protocol):
    """Sounds and the texts that describe them, in one space."""

    @property
    def sample_rate(self) -> int:
        """In Hz."""

    @property
    def window_s(self) -> float:
        """How much sound one vector stands for, in seconds."""

    def encode_audio(self, windows: Sequence[Samples]) -> SoundBatch:
        """Encode windows of ``window_s`` seconds, one channel at ``sample_rate``; a shorter one is padded."""

    def encode_texts(self, texts: Sequence[str]) -> Embedding:
        """``(n, dim)`` float32, L2-normalised, in the space of the sounds."""


@dataclass(frozen=True, slots=True)
class Detection:
    """An object in a picture; the fields as in ``indexer.core.types.Sighting``."""

    label: str
    class_index: int
    confidence: float
    box: tuple[float, float, float, float]


@runtime_checkable
class ObjectDetector(Model, Protocol):
    """Which objects are where."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of all classes, by their number."""

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        """The objects in each picture, most confident first."""


@runtime_checkable
class Captioner(Model, Protocol):
    """A sentence about a picture."""

    def describe(self, images: Sequence[Image]) -> list[str]:
        """One sentence for each picture."""


class Models:
    """The models of an index, each loading its weights when it is first used.

    Args:
        frames: Of pictures.
        text: Of texts.
        optional: The other roles by name; None for one that the index does without.
    """

    def __init__(self, frames: FrameEncoder, text: TextEncoder, **optional: Model | None) -> None:
        self.frames = frames
        self.text = text
        self._optional = {role: model for role, model in optional.items() if model is not None}

    @property
    def sounds(self) -> SoundEncoder | None:
        """The model that encodes queries for sounds, if there is one."""
        return cast("SoundEncoder | None", self._optional.get("sounds"))

    @property
    def by_role(self) -> Mapping[RoleName, Model]:
        """The models there are."""
        return {"frames": self.frames, "text": self.text, **self._optional}

    @property
    def fingerprints(self) -> dict[RoleName, Fingerprint]:
        """Each role's fingerprint."""
        return {role: model.fingerprint for role, model in self.by_role.items()}

    def unload(self) -> None:
        """Give all memory back."""
        for model in self.by_role.values():
            model.unload()
