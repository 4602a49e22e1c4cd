"""The time code that a file carries, written by FFmpeg's own muxer and read back."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from indexer.media.read.probe import start_timecode


def clip_with(path: Path, timecode: str, rate: int = 25) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        if timecode:
            stream.metadata["timecode"] = timecode
        for grey in range(5):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 * grey, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("timecode", ["01:00:00:00", "10:11:12:13", ""])
def test_what_the_camera_wrote(tmp_path: Path, timecode: str) -> None:
    assert start_timecode(clip_with(tmp_path / "camera.mov", timecode)) == timecode


def test_of_a_file_that_is_gone_it_is_unknown(tmp_path: Path) -> None:
    assert start_timecode(tmp_path / "gone.mov") is None
    (tmp_path / "empty.mov").touch()
    assert start_timecode(tmp_path / "empty.mov") is None
