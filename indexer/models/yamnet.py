"""Sounds as mixtures of named classes: YAMNet (Plakal and Ellis, 2020) over the 521 classes of AudioSet (Gemmeke et
al., 2017), and ConSE (Norouzi et al., 2014, "Zero-Shot Learning by Convex Combination of Semantic Embeddings").

YAMNet scores each class in about a second of sound; several can be high. A sound's vector is the mean of the text
vectors of its best classes, weighted by score. Queries are texts in the same space.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from indexer.core.errors import ModelError, WeightsDamagedError, WeightsMissingError
from indexer.core.types import Embedding, Samples
from indexer.models.base import Fingerprint, SoundBatch, Tag, TextEncoder
from indexer.models.lifecycle import LoadedOnUse, make_fingerprint
from indexer.models.long_texts import normalised
from indexer.models.vector_cache import cached_documents
from indexer.models.weights import HubFile, digest_files, fetch, loading

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import Interpreter

__all__ = [
    "CLASS_MAP",
    "HUB",
    "POWER",
    "SAMPLE_RATE",
    "SIMILARITY_FLOOR",
    "TOP_CLASSES",
    "WINDOW",
    "YamnetEncoder",
    "class_texts",
    "read_class_names",
    "tags_of",
]

HUB = HubFile("thelou1s/yamnet", "lite-model_yamnet_classification_tflite_1.tflite")
"""A copy of TensorFlow Hub's ``yamnet/classification``, which holds its class names."""

CLASS_MAP = "yamnet_class_map.csv"
"""The file of class names beside a model that does not hold them itself."""

SAMPLE_RATE, WINDOW = 16_000, 15_600
"""In Hz and in samples; the only ones that the network takes."""

TOP_CLASSES = 5
"""How many classes are averaged. 5 to 20 rank about equally, as ``POWER`` leaves little of the weak ones."""

POWER = 1.5
"""Scores are raised to this power; otherwise many small ones would make all sounds similar. On 184 windows and 41
queries, a query's own windows win 98.2% of the pairs at 1.5, 97.9% at 1 and 96.9% at 0.5."""

SIMILARITY_FLOOR = 0.45
"""The 95th percentile of the cosine of unrelated pairs: windows and names of other sounds, with the embedded text model
(0.26 for queries that name no sound). Related pairs have a median of 0.65 and a 5th percentile of 0.53."""

LEAST_TAG_SCORE, MOST_TAGS = 0.1, 5

_TEXTS = "mean of the name and 'the sound of' the name"
_MODEL_SUFFIX = ".tflite"
_HOW_TO_GET_IT = (
    f"Fetch it with: {HUB.command}. Without a network: copy a YAMNet file for windows of {WINDOW} samples (.tflite, "
    f"with {CLASS_MAP} beside it unless it names its classes itself) onto this machine, and in config.toml set "
    'models.sounds to "yamnet:/that/file.tflite".'
)


@dataclass(frozen=True, slots=True)
class _LoadedYamnet:
    interpreter: Interpreter
    names: tuple[str, ...]
    vectors: Embedding


