from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from indexer.core.errors import ConfigError, ModelError
from indexer.modalities.registry import all_roles
from indexer.models.build import build_models
from indexer.models.devices import fast_dtype, on_one_core, resolve_device
from indexer.models.profiles import PROFILES


def test_cpu_is_always_there() -> None:
    assert resolve_device("cpu") == "cpu"


def test_auto_prefers_a_gpu() -> None:
    gpus = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    assert resolve_device("auto") == next((name for name, there in gpus.items() if there), "cpu")


def test_an_unknown_device_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigError, match="auto, cpu, cuda, mps"):
        resolve_device("gpu")


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_an_absent_device_is_said_at_once(device: str) -> None:
    there = torch.cuda.is_available() if device == "cuda" else torch.backends.mps.is_available()
    if there:
        pytest.skip(f"this machine has {device}")
    with pytest.raises(ModelError, match=f"'{device}'.*--device auto"):
        build_models(PROFILES["embedded"].choices, all_roles(), device=device)


def test_bfloat16_only_where_the_processor_computes_in_it() -> None:
    flags = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    native = bool(flags.get("avx512_bf16") or flags.get("amx_bf16"))
    assert fast_dtype("cpu") == (torch.bfloat16 if native else torch.float32)


def test_a_thread_on_one_core_leaves_the_others_theirs() -> None:
    """PyTorch's own setting becomes that of every thread that comes to it meanwhile, and stays it."""
    # Another library may have limited the thread of the tests.
    before = torch.get_num_threads()
    with ThreadPoolExecutor(1) as pool:
        cores = pool.submit(torch.get_num_threads).result()
    counted: list[int] = []
    inside, seen = threading.Event(), threading.Event()

    def come_meanwhile() -> None:
        assert inside.wait(timeout=60)
        counted.append(torch.get_num_threads())
        with on_one_core():
            pass
        counted.append(torch.get_num_threads())
        seen.set()

    other = threading.Thread(target=come_meanwhile)
    other.start()
    with on_one_core():
        counted.append(torch.get_num_threads())
        inside.set()
        assert seen.wait(timeout=60)
    other.join()
    late = threading.Thread(target=lambda: counted.append(torch.get_num_threads()))
    late.start()
    late.join()
    assert counted == [1, cores, cores, cores]
    assert torch.get_num_threads() == before
