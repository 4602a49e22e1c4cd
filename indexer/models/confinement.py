"""Confines a process so that it can run untrusted code (Linux: Landlock and seccomp, through ``ctypes``).

Landlock (Salaün, https://landlock.io) takes away the right to change files, seccomp the system calls that Landlock
does not cover. Both need no rights of their own, hold for all children and cannot be undone.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Sequence
from pathlib import Path

__all__ = ["ConfinementError", "confine"]

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
# Version 3 (Linux 6.2) is the first that covers truncation.
_ASK_VERSION, _LEAST_VERSION = 1, 3
_WRITE, _TRUNCATE = 1 << 1, 1 << 14
# Write, remove, make files of every kind, move and truncate: all rights but to execute and to read.
_CHANGES = 0x7FF2
_PATH_BENEATH = 1

_SET_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER_MODE = 38, 22, 2
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _KILL, _NOT_PERMITTED = 0x7FFF0000, 0x80000000, 0x00050001
# On x86-64, calls from this number on are a second set of the same calls.
_SECOND_SET = 0x40000000
_COMMON_CALLS = (
    424,  # pidfd_send_signal
    425,  # io_uring_setup, which can do what other calls may not
    452,  # fchmodat2
    463,  # setxattrat
    466,  # removexattrat
    469,  # file_setattr
)
# By machine: its number for seccomp, and its calls that open sockets, send signals, and change owners, modes, times and
# extended attributes of files.
_MACHINES = {
    "x86_64": (
        0xC000003E,
        (41, 62, *range(90, 95), 129, 132, 188, 189, 190, 197, 198, 199, 200, 234, 235, 260, 261, 268, 280, 297),
    ),
    "aarch64": (0xC00000B7, (5, 6, 7, 14, 15, 16, 52, 53, 54, 55, 88, 129, 130, 131, 138, 198, 240)),
}
# What computing needs to open for writing; there is no file behind it.
_DEVICES = ("/dev/null", "/dev/nvidia*")


class ConfinementError(Exception):
    """This system cannot confine a process."""


def confine(folder: Path, machine: str | None = None) -> None:
    """Confine this process for good: it changes files only below ``folder``, opens no socket and sends no signal.

    Reading stays possible. Call this before another thread starts: a thread that runs already is not confined.

    Args:
        folder: Where writing stays possible.
        machine: The kind of processor; by default this one.

    Raises:
        ConfinementError: the system cannot do it; then the process must not go on to what is not trusted.
    """
    machine = machine or platform.machine()
    if platform.system() != "Linux" or machine not in _MACHINES or struct.calcsize("P") != 8:
        raise ConfinementError(f"no way is known to confine a process on {platform.system()} ({machine})")
    kernel = ctypes.CDLL(None, use_errno=True)
    kernel.syscall.restype = ctypes.c_long
    if kernel.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _ASK_VERSION) < _LEAST_VERSION:
        raise ConfinementError("the kernel has no Landlock of version 3 (Linux 6.2), or it is switched off")
    _check(kernel.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    _forbid_changes(kernel, folder)
    _forbid_calls(kernel, *_MACHINES[machine])


def _forbid_changes(kernel: ctypes.CDLL, folder: Path) -> None:
    handled = ctypes.c_uint64(_CHANGES)
    ruleset = _check(kernel.syscall(_CREATE_RULESET, ctypes.byref(handled), ctypes.c_size_t(8), 0))
    devices = [path for pattern in _DEVICES for path in Path("/").glob(pattern[1:]) if not path.is_dir()]
    for path, rights in ((folder, _CHANGES), *((path, _WRITE | _TRUNCATE) for path in devices)):
        opened = os.open(path, os.O_PATH)
        rule = struct.pack("=Qi", rights, opened)
        _check(kernel.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0))
        os.close(opened)
    _check(kernel.syscall(_RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)


def _forbid_calls(kernel: ctypes.CDLL, architecture: int, calls: Sequence[int]) -> None:
    program = _program(architecture, (*calls, *_COMMON_CALLS))
    holder = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the number of instructions, and where they are.
    filtering = struct.pack("@HP", len(program) // 8, ctypes.addressof(holder))
    _check(kernel.prctl(_SET_SECCOMP, _FILTER_MODE, filtering, 0, 0))


def _program(architecture: int, calls: Sequence[int]) -> bytes:
    """The filter, in the language of the Berkeley packet filter: operation, jumps if true and false, operand."""
    instructions = [
        (_LOAD, 0, 0, 4),  # the machine for which the call was made
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),  # the number of the call
        (_AT_LEAST, 0, 1, _SECOND_SET),
        (_RETURN, 0, 0, _NOT_PERMITTED),
    ]
    for call in calls:
        instructions += [(_EQUAL, 0, 1, call), (_RETURN, 0, 0, _NOT_PERMITTED)]
    instructions.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)


def _check(result: int) -> int:
    if result < 0:
        raise ConfinementError(f"the kernel refuses: {os.strerror(ctypes.get_errno())}")
    return result
