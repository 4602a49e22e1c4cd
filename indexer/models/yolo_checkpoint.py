"""Checkpoints of ultralytics, read as data.

Such a file is a pickle of a whole network, and ultralytics itself unpickles it without any restraint. Here PyTorch's
weights-only unpickler reads it, which calls and builds nothing but what it is given for a name:

- a class of networks or layers is given as a stand-in that can be restored but not constructed, because constructors of
  ultralytics evaluate text that they are handed (a model's ``activation``);
- what a training run leaves beside the network (losses, paths, numbers) is given as an empty object;
- any other name in the file refuses the file.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError
from tempfile import TemporaryDirectory
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeAlias

from indexer.core.errors import ModelError, WeightsDamagedError
from indexer.models.weights import loading

if TYPE_CHECKING:
    import torch

__all__ = ["DEFAULT_SIDE", "Facts", "class_names", "load_network", "prepare_ultralytics", "read_facts"]

DEFAULT_SIDE = 640
"""The picture size that ultralytics trains and predicts with unless told otherwise, in pixels."""

_LAYERS = "ultralytics.nn.modules."
_NETWORK_PARTS = (_LAYERS, "ultralytics.nn.tasks.", "torch.nn.modules.")
_LEFTOVERS = ("ultralytics.utils.", "ultralytics.yolo.utils.", "pathlib.")
_LEFTOVER_NUMBERS = ("numpy.dtype", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
_METHOD = "builtins.getattr"
_METHODS = ("forward", "forward_fuse")
_STANDS_FOR = "_sceneseek_stands_for"
_RENAMED = {
    "ultralytics.nn.tasks.YOLOv10DetectionModel": "ultralytics.nn.tasks.DetectionModel",
    "ultralytics.nn.modules.block.Silence": "torch.nn.modules.linear.Identity",
}
_QUIET = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"}
_TURN = RLock()  # The environment, and the names that the unpickler knows, belong to the whole process.

_StandIn: TypeAlias = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a weight file says about itself.

    ``labels`` are the classes' names by their number; ``size`` is the (height, width) in pixels that pictures are
    fitted into.
    """

    labels: tuple[str, ...]
    size: tuple[int, int]


def read_facts(path: Path) -> Facts:
    """A checkpoint's facts; needs no ultralytics, and no memory for the weights.

    Raises:
        WeightsDamagedError: the file is no checkpoint, or names something that no checkpoint needs.
    """
    checkpoint = _unpickled(path, lambda _: _Leftover, "meta")
    with loading(path):
        side = (checkpoint.get("train_args") or {}).get("imgsz", DEFAULT_SIDE)
        side = side if isinstance(side, int) and 32 <= side <= 4096 else DEFAULT_SIDE
        return Facts(class_names(_network_of(checkpoint).names), (side, side))


def class_names(names: object) -> tuple[str, ...]:
    """The names of classes that a file lists, or numbers from 0.

    Raises:
        ValueError: they are none.
    """
    numbered = dict(enumerate(names)) if isinstance(names, list | tuple) else names
    if not isinstance(numbered, Mapping) or not numbered or set(numbered) != set(range(len(numbered))):
        raise ValueError("its classes are not numbered from 0")
    return tuple(str(numbered[number]) for number in range(len(numbered)))


def load_network(path: Path, classes: int) -> torch.nn.Module:
    """The network of a checkpoint in float32, ready to use on a processor, its normalisations folded in.

    Args:
        path: A ``.pt`` file as ultralytics saves it.
        classes: How many classes it must tell apart.

    Raises:
        ModelError: ultralytics is not installed.
        WeightsDamagedError: the file is no checkpoint of a network that finds objects, or names something that no
            checkpoint needs.
    """
    prepare_ultralytics()
    checkpoint = _unpickled(path, _network_stand_in, "cpu")
    with loading(path):
        network = _restored(_network_of(checkpoint))
        _check_kind(network)
        network.float().eval().requires_grad_(False)
        network.fuse(verbose=False)  # type: ignore[operator]
        _check_output(network, classes)
    return network


def prepare_ultralytics() -> None:
    """Import ultralytics so that it asks no network, installs, writes and says nothing, and leaves no setting behind.

    Raises:
        ModelError: it is not installed.
    """
    if find_spec("ultralytics") is None:
        raise ModelError(
            "Finding objects needs the package 'ultralytics', which is not installed.",
            hint="Install it with: pip install 'sceneseek[objects]' (its licence is the AGPL-3.0), "
            "or leave the modality 'objects' out.",
        )
    with _TURN:
        # Its suppression of overlaps takes torchvision's fast one only if somebody has imported that before.
        import_module("torchvision")
        if "ultralytics" not in sys.modules:
            with _nothing_left_behind():
                import_module("ultralytics.nn.tasks")


@contextmanager
def _nothing_left_behind() -> Iterator[None]:
    """Ultralytics writes its settings on import, and changes settings of the libraries that it uses."""
    import cv2
    import numpy as np
    import torch
    from PIL import Image

    # Its way of opening pictures would install a package for any file that is none.
    opened, threads, save, environment = Image.open, cv2.getNumThreads(), torch.save, dict(os.environ)
    with TemporaryDirectory(prefix="sceneseek-") as folder, np.printoptions():
        os.environ.update(_QUIET, YOLO_CONFIG_DIR=folder)
        try:
            yield
        finally:
            _set_environment(environment)
            torch.save = save
            Image.open = opened
            cv2.setNumThreads(threads)


