"""The confined process in which ultralytics reads and runs a ``.pt`` file; ``UltralyticsProcess`` starts it.

It runs in a scratch folder, its only place to write. Every answer is one line of JSON. The first one holds the
``labels`` and the ``size``, or why there are none: ``unconfined`` or ``failed``. A request is a line with the ``shape``
of its images ``(n, height, width, 3)``, followed by their bytes; the answer holds ``boxes``, or ``failed``.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

from indexer.models.confinement import ConfinementError, confine

_DEFAULT_SIDE = 640
_PATIENCE_S = 60.0


def _main(weights: str, device: str, options: str) -> None:
    answers = _own_output()
    try:
        confine(Path.cwd())
    except ConfinementError as error:
        _write(answers, {"unconfined": str(error)})
        return
    try:
        model = _open(weights)
        side = model.overrides.get("imgsz")
        side = side if isinstance(side, int) and 32 <= side <= 4096 else _DEFAULT_SIDE
        facts = {"labels": [[int(number), str(name)] for number, name in model.names.items()], "size": [side, side]}
    except BaseException as error:  # noqa: BLE001 - the file's code can raise anything
        _write(answers, {"failed": str(error) or type(error).__name__})
        return
    _write(answers, facts)
    find = partial(model.predict, imgsz=side, device=device, verbose=False, channels_last=True, **json.loads(options))
    _serve(find, answers)


def _own_output() -> IO[bytes]:
    """Standard output for the answers alone; what the libraries print goes nowhere."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return answers


def _open(weights: str) -> Any:
    import torch
    from ultralytics.models.yolo.model import YOLO
    from ultralytics.utils import nms

    # The decoder needs the other cores meanwhile.
    torch.set_num_threads(max(1, (os.cpu_count() or 2) // 2))
    # By default, images are left without boxes once this has taken two seconds.
    nms.non_max_suppression = partial(nms.non_max_suppression, max_time_img=_PATIENCE_S)
    model = YOLO(weights)
    if model.task != "detect":
        raise ValueError(f"it is a network for the task '{model.task}' and does not find objects in boxes")
    return model


def _serve(find: Callable[..., Sequence[Any]], answers: IO[bytes]) -> None:
    import numpy as np

    requests = sys.stdin.buffer
    while line := requests.readline():
        shape = json.loads(line)["shape"]
        pixels = np.frombuffer(requests.read(int(np.prod(shape))), np.uint8).reshape(shape)
        try:
            # ultralytics takes blue first, as OpenCV does.
            found = find([np.ascontiguousarray(image[..., ::-1]) for image in pixels])
            _write(answers, {"boxes": [_rows(one.boxes) for one in found]})
        except Exception as error:  # noqa: BLE001 - the file's code can raise anything
            _write(answers, {"failed": str(error) or type(error).__name__})


def _rows(boxes: Any) -> list[list[float]]:
    parts = zip(boxes.xyxyn.tolist(), boxes.conf.tolist(), boxes.cls.tolist(), strict=True)
    return [[*box, confidence, number] for box, confidence, number in parts]


def _write(answers: IO[bytes], answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer).encode() + b"\n")
    answers.flush()


if __name__ == "__main__":
    _main(*sys.argv[1:])
