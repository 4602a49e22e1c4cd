"""Builds a small library of real videos to try the project on, from what installed packages carry.

Nothing is downloaded: photographs, films and recordings come from Gradio, scikit-learn and, where it is installed,
Ultralytics. The same packages on the same machine give the same bytes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from fractions import Fraction
from functools import partial
from importlib.util import find_spec
from itertools import accumulate, cycle
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from indexer.core.errors import UsageError
from indexer.core.types import Cue, Image
from indexer.media.deliver.write import AudioTrack, ClipOptions, write_clip
from indexer.media.read.audio import read_audio
from ui.demo.clips import SAMPLE_CLIPS, ClipSource, SampleClip, SampleShot, SoundPart
from ui.demo.pictures import SAMPLE_RATE, add_title, film_excerpt, film_still, wave_frames
from ui.services.query_pictures import read_picture

Samples: TypeAlias = NDArray[np.float32]
Locate: TypeAlias = Callable[[str], Path | None]
Places: TypeAlias = Mapping[ClipSource, Path]
Tell: TypeAlias = Callable[[str], None]

_MOST_WORKERS = 4
_LOUDEST = 0.9
_FADE_OUT_S = 0.5
# Frame lengths of a clip with a variable frame rate, as multiples of a third of the average.
_RHYTHM = (2, 4, 3, 5, 1, 3)
_INSTALLED_BY = {
    "gradio": "pip install 'sceneseek[web]'",
    "ultralytics": "pip install 'sceneseek[objects]'",
    "sklearn": "pip install scikit-learn",
}
_OPTIONAL = frozenset({"ultralytics"})


def package_folder(package: str) -> Path | None:
    """Where an installed package lies, found without importing it; None where it is not installed."""
    spec = find_spec(package)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None


def build_sample_library(
    folder: Path,
    *,
    progress: Tell = lambda _line: None,
    locate: Locate = package_folder,
    clips: Sequence[SampleClip] = SAMPLE_CLIPS,
) -> list[Path]:
    """Write the sample clips and their sidecars into ``folder``, over what an earlier build left there.

    Args:
        folder: Made if it does not exist.
        progress: Called with a line for every clip written or left out.
        locate: Finds the folder of an installed package by name.
        clips: Which clips to make.

    Returns:
        The clips' paths, in the order of ``clips``; those whose optional package is absent are left out.

    Raises:
        UsageError: a package that every build needs is absent or lacks a file, or the folder cannot be written.
        MediaError: a source cannot be read, or a clip not encoded.
    """
    places = _find_sources(clips, locate)
    complete = [clip for clip in clips if _is_complete(clip, places, progress)]
    try:
        return _build_clips(folder, complete, places, progress)
    except OSError as error:
        raise UsageError(
            f"The sample library cannot be written to {folder}: {error.strerror or error}.",
            hint="Name a folder you can write to, on a disk with 20 MB free.",
        ) from error


def frame_times(clip: SampleClip) -> list[Fraction]:
    """When each frame of a clip is shown, in seconds from the first."""
    if not clip.irregular:
        return [number / clip.rate for number in range(int(clip.length * clip.rate))]
    times, thirds = [Fraction(0)], cycle(_RHYTHM)
    while (following := times[-1] + Fraction(next(thirds), 3) / clip.rate) < clip.length:
        times.append(following)
    return times


def _find_sources(clips: Iterable[SampleClip], locate: Locate) -> Places:
    """The place of every source that is there; those that every build needs must be."""
    places: dict[ClipSource, Path] = {}
    for source in sorted({source for clip in clips for source in clip.sources}, key=lambda source: source.path):
        folder = locate(source.package)
        if folder is not None and (folder / source.path).is_file():
            places[source] = folder / source.path
        elif source.package not in _OPTIONAL:
            raise _missing(source, folder)
    return places


def _missing(source: ClipSource, folder: Path | None) -> UsageError:
    install = _INSTALLED_BY[source.package]
    if folder is None:
        return UsageError(
            f"The sample library is made from files of the package {source.package}, which is not installed.",
            hint=f"Install it: {install}",
        )
    return UsageError(
        f"The sample library needs {source.path}, which the installed {source.package} in {folder} does not carry.",
        hint=f"Install the tested version: {install} -c constraints.txt",
    )


def _is_complete(clip: SampleClip, places: Places, tell: Tell) -> bool:
    absent = sorted({source.package for source in clip.sources - places.keys()})
    if absent:
        tell(f"{clip.name} left out: it needs {absent[0]} ({_INSTALLED_BY[absent[0]]})")
    return not absent


def _build_clips(folder: Path, clips: Sequence[SampleClip], places: Places, tell: Tell) -> list[Path]:
    """Write the clips side by side, since each is encoded on one core so that its bytes do not vary."""
    with ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST_WORKERS)) as workers:
        paths = []
        for clip, path in zip(clips, workers.map(partial(_build_clip, folder, places), clips), strict=True):
            tell(f"{clip.name} ({float(clip.length):g} s)")
            paths.append(path)
    return paths


def _build_clip(folder: Path, places: Places, clip: SampleClip) -> Path:
    path = folder / clip.name
    path.parent.mkdir(parents=True, exist_ok=True)
    times = frame_times(clip)
    sound = _mix_sound(clip, places)
    options = ClipOptions(
        preset="veryfast",
        rate=clip.rate,
        audio=AudioTrack(sound, SAMPLE_RATE) if clip.sound else None,
        subtitles=clip.inner_subtitles,
        gop=round(2 * clip.rate),
        times_s=[float(time) for time in times] if clip.irregular else None,
    )
    frames = _clip_frames(clip, times, sound, places)
    write_clip(path, add_title(frames, map(float, times), clip.title) if clip.title else frames, options=options)
    _write_sidecars(path, clip)
    return path


def _clip_frames(clip: SampleClip, times: Sequence[Fraction], sound: Samples, places: Places) -> Iterator[Image]:
    ends = accumulate(shot.seconds for shot in clip.shots)
    for shot, end in zip(clip.shots, ends, strict=True):
        start = end - shot.seconds
        shot_times = [float(time - start) for time in times if start <= time < end]
        yield from _shot_frames(shot, shot_times, (clip.width, clip.height), sound, places)


def _shot_frames(
    shot: SampleShot, times_s: Sequence[float], size: tuple[int, int], sound: Samples, places: Places
) -> Iterator[Image]:
    if shot.picture is not None:
        return film_still(read_picture(places[shot.picture]), shot, times_s, size)
    if shot.film is not None:
        return film_excerpt(places[shot.film], shot.from_s, times_s, size)
    return wave_frames(sound, times_s, size)


def _mix_sound(clip: SampleClip, places: Places) -> Samples:
    """The clip's sound as mono float32, as long as the clip, its peak no louder than ``_LOUDEST``."""
    mixed = np.zeros(round(clip.length * SAMPLE_RATE), dtype=np.float32)
    for part in clip.sound:
        _add_part(mixed, part, places[part.source])
    faded = round(_FADE_OUT_S * SAMPLE_RATE)
    mixed[-faded:] *= np.linspace(1, 0, faded, dtype=np.float32)
    return mixed * np.float32(min(1.0, _LOUDEST / max(float(np.abs(mixed).max()), 1e-9)))


def _add_part(mixed: Samples, part: SoundPart, path: Path) -> None:
    played = read_audio(path, SAMPLE_RATE)[round(part.from_s * SAMPLE_RATE) :]
    room = mixed[round(part.at_s * SAMPLE_RATE) :]
    played = played[: len(room)]
    room[: len(played)] += played


def _write_sidecars(path: Path, clip: SampleClip) -> None:
    texts = {
        ".en.srt": _srt(clip.subtitles),
        ".txt": clip.description,
        ".json": json.dumps(clip.facts, indent=2, ensure_ascii=False) + "\n" if clip.facts else "",
    }
    for suffix, text in texts.items():
        if text:
            path.with_suffix(suffix).write_text(text, encoding="utf-8", newline="\n")


def _srt(cues: Sequence[Cue]) -> str:
    blocks = [
        f"{number}\n{_srt_time(cue.start_s)} --> {_srt_time(cue.end_s)}\n{cue.text}\n"
        for number, cue in enumerate(cues, start=1)
    ]
    return "\n".join(blocks)


def _srt_time(time_s: float) -> str:
    time = (datetime.min + timedelta(seconds=time_s)).time()
    return time.isoformat("milliseconds").replace(".", ",")
