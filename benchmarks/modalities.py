"""What each modality costs: seconds of work for a minute of video, and memory. ``python -m benchmarks.modalities``.

Every modality is made alone, in a process of its own that has its models in memory before the clock starts. "peak" is
the process's largest resident size, "more" by how much it grew while it worked. The models are those of ``--model``,
else those of config.toml and ``SCENESEEK_MODELS_*``, else the embedded ones; ``--add objects`` measures also what is
not embedded, with the model that ``sceneseek index --add objects`` would take. What is left out is said, and why.
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
from typing import Any

from indexer.config import ModelSettings, load_settings
from indexer.core.errors import ModelError
from indexer.core.types import ModalityName
from indexer.corpus.find import find_corpus
from indexer.corpus.labels import Labels
from indexer.media.read.probe import looks_like_media
from indexer.modalities.registry import all_roles, optional_roles
from indexer.models.build import build_models
from indexer.models.devices import leave_room_for_decoding
from indexer.models.profiles import OFF, PROFILES, ModelChoice, parse_choice
from indexer.run import Indexer, index_corpus
from indexer.shots.sampling import Sampling
from indexer.store import open_store
from indexer.video import VideoSettings

MEDIA = Path(__file__).resolve().parents[2] / "shared" / "data" / "media"
YAMNET = MEDIA.parent / "yamnet" / "yamnet.tflite"
VIDEOS = ("big-buck-bunny.mp4", "typography.webm", "cockatoo.mp4", "jfk.flac")
MODALITIES = ("frames", *optional_roles())


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("videos", type=Path, nargs="*", default=[MEDIA / name for name in VIDEOS])
    options.add_argument("--modality", action="append", choices=MODALITIES, help="only this one")
    options.add_argument("--add", action="append", default=[], choices=optional_roles(), help="also this one")
    options.add_argument("--model", action="append", default=[], metavar="ROLE=MODEL", help="speech=whisper:/folder")
    options.add_argument("--config", type=Path)
    options.add_argument("--alone", help=argparse.SUPPRESS)
    given = options.parse_args()
    specs = dict(model.split("=", 1) for model in given.model)
    if given.alone:
        print(json.dumps(measure_or_excuse(given.alone, given.videos[0], specs)))
        return
    specs = {**configured(load_settings(given.config, os.environ, {}).settings.models), **specs}
    modalities = given.modality or ["frames", *(role for role in optional_roles() if role in {*specs, *given.add})]
    for line in table(given.videos, modalities, specs):
        print(line, flush=True)
    for line in left_out([name for name in MODALITIES if name not in modalities and not given.modality]):
        print(line, flush=True)


def configured(settings: ModelSettings) -> dict[str, str]:
    """By role the model that the settings name, else the embedded one, and YAMNet where the shared data has it."""
    models = {"sounds": f"yamnet:{YAMNET}"} if YAMNET.is_file() else {}
    models |= {role: str(choice) for role, choice in PROFILES["embedded"].choices.items() if role in optional_roles()}
    models |= {role: settings.spec(role) for role in optional_roles() if settings.spec(role)}
    return {role: spec for role, spec in models.items() if spec != OFF}


def left_out(modalities: Sequence[str]) -> Iterator[str]:
    """What was not measured, and how to."""
    for name in modalities:
        yield f"{name:10}left out: no model is configured. To measure it with the usual one: --add {name}"


def table(videos: Sequence[Path], modalities: Sequence[str], specs: Mapping[str, str]) -> Iterator[str]:
    """One line per modality and video; a modality whose model cannot be had is one line that says why."""
    yield f"{'modality':10}{'video':22}{'media s':>8}{'s/min':>8}{'x real time':>13}{'records':>8}{'MB':>9}{'more':>6}"
    for modality in modalities:
        for video in videos:
            took = measured_alone(modality, video, specs)
            if excuse := took.get("excuse"):
                yield f"{modality:10}left out: {excuse}"
                break
            if took["media_s"]:  # else there is nothing of this kind in it: no picture, or no sound
                yield row(modality, video.name, took)


def row(modality: str, name: str, took: Mapping[str, Any]) -> str:
    """One line of the table."""
    media_s, work_s = took["media_s"], took["work_s"]
    return (
        f"{modality:10}{name:22}{media_s:8.1f}{60 * work_s / media_s:8.2f}{media_s / work_s:13.1f}"
        f"{took['records']:8.0f}{took['peak_mb']:9.0f}{took['more_mb']:6.0f}"
    )


def measured_alone(modality: str, video: Path, specs: Mapping[str, str]) -> dict[str, Any]:
    """``measure_or_excuse`` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.modalities", str(video), "--alone", modality]
    flags = [flag for role, spec in specs.items() for flag in ("--model", f"{role}={spec}")]
    done = subprocess.run([*command, *flags], stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure_or_excuse(modality: ModalityName, video: Path, specs: Mapping[str, str]) -> dict[str, Any]:
    """``measure``, or why it cannot be done: the model is not here, or a package."""
    try:
        return measure(modality, video, specs)
    except ModelError as error:
        return {"excuse": str(error)}


def measure(modality: ModalityName, video: Path, specs: Mapping[str, str]) -> dict[str, Any]:
    """Index one video for one modality, its models being in memory."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command does
    models = build_models(_choices(modality, specs), all_roles())
    for model in models.by_role.values():
        model.load()
    models.text.encode_documents(["warm"])
    before_mb = _peak_mb()
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder), create=True)
        indexer = Indexer(store, models, None, VideoSettings(Sampling()), {modality: "x"}, leave_room_for_decoding)
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


def _choices(modality: ModalityName, specs: Mapping[str, str]) -> dict[str, ModelChoice]:
    choices = PROFILES["embedded"].choices
    wanted: dict[str, ModelChoice] = {role: choices[role] for role in ("frames", "text")}
    role = optional_roles().get(modality)
    if role is not None:
        wanted[modality] = parse_choice(role, specs.get(modality, role.default))
    return wanted


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
