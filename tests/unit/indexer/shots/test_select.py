from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from indexer.core.errors import ConfigError
from indexer.media.read.decode import FrameReader
from indexer.shots.sampling import STRATEGIES, Sampling, Strategy
from indexer.shots.select import make_sampler
from tests.unit.indexer.shots.pictures import encode, filmed, scenery


@pytest.mark.parametrize(
    "options",
    [
        {"strategy": "random"},
        {"detector": "psychic"},
        {"count": 0},
        {"count": 2.5},
        {"count": True},
        {"clusters": 401},
        {"pool": 0},
        {"max_span_s": 0.5},
        {"max_span_s": 11},
        {"max_span_s": float("nan")},
        {"max_span_s": "5"},
        {"min_shot_s": -0.1},
        {"threshold": 0.0},
    ],
)
def test_wrong_options_are_refused_with_what_to_use_instead(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as refusal:
        Sampling(**options)  # type: ignore[arg-type]
    assert repr(next(iter(options.values()))) in refusal.value.message
    assert refusal.value.hint.startswith("Use ")


def test_only_codec_lets_the_decoder_skip_frames() -> None:
    assert [name for name in STRATEGIES if Sampling(name).wants_codec_keyframes_only] == ["codec"]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_tiles_a_real_file(tmp_path: Path, strategy: Strategy) -> None:
    pictures = [picture for seed in range(3) for picture in filmed(scenery(seed), "pan", 50)]
    path = encode(tmp_path / "clip.mp4", pictures)
    sampling = Sampling(strategy)
    sampler = make_sampler(sampling, "video", 6.0)
    with FrameReader(path, keyframes_only=sampling.wants_codec_keyframes_only) as reader:
        keyframes = list(sampler.keyframes(reader))
    assert (keyframes[0].start_s, keyframes[-1].end_s) == (0.0, 6.0)
    assert all(one.end_s == other.start_s for one, other in itertools.pairwise(keyframes))
    assert all(k.start_s <= k.time_s < k.end_s and k.image.shape == (144, 256, 3) for k in keyframes)
    assert [shot.start_s for shot in sampler.shots] == ([0.0, 2.0, 4.0] if strategy == "shots" else [0.0])
    assert {keyframe.video_id for keyframe in keyframes} == {"video"}


def test_options_are_known_without_loading_what_is_heavy() -> None:
    code = "import sys, indexer.shots.select; print(sorted({'cv2', 'scenedetect', 'sklearn', 'av'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