def _set_environment(wanted: Mapping[str, str]) -> None:
    """Never empty in between: other threads may be reading it."""
    os.environ.update(wanted)
    for name in os.environ.keys() - wanted.keys():
        del os.environ[name]


class _Leftover:
    """Stands for what is of no use here; it takes anything and does nothing."""

    def __init__(self, *_: object) -> None:
        """Whatever the file constructs it with."""

    def __setstate__(self, state: object) -> None:
        if isinstance(state, dict):
            self.__dict__.update(state)


def _restorable(part: type) -> type:
    """A stand-in for a network's part, with all that it can do, save that calling it makes none."""

    def refuse(*_: object, **__: object) -> None:
        raise UnpicklingError(f"it constructs a {part.__name__}, which saved networks do not")

    # Without slots of its own it has the part's layout, so that an object can change from one class to the other.
    return type(part.__name__, (part,), {"__slots__": (), "__init__": refuse, _STANDS_FOR: part})


def _stands_for(made: type) -> type | None:
    return made.__dict__.get(_STANDS_FOR)


def _unpickled(path: Path, stand_in: Callable[[str], _StandIn], device: str) -> dict[str, Any]:
    """The checkpoint with what ``stand_in`` gives for the name of each class in it."""
    import torch
    from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

    with _TURN, loading(path), _refusing(path):
        names = sorted(get_unsafe_globals_in_checkpoint(path))
        _check_names(path, names)
        with safe_globals([(_leftover_or(stand_in, name), name) for name in names]):
            checkpoint = torch.load(path, map_location=device, weights_only=True)
    if not isinstance(checkpoint, dict):
        raise _refused(path, "it holds no checkpoint")
    return checkpoint


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Says why a pickle was not read, without PyTorch's advice to read it unprotected."""
    try:
        yield
    except UnpicklingError as error:
        reason = error.__context__ if isinstance(error.__context__, UnpicklingError) else error
        raise _refused(path, str(reason).partition(". ")[0]) from error


def _check_names(path: Path, names: list[str]) -> None:
    known = (*_NETWORK_PARTS, *_LEFTOVERS)
    for name in names:
        if not name.startswith(known) and name not in (*_LEFTOVER_NUMBERS, _METHOD):
            raise _refused(path, f"it names '{name}', which no detection network needs")


def _refused(path: Path, why: str) -> WeightsDamagedError:
    return WeightsDamagedError(
        f"The model at '{path}' was not loaded: {why}.",
        hint="Use a detection model that ultralytics saved, from a source that you trust, or its .onnx export.",
    )


def _leftover_or(stand_in: Callable[[str], _StandIn], name: str) -> _StandIn:
    return _Leftover if name.startswith(_LEFTOVERS) or name in _LEFTOVER_NUMBERS else stand_in(name)


def _network_stand_in(name: str) -> _StandIn:
    """What may be restored under the name of a network's part.

    Raises:
        UnpicklingError: there is no such part in the libraries installed.
    """
    if name == _METHOD:
        return _method
    module, _, part = _RENAMED.get(name, name).rpartition(".")
    # Only what importing the networks has brought: a file does not choose what is imported.
    found = getattr(sys.modules.get(module), part, None)
    if not isinstance(found, type) or not issubclass(found, _module_class()):
        raise UnpicklingError(f"it needs '{name}', which the installed version of ultralytics does not have")
    return _restorable(found)


def _module_class() -> type:
    from torch import nn

    return nn.Module


def _method(owner: object, name: str) -> object:
    """A layer's forward method, which saved networks refer to where ultralytics has exchanged it."""
    layer = _stands_for(type(owner))
    if name not in _METHODS or layer is None or not layer.__module__.startswith(_LAYERS):
        raise UnpicklingError(f"it asks for '{name}' of what is no layer, which saved networks do not")
    return getattr(owner, name)


def _network_of(checkpoint: Mapping[str, Any]) -> Any:
    averaged = checkpoint.get("ema")
    return checkpoint["model"] if averaged is None else averaged


def _restored(network: torch.nn.Module) -> torch.nn.Module:
    """The same network with every stand-in become the class that it stands for."""
    for part in list(network.modules()):
        if (real := _stands_for(type(part))) is not None:
            part.__class__ = real
    return network


def _check_kind(network: torch.nn.Module) -> None:
    from ultralytics.nn.tasks import DetectionModel

    if type(network) is not DetectionModel:
        raise ValueError(f"it is a {type(network).__name__}, and not a network that finds objects in boxes")


def _check_output(network: torch.nn.Module, classes: int) -> None:
    """Run it once on nothing: a network that does not fit its own description is found out now."""
    import torch

    with torch.inference_mode():
        output = network(torch.zeros(1, 3, 64, 64))
    shape = tuple((output[0] if isinstance(output, list | tuple) else output).shape)
    if len(shape) != 3 or (shape[1] != 4 + classes and shape[2] != 6):
        raise ValueError(f"its output of shape {shape} is not that of a detector of {classes} classes")
