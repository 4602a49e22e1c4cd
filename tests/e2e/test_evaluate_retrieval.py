"""Evaluating and comparing on the sample library, with real models, through the functions the command calls."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from indexer.core.errors import QueryError, UsageError
from indexer.core.types import Record
from indexer.store import open_store
from search.evaluate.compare import IndexVariants, parse_setups
from tests.e2e.conftest import Demo
from ui.cli.evaluate import compare, compare_run_files, evaluate_retrieval
from ui.demo.clips import DEMO_ANSWERS
from ui.services.context import Context

MEDIA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "media"

Printed = Callable[[], str]


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Printed:
    """What was printed since the last call, on a terminal 100 columns wide."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return lambda: capsys.readouterr().out


def questions(demo: Demo, folder: Path, *more: str) -> Path:
    """The demo's own questions as a file of queries."""
    path = folder / "queries.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("query", "file", "start_s", "end_s"))
        rows.writerows(
            (query, *answer) for query, answer in DEMO_ANSWERS.items() if (demo.library / answer[0]).is_file()
        )
        file.writelines(f"{line}\n" for line in more)
    return path


def context_of(index: Path) -> Context:
    return Context.load(None, index)


def test_the_search_is_measured_and_what_was_left_out_is_named(demo: Demo, tmp_path: Path, printed: Printed) -> None:
    queries = questions(demo, tmp_path, "a ghost,nowhere.mp4,0,1", "a bus,,0,1")
    assert evaluate_retrieval(queries, demo.index, tmp_path / "out") == 3
    shown = printed()
    # Wilson's interval of 5 right ones out of 5 begins at n / (n + 1.96^2).
    assert f"R@1           1.000  {5 / (5 + 1.96**2):.3f} – 1.000" in shown
    assert "equal scores count at their mean rank" in shown
    assert "nowhere.mp4: there is no such video in the index (1 row)" in shown
    assert "it lacks the query or the video" in shown
    assert str(tmp_path / "out") in shown.replace("\n", "")
    told = json.loads((tmp_path / "out" / "metrics.json").read_text())
    by_name = {metric["name"]: metric["value"] for metric in told["metrics"]}
    assert (by_name["R@1"], by_name["MdR"], by_name["P@1"]) == (1, 1, 1)
    # Every answer is one video, so that at most one of three places is right.
    assert by_name["P@3"] == pytest.approx(1 / 3)


def test_json_has_what_the_file_has(demo: Demo, tmp_path: Path, printed: Printed) -> None:
    queries = questions(demo, tmp_path)
    evaluate_retrieval(queries, demo.index, tmp_path / "out", as_json=True)
    assert json.loads(printed()) == json.loads((tmp_path / "out" / "metrics.json").read_text())


def records(index: Path) -> dict[str, Record]:
    with closing(open_store(index)) as store:
        return {record.id: record for space in ("frames", "text", "audio") for record in store.records(space)}


