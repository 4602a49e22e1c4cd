"""The real clips beside the checkout, indexed by the real command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.quality import DEFAULT_MEDIA, add_spoken_and_played, sounds_beside
from tests.e2e.conftest import run_process


@dataclass(frozen=True)
class RealClips:
    """An index of the clips and of two more that say and play what is known."""

    index: Path
    has_sounds: bool


def index_real_clips(folder: Path) -> RealClips | None:
    """Index them with the embedded models, and with the model of sounds where it is there; None without the clips."""
    if not DEFAULT_MEDIA.is_dir():
        return None
    add_spoken_and_played(folder / "library", DEFAULT_MEDIA)
    sounds = sounds_beside(DEFAULT_MEDIA)
    arguments = ["index", DEFAULT_MEDIA, folder / "library", "--index", folder / "index", "--profile", "embedded"]
    done = run_process(arguments, folder, SCENESEEK_MODELS_SOUNDS=sounds)
    assert done.returncode == 0, done.stderr
    return RealClips(folder / "index", sounds != "off")
