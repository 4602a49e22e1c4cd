"""What a confined process can still do, asked of a real one."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from indexer.models.confinement import ConfinementError, confine

CODE = """
import json, os, shutil, socket, sys
from pathlib import Path
from indexer.models.confinement import confine

scratch, outside = Path(sys.argv[1]), Path(sys.argv[2])
opened = open(outside / "kept")
confine(scratch)

def move():
    (scratch / "folder").mkdir()
    (scratch / "a").write_text("a")
    (scratch / "a").rename(scratch / "folder" / "b")

actions = {
    "write inside": lambda: (scratch / "file").write_text("x"),
    "move inside": move,
    "read outside": lambda: (outside / "kept").read_text(),
    "devnull": lambda: open(os.devnull, "w").write("x"),
    "child": lambda: os.waitstatus_to_exitcode(os.system(f"echo x > {outside / 'child'} 2>&-")) == 0 or 1 / 0,
    "create": lambda: (outside / "new").write_text("x"),
    "append": lambda: open(outside / "kept", "a"),
    "truncate": lambda: os.truncate(outside / "kept", 0),
    "truncate while reading": lambda: os.open(outside / "kept", os.O_RDONLY | os.O_TRUNC),
    "remove": lambda: (outside / "kept").unlink(),
    "folder": lambda: (outside / "folder").mkdir(),
    "link": lambda: (outside / "link").symlink_to("kept"),
    "hard link": lambda: (outside / "link").hardlink_to(outside / "kept"),
    "move in": lambda: (outside / "kept").rename(scratch / "kept"),
    "move out": lambda: (scratch / "file").rename(outside / "file"),
    "mode": lambda: (outside / "kept").chmod(0),
    "mode, opened before": lambda: os.fchmod(opened.fileno(), 0),
    "owner": lambda: os.chown(outside / "kept", os.getuid(), os.getgid()),
    "times": lambda: os.utime(outside / "kept"),
    "attribute": lambda: os.setxattr(outside / "kept", "user.x", b"x"),
    "tcp": lambda: socket.socket(socket.AF_INET),
    "udp": lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM),
    "local socket": lambda: socket.socket(socket.AF_UNIX),
    "signal": lambda: os.kill(os.getppid(), 0),
    "mount": lambda: (__import__("ctypes").CDLL(None, use_errno=True).mount(b"x", b"/", b"tmpfs", 0, 0) == 0) or 1 / 0,
}
found = {}
for name, action in actions.items():
    try:
        action()
        found[name] = "done"
    except Exception as error:
        found[name] = type(error).__name__
print(json.dumps(found))
"""
POSSIBLE = {"write inside", "move inside", "read outside", "devnull"}


def test_a_confined_process_reads_everything_and_changes_only_its_folder(tmp_path: Path) -> None:
    scratch, outside = tmp_path / "scratch", tmp_path / "outside"
    scratch.mkdir()
    outside.mkdir()
    (outside / "kept").write_text("kept")
    before = (outside / "kept").stat()
    run = subprocess.run(
        [sys.executable, "-c", CODE, str(scratch), str(outside)], capture_output=True, text=True, check=True
    )
    found = json.loads(run.stdout)
    assert {name for name, outcome in found.items() if outcome == "done"} == POSSIBLE
    assert {found[name] for name in found.keys() - POSSIBLE} == {"PermissionError", "ZeroDivisionError"}
    assert [entry.name for entry in outside.iterdir()] == ["kept"]
    assert (outside / "kept").read_text() == "kept"
    after = (outside / "kept").stat()
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)


def test_a_processor_whose_calls_are_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfinementError, match=f"{platform.system()} \\(riscv64\\)"):
        confine(tmp_path, machine="riscv64")
    (tmp_path / "not confined").touch()
