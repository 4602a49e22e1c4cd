"""Where a model runs, in which precision, and on how many cores."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from indexer.core.errors import ConfigError, ModelError

if TYPE_CHECKING:
    import torch
    from threadpoolctl import ThreadpoolController

__all__ = ["DEVICES", "Device", "fast_dtype", "leave_room_for_decoding", "on_one_core", "release", "resolve_device"]

Device: TypeAlias = Literal["auto", "cpu", "cuda", "mps"]
DEVICES: tuple[Device, ...] = get_args(Device)


def resolve_device(asked: str) -> str:
    """The device to run on: ``auto`` takes a GPU if there is one, else the CPU.

    Raises:
        ConfigError: there is no device of that name.
        ModelError: this machine has no such device.
    """
    if asked not in DEVICES:
        raise ConfigError(f"There is no device '{asked}'.", hint=f"Use one of: {', '.join(DEVICES)}.")
    present = _present_devices()
    if asked == "auto":
        return present[0]
    if asked not in present:
        raise ModelError(
            f"The device '{asked}' was asked for, and this machine has none that PyTorch can use.",
            hint=f"Use --device auto, or one of: {', '.join(reversed(present))}.",
        )
    return asked


def _present_devices() -> list[str]:
    import torch

    gpus = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return [name for name, there in gpus.items() if there] + ["cpu"]


def fast_dtype(device: str) -> torch.dtype:
    """bfloat16 if the device computes in it natively (AVX512-BF16, AMX, recent GPUs), else float32.

    A CPU without these instructions emulates bfloat16 more slowly than it computes float32.
    """
    import torch

    return torch.bfloat16 if _has_bf16(device) else torch.float32


def _has_bf16(device: str) -> bool:
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device == "cpu" and _cpu_has_bf16()


def _cpu_has_bf16() -> bool:
    import torch

    # PyTorch has no public function for this; without these private ones, float32 is used.
    questions = (getattr(torch.cpu, f"_is_{name}_supported", None) for name in ("avx512_bf16", "amx_tile"))
    return any(ask() for ask in questions if ask is not None)


@contextmanager
def on_one_core() -> Iterator[None]:
    """Let this thread compute on one core, which is faster for small work.

    PyTorch's own setting would also apply to every thread that has not used PyTorch yet.
    """
    with _openmp().limit(limits=1):
        yield


@lru_cache(maxsize=1)
def _openmp() -> ThreadpoolController:
    import torch  # noqa: F401 - the controller finds only libraries that are loaded
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="openmp")


def leave_room_for_decoding() -> None:
    """Let models called from this thread use half of the cores; decoding needs the others.

    On two cores, encoding beside a decoder is twice as fast on one thread as on two.
    """
    import torch

    torch.set_num_threads(max(1, (os.cpu_count() or 2) // 2))


def release(device: str) -> None:
    """Give a GPU's cached memory back to the system; does nothing on a CPU."""
    import torch

    if device == "cuda":
        torch.cuda.empty_cache()
    elif device == "mps":
        torch.mps.empty_cache()
