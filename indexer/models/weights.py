"""Finding weights: on disk, in the Hugging Face cache, or on the Hub; and saying clearly when they are not there."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic

from indexer.core.errors import WeightsDamagedError, WeightsMissingError

__all__ = [
    "HubFile",
    "cached_path",
    "can_download",
    "digest_files",
    "fetch",
    "fetch_folder",
    "fetching",
    "loading",
    "missing",
    "offline",
]

DECISION_S = 3.5
"""How long finding out whether a download is possible may take, in seconds."""

_LOADING_FAILURES: tuple[type[Exception], ...] = (
    OSError,
    RuntimeError,
    ValueError,
    LookupError,
    EOFError,
    AttributeError,
    TypeError,
    AssertionError,
    pickle.UnpicklingError,
)

_HASH_WHOLE_BYTES = 256 * 2**20
_SAMPLE_BYTES = 2**20
_SAMPLES = 128


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a repository on the Hugging Face Hub."""

    repo: str
    name: str

    @property
    def command(self) -> str:
        """The command that fetches it."""
        return f"hf download {self.repo} {self.name}"


def cached_path(file: HubFile) -> Path | None:
    """Where the file lies in the local cache, or None."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(file.repo, file.name)
    return Path(found) if isinstance(found, str) and Path(found).is_file() else None


def offline() -> bool:
    """Whether the environment forbids the network (``HF_HUB_OFFLINE``)."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def can_download(files: Sequence[HubFile], *, deadline_s: float = DECISION_S) -> bool:
    """Whether the Hub offers every one of the files now; False after ``deadline_s`` without all answers."""
    if offline():
        return False
    answers: SimpleQueue[bool] = SimpleQueue()
    for file in files:
        # A daemon: a name lookup that hangs can be left behind, and does not hold up the end of the process.
        Thread(target=lambda file=file: answers.put(_on_hub(file)), name="hub-head", daemon=True).start()
    end = monotonic() + deadline_s
    try:
        return all(answers.get(timeout=max(0.0, end - monotonic())) for _ in files)
    except Empty:
        return False


def _on_hub(file: HubFile) -> bool:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    try:
        get_hf_file_metadata(hf_hub_url(file.repo, file.name), timeout=DECISION_S)
    except _network_errors():
        return False
    return True


def _network_errors() -> tuple[type[Exception], ...]:
    from huggingface_hub import errors, utils

    # The Hub's client names the HTTP library that it uses; versions that do not name it use httpx.
    library = getattr(utils, "httpx", None) or import_module("httpx")
    return (OSError, ValueError, errors.HfHubHTTPError, library.HTTPError, library.InvalidURL)


def missing(file: HubFile, *, reason: str = "") -> WeightsMissingError:
    """The error that names the file, the command that fetches it and the way without a network."""
    return WeightsMissingError(
        f"The model file '{file.name}' of '{file.repo}' is not on this machine"
        f"{f' and cannot be fetched now ({reason})' if reason else ''}.",
        hint=f"Fetch it with: {file.command}. Without a network: copy the model's folder from a machine that has it, "
        "and name it in config.toml, as in models.frames = 'open_clip:/that/folder' or models.text = "
        "'sentence:/that/folder'.",
    )


@contextmanager
def fetching(repo: str, names: Sequence[str], *, setting: str) -> Iterator[None]:
    """Says of files that cannot be fetched with which command they all can, and what to do without a network.

    Args:
        repo: ``owner/name`` on the Hub.
        names: The files needed; none for all that there are.
        setting: The line of config.toml that names a copy, such as ``models.speech = "whisper:/that/folder"``.

    Raises:
        WeightsMissingError: the body did.
    """
    try:
        yield
    except WeightsMissingError as error:
        raise WeightsMissingError(
            error.message,
            hint=f"Fetch it with: {' '.join(['hf download', repo, *names])}. Without a network: copy it from a machine "
            f"that has it, and say where in config.toml: {setting}",
        ) from error


