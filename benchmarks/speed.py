"""What indexing and searching cost, as ratios measured in one run. ``python -m benchmarks.speed [VIDEO...]``.

Each pair is measured in turn, several times, and the medians are compared, so that a machine that is busy with other
work slows both sides alike.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import av
import numpy as np

from indexer.core.prefetch import prefetch
from indexer.core.types import Embedding, Record
from indexer.media.read.decode import FrameReader
from indexer.media.read.probe import probe
from indexer.modalities.registry import all_roles
from indexer.models.base import FrameEncoder
from indexer.models.build import build_models
from indexer.models.devices import leave_room_for_decoding
from indexer.models.profiles import choose_profile
from indexer.shots.sampling import Sampling
from indexer.shots.select import make_sampler
from indexer.store.chroma import ChromaStore

MEDIA = Path(__file__).resolve().parents[2] / "shared" / "data" / "media"
VIDEOS = ("big-buck-bunny.mp4", "street-bikes.mp4", "cockatoo.mp4", "parking-lot-cars.mp4")


def main() -> None:
    """Print the tables."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command does
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("videos", type=Path, nargs="*", default=[MEDIA / name for name in VIDEOS])
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--records", type=int, default=50_000)
    given = options.parse_args()
    encoder = build_models(choose_profile("embedded").profile.choices, all_roles()).frames
    encoder.encode_images([np.zeros((360, 640, 3), dtype=np.uint8)])
    print("\n".join(indexing_table(given.videos, encoder, given.runs)), "\n")
    print("\n".join(search_table(given.records)), "\n")
    print(f"sceneseek --help: {min(durations(run_help, 5)):.2f} s")


def indexing_table(videos: Sequence[Path], encoder: FrameEncoder, runs: int) -> Iterator[str]:
    """Decoding once, the whole frames-only pass, and the pass over codec keyframes."""
    yield f"{'video':28}{'decode':>9}{'index':>9}{'ratio':>7}{'keyframes':>11}{'times faster':>14}"
    for video in videos:
        rounds = [one_round(video, encoder) for _ in range(runs)]
        plain, full, keyframes = (statistics.median(column) for column in zip(*rounds, strict=True))
        yield f"{video.name:28}{plain:8.2f}s{full:8.2f}s{full / plain:7.2f}{keyframes:10.2f}s{full / keyframes:14.1f}"


def one_round(video: Path, encoder: FrameEncoder) -> tuple[float, float, float]:
    """Seconds of plain decoding, of the whole pass and of the pass over codec keyframes."""
    return (
        once(lambda: decode(video)),
        once(lambda: index(video, encoder, Sampling())),
        once(lambda: index(video, encoder, Sampling(strategy="codec"))),
    )


def decode(video: Path) -> None:
    """Every frame, once, threads on, nothing else."""
    with av.open(video) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for _ in container.decode(stream):
            pass


def index(video: Path, encoder: FrameEncoder, sampling: Sampling) -> int:
    """Frames-only indexing without the database: decode, detect, select, encode, as the pipeline overlaps them."""
    with closing(prefetch(keyframe_batches(video, sampling), 4)) as batches:
        leave_room_for_decoding()
        return sum(len(encoder.encode_images(batch)) for batch in batches)


def keyframe_batches(video: Path, sampling: Sampling) -> Iterator[list[np.ndarray]]:
    """Keyframes, 4 at a time, as the default is."""
    sampler = make_sampler(sampling, "video", probe(video).duration_s)
    with FrameReader(video, keyframes_only=sampling.wants_codec_keyframes_only) as reader:
        batch: list[np.ndarray] = []
        for keyframe in sampler.keyframes(reader):
            batch.append(keyframe.image)
            if len(batch) == 4:
                yield batch
                batch = []
        if batch:
            yield batch


def search_table(records: int) -> Iterator[str]:
    """A raw query of the database against the same query through the store, exact cosines included."""
    dim = 384
    with tempfile.TemporaryDirectory() as folder:
        store = ChromaStore(Path(folder), create=True)
        vectors = unit_vectors(records, dim)
        for start in range(0, records, 5000):
            store.upsert([frame_record(number, vectors[number]) for number in range(start, min(records, start + 5000))])
        pairs = [query_round(store, query) for query in unit_vectors(100, dim, seed=1)]
        store.close()
    raw, ours = (np.array(column) * 1000 for column in zip(*pairs, strict=True))
    yield f"{records} records, 50 nearest"
    yield f"raw query of the database: {np.median(raw):.1f} ms (95% under {np.quantile(raw, 0.95):.1f} ms)"
    yield f"the same with vectors, texts and exact cosines: {np.median(ours):.1f} ms ({np.quantile(ours, 0.95):.1f} ms)"


def query_round(store: ChromaStore, query: Embedding) -> tuple[float, float]:
    """Seconds of a raw query and of one through the store."""
    collection = store._database.spaces["frames"]
    raw = once(lambda: collection.query(query_embeddings=query[np.newaxis], n_results=50, include=["distances"]))
    return raw, once(lambda: cosines(store, query))


def cosines(store: ChromaStore, query: Embedding) -> list[float]:
    """The nearest 50 with their exact cosines."""
    return [float(record.vector @ query) for record in store.nearest("frames", query, 50)]


def frame_record(number: int, vector: Embedding) -> Record:
    """A record as a keyframe's would be."""
    start_s = float(number % 1000)
    return Record(f"{number:08d}", f"{number // 1000:032x}", "frames", "frames", start_s, start_s + 1, start_s, vector)


def unit_vectors(count: int, dim: int, seed: int = 0) -> Embedding:
    """Random directions."""
    drawn = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def run_help() -> None:
    """The whole process of ``sceneseek --help``."""
    command = [str(Path(sys.executable).with_name("sceneseek")), "--help"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ})


def durations(action: Callable[[], object], runs: int) -> list[float]:
    """Seconds of each of some runs."""
    return [once(action) for _ in range(runs)]


def once(action: Callable[[], object]) -> float:
    """Seconds of one run."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
