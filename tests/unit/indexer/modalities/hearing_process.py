"""Listens to a file for speech as indexing does, in a process of its own, and prints how much memory that took.

``python -m tests.unit.indexer.modalities.hearing_process FILE``
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from indexer.core.types import Samples
from indexer.media.read.audio import iter_audio
from indexer.media.read.loudness import LoudnessMeter
from indexer.modalities.speech.segments import speech_segments
from indexer.models.pocketsphinx import PocketsphinxRecognizer

WARM_UP_S = 300.0


def peak_mb() -> float:
    """The largest resident size so far. ``ru_maxrss`` may begin at that of the process that started this one."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


class Ear:
    """The sound of a file, noting the memory when it has been heard for five minutes."""

    def __init__(self) -> None:
        self.heard_s = 0.0
        self.warm_mb = 0.0

    def windows(self, path: Path, rate: int) -> Iterator[Samples]:
        for window in iter_audio(path, rate, meter=LoudnessMeter()):
            yield window
            self.heard_s += len(window) / rate
            if not self.warm_mb and self.heard_s >= WARM_UP_S:
                self.warm_mb = peak_mb()


def main(path: Path) -> None:
    recognizer, ear = PocketsphinxRecognizer(), Ear()
    segments = speech_segments("v", recognizer.transcribe(ear.windows(path, recognizer.sample_rate)))
    starts = [segment.start_s for segment in segments]
    memory = {"warm_mb": ear.warm_mb, "peak_mb": peak_mb()}
    json.dump({"heard_s": ear.heard_s, "starts": starts, **memory, "torch": "torch" in sys.modules}, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
