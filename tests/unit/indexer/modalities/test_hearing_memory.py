"""Listening for speech takes as much memory for a long recording as for a short one."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from indexer.media.deliver.write import AudioTrack, ClipOptions, write_clip
from indexer.media.read.audio import read_audio

RATE = 16_000
MINUTES = 15
# The first two, before the fifth minute, bring everything into memory that speech needs.
SPOKEN_AT_S = (60, 200, 540, 880)
GRADIO = find_spec("gradio")
SPEECH = Path(str(GRADIO.origin)).parent / "media_assets" / "audio" / "heath_ledger.mp3" if GRADIO else Path("none")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Quiet noise, in which somebody says a sentence now and then."""
    spoken = read_audio(SPEECH, RATE)
    sound = np.random.default_rng(0).normal(0, 0.002, 60 * MINUTES * RATE).astype(np.float32)
    for second in SPOKEN_AT_S:
        sound[second * RATE : second * RATE + len(spoken)] += spoken
    track = AudioTrack(sound, RATE, "flac")
    write_clip(tmp_path / "long.flac", [], options=ClipOptions(rate=Fraction(1), audio=track))
    return tmp_path / "long.flac"


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="only Linux says how much memory was taken at most")
@pytest.mark.skipif(not SPEECH.is_file(), reason="Gradio's recording of speech is not installed")
def test_a_long_recording_stays_under_300_mb_and_takes_no_more_than_a_short_one(recording: Path) -> None:
    command = [sys.executable, "-m", "tests.unit.indexer.modalities.hearing_process", str(recording)]
    root = Path(__file__).resolve().parents[4]
    heard = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, cwd=root).stdout)
    assert heard["heard_s"] == 60 * MINUTES
    assert heard["starts"] == pytest.approx(SPOKEN_AT_S, abs=1)
    assert not heard["torch"]
    assert heard["peak_mb"] < 300
    # The ten minutes of sound since are 38 MB.
    assert heard["peak_mb"] - heard["warm_mb"] < 4