class YamnetEncoder(LoadedOnUse[_LoadedYamnet]):
    """The role ``sounds`` on any CPU, thousands of windows a minute, with the names of the sounds.

    Args:
        name: A ``.tflite`` file, a folder with one, ``OWNER/REPOSITORY`` or ``OWNER/REPOSITORY/FILE`` on the Hub;
            ``thelou1s/yamnet`` is one. The network takes windows of 15600 samples.
        texts: The encoder whose space it is; it embeds the class texts as documents and the queries as queries.
        cache_folder: Where the class vectors are kept between runs; None computes them at each load (seconds).
    """

    def __init__(self, name: str, texts: TextEncoder, *, cache_folder: Path | None = None) -> None:
        self.name = name
        super().__init__(self._load, "cpu")
        self._texts = texts
        self._cache_folder = cache_folder
        # An interpreter holds one window at a time.
        self._turn = Lock()

    @property
    def sample_rate(self) -> int:
        """In Hz."""
        return SAMPLE_RATE

    @property
    def window_s(self) -> float:
        """How much sound one vector stands for, in seconds."""
        return WINDOW / SAMPLE_RATE

    @cached_property
    def file(self) -> Path:
        """Where the network lies; one on the Hub is downloaded now if it is not cached."""
        return _find(self.name)

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """The classes, by their number."""
        return read_class_names(self.file)

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """From the network, the names of its classes and the text encoder."""
        texts = self._texts.fingerprint
        weights = hashlib.blake2b(f"{digest_files([self.file])} {texts.weights}".encode(), digest_size=16)
        names = hashlib.blake2b("\n".join(self.class_names).encode(), digest_size=8)
        preprocessing = {
            "window": WINDOW,
            "top": TOP_CLASSES,
            "power": POWER,
            "names": names.hexdigest(),
            "classes": _TEXTS,
            "texts": texts.preprocessing,
        }
        name = f"{self.file.stem} in {texts.name}"
        return make_fingerprint("yamnet", name, weights.hexdigest(), preprocessing, dim=texts.dim)

    def encode_audio(self, windows: Sequence[Samples]) -> SoundBatch:
        """Vectors in the text encoder's space, and the names of the sounds.

        Args:
            windows: Of at most 15600 samples ``(n,)`` in [-1, 1], at 16 kHz; a shorter one is followed by silence.

        Raises:
            ValueError: a window is too long, or has more than one channel.
        """
        if not windows:
            return SoundBatch(np.zeros((0, self._texts.fingerprint.dim), np.float32), ())
        scores, loaded = self.class_scores(windows), self._model.get()
        vectors = normalised(_strongest(scores) @ loaded.vectors)
        return SoundBatch(vectors, tuple(tags_of(row, loaded.names) for row in scores))

    def encode_texts(self, texts: Sequence[str]) -> Embedding:
        """``(n, dim)`` float32, L2-normalised, in the space of the sounds: the text encoder's queries."""
        return self._texts.encode_queries(texts)

    @property
    def vocabulary(self) -> Embedding:
        """``(classes, dim)``: the classes' vectors; every sound's vector is a mixture of them."""
        return self._class_vectors()

    def class_scores(self, windows: Sequence[Samples]) -> NDArray[np.float32]:
        """``(n, 521)``: each class's score in each window, in [0, 1]; a row does not sum to 1."""
        loaded = self._model.get()
        with self._turn:
            rows = [_scores(loaded.interpreter, _padded(window)) for window in windows]
        return np.stack(rows) if rows else np.zeros((0, len(loaded.names)), np.float32)

    def _load(self) -> _LoadedYamnet:
        names = self.class_names
        interpreter = _interpreter(self.file, len(names))
        return _LoadedYamnet(interpreter, names, self._class_vectors())

    def _class_vectors(self) -> Embedding:
        names, phrases = (
            cached_documents(texts, self._texts, self._cache_folder) for texts in class_texts(self.class_names)
        )
        return normalised(np.asarray(names + phrases, np.float32))