def fetch(file: HubFile) -> Path:
    """The file's path in the cache, downloaded first if need be.

    Raises:
        WeightsMissingError: it is not cached and cannot be downloaded.
    """
    if (found := cached_path(file)) is not None:
        return found
    _require_download([file])
    from huggingface_hub import hf_hub_download

    with _download(file):
        return Path(hf_hub_download(file.repo, file.name))


def fetch_folder(repo: str, required: Sequence[str], patterns: Sequence[str]) -> Path:
    """The cached folder of a repository that holds the ``required`` files, downloaded first if need be.

    Args:
        repo: ``owner/name`` on the Hub.
        required: Files without which the folder is of no use.
        patterns: Names to download when something required is absent.

    Raises:
        WeightsMissingError: a required file is not cached and cannot be downloaded.
    """
    files = [HubFile(repo, name) for name in required]
    found = [cached_path(file) for file in files]
    absent = [file for file, path in zip(files, found, strict=True) if path is None]
    if absent:
        _require_download(absent)
        from huggingface_hub import snapshot_download

        with _download(absent[0]):
            return Path(snapshot_download(repo, allow_patterns=list(patterns)))
    return Path(str(found[0])).parents[len(Path(required[0]).parts) - 1]


def _require_download(files: Sequence[HubFile]) -> None:
    if offline():
        raise missing(files[0], reason="HF_HUB_OFFLINE is set")
    if not can_download(files):
        raise missing(files[0], reason="the Hugging Face Hub does not answer or does not have it")


@contextmanager
def _download(file: HubFile) -> Iterator[None]:
    try:
        yield
    except _network_errors() as error:
        raise missing(file, reason=str(error).splitlines()[0] if str(error) else type(error).__name__) from error


@contextmanager
def loading(path: Path) -> Iterator[None]:
    """Turns a library's failure to read weights into the project's own error.

    Raises:
        WeightsDamagedError: the body failed in a way that a damaged or foreign file makes it fail.
    """
    from safetensors import SafetensorError

    failures: tuple[type[Exception], ...] = (*_LOADING_FAILURES, SafetensorError)
    try:
        yield
    except (WeightsMissingError, WeightsDamagedError):
        raise
    except failures as error:
        raise WeightsDamagedError(
            f"The model at '{path}' cannot be loaded: {_first_line(error)}",
            hint="It is damaged, incomplete or another kind of model. Delete it and fetch it again "
            "(hf download REPOSITORY FILE --force-download), or reinstall the package that brings it.",
        ) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    if lines and "weights_only" in str(error):  # PyTorch goes on to advise running what is in the file
        return "it holds more than numbers."
    return lines[0][:300] if lines else type(error).__name__


def digest_files(paths: Sequence[Path]) -> str:
    """32 hexadecimal digits for the content of the files, in the order given, whatever they are called.

    Files over 256 MiB are told apart by their size and 128 MiB read at even distances: training moves every weight.

    Raises:
        WeightsMissingError: a file is not there.
    """
    digest = hashlib.blake2b(digest_size=16)
    for path in paths:
        digest.update(_digest(path).encode())
    return digest.hexdigest()


def _digest(path: Path) -> str:
    try:
        facts = path.resolve(strict=True).stat()
    except OSError as error:
        raise WeightsMissingError(f"The model file '{path}' is not there.", hint="Check the path.") from error
    return _digest_content(path.resolve(), facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=256)
def _digest_content(path: Path, size: int, mtime_ns: int) -> str:  # noqa: ARG001 - the time is part of the cache's key
    digest = hashlib.blake2b(json.dumps(size).encode(), digest_size=16)
    with path.open("rb") as stream:
        for offset in _offsets(size):
            stream.seek(offset)
            digest.update(stream.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def _offsets(size: int) -> list[int]:
    if size <= _HASH_WHOLE_BYTES:
        return list(range(0, size, _SAMPLE_BYTES))
    step = (size - _SAMPLE_BYTES) / (_SAMPLES - 1)
    return [round(index * step) for index in range(_SAMPLES)]
