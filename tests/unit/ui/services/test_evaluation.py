"""Evaluating needs the extra ``evaluate``; without it, one sentence says so."""

from __future__ import annotations

import subprocess
import sys

import pytest

from indexer.core.errors import UsageError
from ui.services import evaluation

MAIN_WITHOUT_MATPLOTLIB = "import sys; sys.modules['matplotlib'] = None; from ui.cli.app import main; main()"


@pytest.mark.parametrize("missing", ["matplotlib", "scipy", "sklearn"])
def test_the_missing_package_is_named_with_what_installs_it(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "find_spec", lambda name: None if name == missing else "found")
    with pytest.raises(UsageError, match=rf"needs {missing}, .*: pip install 'sceneseek\[evaluate\]'\."):
        evaluation.check_installed()


def test_every_evaluate_command_says_it_instead_of_a_traceback() -> None:
    command = [sys.executable, "-c", MAIN_WITHOUT_MATPLOTLIB, "evaluate", "runs", "qrels", "run"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    said = " ".join(done.stderr.split())
    assert said == "Error: Evaluating needs matplotlib, which is not installed: pip install 'sceneseek[evaluate]'."
    assert done.stdout == ""
