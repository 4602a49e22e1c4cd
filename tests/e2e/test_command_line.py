"""The ``sceneseek`` command as people use it, on the sample library with the embedded models."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from search.engine import SearchEngine
from tests.clips import BLUE, GREEN, RED, clip
from tests.e2e.conftest import Demo, Run
from ui.demo.clips import DEMO_ANSWERS

needs_ultralytics = pytest.mark.skipif(find_spec("ultralytics") is None, reason="the extra 'objects' is not installed")


EVERYTHING = ("--min-confidence", 0)
"""Also what is probably no answer."""


def found(run: Run, demo: Demo, *arguments: object) -> list[dict]:
    done = run("search", "--index", demo.index, "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["moments"]


def test_the_demo_searches_and_says_what_to_type_next(demo: Demo) -> None:
    for query in DEMO_ANSWERS:
        assert f'sceneseek search "{query}"' in demo.output
    assert "Try it yourself" in demo.output
    printed = demo.output.replace(str(demo.folder), "demo")
    assert all(len(line) <= 100 for line in printed.splitlines() if not line.startswith("  /"))


@pytest.mark.parametrize(
    "query",
    [
        pytest.param(query, marks=needs_ultralytics if "touchline" in clip else ())
        for query, (clip, *_) in DEMO_ANSWERS.items()
    ],
)
def test_every_demo_query_finds_its_moment_first(run: Run, demo: Demo, query: str) -> None:
    clip_name, start_s, end_s = DEMO_ANSWERS[query]
    best = found(run, demo, query)[0]
    assert best["path"].endswith(clip_name)
    assert start_s - 1 <= best["start_s"] <= end_s


def test_the_subtitle_is_named_as_the_reason(run: Run, demo: Demo) -> None:
    best = found(run, demo, "the ferry left without us")[0]
    assert best["modalities"][0] == "subtitle"
    assert "ferry" in best["hits"][0]["text"]
    assert -1 <= best["hits"][0]["cosine"] <= 1


def test_the_answer_is_readable_in_80_columns(run: Run, demo: Demo) -> None:
    done = run("search", "a big cat", "--index", demo.index)
    assert re.search(r"^ +1  0:00:0\d – 0:00:\d\d  safari.mp4", done.stdout, re.MULTILINE)
    assert "frames 0." in done.stdout


def test_pages_continue_each_other(run: Run, demo: Demo) -> None:
    whole = [moment["hits"][0]["start_s"] for moment in found(run, demo, "a big cat", "-k", 6, *EVERYTHING)]
    pages = [found(run, demo, "a big cat", "-k", 3, "--page", page, *EVERYTHING) for page in (1, 2)]
    assert [moment["hits"][0]["start_s"] for page in pages for moment in page] == whole
    assert [moment["rank"] for moment in pages[1]] == [4, 5, 6]


def test_filters_leave_only_what_they_say(run: Run, demo: Demo) -> None:
    assert {moment["label"] for moment in found(run, demo, "a face", "--label", "film", *EVERYTHING)} == {"film"}
    assert all("travel/" in moment["path"] for moment in found(run, demo, "a face", "--path", "travel/*", *EVERYTHING))
    videos = {moment["path"] for moment in found(run, demo, "a face", "--where", "duration<9", "-k", 50, *EVERYTHING)}
    everything = {row["path"]: row["duration_s"] for row in exported(run, demo)}
    assert videos == {path for path, duration_s in everything.items() if duration_s < 9 and path in videos}
    assert len(videos) > 1


def exported(run: Run, demo: Demo) -> list[dict]:
    return [json.loads(line) for line in run("export", "videos", "--index", demo.index).stdout.splitlines()]


def test_by_video_names_each_video_once(run: Run, demo: Demo) -> None:
    paths = [moment["path"] for moment in found(run, demo, "a big cat", "--by-video", "-k", 20, *EVERYTHING)]
    assert len(paths) == len(set(paths)) > 3


def test_only_searches_what_is_asked_for(run: Run, demo: Demo) -> None:
    moments = found(run, demo, "the ferry left without us", "--only", "subtitle")
    assert {hit["modality"] for moment in moments for hit in moment["hits"]} == {"subtitle"}


def test_a_picture_finds_the_shot_it_is_from(run: Run, demo: Demo) -> None:
    from ui.demo.library import package_folder

    folder = package_folder("gradio")
    assert folder is not None
    best = found(run, demo, "--image", folder / "media_assets" / "images" / "lion.jpg")[0]
    assert best["path"].endswith("safari.mp4")
    assert best["start_s"] == pytest.approx(8, abs=0.2) or best["start_s"] == pytest.approx(4, abs=0.2)


def test_a_moment_finds_others_like_it_and_not_itself(run: Run, demo: Demo) -> None:
    best = found(run, demo, "--like", "safari.mp4@0:01")[0]
    assert best["path"].endswith("safari.mp4")
    assert best["start_s"] >= 3.9


def test_a_page_is_written_with_pictures_inline(run: Run, demo: Demo, tmp_path: Path) -> None:
    assert run("search", "a big cat", "--index", demo.index, "--html", "out.html").returncode == 0
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "data:image/jpeg;base64," in page
    assert "safari" in page
    assert not re.search(r"(src|href)=[\"']https?:", page)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search", " "], "The query is empty"),
        (["search", "x", "--where", "durration<3"], "duration"),
        (["search", "x", "--weight", "frames"], "subtitle=2"),
        (["search", "--image", "none.jpg"], "none.jpg"),
        (["search", "--like", "x"], "VIDEO@SECONDS"),
        (["remove", "nothing-of-that-name"], "nothing-of-that-name"),
        (["export", "frames"], "'videos', 'moments'"),
    ],
)
def test_a_wrong_request_says_what_to_do(run: Run, demo: Demo, arguments: list[str], message: str) -> None:
    done = run(*arguments, "--index", demo.index)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["status", "verify", "search x", "remove x", "export"])
def test_without_an_index_every_command_says_so(run: Run, command: str, tmp_path: Path) -> None:
    done = run(*command.split())
    assert done.returncode == 2
    assert "There is no index" in done.stderr
    assert not (tmp_path / "chroma_db").exists()


def test_indexing_nothing_makes_nothing(run: Run, tmp_path: Path) -> None:
    assert run("index").returncode == 2
    assert run("index", "no-such-folder").returncode == 2
    assert list(tmp_path.iterdir()) == []


def test_indexing_twice_does_nothing_the_second_time(run: Run, demo: Demo) -> None:
    done = run("index", demo.library, "--index", demo.index, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["unchanged"], report["frames"], report["indexed"]) == (10, 0, [])


def test_status_and_verify_and_export_agree(run: Run, demo: Demo) -> None:
    status = json.loads(run("status", "--index", demo.index, "--json").stdout)
    rows = exported(run, demo)
    moments = run("export", "moments", "--index", demo.index, "--format", "csv").stdout
    spans = list(csv.DictReader(io.StringIO(moments)))
    assert status["videos"] == len(rows) == 10
    assert sum(status["records"].values()) == len(spans)
    assert status["manifest"]["profile"] == "embedded"
    verified = run("verify", "--index", demo.index)
    assert (verified.returncode, "All is well" in verified.stdout) == (0, True)


def test_config_says_where_a_setting_comes_from(run: Run, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[search]\ntop_k = 3\n")
    rows = json.loads(run("config", "--json", SCENESEEK_SHOTS_COUNT="5").stdout)
    by_name = {row["setting"]: (row["value"], row["from"]) for row in rows}
    assert by_name["search.top_k"] == (3, "config.toml")
    assert by_name["shots.count"] == (5, "SCENESEEK_SHOTS_COUNT")
    assert by_name["models.profile"] == ("auto", "default")


def test_another_profile_is_refused_with_both_names(run: Run, demo: Demo) -> None:
    done = run("index", demo.library, "--index", demo.index, "--profile", "standard")
    assert done.returncode == 1
    assert "'embedded'" in done.stderr
    assert "'standard'" in done.stderr
    assert "--index DIR" in " ".join(done.stderr.split())


def test_a_missing_weight_names_the_file_the_command_and_the_offline_way(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    clip(tmp_path / "films" / "a.mp4", [RED])
    done = run("index", "films", "--profile", "standard")
    said = " ".join(done.stderr.split())
    assert done.returncode == 1
    assert "open_clip_model.safetensors" in said
    assert "hf download" in said
    assert "models.frames" in said


def test_broken_files_are_listed_with_exit_code_3(run: Run, demo: Demo, tmp_path: Path) -> None:
    films = tmp_path / "films"
    clip(films / "good.mp4", [RED, GREEN])
    (films / "bad.mp4").write_bytes(b"")
    done = run("index", "films")
    assert done.returncode == 3
    assert "bad.mp4" in done.stdout
    status = run("status")
    assert "bad.mp4" in status.stdout
    (films / "bad.mp4").unlink()
    assert run("index").returncode == 0


def test_removing_takes_a_video_out_until_it_is_indexed_again(run: Run, demo: Demo, tmp_path: Path) -> None:
    shutil.copytree(demo.index, tmp_path / "copy")
    done = run("remove", demo.library / "animals", "--index", "copy")
    assert "safari.mp4" in done.stdout
    assert json.loads(run("status", "--index", "copy", "--json").stdout)["videos"] == 9
    assert run("verify", "--index", "copy").returncode == 0


def test_ctrl_c_keeps_what_is_finished(run: Run, tmp_path: Path) -> None:
    films = tmp_path / "films"
    for number in range(12):
        clip(films / f"{number:02}.mp4", [RED, GREEN, BLUE], seed=number)
    command = [str(Path(sys.executable).with_name("sceneseek")), "index", "films", "--profile", "embedded"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=-1, stderr=-1, text=True, preexec_fn=heed_ctrl_c, env={**os.environ}
    ) as process:
        wait_for_a_commit(tmp_path / "chroma_db" / "thumbnails", process)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Nothing is lost" in said
    assert "Traceback" not in said
    report = json.loads(run("index", "--json").stdout)
    assert report["unchanged"] >= 1
    assert report["unchanged"] + len(report["indexed"]) == 12
    assert run("verify").returncode == 0


def heed_ctrl_c() -> None:
    """A process started in the background of a shell script inherits that Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for_a_commit(thumbnails: Path, process: subprocess.Popen[str]) -> None:
    """Until a second video has pictures, so the first one is committed."""
    while process.poll() is None and len(list(thumbnails.glob("*/*/*"))) < 2:
        time.sleep(0.02)


