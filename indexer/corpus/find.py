"""Finds the videos below some folders."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from indexer.corpus.sidecars import Folder, Sidecars

# Extensions of videos and recordings; files with an unknown extension are opened to find out.
_MEDIA_NAMES = """
    3g2 3gp aac aif aiff asf avi divx dv f4v flac flv gif m1v m2ts m2v m4a m4v mka mkv mov mp2 mp3 mp4 mpeg mpg mts mxf
    oga ogg ogm ogv opus rm rmvb ts vob wav weba webm wma wmv y4m
"""
# Extensions of other files; these are not opened.
_OTHER_NAMES = """
    7z ass bak bmp cfg csv db doc docx exe gz heic html idx ini jpeg jpg json jsonl log lrc md nfo npy npz parquet pdf
    pkl png pt pth py pyc rar safetensors sh sqlite sqlite3 srt ssa sub svg tar tif tiff toml tsv txt url vtt webp xls
    xlsx xml yaml yml zip
"""
_MEDIA, _OTHER = (frozenset(f".{name}" for name in names.split()) for names in (_MEDIA_NAMES, _OTHER_NAMES))
_SYSTEM_FOLDERS = frozenset({"$RECYCLE.BIN", "System Volume Information", "@eaDir", "lost+found", "__pycache__"})


@dataclass(frozen=True, slots=True)
class Found:
    """A video file, the root it was found under, its facts on disk and the files beside it."""

    path: Path
    root: Path
    size: int
    mtime_ns: int
    sidecars: Sidecars
    device: int = 0


@dataclass(frozen=True, slots=True)
class Corpus:
    """The files found.

    What lies below ``unreadable`` folders and roots and behind ``broken`` links is unknown; broken links are not
    reported.
    """

    files: tuple[Found, ...] = ()
    roots: tuple[Path, ...] = ()
    unreadable: tuple[Path, ...] = ()
    broken: tuple[Path, ...] = ()


@dataclass(slots=True)
class _Walk:
    exclude: Sequence[str]
    follow_links: bool
    looks_like_media: Callable[[Path], bool]
    index: Path | None
    unreadable: list[Path] = field(default_factory=list)
    broken: list[Path] = field(default_factory=list)
    visited: set[tuple[int, int]] = field(default_factory=set)


def find_corpus(
    roots: Sequence[Path],
    *,
    looks_like_media: Callable[[Path], bool],
    exclude: Sequence[str] = (),
    follow_links: bool = True,
    index: Path | None = None,
) -> Corpus:
    """Every video file below ``roots``, in path order, each path once.

    It skips hidden files and folders (names that begin with a dot), the index's own folder and matches of ``exclude``
    (globs against the name or the path below the root). Each folder is entered once, so that links cannot loop.

    Args:
        looks_like_media: Decides about files with an unknown extension.
    """
    walk = _Walk(exclude, follow_links, looks_like_media, index.resolve() if index else None)
    found: dict[Path, Found] = {}
    absolute = tuple(dict.fromkeys(_absolute(root) for root in roots))
    for root in absolute:
        for video in _videos(root, walk):
            found.setdefault(video.path, video)
    files = tuple(found[path] for path in sorted(found, key=os.fsencode))
    return Corpus(files, absolute, tuple(walk.unreadable), tuple(walk.broken))


def content_id(path: Path) -> str:
    """The 128-bit BLAKE2b of a file's content, in hexadecimal.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _absolute(root: Path) -> Path:
    """The absolute path; links are not resolved, so that the user's names are kept."""
    return Path(os.path.abspath(root))  # noqa: PTH100


def _videos(root: Path, walk: _Walk) -> Iterator[Found]:
    if root.is_file():
        folder = Folder(root.parent, [entry.name for entry in _entries(root.parent, walk)])
        yield from _found([root], root, folder, walk)
    elif root.is_dir():
        yield from _below(root, walk)
    else:
        walk.unreadable.append(root)


def _below(root: Path, walk: _Walk) -> Iterator[Found]:
    pending = [root]
    while pending:
        current = pending.pop()
        if _is_new(current, walk):
            entries = [entry for entry in _entries(current, walk) if not _is_left_out(Path(entry.path), root, walk)]
            pending += [Path(entry.path) for entry in entries if _is_folder(entry, walk)]
            folder = Folder(current, [entry.name for entry in entries])
            videos = [Path(entry.path) for entry in entries if _is_video(entry, walk)]
            yield from _found(videos, root, folder, walk)


def _is_new(folder: Path, walk: _Walk) -> bool:
    """Whether the folder has not been entered yet, by any path."""
    try:
        facts = folder.stat()
    except OSError:
        walk.unreadable.append(folder)
        return False
    key = (facts.st_dev, facts.st_ino)
    if key in walk.visited:
        return False
    walk.visited.add(key)
    return True


def _entries(folder: Path, walk: _Walk) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: os.fsencode(entry.name))
    except OSError:
        walk.unreadable.append(folder)
        return []


def _is_left_out(path: Path, root: Path, walk: _Walk) -> bool:
    if path.name.startswith(".") or path.name in _SYSTEM_FOLDERS:
        return True
    if walk.index is not None and path.name == walk.index.name and path.resolve() == walk.index:
        return True
    below = path.relative_to(root).as_posix()
    return any(fnmatch(path.name, pattern) or fnmatch(below, pattern) for pattern in walk.exclude)


def _is_folder(entry: os.DirEntry[str], walk: _Walk) -> bool:
    try:
        return entry.is_dir(follow_symlinks=walk.follow_links)
    except OSError:  # a link to itself
        return False


def _is_video(entry: os.DirEntry[str], walk: _Walk) -> bool:
    suffix = Path(entry.name).suffix.lower()
    if suffix in _OTHER:
        return False
    if entry.is_symlink() and not Path(entry.path).exists():
        walk.broken.append(Path(entry.path))
        return False
    try:
        is_file = entry.is_file()
    except OSError:  # a link to itself
        return False
    return is_file and (suffix in _MEDIA or walk.looks_like_media(Path(entry.path)))


def _found(paths: Sequence[Path], root: Path, folder: Folder, walk: _Walk) -> Iterator[Found]:
    """The files with their facts; files that have been deleted meanwhile are left out."""
    for path in paths:
        try:
            facts = path.stat()
        except FileNotFoundError:
            continue
        except OSError:
            walk.broken.append(path)
        else:
            yield Found(path, root, facts.st_size, facts.st_mtime_ns, folder.sidecars(path), facts.st_dev)
