"""A search says so when the library has no answer, and how to see the nearest moments all the same."""

from __future__ import annotations

import json

from indexer.config import SearchSettings
from tests.e2e.conftest import Demo, Run

ABSENT = ("a birthday cake with candles", "quarterly tax return deadline", "a baby crawling on the carpet")
PRESENT = {
    "a cheetah running": "safari.mp4",
    "never do it for free": "memo.mp4",
    "the ferry left without us": "letters.mp4",
}


def test_what_the_library_has_not_is_not_found(demo: Demo, run: Run) -> None:
    for query in ABSENT:
        answer = run("search", query, "--index", demo.index)
        assert answer.returncode == 0
        assert answer.stdout.startswith("Nothing found.\n"), answer.stdout
    found = json.loads(run("search", ABSENT[0], "--index", demo.index, "--json").stdout)
    assert found["moments"] == []
    assert found["total"] == 0
    assert found["unlikely"] > 0
    told = run("search", ABSENT[0], "--index", demo.index).stdout
    assert f"The nearest {found['unlikely']} moments are unlikely to be it; --min-confidence 0 shows them." in told


def test_what_the_library_has_is_found_with_what_speaks_for_it(demo: Demo, run: Run) -> None:
    for query, name in PRESENT.items():
        best = json.loads(run("search", query, "--index", demo.index, "--json").stdout)["moments"][0]
        assert best["path"].endswith(name)
        assert SearchSettings().min_confidence <= best["confidence"] <= 1
        assert min(hit["false_alarm_rate"] for hit in best["hits"]) < 0.1
        assert max(hit["z_score"] for hit in best["hits"]) > 1


def test_the_nearest_moments_are_shown_when_asked_for(demo: Demo, run: Run) -> None:
    strict = json.loads(run("search", "a big cat", "--index", demo.index, "--json").stdout)
    lenient = run("search", "a big cat", "--index", demo.index, "--min-confidence", 0, "--json")
    everything = json.loads(lenient.stdout)
    assert everything["unlikely"] == 0
    kept = [one["start_s"] for one in everything["moments"] if one["confidence"] >= SearchSettings().min_confidence]
    assert [one["start_s"] for one in strict["moments"]] == kept
    assert len(everything["moments"]) == min(10, len(strict["moments"]) + strict["unlikely"])


def test_the_setting_is_the_default_and_is_checked(demo: Demo, run: Run) -> None:
    query = ("search", "a cheetah running", "--index", demo.index)
    assert run(*query, SCENESEEK_SEARCH_MIN_CONFIDENCE="1").stdout.startswith("Nothing found.")
    assert "safari" in run(*query, "--min-confidence", 0, SCENESEEK_SEARCH_MIN_CONFIDENCE="1").stdout
    assert run(*query, "--min-confidence", 2).returncode == 2
    assert run(*query, SCENESEEK_SEARCH_MIN_CONFIDENCE="7").returncode == 2


def test_pictures_and_phrases_are_answered_as_they_are(demo: Demo, run: Run) -> None:
    like = json.loads(run("search", "--like", "safari.mp4@6", "--index", demo.index, "--json").stdout)
    assert like["moments"]
    assert {moment["confidence"] for moment in like["moments"]} == {None}
    phrase = json.loads(run("search", '"the first snow"', "--index", demo.index, "--json").stdout)
    assert [moment["path"].endswith("letters.mp4") for moment in phrase["moments"]] == [True]