def test_the_library_api_of_the_readme(demo: Demo) -> None:
    with SearchEngine.open(demo.index) as engine:
        ranking = engine.search("a big cat", top_k=10)
    best = ranking.moments[0]
    assert best.video.path == demo.library / "animals" / "safari.mp4"
    assert best.start_s < best.end_s
    assert best.score > 0
    assert best.hits[0].modality == "frames"
    assert best.thumbnail is not None


def test_help_is_quick_because_nothing_heavy_is_imported() -> None:
    heavy = "('torch', 'chromadb', 'av', 'numpy', 'cv2')"
    code = f"import sys, ui.cli.app; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_kind_of_evidence_that_is_not_there_is_named_only_when_asked_for(
    run: Run, demo: Demo, tmp_path: Path
) -> None:
    page = ("a big cat weight:sounds=2", "--html", tmp_path / "page.html")
    for asked in (("a big cat", "--weight", "sounds=2"), ("a big cat weight:sounds=2",), page):
        said = run("search", *asked, "--index", demo.index).stderr
        assert "Not in this index: sounds" in said
        assert "sceneseek index --add sounds" in said
    assert "Not in this index" not in run("search", "a big cat", "--index", demo.index).stderr


def test_what_is_said_is_found_at_its_second(run: Run, demo: Demo) -> None:
    best = found(run, demo, '"never do it for free"')[0]
    assert best["path"].endswith("memo.mp4")
    assert 1.0 < best["start_s"] < 3.1
    (hit,) = [hit for hit in best["hits"] if hit["modality"] == "speech"]
    assert (hit["words"], hit["matched"]) == (1.0, ["never do it for free"])