def test_ways_to_index_and_to_search_are_compared_without_doing_anything_twice(
    demo: Demo, tmp_path: Path, printed: Printed
) -> None:
    index = tmp_path / "index"
    shutil.copytree(demo.index, index)
    before = records(index)
    asked = [str(questions(demo, tmp_path)), "keyframes=shots,middle", "only=all,frames"]
    compare(asked, index, tmp_path / "out", metric=["mrr"])
    shown = printed()
    names = [f"keyframes={strategy} only={only}" for strategy in ("shots", "middle") for only in ("all", "frames")]
    assert [line[: len(name)] for name, line in zip(names, shown.splitlines()[2:], strict=False)] == names
    assert records(index).keys() == before.keys()

    made = tmp_path / "out" / "indexes" / "embedded-middle"
    of_middle = records(made)
    frames = [record for record in of_middle.values() if record.modality == "frames"]
    assert len(frames) == len({record.video_id for record in frames})
    rest = {key for key, record in before.items() if record.modality != "frames"}
    assert rest
    assert {key for key, record in of_middle.items() if record.modality != "frames"} == rest

    setup = parse_setups(["keyframes=middle"])[0]
    again = IndexVariants(context_of(index).loaded, tmp_path / "out" / "indexes").prepare(setup)
    assert again is not None
    assert (again.indexed, again.updated, again.frames) == ([], [], 0)
    told = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert [row["name"] for row in told["rows"]] == names
    assert told["rows"][0]["differences"] == {}
    assert set(told["rows"][1]["differences"]["MRR"]) == {"value", "interval", "p"}
    assert not list((tmp_path / "out").rglob("*.tmp"))
    assert not list((tmp_path / "out" / "runs").glob("*.json"))

    names = ("keyframes-shots-only-all", "keyframes-middle-only-frames")
    runs = [tmp_path / "out" / "runs" / f"{name}.trec" for name in names]
    compare_run_files(tmp_path / "out" / "qrels.trec", runs, as_json=True)
    # Files do not say how many videos there are, which only MdR and MnR depend on.
    from_files = json.loads(printed())
    for mine, theirs in zip(from_files, (told["rows"][0], told["rows"][3]), strict=True):
        values = {metric["name"]: metric["value"] for metric in theirs["metrics"]}
        for metric in mine["metrics"]:
            assert metric["name"] in ("MdR", "MnR") or metric["value"] == pytest.approx(values[metric["name"]])


def test_new_copies_keep_what_was_made_of_sound_and_text(demo: Demo, tmp_path: Path) -> None:
    setup = parse_setups(["keyframes=middle"])[0]
    report = IndexVariants(context_of(demo.index).loaded, tmp_path).prepare(setup)
    assert report is not None
    # A video that is indexed from the start would be among these; only keyframes are new.
    assert report.indexed == []
    assert len(report.updated) > 0
    assert report.segments == 0


@pytest.mark.parametrize(
    ("axes", "told"),
    [
        (("keyframes=shots",), "nothing to compare"),
        (("pooling=mean,max",), "evaluate actions"),
        (("profile=embedded,nonsense",), "no profile 'nonsense'"),
    ],
)
def test_what_cannot_be_compared_is_said_at_once(demo: Demo, tmp_path: Path, axes: tuple[str, ...], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        compare([str(questions(demo, tmp_path)), *axes], demo.index, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_unknown_metric_is_named_with_those_there_are(demo: Demo, tmp_path: Path) -> None:
    asked = [str(questions(demo, tmp_path)), "only=all,frames"]
    with pytest.raises(UsageError, match=r"'precision' was not measured\. There are: R@1"):
        compare(asked, demo.index, tmp_path / "out", metric=["precision"])


def test_one_run_from_a_file_is_a_table_of_metrics(tmp_path: Path, printed: Printed) -> None:
    (tmp_path / "qrels.trec").write_text("1 0 a 1\n2 0 b 1\n")
    (tmp_path / "run.trec").write_text("1 Q0 a 1 0.9 t\n1 Q0 b 2 0.8 t\n2 Q0 a 1 0.9 t\n2 Q0 b 2 0.8 t\n")
    compare_run_files(tmp_path / "qrels.trec", [tmp_path / "run.trec"])
    shown = printed()
    assert "R@1      0.500  0.000 – 1.000        2" in shown
    assert "MRR      0.750  0.500 – 1.000        2" in shown
    with pytest.raises(QueryError, match="line 1 is not a line of a run"):
        compare_run_files(tmp_path / "qrels.trec", [tmp_path / "qrels.trec"])


@pytest.mark.skipif(not MEDIA.is_dir(), reason="the shared media are not beside this checkout")
def test_queries_of_other_videos_are_an_error_that_says_so(demo: Demo, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match=r"cockatoo\.mp4: there is no such video in the index"):
        evaluate_retrieval(MEDIA / "queries.csv", demo.index, tmp_path / "out")
