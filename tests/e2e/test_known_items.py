"""Known-item search on real clips with the embedded profile, from frames and sidecars alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.quality import DEFAULT_MEDIA, ranks_of, read_queries, share
from indexer.config import load_settings
from indexer.run import run_indexing
from search.engine import SearchEngine


@pytest.mark.skipif(not DEFAULT_MEDIA.is_dir(), reason="the real clips are not beside this checkout")
def test_the_right_video_is_found(tmp_path: Path) -> None:
    flags = {"index.path": str(tmp_path), "models.profile": "embedded"}
    report = run_indexing([DEFAULT_MEDIA], load_settings(None, {}, flags))
    assert report.failed == []
    with SearchEngine.open(tmp_path) as engine:
        ranks = [ranks_of(engine, known) for known in read_queries(DEFAULT_MEDIA / "queries.csv")]
    by_video, by_moment = zip(*ranks, strict=True)
    assert share(by_video, 1) >= 0.60
    assert share(by_video, 3) >= 0.90
    assert share(by_moment, 3) >= 0.50
