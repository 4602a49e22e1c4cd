"""Texts without paths."""

from __future__ import annotations

from pathlib import Path

import pytest

from ui.web.redaction import model_without_path, names_path, without_paths

FILM = Path("/home/ann/films/sea.mp4")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"{FILM} is empty.", "the file is empty."),
        (f"Cannot write in '{FILM.parent}'.", "Cannot write in 'its folder'."),
        ("No sound in 3 of 4 tracks.", "No sound in 3 of 4 tracks."),
        ("5 words/s and/or 3/4 of it: a / b", "5 words/s and/or 3/4 of it: a / b"),
    ],
)
def test_a_text_about_a_file_loses_its_path(text: str, shown: str) -> None:
    assert without_paths(text, FILM) == shown


@pytest.mark.parametrize(
    "text",
    ["See /var/log/x.", "In (/srv/a b/c)", "path=/root/x", "'/x'", "~/films", "~ann/films", "C:\\films", "file:///x/y"],
)
def test_a_text_that_names_other_paths_is_hidden(text: str) -> None:
    assert names_path(text)
    assert without_paths(text, FILM).startswith("The reason names other files")


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("yolo:/home/ann/my models/best.pt", "yolo:best.pt"),
        ("/home/ann/best.pt", "best.pt"),
        ("~/best.pt", "best.pt"),
        ("open_clip:org/ViT-B-32", "open_clip:org/ViT-B-32"),
        ("embedded", "embedded"),
    ],
)
def test_a_model_that_is_a_file_is_shown_by_its_name(spec: str, name: str) -> None:
    assert model_without_path(spec) == name