def test_what_is_written_in_the_picture_is_found_though_its_spaces_are_lost(run: Run, demo: Demo) -> None:
    best = found(run, demo, "thanks for watching")[0]
    assert best["path"].endswith("credits.mp4")
    assert best["start_s"] == pytest.approx(2, abs=0.6)


def test_the_words_found_stand_out_on_the_terminal_and_on_the_page(run: Run, demo: Demo, tmp_path: Path) -> None:
    shown = run("search", "the ferry left without anyone", "--index", demo.index).stdout
    assert "subtitle" in shown
    assert "words 100%" in shown
    run("search", "the ferry left without anyone", "--index", demo.index, "--html", tmp_path / "found.html")
    assert "<mark>the ferry left without anyone</mark>" in (tmp_path / "found.html").read_text()


def test_conditions_within_the_text_do_what_the_flags_do(run: Run, demo: Demo) -> None:
    assert {moment["label"] for moment in found(run, demo, "a face label:film", *EVERYTHING)} == {"film"}
    assert found(run, demo, "a big cat duration<9", *EVERYTHING) == found(
        run, demo, "a big cat", "--where", "duration<9", *EVERYTHING
    )
    assert all(moment["label"] != "film" for moment in found(run, demo, "a face -label:film", "-k", 50, *EVERYTHING))
    modalities = {hit["modality"] for moment in found(run, demo, "ferry only:subtitle") for hit in moment["hits"]}
    assert modalities == {"subtitle"}


