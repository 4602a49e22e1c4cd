from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from indexer.core.errors import QueryError
from ui.services.context import Context
from ui.services.evaluation import Evaluations
from ui.services.index_jobs import Jobs
from ui.services.library import Library
from ui.web.app import build_app, build_blocks
from ui.web.picture_cache import PictureCache
from ui.web.search_page import SearchPage

ENDPOINTS = {"/search", "/similar", "/search_by_picture", "/library", "/video", "/status", "/export"}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Library(Context.load(None, tmp_path_factory.mktemp("none") / "index"))


def test_the_endpoints_have_their_names_and_the_tabs_have_none(library):
    blocks = build_blocks(library, Jobs(library.context), Evaluations(library), SearchPage(library))
    assert set(blocks.get_api_info()["named_endpoints"]) == ENDPOINTS


def test_addresses_with_gradios_own_parameters_are_answered(library):
    app = build_app(library, Jobs(library.context), Evaluations(library))
    with TestClient(app, base_url="http://localhost") as client:
        for address in ("/", "/?q=a&p=2&unlikely=1", "/?q=%22x%22&v=1&t=2"):
            answer = client.get(address)
            assert answer.status_code == 200
            assert "frame-ancestors 'self'" in answer.headers["content-security-policy"]
            assert answer.headers["x-content-type-options"] == "nosniff"


def picture(path: Path, shade: int, side: int = 40) -> Path:
    Image.fromarray(np.full((side, side, 3), shade, np.uint8)).save(path)
    return path


def test_pictures_are_kept_by_their_content(tmp_path):
    kept = PictureCache(size=2)
    first, second = (kept.keep(picture(tmp_path / f"{shade}.png", shade)) for shade in (10, 20))
    assert kept.keep(picture(tmp_path / "again.png", 10)) == first != second
    assert kept.find(first)[0, 0, 0] == 10
    third = kept.keep(picture(tmp_path / "large.png", 30, side=3000))
    assert max(kept.find(third).shape) <= 1024
    with pytest.raises(QueryError, match="no longer here"):
        kept.find(second)  # nobody has asked by it for longest
    assert kept.find(first) is not None
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    with pytest.raises(QueryError):
        kept.keep(broken)
