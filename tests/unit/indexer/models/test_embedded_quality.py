"""The embedded models on real photographs: few enough to be quick, many enough to notice a mistake."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from indexer.modalities.registry import all_roles
from indexer.models.base import Models
from indexer.models.build import build_models
from indexer.models.profiles import PROFILES

PHOTOGRAPHS = Path(__file__).resolve().parents[4] / ".." / "shared" / "data" / "imagenet-sample"


@pytest.fixture(scope="module")
def models(pytestconfig: pytest.Config) -> Models:
    # The class vectors take seconds; pytest keeps them between runs, as the program does in the user's cache.
    folder = pytestconfig.cache.mkdir("class-vectors") if pytestconfig.cache else None
    return build_models(PROFILES["embedded"].choices, all_roles(), device="cpu", cache_folder=folder)


@pytest.mark.data
@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="the shared photographs are not beside the checkout")
def test_a_photograph_is_found_by_its_name(models: Models) -> None:
    paths = sorted(PHOTOGRAPHS.glob("*.JPEG"))[::8]
    pictures = models.frames.encode_images([np.asarray(Pillow.open(path).convert("RGB")) for path in paths])
    names = [path.stem.split("_", 1)[1].replace("_", " ") for path in paths]
    scores = models.frames.encode_texts(names) @ pictures.T
    precision_at_1 = (scores.argmax(axis=1) == np.arange(len(paths))).mean()
    assert precision_at_1 >= 0.9
    # Right pairs stand clear of wrong ones, which a cut-off in the search relies on.
    wrong = scores[~np.eye(len(paths), dtype=bool)]
    assert np.median(np.diag(scores)) > np.percentile(wrong, 95) + 0.2
