"""What each modality costs: seconds of work for a minute of video, and memory. ``python -m benchmarks.modalities``.

Every modality is made alone, in a process of its own that has its models in memory before the clock starts. "peak" is
the process's largest resident size, "more" by how much it grew while it worked.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from indexer.corpus.find import find_corpus
from indexer.corpus.labels import Labels
from indexer.media.probe import looks_like_media
from indexer.models.base import OPTIONAL_ROLES, Role
from indexer.models.build import build_models
from indexer.models.devices import leave_room_for_decoding
from indexer.models.profiles import PROFILES, ModelChoice, parse_choice
from indexer.pipeline import Indexer, index_corpus
from indexer.reading import Reading
from indexer.shots.select import Sampling
from indexer.store import open_store
from indexer.types import Modality

MEDIA = Path(__file__).resolve().parents[2] / "shared" / "data" / "media"
YAMNET = MEDIA.parent / "yamnet" / "yamnet.tflite"
VIDEOS = ("big-buck-bunny.mp4", "typography.webm", "cockatoo.mp4", "jfk.flac")
MODALITIES = ("frames", *OPTIONAL_ROLES)


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("videos", type=Path, nargs="*", default=[MEDIA / name for name in VIDEOS])
    options.add_argument("--modality", action="append", choices=MODALITIES)
    options.add_argument("--model", action="append", default=[], metavar="ROLE=MODEL", help="speech=whisper:/folder")
    options.add_argument("--alone", help=argparse.SUPPRESS)
    given = options.parse_args()
    specs = {"sounds": f"yamnet:{YAMNET}", **dict(model.split("=", 1) for model in given.model)}
    if given.alone:
        print(json.dumps(measure(given.alone, given.videos[0], specs)))
    else:
        modalities = given.modality or ["frames", "speech", "ocr", *(["sounds"] if YAMNET.is_file() else [])]
        for line in table(given.videos, modalities, given.model):
            print(line, flush=True)


def table(videos: Sequence[Path], modalities: Sequence[str], models: Sequence[str]) -> Iterator[str]:
    """One line per modality and video."""
    yield f"{'modality':10}{'video':22}{'media s':>8}{'s/min':>8}{'x real time':>13}{'records':>8}{'MB':>9}{'more':>6}"
    for modality in modalities:
        for video in videos:
            command = [sys.executable, "-m", "benchmarks.modalities", str(video), "--alone", modality]
            flags = [flag for model in models for flag in ("--model", model)]
            done = subprocess.run([*command, *flags], stdout=subprocess.PIPE, text=True, check=True)
            took = json.loads(done.stdout.splitlines()[-1])
            media_s, work_s = took["media_s"], took["work_s"]
            if not media_s:  # there is nothing of this kind in it: no picture, or no sound
                continue
            yield (
                f"{modality:10}{video.name:22}{media_s:8.1f}{60 * work_s / media_s:8.2f}{media_s / work_s:13.1f}"
                f"{took['records']:8}{took['peak_mb']:9.0f}{took['more_mb']:6.0f}"
            )


def measure(modality: Modality, video: Path, specs: Mapping[str, str]) -> dict[str, float]:
    """Index one video for one modality, its models being in memory."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command does
    models = build_models(_choices(modality, specs))
    for model in models.by_role.values():
        model.load()
    models.text.encode_documents(["warm"])
    before_mb = _peak_mb()
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder), create=True)
        indexer = Indexer(store, models, None, Reading(Sampling(), {modality: "x"}), leave_room_for_decoding)
        began = time.perf_counter()
        report = index_corpus(find_corpus([video], looks_like_media=looks_like_media), Labels(), indexer)
        work_s = time.perf_counter() - began
        store.close()
    return {
        "media_s": report.media_s,
        "work_s": work_s,
        "records": report.frames + report.segments,
        "peak_mb": _peak_mb(),
        "more_mb": _peak_mb() - before_mb,
    }


def _choices(modality: Modality, specs: Mapping[str, str]) -> dict[Role, ModelChoice]:
    choices = PROFILES["embedded"].choices
    wanted: dict[Role, ModelChoice] = {role: choices[role] for role in ("frames", "text")}
    role = next((role for role in OPTIONAL_ROLES if role == modality), None)
    if role is not None:
        wanted[role] = parse_choice(role, specs[role]) if role in specs else choices[role]
    return wanted


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
