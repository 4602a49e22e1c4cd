"""How fast and how right cuts are found, against PySceneDetect's own ``detect()``; and what choosing keyframes costs.

    python -m benchmarks.shots [VIDEO...]

The works are done in turn and measured in CPU time, of which the median counts, so that a busy machine does not matter.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import av
from scenedetect import AdaptiveDetector, detect

from indexer.media.read.decode import FrameReader
from indexer.shots.detect import CutDetector
from indexer.shots.sampling import Sampling
from indexer.shots.select import make_sampler

__all__ = ["main"]

MEDIA = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "media"
SUFFIXES = {".mp4", ".webm", ".avi", ".mkv", ".mov"}
DETECTION_WIDTH = 64

LEGEND = """CPU seconds: plain decoding, PySceneDetect's detect(), our cuts, our keyframes; each with its decoding.
faster = theirs / cuts; beyond = the same with the plain decoding taken off both; cost = keyframes / decoding.
"""


def decode(path: Path) -> list[float]:
    """Decode all frames and do nothing with them."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for _ in container.decode(video=0):
            pass
    return []


def pyscenedetect(path: Path) -> list[float]:
    """The cuts that PySceneDetect finds by itself."""
    return [start.seconds for start, _ in detect(str(path), AdaptiveDetector())][1:]


def ours(path: Path) -> list[float]:
    """The cuts that our detector finds in our frames."""
    detector = CutDetector()
    cuts: list[float] = []
    with FrameReader(path, detection_width=DETECTION_WIDTH) as frames:
        for frame in frames:
            cuts += detector.feed(frame.thumbnail_bgr(), frame.time_s)
    return [*cuts, *detector.finish()]


def keyframes(path: Path) -> list[float]:
    """The keyframes of the default strategy."""
    sampler = make_sampler(Sampling(), path.name, 0.0)
    with FrameReader(path, detection_width=DETECTION_WIDTH) as frames:
        return [keyframe.time_s for keyframe in sampler.keyframes(frames)]


def timed(work: Callable[[Path], list[float]], path: Path) -> tuple[float, list[float]]:
    """CPU seconds the work takes over all threads, and what it finds."""
    start = time.process_time()
    found = work(path)
    return time.process_time() - start, found


def row(path: Path, runs: int) -> str:
    """One line of the table."""
    works = (decode, pyscenedetect, ours, keyframes)
    rounds = [[timed(work, path) for work in works] for _ in range(runs + 1)][1:]
    plain, theirs, cuts, kept = (statistics.median(one[index][0] for one in rounds) for index in range(len(works)))
    ratios = f"{theirs / cuts:7.2f} {(theirs - plain) / max(cuts - plain, 1e-3):7.2f} {kept / plain:7.2f}"
    seconds = " ".join(f"{figure:7.3f}" for figure in (plain, theirs, cuts, kept))
    return f"{path.name:30} {seconds} {ratios}  {listed(rounds[0][2][1])} | {listed(rounds[0][1][1])}"


def listed(cuts: list[float]) -> str:
    """The cuts' times, or how many there are if that is shorter."""
    return ", ".join(f"{cut:.2f}" for cut in cuts) if len(cuts) <= 6 else f"{len(cuts)} cuts"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    videos = options.videos or sorted(path for path in MEDIA.rglob("*") if path.suffix in SUFFIXES)
    print(LEGEND)
    heads = " ".join(f"{head:>7}" for head in ("decode", "theirs", "cuts", "keyfr.", "faster", "beyond", "cost"))
    print(f"{'video':30} {heads}  our cuts | theirs")
    for video in videos:
        print(row(video, options.runs), flush=True)


if __name__ == "__main__":
    main()
