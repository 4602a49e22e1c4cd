"""Texts without the places of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from ui.web.redaction import model_placeless, placeless, tells_place

FILM = Path("/home/ann/films/sea.mp4")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"{FILM} is empty.", "the file is empty."),
        (f"Cannot write in '{FILM.parent}'.", "Cannot write in 'its folder'."),
        ("No sound in 3 of 4 tracks.", "No sound in 3 of 4 tracks."),
        ("5 words/s and/or 3/4 of it: a / b", "5 words/s and/or 3/4 of it: a / b"),
    ],
)
def test_what_is_told_of_a_file_goes_without_its_place(text: str, told: str) -> None:
    assert placeless(text, FILM) == told


@pytest.mark.parametrize(
    "text",
    ["See /var/log/x.", "In (/srv/a b/c)", "path=/root/x", "'/x'", "~/films", "~ann/films", "C:\\films", "file:///x/y"],
)
def test_whatever_tells_of_other_places_is_not_told(text: str) -> None:
    assert tells_place(text)
    assert placeless(text, FILM).startswith("The reason names other files")


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
def test_a_model_that_is_a_file_goes_by_its_name(spec: str, name: str) -> None:
    assert model_placeless(spec) == name