def class_texts(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """For each class its name ("Saxophone") and a phrase ("the sound of saxophone").

    The name alone is what people type; the phrase tells its meanings apart ("Pour", "Static", "Bass").
    """
    return list(names), [f"the sound of {name.lower()}" for name in names]


def tags_of(scores: NDArray[np.float32], names: Sequence[str]) -> tuple[Tag, ...]:
    """A window's best classes, best first: one to five; all but the first have a score of at least 0.1.

    Args:
        scores: ``(n,)`` in [0, 1], one for each name.
        names: Of the classes, by their number.
    """
    order = np.argsort(-scores, kind="stable")[:MOST_TAGS]
    kept = [index for place, index in enumerate(order) if place == 0 or scores[index] >= LEAST_TAG_SCORE]
    return tuple(Tag(names[index], float(scores[index])) for index in kept)


def _strongest(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """``(n, classes)`` weights: all but the ``TOP_CLASSES`` largest of each row at zero."""
    top = min(TOP_CLASSES, scores.shape[1])
    weakest = np.partition(scores, -top, axis=1)[:, -top, None]
    # A window without any score still gets a vector.
    weights = np.maximum(scores, np.finfo(np.float32).eps) ** POWER
    return np.where(scores >= weakest, weights, np.float32(0)).astype(np.float32)


def _padded(window: Samples) -> Samples:
    if window.ndim != 1 or len(window) > WINDOW:
        raise ValueError(f"a window is one channel of at most {WINDOW} samples, and this has the shape {window.shape}")
    return np.pad(window.astype(np.float32, copy=False), (0, WINDOW - len(window)))


def _scores(interpreter: Interpreter, window: Samples) -> NDArray[np.float32]:
    taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    interpreter.set_tensor(taken["index"], window.reshape(taken["shape"]))
    interpreter.invoke()
    return np.asarray(interpreter.get_tensor(given["index"]), np.float32).reshape(-1)


def _interpreter(path: Path, classes: int) -> Interpreter:
    """Raises: WeightsDamagedError for a file that is no such network, ModelError where LiteRT is not installed."""
    try:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
    except ImportError as error:
        raise ModelError(
            "The package that runs YAMNet is not installed.", hint="Install it with: pip install ai-edge-litert"
        ) from error
    with loading(path):
        interpreter = Interpreter(
            str(path),
            num_threads=1,
            # The default delegate prints to the terminal and is not faster for so small a network.
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        interpreter.allocate_tensors()
        _check(interpreter, classes)
    return interpreter


def _check(interpreter: Interpreter, classes: int) -> None:
    taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    if taken["dtype"] is not np.float32 or int(np.prod(taken["shape"])) != WINDOW:
        raise ValueError(f"it does not take windows of {WINDOW} samples but {taken['dtype'].__name__} {taken['shape']}")
    if int(np.prod(given["shape"])) != classes:
        raise ValueError(f"it scores {given['shape']} classes, and {classes} are named")


def read_class_names(path: Path) -> tuple[str, ...]:
    """The names inside a ``.tflite`` file (a ZIP archive at its end), or else those in the file beside it.

    Raises:
        WeightsMissingError: there are none.
        WeightsDamagedError: they cannot be read.
    """
    if inside := _names_inside(path):
        return inside
    beside = path.with_name(CLASS_MAP)
    if not beside.is_file():
        raise WeightsMissingError(
            f"The class names of '{path}' are not there: it has none inside and no {CLASS_MAP} beside it.",
            hint=f"Put {CLASS_MAP} (columns index, mid, display_name) into the same folder.",
        )
    return _names_of_map(beside)


def _names_inside(path: Path) -> tuple[str, ...]:
    try:
        with ZipFile(path) as archive:
            lists = [name for name in archive.namelist() if name.endswith(".txt")]
            text = archive.read(lists[0]).decode() if lists else ""
    except BadZipFile:
        return ()
    except (OSError, ValueError) as error:
        raise WeightsDamagedError(f"The class names inside '{path}' cannot be read: {error}.") from error
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _names_of_map(path: Path) -> tuple[str, ...]:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return tuple(row["display_name"] for row in csv.DictReader(stream))
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise WeightsDamagedError(
            f"The class names '{path}' cannot be read: {error!r}.",
            hint="It must be the file of that name from TensorFlow's YAMNet.",
        ) from error


def _find(name: str) -> Path:
    path = Path(name)
    if path.is_file():
        return path
    if path.is_dir():
        return _in_folder(path)
    hub = _on_hub(name)
    if hub is None:
        raise WeightsMissingError(
            f"There is no YAMNet file '{name}'.",
            hint=f"Check the path, or do without: sceneseek index --without sounds. {_HOW_TO_GET_IT}",
        )
    return _fetched(hub)


def _in_folder(folder: Path) -> Path:
    found = sorted(folder.glob(f"*{_MODEL_SUFFIX}"))
    if len(found) == 1:
        return found[0]
    raise WeightsMissingError(
        f"There are {len(found)} {_MODEL_SUFFIX} files in '{folder}', and one is needed.",
        hint="Give the path of the file itself." if found else _HOW_TO_GET_IT,
    )


def _on_hub(name: str) -> HubFile | None:
    """The file that ``OWNER/REPOSITORY`` or ``OWNER/REPOSITORY/FILE`` means; None for a path."""
    parts = name.split("/")
    if name.startswith(("/", ".", "~")) or "\\" in name or not all(parts):
        return None
    if len(parts) == 2 and not name.endswith(_MODEL_SUFFIX):
        return HubFile(name, HUB.name)
    if len(parts) >= 3 and name.endswith(_MODEL_SUFFIX):
        return HubFile("/".join(parts[:2]), "/".join(parts[2:]))
    return None


def _fetched(file: HubFile) -> Path:
    """The file in the cache, with a class map beside it if the file has no names inside."""
    try:
        path = fetch(file)
        if not _names_inside(path):
            fetch(HubFile(file.repo, CLASS_MAP))
    except WeightsMissingError as error:
        raise WeightsMissingError(error.message, hint=_HOW_TO_GET_IT) from error
    return path
