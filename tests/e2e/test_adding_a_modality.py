"""A modality in a few lines: indexed, searched, shown, counted and exported, with no other file touched."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from indexer.core.types import Keyframe, Record, Segment
from indexer.modalities.base import Extractor, Modality
from indexer.modalities.registry import registered
from tests.clips import BLACK, WHITE, clip
from tests.e2e.conftest import run_here
from ui.services.context import Context
from ui.services.evaluation import Evaluations
from ui.services.index_jobs import Jobs
from ui.services.library import Library
from ui.web.app import build_blocks
from ui.web.search_page import SearchPage


class BrightnessExtractor(Extractor):
    """Says of each keyframe whether it is dark or bright."""

    def on_keyframes(self, keyframes: Sequence[Keyframe]) -> list[Record]:
        segments = [
            Segment(
                keyframe.video_id,
                keyframe.start_s,
                keyframe.end_s,
                "dark picture" if keyframe.image.mean() < 64 else "bright picture",
                "brightness",
            )
            for keyframe in keyframes
        ]
        return self.records.of_segments(segments)


BRIGHTNESS = Modality("brightness", "text", "brightness", "keyframes", BrightnessExtractor, version="1")


@pytest.fixture
def brightness() -> Iterator[None]:
    with registered(BRIGHTNESS):
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("brightness")
    clip(place / "films" / "night.mp4", [BLACK, WHITE])
    (place / "films" / "night.txt").write_text("A walk at night.", encoding="utf-8")
    without = [flag for role in ("speech", "ocr") for flag in ("--without", role)]
    with registered(BRIGHTNESS):
        done = run_here(["index", "films", "--profile", "embedded", *without], place)
    assert done.returncode == 0, done.stderr
    return place


def test_it_is_searched_alone(folder: Path, brightness: None) -> None:
    done = run_here(["search", "dark picture", "--only", "brightness", "--json", "--min-confidence", "0"], folder)
    found = json.loads(done.stdout)["moments"]
    assert found[0]["start_s"] == 0
    assert [hit["modality"] for hit in found[0]["hits"]] == ["brightness"]
    typed = run_here(["search", "dark picture only:brightness", "--json", "--min-confidence", "0"], folder)
    assert json.loads(typed.stdout)["moments"][0]["start_s"] == 0


def test_it_is_counted_and_exported(folder: Path, brightness: None) -> None:
    counted = json.loads(run_here(["status", "--json"], folder).stdout)["records"]
    assert counted["brightness"] == 2
    rows = [json.loads(row) for row in run_here(["export", "moments"], folder).stdout.splitlines()]
    texts = [row["text"] for row in rows if row["modality"] == "brightness"]
    assert texts == ["dark picture", "bright picture"]


def test_it_has_a_weight_among_the_settings(folder: Path, brightness: None) -> None:
    assert "brightness = 1.0" in run_here(["config", "--defaults"], folder).stdout


def test_the_page_offers_it(folder: Path, brightness: None) -> None:
    context = Context.load(None, folder / "chroma_db")
    library = Library(context)
    blocks = build_blocks(library, Jobs(context), Evaluations(library), SearchPage(library))
    chips = next(part for part in blocks.config["components"] if part["props"].get("elem_id") == "kinds")
    assert ["Brightness", "brightness"] in [list(choice) for choice in chips["props"]["choices"]]


def test_an_index_with_an_unknown_modality_is_searched_without_it_and_keeps_it(folder: Path) -> None:
    found = json.loads(run_here(["search", "a walk at night", "--json", "--min-confidence", "0"], folder).stdout)
    assert {hit["modality"] for moment in found["moments"] for hit in moment["hits"]} <= {"frames", "description"}
    assert "brightness" not in json.loads(run_here(["status", "--json"], folder).stdout)["records"]
    assert run_here(["verify"], folder).returncode == 0
    assert "1 unchanged" in run_here(["index"], folder).stdout
    with registered(BRIGHTNESS):
        assert json.loads(run_here(["status", "--json"], folder).stdout)["records"]["brightness"] == 2
