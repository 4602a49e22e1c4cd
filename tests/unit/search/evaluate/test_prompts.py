"""Names as people say them, and the sentences they are put into."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.core.errors import UsageError
from indexer.core.text import squeezed
from search.evaluate.prompts import TEMPLATES, Templates, classes_of_labels, read_classes, read_templates, readable


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ApplyEyeMakeup", "apply eye makeup"),
        ("apply_eye_makeup", "apply eye makeup"),
        ("apply eye makeup", "apply eye makeup"),
        ("Basketball", "basketball"),
        ("YoYo", "yo yo"),
        ("watchingTVShow", "watching tv show"),
        ("TV", "tv"),
        ("Top10Hits", "top10 hits"),
        ("soft-coated_wheaten_terrier", "soft-coated wheaten terrier"),
        ("  salsa   Spin ", "salsa spin"),
    ],
)
def test_names_become_readable(name: str, said: str) -> None:
    assert readable(name) == said


@given(st.text())
def test_a_readable_name_stays_as_it_is(name: str) -> None:
    said = readable(name)
    assert readable(said) == said or said != said.lower()
    assert said == " ".join(said.split())


@given(st.text(alphabet="abcXYZ_ ", min_size=1))
def test_a_readable_name_means_the_same_class(name: str) -> None:
    assert squeezed(readable(name)) == squeezed(name)


def test_clips_templates_are_four_kinds_of_picture_times_seven_ways_to_act() -> None:
    clip = TEMPLATES["clip"]
    assert len(set(clip.patterns)) == 4 * 7
    prompts = clip.prompts("diving")
    assert prompts[0] == "a photo of diving."
    assert "a example of a person practicing diving." in prompts
    assert prompts[-1] == "a demonstration of a person practicing diving."


def test_the_french_template_and_the_plain_name() -> None:
    assert TEMPLATES["french"].prompts("diving") == (
        "Une personne effectuant l'action de diving dans un cadre typique",
    )
    assert TEMPLATES["plain"].prompts("diving") == ("diving",)


def test_braces_in_a_class_are_no_template() -> None:
    assert Templates("own", ("see {} here",)).prompts("{x}{}") == ("see {x}{} here",)


def test_templates_from_a_file_name_their_broken_lines(tmp_path: Path) -> None:
    file = tmp_path / "templates.txt"
    file.write_text("# mine\n\nsomebody {}\nno place\n{} and {}\na video of {} \nsomebody {}\n", encoding="utf-8")
    templates = read_templates(str(file))
    assert templates.patterns == ("somebody {}", "a video of {}")
    assert templates.broken == (
        f"{file}, line 4: no {{}} for the class",
        f"{file}, line 5: {{}} stands 2 times instead of once",
    )


def test_a_file_without_any_template_is_refused_with_the_first_reason(tmp_path: Path) -> None:
    file = tmp_path / "templates.txt"
    file.write_text("a photo\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"line 1: no \{\} for the class"):
        read_templates(str(file))


@pytest.mark.parametrize("read", [read_templates, read_classes])
def test_a_file_that_is_not_there_is_named_with_what_there_is(read: object, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no file") as refused:
        read(str(tmp_path / "nowhere.txt"))  # type: ignore[operator]
    assert "clip" in refused.value.hint or "ucf101" in refused.value.hint


@pytest.mark.parametrize("read", [read_templates, read_classes])
def test_a_file_that_is_no_text_is_a_usage_error(read: object, tmp_path: Path) -> None:
    file = tmp_path / "picture.txt"
    file.write_bytes(bytes(range(256)) * 20)
    with pytest.raises(UsageError):
        read(str(file))  # type: ignore[operator]


def test_ucf101_has_its_101_classes() -> None:
    classes = read_classes("ucf101")
    assert len(classes.names) == len(classes.places()) == 101
    assert list(classes.names) == sorted(classes.names)
    for name in ("apply eye makeup", "bench press", "diving", "yo yo", "clean and jerk"):
        assert name in classes.names


def test_the_spelling_of_a_label_does_not_matter() -> None:
    # UCF101's files spell this class otherwise than its list does.
    places = read_classes("ucf101").places()
    assert places[squeezed("HandStandPushups")] == places[squeezed("handstand_pushups")]


def test_a_numbered_list_is_read_without_its_numbers(tmp_path: Path) -> None:
    file = tmp_path / "classInd.txt"
    file.write_text("1 ApplyEyeMakeup\n2 Diving\n", encoding="utf-8")
    assert read_classes(str(file)).names == ("apply eye makeup", "diving")


def test_kinetics50_has_the_49_classes_of_the_reference_run() -> None:
    names = read_classes("kinetics50").names
    assert len(set(names)) == len(names) == 49
    assert list(names) == sorted(names)
    assert {"juggling fire", "opening bottle (not wine)", "using bagging machine", "wood burning (art)"} <= set(names)


def test_numbers_that_belong_to_a_name_stay(tmp_path: Path) -> None:
    file = tmp_path / "classes.txt"
    file.write_text("100 metres\nhurdles\n---\n", encoding="utf-8")
    classes = read_classes(str(file))
    assert classes.names == ("100 metres", "hurdles")
    assert classes.broken == (f"{file}, line 3: no letter or digit in it",)


def test_labels_that_mean_one_class_are_one() -> None:
    assert classes_of_labels(["Diving", "BenchPress", "bench_press", "", "  "]).names == ("bench press", "diving")


@pytest.mark.parametrize("labels", [[], ["Diving"], ["Diving", "diving"]])
def test_one_class_alone_cannot_be_told_apart(labels: list[str]) -> None:
    with pytest.raises(UsageError, match="at least two classes"):
        classes_of_labels(labels)
