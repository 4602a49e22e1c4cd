"""Texts that begin with a minus, on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from indexer.core.errors import IndexMissingError
from ui.cli.app import app
from ui.cli.leading_minus import with_text_last

NAMES = {"--index", "--json", "--html", "--label", "--top-k", "-k", "--help", "-h"}
VALUED = {"--index", "--html", "--label", "--top-k", "-k"}


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        (["-sunset"], ["--", "-sunset"]),
        (["-hat beach", "--json"], ["--json", "--", "-hat beach"]),
        (["-kitchen", "-k", "5"], ["-k", "5", "--", "-kitchen"]),
        (['-"two words"'], ["--", '-"two words"']),
        (["-label:x", "--index", "-odd"], ["--index", "-odd", "--", "-label:x"]),
        (["-5 degrees"], ["--", "-5 degrees"]),
        (["-élan"], ["--", "-élan"]),
        (["-猫"], ["--", "-猫"]),
        (["-é"], ["--", "-é"]),
    ],
)
def test_a_negated_text_is_read_as_one(typed: list[str], read: list[str]) -> None:
    assert with_text_last(typed, NAMES, VALUED) == read


@pytest.mark.parametrize(
    "typed",
    [
        ["a", "-k5"],
        ["a", "-k", "5"],
        ["a", "-k=5"],
        ["a", "-k 5"],
        ["-h"],
        ["a", "--label", "-b c"],
        ["a", "--json"],
        ["a", "-json"],
        ["a", "-html=found.html"],
        ["-x"],
        ["-5"],
        ["-"],
        ["--unknown"],
        ["--", "-sunset"],
        ["-a b", "--", "-sunset"],
    ],
)
def test_options_stay_options_and_slips_stay_slips(typed: list[str]) -> None:
    assert with_text_last(typed, NAMES, VALUED) == typed


def test_the_command_takes_it(tmp_path: Path) -> None:
    for text in ("-sunset", '-"two words" beach', "-hat", "-kitchen", "--"):
        run = CliRunner().invoke(app, ["search", "--index", str(tmp_path / "none"), text, *(["-x"] * (text == "--"))])
        assert isinstance(run.exception, IndexMissingError), text


@pytest.mark.parametrize("slip", ["-json", "-x", "--jsn"])
def test_what_is_no_option_is_still_refused(slip: str, tmp_path: Path) -> None:
    run = CliRunner().invoke(app, ["search", "cats", slip, "--index", str(tmp_path / "none")])
    assert run.exit_code == 2
    assert "No such option" in run.output