def test_conditions_alone_list_what_meets_them(run: Run, demo: Demo) -> None:
    assert {moment["label"] for moment in found(run, demo, "label:film")} == {"film"}
    assert "frames 0.00" not in run("search", "label:film", "--index", demo.index).stdout


def test_videos_are_listed_sorted_and_filtered_by_what_was_found_out(run: Run, demo: Demo) -> None:
    def listed(*options: str) -> list[dict]:
        return json.loads(run("list", *options, "--index", demo.index, "--json").stdout)

    loudness = [video["loudness"] for video in listed("--sort", "-loudness") if "loudness" in video]
    assert loudness == sorted(loudness, reverse=True)
    assert len(loudness) > 3
    assert {Path(video["path"]).name for video in listed("--where", "language=en")} == {"letters.mp4"}
    assert "memo.mp4" in run("list", "--index", demo.index, "--sort", "duration").stdout
    wrong = run("list", "--index", demo.index, "--sort", "loud")
    assert (wrong.returncode, "loudness" in wrong.stderr) == (2, True)


def test_a_modality_is_dropped_and_added_again_by_name(run: Run, demo: Demo, tmp_path: Path) -> None:
    import shutil

    index = shutil.copytree(demo.index, tmp_path / "index")
    before = records(run, index)
    assert "10 updated" not in run("index", "--index", index, "--without", "speech").stdout
    without = records(run, index)
    assert "speech" not in without
    assert without["frames"] == before["frames"]
    assert run("index", "--index", index, "--add", "speech").returncode == 0
    assert records(run, index) == before
    assert "10 unchanged" in run("index", "--index", index).stdout
    assert run("verify", "--index", index).returncode == 0


def records(run: Run, index: Path) -> dict[str, int]:
    return json.loads(run("status", "--index", index, "--json").stdout)["records"]


def test_an_unknown_kind_to_add_is_a_wrong_command(run: Run, demo: Demo) -> None:
    done = run("index", "--index", demo.index, "--add", "smells")
    assert done.returncode == 2
    assert "speech, ocr, captions, objects, sounds" in done.stderr


def test_a_model_that_is_not_here_is_said_before_anything_is_changed(run: Run, demo: Demo) -> None:
    done = run(
        "index", "--index", demo.index, "--add", "sounds", SCENESEEK_MODELS_SOUNDS="yamnet:/nowhere/yamnet.tflite"
    )
    assert done.returncode == 1
    assert "/nowhere/yamnet.tflite" in done.stderr
    assert run("verify", "--index", demo.index).returncode == 0


def test_a_deep_grey_or_transparent_picture_is_not_cut_off(run: Run, demo: Demo, tmp_path: Path) -> None:
    import numpy as np
    from PIL import Image

    with Image.open(SearchEngine.open(demo.index).search("a big cat").moments[0].thumbnail) as picture:
        grey = np.asarray(picture.convert("L"))
        Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
        Image.fromarray(grey).save(tmp_path / "plain.png")
        clear = picture.convert("RGBA")
        clear.putalpha(0)
        clear.save(tmp_path / "clear.png")
    deep, plain = (found(run, demo, "--image", name)[0] for name in ("deep.png", "plain.png"))
    assert deep["video_id"] == plain["video_id"]
    assert deep["hits"][0]["cosine"] == pytest.approx(plain["hits"][0]["cosine"], abs=0.01)
    assert found(run, demo, "--image", "clear.png")[0]["hits"][0]["cosine"] < 0.95


@pytest.mark.parametrize("arguments", [["--html", "."], ["--html", "x.html", "--json"], ["--like", "~nobody/x.mp4@1"]])
def test_an_odd_request_is_refused_in_words(run: Run, demo: Demo, arguments: list[str]) -> None:
    text = [] if "--like" in arguments else ["a big cat"]
    done = run("search", *text, *arguments, "--index", demo.index)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: ")


def test_a_damaged_thumbnail_costs_only_its_picture(run: Run, demo: Demo, tmp_path: Path) -> None:
    shutil.copytree(demo.index, tmp_path / "copy")
    for picture in (tmp_path / "copy").rglob("*.jpg"):
        picture.write_bytes(b"")
    assert run("search", "a big cat", "--index", "copy", "--html", "out.html").returncode == 0
    assert "safari" in (tmp_path / "out.html").read_text(encoding="utf-8")
